//! Routes that somebody adds and removes.

use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::IpNetwork;
use nix::errno::Errno;

use super::super::{absent, kernel};
use super::{MAIN, Net, PolicyRule, absent_interface, link_local};
use crate::{ForwardedPacket, HostError, OwnRoute, Result, Route, RouteKind, RuleAction};

/// How messages and dumps name a route.
pub(in super::super) fn text(route: &Route) -> String {
    let kind = match &route.kind {
        RouteKind::Via { interface, gateway: Some(gateway) } => format!("via {gateway} dev {interface}"),
        RouteKind::Via { interface, gateway: None } => format!("dev {interface}"),
        RouteKind::Unreachable => "unreachable".to_owned(),
        RouteKind::Blackhole => "blackhole".to_owned(),
    };
    let source = route.source.map(|source| format!(" src {source}")).unwrap_or_default();
    let Route { table, destination, metric, protocol, .. } = route;
    format!("table {table} {destination} {kind} metric {metric}{source} proto {protocol}")
}

/// The network that a network with host bits is in.
pub(in super::super) fn network_of(network: IpNetwork) -> IpNetwork {
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}

impl Net {
    pub(in super::super) fn add_route(&mut self, route: &Route) -> Result<()> {
        let what = || format!("adding the route {}", text(route));
        let route = Route { destination: network_of(route.destination), ..route.clone() };
        let ipv6 = route.destination.is_ipv6();
        if ipv6 && route.metric == 0 {
            // The kernel would make 1024 of it.
            return Err(HostError::Unsupported {
                what: format!("have a route without metric: {}", text(&route)),
            });
        }
        if let RouteKind::Via { interface, gateway } = &route.kind {
            let link = &self.find(interface).ok_or_else(|| absent_interface(interface))?.link;
            if !link.up {
                return Err(kernel(what(), Errno::ENETDOWN));
            }
            if gateway.is_some_and(|gateway| !self.is_on_link(route.table, interface, gateway)) {
                return Err(kernel(what(), if ipv6 { Errno::EHOSTUNREACH } else { Errno::ENETUNREACH }));
            }
        }
        if route.source.is_some_and(|source| !self.is_local(source)) {
            return Err(kernel(what(), Errno::EINVAL));
        }
        if self.routes.iter().any(|other| other.takes_the_place_of(&route)) {
            return Err(kernel(what(), Errno::EEXIST));
        }
        self.routes.push(route);
        Ok(())
    }

    pub(in super::super) fn replace_route(&mut self, route: &Route) -> Result<()> {
        let before = self.routes.clone();
        if let Some(at) = self.routes.iter().position(|other| other.takes_the_place_of(route)) {
            self.routes.remove(at);
        }
        let replaced = self.add_route(route);
        if replaced.is_err() {
            self.routes = before;
        }
        replaced
    }

    pub(in super::super) fn remove_route(&mut self, route: &Route) -> Result<()> {
        let at = self.routes.iter().position(|other| other == route);
        self.routes.remove(at.ok_or_else(|| absent(format!("the route {}", text(route))))?);
        Ok(())
    }

    /// Whether a next hop can be reached without another next hop, by the table of the route or by the main one.
    fn is_on_link(&self, table: u32, name: &str, gateway: IpAddr) -> bool {
        if matches!(gateway, IpAddr::V6(address) if link_local(address)) {
            return true;
        }
        self.routes.iter().any(|route| {
            let direct = RouteKind::Via { interface: name.to_owned(), gateway: None };
            [table, MAIN].contains(&route.table)
                && route.kind == direct
                && route.destination.contains(gateway)
        })
    }

    pub(in super::super) fn rule_text(rule: &PolicyRule) -> String {
        let PolicyRule { priority, ipv6, from, to, in_interface, action, protocol } = rule;
        let part =
            |name: &str, value: Option<String>| value.map(|v| format!(" {name} {v}")).unwrap_or_default();
        let from = part("from", from.map(|network| network.to_string()));
        let to = part("to", to.map(|network| network.to_string()));
        let iif = part("iif", in_interface.clone());
        let family = if *ipv6 { "ipv6" } else { "ipv4" };
        let action = match action {
            RuleAction::Lookup(table) => format!("lookup {table}"),
            RuleAction::Unreachable => "unreachable".to_owned(),
            RuleAction::Other(number) => format!("action {number}"),
        };
        format!("{family} {priority}:{from}{to}{iif} {action} proto {protocol}")
    }

    pub(in super::super) fn add_rule(&mut self, rule: &PolicyRule) -> Result<()> {
        let rule =
            PolicyRule { from: rule.from.map(network_of), to: rule.to.map(network_of), ..rule.clone() };
        // The kernel takes a rule that has all that is named for the same one, whatever else it has.
        if self.rules.iter().any(|other| covers(other, &rule)) {
            return Err(kernel(format!("adding the rule {}", Self::rule_text(&rule)), Errno::EEXIST));
        }
        let at =
            self.rules.partition_point(|other| (other.ipv6, other.priority) <= (rule.ipv6, rule.priority));
        self.rules.insert(at, rule);
        Ok(())
    }

