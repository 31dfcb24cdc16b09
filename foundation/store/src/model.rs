//! The values that are stored.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv6Network};
use phantom_types::{
    Backend, BackendChoice, ClientName, ClientSecret, HostName, InterfaceName, Lang, PresharedKey,
    PrivateKey, PublicKey, Subnet, Timestamp,
};

/// The server, as set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its WireGuard key.
    pub private_key: PrivateKey,
    /// The key that belongs to it.
    pub public_key: PublicKey,
    /// The public IPv4 address that clients connect to; `None` where [`Self::endpoint`] or [`Self::ipv6`] is all there is.
    pub server_ip: Option<Ipv4Addr>,
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
    /// The IPv6 prefix of the clients, if they have one. A client for which nobody chooses an address gets one of it:
    /// its network address plus the client's host number, for which it should have room (at least as many host bits as
    /// the subnet). Clients added before it was set have no such address, and those added under another prefix keep
    /// theirs.
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
    /// A number that no other client of this server ever had or will have; from 1. It stays when everything else
    /// changes.
    pub id: u32,
    /// Its name, unique without regard to case.
    pub name: ClientName,
    /// Its address in the subnet.
    pub address: Ipv4Addr,
    /// Its IPv6 address, if it has one: any that no other client has.
    pub address6: Option<Ipv6Addr>,
    /// Networks behind it, beside its own addresses: it may send from there, and what is for them is sent to it.
    pub extra_ips: Vec<IpNetwork>,
    /// Its WireGuard key, unless it keeps that to itself.
    pub private_key: Option<PrivateKey>,
    /// The key that belongs to it.
    pub public_key: PublicKey,
    /// The key that it shares with the server, if they share one.
    pub preshared_key: Option<PresharedKey>,
    /// What it identifies itself with to a tunnel that carries WireGuard.
    pub tunnel_secret: ClientSecret,
    /// When it was added.
    pub created: Timestamp,
    /// Whether it may connect.
    pub enabled: bool,
}

/// A client without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// See [`Client::id`].
    pub id: u32,
    /// See [`Client::name`].
    pub name: ClientName,
    /// See [`Client::address`].
    pub address: Ipv4Addr,
    /// See [`Client::address6`].
    pub address6: Option<Ipv6Addr>,
    /// See [`Client::extra_ips`].
    pub extra_ips: Vec<IpNetwork>,
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
    /// See [`Client::id`].
    pub id: u32,
    /// The text of a [`ClientName`].
    pub name: &'r str,
    /// See [`Client::address`].
    pub address: Ipv4Addr,
    /// See [`Client::address6`].
    pub address6: Option<Ipv6Addr>,
    /// See [`Client::extra_ips`].
    pub extra_ips: Vec<IpNetwork>,
    /// See [`Client::public_key`].
    pub public_key: PublicKey,
    /// See [`Client::preshared_key`].
    pub preshared_key: Option<PresharedKey>,
}

/// A client to be added; its id and its IPv4 address are the store's choice.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// See [`Client::name`].
    pub name: ClientName,
    /// See [`Client::address6`]. With `None` it gets one if the server has a prefix: [`Server::subnet6`].
    pub address6: Option<Ipv6Addr>,
    /// See [`Client::extra_ips`]. Whether another client has one of them is for the caller to find out.
    pub extra_ips: Vec<IpNetwork>,
    /// See [`Client::private_key`].
    pub private_key: Option<PrivateKey>,
    /// See [`Client::public_key`].
    pub public_key: PublicKey,
    /// See [`Client::preshared_key`].
    pub preshared_key: Option<PresharedKey>,
    /// See [`Client::tunnel_secret`].
    pub tunnel_secret: ClientSecret,
    /// See [`Client::created`].
    pub created: Timestamp,
}

/// Some of the clients that a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientPage {
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

impl From<Language> for Lang {
    fn from(language: Language) -> Self {
        match language {
            Language::En => Self::En,
            Language::Tr => Self::Tr,
        }
    }
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        lang.pick(Self::En, Self::Tr)
    }
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
pub struct BackupEntry {
    /// The name of its folder: `a-z 0-9 _` only.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The subnet before the change that it was made for.
    pub from: Subnet,
    /// The subnet after it.
    pub to: Subnet,
}
