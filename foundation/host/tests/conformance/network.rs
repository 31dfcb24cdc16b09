//! Links and addresses.

use phantom_host::{Link, LinkChange, LinkGuard, LinkKind, Route};

use crate::bench::{Bench, kind, main_routes, name, network, via};

fn link(bench: &Bench, of: &str) -> Link {
    bench.host.network.link(&name(of)).unwrap().unwrap()
}

fn up(bench: &Bench, of: &str, up: bool) {
    bench.host.network.set_link(&name(of), &LinkChange { up: Some(up), ..LinkChange::default() }).unwrap();
}

fn addresses_of(bench: &Bench, of: &str) -> Vec<String> {
    let all = bench.host.network.addresses().unwrap().into_iter();
    let mut own: Vec<_> =
        all.filter(|(link, _)| link == of).map(|(_, address)| address.to_string()).collect();
    own.sort();
    own
}

pub(crate) fn links(bench: &Bench) {
    let network = &bench.host.network;
    let cft0 = name("cft0");
    assert_eq!(network.link(&cft0).unwrap(), None);
    let nothing = LinkChange::default();
    assert_eq!(kind(network.set_link(&cft0, &nothing)), "absent");
    assert_eq!(kind(network.delete_link(&cft0)), "absent");
    let lo = link(bench, "lo");
    assert_eq!((lo.index, lo.up, lo.mtu, lo.kind), (1, true, 65536, LinkKind::Other(String::new())));

    bench.lab.add_tun("cft0");
    let fresh = link(bench, "cft0");
    let expected =
        Link { name: "cft0".into(), kind: LinkKind::Tun, up: false, mtu: 1500, alias: None, ..fresh.clone() };
    assert_eq!(fresh, expected);
    assert!(network.links().unwrap().contains(&fresh));
    network.set_link(&cft0, &nothing).unwrap();
    assert_eq!(link(bench, "cft0"), fresh);

    let change = LinkChange { up: Some(true), mtu: Some(1420), alias: Some("phantom-wg".into()) };
    for _ in 0..2 {
        network.set_link(&cft0, &change).unwrap();
        let changed = Link { up: true, mtu: 1420, alias: Some("phantom-wg".into()), ..fresh.clone() };
        assert_eq!(link(bench, "cft0"), changed);
    }
    network.set_link(&cft0, &LinkChange { alias: Some(String::new()), ..nothing.clone() }).unwrap();
    assert_eq!(link(bench, "cft0").alias, None, "an empty alias removes it");

    for mtu in [0, 67, 65536] {
        assert_eq!(
            kind(network.set_link(&cft0, &LinkChange { mtu: Some(mtu), ..nothing.clone() })),
            "kernel EINVAL"
        );
    }
    let alias = |length| LinkChange { alias: Some("a".repeat(length)), ..LinkChange::default() };
    network.set_link(&cft0, &alias(254)).unwrap();
    assert_eq!(kind(network.set_link(&cft0, &alias(255))), "kernel ERANGE");
    assert_eq!(link(bench, "cft0").mtu, 1420, "a refused change changes nothing");

    assert_eq!(kind(network.delete_link(&name("lo"))), "kernel EOPNOTSUPP");
    network.delete_link(&cft0).unwrap();
    assert_eq!(network.link(&cft0).unwrap(), None);
    bench.lab.add_tun("cft0");
    assert!(link(bench, "cft0").index > fresh.index, "a new link has a new number");
}

