//! WireGuard devices in memory: the kernel's live and die with their link, the embedded ones with their process.

mod answering;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ipnetwork::IpNetwork;
use nix::errno::Errno;
use phantom_types::{Backend, InterfaceName, PrivateKey, PublicKey, Timestamp};

use super::network::links;
use super::network::routes::network_of;
use super::{FakeHost, State, absent, kernel};
use crate::{
    Device, DeviceUpdate, HostError, LinkKind, Peer, PeerConfig, PeerUpdate, Port, Protocol, Result,
    WireGuard,
};

/// MTU with which both backends make their links.
const MTU: u32 = 1420;
/// The first port that a device chooses by itself (`ip_local_port_range`).
const FIRST_FREE_PORT: u16 = 32768;

/// The devices by the name of their interface.
#[derive(Clone)]
pub(super) struct Devices {
    by_name: BTreeMap<String, Inner>,
    kernel_wireguard: bool,
    /// Peers that answer when they are called.
    answering: BTreeSet<PublicKey>,
    /// Those of them that drop echo requests.
    mute: BTreeSet<PublicKey>,
    /// Those of them that pass nothing on.
    useless: BTreeSet<PublicKey>,
    /// Peers whose clock was set back.
    set_back: BTreeSet<PublicKey>,
    /// Where nobody answers, whoever is called there.
    holes: BTreeSet<SocketAddr>,
}

impl Default for Devices {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
            kernel_wireguard: true,
            answering: BTreeSet::new(),
            mute: BTreeSet::new(),
            useless: BTreeSet::new(),
            set_back: BTreeSet::new(),
            holes: BTreeSet::new(),
        }
    }
}

/// A device. The owners of allowed addresses are kept as well: adding a peer costs the same with ten and with many
/// thousands of them.
#[derive(Clone)]
pub(super) struct Inner {
    pub(super) backend: Backend,
    private_key: Option<PrivateKey>,
    listen_port: u16,
    fwmark: u32,
    peers: BTreeMap<PublicKey, PeerState>,
    owners: BTreeMap<IpNetwork, PublicKey>,
}

/// A peer without its allowed addresses in a list: they are a set here.
#[derive(Clone)]
struct PeerState {
    peer: Peer,
    allowed: BTreeSet<IpNetwork>,
    /// The end point it was given, which is not forgotten when the peer is heard from another one.
    configured: Option<SocketAddr>,
}

impl Inner {
    fn new(backend: Backend) -> Self {
        let (peers, owners) = (BTreeMap::new(), BTreeMap::new());
        Self { backend, private_key: None, listen_port: 0, fwmark: 0, peers, owners }
    }

    pub(super) fn device(&self) -> Device {
        Device {
            private_key: self.private_key.clone(),
            listen_port: self.listen_port,
            fwmark: self.fwmark,
            peers: self.peers.values().map(PeerState::to_peer).collect(),
        }
    }

    fn apply(&mut self, update: &PeerUpdate) {
        match update {
            PeerUpdate::Remove(key) => self.remove(*key),
            PeerUpdate::Set(config) => self.set(config),
        }
    }

    pub(super) fn remove(&mut self, key: PublicKey) {
        for network in self.peers.remove(&key).into_iter().flat_map(|state| state.allowed) {
            self.owners.remove(&network);
        }
    }

    fn set(&mut self, config: &PeerConfig) {
        // The kernel takes itself for no peer.
        if self.backend == Backend::Kernel && self.own_key() == Some(config.public_key) {
            return;
        }
        let allowed: BTreeSet<_> = config.allowed_ips.iter().map(|network| network_of(*network)).collect();
        for network in &allowed {
            // What is allowed to one peer is taken from the one that had it.
            if let Some(other) = self.owners.insert(*network, config.public_key)
                && let Some(state) = self.peers.get_mut(&other)
            {
                state.allowed.remove(network);
            }
        }
        let state = self.peers.entry(config.public_key).or_insert_with(|| PeerState::new(config));
        for network in std::mem::replace(&mut state.allowed, allowed) {
            if !state.allowed.contains(&network) {
                self.owners.remove(&network);
            }
        }
        let learnt = state.peer.config.endpoint;
        state.peer.config = PeerConfig { allowed_ips: Vec::new(), ..config.clone() };
        state.peer.config.endpoint = config.endpoint.or(learnt);
        state.configured = config.endpoint.or(state.configured);
    }

