//! Links, addresses, routes and rules.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnetwork::IpNetwork;
use phantom_types::InterfaceName;

use crate::Result;

/// What kind of link it is (`IFLA_INFO_KIND`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKind {
    /// The kernel's WireGuard.
    WireGuard,
    /// A TUN device: the embedded WireGuard's, or another program's.
    Tun,
    /// Anything else, by its kind; empty for hardware.
    Other(String),
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name; foreign ones may have any.
    pub name: String,
    /// Kernel index.
    pub index: u32,
    /// Its kind.
    pub kind: LinkKind,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Alias (`IFLA_IFALIAS`): our tag stands there.
    pub alias: Option<String>,
}

/// A change of a link. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// Up or down.
    pub up: Option<bool>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// Alias; empty removes it.
    pub alias: Option<String>,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteKind {
    /// Out of an interface, by a gateway or directly.
    Via {
        /// The interface.
        interface: String,
        /// The next hop; `None` for what is on the link.
        gateway: Option<IpAddr>,
    },
    /// Nowhere: the sender is told so (`RTN_UNREACHABLE`).
    Unreachable,
    /// Nowhere, silently (`RTN_BLACKHOLE`).
    Blackhole,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Table number; 254 is the main one.
    pub table: u32,
    /// What it is for; prefix length 0 is the default route.
    pub destination: IpNetwork,
    /// Metric: the lowest one counts (`RTA_PRIORITY`).
    pub metric: u32,
    /// Where it leads.
    pub kind: RouteKind,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Who made it (`rtm_protocol`); ours is [`crate::OwnershipTags::PROTOCOL`].
    pub protocol: u8,
}

impl Route {
    /// Whether the kernel takes both for the same route, and keeps only one: table, destination and metric are what it knows
    /// a route by. Where it leads and who made it is not part of that.
    pub fn takes_the_place_of(&self, other: &Self) -> bool {
        (self.table, self.metric) == (other.table, other.metric)
            && self.destination.network() == other.destination.network()
            && self.destination.prefix() == other.destination.prefix()
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the route to {} in table {}, metric {}", self.destination, self.table, self.metric)
    }
}

/// What a policy rule does with a packet that it is for (`linux/fib_rules.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleAction {
    /// Asks this table (`FR_ACT_TO_TBL`). Where that has no route for the packet, the next rule is asked.
    Lookup(u32),
    /// Nowhere: the sender is told so, and no further rule is asked (`FR_ACT_UNREACHABLE`).
    Unreachable,
    /// Something else, by its number; no rule of ours does it.
    Other(u8),
}

/// A policy rule: what is done with which packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyRule {
    /// The lowest is asked first.
    pub priority: u32,
    /// Whether it is a rule for IPv6.
    pub ipv6: bool,
    /// Source that it is for; `None` for all.
    pub from: Option<IpNetwork>,
    /// Destination that it is for; `None` for all.
    pub to: Option<IpNetwork>,
    /// Interface the packet came in by.
    pub in_interface: Option<String>,
    /// What it does.
    pub action: RuleAction,
    /// Who made it (`FRA_PROTOCOL`); ours is [`crate::OwnershipTags::PROTOCOL`].
    pub protocol: u8,
}

impl PolicyRule {
    /// Whether it does the same as another one, at the same place, for some of its packets only. The kernel takes it for the
    /// other one where that is to be added.
    pub fn is_narrower_than(&self, other: &Self) -> bool {
        let within = |mine: &Option<_>, wide: &Option<_>| wide.is_none() || mine == wide;
        (self.ipv6, self.priority, self.action, self.protocol)
            == (other.ipv6, other.priority, other.action, other.protocol)
            && within(&self.from, &other.from)
            && within(&self.to, &other.to)
            && (other.in_interface.is_none() || self.in_interface == other.in_interface)
            && self != other
    }
}

/// The interface of the default route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its name.
    pub interface: String,
    /// Source address that the kernel takes for packets to the Internet; `None` without a route there for IPv4.
    pub address: Option<Ipv4Addr>,
    /// Prefix length of that address on the interface.
    pub prefix: Option<u8>,
    /// Global IPv6 address of the interface, not a temporary or deprecated one.
    pub ipv6: Option<Ipv6Addr>,
}

/// A packet of somebody else that passes through this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedPacket {
    /// Its source.
    pub from: Ipv4Addr,
    /// Its destination.
    pub to: Ipv4Addr,
    /// The interface that it comes in by.
    pub in_interface: InterfaceName,
}

/// The route that the kernel takes for a packet of the host's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRoute {
    /// The interface that it leaves by; `lo` for an address of the host itself.
    pub interface: String,
    /// The next hop; `None` for what is on the link or on the host.
    pub gateway: Option<IpAddr>,
    /// Its source address: the one that was asked for, else the kernel's choice.
    pub source: Option<Ipv4Addr>,
}

/// Where an echo request of this host comes from, and so which way it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PingSource {
    /// It leaves by this interface, whatever the routes say.
    Interface(InterfaceName),
    /// It has this source, which is an address of the host, and takes the way of packets from there: rules, routes and
    /// source NAT, as a packet that is passed on.
    Address(Ipv4Addr),
}