/// What lets pass, whatever the packet filter says.
pub(crate) fn guards(bench: &Bench) {
    let host = &bench.host.network;
    let cft0 = name("cft0");
    let list = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
    let guard = LinkGuard { sources: list(&["10.71.0.1", "fd71::1"]), destinations: list(&["10.71.0.1"]) };
    assert_eq!(kind(host.has_guard(&cft0, &guard)), "absent");
    assert_eq!(kind(host.set_guard(&cft0, &guard)), "absent");
    bench.lab.add_tun("cft0");
    assert!(
        !host.has_guard(&cft0, &guard).unwrap() && !host.has_guard(&cft0, &LinkGuard::default()).unwrap()
    );
    if let Err(error) = host.set_guard(&cft0, &guard) {
        assert_eq!(kind::<()>(Err(error)), "unsupported");
        return bench.lab.skip("this kernel has no cls_bpf");
    }
    assert!(host.has_guard(&cft0, &guard).unwrap());
    host.set_guard(&cft0, &guard).unwrap();
    assert!(host.has_guard(&cft0, &guard).unwrap(), "the same again");
    let nothing_in = LinkGuard { destinations: list(&[]), ..guard.clone() };
    let more_out = LinkGuard { sources: list(&["10.71.0.1", "10.71.0.2", "fd71::1"]), ..guard.clone() };
    for other in [&nothing_in, &more_out, &LinkGuard::default()] {
        assert!(!host.has_guard(&cft0, other).unwrap(), "{other:?}");
        host.set_guard(&cft0, other).unwrap();
        assert!(
            host.has_guard(&cft0, other).unwrap() && !host.has_guard(&cft0, &guard).unwrap(),
            "{other:?}"
        );
    }
    host.set_guard(&cft0, &guard).unwrap();
    bench.lab.remove_guard("cft0");
    assert!(!host.has_guard(&cft0, &guard).unwrap(), "taken away by hand");
    host.set_guard(&cft0, &guard).unwrap();
    host.delete_link(&cft0).unwrap();
    bench.lab.add_tun("cft0");
    assert!(!host.has_guard(&cft0, &guard).unwrap(), "it goes with its link");
}

pub(crate) fn addresses(bench: &Bench) {
    let host = &bench.host.network;
    let cft0 = name("cft0");
    assert_eq!(kind(host.add_address(&cft0, network("10.71.0.1/24"))), "absent");
    assert_eq!(kind(host.remove_address(&cft0, network("10.71.0.1/24"))), "absent");
    bench.lab.add_tun("cft0");
    bench.lab.add_tun("cft1");

    // Strict: what is there cannot be added, what is not there cannot be removed.
    host.add_address(&cft0, network("10.71.0.1/24")).unwrap();
    assert_eq!(kind(host.add_address(&cft0, network("10.71.0.1/24"))), "kernel EEXIST");
    assert_eq!(kind(host.remove_address(&cft0, network("10.71.0.2/24"))), "absent");
    assert_eq!(kind(host.remove_address(&cft0, network("10.71.0.1/25"))), "absent", "another prefix");
    host.add_address(&cft0, network("fd71::1/64")).unwrap();
    assert_eq!(kind(host.add_address(&cft0, network("fd71::1/64"))), "kernel EEXIST");
    assert_eq!(kind(host.remove_address(&cft0, network("fd71::2/64"))), "absent");

    // The same IPv4 address with another prefix is another one, that of IPv6 is not; other links do not matter.
    host.add_address(&cft0, network("10.71.0.1/16")).unwrap();
    assert_eq!(kind(host.add_address(&cft0, network("fd71::1/48"))), "kernel EEXIST");
    host.add_address(&name("cft1"), network("10.71.0.1/24")).unwrap();
    assert_eq!(addresses_of(bench, "cft0"), ["10.71.0.1/16", "10.71.0.1/24", "fd71::1/64"]);
    assert_eq!(addresses_of(bench, "cft1"), ["10.71.0.1/24"]);

    host.remove_address(&cft0, network("10.71.0.1/16")).unwrap();
    host.remove_address(&cft0, network("fd71::1/64")).unwrap();
    assert_eq!(addresses_of(bench, "cft0"), ["10.71.0.1/24"]);

    // Below the smallest MTU of IPv6 a link has none.
    host.add_address(&cft0, network("fd71::1/64")).unwrap();
    host.set_link(&cft0, &LinkChange { mtu: Some(1279), ..LinkChange::default() }).unwrap();
    assert_eq!(addresses_of(bench, "cft0"), ["10.71.0.1/24"]);
    assert_eq!(kind(host.add_address(&cft0, network("fd71::1/64"))), "kernel EINVAL");

    first_address_of_a_network(bench);
}

