//! The addresses that have a meaning on a host: what an address from outside can collide with.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use ipnetwork::IpNetwork;

use crate::resolv_conf::{RESOLV_CONF, name_servers};
use crate::{Files, Network, RouteKind, RuleAction};

/// The main routing table (`RT_TABLE_MAIN`).
const MAIN_TABLE: u32 = 254;
/// The table of the host's own addresses (`RT_TABLE_LOCAL`): they are asked for as addresses.
const LOCAL_TABLE: u32 = 255;
/// Where systemd-resolved writes the servers that it asks itself; `/etc/resolv.conf` then names only systemd-resolved.
const UPSTREAM_RESOLV_CONF: &str = "/run/systemd/resolve/resolv.conf";

/// Addresses that have a meaning on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostAddresses {
    /// The host's own addresses, each with its interface and its prefix length. IPv6 link-local ones are left out.
    pub own: Vec<(String, IpNetwork)>,
    /// Next hops of routes, each with the interface of the route.
    pub gateways: BTreeSet<(String, IpAddr)>,
    /// Single hosts that have a route of their own (IPv4, prefix length 32), each with the interface of the route.
    pub routed_hosts: BTreeSet<(String, IpAddr)>,
    /// The resolvers of the host, those behind systemd-resolved among them.
    pub resolvers: BTreeSet<IpAddr>,
}

/// Asks the host for its addresses, for the routes of all tables that its policy rules name, except the table `skip`, and
/// for its resolvers.
///
/// A part of the host that does not answer leaves its part out. Nothing is sent, and nothing changed.
pub fn host_addresses(network: &dyn Network, files: &dyn Files, skip: u32) -> HostAddresses {
    let mut found =
        HostAddresses { own: network.addresses().unwrap_or_default(), ..HostAddresses::default() };
    let named = network.rules().unwrap_or_default().into_iter().filter_map(|rule| match rule.action {
        RuleAction::Lookup(table) => Some(table),
        RuleAction::Unreachable | RuleAction::Other(_) => None,
    });
    let tables: BTreeSet<u32> = named.chain([MAIN_TABLE]).collect();
    for table in tables.into_iter().filter(|table| ![skip, LOCAL_TABLE].contains(table)) {
        for route in network.routes(table).unwrap_or_default() {
            let RouteKind::Via { interface, gateway } = route.kind else { continue };
            if let Some(gateway) = gateway {
                found.gateways.insert((interface.clone(), gateway));
            }
            if route.destination.is_ipv4() && route.destination.prefix() == 32 {
                found.routed_hosts.insert((interface, route.destination.ip()));
            }
        }
    }
    for file in [RESOLV_CONF, UPSTREAM_RESOLV_CONF] {
        let content = files.read(Path::new(file)).ok().flatten().unwrap_or_default();
        found.resolvers.extend(name_servers(&String::from_utf8_lossy(&content)));
    }
    found
}

#[cfg(all(test, feature = "fake"))]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{Host, LinkKind, PolicyRule, Route};

    #[test]
    fn every_ruled_table_is_asked_except_skipped() {
        let (host, fake) = Host::fake();
        let via = |table, destination: &str, gateway: Option<&str>| Route {
            table,
            destination: destination.parse().unwrap(),
            metric: 5,
            kind: RouteKind::Via {
                interface: "eth0".into(),
                gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            },
            source: None,
            protocol: 3,
        };
        fake.add_link("docker0", LinkKind::Other("bridge".into())).unwrap();
        fake.give_address("docker0", "172.17.0.1/16".parse().unwrap()).unwrap();
        let rule = |table, priority| PolicyRule {
            priority,
            ipv6: false,
            from: None,
            to: None,
            in_interface: None,
            action: RuleAction::Lookup(table),
            protocol: 4,
        };
        for (table, gateway) in [(77, "203.0.113.77"), (100, "203.0.113.100"), (78, "203.0.113.78")] {
            fake.give_route(&via(table, "0.0.0.0/0", Some(gateway))).unwrap();
        }
        fake.give_route(&via(254, "203.0.113.53/32", None)).unwrap();
        fake.give_rule(&rule(77, 1_000)).unwrap();
        fake.give_rule(&rule(100, 1_001)).unwrap();
        fake.put_file(RESOLV_CONF, b"nameserver 127.0.0.53\n", 0o644, 0);
        fake.put_file(UPSTREAM_RESOLV_CONF, b"nameserver 192.0.2.53\nnameserver 2001:db8::53\n", 0o644, 0);
        let found = host_addresses(&*host.network, &*host.files, 100);
        let own: Vec<String> = found.own.iter().map(|(name, network)| format!("{name} {network}")).collect();
        let expected = [
            "lo 127.0.0.1/8",
            "lo ::1/128",
            "eth0 203.0.113.10/24",
            "eth0 2001:db8::10/64",
            "docker0 172.17.0.1/16",
        ];
        assert_eq!(own, expected);
        let of_eth0 = |addresses: &[&str]| -> BTreeSet<(String, IpAddr)> {
            addresses.iter().map(|address| ("eth0".to_owned(), address.parse().unwrap())).collect()
        };
        assert_eq!(found.gateways, of_eth0(&["203.0.113.1", "203.0.113.77", "fe80::1"]));
        assert_eq!(found.routed_hosts, of_eth0(&["203.0.113.53"]));
        let resolvers: Vec<String> = found.resolvers.iter().map(ToString::to_string).collect();
        assert_eq!(resolvers, ["127.0.0.53", "192.0.2.53", "2001:db8::53"]);
    }

    #[test]
    fn host_without_routes_has_its_own_addresses() {
        let (host, fake) = Host::fake();
        for route in host.network.routes(MAIN_TABLE).unwrap() {
            fake.take_route(&route).unwrap();
        }
        let found = host_addresses(&*host.network, &*host.files, 100);
        assert!(found.own.iter().any(|(_, network)| network.ip() == Ipv4Addr::new(203, 0, 113, 10)));
        assert_eq!(
            HostAddresses { own: Vec::new(), ..found },
            HostAddresses::default(),
            "what is not there collides with nothing"
        );
    }
}
