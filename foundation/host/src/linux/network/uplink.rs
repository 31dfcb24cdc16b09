//! Which interface leads to the Internet, and by which addresses this host is known there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use netlink_packet_route::address::AddressFlags;

use super::addresses::Address;
use crate::{Route, RouteKind};

/// The main routing table (`RT_TABLE_MAIN`).
pub(super) const MAIN_TABLE: u32 = 254;

/// Interface and preferred source of the IPv4 default route with the lowest metric; the first of equal ones.
pub(super) fn default_route(routes: &[Route]) -> Option<(String, Option<Ipv4Addr>)> {
    let defaults =
        routes.iter().filter(|route| route.destination.is_ipv4() && route.destination.prefix() == 0);
    let by_interface = defaults.filter_map(|route| match &route.kind {
        RouteKind::Via { interface, .. } => Some((route, interface)),
        RouteKind::Unreachable | RouteKind::Blackhole => None,
    });
    by_interface.min_by_key(|(route, _)| route.metric).map(|(route, interface)| {
        let source = match route.source {
            Some(IpAddr::V4(source)) => Some(source),
            _ => None,
        };
        (interface.clone(), source)
    })
}

/// Interface of the IPv6 default route with the lowest metric; the first of equal ones.
pub(super) fn default_route6(routes: &[Route]) -> Option<String> {
    let defaults =
        routes.iter().filter(|route| route.destination.is_ipv6() && route.destination.prefix() == 0);
    let by_interface = defaults.filter_map(|route| match &route.kind {
        RouteKind::Via { interface, .. } => Some((route, interface)),
        RouteKind::Unreachable | RouteKind::Blackhole => None,
    });
    by_interface.min_by_key(|(route, _)| route.metric).map(|(_, interface)| interface.clone())
}

/// The first IPv4 address that reaches beyond the link.
pub(super) fn first_ipv4<'a>(mut addresses: impl Iterator<Item = &'a Address>) -> Option<Ipv4Addr> {
    addresses.find_map(|address| match address.network {
        IpNetwork::V4(network) if address.universal => Some(network.ip()),
        _ => None,
    })
}

/// Prefix length of an address.
pub(super) fn prefix<'a>(mut addresses: impl Iterator<Item = &'a Address>, ip: IpAddr) -> Option<u8> {
    addresses.find(|address| address.network.ip() == ip).map(|address| address.network.prefix())
}

/// The IPv6 address under which others on the Internet reach this host for long: global unicast (not a unique local
/// one), neither temporary nor deprecated nor found to be a duplicate; one that was set for good before one that
/// expires.
pub(super) fn global_ipv6<'a>(addresses: impl Iterator<Item = &'a Address>) -> Option<Ipv6Addr> {
    // `IFA_F_SECONDARY` of an IPv6 address is `IFA_F_TEMPORARY`.
    let unfit = AddressFlags::Secondary | AddressFlags::Deprecated | AddressFlags::Dadfailed;
    addresses
        .filter(|address| address.universal && !address.flags.intersects(unfit))
        .filter_map(|address| match address.network {
            IpNetwork::V6(network) if is_global(network.ip()) => Some((address, network.ip())),
            _ => None,
        })
        .min_by_key(|(address, _)| !address.flags.contains(AddressFlags::Permanent))
        .map(|(_, ip)| ip)
}

/// In `2000::/3`, the global unicast space (RFC 4291, IANA's registry).
fn is_global(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xe000 == 0x2000
}
