//! Routes, rules, the uplink.

use std::time::Duration;

use ipnetwork::IpNetwork;
use phantom_host::{
    ForwardedPacket, LinkChange, OwnRoute, OwnershipTags, PingSource, PolicyRule, Route, RouteKind,
    RuleAction, Uplink,
};

use crate::bench::{Bench, kind, main_routes, name, network, via};

fn link_with(bench: &Bench, link: &str, addresses: &[&str]) {
    bench.lab.add_tun(link);
    bench
        .host
        .network
        .set_link(&name(link), &LinkChange { up: Some(true), ..LinkChange::default() })
        .unwrap();
    for address in addresses {
        bench.host.network.add_address(&name(link), network(address)).unwrap();
    }
}

/// The same route by a gateway.
fn by(gateway: &str, mut route: Route) -> Route {
    if let RouteKind::Via { gateway: place, .. } = &mut route.kind {
        *place = Some(gateway.parse().unwrap());
    }
    route
}

pub(crate) fn routes(bench: &Bench) {
    let host = &bench.host.network;
    assert_eq!(host.routes(100).unwrap(), []);
    assert_eq!(kind(host.add_route(&via("cft0", "10.80.0.0/16", 100))), "absent", "no such interface");
    bench.lab.add_tun("cft1");
    assert_eq!(kind(host.add_route(&via("cft1", "10.80.0.0/16", 100))), "kernel ENETDOWN");
    assert_eq!(kind(host.add_route(&via("cft1", "fd80::/64", 100))), "kernel ENETDOWN");
    link_with(bench, "cft0", &["10.71.0.1/24", "fd71::1/64"]);

    let mut expected = Vec::new();
    for destination in ["0.0.0.0/0", "10.80.0.0/16", "::/0", "fd80::/64"] {
        let route = via("cft0", destination, 100);
        host.add_route(&route).unwrap();
        assert_eq!(kind(host.add_route(&route)), "kernel EEXIST");
        expected.push(route);
    }
    // Where it leads and who made it make no other route of it, the metric does.
    let first = &expected[0];
    assert_eq!(
        kind(host.add_route(&Route { kind: RouteKind::Unreachable, ..first.clone() })),
        "kernel EEXIST"
    );
    assert_eq!(kind(host.add_route(&Route { protocol: 4, ..first.clone() })), "kernel EEXIST");
    // What cannot be added a second time can take its place.
    for wanted in &mut expected {
        for kind in [RouteKind::Unreachable, RouteKind::Blackhole] {
            let other = Route { kind, protocol: 4, ..wanted.clone() };
            host.replace_route(&other).unwrap();
            let now = host.routes(100).unwrap();
            assert!(now.contains(&other) && !now.contains(wanted) && now.len() == 4, "{now:?}");
            host.replace_route(wanted).unwrap();
            let now = host.routes(100).unwrap();
            assert!(now.contains(wanted) && now.len() == 4, "{now:?}");
        }
        let fresh = Route { metric: 9, ..wanted.clone() };
        host.replace_route(&fresh).unwrap();
        host.remove_route(&fresh).unwrap();
    }
    for destination in ["0.0.0.0/0", "::/0"] {
        let kinds = [RouteKind::Unreachable, RouteKind::Blackhole];
        for (metric, route_kind) in [4000, 4001].into_iter().zip(kinds) {
            let route = Route { metric, kind: route_kind, ..via("cft0", destination, 100) };
            host.add_route(&route).unwrap();
            expected.push(route);
        }
    }
    let route = by("10.71.0.9", via("cft0", "10.81.0.0/16", 100));
    let route = Route { source: Some([10, 71, 0, 1].into()), ..route };
    host.add_route(&route).unwrap();
    expected.push(route);
    let mut routes = host.routes(100).unwrap();
    routes.sort();
    expected.sort();
    assert_eq!(routes, expected);

    refused_routes(bench);

    // Exactly this route: another metric, maker, or way is another one.
    for other in [
        Route { metric: 7, ..expected[0].clone() },
        Route { protocol: 4, ..expected[0].clone() },
        Route { table: 101, ..expected[0].clone() },
        via("cft1", "10.80.0.0/16", 100),
        via("cft9", "10.80.0.0/16", 100),
    ] {
        assert_eq!(kind(host.remove_route(&other)), "absent", "{other:?}");
    }
    for route in &expected {
        host.remove_route(route).unwrap();
        assert_eq!(kind(host.remove_route(route)), "absent");
    }
    assert_eq!(host.routes(100).unwrap(), []);
    routes_without_their_source(bench);
}

