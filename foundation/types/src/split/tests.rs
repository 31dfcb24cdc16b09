//! Tests of the complement.

use super::*;
use ipnetwork::IpNetwork;
use proptest::collection::vec;
use proptest::prelude::*;

fn networks4(texts: &[&str]) -> Vec<Ipv4Network> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn texts<T: ToString>(networks: &[T]) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}

#[test]
fn one_address_gives_the_contract_list() {
    let list = "0.0.0.0/1, 128.0.0.0/4, 144.0.0.0/5, 152.0.0.0/6, 156.0.0.0/8, 157.0.0.0/9, 157.128.0.0/10, \
        157.192.0.0/11, 157.224.0.0/14, 157.228.0.0/15, 157.230.0.0/18, 157.230.64.0/19, 157.230.96.0/20, \
        157.230.112.0/23, 157.230.114.0/25, 157.230.114.128/26, 157.230.114.192/27, 157.230.114.224/30, \
        157.230.114.228/31, 157.230.114.230/32, 157.230.114.232/29, 157.230.114.240/28, 157.230.115.0/24, \
        157.230.116.0/22, 157.230.120.0/21, 157.230.128.0/17, 157.231.0.0/16, 157.232.0.0/13, 157.240.0.0/12, \
        158.0.0.0/7, 160.0.0.0/3, 192.0.0.0/2";
    assert_eq!(texts(&complement4(&networks4(&["157.230.114.231/32"]))).join(", "), list);
}

#[test]
fn the_ends_of_the_address_space() {
    assert_eq!(texts(&complement4(&[])), ["0.0.0.0/0"]);
    assert_eq!(texts(&complement6(&[])), ["::/0"]);
    assert!(complement4(&networks4(&["0.0.0.0/0"])).is_empty());
    assert!(complement4(&networks4(&["128.0.0.0/1", "0.0.0.0/1"])).is_empty());
    assert!(complement6(&["::/0".parse().unwrap()]).is_empty());
    assert_eq!(texts(&complement4(&networks4(&["0.0.0.0/1"]))), ["128.0.0.0/1"]);
    assert_eq!(
        texts(&complement4(&networks4(&["255.255.255.254/31"]))).last().unwrap(),
        "255.255.255.252/31"
    );
    assert_eq!(complement4(&networks4(&["255.255.255.255/32"])).len(), 32);
    assert_eq!(complement6(&["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128".parse().unwrap()]).len(), 128);
    assert_eq!(texts(&complement6(&["::/1".parse().unwrap()])), ["8000::/1"]);
}

#[test]
fn order_repetition_overlap_and_host_bits_vanish() {
    let plain = complement4(&networks4(&["10.0.0.0/8", "192.168.0.0/16"]));
    let messy =
        networks4(&["192.168.7.7/16", "10.9.0.0/16", "10.1.2.3/8", "192.168.0.0/16", "10.255.255.255/32"]);
    assert_eq!(complement4(&messy), plain);
}

/// First and last address.
fn ends(network: IpNetwork) -> (u128, u128) {
    match network {
        IpNetwork::V4(net) => (u32::from(net.network()).into(), u32::from(net.broadcast()).into()),
        IpNetwork::V6(net) => (net.network().into(), net.broadcast().into()),
    }
}

/// What the complement has to be: checked against the definition, by sorting excluded and listed ranges together.
fn check(excluded: &[IpNetwork], listed: &[IpNetwork], last: u128) -> Result<(), TestCaseError> {
    let bits = if last == u128::MAX { 128 } else { 32 };
    for pair in listed.windows(2) {
        let (left, right) = (ends(pair[0]), ends(pair[1]));
        prop_assert!(left.1 < right.0, "ascending and disjoint: {} {}", pair[0], pair[1]);
        let siblings = pair[0].prefix() == pair[1].prefix()
            && left.1 + 1 == right.0
            && (left.0 >> (bits - u32::from(pair[0].prefix()))) % 2 == 0;
        prop_assert!(!siblings, "minimal: {} and {} are halves of one network", pair[0], pair[1]);
    }
    for network in listed {
        prop_assert_eq!(network.ip(), network.network());
        let (start, end) = ends(*network);
        let touches = excluded.iter().any(|other| ends(*other).0 <= end && start <= ends(*other).1);
        prop_assert!(!touches, "{network} is excluded");
    }
    let mut all: Vec<_> = excluded.iter().chain(listed).map(|network| ends(*network)).collect();
    all.sort_unstable();
    let mut next = Some(0);
    for (start, end) in all {
        let Some(at) = next else { break };
        prop_assert!(start <= at, "a gap before {start:x}");
        next = end.max(at.saturating_sub(1)).checked_add(1);
        if end == last {
            next = None;
        }
    }
    prop_assert!(next.is_none_or(|next| next > last), "a gap at the end");
    Ok(())
}

proptest! {
    #[test]
    fn ipv4_is_disjoint_minimal_and_complete(
        nets in vec((any::<u32>(), 0u8..=32), 0..40), near in any::<u32>(), offsets in vec((0u32..64, 24u8..=32), 0..20)
    ) {
        let far = nets.into_iter().map(|(base, prefix)| (base, prefix.max(2)));
        let close = offsets.into_iter().map(|(offset, prefix)| (near.wrapping_add(offset), prefix));
        let excluded: Vec<_> = far.chain(close).map(|(base, prefix)| Ipv4Network::new(base.into(), prefix).unwrap()).collect();
        let listed: Vec<_> = complement4(&excluded).into_iter().map(IpNetwork::V4).collect();
        let masked: Vec<_> = excluded.into_iter().map(IpNetwork::V4).collect();
        check(&masked, &listed, u32::MAX.into())?;
    }

    #[test]
    fn ipv6_is_disjoint_minimal_and_complete(
        nets in vec((any::<u128>(), 1u8..=128), 0..20), near in any::<u128>(), offsets in vec((0u128..64, 120u8..=128), 0..10)
    ) {
        let close = offsets.into_iter().map(|(offset, prefix)| (near.wrapping_add(offset), prefix));
        let excluded: Vec<_> =
            nets.into_iter().chain(close).map(|(base, prefix)| Ipv6Network::new(base.into(), prefix).unwrap()).collect();
        let listed: Vec<_> = complement6(&excluded).into_iter().map(IpNetwork::V6).collect();
        let masked: Vec<_> = excluded.into_iter().map(IpNetwork::V6).collect();
        check(&masked, &listed, u128::MAX)?;
    }

    /// The complement of the complement is the shortest form of what was excluded.
    #[test]
    fn twice_is_back(nets in vec((any::<u32>(), 2u8..=32), 0..20)) {
        let excluded: Vec<_> = nets.into_iter().map(|(base, prefix)| Ipv4Network::new(base.into(), prefix).unwrap()).collect();
        let back = complement4(&complement4(&excluded));
        prop_assert!(excluded.iter().all(|net| back.iter().any(|wide| net.is_subnet_of(*wide))));
        prop_assert_eq!(complement4(&back), complement4(&excluded));
    }

    #[test]
    fn one_address_gives_one_network_per_bit(address in any::<u32>(), address6 in any::<u128>()) {
        prop_assert_eq!(complement4(&[Ipv4Network::new(address.into(), 32).unwrap()]).len(), 32);
        prop_assert_eq!(complement6(&[Ipv6Network::new(address6.into(), 128).unwrap()]).len(), 128);
    }
}
