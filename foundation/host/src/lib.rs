//! What Phantom-WG needs from a Linux host: one small trait for each facility, in this project's own terms.
//!
//! [`Host`] is a value of shared facilities. `Host::linux` reaches the real machine. `Host::fake` (feature
//! `fake`) is a strict host in memory, for tests of this project and of programs that embed it. One conformance
//! suite runs against both.
//!
//! Nothing here knows the stored state or the modules. [`reconcile`] compares the host with a [`DesiredState`] value and
//! converges on it. It touches only objects that carry our [`OwnershipTags`].

pub mod error;
mod facility;
#[cfg(feature = "fake")]
pub mod fake;
pub mod filter;
mod host_addresses;
mod interrupt;
pub mod linux;
mod networks;
mod patience;
pub mod reconcile;
mod resolv_conf;
mod tags;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

pub use error::HostError;
pub use facility::{
    AskFrom, Bounds, Clock, Command, Device, DeviceUpdate, DnsAnswer, FileInfo, Files, Firewall,
    FirewallKind, FirewallQuery, FirewallReport, ForwardedPacket, Hook, Internet, Link, LinkChange,
    LinkGuard, LinkKind, Logs, Match, Network, OwnRoute, OwnSocket, Peer, PeerConfig, PeerUpdate, PingSource,
    PolicyRule, Port, Probe, ProbeError, Proc, Process, Processes, ProgramOutput, Protocol, Random, Resolver,
    Restart, Route, RouteKind, RuleAction, Ruleset, RulesetRule, RulesetStatus, ServiceManager, ServiceState,
    ServiceStatus, Services, Sockets, StuckRules, Sysctl, UfwReport, UfwRule, UfwRules, Unit, UnitKind,
    Uplink, Verdict, Viewpoint, WireGuard, write_and_verify,
};
pub use host_addresses::{HostAddresses, host_addresses};
pub use interrupt::{Held, Interrupt};
pub use networks::{HostNetwork, host_networks};
pub use patience::{Patience, Reading};
pub use reconcile::DesiredState;
pub use tags::OwnershipTags;

/// The result of asking the host for something.
pub type Result<T, E = HostError> = std::result::Result<T, E>;

/// Where the programs of this installation lie: service units and the supervisor start them by these paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// `phantom-api`.
    pub api: PathBuf,
    /// `phantom-wg-device`.
    pub device: PathBuf,
    /// `phantom-watch`.
    pub watch: PathBuf,
    /// The folder of the programs that modules bring.
    pub dir: PathBuf,
}

impl Programs {
    /// The programs in one folder.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self {
            api: dir.join("phantom-api"),
            device: dir.join("phantom-wg-device"),
            watch: dir.join("phantom-watch"),
            dir,
        }
    }

    /// A program that a module brings, by its name.
    pub fn named(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// A host: every facility, each replaceable on its own.
#[derive(Clone)]
pub struct Host {
    /// WireGuard devices of both backends.
    pub wireguard: Arc<dyn WireGuard>,
    /// Links, addresses, routes and rules.
    pub network: Arc<dyn Network>,
    /// Packet filter and NAT.
    pub firewall: Arc<dyn Firewall>,
    /// Kernel settings.
    pub sysctl: Arc<dyn Sysctl>,
    /// Services: systemd's or our own supervisor's.
    pub services: Arc<dyn Services>,
    /// Who listens on which port.
    pub sockets: Arc<dyn Sockets>,
    /// DNS queries to named servers.
    pub resolver: Arc<dyn Resolver>,
    /// Programs that do one thing and end.
    pub processes: Arc<dyn Processes>,
    /// Files.
    pub files: Arc<dyn Files>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness fit for keys.
    pub random: Arc<dyn Random>,
    /// How long its parts may be silent.
    pub patience: Patience,
    /// Whether somebody wants this program to end.
    pub interrupt: Interrupt,
    /// The programs of this installation.
    pub programs: Programs,
    /// Whether this process may change the host (it runs as root).
    pub privileged: bool,
}

/// A setting that every host with IPv6 has.
const OF_IPV6: &str = "net.ipv6.conf.all.disable_ipv6";

impl Host {
    /// Whether the kernel has IPv6. Where it was booted without (`ipv6.disable=1`), there are no addresses, routes, rules and
    /// settings of it, and none can be made.
    pub fn has_ipv6(&self) -> Result<bool> {
        Ok(self.sysctl.get(OF_IPV6)?.is_some())
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("programs", &self.programs)
            .field("privileged", &self.privileged)
            .finish_non_exhaustive()
    }
}