    pub(super) fn configured_endpoint(&self, key: &PublicKey) -> Option<SocketAddr> {
        self.peers.get(key).and_then(|state| state.configured)
    }

    fn own_key(&self) -> Option<PublicKey> {
        self.private_key.as_ref().map(PrivateKey::public_key)
    }

    fn set_private_key(&mut self, key: &PrivateKey) {
        self.private_key = Some(key.clone());
        if self.backend == Backend::Kernel {
            self.remove(key.public_key());
        }
    }
}

impl PeerState {
    fn new(config: &PeerConfig) -> Self {
        let config = PeerConfig { allowed_ips: Vec::new(), ..config.clone() };
        let peer = Peer { config, last_handshake: None, rx_bytes: 0, tx_bytes: 0 };
        Self { peer, allowed: BTreeSet::new(), configured: None }
    }

    fn to_peer(&self) -> Peer {
        let config =
            PeerConfig { allowed_ips: self.allowed.iter().copied().collect(), ..self.peer.config.clone() };
        Peer { config, ..self.peer.clone() }
    }
}

impl State {
    pub(super) fn device(&self, name: &str) -> Option<&Inner> {
        self.devices.by_name.get(name)
    }

    /// All devices by the name of their interface.
    pub(super) fn devices(&self) -> impl Iterator<Item = (&String, &Inner)> {
        self.devices.by_name.iter()
    }

    fn device_of(&self, name: &str, backend: Backend) -> Option<&Inner> {
        self.device(name).filter(|device| device.backend == backend)
    }

    fn device_mut(&mut self, name: &str) -> Result<&mut Inner> {
        let found = self.devices.by_name.get_mut(name);
        found.ok_or_else(|| absent(format!("WireGuard device {name}")))
    }

    /// Whether a device holds its port open: the kernel's while its link is up, the embedded one once it has a key.
    fn is_open(&self, name: &str, device: &Inner) -> bool {
        match device.backend {
            Backend::Kernel => self.net.find(name).is_some_and(|interface| interface.link.up),
            Backend::Embedded => device.private_key.is_some(),
        }
    }

    /// The device that holds this port open.
    pub(super) fn device_on_port(&self, number: u16) -> Option<&str> {
        let open =
            |(name, device): &(&String, &Inner)| device.listen_port == number && self.is_open(name, device);
        let found = self.devices.by_name.iter().filter(|_| number != 0).find(open);
        found.map(|(name, _)| name.as_str())
    }

    /// Opens the port of a kernel device whose link comes up; without one of its own it takes a free one. Says
    /// whether that was possible.
    pub(super) fn open_port(&mut self, name: &str) -> bool {
        let Some(port) = self.device_of(name, Backend::Kernel).map(|device| device.listen_port) else {
            return true;
        };
        if port != 0 {
            return !self.is_bound(Port { protocol: Protocol::Udp, number: port });
        }
        let chosen = self.free_port();
        self.device_mut(name).is_ok_and(|device| {
            device.listen_port = chosen;
            chosen != 0
        })
    }

    fn free_port(&self) -> u16 {
        let free = |number: &u16| !self.is_bound(Port { protocol: Protocol::Udp, number: *number });
        (FIRST_FREE_PORT..=u16::MAX).find(free).unwrap_or(0)
    }

    /// The embedded device's process starts: its link is there from then on, and the device is empty.
    pub(super) fn start_embedded(&mut self, name: &str) -> Result<()> {
        match self.net.find(name).map(|interface| &interface.link.kind) {
            None => links::create(&mut self.net, name, LinkKind::Tun, MTU)?,
            Some(LinkKind::Tun) => {}
            Some(_) => return Err(kernel(format!("opening the TUN device {name}"), Errno::EINVAL)),
        }
        self.devices.by_name.insert(name.to_owned(), Inner::new(Backend::Embedded));
        Ok(())
    }

