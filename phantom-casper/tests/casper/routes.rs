//! Which addresses go through the tunnel: all but those of the server, so that the tunnel's own connection stays outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use crate::world::{CasperFixture, is_root};

/// The networks of the exported configuration: one line, entries separated by a comma and a blank.
fn networks(world: &CasperFixture) -> Vec<IpNetwork> {
    world.line("AllowedIPs").split(", ").map(|text| text.parse().unwrap()).collect()
}

fn four(list: &[IpNetwork]) -> Vec<Ipv4Network> {
    list.iter().filter_map(|one| if let IpNetwork::V4(one) = one { Some(*one) } else { None }).collect()
}

fn six(list: &[IpNetwork]) -> Vec<Ipv6Network> {
    list.iter().filter_map(|one| if let IpNetwork::V6(one) = one { Some(*one) } else { None }).collect()
}

const SUBNET: &str = "10.8.0.0/24";

#[test]
fn one_address_is_excluded_by_32_networks() {
    if !is_root("one_address_is_excluded_by_32_networks") {
        return;
    }
    let world = CasperFixture::active();
    for address in ["157.230.114.231", "0.0.0.0", "255.255.255.255", "10.8.0.1", "128.0.0.0"] {
        let address: Ipv4Addr = address.parse().unwrap();
        world.set_server(|server| server.server_ip = Some(address));
        world.set_ghost(|ghost| ghost.addresses.clear());
        let list = networks(&world);
        assert_eq!(list.len(), 34, "{address}");
        assert_eq!([list[32].to_string(), list[33].to_string()], [SUBNET, "::/0"]);
        assert_complement(&four(&list[..32]), &[address]);
    }
}

/// Ascending, disjoint, none could be joined with its neighbour, and together everything but these addresses.
fn assert_complement(networks: &[Ipv4Network], without: &[Ipv4Addr]) {
    let covered: u64 = networks.iter().map(|network| 1_u64 << (32 - network.prefix())).sum();
    assert_eq!(covered, (1 << 32) - without.len() as u64, "{networks:?}");
    assert!(networks.iter().all(|network| network.ip() == network.network()), "host bits: {networks:?}");
    for address in without {
        assert!(networks.iter().all(|network| !network.contains(*address)), "{address} is in the tunnel");
    }
    for pair in networks.windows(2) {
        assert!(pair[0].broadcast() < pair[1].network(), "{pair:?}");
        let whole = pair[0].prefix() == pair[1].prefix()
            && Ipv4Network::new(pair[0].network(), pair[0].prefix() - 1).unwrap().contains(pair[1].network())
            && Ipv4Network::new(pair[0].network(), pair[0].prefix() - 1).unwrap().network()
                == pair[0].network();
        assert!(!whole, "{pair:?} could be one");
    }
}

#[test]
fn accepted_a_records_are_excluded_too() {
    if !is_root("accepted_a_records_are_excluded_too") {
        return;
    }
    let world = CasperFixture::active();
    for records in [
        &["198.51.100.20"][..],
        &["157.230.114.230"],
        &["157.230.114.231", "157.230.114.231"],
        &["203.0.113.1", "1.1.1.1", "157.230.114.231", "203.0.113.0"],
    ] {
        let addresses: Vec<Ipv4Addr> = records.iter().map(|text| text.parse().unwrap()).collect();
        world.set_ghost(|ghost| ghost.addresses = addresses.iter().copied().map(Into::into).collect());
        let mut without = addresses;
        without.push([157, 230, 114, 231].into());
        without.sort_unstable();
        without.dedup();
        let list = networks(&world);
        let (complement, behind) = list.split_at(list.len() - 2);
        assert_eq!(behind, [SUBNET, "::/0"].map(|text| text.parse::<IpNetwork>().unwrap()));
        assert_complement(&four(complement), &without);
        assert_eq!(four(complement).len(), complement.len());
    }
}

#[test]
fn server_ipv6_address_is_excluded_too() {
    if !is_root("server_ipv6_address_is_excluded_too") {
        return;
    }
    let world = CasperFixture::active();
    let address: Ipv6Addr = "2001:db8::10".parse().unwrap();
    world.set_server(|server| server.ipv6 = Some(address));
    for block in [true, false] {
        world.set_settings(|settings| settings.block_ipv6_leak = block);
        let list = networks(&world);
        assert_eq!(list.len(), 32 + 128 + 1, "block_ipv6_leak={block}");
        assert_complement(&four(&list[..32]), &[[157, 230, 114, 231].into()]);
        let networks = six(&list[32..160]);
        assert_eq!(networks.len(), 128);
        assert!(networks.iter().all(|network| !network.contains(address)));
        assert!(networks.windows(2).all(|pair| pair[0].network() < pair[1].network()), "not ascending");
        let prefixes: std::collections::BTreeSet<u8> = networks.iter().map(Ipv6Network::prefix).collect();
        assert_eq!(prefixes, (1..=128).collect(), "one of each length is everything but one address");
        assert_eq!(list[160].to_string(), SUBNET);
        assert_eq!(world.line("Address"), "10.8.0.2/24, fd00::2/128");
    }
    let value: serde_json::Value = serde_json::from_str(&world.text(&["--json", "demo-casper"])).unwrap();
    assert_eq!(value["interface"]["address"], "10.8.0.2/24, fd00::2/128");
}

