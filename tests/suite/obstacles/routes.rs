//! Routes in the table of the exit, which others use as well, and a kernel without IPv6.

use std::net::IpAddr;

use phantom_host::{LinkChange, LinkKind, Route, RouteKind};
use phantom_tests::Server;

use crate::cases::{ENABLE_MULTIHOP, through_exit, with_exit};

/// A way of somebody else to a network of theirs, and one that has the place of ours.
fn put_routes(server: &Server, destinations: &[&str]) -> Vec<Route> {
    server.fake.add_link("uplink2", LinkKind::Other("dummy".into())).unwrap();
    server.fake.change_link("uplink2", &LinkChange { up: Some(true), ..LinkChange::default() }).unwrap();
    let route = |destination: &&str| Route {
        table: server.tags().exit_table(),
        destination: destination.parse().unwrap(),
        metric: 0,
        kind: RouteKind::Via { interface: "uplink2".into(), gateway: None },
        source: None,
        protocol: 3,
    };
    let routes: Vec<Route> = destinations.iter().map(route).collect();
    for route in &routes {
        server.fake.give_route(route).unwrap();
    }
    routes
}

fn table(server: &Server) -> Vec<Route> {
    server.host.network.routes(server.tags().exit_table()).unwrap()
}

#[test]
fn foreign_routes_stay_where_we_have_none() {
    let server = with_exit();
    let theirs = put_routes(&server, &["198.18.7.0/24", "0.0.0.0/0"]);
    for words in [&["core", "setup"][..], &["core", "restart_service"], &["core", "reconcile"]] {
        server.api(words).ok();
        assert_eq!(table(&server), theirs, "{words:?}");
    }
    server.assert_in_sync();
    // Clients would leave by them.
    let refused = server.api(ENABLE_MULTIHOP).json();
    assert_eq!(refused["success"], false, "{refused:#}");
    let name = format!("the route to 198.18.7.0/24 in table {}", server.tags().exit_table());
    let error = refused["error"].as_str().unwrap();
    let said = error.contains(&name) || error.contains("the route to 0.0.0.0/0");
    assert!(said && error.contains("does not belong to this system"), "{refused:#}");
    assert_eq!(table(&server), theirs);
    server.assert_in_sync();
}

#[test]
fn foreign_routes_beside_ours_are_reported() {
    let server = through_exit();
    let ours = table(&server);
    let theirs = put_routes(&server, &["198.18.7.0/24"]);
    let answer = server.api(&["core", "reconcile"]);
    let command = format!("ip route del 198.18.7.0/24 table {} metric 0", server.tags().exit_table());
    assert!(answer.err.contains(&command), "{}", answer.err);
    let report = answer.ok();
    assert_eq!(report["in_sync"], false, "{report:#}");
    assert!(report["message"].as_str().unwrap().contains("198.18.7.0/24"), "{report:#}");
    let doctor = server.api(&["core", "doctor"]).ok();
    let finding = doctor["checks"].as_array().unwrap().iter().find(|one| one["name"] == "host_in_sync");
    assert!(finding.unwrap()["hint"].as_str().unwrap().contains(&command), "{doctor:#}");
    // Nothing waits for it.
    server.api(&["core", "add_client", "client_name=more"]).ok();
    server.api(&["core", "restart_service"]).ok();
    assert!(theirs.iter().chain(&ours).all(|route| table(&server).contains(route)));
    server.api(&["multihop", "disable_multihop"]).ok();
    assert_eq!(table(&server), theirs);
    server.assert_in_sync();
}

/// The kernel knows a route by its table, its destination and its metric. One of ours that somebody has written again has
/// another protocol, and cannot be added a second time.
#[test]
fn rewritten_route_of_ours_is_replaced() {
    let server = through_exit();
    let ours = table(&server);
    let way = ours.iter().find(|route| matches!(route.kind, RouteKind::Via { .. })).unwrap();
    let last = ours.iter().find(|route| route.kind == RouteKind::Unreachable).unwrap();
    let written = [
        (way, Route { protocol: 3, ..way.clone() }),
        (way, Route { source: Some(IpAddr::from([10, 8, 0, 1])), ..way.clone() }),
        (last, Route { kind: RouteKind::Blackhole, ..last.clone() }),
    ];
    for (before, after) in written {
        server.fake.take_route(before).unwrap();
        server.fake.give_route(&after).unwrap();
        for words in [
            &["ghost", "enable", "domain=vpn.example.com", "skip_dns_check=true"][..],
            &["core", "remove_client", "client_name=john-laptop"],
            &["core", "add_client", "client_name=john-laptop"],
        ] {
            server.api(words).ok();
        }
        assert!(table(&server).contains(before), "{after:?}");
        server.assert_in_sync();
        server.api(&["ghost", "disable"]).ok();
    }
    // Where it is in the way of the change that takes ours away.
    server.fake.take_route(way).unwrap();
    server.fake.give_route(&Route { protocol: 3, ..way.clone() }).unwrap();
    server.api(&["multihop", "disable_multihop"]).ok();
    assert_eq!(table(&server), []);
    server.assert_in_sync();
}

#[test]
fn kernel_without_ipv6_still_uses_exit() {
    let server = with_exit();
    server.fake.set_sysctl("net.ipv6.conf.all.disable_ipv6", None);
    server.api(ENABLE_MULTIHOP).ok();
    server.assert_in_sync();
    let routes = table(&server);
    assert!(routes.iter().all(|route| route.destination.is_ipv4()), "{routes:?}");
    assert!(routes.iter().any(|route| route.kind == RouteKind::Unreachable), "{routes:?}");
    let status = server.api(&["multihop", "status"]).ok();
    assert_eq!(status["kill_switch"], true, "{status:#}");
    server.reboot();
    server.fake.set_sysctl("net.ipv6.conf.all.disable_ipv6", None);
    assert_eq!(server.api(&["service", "block"]).exit, 0);
    server.api(&["core", "reconcile"]).ok();
    server.assert_in_sync();
    server.api(&["multihop", "disable_multihop"]).ok();
    server.assert_in_sync();
}