    /// The embedded device's process ends: its link stays.
    pub(super) fn stop_embedded(&mut self, name: &str) {
        self.devices.by_name.remove(name);
    }

    /// The link of a device is gone, and the device with it; the process of an embedded one ends.
    pub(super) fn device_link_gone(&mut self, name: &str) {
        if self.devices.by_name.remove(name).is_some_and(|device| device.backend == Backend::Embedded) {
            self.device_process_ended(name);
        }
    }

    /// Applies a change, or of a refused one what comes before the refusal: the device's own settings and the first
    /// half of its peers, where there are several.
    fn configure(
        &mut self,
        name: &str,
        backend: Backend,
        update: &DeviceUpdate,
        refused: bool,
    ) -> Result<()> {
        let peers = update.peers.len();
        if refused && peers < 2 {
            return Ok(());
        }
        if self.device_of(name, backend).is_none() {
            return Err(absent(format!("WireGuard device {name}")));
        }
        self.set_port(name, update)?;
        let device = self.device_mut(name)?;
        if let Some(key) = &update.private_key {
            device.set_private_key(key);
        }
        device.fwmark = update.fwmark.unwrap_or(device.fwmark);
        if update.replace_peers {
            device.peers.clear();
            device.owners.clear();
        }
        let first = if refused { peers / 2 } else { peers };
        for peer in &update.peers[..first] {
            device.apply(peer);
        }
        Ok(())
    }

    /// Sets the port of a device that is there, which opens it if it is or gets open; what can be refused comes first.
    fn set_port(&mut self, name: &str, update: &DeviceUpdate) -> Result<()> {
        let Some(device) = self.device(name) else { return Ok(()) };
        let was_open = self.is_open(name, device);
        let open = was_open || (device.backend == Backend::Embedded && update.private_key.is_some());
        let port = update.listen_port.unwrap_or(device.listen_port);
        let moves = update.listen_port.is_some_and(|port| port != device.listen_port);
        if !open || (was_open && !moves) {
            self.device_mut(name)?.listen_port = port;
            return Ok(());
        }
        if port != 0 && self.is_bound(Port { protocol: Protocol::Udp, number: port }) {
            return Err(kernel(format!("configuring WireGuard device {name}"), Errno::EADDRINUSE));
        }
        self.device_mut(name)?.listen_port = if port == 0 { self.free_port() } else { port };
        Ok(())
    }
}

impl WireGuard for FakeHost {
    fn kernel_available(&self) -> Result<bool> {
        Ok(self.state().devices.kernel_wireguard)
    }

    fn create(&self, name: &InterfaceName) -> Result<()> {
        let mut state = self.write(&format!("wireguard.create {name}"))?;
        if !state.devices.kernel_wireguard {
            return Err(HostError::Unsupported { what: "create WireGuard interfaces".to_owned() });
        }
        links::create(&mut state.net, name.as_str(), LinkKind::WireGuard, MTU)?;
        state.devices.by_name.insert(name.as_str().to_owned(), Inner::new(Backend::Kernel));
        Ok(())
    }

    fn device(&self, name: &InterfaceName, backend: Backend) -> Result<Option<Device>> {
        self.state().shake_hands(name.as_str());
        Ok(self.state().device_of(name.as_str(), backend).map(Inner::device))
    }

    fn peers(&self, name: &InterfaceName, backend: Backend, keys: &[PublicKey]) -> Result<Option<Vec<Peer>>> {
        let mut state = self.state();
        state.shake_hands(name.as_str());
        let Some(device) = state.device_of(name.as_str(), backend) else { return Ok(None) };
        let keys: BTreeSet<_> = keys.iter().collect();
        Ok(Some(keys.into_iter().filter_map(|key| device.peers.get(key)).map(PeerState::to_peer).collect()))
    }

