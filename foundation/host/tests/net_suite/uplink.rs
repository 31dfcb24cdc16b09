//! The uplink, and how long answers take.

use std::net::Ipv4Addr;

use phantom_host::linux::LinuxNetwork;
use phantom_host::{Network, Uplink};

use crate::namespace::{figure, ip, isolated, median};
use crate::words::name;

#[test]
fn the_uplink_is_found() {
    isolated("uplink::the_uplink_is_found", || {
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
fn round_trips_are_short() {
    isolated("uplink::round_trips_are_short", || {
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
