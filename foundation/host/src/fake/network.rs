//! Links, addresses, routes and rules in memory, with what the kernel does on its own.

mod addresses;
pub(super) mod links;
pub(super) mod routes;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnetwork::IpNetwork;
use nix::errno::Errno;
use phantom_types::InterfaceName;
use phantom_types::watch::{FAR, way_out};

use super::{FakeHost, State, absent, kernel};
use crate::{
    ForwardedPacket, HostError, Link, LinkChange, LinkGuard, LinkKind, Network, OwnRoute, PingSource,
    PolicyRule, Result, Route, RouteKind, RuleAction, Uplink,
};

/// The main routing table (`RT_TABLE_MAIN`).
pub(super) const MAIN: u32 = 254;
/// Routes and rules that the kernel makes (`RTPROT_KERNEL`).
pub(super) const KERNEL: u8 = 2;
/// Routes of the boot (`RTPROT_BOOT`), which `ip` and scripts make.
pub(super) const BOOT: u8 = 3;

/// A link with its addresses, in the order in which they came.
#[derive(Clone)]
pub(super) struct Interface {
    pub(super) link: Link,
    pub(super) addresses: Vec<IpNetwork>,
    pub(super) guard: Option<LinkGuard>,
}

/// The network of the host.
#[derive(Clone)]
pub(super) struct Net {
    pub(super) links: Vec<Interface>,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<PolicyRule>,
    next_index: u32,
    /// The kernel can guard links.
    pub(super) has_guards: bool,
}

impl Net {
    /// A server with an uplink.
    pub(super) fn server() -> Self {
        let mut net = Self {
            links: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            next_index: 1,
            has_guards: true,
        };
        net.insert("lo", LinkKind::Other(String::new()), 65536, true);
        net.insert("eth0", LinkKind::Other(String::new()), 1500, true);
        for (name, address) in [
            ("lo", "127.0.0.1/8"),
            ("lo", "::1/128"),
            ("eth0", "203.0.113.10/24"),
            ("eth0", "2001:db8::10/64"),
        ] {
            let address = address.parse().expect("a constant that is an address");
            net.add_address(name, address).expect("an address that is not there yet");
        }
        for (destination, gateway, metric) in [("0.0.0.0/0", "203.0.113.1", 0), ("::/0", "fe80::1", 1024)] {
            let gateway = Some(gateway.parse().expect("a constant that is an address"));
            net.routes.push(Route {
                table: MAIN,
                destination: destination.parse().expect("a constant that is a network"),
                metric,
                kind: RouteKind::Via { interface: "eth0".to_owned(), gateway },
                source: None,
                protocol: BOOT,
            });
        }
        net.rules = Self::first_rules();
        net
    }

    /// The rules that the kernel begins with; IPv6 has no third table.
    pub(super) fn first_rules() -> Vec<PolicyRule> {
        let rules =
            [(0, false, 255), (32766, false, MAIN), (32767, false, 253), (0, true, 255), (32766, true, MAIN)];
        let rule = |(priority, ipv6, table)| PolicyRule {
            priority,
            ipv6,
            from: None,
            to: None,
            in_interface: None,
            action: RuleAction::Lookup(table),
            protocol: KERNEL,
        };
        rules.map(rule).to_vec()
    }

    pub(super) fn find(&self, name: &str) -> Option<&Interface> {
        self.links.iter().find(|interface| interface.link.name == name)
    }

    pub(super) fn find_mut(&mut self, name: &str) -> Result<&mut Interface> {
        let found = self.links.iter_mut().find(|interface| interface.link.name == name);
        found.ok_or_else(|| absent_interface(name))
    }

    /// Whether an address is on any link.
    fn is_local(&self, address: IpAddr) -> bool {
        self.links.iter().flat_map(|interface| &interface.addresses).any(|network| network.ip() == address)
    }

    fn uplink(&self) -> Option<Uplink> {
        let default = |ipv4: bool| {
            let defaults = self.routes.iter().filter(move |route| {
                let everywhere = route.destination.is_ipv4() == ipv4 && route.destination.prefix() == 0;
                route.table == MAIN && everywhere && matches!(route.kind, RouteKind::Via { .. })
            });
            defaults.min_by_key(|route| route.metric)
        };
        let route = default(true).or_else(|| default(false))?;
        let RouteKind::Via { interface, gateway } = &route.kind else { return None };
        let addresses = &self.find(interface)?.addresses;
        let nearest = gateway.and_then(|gateway| addresses.iter().find(|network| network.contains(gateway)));
        let of_route =
            route.source.and_then(|source| addresses.iter().find(|network| network.ip() == source));
        let chosen = of_route.or(nearest).or_else(|| addresses.iter().find(|network| network.is_ipv4()));
        let (address, prefix) = match chosen.filter(|_| route.destination.is_ipv4()) {
            Some(IpNetwork::V4(network)) => (Some(network.ip()), Some(network.prefix())),
            _ => (None, None),
        };
        let ipv6 = addresses.iter().find_map(|network| match network.ip() {
            // 2000::/3, the global unicast space.
            IpAddr::V6(address) if address.segments()[0] & 0xe000 == 0x2000 => Some(address),
            _ => None,
        });
        Some(Uplink { interface: interface.clone(), address, prefix, ipv6 })
    }
}

fn link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

fn absent_interface(name: &str) -> HostError {
    absent(format!("interface {name}"))
}

impl State {
    /// A kernel without IPv6 knows no message about it.
    fn needs_ipv6(&self, is_ipv6: bool) -> Result<()> {
        if is_ipv6 && !self.settings.global.contains_key(crate::OF_IPV6) {
            return Err(kernel("a request about IPv6", Errno::EOPNOTSUPP));
        }
        Ok(())
    }
}