    pub(in super::super) fn remove_rule(&mut self, rule: &PolicyRule) -> Result<()> {
        let at = self.rules.iter().position(|other| other == rule);
        self.rules.remove(at.ok_or_else(|| absent(format!("the rule {}", Self::rule_text(rule))))?);
        Ok(())
    }
}

impl Net {
    /// The interface that a packet leaves by: the first rule whose table has a route for it decides.
    pub(super) fn route_of(&self, packet: &ForwardedPacket) -> Option<String> {
        self.way(packet.from, packet.to, Some(packet.in_interface.as_str()))
    }

    /// The interface that a packet of the host's own leaves by that has this source.
    pub(super) fn rule_route_from(&self, from: Ipv4Addr, to: Ipv4Addr) -> Result<Option<String>> {
        let own =
            |interface: &super::Interface| interface.addresses.iter().any(|own| own.ip() == IpAddr::V4(from));
        if self.links.iter().any(own) {
            Ok(self.way(from, to, None))
        } else {
            Err(absent(format!("the address {from}")))
        }
    }

    fn way(&self, from: Ipv4Addr, to: Ipv4Addr, in_interface: Option<&str>) -> Option<String> {
        match &self.lookup(from, to, in_interface)?.kind {
            RouteKind::Via { interface, .. } => Some(interface.clone()),
            RouteKind::Unreachable | RouteKind::Blackhole => None,
        }
    }

    /// The route of a packet of the host's own. One without a source matches no rule that is about sources, and gets its
    /// source afterwards.
    pub(super) fn own_route(&self, from: Option<Ipv4Addr>, to: Ipv4Addr) -> Option<OwnRoute> {
        if from.is_some_and(|from| self.local_source(from).is_none()) {
            return None;
        }
        if let Some(own) = self.local_source(to) {
            let source = from.or(Some(own));
            return Some(OwnRoute { interface: "lo".to_owned(), gateway: None, source });
        }
        let route = self.lookup(from.unwrap_or(Ipv4Addr::UNSPECIFIED), to, None)?;
        let RouteKind::Via { interface, gateway } = &route.kind else { return None };
        let near = gateway.unwrap_or(IpAddr::V4(to));
        let addresses = &self.find(interface)?.addresses;
        let nearest = addresses.iter().find(|network| network.contains(near));
        let chosen = nearest.or_else(|| addresses.iter().find(|network| network.is_ipv4()));
        let chosen = route.source.or_else(|| chosen.map(IpNetwork::ip));
        let source = from.or(match chosen {
            Some(IpAddr::V4(address)) => Some(address),
            _ => None,
        });
        Some(OwnRoute { interface: interface.clone(), gateway: *gateway, source })
    }

    /// The address of the host that a packet to this one is for: itself, and on the loopback interface the whole network.
    fn local_source(&self, to: Ipv4Addr) -> Option<Ipv4Addr> {
        let to = IpAddr::V4(to);
        let own = self.links.iter().flat_map(|interface| {
            let loopback = interface.link.name == "lo";
            interface
                .addresses
                .iter()
                .filter(move |network| network.ip() == to || loopback && network.contains(to))
        });
        own.map(IpNetwork::ip).find_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    /// The route of a packet: the first rule whose table has one decides.
    fn lookup(&self, from: Ipv4Addr, to: Ipv4Addr, in_interface: Option<&str>) -> Option<&Route> {
        let (from, to) = (IpAddr::V4(from), IpAddr::V4(to));
        let within =
            |network: Option<IpNetwork>, address| network.is_none_or(|network| network.contains(address));
        let mut asked = self.rules.iter().filter(|rule| {
            let here = rule.in_interface.as_deref().is_none_or(|name| in_interface == Some(name));
            !rule.ipv6 && here && within(rule.from, from) && within(rule.to, to)
        });
        let best = |table| {
            let fitting = self
                .routes
                .iter()
                .filter(move |route| route.table == table && route.destination.contains(to));
            fitting.min_by_key(|route| (u8::MAX - route.destination.prefix(), route.metric))
        };
        let verdict = |rule: &PolicyRule| match rule.action {
            RuleAction::Lookup(table) => best(table).map(Some),
            RuleAction::Unreachable => Some(None),
            // What the host in memory does not know of does not happen.
            RuleAction::Other(_) => None,
        };
        asked.find_map(verdict)?
    }
}

/// Whether a rule has everything that the wanted one names.
fn covers(rule: &PolicyRule, wanted: &PolicyRule) -> bool {
    (rule.ipv6, rule.priority, rule.action) == (wanted.ipv6, wanted.priority, wanted.action)
        && (wanted.protocol == 0 || rule.protocol == wanted.protocol)
        && (wanted.from.is_none() || rule.from == wanted.from)
        && (wanted.to.is_none() || rule.to == wanted.to)
        && (wanted.in_interface.is_none() || rule.in_interface == wanted.in_interface)
}
