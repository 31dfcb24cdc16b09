//! What is missing on the host: a pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use phantom_types::Said;
use phantom_types::watch::{Watched, WatchedRoute, WatchedRule};

/// A link as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenLink {
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Its alias (`IFLA_IFALIAS`).
    pub alias: Option<String>,
    /// Its addresses.
    pub addresses: BTreeSet<IpNetwork>,
    /// The addresses that the kernel delivers to the host itself by it (table `local`).
    pub local: BTreeSet<IpAddr>,
    /// It has a filter of its own for what comes in.
    pub guarded: bool,
}

/// The host, as far as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The links that are there.
    pub links: BTreeMap<String, SeenLink>,
    /// Policy rules of both families.
    pub rules: BTreeSet<WatchedRule>,
    /// Routes of the tables that were asked for.
    pub routes: BTreeSet<WatchedRoute>,
    /// Kernel settings with their values.
    pub settings: BTreeMap<String, String>,
    /// Files of processes that have ended.
    pub ended: BTreeSet<String>,
    /// The ways out, where they were asked for.
    pub ways_out: Vec<String>,
}

/// The objects that are meant to be there and are not, each in words of its own. More than is meant to be there is none of
/// the watcher's business.
pub fn missing(watched: &Watched, seen: &Seen) -> BTreeSet<Said> {
    let mut missing = BTreeSet::new();
    for (name, addresses) in &watched.links {
        match seen.links.get(name) {
            Some(link) if link.up && link.alias.as_deref() == Some(&watched.mark) => {
                missing.extend(addresses.iter().filter_map(|address| of_address(name, link, address)));
                if watched.guards.contains(name) && !link.guarded {
                    missing.insert(Said::new(
                        format!("the filter of the interface {name} itself"),
                        format!("{name} arayüzünün kendi filtresi"),
                    ));
                }
            }
            Some(link) if link.up => {
                missing.insert(Said::new(
                    format!("the alias of the interface {name}"),
                    format!("{name} arayüzünün takma adı"),
                ));
            }
            _ => {
                missing.insert(Said::new(format!("the interface {name}"), format!("{name} arayüzü")));
            }
        }
    }
    let rules = watched.rules.iter().filter(|rule| !seen.rules.contains(rule));
    missing.extend(rules.map(|rule| {
        let family = if rule.ipv6 { "IPv6" } else { "IPv4" };
        let priority = rule.priority;
        Said::new(
            format!("the {family} rule with priority {priority}"),
            format!("{family} kuralı (öncelik {priority})"),
        )
    }));
    let routes = watched.routes.iter().filter(|route| !seen.routes.contains(route));
    missing.extend(routes.filter(|route| has_its_link(watched, route)).map(|route| {
        let WatchedRoute { destination, table, .. } = route;
        Said::new(
            format!("the route to {destination} in table {table}"),
            format!("{destination} rotası (tablo {table})"),
        )
    }));
    for (name, value) in &watched.settings {
        // Without its link a setting is not there, and the link is what is missing.
        if seen.settings.get(name).is_some_and(|now| now != value) {
            let setting = format!("{name} = {value}");
            missing.insert(Said::new(setting.clone(), setting));
        }
    }
    if watched.ways_out.as_ref().is_some_and(|ways| *ways != seen.ways_out) {
        missing.insert(Said::new(
            "what another way to the Internet needs",
            "internete giden yeni yolun gerektirdikleri",
        ));
    }
    let ended = |name| Said::new(format!("the process of {name}"), format!("{name} işlemi"));
    missing.extend(seen.ended.iter().map(ended));
    missing
}

fn of_address(name: &str, link: &SeenLink, address: &IpNetwork) -> Option<Said> {
    if !link.addresses.contains(address) {
        return Some(Said::new(
            format!("the address {address} of the interface {name}"),
            format!("{address} adresi (arayüz {name})"),
        ));
    }
    let local = address.is_ipv6() || link.local.contains(&address.ip());
    let ip = address.ip();
    (!local).then(|| Said::new(format!("the local route of {ip}"), format!("{ip} yerel rotası")))
}

