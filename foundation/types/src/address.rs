//! What an address can be used for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address of either family can be reached from the Internet; see [`is_public`] and [`is_public6`].
pub fn is_on_internet(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public(address),
        IpAddr::V6(address) => is_public6(address),
    }
}

/// Whether an IPv6 address can be reached from the Internet: one of `2000::/3`, where all global unicast addresses are (RFC 4291,
/// section 2.4, and the IANA's registry), and none of the special ranges there (RFC 6890): documentation, protocol assignments,
/// 6to4 and Teredo.
pub fn is_public6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000); // RFC 3849, RFC 9637
    let protocol = a == 0x2001 && b < 0x0200; // RFC 2928
    let six_to_four = a == 0x2002; // RFC 7526
    (a & 0xe000) == 0x2000 && !(documentation || protocol || six_to_four)
}

/// Whether an address can be reached from the Internet: none of the special ranges of RFC 6890.
pub fn is_public(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b); // RFC 6598
    let benchmark = a == 198 && (b & 0xfe) == 18; // RFC 2544
    let protocol = a == 192 && b == 0 && c == 0;
    let reserved = a == 0 || a >= 240;
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || shared
        || benchmark
        || protocol
        || reserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_of_ipv6_are_global_unicast() {
        for text in [
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:c000:201::1",
            "3fff:1::1",
        ] {
            assert!(!is_on_internet(text.parse().unwrap()), "{text}");
        }
        for text in ["2a01:4f8::1", "2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "8.8.8.8"] {
            assert!(is_on_internet(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_addresses_exclude_special_ranges() {
        for text in [
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.1.1",
            "172.31.0.1",
            "192.0.2.1",
            "198.19.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "0.1.2.3",
            "255.255.255.255",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["100.63.0.1", "100.128.0.1", "157.230.114.231", "172.32.0.1", "198.20.0.1", "8.8.8.8"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
