//! Which networks an address counts for.

use std::net::IpAddr;

/// A network: /24 of IPv4, /56 or /48 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Network(u64);

/// The networks of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Networks {
    /// What one subscriber has: /24 or /56.
    pub(super) subscriber: Network,
    /// What a site has, /48; of IPv4 the same /24.
    pub(super) site: Network,
}

/// Marks of the two lengths of IPv6: an address's first 56 bits leave eight free.
const SUBSCRIBER: u64 = 1 << 63;
const SITE: u64 = 1 << 62;

impl Networks {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let network = Network(u64::from(u32::from(address) >> 8));
                Self { subscriber: network, site: network }
            }
            IpAddr::V6(address) => {
                let first =
                    |bits: u32| u64::try_from(u128::from(address) >> (128 - bits)).unwrap_or(u64::MAX);
                Self { subscriber: Network(first(56) | SUBSCRIBER), site: Network(first(48) | SITE) }
            }
        }
    }

    /// Each network that it counts for, with how many times a subscriber's share that one has.
    pub(super) fn with_shares(self, site_share: u32) -> impl Iterator<Item = (Network, u32)> {
        let site = (self.site != self.subscriber).then_some((self.site, site_share));
        std::iter::once((self.subscriber, 1)).chain(site)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn networks(text: &str) -> Networks {
        Networks::of(text.parse().unwrap())
    }

    #[test]
    fn a_network_is_what_one_subscriber_has() {
        assert_eq!(networks("198.51.100.1"), networks("198.51.100.254"));
        assert_eq!(networks("198.51.100.1"), networks("::ffff:198.51.100.9"));
        assert_ne!(networks("198.51.100.1"), networks("198.51.101.1"));
        assert_eq!(networks("2001:db8:1:200::1"), networks("2001:db8:1:2ff:ffff::1"));
        let (one, other) = (networks("2001:db8:1:200::1"), networks("2001:db8:1:300::1"));
        assert_ne!(one.subscriber, other.subscriber);
        assert_eq!(one.site, other.site);
        assert_ne!(one.site, networks("2001:db8:2:200::1").site);
        assert_ne!(networks("::1").subscriber, networks("0.0.0.1").subscriber);
    }

    #[test]
    fn an_address_of_ipv4_counts_once() {
        assert_eq!(networks("192.0.2.1").with_shares(4).count(), 1);
        let shares: Vec<u32> = networks("2001:db8::1").with_shares(4).map(|(_, share)| share).collect();
        assert_eq!(shares, [1, 4]);
    }

    proptest! {
        #[test]
        fn addresses_of_ipv6_share_a_network_if_they_share_its_bits(a: u128, b: u128, same in 0..=128_u32) {
            // Not the addresses of IPv4 that are written as IPv6.
            let a = a | 1 << 127;
            let b = if same == 0 { b | 1 << 127 } else { (a ^ b >> 1 >> (same - 1)) | 1 << 127 };
            let of = |bits: u128| Networks::of(Ipv6Addr::from(bits).into());
            prop_assert_eq!(of(a).subscriber == of(b).subscriber, a >> 72 == b >> 72);
            prop_assert_eq!(of(a).site == of(b).site, a >> 80 == b >> 80);
            prop_assert!(of(a).site != of(b).subscriber);
        }

        #[test]
        fn addresses_of_ipv4_share_a_network_if_they_share_24_bits(a: u32, b: u32, same in 0..=32_u32) {
            let b = if same == 0 { b } else { a ^ (b >> 1 >> (same - 1)) };
            let of = |bits: u32| Networks::of(Ipv4Addr::from(bits).into());
            prop_assert_eq!(of(a) == of(b), a >> 8 == b >> 8);
            prop_assert_eq!(of(a).site, of(a).subscriber);
            prop_assert!(of(a).site != Networks::of(Ipv6Addr::from(u128::from(b)).into()).site);
        }
    }
}
