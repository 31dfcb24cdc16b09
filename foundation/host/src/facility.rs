//! The facilities of a host, one trait each, and the words they use.
//!
//! The traits have no default bodies: an implementation that forgets something does not compile.

mod files;
mod firewall;
mod misc;
mod network;
mod processes;
mod services;
mod wireguard;

pub use files::{FileInfo, Files, write_and_verify};
pub(crate) use files::{TEMP_FILE_DIGITS, temp_file_target};
pub use firewall::{
    Firewall, FirewallKind, FirewallQuery, FirewallReport, Hook, Match, Protocol, Ruleset, RulesetRule,
    RulesetStatus, StuckRules, UfwReport, UfwRule, UfwRules, Verdict,
};
pub use misc::{
    AskFrom, Clock, DnsAnswer, Port, Probe, ProbeError, Random, Resolver, Sockets, Sysctl, Viewpoint,
};
pub use network::{
    ForwardedPacket, Link, LinkChange, LinkGuard, LinkKind, Network, OwnRoute, PingSource, PolicyRule, Route,
    RouteKind, RuleAction, Uplink,
};
pub use processes::{Process, Processes, ProgramOutput};
pub use services::{
    Bounds, Command, Internet, Logs, OwnSocket, Proc, Restart, ServiceManager, ServiceState, ServiceStatus,
    Services, Unit, UnitKind,
};
pub use wireguard::{Device, DeviceUpdate, Peer, PeerConfig, PeerUpdate, WireGuard};
