//! Whether an exit collides with the server that it is for.
//!
//! What is in an exit's file comes from outside, and what has the right form can still be the server's own. An address that
//! is put on an interface is this host's from then on: with that of the gateway, of a resolver or of the server itself the
//! server is off the net. [`collisions`] is pure, and the one place where this is judged: at the import, when an exit is
//! enabled, when the host is brought to the stored state, and before another exit takes the place of a dead one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnetwork::IpNetwork;
use phantom_engine::Installation;
use phantom_host::HostAddresses;
use phantom_store::{DnsServers, Server, State, StoreError};
use phantom_types::{Endpoint, HostName, InterfaceName, Subnet};

use crate::MultihopError;
use crate::desired::leads_to_exit;
use crate::model::Exit;
use crate::rows::MultihopState as _;

mod words;

pub(crate) use words::{lines, sentences, withheld};

/// Something that an exit has and that is the server's own, or of no use to anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitCollision {
    /// An address that no single host on the Internet or on a link can have: 0.0.0.0/8, loopback, multicast, 240.0.0.0/4 with
    /// the broadcast address (RFC 1122, section 3.2.1.3; RFC 1112, section 4).
    NotUnicast(Ipv4Addr),
    /// An address in the subnet of the server and its clients.
    OwnSubnet(Ipv4Addr, Subnet),
    /// An address of this host on another interface.
    HostAddress(Ipv4Addr, String),
    /// The address that clients connect to, which a router in front of this host may have.
    ServerAddress(Ipv4Addr),
    /// The broadcast address of a network that this host is part of, by this interface.
    Broadcast(Ipv4Addr, String),
    /// A next hop of a route of this host, by this interface.
    Gateway(Ipv4Addr, String),
    /// A host that this host has a route to that is for it alone, by this interface.
    RoutedHost(Ipv4Addr, String),
    /// A resolver of this host.
    Resolver(Ipv4Addr),
    /// A DNS server of the clients.
    ClientDns(Ipv4Addr),
    /// The address of the exit's own end point.
    EndpointAddress(Ipv4Addr),
    /// An end point that no single host can have.
    EndpointNotUnicast(Endpoint),
    /// The WireGuard port of this server.
    OwnPort(Endpoint),
    /// The exit's public key is the server's.
    ServerKey,
    /// The private key for the exit is the server's.
    ServerPrivateKey,
    /// The exit's public key is zero or another point of low order.
    WeakKey,
    /// The private key for the exit is zero.
    ZeroPrivateKey,
}

/// Where an exit may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// The address that is tried first.
    pub(crate) best: SocketAddr,
    /// The others, in the order in which they are tried.
    pub(crate) others: Vec<SocketAddr>,
}

impl Places {
    /// This one alone.
    pub(crate) const fn only(at: SocketAddr) -> Self {
        Self { best: at, others: Vec::new() }
    }
    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = SocketAddr> + Clone + '_ {
        std::iter::once(self.best).chain(self.others.iter().copied())
    }
    /// The one that is tried behind this one; behind the last, and behind one that is none of them, the first.
    pub(crate) fn behind(&self, at: SocketAddr) -> SocketAddr {
        self.all().skip_while(|one| *one != at).nth(1).unwrap_or(self.best)
    }
}

/// What an exit is held against.
pub(crate) struct Facts<'a> {
    /// The server.
    pub(crate) server: &'a Server,
    /// The interface that leads to the exit. What is on it, and on the one by which an exit is tried beside it, is the
    /// exit's own.
    pub(crate) interface: &'a InterfaceName,
    /// The DNS servers of the clients.
    pub(crate) dns: DnsServers,
    /// The addresses that have a meaning on the host.
    pub(crate) host: &'a HostAddresses,
}

/// What of an exit collides, at most one thing of each of its addresses. `at` is where its end point is, if that is known.
/// Prefix lengths of its addresses do not count, since each is put on alone.
pub(crate) fn collisions(exit: &Exit, at: Option<SocketAddr>, facts: &Facts<'_>) -> Vec<ExitCollision> {
    let at = at.or_else(|| exit.endpoint.socket_addr());
    let at = at.map(|at| SocketAddr::new(at.ip().to_canonical(), at.port()));
    let mut found = Vec::new();
    for network in &exit.addresses {
        let collision = of_address(network.ip(), at, facts);
        found.extend(collision.filter(|collision| !found.contains(collision)));
    }
    found.extend(of_endpoint(&exit.endpoint, at, facts));
    found.extend(of_keys(exit, facts.server));
    found
}

/// The same of an exit that is stored or is to be, by what the server stores and the host says now.
pub(crate) fn judge(
    installation: &Installation,
    state: &State<'_>,
    exit: &Exit,
    at: Option<SocketAddr>,
) -> Result<Vec<ExitCollision>, StoreError> {
    let (Some(server), Some(interface)) = (state.server()?, state.exit_interface()?) else {
        return Ok(Vec::new());
    };
    let facts = Facts {
        server: &server,
        interface: &interface,
        dns: state.dns()?,
        host: installation.host_addresses(),
    };
    Ok(collisions(exit, at, &facts))
}

/// Where the end point of an exit is to be sought: those of these addresses that collide with nothing, each once and in their
/// order. There is at least one.
pub(crate) fn choose(
    installation: &Installation,
    state: &State<'_>,
    exit: &Exit,
    all: impl IntoIterator<Item = SocketAddr>,
) -> Result<Places, MultihopError> {
    let (mut fit, mut first) = (Vec::new(), None);
    for at in all {
        let found = judge(installation, state, exit, Some(at))?;
        if !found.is_empty() {
            first.get_or_insert(found);
        } else if !fit.contains(&at) {
            fit.push(at);
        }
    }
    let mut fit = fit.into_iter();
    match fit.next() {
        Some(best) => Ok(Places { best, others: fit.collect() }),
        None => {
            Err(MultihopError::Collides { exit: exit.name.clone(), collisions: first.unwrap_or_default() })
        }
    }
}