/// That the tunnel's connection to these addresses stays outside, and nothing else does.
fn assert_outside(world: &CasperFixture, addresses: &[&str]) {
    let list = networks(world);
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let mut fours: Vec<Ipv4Addr> = Vec::new();
    let mut sixes: Vec<Ipv6Addr> = Vec::new();
    for address in addresses {
        match address {
            IpAddr::V4(four) => fours.push(four),
            IpAddr::V6(six) => sixes.push(six),
        }
    }
    let outside = list.iter().filter(|network| network.to_string() != SUBNET).copied().collect::<Vec<_>>();
    assert_complement(&four(&outside), &fours);
    let six = six(&outside);
    let uncovered = six.iter().try_fold(u128::MAX, |left, one| {
        left.checked_sub(u128::MAX.checked_shr(one.prefix().into()).unwrap_or_default())?.checked_sub(1)
    });
    // All of IPv6 is one more than the number can say, and so is each network: together they leave out as many as there are.
    assert_eq!(uncovered.map(|left| left + 1), Some(sixes.len() as u128), "{six:?}");
    for address in &sixes {
        assert!(six.iter().all(|network| !network.contains(*address)), "{address} is in the tunnel");
    }
    assert_eq!(world.line("Address"), "10.8.0.2/24, fd00::2/128");
}

#[test]
fn current_and_earlier_addresses_are_excluded() {
    if !is_root("current_and_earlier_addresses_are_excluded") {
        return;
    }
    let world = CasperFixture::active();
    // The server got IPv6 later, and its name with it.
    world.resolve(&["157.230.114.231", "2001:db8::77"]);
    assert_outside(&world, &["157.230.114.231", "2001:db8::77"]);
    // The name has moved behind a CDN, of both families; what is stored of old stays out.
    world.set_ghost(|ghost| {
        ghost.addresses = vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    });
    world.resolve(&["198.51.100.20", "198.51.100.21", "2001:db8:c::1", "2001:db8:c::2"]);
    let all = [
        "157.230.114.231",
        "192.0.2.7",
        "198.51.100.20",
        "198.51.100.21",
        "2001:db8::7",
        "2001:db8:c::1",
        "2001:db8:c::2",
    ];
    assert_outside(&world, &all);
}

#[test]
fn ipv6_only_server_is_excluded_alone() {
    if !is_root("ipv6_only_server_is_excluded_alone") {
        return;
    }
    let world = CasperFixture::active();
    world.set_server(|server| (server.server_ip, server.ipv6) = (None, "2001:db8::10".parse().ok()));
    world.set_ghost(|ghost| ghost.addresses = vec!["2001:db8::10".parse().unwrap()]);
    let list = networks(&world);
    assert_eq!(list[0].to_string(), "0.0.0.0/0");
    assert!(six(&list[1..129]).iter().all(|network| !network.contains("2001:db8::10".parse().unwrap())));
    assert_eq!((list.len(), list[129].to_string()), (130, SUBNET.to_owned()));
}

#[test]
fn client_ipv6_address_is_kept() {
    if !is_root("client_ipv6_address_is_kept") {
        return;
    }
    let world = CasperFixture::active();
    world.set_server(|server| {
        server.subnet6 = Some("fd12:3456::/64".parse().unwrap());
        server.ipv6 = Some("2001:db8::10".parse().unwrap());
    });
    let client = world.add("other");
    let address = client.address6.unwrap();
    let text = world.text(&["other"]);
    assert!(text.contains(&format!("\nAddress = 10.8.0.3/24, {address}/128\n")), "{text}");
}

#[test]
fn ipv6_is_blocked_without_server_ipv6() {
    if !is_root("ipv6_is_blocked_without_server_ipv6") {
        return;
    }
    let world = CasperFixture::active();
    assert_eq!(networks(&world).last().unwrap().to_string(), "::/0");
    assert_eq!(world.line("Address"), "10.8.0.2/24");
    world.set_settings(|settings| settings.block_ipv6_leak = false);
    let list = networks(&world);
    assert_eq!((list.len(), list[32].to_string()), (33, SUBNET.to_owned()));
}

#[test]
fn server_named_by_address_is_excluded() {
    if !is_root("server_named_by_address_is_excluded") {
        return;
    }
    let world = CasperFixture::active();
    let (address, other): (Ipv6Addr, Ipv6Addr) =
        ("2a01:4f8::7".parse().unwrap(), "2a01:4f8::8".parse().unwrap());
    // The server may have another one beside that, or none that is stored.
    for stored in [None, Some(other), Some(address)] {
        world.set_server(|server| server.ipv6 = stored);
        world.set_ghost(|ghost| {
            (ghost.domain, ghost.addresses) = (IpAddr::V6(address).into(), Vec::new());
        });
        let list = networks(&world);
        assert_complement(&four(&list[..32]), &[[157, 230, 114, 231].into()]);
        for left_out in stored.into_iter().chain([address]) {
            assert!(six(&list).iter().all(|network| !network.contains(left_out)), "{left_out}: {list:?}");
        }
        assert!(six(&list).iter().any(|network| network.contains("2606:4700::1111".parse().unwrap())));
        assert_eq!(world.line("Address"), "10.8.0.2/24, fd00::2/128");
        assert!(world.text(&["demo-casper"]).contains(" wss://[2a01:4f8::7]:443 "));
    }
    let four = Ipv4Addr::new(198, 51, 100, 7);
    world.set_server(|server| server.ipv6 = None);
    world.set_ghost(|ghost| (ghost.domain, ghost.addresses) = (four.into(), vec![four.into()]));
    assert!(networks(&world).iter().all(|network| !network.contains(four.into())));
    assert!(world.text(&["demo-casper"]).contains(" wss://198.51.100.7:443 "));
}
