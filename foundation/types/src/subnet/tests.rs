//! Tests of the subnet arithmetic.

use super::*;
use proptest::prelude::*;

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

#[test]
fn the_facts_of_a_subnet() {
    let net = subnet("10.8.0.0/24");
    assert_eq!(net.to_string(), "10.8.0.0/24");
    assert_eq!(net.netmask().to_string(), "255.255.255.0");
    assert_eq!(net.broadcast().to_string(), "10.8.0.255");
    assert_eq!(
        (net.server(), net.first_client(), net.last_client()),
        ([10, 8, 0, 1].into(), [10, 8, 0, 2].into(), [10, 8, 0, 254].into())
    );
    assert_eq!(subnet("0.0.0.0/0").usable(), u32::MAX - 1);
    assert_eq!((subnet("10.0.0.0/31").usable(), subnet("10.0.0.1/32").usable()), (0, 0));
}

#[test]
fn what_is_no_subnet_is_refused() {
    for text in [
        "",
        "10.8.0.0",
        "10.8.0.1/24",
        "10.8.0.0/33",
        "10.8.0.0/",
        "10.8.0.0/024",
        "10.8.0.0/+24",
        "fd00::/64",
        "10.8.0/24",
        " 10.8.0.0/24",
        "010.8.0.0/24",
    ] {
        assert!(text.parse::<Subnet>().is_err(), "{text}");
    }
}

#[test]
fn private_ranges_are_those_of_rfc_1918() {
    assert_eq!(subnet("172.31.255.0/24").private_range(), Some(subnet("172.16.0.0/12")));
    assert_eq!(subnet("192.168.0.0/15").private_range(), None);
    assert_eq!(subnet("172.32.0.0/24").private_range(), None);
}

#[test]
fn clients_keep_host_number_or_take_lowest() {
    let old: Vec<Ipv4Addr> =
        ["10.8.0.200", "10.8.0.2", "10.8.0.100", "10.8.0.5"].map(|text| text.parse().unwrap()).into();
    let remap = subnet("10.8.0.0/24").remap(subnet("192.168.9.0/28"), &old).unwrap();
    let new: Vec<String> = remap.clients.iter().map(|pair| pair.1.to_string()).collect();
    assert_eq!(new, ["192.168.9.4", "192.168.9.2", "192.168.9.3", "192.168.9.5"]);
    assert_eq!(remap.renumbered, 2);
}

proptest! {
    #[test]
    fn remap_gives_every_client_a_usable_address(
        offsets in proptest::collection::btree_set(2u32..1022, 0..200), prefix in 16u8..30, base in any::<u32>()
    ) {
        let old = subnet("10.8.0.0/22");
        let new = Subnet::containing(base.into(), prefix).unwrap();
        let clients: Vec<Ipv4Addr> = offsets.iter().map(|offset| old.host(*offset).unwrap()).collect();
        match old.remap(new, &clients) {
            None => prop_assert!(clients.len() + 1 > new.usable() as usize),
            Some(remap) => {
                let targets: BTreeSet<_> = remap.clients.iter().map(|pair| pair.1).collect();
                prop_assert_eq!(targets.len(), clients.len());
                for (old_address, address) in &remap.clients {
                    prop_assert!(new.offset(*address).is_some_and(|offset| offset >= 2 && offset <= new.usable()));
                    let offset = old.offset(*old_address).unwrap();
                    if let Some(kept) = new.host(offset) { prop_assert_eq!(kept, *address); }
                }
            }
        }
    }
}
