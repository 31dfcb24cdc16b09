//! WireGuard devices.

use std::net::SocketAddr;

use ipnetwork::IpNetwork;
use phantom_types::{Backend, InterfaceName, PresharedKey, PrivateKey, PublicKey, Timestamp};

use crate::Result;

/// A device as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its private key; `None` when it has none yet.
    pub private_key: Option<PrivateKey>,
    /// UDP port it listens on; 0 when it is closed.
    pub listen_port: u16,
    /// Firewall mark of its own packets; 0 for none.
    pub fwmark: u32,
    /// Its peers, each once, in the order of the device.
    pub peers: Vec<Peer>,
}

/// A peer as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is and how it is set up. Its `endpoint` is the one last heard from.
    pub config: PeerConfig,
    /// When the last handshake was completed.
    pub last_handshake: Option<Timestamp>,
    /// Bytes received from it.
    pub rx_bytes: u64,
    /// Bytes sent to it.
    pub tx_bytes: u64,
}

/// How a peer is to be set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its public key: what it is known by.
    pub public_key: PublicKey,
    /// The preshared key of the pair.
    pub preshared_key: Option<PresharedKey>,
    /// Where to send to. `None` in an update leaves what the device has learnt.
    pub endpoint: Option<SocketAddr>,
    /// Persistent keepalive in seconds; `None` is off.
    pub keepalive: Option<u16>,
    /// What it may send and receive, without order.
    pub allowed_ips: Vec<IpNetwork>,
}

/// A change of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerUpdate {
    /// Adds the peer, or brings the one there is to exactly this set-up, keeping its session and its counters.
    Set(PeerConfig),
    /// Removes it. A peer that is not there is no error.
    Remove(PublicKey),
}

/// A change of a device. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceUpdate {
    /// New private key.
    pub private_key: Option<PrivateKey>,
    /// New UDP port; 0 lets the device choose.
    pub listen_port: Option<u16>,
    /// New firewall mark; 0 for none.
    pub fwmark: Option<u32>,
    /// First remove every peer that is there.
    pub replace_peers: bool,
    /// Changes of peers, in order.
    pub peers: Vec<PeerUpdate>,
}

/// WireGuard devices of the kernel (netlink) and of our own process (UAPI), told apart by [`Backend`].
///
/// A change of many peers is not atomic on either: a reader can see half of it, and a refusal in the middle
/// leaves what came before.
pub trait WireGuard: Send + Sync {
    /// Whether the kernel can create WireGuard interfaces: loaded, built in, or loadable as a module. May load the
    /// module; changes nothing else.
    fn kernel_available(&self) -> Result<bool>;
    /// Creates an interface of the kernel's WireGuard, down and without key.
    /// [`Unsupported`](crate::HostError::Unsupported) where the kernel has none.
    fn create(&self, name: &InterfaceName) -> Result<()>;
    /// The device with all its peers, or `None` when there is no such device (no link, or for the embedded
    /// backend no process that answers).
    fn device(&self, name: &InterfaceName, backend: Backend) -> Result<Option<Device>>;
    /// Only these peers of the device, those that are there. The embedded backend answers without walking all
    /// peers; the kernel's interface has no such question, so that there it costs as much as [`Self::device`].
    fn peers(&self, name: &InterfaceName, backend: Backend, keys: &[PublicKey]) -> Result<Option<Vec<Peer>>>;
    /// The peers whose handshakes the device refuses because they are older than one that the same peer began before: their clock was
    /// set back. `None` where that cannot be known: the kernel keeps it to itself, and there may be no device.
    fn refused(&self, name: &InterfaceName, backend: Backend) -> Result<Option<Vec<PublicKey>>>;
    /// That the device answers, or that there is none: an error where its process hangs. Asked before a change, so that nothing
    /// has to be rolled back. The kernel always answers.
    fn answers(&self, name: &InterfaceName, backend: Backend) -> Result<()>;
    /// Applies a change. [`Absent`](crate::HostError::Absent) when there is no such device. After a move to another
    /// port, peers that have a session hear from there at once, so that they send there from then on.
    fn configure(&self, name: &InterfaceName, backend: Backend, update: &DeviceUpdate) -> Result<()>;
}
