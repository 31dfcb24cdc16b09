//! Links, addresses, routes, rules and the uplink on this machine's kernel, in namespaces of their own.

use std::net::{IpAddr, Ipv4Addr};

use crate::namespace::{attempt, figure, ip, isolated, median, run, skipped, wait_for};
use ipnetwork::IpNetwork;
use phantom_host::linux::LinuxNetwork;
use phantom_host::{HostError, Link, LinkChange, LinkKind, Marks, Network, Route, RouteKind, Rule, Uplink};
use phantom_types::InterfaceName;

fn name(text: &str) -> InterfaceName {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNetwork {
    text.parse().unwrap()
}

/// The kernel's error number of a refusal.
fn errno(error: HostError) -> i32 {
    match error {
        HostError::Kernel { source, .. } => source.raw_os_error().unwrap(),
        other => panic!("not the kernel's refusal: {other:?}"),
    }
}

const EEXIST: i32 = 17;
/// Table of the exit and priority of its rule.
const EXIT: u32 = 100;

#[test]
fn links_are_seen_changed_and_deleted() {
    isolated("network::links_are_seen_changed_and_deleted", || {
        ip("link add ve0 type veth peer name ve1\ntuntap add dev tun0 mode tun");
        let network = LinuxNetwork::new();
        let veth = network.link(&name("ve0")).unwrap().unwrap();
        let expected = Link {
            name: "ve0".into(),
            index: veth.index,
            kind: LinkKind::Other("veth".into()),
            up: false,
            mtu: 1500,
            alias: None,
        };
        assert_eq!(veth, expected);
        assert_eq!(network.link(&name("tun0")).unwrap().unwrap().kind, LinkKind::Tun);
        assert_eq!(network.link(&name("absent0")).unwrap(), None);
        let all = network.links().unwrap();
        assert!(all.contains(&veth) && all.iter().any(|link| link.name == "lo" && link.up), "{all:?}");

        let change = LinkChange { up: Some(true), mtu: Some(1420), alias: Some("phantom-wg".into()) };
        network.set_link(&name("tun0"), &change).unwrap();
        let tun = network.link(&name("tun0")).unwrap().unwrap();
        assert_eq!((tun.up, tun.mtu, tun.alias.as_deref()), (true, 1420, Some("phantom-wg")));
        assert!(run("ip", &["-o", "link", "show", "tun0"]).contains("alias phantom-wg"));
        network.set_link(&name("tun0"), &LinkChange { up: Some(false), ..LinkChange::default() }).unwrap();
        let tun = network.link(&name("tun0")).unwrap().unwrap();
        assert_eq!(
            (tun.up, tun.mtu, tun.alias.as_deref()),
            (false, 1420, Some("phantom-wg")),
            "the rest stays"
        );
        network
            .set_link(&name("tun0"), &LinkChange { alias: Some(String::new()), ..LinkChange::default() })
            .unwrap();
        assert_eq!(network.link(&name("tun0")).unwrap().unwrap().alias, None);
        assert!(!run("ip", &["-o", "link", "show", "tun0"]).contains("alias"));

        assert!(network.set_link(&name("absent0"), &change).unwrap_err().is_absent());
        let too_small = LinkChange { mtu: Some(10), ..LinkChange::default() };
        assert_eq!(errno(network.set_link(&name("ve0"), &too_small).unwrap_err()), 22, "EINVAL");
        network.delete_link(&name("tun0")).unwrap();
        network.delete_link(&name("ve0")).unwrap();
        assert_eq!(network.links().unwrap().len(), 1, "the peer of a veth goes with it");
        assert!(network.delete_link(&name("ve0")).unwrap_err().is_absent());
        assert!(network.delete_link(&name("lo")).is_err());
    });
}

/// A link whose message could not be decoded would be missing without a word: many kinds are tried.
#[test]
fn links_of_many_kinds_are_all_listed() {
    isolated("network::links_of_many_kinds_are_all_listed", || {
        ip("link add ve0 type veth peer name ve1");
        let mut made = Vec::new();
        for (kind, rest) in [
            ("bridge", ""),
            ("bond", ""),
            ("dummy", ""),
            ("ifb", ""),
            ("vxlan", "id 7 dstport 4789 local 127.0.0.1"),
            ("macvlan", "link ve0"),
            ("ipvlan", "link ve1"),
            ("vlan", "link ve0 id 5"),
            ("vrf", "table 77"),
            ("gre", "local 127.0.0.1 remote 127.0.0.2"),
            ("ip6gre", "local ::1 remote ::2"),
            ("ipip", "local 127.0.0.1 remote 127.0.0.2"),
            ("sit", "local 127.0.0.1 remote 127.0.0.2"),
            ("geneve", "id 9 remote 127.0.0.2"),
            ("netkit", ""),
            ("xfrm", "if_id 3"),
            ("macsec", "link ve0"),
            ("nlmon", ""),
            ("wireguard", ""),
            ("gretap", "local 127.0.0.1 remote 127.0.0.3"),
        ] {
            let link = format!("t-{kind}");
            let mut args = vec!["link", "add", "name", &link];
            if let Some(lower) = rest.strip_prefix("link ") {
                let (lower, rest) = lower.split_once(' ').unwrap_or((lower, ""));
                args.extend(["link", lower, "type", kind]);
                args.extend(rest.split_whitespace());
            } else {
                args.extend(["type", kind]);
                args.extend(rest.split_whitespace());
            }
            if attempt("ip", &args).is_ok() {
                made.push((link, kind));
            }
        }
        figure("kinds of links tried", made.iter().map(|(_, kind)| *kind).collect::<Vec<_>>());
        let network = LinuxNetwork::new();
        let all = network.links().unwrap();
        let listed = run("ip", &["-o", "link"]);
        assert_eq!(all.len(), listed.lines().count(), "{listed}");
        for (link, kind) in &made {
            let found = all.iter().find(|found| found.name == *link).unwrap_or_else(|| panic!("{link}"));
            let expected =
                if *kind == "wireguard" { LinkKind::WireGuard } else { LinkKind::Other((*kind).into()) };
            assert_eq!(found.kind, expected);
            assert_eq!(network.link(&name(link)).unwrap().as_ref(), Some(found));
        }
        assert!(made.len() >= 3, "this kernel makes hardly any kind of link");
    });
}

#[test]
fn addresses_are_added_once_and_removed_once() {
    isolated("network::addresses_are_added_once_and_removed_once", || {
        ip("link add ve0 type veth peer name ve1\nlink set ve0 up\nlink set ve1 up");
        let network = LinuxNetwork::new();
        let (v4, v6) = (net("10.8.0.1/24"), net("2001:db8::1/64"));
        for address in [v4, v6] {
            network.add_address(&name("ve0"), address).unwrap();
            assert_eq!(errno(network.add_address(&name("ve0"), address).unwrap_err()), EEXIST);
        }
        wait_for("the link-local address", || {
            run("ip", &["-6", "address", "show", "dev", "ve0"]).contains("fe80::")
        });
        let mut found = network.addresses().unwrap();
        found.sort();
        let on = |interface: &str, address| (interface.to_owned(), address);
        let expected = [on("lo", net("127.0.0.1/8")), on("lo", net("::1/128")), on("ve0", v4), on("ve0", v6)];
        assert_eq!(found, expected, "link-local addresses are left out");
        assert!(run("ip", &["route", "show", "table", "main"]).contains("10.8.0.0/24 dev ve0"));
        assert!(network.remove_address(&name("ve0"), net("10.8.0.1/16")).unwrap_err().is_absent());
        assert!(network.remove_address(&name("ve0"), net("10.8.0.2/24")).unwrap_err().is_absent());
        assert!(network.remove_address(&name("ve1"), v4).unwrap_err().is_absent());
        for address in [v4, v6] {
            network.remove_address(&name("ve0"), address).unwrap();
            assert!(network.remove_address(&name("ve0"), address).unwrap_err().is_absent());
        }
        assert_eq!(network.addresses().unwrap().len(), 2);
        assert!(network.add_address(&name("absent0"), v4).unwrap_err().is_absent());
    });
}

fn route(destination: &str, metric: u32, kind: RouteKind) -> Route {
    let destination = net(destination);
    Route { table: EXIT, destination, metric, kind, source: None, protocol: Marks::PROTOCOL }
}

fn via(interface: &str, gateway: Option<&str>) -> RouteKind {
    RouteKind::Via { interface: interface.into(), gateway: gateway.map(|gateway| gateway.parse().unwrap()) }
}

#[test]
fn routes_of_the_exit_table_come_and_go() {
    isolated("network::routes_of_the_exit_table_come_and_go", || {
        ip(
            "link add ve0 type veth peer name ve1\nlink set ve0 up\nlink set ve1 up\naddress add 192.0.2.5/24 dev ve0\n\
            -6 address add 2001:db8::5/64 dev ve0 nodad\nlink add ve2 type veth peer name ve3\nlink set ve2 up",
        );
        let network = LinuxNetwork::new();
        assert_eq!(network.routes(100).unwrap(), [], "a table that does not exist yet");
        let mut wanted = vec![
            route("0.0.0.0/0", 0, via("ve0", None)),
            route("0.0.0.0/0", 4096, RouteKind::Unreachable),
            Route {
                source: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 5))),
                ..route("198.51.100.0/24", 7, via("ve0", Some("192.0.2.1")))
            },
            route("203.0.113.0/24", 0, RouteKind::Blackhole),
            Route { table: 51820, ..route("10.0.0.0/8", 5, via("ve2", None)) },
            route("::/0", 10, via("ve0", None)),
            route("::/0", 4096, RouteKind::Unreachable),
            route("2001:db8:1::/48", 3, via("ve0", Some("2001:db8::1"))),
            route("2001:db8:2::/48", 3, RouteKind::Blackhole),
        ];
        for route in &wanted {
            network.add_route(route).unwrap();
            assert_eq!(errno(network.add_route(route).unwrap_err()), EEXIST, "{route:?}");
        }
        let all = || {
            let mut routes = network.routes(100).unwrap();
            routes.extend(network.routes(51820).unwrap());
            routes.sort();
            routes
        };
        wanted.sort();
        assert_eq!(all(), wanted);
        let shown = run("ip", &["-N", "route", "show", "table", "100"]);
        assert!(shown.contains("7 default proto 187 metric 4096"), "{shown}");
        let shown = run("ip", &["-N", "-6", "route", "show", "table", "100"]);
        assert!(shown.contains("7 default dev lo proto 187 metric 4096"), "{shown}");

        // Nothing that is merely alike is removed.
        for near in [
            route("0.0.0.0/0", 1, via("ve0", None)),
            route("0.0.0.0/0", 0, via("ve2", None)),
            route("0.0.0.0/0", 0, RouteKind::Unreachable),
            route("198.51.100.0/24", 7, via("ve0", Some("192.0.2.1"))),
            Route { protocol: 4, ..route("203.0.113.0/24", 0, RouteKind::Blackhole) },
            route("::/0", 10, RouteKind::Unreachable),
            route("::/0", 11, via("ve0", None)),
            Route { table: 101, ..route("0.0.0.0/0", 0, via("ve0", None)) },
        ] {
            assert!(network.remove_route(&near).unwrap_err().is_absent(), "{near:?}");
        }
        assert_eq!(all(), wanted);
        while let Some(route) = wanted.pop() {
            network.remove_route(&route).unwrap();
            assert_eq!(all(), wanted);
            assert!(network.remove_route(&route).unwrap_err().is_absent());
        }
    });
}

