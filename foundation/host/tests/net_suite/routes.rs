//! Routes.

use std::net::{IpAddr, Ipv4Addr};

use phantom_host::linux::LinuxNetwork;
use phantom_host::{HostError, Network, Route, RouteKind};

use crate::namespace::{attempt, ip, isolated, run, skipped};
use crate::words::{EEXIST, EXIT, errno, net};

fn route(destination: &str, metric: u32, kind: RouteKind) -> Route {
    let destination = net(destination);
    Route { table: EXIT, destination, metric, kind, source: None, protocol: 187 }
}

fn via(interface: &str, gateway: Option<&str>) -> RouteKind {
    RouteKind::Via { interface: interface.into(), gateway: gateway.map(|gateway| gateway.parse().unwrap()) }
}

#[test]
fn exit_table_routes_come_and_go() {
    isolated("routes::exit_table_routes_come_and_go", || {
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
fn impossible_or_changed_routes_are_refused() {
    isolated("routes::impossible_or_changed_routes_are_refused", || {
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
    isolated("routes::foreign_routes_are_read", || {
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
fn a_namespace_without_ipv6_works() {
    isolated("routes::a_namespace_without_ipv6_works", || {
        if let Err(error) = attempt("sysctl", &["-qw", "net.ipv6.conf.all.disable_ipv6=1"]) {
            return skipped("routes::a_namespace_without_ipv6_works", &error);
        }
        ip("link add ve0 type veth peer name ve1\nlink set ve0 up\naddress add 192.0.2.5/24 dev ve0");
        let network = LinuxNetwork::new();
        assert_eq!(network.routes(100).unwrap(), []);
        assert_eq!(network.addresses().unwrap().len(), 2);
        assert_eq!(errno(network.add_route(&route("::/0", 10, via("ve0", None))).unwrap_err()), 13, "EACCES");
        network.add_route(&route("::/0", 4096, RouteKind::Unreachable)).unwrap();
    });
}