/// What the kernel does not take.
fn refused_routes(bench: &Bench) {
    let host = &bench.host.network;
    let v4 = || via("cft0", "10.90.0.0/16", 100);
    let v6 = || via("cft0", "fd90::/64", 100);
    assert_eq!(kind(host.add_route(&Route { source: Some([10, 99, 0, 1].into()), ..v4() })), "kernel EINVAL");
    let foreign_source = Some("fd99::1".parse().unwrap());
    assert_eq!(kind(host.add_route(&Route { source: foreign_source, ..v6() })), "kernel EINVAL");
    // A next hop is to be on the link, by the route's table or by the main one.
    let elsewhere = |route| {
        by(
            if matches!(route, Route { destination: IpNetwork::V4(_), .. }) {
                "10.99.0.1"
            } else {
                "fd99::1"
            },
            route,
        )
    };
    for route in [elsewhere(v4()), elsewhere(v6())] {
        host.add_route(&route).unwrap();
        host.remove_route(&route).unwrap();
    }
    let in_101 = |route| Route { table: 101, ..elsewhere(route) };
    assert_eq!(kind(host.add_route(&in_101(v4()))), "kernel ENETUNREACH");
    assert_eq!(kind(host.add_route(&in_101(v6()))), "kernel EHOSTUNREACH");
    assert_eq!(
        kind(host.add_route(&Route { metric: 0, ..v6() })),
        "unsupported",
        "the kernel makes 1024 of it"
    );
    // Host bits of the destination do not count.
    host.add_route(&via("cft0", "10.90.0.1/16", 100)).unwrap();
    assert_eq!(kind(host.add_route(&v4())), "kernel EEXIST");
    host.remove_route(&v4()).unwrap();
}

/// An IPv4 route of the main table goes with its preferred source, one of another table does not; one of IPv6 loses it.
fn routes_without_their_source(bench: &Bench) {
    let host = &bench.host.network;
    host.add_address(&name("cft0"), network("10.72.0.1/32")).unwrap();
    let v4 = |table| Route { source: Some([10, 72, 0, 1].into()), ..via("cft0", "10.90.0.0/16", table) };
    let v6 = |table| Route { source: Some("fd71::1".parse().unwrap()), ..via("cft0", "fd90::/64", table) };
    for route in [v4(100), v4(254), v6(100), v6(254)] {
        host.add_route(&route).unwrap();
    }
    host.remove_address(&name("cft0"), network("10.72.0.1/32")).unwrap();
    host.remove_address(&name("cft0"), network("fd71::1/64")).unwrap();
    assert_eq!(host.routes(100).unwrap(), [v4(100), Route { source: None, ..v6(100) }]);
    assert_eq!(main_routes(bench, "cft0"), ["10.71.0.0/24 10.71.0.1", "fd90::/64 -"]);
}

fn rule(priority: u32, ipv6: bool) -> PolicyRule {
    let protocol = OwnershipTags::PROTOCOL;
    let action = RuleAction::Lookup(100);
    PolicyRule { priority, ipv6, from: None, to: None, in_interface: None, action, protocol }
}

pub(crate) fn rules(bench: &Bench) {
    let host = &bench.host.network;
    let mut before = host.rules().unwrap();
    before.sort();
    let kernels =
        [(0, false, 255), (0, true, 255), (32766, false, 254), (32766, true, 254), (32767, false, 253)];
    assert_eq!(
        before,
        kernels.map(|(priority, ipv6, table)| PolicyRule {
            action: RuleAction::Lookup(table),
            protocol: 2,
            ..rule(priority, ipv6)
        })
    );

    let from = Some(network("10.8.0.0/24"));
    let ours = [
        PolicyRule { from, to: from, action: RuleAction::Lookup(254), ..rule(99, false) },
        PolicyRule { from, ..rule(100, false) },
        PolicyRule { from: Some(network("fd08::/64")), ..rule(100, true) },
        PolicyRule { in_interface: Some("cft0".into()), ..rule(101, false) },
        // The same but for what it does: behind the one before.
        PolicyRule { from, action: RuleAction::Unreachable, ..rule(100, false) },
        PolicyRule { from: Some(network("fd08::/64")), action: RuleAction::Unreachable, ..rule(101, true) },
        // The same but for who made it.
        PolicyRule { from, protocol: 4, ..rule(100, false) },
    ];
    for rule in &ours {
        assert_eq!(kind(host.remove_rule(rule)), "absent");
        host.add_rule(rule).unwrap();
        assert_eq!(kind(host.add_rule(rule)), "kernel EEXIST");
    }
    let mut expected: Vec<_> = before.iter().chain(&ours).cloned().collect();
    let mut all = host.rules().unwrap();
    all.sort();
    expected.sort();
    assert_eq!(all, expected);

    assert_eq!(
        kind(host.remove_rule(&PolicyRule { action: RuleAction::Lookup(101), ..ours[1].clone() })),
        "absent"
    );
    // A rule that says less than one that is there is the same to the kernel, one that says more is not.
    let less = PolicyRule { from: None, ..ours[1].clone() };
    assert_eq!(kind(host.add_rule(&less)), "kernel EEXIST");
    assert_eq!(kind(host.remove_rule(&less)), "absent");
    host.remove_rule(&ours[1]).unwrap();
    host.add_rule(&less).unwrap();
    host.add_rule(&ours[1]).unwrap();
    host.remove_rule(&less).unwrap();
    for rule in &ours {
        host.remove_rule(rule).unwrap();
    }
    let mut after = host.rules().unwrap();
    after.sort();
    assert_eq!(after, before);

    // Rules outlive the link they name, and host bits do not count.
    bench.lab.add_tun("cft0");
    let detached = PolicyRule {
        in_interface: Some("cft0".into()),
        from: Some(network("10.8.0.7/24")),
        ..rule(101, false)
    };
    host.add_rule(&detached).unwrap();
    host.delete_link(&name("cft0")).unwrap();
    host.remove_rule(&PolicyRule { from, ..detached }).unwrap();
}