/// What may pass a link whatever the packet filter says, or whether there is one: a filter of the link's own, which holds
/// no state (classic BPF at `clsact` on Linux). It is coarser than the packet filter, and takes over where that one is gone.
///
/// * Out: only what has one of the sources.
/// * In: only what is for one of the destinations, and begins nothing: no TCP segment that opens a connection (SYN without
///   ACK), UDP to [`Self::LOWEST_UDP_PORT`] and above, of ICMP and `ICMPv6` answers and errors. Of other protocols ESP and
///   GRE. Fragments behind the first one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkGuard {
    /// Sources of what may leave; with none nothing leaves.
    pub sources: BTreeSet<IpAddr>,
    /// Destinations of what may come in; with none nothing comes in.
    pub destinations: BTreeSet<IpAddr>,
}

impl LinkGuard {
    /// The lowest port that UDP may come in to: where the ports begin that Linux takes for sockets that name none
    /// (`ip_local_port_range`).
    pub const LOWEST_UDP_PORT: u16 = 32_768;
}

/// Links, addresses, routes and rules (rtnetlink on Linux).
///
/// Strict: adding what is there and removing what is not are errors.
pub trait Network: Send + Sync {
    /// All links.
    fn links(&self) -> Result<Vec<Link>>;
    /// One link by name.
    fn link(&self, name: &InterfaceName) -> Result<Option<Link>>;
    /// Changes a link.
    fn set_link(&self, name: &InterfaceName, change: &LinkChange) -> Result<()>;
    /// Deletes a link; its addresses and routes go with it.
    fn delete_link(&self, name: &InterfaceName) -> Result<()>;
    /// Whether exactly this guard is on a link. [`Absent`](crate::HostError::Absent) without the link.
    fn has_guard(&self, name: &InterfaceName, guard: &LinkGuard) -> Result<bool>;
    /// Puts this guard on a link, in the place of the one that is there; it goes with the link.
    /// [`Unsupported`](crate::HostError::Unsupported) on a kernel without `sch_ingress` or `cls_bpf`.
    fn set_guard(&self, name: &InterfaceName, guard: &LinkGuard) -> Result<()>;
    /// All addresses with the interface they are on. IPv6 link-local ones are left out.
    fn addresses(&self) -> Result<Vec<(String, IpNetwork)>>;
    /// Adds an address; the kernel makes the route of its network.
    fn add_address(&self, name: &InterfaceName, address: IpNetwork) -> Result<()>;
    /// Removes an address with this prefix length, whatever the far end that it may have (`ip address add … peer`).
    fn remove_address(&self, name: &InterfaceName, address: IpNetwork) -> Result<()>;
    /// All routes of one table, both families. Cached, local and multicast entries are left out.
    fn routes(&self, table: u32) -> Result<Vec<Route>>;
    /// Adds a route.
    fn add_route(&self, route: &Route) -> Result<()>;
    /// Puts a route in the place of the one that the kernel takes for the same
    /// ([`Route::takes_the_place_of`]), in one step.
    fn replace_route(&self, route: &Route) -> Result<()>;
    /// Removes exactly this route.
    fn remove_route(&self, route: &Route) -> Result<()>;
    /// All rules, both families.
    fn rules(&self) -> Result<Vec<PolicyRule>>;
    /// Adds a rule.
    fn add_rule(&self, rule: &PolicyRule) -> Result<()>;
    /// Removes exactly this rule.
    fn remove_rule(&self, rule: &PolicyRule) -> Result<()>;
    /// The interface of the IPv4 default route (lowest metric of the main table), or of that of IPv6 where there is none of IPv4;
    /// `None` without either.
    fn uplink(&self) -> Result<Option<Uplink>>;
    /// The interface that such a packet would leave by, by all rules and tables; `None` when it would be dropped. The
    /// packet filter is not asked, and nothing is sent. [`Absent`](crate::HostError::Absent) without the interface
    /// that it comes in by.
    fn route_for(&self, packet: &ForwardedPacket) -> Result<Option<String>>;
    /// The route of a packet of the host's own to this address, by all rules and tables (`RTM_GETROUTE`); `None` when the
    /// kernel would not send it. With a source, which has to be an address of the host, it is asked as for an answer from
    /// there. The packet filter is not asked, and nothing is sent.
    fn own_route(&self, from: Option<Ipv4Addr>, to: Ipv4Addr) -> Result<Option<OwnRoute>>;
    /// The ways to the Internet as the kernel would choose them now, for IPv4 and IPv6, in the words of
    /// [`way_out`](phantom_types::watch::way_out); none for a family that has none. It costs no list of routes.
    fn ways_out(&self) -> Result<Vec<String>>;
    /// Sends `count` ICMP echo requests, and says whether one of them was answered within `wait`. One that cannot be
    /// sent is not answered. [`Absent`](crate::HostError::Absent) without the interface or the address.
    fn echo(&self, from: &PingSource, to: Ipv4Addr, count: u16, wait: Duration) -> Result<bool>;
}