/// Whether a route can be there: one by a link that is stopped cannot.
fn has_its_link(watched: &Watched, route: &WatchedRoute) -> bool {
    route.interface.as_ref().is_none_or(|name| watched.links.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The English words, each with Turkish ones of its own.
    fn words(missing: &BTreeSet<Said>) -> BTreeSet<&str> {
        assert!(missing.iter().all(|one| one.en.contains(" = ") || one.en != one.tr), "{missing:?}");
        missing.iter().map(|one| one.en.as_str()).collect()
    }

    fn network(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    fn both() -> (Watched, Seen) {
        let addresses = BTreeSet::from([network("10.8.0.1/24"), network("fd00::1/64")]);
        let rules =
            [WatchedRule { ipv6: false, priority: 100, from: Some(network("10.8.0.0/24")), table: 100 }];
        let routes = [
            WatchedRoute {
                table: 100,
                destination: network("0.0.0.0/0"),
                interface: Some("wg_vpn".into()),
                protocol: 187,
                metric: 0,
            },
            WatchedRoute {
                table: 100,
                destination: network("::/0"),
                interface: None,
                protocol: 187,
                metric: 4096,
            },
        ];
        let settings = BTreeMap::from([("net.ipv4.ip_forward".to_owned(), "1".to_owned())]);
        let link = SeenLink {
            up: true,
            alias: Some("phantom-wg".to_owned()),
            addresses: addresses.clone(),
            local: BTreeSet::from(["10.8.0.1".parse().unwrap()]),
            guarded: true,
        };
        let names = ["wg_main".to_owned(), "wg_vpn".to_owned()];
        let watched = Watched {
            mark: "phantom-wg".to_owned(),
            links: names.iter().map(|name| (name.clone(), addresses.clone())).collect(),
            guards: BTreeSet::from(["wg_vpn".to_owned()]),
            rules: rules.to_vec(),
            routes: routes.to_vec(),
            settings: settings.clone(),
            ways_out: Some(vec!["eth0 192.0.2.1".to_owned()]),
            ..Watched::default()
        };
        let links = names.into_iter().map(|name| (name, link.clone())).collect();
        let seen = Seen {
            links,
            rules: rules.into(),
            routes: routes.into(),
            settings,
            ended: BTreeSet::new(),
            ways_out: vec!["eth0 192.0.2.1".to_owned()],
        };
        (watched, seen)
    }

    #[test]
    fn nothing_is_missing_when_more_exists() {
        let (watched, mut seen) = both();
        assert_eq!(missing(&watched, &seen), BTreeSet::new());
        seen.links.insert("eth0".to_owned(), SeenLink::default());
        seen.rules.insert(WatchedRule { ipv6: true, priority: 5, from: None, table: 7 });
        assert_eq!(missing(&watched, &seen), BTreeSet::new());
    }

    #[test]
    fn each_loss_is_named_alone() {
        type Loss = fn(&mut Seen);
        let losses: [(Loss, &str); 12] = [
            (
                |seen| seen.links.get_mut("wg_vpn").unwrap().guarded = false,
                "the filter of the interface wg_vpn itself",
            ),
            (|seen| drop(seen.links.remove("wg_main")), "the interface wg_main"),
            (|seen| seen.links.get_mut("wg_vpn").unwrap().up = false, "the interface wg_vpn"),
            (|seen| seen.links.get_mut("wg_vpn").unwrap().alias = None, "the alias of the interface wg_vpn"),
            (
                |seen| assert!(seen.links.get_mut("wg_main").unwrap().addresses.pop_first().is_some()),
                "the address 10.8.0.1/24 of the interface wg_main",
            ),
            (|seen| seen.links.get_mut("wg_main").unwrap().local.clear(), "the local route of 10.8.0.1"),
            (|seen| seen.rules.clear(), "the IPv4 rule with priority 100"),
            (|seen| drop(seen.routes.pop_first()), "the route to 0.0.0.0/0 in table 100"),
            (|seen| drop(seen.routes.pop_last()), "the route to ::/0 in table 100"),
            (
                |seen| drop(seen.settings.insert("net.ipv4.ip_forward".to_owned(), "0".to_owned())),
                "net.ipv4.ip_forward = 1",
            ),
            (|seen| assert!(seen.ended.insert("phantom-ghost".to_owned())), "the process of phantom-ghost"),
            (|seen| seen.ways_out.clear(), "what another way to the Internet needs"),
        ];
        for (loss, name) in losses {
            let (watched, mut seen) = both();
            loss(&mut seen);
            assert_eq!(words(&missing(&watched, &seen)), BTreeSet::from([name]));
        }
    }

    #[test]
    fn replaced_route_is_missing() {
        let (watched, mut seen) = both();
        let replaced = seen.routes.pop_first().unwrap();
        seen.routes.insert(WatchedRoute { protocol: 3, ..replaced });
        let lost = BTreeSet::from(["the route to 0.0.0.0/0 in table 100"]);
        assert_eq!(words(&missing(&watched, &seen)), lost);
    }

    #[test]
    fn uplink_is_ignored_without_open_port() {
        let (mut watched, mut seen) = both();
        seen.ways_out = vec!["eth1".to_owned()];
        assert_eq!(missing(&watched, &seen).len(), 1);
        watched.ways_out = None;
        assert_eq!(missing(&watched, &seen), BTreeSet::new());
    }

    #[test]
    fn route_of_stopped_link_is_not_missed() {
        let (mut watched, mut seen) = both();
        watched.links.remove("wg_vpn");
        seen.links.remove("wg_vpn");
        seen.routes.pop_first();
        assert_eq!(missing(&watched, &seen), BTreeSet::new());
    }
}
