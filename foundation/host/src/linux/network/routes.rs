//! Routes: `RTM_*ROUTE` messages (`linux/rtnetlink.h`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
    RouteType, RouteVia,
};

use super::addresses::family;
use crate::{ForwardedPacket, HostError, Result, Route, RouteKind};

/// All routes of a table. Kernels without strict checking send those of the other tables too.
pub(super) fn of_table(table: u32, ipv6: bool) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    put_table(&mut message, table);
    message
}

/// The question by which way `destination` is reached from this interface.
pub(super) fn lookup(destination: Ipv4Addr, interface: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = 32;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(destination)));
    message.attributes.push(RouteAttribute::Oif(interface));
    message
}

/// The question by which way such a packet leaves that came in by the interface of this index.
pub(super) fn passing(packet: &ForwardedPacket, index: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = 32;
    message.header.source_prefix_length = 32;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(packet.to)));
    message.attributes.push(RouteAttribute::Source(RouteAddress::Inet(packet.from)));
    message.attributes.push(RouteAttribute::Iif(index));
    message
}

/// The index of the interface in the answer to [`passing`] and [`out`]; none when it is no way out.
pub(super) fn out_interface(message: &RouteMessage) -> Option<u32> {
    let unicast = message.header.kind == RouteType::Unicast;
    hops(message).first().map(|(index, _)| *index).filter(|_| unicast)
}

/// The question by which route a packet of the host's own goes.
pub(super) fn own(from: Option<Ipv4Addr>, to: Ipv4Addr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = 32;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(to)));
    if let Some(from) = from {
        message.header.source_prefix_length = 32;
        message.attributes.push(RouteAttribute::Source(RouteAddress::Inet(from)));
    }
    message
}

/// The question by which way packets of the host's own go to an address of either family.
pub(super) fn out(to: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (family, length, to) = match to {
        IpAddr::V4(to) => (AddressFamily::Inet, 32, RouteAddress::Inet(to)),
        IpAddr::V6(to) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(to)),
    };
    message.header.address_family = family;
    message.header.destination_prefix_length = length;
    message.attributes.push(RouteAttribute::Destination(to));
    message
}

/// Index of the interface and next hop in the answer to [`own`]; none when such a packet is not sent to one host.
pub(super) fn own_hop(message: &RouteMessage) -> Option<(u32, Option<IpAddr>)> {
    let sent = matches!(message.header.kind, RouteType::Unicast | RouteType::Local);
    hops(message).into_iter().next().filter(|_| sent)
}

/// The source address in the answer to [`lookup`], [`own`] and [`out`]; of IPv4.
pub(super) fn source(message: &RouteMessage) -> Option<Ipv4Addr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::PrefSource(RouteAddress::Inet(ip)) => Some(*ip),
        _ => None,
    })
}

/// The interface of a route.
pub(super) fn interface(route: &Route) -> Option<&str> {
    match &route.kind {
        RouteKind::Via { interface, .. } => Some(interface),
        RouteKind::Unreachable | RouteKind::Blackhole => None,
    }
}

/// Refuses what the kernel would silently make something else of: it turns metric 0 of an IPv6 route into 1024
/// (`IP6_RT_PRIO_USER`), so that the route would never be found again as it was asked for.
pub(super) fn check(route: &Route) -> Result<()> {
    if route.destination.is_ipv6() && route.metric == 0 {
        return Err(HostError::Unsupported { what: format!("have {route}: IPv6 has no metric 0") });
    }
    Ok(())
}

/// The message that adds or removes this route; `interface` is the index of its interface.
pub(super) fn message(route: &Route, interface: Option<u32>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.destination.ip());
    message.header.destination_prefix_length = route.destination.prefix();
    message.header.protocol = RouteProtocol::from(route.protocol);
    put_table(&mut message, route.table);
    if route.destination.prefix() > 0 {
        message.attributes.push(RouteAttribute::Destination(route.destination.network().into()));
    }
    if route.metric > 0 {
        message.attributes.push(RouteAttribute::Priority(route.metric));
    }
    if let Some(source) = route.source {
        message.attributes.push(RouteAttribute::PrefSource(source.into()));
    }
    match &route.kind {
        RouteKind::Unreachable => message.header.kind = RouteType::Unreachable,
        RouteKind::Blackhole => message.header.kind = RouteType::BlackHole,
        RouteKind::Via { gateway, .. } => {
            message.header.kind = RouteType::Unicast;
            if let Some(index) = interface {
                message.attributes.push(RouteAttribute::Oif(index));
            }
            match gateway {
                None if route.destination.is_ipv4() => message.header.scope = RouteScope::Link,
                None => {}
                Some(gateway) if gateway.is_ipv4() == route.destination.is_ipv4() => {
                    message.attributes.push(RouteAttribute::Gateway((*gateway).into()));
                }
                // RFC 5549: an IPv4 route by an IPv6 next hop.
                Some(gateway) => message.attributes.push(RouteAttribute::Via((*gateway).into())),
            }
        }
    }
    message
}

fn put_table(message: &mut RouteMessage, table: u32) {
    message.header.table = u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
    message.attributes.push(RouteAttribute::Table(table));
}

/// The routes that a message tells of: none for entries that are not configuration (cached, local, multicast ...) or
/// of the other family, one for each next hop of a multipath route. `names` gives the name of an interface, `None`
/// when it is gone and its routes with it.
pub(super) fn read(
    message: &RouteMessage,
    ipv6: bool,
    names: &mut dyn FnMut(u32) -> Result<Option<String>>,
) -> Result<Vec<Route>> {
    let expected = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    if message.header.address_family != expected || message.header.flags.contains(RouteFlags::Cloned) {
        return Ok(Vec::new());
    }
    let Some(plain) = read_plain(message, ipv6) else { return Ok(Vec::new()) };
    let kind = match message.header.kind {
        RouteType::Unreachable => return Ok(vec![Route { kind: RouteKind::Unreachable, ..plain }]),
        RouteType::BlackHole => return Ok(vec![Route { kind: RouteKind::Blackhole, ..plain }]),
        RouteType::Unicast => |interface, gateway| RouteKind::Via { interface, gateway },
        _ => return Ok(Vec::new()),
    };
    let mut routes = Vec::new();
    for (index, gateway) in hops(message) {
        if let Some(interface) = names(index)? {
            routes.push(Route { kind: kind(interface, gateway), ..plain.clone() });
        }
    }
    Ok(routes)
}

/// Everything but where the route leads.
fn read_plain(message: &RouteMessage, ipv6: bool) -> Option<Route> {
    let nowhere = if ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let (mut destination, mut source) = (nowhere, None);
    let (mut table, mut metric) = (u32::from(message.header.table), 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address)?,
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            _ => {}
        }
    }
    let destination = IpNetwork::new(destination, message.header.destination_prefix_length).ok()?;
    let protocol = message.header.protocol.into();
    Some(Route { table, destination, metric, kind: RouteKind::Unreachable, source, protocol })
}

/// The next hops: interface and gateway.
fn hops(message: &RouteMessage) -> Vec<(u32, Option<IpAddr>)> {
    let single = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    let mut hops: Vec<_> = single.map(|index| (index, gateway(&message.attributes))).into_iter().collect();
    for attribute in &message.attributes {
        if let RouteAttribute::MultiPath(more) = attribute {
            hops.extend(more.iter().map(|hop| (hop.interface_index, gateway(&hop.attributes))));
        }
    }
    hops
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}
