//! What is stored of exits and of Multihop.

use std::net::SocketAddr;

use ipnetwork::{IpNetwork, Ipv4Network};
use phantom_types::{Endpoint, ExitName, PresharedKey, PrivateKey, PublicKey, Timestamp};

/// An imported exit: what is used of a provider's WireGuard configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its name.
    pub name: ExitName,
    /// Our WireGuard key towards it.
    pub private_key: PrivateKey,
    /// Its own key.
    pub public_key: PublicKey,
    /// The key that both share, if they do.
    pub preshared_key: Option<PresharedKey>,
    /// Where it is, as in the file.
    pub endpoint: Endpoint,
    /// Our IPv4 addresses in its network; at least one.
    pub addresses: Vec<Ipv4Network>,
    /// What it carries, of both families.
    pub allowed_ips: Vec<IpNetwork>,
    /// Largest packet in bytes: 1280 to 1420.
    pub mtu: u16,
    /// Seconds between packets that keep a NAT open: 1 to 60.
    pub keepalive: u16,
    /// The MTU that the file gave, if it gave one.
    pub file_mtu: Option<u16>,
    /// The keepalive that the file gave, if it gave one.
    pub file_keepalive: Option<u16>,
    /// The provider that runs it, as far as the file tells.
    pub provider: String,
    /// Absolute path of the imported file.
    pub original_path: String,
    /// When it was imported.
    pub imported_at: Timestamp,
}

/// Multihop while it is enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multihop {
    /// The exit that was chosen.
    pub chosen_exit: ExitName,
    /// Clients are kept from the server's own uplink when there is no exit.
    pub kill_switch: bool,
    /// What takes its place while it is dead, in this order.
    pub fallback_exits: Vec<ExitName>,
    /// The exit that carries the traffic now: the chosen one or a fallback.
    pub active_exit: ExitName,
    /// What the end point of the exit in use was resolved to.
    pub endpoint_address: Option<SocketAddr>,
    /// An exit that is tried beside it, and where.
    pub staged: Option<(ExitName, SocketAddr)>,
    /// When it was enabled.
    pub activated_at: Timestamp,
}

/// A record of the log of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// When it happened.
    pub at: Timestamp,
    /// Through which exit; it may have been removed since.
    pub exit: ExitName,
    /// What happened, in a word.
    pub event: String,
    /// The values that a sentence about it contains.
    pub details: Option<serde_json::Value>,
}
