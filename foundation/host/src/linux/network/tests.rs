//! Messages as the kernel sent them, and ours as it would see them.

use std::net::Ipv6Addr;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::AddressFlags;
use proptest::prelude::*;

use super::*;
use crate::linux::netlink::tests::captured;
use crate::{LinkKind, RouteKind, RuleAction};

/// The messages in captured datagrams.
fn messages(text: &str) -> Vec<Message> {
    let mut found = Vec::new();
    for datagram in captured(text) {
        let mut rest = &datagram[..];
        while !rest.is_empty() {
            let message = NetlinkMessage::<Message>::deserialize(rest).unwrap();
            rest = &rest[(message.header.length as usize).next_multiple_of(4)..];
            if let NetlinkPayload::InnerMessage(message) = message.payload {
                found.push(message);
            }
        }
    }
    found
}

/// A message after the kernel's way of seeing it: bytes and back.
fn through_bytes(message: Message) -> Message {
    let mut message = NetlinkMessage::from(message);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    match NetlinkMessage::<Message>::deserialize(&bytes).unwrap().payload {
        NetlinkPayload::InnerMessage(message) => message,
        other => panic!("{other:?}"),
    }
}

fn net(text: &str) -> IpNetwork {
    text.parse().unwrap()
}

#[test]
fn links_are_read() {
    let links: Vec<Link> = messages(include_str!("captured/links.hex"))
        .iter()
        .filter_map(|message| match message {
            Message::NewLink(message) => links::read(message),
            _ => None,
        })
        .collect();
    let link = |name: &str, index, kind: LinkKind, up, mtu, alias: Option<&str>| Link {
        name: name.into(),
        index,
        kind,
        up,
        mtu,
        alias: alias.map(Into::into),
    };
    let veth = || LinkKind::Other("veth".into());
    let expected = [
        link("lo", 1, LinkKind::Other(String::new()), false, 65536, None),
        link("ve1", 2, veth(), true, 1500, None),
        link("ve0", 3, veth(), true, 1400, Some("phantom-wg")),
        link("tun0", 4, LinkKind::Tun, false, 1500, None),
    ];
    assert_eq!(links, expected);
}

#[test]
fn addresses_are_read() {
    let mut found: Vec<(u32, IpNetwork, bool, bool)> = messages(include_str!("captured/addresses.hex"))
        .iter()
        .filter_map(|message| match message {
            Message::NewAddress(message) => addresses::read(message),
            _ => None,
        })
        .map(|a| (a.index, a.network, a.link_local(), a.flags.contains(AddressFlags::Permanent)))
        .collect();
    found.retain(|(_, _, link_local, _)| !link_local);
    let expected = [
        (3, net("192.0.2.5/24"), false, true),
        // The far end's address is not ours.
        (3, net("198.51.100.1/32"), false, true),
        (3, net("2001:db8::5/64"), false, true),
    ];
    assert_eq!(found, expected);
}

fn route(destination: &str, metric: u32, kind: RouteKind, source: Option<&str>, protocol: u8) -> Route {
    let source = source.map(|source| source.parse().unwrap());
    Route { table: 100, destination: net(destination), metric, kind, source, protocol }
}

fn via(gateway: Option<&str>) -> RouteKind {
    RouteKind::Via { interface: "if3".into(), gateway: gateway.map(|gateway| gateway.parse().unwrap()) }
}

fn read_routes(message: &Message, ipv6: bool) -> Vec<Route> {
    let Message::NewRoute(message) = message else { panic!("{message:?}") };
    routes::read(message, ipv6, &mut |index| Ok(Some(format!("if{index}")))).unwrap()
}

