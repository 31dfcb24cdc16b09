//! The values that are stored.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::Ipv6Network;
use phantom_types::{
    Backend, BackendChoice, ClientName, HostName, InterfaceName, PresharedKey, PrivateKey, PublicKey, Subnet,
    Timestamp,
};

/// The server, as set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its WireGuard key.
    pub private_key: PrivateKey,
    /// The key that belongs to it.
    pub public_key: PublicKey,
    /// The public IPv4 address that clients connect to.
    pub server_ip: Ipv4Addr,
    /// What clients connect to instead, where the operator wants that.
    pub endpoint: Option<HostName>,
    /// The host's global IPv6 address, for clients that connect by IPv6.
    pub ipv6: Option<Ipv6Addr>,
    /// The UDP port; not 0.
    pub port: u16,
    /// The subnet of the server and its clients. It is changed by [`Transaction::change_subnet`] once there are
    /// clients.
    ///
    /// [`Transaction::change_subnet`]: crate::Transaction::change_subnet
    pub subnet: Subnet,
    /// The IPv6 prefix of the clients, if they have one: a client's address in it is its network address plus the
    /// client's host number, for which it must have room (at least as many host bits as the subnet). Clients added
    /// before it was set have no such address, and those added under another prefix keep theirs.
    pub subnet6: Option<Ipv6Network>,
    /// The WireGuard interface.
    pub interface: InterfaceName,
    /// The backend that was asked for.
    pub backend_choice: BackendChoice,
    /// The backend in use.
    pub backend: Backend,
    /// The [run of the system](crate::Store::run_id) in which the service was stopped: it stays stopped until another
    /// run.
    pub stopped_in: Option<String>,
    /// What the kernel's `net.ipv4.ip_forward` was before the system switched it on.
    pub ip_forward_before: Option<String>,
    /// When the system was set up.
    pub created: Timestamp,
}

/// A client with its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name, unique without regard to case.
    pub name: ClientName,
    /// Its address in the subnet.
    pub address: Ipv4Addr,
    /// Its address in the IPv6 prefix, if the server had one when the client was added.
    pub address6: Option<Ipv6Addr>,
    /// Its WireGuard key.
    pub private_key: PrivateKey,
    /// The key that belongs to it.
    pub public_key: PublicKey,
    /// The key that it shares with the server.
    pub preshared_key: PresharedKey,
    /// When it was added.
    pub created: Timestamp,
    /// Whether it may connect.
    pub enabled: bool,
}

/// A client without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// See [`Client::name`].
    pub name: ClientName,
    /// See [`Client::address`].
    pub address: Ipv4Addr,
    /// See [`Client::address6`].
    pub address6: Option<Ipv6Addr>,
    /// See [`Client::public_key`].
    pub public_key: PublicKey,
    /// See [`Client::created`].
    pub created: Timestamp,
    /// See [`Client::enabled`].
    pub enabled: bool,
}

/// What a peer of the interface is made of, as [`State::each_client`](crate::State::each_client) shows it: the name
/// is borrowed from the database's memory and the private key is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRef<'r> {
    /// The text of a [`ClientName`].
    pub name: &'r str,
    /// See [`Client::address`].
    pub address: Ipv4Addr,
    /// See [`Client::address6`].
    pub address6: Option<Ipv6Addr>,
    /// See [`Client::public_key`].
    pub public_key: PublicKey,
    /// See [`Client::preshared_key`].
    pub preshared_key: PresharedKey,
}

/// A client to be added; its address is the store's choice.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// See [`Client::name`].
    pub name: ClientName,
    /// See [`Client::private_key`].
    pub private_key: PrivateKey,
    /// See [`Client::public_key`].
    pub public_key: PublicKey,
    /// See [`Client::preshared_key`].
    pub preshared_key: PresharedKey,
    /// See [`Client::created`].
    pub created: Timestamp,
}

/// Some of the clients that a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// How many the search found.
    pub total: u32,
    /// Those of the page, oldest first.
    pub clients: Vec<ClientInfo>,
}

/// A language of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// English.
    En,
    /// Turkish.
    Tr,
}

impl Language {
    /// `en` or `tr`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Tr => "tr",
        }
    }

    /// The language of this code; `None` for every text but `en` and `tr`.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::En, Self::Tr].into_iter().find(|language| language.as_str() == code)
    }
}

/// What the operator can set about the system's behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether the whole service restarts when a client is added or removed.
    pub restart_service_after_client_creation: bool,
    /// Whether exported configurations route IPv6 into the tunnel, which carries none.
    pub block_ipv6_leak: bool,
    /// The language of the texts, once it was set.
    pub language: Option<Language>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { restart_service_after_client_creation: false, block_ipv6_leak: true, language: None }
    }
}

/// The DNS servers of all clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsServers {
    /// The first one.
    pub primary: IpAddr,
    /// The second one.
    pub secondary: IpAddr,
}

impl Default for DnsServers {
    fn default() -> Self {
        Self { primary: Ipv4Addr::new(8, 8, 8, 8).into(), secondary: Ipv4Addr::new(8, 8, 4, 4).into() }
    }
}

/// An entry of the index of backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The name of its folder: `a-z 0-9 _` only.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The subnet before the change that it was made for.
    pub from: Subnet,
    /// The subnet after it.
    pub to: Subnet,
}
