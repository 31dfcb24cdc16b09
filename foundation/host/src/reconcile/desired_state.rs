//! What is wanted of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use phantom_types::{Backend, InterfaceName, PrivateKey, Text};

use super::DesiredFile;
use crate::{LinkGuard, PeerConfig, PolicyRule, Route, Ruleset, UfwRule, Unit};

/// How deep a reconciling goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// Everything but the peers of devices and the files that list them: costs the same for any number of clients.
    WithoutPeers,
    /// Everything.
    Full,
}

/// A whole state of the host, as far as it is ours. Each module adds its part.
#[derive(Clone, Debug, Default)]
pub struct DesiredState {
    /// WireGuard interfaces by name.
    pub interfaces: BTreeMap<InterfaceName, DesiredInterface>,
    /// Routes of our table.
    pub routes: BTreeSet<Route>,
    /// Policy rules.
    pub rules: BTreeSet<PolicyRule>,
    /// Packet filter and NAT.
    pub firewall: Ruleset,
    /// Rules for ufw, put there only while it is active.
    pub ufw: BTreeSet<UfwRule>,
    /// Kernel settings.
    pub sysctls: BTreeMap<String, String>,
    /// Files by path; `None` says that there must be none of ours.
    pub files: BTreeMap<PathBuf, Option<DesiredFile>>,
    /// Files of ours that may be as they are ([`Coverage::WithoutPeers`]).
    pub kept_files: BTreeSet<PathBuf>,
    /// Services beside those of the interfaces, by unit name: whether each is to run now, or `None` where it may do as it
    /// does (a unit for the boot).
    pub units: BTreeMap<String, (Unit, Option<bool>)>,
    /// What is stored and is kept from the host all the same. Nothing of it is compared or changed.
    pub withheld: Vec<Withheld>,
}

/// A part of the stored state that the host is not brought to, since it would do the host harm, with a sentence that says
/// so: such as an exit whose address is the host's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The sentence in English.
    pub en: String,
    /// The sentence in Turkish.
    pub tr: String,
    /// What a person can do about it.
    pub remedy: Text,
}

/// A WireGuard interface.
#[derive(Clone, Debug)]
pub struct DesiredInterface {
    /// Whose WireGuard.
    pub backend: Backend,
    /// It is up; else it is taken down and its service stopped, while the unit stays.
    pub running: bool,
    /// Addresses with their prefix length.
    pub addresses: BTreeSet<IpNetwork>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// What may pass it without a packet filter; `None` for everything.
    pub guard: Option<LinkGuard>,
    /// The service it belongs to.
    pub unit: Unit,
    /// The device.
    pub device: DesiredDevice,
}

/// A WireGuard device.
#[derive(Clone, Debug)]
pub struct DesiredDevice {
    /// Private key.
    pub private_key: PrivateKey,
    /// UDP port; `None` leaves the choice to the device.
    pub listen_port: Option<u16>,
    /// Firewall mark of its own packets; 0 for none.
    pub fwmark: u32,
    /// Exactly these peers; `None` leaves the peers as they are ([`Coverage::WithoutPeers`]).
    pub peers: Option<Vec<DesiredPeer>>,
}

/// A peer.
#[derive(Clone, Debug)]
pub struct DesiredPeer {
    /// How it is set up.
    pub config: PeerConfig,
    /// Whose it is: the name of a client or an exit.
    pub owner: Arc<str>,
}

impl DesiredState {
    /// Nothing of ours: what a reset brings the host to.
    pub fn nothing() -> Self {
        Self::default()
    }
    /// The same state for a kernel without IPv6: none of it can be there, and nothing needs to keep it in.
    #[must_use]
    pub fn without_ipv6(mut self) -> Self {
        self.routes.retain(|route| route.destination.is_ipv4());
        self.rules.retain(|rule| !rule.ipv6);
        for interface in self.interfaces.values_mut() {
            interface.addresses.retain(IpNetwork::is_ipv4);
        }
        self
    }
    /// Adds a file.
    pub fn file(&mut self, path: impl Into<PathBuf>, mode: u32, content: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), Some(DesiredFile::new(mode, content)));
    }
    /// The same state with every interface stopped.
    #[must_use]
    pub fn stopped(mut self) -> Self {
        self.stop();
        self
    }
    /// Stops every interface, as a restart passes through it, and says which were to run.
    pub fn stop(&mut self) -> BTreeSet<InterfaceName> {
        let running = self.interfaces.iter_mut().filter(|(_, interface)| interface.running);
        running
            .map(|(name, interface)| {
                interface.running = false;
                name.clone()
            })
            .collect()
    }
    /// Lets these interfaces run.
    pub fn start(&mut self, names: &BTreeSet<InterfaceName>) {
        for (name, interface) in &mut self.interfaces {
            interface.running |= names.contains(name);
        }
    }
}