/// Whether an address is this server's own, with those that exits give it, or in the VPN: nothing that is sent there goes
/// through an exit.
pub(crate) fn is_near(
    installation: &Installation,
    state: &State<'_>,
    address: Ipv4Addr,
) -> Result<bool, StoreError> {
    let (Some(server), Some(interface)) = (state.server()?, state.exit_interface()?) else {
        return Ok(false);
    };
    let facts = Facts {
        server: &server,
        interface: &interface,
        dns: state.dns()?,
        host: installation.host_addresses(),
    };
    let of_exits = state.exit_addresses()?;
    let of_exit = of_exits.iter().flat_map(|(_, own)| own).any(|own| own.ip() == address);
    Ok(of_exit || server.subnet.contains(address) || facts.is_own(address.into()))
}

fn of_address(address: Ipv4Addr, at: Option<SocketAddr>, facts: &Facts<'_>) -> Option<ExitCollision> {
    let Facts { server, host, .. } = facts;
    let ip = IpAddr::V4(address);
    let by = |(_, found): &&(String, IpAddr)| *found == ip;
    if !is_unicast(address) {
        return Some(ExitCollision::NotUnicast(address));
    }
    if server.subnet.contains(address) {
        return Some(ExitCollision::OwnSubnet(address, server.subnet));
    }
    let mut others = host.own.iter().filter(|(name, _)| !leads_to_exit(facts.interface, name));
    if let Some((name, _)) = others.clone().find(|(_, network)| network.ip() == ip) {
        return Some(ExitCollision::HostAddress(address, name.clone()));
    }
    if server.server_ip == Some(address) || server.endpoint.as_ref().and_then(HostName::ip) == Some(ip) {
        return Some(ExitCollision::ServerAddress(address));
    }
    if let Some((name, _)) = others.find(|(_, network)| is_broadcast_of(address, *network)) {
        return Some(ExitCollision::Broadcast(address, name.clone()));
    }
    if let Some((name, _)) = host.gateways.iter().find(by) {
        return Some(ExitCollision::Gateway(address, name.clone()));
    }
    if let Some((name, _)) =
        host.routed_hosts.iter().filter(|(name, _)| !leads_to_exit(facts.interface, name)).find(by)
    {
        return Some(ExitCollision::RoutedHost(address, name.clone()));
    }
    if host.resolvers.contains(&ip) {
        return Some(ExitCollision::Resolver(address));
    }
    if [facts.dns.primary, facts.dns.secondary].contains(&ip) {
        return Some(ExitCollision::ClientDns(address));
    }
    at.is_some_and(|at| at.ip() == ip).then_some(ExitCollision::EndpointAddress(address))
}

fn of_endpoint(endpoint: &Endpoint, at: Option<SocketAddr>, facts: &Facts<'_>) -> Option<ExitCollision> {
    let server = facts.server;
    if at.is_some_and(|at| !is_unicast_endpoint(at.ip())) {
        return Some(ExitCollision::EndpointNotUnicast(endpoint.clone()));
    }
    let named = endpoint.port == server.port && server.endpoint.as_ref() == Some(&endpoint.host);
    let own = |at: SocketAddr| at.port() == server.port && facts.is_own(at.ip());
    (named || at.is_some_and(own)).then(|| ExitCollision::OwnPort(endpoint.clone()))
}

fn of_keys(exit: &Exit, server: &Server) -> impl Iterator<Item = ExitCollision> {
    let zero = exit.private_key.is_zero();
    let private =
        || exit.private_key == server.private_key || exit.private_key.public_key() == server.public_key;
    [
        (exit.public_key == server.public_key, ExitCollision::ServerKey),
        (exit.public_key.is_low_order(), ExitCollision::WeakKey),
        (zero, ExitCollision::ZeroPrivateKey),
        (!zero && private(), ExitCollision::ServerPrivateKey),
    ]
    .into_iter()
    .filter_map(|(found, collision)| found.then_some(collision))
}

impl Facts<'_> {
    /// Whether this server is reached there, from itself or from the Internet.
    fn is_own(&self, address: IpAddr) -> bool {
        let server = self.server;
        let stored = [
            server.server_ip.map(IpAddr::V4),
            Some(IpAddr::V4(server.subnet.server())),
            server.ipv6.map(IpAddr::V6),
            server.endpoint.as_ref().and_then(HostName::ip),
        ];
        address.is_loopback()
            || stored.contains(&Some(address))
            || self.host.own.iter().any(|(_, network)| network.ip() == address)
    }
}

/// Whether one host can have this address. Private, shared, link-local and documentation ranges are as good as any.
pub(crate) fn is_unicast(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first < 240 && !address.is_loopback() && !address.is_multicast()
}

/// The same of an end point, which may be on this host: behind another tunnel.
fn is_unicast_endpoint(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || is_unicast(address),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast(),
    }
}

/// Whether packets to this address go to everybody in a network. Networks of one or two addresses have none (RFC 3021).
fn is_broadcast_of(address: Ipv4Addr, network: IpNetwork) -> bool {
    matches!(network, IpNetwork::V4(network) if network.prefix() < 31 && network.broadcast() == address)
}

#[cfg(test)]
mod tests;