#[test]
fn routes_are_read() {
    let all = messages(include_str!("captured/routes.hex"));
    let read = |ipv6| all.iter().flat_map(|message| read_routes(message, ipv6)).collect::<Vec<_>>();
    let expected = [
        route("0.0.0.0/0", 10, via(Some("192.0.2.1")), Some("192.0.2.5"), 187),
        route("0.0.0.0/0", 4096, RouteKind::Unreachable, None, 187),
        route("203.0.113.0/25", 0, via(Some("192.0.2.1")), None, 3),
        route("203.0.113.0/25", 0, via(Some("192.0.2.2")), None, 3),
        route("203.0.113.0/24", 0, RouteKind::Blackhole, None, 3),
    ];
    assert_eq!(read(false), expected, "one for each next hop, and none of the other family");
    let expected =
        [route("::/0", 10, via(None), None, 187), route("::/0", 4096, RouteKind::Unreachable, None, 187)];
    assert_eq!(read(true), expected);
}

#[test]
fn route_of_a_removed_interface_is_gone() {
    for message in messages(include_str!("captured/routes.hex")) {
        let Message::NewRoute(message) = message else { panic!("{message:?}") };
        let routes = routes::read(&message, false, &mut |_| Ok(None)).unwrap();
        assert!(routes.iter().all(|route| !matches!(route.kind, RouteKind::Via { .. })));
    }
}

#[test]
fn rules_are_read() {
    let rules: Vec<PolicyRule> = messages(include_str!("captured/rules.hex"))
        .iter()
        .filter_map(|message| match message {
            Message::NewRule(message) => rules::read(message),
            _ => None,
        })
        .collect();
    let rule = |priority, ipv6, from: Option<&str>, to: Option<&str>, table, protocol| PolicyRule {
        priority,
        ipv6,
        from: from.map(net),
        to: to.map(net),
        in_interface: None,
        action: RuleAction::Lookup(table),
        protocol,
    };
    let ten = Some("10.8.0.0/24");
    let expected = [
        rule(0, false, None, None, 255, 2),
        rule(99, false, ten, ten, 254, 187),
        PolicyRule { in_interface: Some("ve0".into()), ..rule(100, false, ten, None, 100, 187) },
        rule(32766, false, None, None, 254, 2),
        rule(32767, false, None, None, 253, 2),
        rule(0, true, None, None, 255, 2),
        rule(100, true, Some("fd00::/64"), None, 100, 187),
        rule(32766, true, None, None, 254, 2),
    ];
    assert_eq!(rules, expected);
}

#[test]
fn rule_that_kernel_would_remove_is_known() {
    let wide = PolicyRule {
        priority: 100,
        ipv6: false,
        from: None,
        to: None,
        in_interface: None,
        action: RuleAction::Lookup(100),
        protocol: 187,
    };
    let narrow = PolicyRule { from: Some(net("10.8.0.0/24")), ..wide.clone() };
    let other = PolicyRule { action: RuleAction::Lookup(254), ..wide.clone() };
    let of = |rules: &[&PolicyRule], wanted| {
        rules::hit(&rules.iter().copied().cloned().collect::<Vec<_>>(), wanted)
    };
    assert_eq!(of(&[&other, &wide], &wide), rules::Hit::This);
    assert_eq!(of(&[&wide, &narrow], &narrow), rules::Hit::This);
    assert_eq!(of(&[&narrow, &wide], &wide), rules::Hit::Another);
    assert_eq!(of(&[&narrow, &other], &wide), rules::Hit::Nothing);
    assert_eq!(of(&[], &wide), rules::Hit::Nothing);
}

#[test]
fn default_route_with_lowest_metric_wins() {
    let on = |interface: &str, metric| {
        let kind = RouteKind::Via { interface: interface.into(), gateway: None };
        Route { table: 254, ..route("0.0.0.0/0", metric, kind, None, 4) }
    };
    let routes = [
        on("eth1", 200),
        on("eth0", 100),
        on("eth2", 100),
        Route { destination: net("::/0"), ..on("six", 1) },
        Route { destination: net("0.0.0.0/1"), ..on("half", 1) },
        Route { kind: RouteKind::Unreachable, ..on("", 0) },
    ];
    assert_eq!(uplink::default_route(&routes), Some(("eth0".into(), None)));
    assert_eq!(uplink::default_route(&routes[3..]), None);
}