pub(crate) fn uplink(bench: &Bench) {
    let host = &bench.host.network;
    assert_eq!(host.uplink().unwrap(), None);
    link_with(bench, "cft0", &["10.71.0.5/24", "fd71::5/64", "2001:db8:71::5/64"]);
    link_with(bench, "cft1", &["10.72.0.5/16"]);
    assert_eq!(host.uplink().unwrap(), None, "no default route");
    host.add_route(&Route { metric: 50, ..by("10.72.0.1", via("cft1", "0.0.0.0/0", 254)) }).unwrap();
    let second = Uplink {
        interface: "cft1".into(),
        address: Some([10, 72, 0, 5].into()),
        prefix: Some(16),
        ipv6: None,
    };
    assert_eq!(host.uplink().unwrap(), Some(second.clone()));
    host.add_route(&Route { metric: 20, ..by("10.71.0.1", via("cft0", "0.0.0.0/0", 254)) }).unwrap();
    let first = Uplink {
        interface: "cft0".into(),
        address: Some([10, 71, 0, 5].into()),
        prefix: Some(24),
        ipv6: Some("2001:db8:71::5".parse().unwrap()),
    };
    assert_eq!(host.uplink().unwrap(), Some(first), "the lowest metric counts");
    host.add_route(&Route { metric: 10, ..via("cft1", "0.0.0.0/0", 100) }).unwrap();
    host.set_link(&name("cft0"), &LinkChange { up: Some(false), ..LinkChange::default() }).unwrap();
    assert_eq!(host.uplink().unwrap(), Some(second), "only the main table counts");
}

/// The way of packets that pass through, by rules and tables, and what is dropped.
pub(crate) fn passing(bench: &Bench) {
    let host = &bench.host.network;
    let packet = |from: [u8; 4]| ForwardedPacket {
        from: from.into(),
        to: [9, 9, 9, 9].into(),
        in_interface: name("cft0"),
    };
    let client = packet([10, 71, 0, 9]);
    assert_eq!(kind(host.route_for(&client)), "absent");
    for from in [PingSource::Interface(name("cft0")), PingSource::Address([10, 71, 0, 1].into())] {
        assert_eq!(kind(host.echo(&from, [9, 9, 9, 9].into(), 1, Duration::ZERO)), "absent", "{from:?}");
    }
    bench.host.sysctl.set("net.ipv4.ip_forward", "1").unwrap();
    link_with(bench, "cft0", &["10.71.0.1/24"]);
    link_with(bench, "cft1", &["10.72.0.1/24"]);
    link_with(bench, "cft2", &["10.73.0.1/24"]);
    assert_eq!(host.route_for(&client).unwrap(), None, "there is no way");
    host.add_route(&via("cft1", "0.0.0.0/0", 254)).unwrap();
    assert_eq!(host.route_for(&client).unwrap().as_deref(), Some("cft1"));
    let of_clients = PolicyRule { from: Some(network("10.71.0.0/24")), ..rule(100, false) };
    host.add_rule(&of_clients).unwrap();
    assert_eq!(host.route_for(&client).unwrap().as_deref(), Some("cft1"), "an empty table decides nothing");
    host.add_route(&via("cft2", "0.0.0.0/0", 100)).unwrap();
    assert_eq!(host.route_for(&client).unwrap().as_deref(), Some("cft2"));
    let closed = Route { metric: 4000, kind: RouteKind::Unreachable, ..via("cft2", "0.0.0.0/0", 100) };
    host.add_route(&closed).unwrap();
    assert_eq!(host.route_for(&client).unwrap().as_deref(), Some("cft2"), "the lowest metric counts");
    host.remove_route(&via("cft2", "0.0.0.0/0", 100)).unwrap();
    assert_eq!(host.route_for(&client).unwrap(), None, "unreachable decides");
    host.add_route(&via("cft1", "9.0.0.0/8", 100)).unwrap();
    assert_eq!(host.route_for(&client).unwrap().as_deref(), Some("cft1"), "the longest prefix counts");
    // A table that says nothing is no last word; a rule that leads nowhere is.
    host.remove_route(&via("cft1", "9.0.0.0/8", 100)).unwrap();
    host.remove_route(&closed).unwrap();
    assert_eq!(host.route_for(&client).unwrap().as_deref(), Some("cft1"), "the table is empty again");
    let last =
        PolicyRule { action: RuleAction::Unreachable, ..PolicyRule { priority: 101, ..of_clients.clone() } };
    host.add_rule(&last).unwrap();
    assert_eq!(host.route_for(&client).unwrap(), None, "the next rule leads nowhere");
    host.remove_rule(&last).unwrap();
    host.remove_rule(&of_clients).unwrap();
    bench.host.sysctl.set("net.ipv4.ip_forward", "0").unwrap();
    assert_eq!(host.route_for(&client).unwrap(), None, "nothing is forwarded");
    // Nobody is there to answer.
    for from in [PingSource::Interface(name("cft1")), PingSource::Address([10, 72, 0, 1].into())] {
        let answered = host.echo(&from, [10, 72, 0, 9].into(), 2, Duration::from_millis(50));
        assert!(!answered.unwrap(), "{from:?}");
    }
}