#[test]
fn routes_that_the_kernel_would_change_or_cannot_have_are_refused() {
    isolated("network::routes_that_the_kernel_would_change_or_cannot_have_are_refused", || {
        ip("link add ve0 type veth peer name ve1");
        let network = LinuxNetwork::new();
        let no_metric = route("::/0", 0, via("ve0", None));
        assert!(matches!(network.add_route(&no_metric), Err(HostError::Unsupported { .. })));
        assert!(network.add_route(&route("0.0.0.0/0", 0, via("absent0", None))).unwrap_err().is_absent());
        assert_eq!(
            errno(network.add_route(&route("0.0.0.0/0", 0, via("ve0", None))).unwrap_err()),
            100,
            "ENETDOWN"
        );
    });
}

/// What others put in the tables: next hops of several kinds, cached and local entries.
#[test]
fn foreign_routes_are_read() {
    isolated("network::foreign_routes_are_read", || {
        ip(
            "link add ve0 type veth peer name ve1\nlink set ve0 up\nlink set ve1 up\naddress add 192.0.2.5/24 dev ve0\n\
            -6 address add 2001:db8::5/64 dev ve0 nodad\n\
            route add 10.1.0.0/16 nexthop via 192.0.2.1 dev ve0 nexthop via 192.0.2.2 dev ve0\n\
            route add 10.2.0.0/16 via inet6 2001:db8::9 dev ve0\nroute add prohibit 10.3.0.0/16\n\
            route add throw 10.4.0.0/16\nroute add 10.5.0.0/16 via 192.0.2.1 mtu 1300 table 254\n\
            nexthop add id 7 via 192.0.2.3 dev ve0\nroute add 10.6.0.0/16 nhid 7",
        );
        let routes = LinuxNetwork::new().routes(254).unwrap();
        let to = |destination: &str| {
            let net = net(destination);
            routes
                .iter()
                .filter(|route| route.destination == net)
                .map(|route| route.kind.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(to("10.1.0.0/16"), [via("ve0", Some("192.0.2.1")), via("ve0", Some("192.0.2.2"))]);
        assert_eq!(to("10.2.0.0/16"), [via("ve0", Some("2001:db8::9"))]);
        assert_eq!(to("10.5.0.0/16"), [via("ve0", Some("192.0.2.1"))]);
        assert_eq!(to("10.6.0.0/16"), [via("ve0", Some("192.0.2.3"))]);
        assert_eq!((to("10.3.0.0/16").len(), to("10.4.0.0/16").len()), (0, 0), "no words for these");
        assert!(
            routes.iter().all(|route| route.destination.ip().to_string() != "127.0.0.1"),
            "no local entries"
        );
    });
}

#[test]
fn rules_come_and_go() {
    isolated("network::rules_come_and_go", || {
        let network = LinuxNetwork::new();
        let plain = Rule {
            priority: EXIT,
            ipv6: false,
            from: Some(net("10.8.0.0/24")),
            to: None,
            in_interface: None,
            table: EXIT,
            protocol: Marks::PROTOCOL,
        };
        let mut wanted = vec![
            Rule { priority: EXIT - 1, to: Some(net("10.8.0.0/24")), table: 254, ..plain.clone() },
            plain.clone(),
            Rule { from: None, in_interface: Some("wg_main".into()), table: 51820, ..plain.clone() },
            Rule { ipv6: true, from: Some(net("fd00::/64")), ..plain.clone() },
        ];
        let before = network.rules().unwrap();
        assert!(before.len() >= 5, "local, main and default of IPv4, local and main of IPv6: {before:?}");
        for rule in &wanted {
            network.add_rule(rule).unwrap();
            assert_eq!(errno(network.add_rule(rule).unwrap_err()), EEXIST, "{rule:?}");
        }
        let ours = || {
            let mut rules: Vec<_> = network
                .rules()
                .unwrap()
                .into_iter()
                .filter(|rule| rule.protocol == Marks::PROTOCOL)
                .collect();
            rules.sort();
            rules
        };
        wanted.sort();
        assert_eq!(ours(), wanted);
        let shown = run("ip", &["-N", "rule"]);
        assert!(shown.contains("99:\tfrom 10.8.0.0/24 to 10.8.0.0/24 lookup 254 proto 187"), "{shown}");

        let near = [
            Rule { priority: 101, ..plain.clone() },
            Rule { from: Some(net("10.8.0.0/25")), ..plain.clone() },
            Rule { from: None, ..plain.clone() },
            Rule { protocol: 3, ..plain.clone() },
            Rule { table: 254, ..plain.clone() },
            Rule { in_interface: Some("lo".into()), ..plain.clone() },
        ];
        for rule in near {
            assert!(network.remove_rule(&rule).unwrap_err().is_absent(), "{rule:?}");
        }
        assert_eq!(ours(), wanted);
        while let Some(rule) = wanted.pop() {
            network.remove_rule(&rule).unwrap();
            assert_eq!(ours(), wanted);
            assert!(network.remove_rule(&rule).unwrap_err().is_absent());
        }
        assert_eq!(network.rules().unwrap(), before, "what others made stays");
    });
}

/// Rules that differ only in what one of them does not ask for.
#[test]
fn a_wide_rule_beside_a_narrow_one() {
    isolated("network::a_wide_rule_beside_a_narrow_one", || {
        let network = LinuxNetwork::new();
        let wide = Rule {
            priority: 100,
            ipv6: false,
            from: None,
            to: None,
            in_interface: None,
            table: 100,
            protocol: 187,
        };
        let narrow = Rule { from: Some(net("10.8.0.0/24")), ..wide.clone() };
        network.add_rule(&wide).unwrap();
        network.add_rule(&narrow).unwrap();
        network.remove_rule(&wide).unwrap();
        assert!(network.rules().unwrap().contains(&narrow));
        assert!(network.remove_rule(&wide).unwrap_err().is_absent());
        // The kernel takes the narrow one for the wide one here.
        assert_eq!(errno(network.add_rule(&wide).unwrap_err()), EEXIST);
        network.remove_rule(&narrow).unwrap();
    });
}

#[test]
fn the_uplink_is_found() {
    isolated("network::the_uplink_is_found", || {
        let network = LinuxNetwork::new();
        assert_eq!(network.uplink().unwrap(), None);
        ip(
            "link add ve0 type veth peer name ve1\nlink set ve0 up\nlink set ve1 up\nlink add ve2 type veth peer name ve3\n\
            link set ve2 up\nlink set ve3 up\naddress add 192.0.2.5/24 dev ve0\naddress add 192.0.2.77/32 dev ve0\n\
            address add 198.51.100.6/28 dev ve2\nroute add default via 192.0.2.1 dev ve0 metric 100",
        );
        let mut uplink = Uplink {
            interface: "ve0".into(),
            address: Some(Ipv4Addr::new(192, 0, 2, 5)),
            prefix: Some(24),
            ipv6: None,
        };
        assert_eq!(network.uplink().unwrap(), Some(uplink.clone()));
        // The preferred source of the route counts; unique local, deprecated and temporary IPv6 addresses do not.
        ip(
            "route change default via 192.0.2.1 dev ve0 metric 100 src 192.0.2.77\n-6 address add fd00::5/64 dev ve0 nodad\n\
            -6 address add 2001:db8::6/64 dev ve0 nodad preferred_lft 0\n-6 address add 2001:db8:f::7/64 dev ve2 nodad",
        );
        uplink.address = Some(Ipv4Addr::new(192, 0, 2, 77));
        uplink.prefix = Some(32);
        assert_eq!(network.uplink().unwrap(), Some(uplink.clone()));
        ip("-6 address add 2001:db8::8/64 dev ve0 nodad valid_lft 3000 preferred_lft 2000");
        uplink.ipv6 = Some("2001:db8::8".parse().unwrap());
        assert_eq!(network.uplink().unwrap(), Some(uplink.clone()));
        ip("-6 address add 2001:db8::5/64 dev ve0 nodad");
        uplink.ipv6 = Some("2001:db8::5".parse().unwrap());
        assert_eq!(network.uplink().unwrap(), Some(uplink), "one that does not expire is better");
        // The lower metric wins; a way that another program's rule prefers does not change which interface it is.
        ip("route add default via 198.51.100.1 dev ve2 metric 50\nroute add default dev ve0 table 51820\n\
            rule add lookup 51820 priority 50");
        let expected = Uplink {
            interface: "ve2".into(),
            address: Some(Ipv4Addr::new(198, 51, 100, 6)),
            prefix: Some(28),
            ipv6: Some("2001:db8:f::7".parse().unwrap()),
        };
        assert_eq!(network.uplink().unwrap(), Some(expected));
        // A default route that leads nowhere is none.
        ip("route flush table main\nroute add unreachable default metric 1");
        assert_eq!(network.uplink().unwrap(), None);
    });
}

#[test]
fn a_namespace_without_ipv6_works() {
    isolated("network::a_namespace_without_ipv6_works", || {
        if let Err(error) = attempt("sysctl", &["-qw", "net.ipv6.conf.all.disable_ipv6=1"]) {
            return skipped("network::a_namespace_without_ipv6_works", &error);
        }
        ip("link add ve0 type veth peer name ve1\nlink set ve0 up\naddress add 192.0.2.5/24 dev ve0");
        let network = LinuxNetwork::new();
        assert_eq!(network.routes(100).unwrap(), []);
        assert_eq!(network.addresses().unwrap().len(), 2);
        assert_eq!(errno(network.add_route(&route("::/0", 10, via("ve0", None))).unwrap_err()), 13, "EACCES");
        network.add_route(&route("::/0", 4096, RouteKind::Unreachable)).unwrap();
    });
}

#[test]
fn round_trips_are_short() {
    isolated("network::round_trips_are_short", || {
        ip(
            "link add ve0 type veth peer name ve1\nlink set ve0 up\nlink set ve1 up\naddress add 192.0.2.5/24 dev ve0\n\
            route add default via 192.0.2.1 dev ve0",
        );
        let first = std::time::Instant::now();
        let network = LinuxNetwork::new();
        network.link(&name("ve0")).unwrap();
        figure("first link, with making the runtime", first.elapsed());
        figure("link", median(200, || drop(network.link(&name("ve0")).unwrap())));
        figure("links", median(200, || drop(network.links().unwrap())));
        figure("routes of a table", median(200, || drop(network.routes(100).unwrap())));
        figure("uplink", median(200, || drop(network.uplink().unwrap())));
    });
}
