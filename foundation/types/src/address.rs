//! What an address can be used for.

use std::net::Ipv4Addr;

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
    fn public_addresses_are_none_of_the_special_ranges() {
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