/// With the first address of an IPv4 network the later ones of that network go.
fn first_address_of_a_network(bench: &Bench) {
    let host = &bench.host.network;
    bench.lab.add_tun("cft2");
    let cft2 = name("cft2");
    up(bench, "cft2", true);
    for address in ["10.72.0.1/24", "10.72.0.2/24", "10.73.0.1/24"] {
        host.add_address(&cft2, network(address)).unwrap();
    }
    assert_eq!(main_routes(bench, "cft2"), ["10.72.0.0/24 10.72.0.1", "10.73.0.0/24 10.73.0.1"]);
    host.remove_address(&cft2, network("10.72.0.2/24")).unwrap();
    assert_eq!(main_routes(bench, "cft2"), ["10.72.0.0/24 10.72.0.1", "10.73.0.0/24 10.73.0.1"]);
    host.add_address(&cft2, network("10.72.0.2/24")).unwrap();
    host.remove_address(&cft2, network("10.72.0.1/24")).unwrap();
    assert_eq!(addresses_of(bench, "cft2"), ["10.73.0.1/24"]);
    assert_eq!(main_routes(bench, "cft2"), ["10.73.0.0/24 10.73.0.1"]);
}

pub(crate) fn what_goes_with_a_link(bench: &Bench) {
    let host = &bench.host.network;
    let cft0 = name("cft0");
    bench.lab.add_tun("cft0");
    for address in ["10.71.0.1/24", "10.72.0.1/32", "fd71::1/64", "fd72::1/128"] {
        host.add_address(&cft0, network(address)).unwrap();
    }
    assert_eq!(main_routes(bench, "cft0"), Vec::<String>::new(), "a link that is down has no route");
    up(bench, "cft0", true);
    let connected = ["10.71.0.0/24 10.71.0.1", "fd71::/64 -", "fd72::1/128 -"];
    assert_eq!(main_routes(bench, "cft0"), connected);
    let made_by_kernel =
        host.routes(254).unwrap().into_iter().find(|r| r.destination == network("10.71.0.0/24"));
    let expected =
        Route { source: Some([10, 71, 0, 1].into()), protocol: 2, ..via("cft0", "10.71.0.0/24", 254) };
    assert_eq!(made_by_kernel, Some(Route { metric: 0, ..expected }));
    let metric = |destination: &str| {
        let routes = host.routes(254).unwrap();
        routes.into_iter().find(|route| route.destination == network(destination)).unwrap().metric
    };
    assert_eq!(metric("fd71::/64"), 256);

    // Down: all routes go, of every table, and the IPv6 addresses; the routes of addresses come back with it.
    host.add_route(&via("cft0", "10.80.0.0/16", 100)).unwrap();
    host.add_route(&via("cft0", "10.81.0.0/16", 254)).unwrap();
    host.add_route(&via("cft0", "fd80::/64", 100)).unwrap();
    up(bench, "cft0", false);
    assert_eq!(main_routes(bench, "cft0"), Vec::<String>::new());
    assert_eq!(host.routes(100).unwrap(), []);
    assert_eq!(addresses_of(bench, "cft0"), ["10.71.0.1/24", "10.72.0.1/32"]);
    up(bench, "cft0", true);
    assert_eq!(main_routes(bench, "cft0"), connected[..1]);

    // Without its last IPv4 address a link has no IPv4 route.
    host.add_route(&via("cft0", "10.81.0.0/16", 254)).unwrap();
    host.add_route(&via("cft0", "fd80::/64", 100)).unwrap();
    host.remove_address(&cft0, network("10.71.0.1/24")).unwrap();
    assert_eq!(main_routes(bench, "cft0"), ["10.81.0.0/16 -"]);
    host.remove_address(&cft0, network("10.72.0.1/32")).unwrap();
    assert_eq!(main_routes(bench, "cft0"), Vec::<String>::new());
    assert_eq!(host.routes(100).unwrap(), [via("cft0", "fd80::/64", 100)]);

    // Deleted: everything goes.
    host.add_address(&cft0, network("10.71.0.1/24")).unwrap();
    host.delete_link(&cft0).unwrap();
    assert_eq!(addresses_of(bench, "cft0"), Vec::<String>::new());
    assert_eq!(host.routes(100).unwrap(), []);
    assert_eq!(main_routes(bench, "cft0"), Vec::<String>::new());
}