    fn refused(&self, name: &InterfaceName, backend: Backend) -> Result<Option<Vec<PublicKey>>> {
        let state = self.state();
        let device = state.devices.by_name.get(name.as_str()).filter(|device| device.backend == backend);
        let Some(device) = device.filter(|_| backend == Backend::Embedded) else { return Ok(None) };
        Ok(Some(device.peers.keys().filter(|key| state.devices.set_back.contains(key)).copied().collect()))
    }

    fn answers(&self, _: &InterfaceName, _: Backend) -> Result<()> {
        Ok(())
    }

    fn configure(&self, name: &InterfaceName, backend: Backend, update: &DeviceUpdate) -> Result<()> {
        let text = format!("wireguard.configure {name}{}", update_text(update));
        match self.write(&text) {
            Ok(mut state) => state.configure(name.as_str(), backend, update, false),
            Err(refusal) => {
                // A refusal in the middle leaves what came before.
                let _ = self.state().configure(name.as_str(), backend, update, true);
                Err(refusal)
            }
        }
    }
}

/// What a change is about, without any secret.
fn update_text(update: &DeviceUpdate) -> String {
    let own = [
        update.private_key.as_ref().map(|_| " private-key".to_owned()),
        update.listen_port.map(|port| format!(" listen-port {port}")),
        update.fwmark.map(|mark| format!(" fwmark {mark}")),
        update.replace_peers.then(|| " replace-peers".to_owned()),
    ];
    let peers = match update.peers.as_slice() {
        [] => String::new(),
        [PeerUpdate::Set(config)] => format!(" set {}", config.public_key),
        [PeerUpdate::Remove(key)] => format!(" remove {key}"),
        many => format!(" {} peers", many.len()),
    };
    own.into_iter().flatten().chain([peers]).collect()
}

impl FakeHost {
    /// Gives the kernel WireGuard or takes it away. Interfaces that exist stay.
    pub fn set_kernel_wireguard(&self, there: bool) {
        self.state().devices.kernel_wireguard = there;
    }
    /// Removes a peer from a device behind everybody's back. Says whether it was there.
    pub fn remove_peer(&self, interface: &str, key: &PublicKey) -> bool {
        let mut state = self.state();
        let there = |device: &mut Inner| {
            let there = device.peers.contains_key(key);
            device.remove(*key);
            there
        };
        state.devices.by_name.get_mut(interface).is_some_and(there)
    }
    /// Lets a peer have had traffic: the end point it was last heard from, when its handshake was completed, bytes
    /// received and sent. Says whether there is such a peer.
    pub fn set_peer_traffic(
        &self,
        interface: &str,
        key: &PublicKey,
        endpoint: Option<SocketAddr>,
        last_handshake: Option<Timestamp>,
        (rx_bytes, tx_bytes): (u64, u64),
    ) -> bool {
        let mut state = self.state();
        let found = state.devices.by_name.get_mut(interface).and_then(|device| device.peers.get_mut(key));
        found.is_some_and(|state| {
            state.peer = Peer { last_handshake, rx_bytes, tx_bytes, ..state.peer.clone() };
            state.peer.config.endpoint = endpoint;
            true
        })
    }
    /// Sets the clock of a peer back, or right again: an embedded device refuses its handshakes then.
    pub fn set_back_clock(&self, key: &PublicKey, back: bool) {
        let clocks = &mut self.state().devices.set_back;
        if back {
            clocks.insert(*key);
        } else {
            clocks.remove(key);
        }
    }
    /// A peer as it is, without any handshake being tried.
    pub fn peer(&self, interface: &str, key: &PublicKey) -> Option<Peer> {
        Some(self.state().devices.by_name.get(interface)?.peers.get(key)?.to_peer())
    }
    /// Changes a device behind everybody's back, as `wg set` would. Says whether it is there.
    pub fn disturb_device(&self, interface: &str, update: &DeviceUpdate) -> bool {
        let mut state = self.state();
        let backend = state.device(interface).map(|device| device.backend);
        backend.is_some_and(|backend| state.configure(interface, backend, update, false).is_ok())
    }
}