#[test]
fn lasting_global_ipv6_addresses_are_preferred() {
    let address = |text: &str, flags| {
        let network = net(text);
        Address { index: 2, network, far_end: network.ip(), universal: true, flags }
    };
    let permanent = AddressFlags::Permanent;
    let chosen = |addresses: &[Address]| uplink::global_ipv6(addresses.iter());
    let unfit = [
        address("fe80::1/64", permanent),
        address("fd00::1/64", permanent),
        address("192.0.2.1/24", permanent),
        address("2001:db8::a/64", AddressFlags::Secondary),
        address("2001:db8::b/64", permanent | AddressFlags::Deprecated),
        address("2001:db8::c/64", permanent | AddressFlags::Dadfailed),
        Address { universal: false, ..address("2001:db8::d/64", permanent) },
    ];
    assert_eq!(chosen(&unfit), None);
    let expiring = address("2001:db8::1/64", AddressFlags::empty());
    let lasting = address("2a01::1/64", permanent);
    let ip = |text: &str| Some(text.parse::<Ipv6Addr>().unwrap());
    assert_eq!(chosen(&[&unfit[..], std::slice::from_ref(&expiring)].concat()), ip("2001:db8::1"));
    assert_eq!(chosen(&[expiring, lasting]), ip("2a01::1"));
}

fn any_network() -> impl Strategy<Value = IpNetwork> {
    prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(ip, prefix)| IpNetwork::new(ip.into(), prefix).unwrap()),
        (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(ip, prefix)| IpNetwork::new(ip.into(), prefix).unwrap()),
    ]
    .prop_map(|network| IpNetwork::new(network.network(), network.prefix()).unwrap())
}

fn any_route() -> impl Strategy<Value = Route> {
    let kind = prop_oneof![
        Just(RouteKind::Unreachable),
        Just(RouteKind::Blackhole),
        prop::option::of(any::<IpAddr>())
            .prop_map(|gateway| RouteKind::Via { interface: "if3".into(), gateway }),
    ];
    (any::<u32>(), any_network(), any::<u32>(), kind, any::<u8>(), any::<bool>()).prop_map(
        |(table, destination, metric, kind, protocol, with_source)| {
            let kind = match kind {
                // An IPv6 route has no IPv4 next hop.
                RouteKind::Via { interface, gateway: Some(IpAddr::V4(_)) } if destination.is_ipv6() => {
                    RouteKind::Via { interface, gateway: None }
                }
                kind => kind,
            };
            let source = with_source.then(|| destination.ip());
            Route { table, destination, metric, kind, source, protocol }
        },
    )
}

proptest! {
    #[test]
    fn routes_survive_the_way_to_the_kernel(route in any_route()) {
        let index = routes::interface(&route).map(|_| 3);
        let message = through_bytes(Message::NewRoute(routes::message(&route, index)));
        prop_assert_eq!(read_routes(&message, route.destination.is_ipv6()), [route]);
    }

    #[test]
    fn rules_survive_the_way_to_the_kernel(
        (priority, table, protocol, ipv6) in any::<(u32, Option<u32>, u8, bool)>(),
        (from, to) in (prop::option::of(any_network()), prop::option::of(any_network())),
        in_interface in prop::option::of("[a-z]{1,15}"),
    ) {
        let of_family = |network: Option<IpNetwork>| network.filter(|network| network.is_ipv6() == ipv6);
        let action = table.map_or(RuleAction::Unreachable, RuleAction::Lookup);
        let rule = PolicyRule { priority, ipv6, from: of_family(from), to: of_family(to), in_interface, action, protocol };
        match through_bytes(Message::NewRule(rules::message(&rule))) {
            Message::NewRule(message) => prop_assert_eq!(rules::read(&message), Some(rule)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_survive_the_way_to_the_kernel(network in any_network(), index in any::<u32>()) {
        match through_bytes(Message::NewAddress(addresses::message(index, network))) {
            Message::NewAddress(message) => {
                let address = addresses::read(&message).unwrap();
                prop_assert_eq!((address.index, address.network), (index, network));
            }
            other => panic!("{other:?}"),
        }
    }
}
