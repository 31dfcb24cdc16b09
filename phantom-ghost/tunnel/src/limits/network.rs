//! Which networks an address counts for.

use std::net::IpAddr;

use super::turns::Path;

/// A network: /24 or /16 of IPv4, /56, /48 or /32 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Network(u64);

/// The networks of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Networks {
    /// What one subscriber has: /24 or /56.
    pub(super) subscriber: Network,
    /// What a site has, /48; of IPv4 the same /24.
    pub(super) site: Network,
    /// What one provider may have, and whoever has many sites has of it: /32; of IPv4 /16.
    pub(super) region: Network,
    /// Which host of the subscriber's it is: the address itself; of IPv6 its /64.
    host: u64,
}

/// Marks of the lengths: an address's first 56 bits leave eight free.
const SUBSCRIBER: u64 = 1 << 63;
const SITE: u64 = 1 << 62;
const REGION: u64 = 1 << 61;
const REGION_OF_IPV4: u64 = 1 << 60;

impl Networks {
    pub(super) fn containing(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let address = u64::from(u32::from(address));
                let network = Network(address >> 8);
                let region = Network(address >> 16 | REGION_OF_IPV4);
                Self { subscriber: network, site: network, region, host: address }
            }
            IpAddr::V6(address) => {
                let first =
                    |bits: u32| u64::try_from(u128::from(address) >> (128 - bits)).unwrap_or(u64::MAX);
                Self {
                    subscriber: Network(first(56) | SUBSCRIBER),
                    site: Network(first(48) | SITE),
                    region: Network(first(32) | REGION),
                    host: first(64),
                }
            }
        }
    }

    /// Each network that it counts for, with how many times a subscriber's share that one has.
    pub(super) fn with_shares(self, site_share: u32) -> impl Iterator<Item = (Network, u32)> {
        let site = (self.site != self.subscriber).then_some((self.site, site_share));
        std::iter::once((self.subscriber, 1)).chain(site)
    }

    /// Among whom a connection takes turns within one of its networks: hosts, and in a site first its subscribers.
    pub(super) fn path_in(self, network: Network) -> Path {
        if network == self.subscriber { [self.host, 0] } else { [self.subscriber.0, self.host] }
    }

    /// Among whom it takes turns where all networks do.
    pub(super) fn path(self) -> Path {
        [self.region.0, self.site.0]
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn networks(text: &str) -> Networks {
        Networks::containing(text.parse().unwrap())
    }

    #[test]
    fn a_network_is_what_one_subscriber_has() {
        let subscriber = |text: &str| networks(text).subscriber;
        assert_eq!(subscriber("198.51.100.1"), subscriber("198.51.100.254"));
        assert_eq!(networks("198.51.100.9"), networks("::ffff:198.51.100.9"));
        assert_ne!(subscriber("198.51.100.1"), subscriber("198.51.101.1"));
        assert_eq!(subscriber("2001:db8:1:200::1"), subscriber("2001:db8:1:2ff:ffff::1"));
        let (one, other) = (networks("2001:db8:1:200::1"), networks("2001:db8:1:300::1"));
        assert_ne!(one.subscriber, other.subscriber);
        assert_eq!(one.site, other.site);
        assert_ne!(one.site, networks("2001:db8:2:200::1").site);
        assert_ne!(networks("::1").subscriber, networks("0.0.0.1").subscriber);
    }

    #[test]
    fn a_region_is_what_one_provider_has() {
        let region = |text: &str| networks(text).region;
        assert_eq!(region("198.51.100.1"), region("198.51.0.1"));
        assert_ne!(region("198.51.100.1"), region("198.52.100.1"));
        assert_eq!(region("2001:db8:1::1"), region("2001:db8:ffff::1"));
        assert_ne!(region("2001:db8:1::1"), region("2001:db9:1::1"));
        assert_ne!(region("::198.51.0.1"), region("198.51.0.1"));
    }

    #[test]
    fn hosts_take_turns_in_a_network() {
        let [one, other] = ["2001:db8:1:201::1", "2001:db8:1:202::1"].map(networks);
        assert_eq!(one.subscriber, other.subscriber);
        assert_ne!(one.path_in(one.subscriber), other.path_in(other.subscriber));
        assert_eq!(one.path_in(one.site)[0], other.path_in(other.site)[0]);
        let [one, other] = ["198.51.100.1", "198.51.100.2"].map(networks);
        assert_ne!(one.path_in(one.subscriber), other.path_in(other.subscriber));
    }

    #[test]
    fn an_address_of_ipv4_counts_once() {
        assert_eq!(networks("192.0.2.1").with_shares(4).count(), 1);
        let shares: Vec<u32> = networks("2001:db8::1").with_shares(4).map(|(_, share)| share).collect();
        assert_eq!(shares, [1, 4]);
    }

    proptest! {
        #[test]
        fn ipv6_addresses_share_network_by_prefix(a: u128, b: u128, same in 0..=128_u32) {
            // Not the addresses of IPv4 that are written as IPv6.
            let a = a | 1 << 127;
            let b = if same == 0 { b | 1 << 127 } else { (a ^ b >> 1 >> (same - 1)) | 1 << 127 };
            let of = |bits: u128| Networks::containing(Ipv6Addr::from(bits).into());
            prop_assert_eq!(of(a).subscriber == of(b).subscriber, a >> 72 == b >> 72);
            prop_assert_eq!(of(a).site == of(b).site, a >> 80 == b >> 80);
            prop_assert_eq!(of(a).region == of(b).region, a >> 96 == b >> 96);
            prop_assert!(of(a).site != of(b).subscriber);
        }

        #[test]
        fn ipv4_addresses_share_network_by_24_bits(a: u32, b: u32, same in 0..=32_u32) {
            let b = if same == 0 { b } else { a ^ (b >> 1 >> (same - 1)) };
            let of = |bits: u32| Networks::containing(Ipv4Addr::from(bits).into());
            prop_assert_eq!(of(a).subscriber == of(b).subscriber, a >> 8 == b >> 8);
            prop_assert_eq!(of(a).region == of(b).region, a >> 16 == b >> 16);
            prop_assert_eq!(of(a).site, of(a).subscriber);
            prop_assert!(of(a).site != Networks::containing(Ipv6Addr::from(u128::from(b)).into()).site);
        }
    }
}