impl Network for FakeHost {
    fn links(&self) -> Result<Vec<Link>> {
        Ok(self.state().net.links.iter().map(|interface| interface.link.clone()).collect())
    }

    fn link(&self, name: &InterfaceName) -> Result<Option<Link>> {
        Ok(self.state().net.find(name.as_str()).map(|interface| interface.link.clone()))
    }

    fn set_link(&self, name: &InterfaceName, change: &LinkChange) -> Result<()> {
        let mut state = self.write(&format!("network.set_link {name}{}", links::change_text(change)))?;
        state.set_link(name.as_str(), change)
    }

    fn delete_link(&self, name: &InterfaceName) -> Result<()> {
        self.write(&format!("network.delete_link {name}"))?.delete_link(name.as_str())
    }

    fn has_guard(&self, name: &InterfaceName, guard: &LinkGuard) -> Result<bool> {
        let state = self.state();
        let found = state.net.find(name.as_str()).ok_or_else(|| absent_interface(name.as_str()))?;
        Ok(found.guard.as_ref() == Some(guard))
    }

    fn set_guard(&self, name: &InterfaceName, guard: &LinkGuard) -> Result<()> {
        let mut state = self.write(&format!("network.set_guard {name}{}", links::guard_text(guard)))?;
        let has_guards = state.net.has_guards;
        let found = state.net.find_mut(name.as_str())?;
        if !has_guards {
            return Err(HostError::Unsupported { what: "guard a link".to_owned() });
        }
        found.guard = Some(guard.clone());
        Ok(())
    }

    fn addresses(&self) -> Result<Vec<(String, IpNetwork)>> {
        let state = self.state();
        let all = state.net.links.iter().flat_map(|interface| {
            interface.addresses.iter().map(|network| (interface.link.name.clone(), *network))
        });
        Ok(all.filter(|(_, network)| !matches!(network.ip(), IpAddr::V6(ip) if link_local(ip))).collect())
    }

    fn add_address(&self, name: &InterfaceName, address: IpNetwork) -> Result<()> {
        let mut state = self.write(&format!("network.add_address {name} {address}"))?;
        state.needs_ipv6(address.is_ipv6())?;
        state.net.add_address(name.as_str(), address)
    }

    fn remove_address(&self, name: &InterfaceName, address: IpNetwork) -> Result<()> {
        let mut state = self.write(&format!("network.remove_address {name} {address}"))?;
        state.net.remove_address(name.as_str(), address)
    }

    fn routes(&self, table: u32) -> Result<Vec<Route>> {
        Ok(self.state().net.routes.iter().filter(|route| route.table == table).cloned().collect())
    }

    fn add_route(&self, route: &Route) -> Result<()> {
        let mut state = self.write(&format!("network.add_route {}", routes::text(route)))?;
        state.needs_ipv6(route.destination.is_ipv6())?;
        state.net.add_route(route)
    }

    fn replace_route(&self, route: &Route) -> Result<()> {
        let mut state = self.write(&format!("network.replace_route {}", routes::text(route)))?;
        state.needs_ipv6(route.destination.is_ipv6())?;
        state.net.replace_route(route)
    }

    fn remove_route(&self, route: &Route) -> Result<()> {
        self.write(&format!("network.remove_route {}", routes::text(route)))?.net.remove_route(route)
    }

    fn rules(&self) -> Result<Vec<PolicyRule>> {
        Ok(self.state().net.rules.clone())
    }

    fn add_rule(&self, rule: &PolicyRule) -> Result<()> {
        let mut state = self.write(&format!("network.add_rule {}", Net::rule_text(rule)))?;
        state.needs_ipv6(rule.ipv6)?;
        state.net.add_rule(rule)
    }

    fn remove_rule(&self, rule: &PolicyRule) -> Result<()> {
        self.write(&format!("network.remove_rule {}", Net::rule_text(rule)))?.net.remove_rule(rule)
    }

    fn uplink(&self) -> Result<Option<Uplink>> {
        Ok(self.state().net.uplink())
    }

    fn route_for(&self, packet: &ForwardedPacket) -> Result<Option<String>> {
        let state = self.state();
        let found = state.net.find(packet.in_interface.as_str());
        let up = found.ok_or_else(|| absent_interface(packet.in_interface.as_str()))?.link.up;
        let forwards = state.settings.global.get("net.ipv4.ip_forward").is_some_and(|value| value != "0");
        Ok(state.net.route_of(packet).filter(|_| up && forwards))
    }

    fn own_route(&self, from: Option<Ipv4Addr>, to: Ipv4Addr) -> Result<Option<OwnRoute>> {
        Ok(self.state().net.own_route(from, to))
    }

    /// Of IPv4 alone.
    fn ways_out(&self) -> Result<Vec<String>> {
        let route = self.state().net.own_route(None, FAR.0);
        Ok(route.map(|route| way_out(&route.interface, route.source)).into_iter().collect())
    }

    fn echo(&self, from: &PingSource, to: Ipv4Addr, _: u16, wait: Duration) -> Result<bool> {
        let answered = {
            let mut state = self.state();
            let interface = match from {
                PingSource::Interface(interface) => {
                    let name = interface.as_str();
                    state.net.find(name).ok_or_else(|| absent_interface(name))?;
                    Some(name.to_owned())
                }
                PingSource::Address(address) => state.net.rule_route_from(*address, to)?,
            };
            interface.is_some_and(|interface| state.answer_echo(&interface, to))
        };
        if !answered {
            self.advance(wait);
        }
        Ok(answered)
    }
}
