//! In which order the addresses of a name are tried: RFC 6724 sorts them, RFC 8305 mixes the two families.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// More addresses of one name are not tried: an answer may have thousands, and each costs a socket here and time where it is tried.
const MOST: usize = 16;
/// A port for a socket that sends nothing.
const ANY: u16 = 53;
/// Scopes of unicast addresses (RFC 6724, section 3.1).
const LINK_LOCAL: u8 = 2;
const SITE_LOCAL: u8 = 5;
const GLOBAL: u8 = 14;

/// Networks with their precedence and their label (RFC 6724, section 2.1), the longest prefix first.
const POLICY: [(Ipv6Addr, u32, u8, u8); 9] = [
    (Ipv6Addr::LOCALHOST, 128, 50, 0),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 35, 4),
    (Ipv6Addr::UNSPECIFIED, 96, 1, 3),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 5, 5),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 30, 2),
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, 1, 12),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, 1, 11),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, 3, 13),
    (Ipv6Addr::UNSPECIFIED, 0, 40, 1),
];

/// Each address once and at most [`MOST`] of them, of both families, in the order in which they are to be tried. Those that the host
/// has no way to are the last.
pub(super) fn in_order(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    sorted(addresses, source)
}

/// The address from which the kernel would send there. Connecting a UDP socket sends nothing.
fn source(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((to, ANY)).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

fn sorted(addresses: Vec<IpAddr>, source: impl Fn(IpAddr) -> Option<IpAddr>) -> Vec<IpAddr> {
    let mut known = BTreeSet::new();
    let mut few = mixed(addresses.into_iter().filter(|address| known.insert(*address)).collect());
    few.truncate(MOST);
    let mut list: Vec<_> = few.into_iter().map(|address| (address, source(address))).collect();
    // Equals keep the order in which the server gave them.
    list.sort_by_key(|(to, from)| rank(*to, *from));
    let (reached, others): (Vec<_>, Vec<_>) = list.into_iter().partition(|(_, from)| from.is_some());
    let addresses = |list: Vec<(IpAddr, Option<IpAddr>)>| list.into_iter().map(|(to, _)| to);
    mixed(addresses(reached).collect()).into_iter().chain(addresses(others)).collect()
}

/// The families by turns, beginning with that of the first address (RFC 8305, section 4).
fn mixed(list: Vec<IpAddr>) -> Vec<IpAddr> {
    let Some(first) = list.first().map(IpAddr::is_ipv4) else { return list };
    let (one, other): (Vec<_>, Vec<_>) = list.into_iter().partition(|address| address.is_ipv4() == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = [one.next(), other.next()];
        if pair == [None, None] {
            return all;
        }
        all.extend(pair.into_iter().flatten());
    }
}

/// What is sorted by (RFC 6724, section 6): rules 1, 2, 5, 6 and 8.
fn rank(to: IpAddr, from: Option<IpAddr>) -> (bool, bool, bool, Reverse<u8>, u8) {
    let (precedence, label) = policy(to);
    let other_scope = from.is_none_or(|from| scope(from) != scope(to));
    let other_label = from.is_none_or(|from| policy(from).1 != label);
    (from.is_none(), other_scope, other_label, Reverse(precedence), scope(to))
}

fn policy(address: IpAddr) -> (u8, u8) {
    let bits = match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits(),
    };
    let within = |network: &Ipv6Addr, length: u32| {
        length == 0 || (bits ^ network.to_bits()).checked_shr(128 - length) == Some(0)
    };
    let found = POLICY.iter().find(|(network, length, ..)| within(network, *length));
    found.map_or((0, 0), |(.., precedence, label)| (*precedence, *label))
}

fn scope(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(four) if four.is_loopback() || four.is_link_local() => LINK_LOCAL,
        IpAddr::V6(six) if six.is_loopback() || six.is_unicast_link_local() => LINK_LOCAL,
        IpAddr::V6(six) if six.segments()[0] & 0xffc0 == 0xfec0 => SITE_LOCAL,
        _ => GLOBAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of these, on a host that reaches them from these addresses.
    fn order(all: &[&str], own: &[&str]) -> Vec<String> {
        let own: Vec<IpAddr> = own.iter().map(|own| own.parse().unwrap()).collect();
        let source = |to: IpAddr| own.iter().find(|own| own.is_ipv4() == to.is_ipv4()).copied();
        let all = all.iter().map(|address| address.parse().unwrap()).collect();
        sorted(all, source).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn families_alternate_and_ipv6_comes_first() {
        let all =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2", "2001:db8::1", "192.0.2.1"];
        let both = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"];
        assert_eq!(order(&all, &["198.51.100.1", "2001:db8:1::1"]), both);
        let four = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"];
        assert_eq!(order(&all, &["198.51.100.1"]), four, "without IPv6 it is tried last");
        let six = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.0.2.3"];
        assert_eq!(order(&all, &["2001:db8:1::1"]), six);
        assert_eq!(order(&all, &[]), ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        assert_eq!(order(&[], &[]), [] as [&str; 0]);
    }

    #[test]
    fn only_few_of_many_addresses_are_tried() {
        let four = (0..20_000).map(|number| IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + number)));
        let six = (0..5).map(|number| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) + number)));
        let asked = std::cell::Cell::new(0);
        let source = |_| {
            asked.set(asked.get() + 1);
            None
        };
        let found = sorted(four.clone().chain(four).chain(six).collect(), source);
        assert_eq!((found.len(), asked.get()), (MOST, MOST));
        assert_eq!(
            found.iter().filter(|address| address.is_ipv6()).count(),
            5,
            "the other family has its share"
        );
    }

    #[test]
    fn useless_ipv6_comes_after_ipv4() {
        let all = ["2001:db8::1", "192.0.2.1"];
        let four = ["192.0.2.1", "2001:db8::1"];
        assert_eq!(order(&all, &["10.0.0.1", "fd00::1"]), four, "unique local to global");
        assert_eq!(order(&all, &["10.0.0.1", "fe80::1"]), four, "link-local to global");
        assert_eq!(order(&all, &["10.0.0.1", "2001:0:1::1"]), four, "Teredo");
        assert_eq!(order(&["fd00::2", "192.0.2.1"], &["10.0.0.1", "fd00::1"]), ["192.0.2.1", "fd00::2"]);
    }

    #[test]
    fn the_longest_prefix_of_the_policy_counts() {
        for (address, expected) in [
            ("::1", (50, 0)),
            ("192.0.2.1", (35, 4)),
            ("::ffff:192.0.2.1", (35, 4)),
            ("::192.0.2.1", (1, 3)),
            ("2001:db8::1", (40, 1)),
            ("2001::1", (5, 5)),
            ("2002:c000::1", (30, 2)),
            ("fd00::1", (3, 13)),
            ("fec0::1", (1, 11)),
        ] {
            assert_eq!(policy(address.parse().unwrap()), expected, "{address}");
        }
    }
}