/// The route of what the host itself sends: by its addresses, by rules about sources, and where it leads nowhere.
pub(crate) fn own_routes(bench: &Bench) {
    let host = &bench.host.network;
    let asked = |from: Option<[u8; 4]>, to: [u8; 4]| {
        let found = host.own_route(from.map(Into::into), to.into()).unwrap();
        found.map(|OwnRoute { interface, gateway, source }| {
            let part = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let gateway = part(gateway.map(|gateway| gateway.to_string()));
            format!("{interface} {gateway} {}", part(source.map(|source| source.to_string())))
        })
    };
    assert_eq!(asked(None, [9, 9, 9, 9]), None, "there is no route");
    assert_eq!(host.ways_out().unwrap(), [] as [&str; 0]);
    assert_eq!(asked(None, [127, 0, 0, 53]).as_deref(), Some("lo - 127.0.0.1"));
    link_with(bench, "cft0", &["10.71.0.5/24"]);
    link_with(bench, "cft1", &["10.72.0.5/24"]);
    host.add_route(&by("10.71.0.1", via("cft0", "0.0.0.0/0", 254))).unwrap();
    assert_eq!(asked(None, [9, 9, 9, 9]).as_deref(), Some("cft0 10.71.0.1 10.71.0.5"));
    assert_eq!(host.ways_out().unwrap(), ["cft0 10.71.0.5"]);
    assert_eq!(asked(None, [10, 72, 0, 9]).as_deref(), Some("cft1 - 10.72.0.5"));
    assert_eq!(asked(None, [10, 72, 0, 5]).as_deref(), Some("lo - 10.72.0.5"), "an address of the host");
    let answers = || asked(Some([10, 72, 0, 5]), [9, 9, 9, 9]);
    assert_eq!(answers().as_deref(), Some("cft0 10.71.0.1 10.72.0.5"));
    assert_eq!(asked(Some([10, 99, 0, 1]), [9, 9, 9, 9]), None, "no address of the host");

    // What an address does that is put on another interface too.
    host.add_address(&name("cft1"), network("9.9.9.9/32")).unwrap();
    assert_eq!(asked(None, [9, 9, 9, 9]).as_deref(), Some("lo - 9.9.9.9"));
    host.remove_address(&name("cft1"), network("9.9.9.9/32")).unwrap();

    // And what a rule does that is about the source of answers.
    let of_answers = PolicyRule { from: Some(network("10.72.0.5/32")), ..rule(100, false) };
    host.add_rule(&of_answers).unwrap();
    assert_eq!(answers().as_deref(), Some("cft0 10.71.0.1 10.72.0.5"), "an empty table decides nothing");
    let closed = Route { metric: 4000, kind: RouteKind::Unreachable, ..via("cft1", "0.0.0.0/0", 100) };
    host.add_route(&closed).unwrap();
    assert_eq!(answers(), None, "unreachable decides");
    assert_eq!(asked(None, [9, 9, 9, 9]).as_deref(), Some("cft0 10.71.0.1 10.71.0.5"), "no other source");
    host.add_route(&via("cft1", "0.0.0.0/0", 100)).unwrap();
    assert_eq!(answers().as_deref(), Some("cft1 - 10.72.0.5"));
    host.remove_rule(&of_answers).unwrap();
    assert_eq!(answers().as_deref(), Some("cft0 10.71.0.1 10.72.0.5"));
}
