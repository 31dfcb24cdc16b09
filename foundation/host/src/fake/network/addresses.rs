//! Addresses, and the routes that the kernel makes for them.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use nix::errno::Errno;

use super::super::{absent, kernel};
use super::links::IPV6_MIN_MTU;
use super::routes::network_of;
use super::{KERNEL, MAIN, Net, link_local};
use crate::{Result, Route, RouteKind};

/// Metric of the routes that the kernel makes for IPv6 addresses (`IP6_RT_PRIO_ADDRCONF`).
const CONNECTED_IPV6: u32 = 256;

impl Net {
    pub(in super::super) fn add_address(&mut self, name: &str, address: IpNetwork) -> Result<()> {
        let interface = self.find_mut(name)?;
        // An IPv4 address may stand there with another prefix length, an IPv6 address not.
        let same = |other: &IpNetwork| match address {
            IpNetwork::V4(_) => *other == address,
            IpNetwork::V6(_) => other.ip() == address.ip(),
        };
        let refusal = if interface.addresses.iter().any(same) {
            Some(Errno::EEXIST)
        } else {
            (address.is_ipv6() && interface.link.mtu < IPV6_MIN_MTU).then_some(Errno::EINVAL)
        };
        if let Some(errno) = refusal {
            return Err(kernel(format!("adding {address} to {name}"), errno));
        }
        interface.addresses.push(address);
        if interface.link.up {
            self.add_connected_route(name, address);
        }
        Ok(())
    }

    pub(in super::super) fn remove_address(&mut self, name: &str, address: IpNetwork) -> Result<()> {
        let interface = self.find_mut(name)?;
        let at = interface.addresses.iter().position(|other| *other == address);
        let at = at.ok_or_else(|| absent(format!("address {address} of {name}")))?;
        let first = !interface.addresses[..at].iter().any(|other| same_network(*other, address));
        interface.addresses.remove(at);
        if first && address.is_ipv4() {
            // The others of its network go with it (unless `promote_secondaries` is set).
            interface.addresses.retain(|other| !same_network(*other, address));
        }
        let last = address.is_ipv4() && !interface.addresses.iter().any(IpNetwork::is_ipv4);
        if !interface.addresses.iter().any(|other| same_network(*other, address)) {
            self.routes.retain(|route| *route != connected_route(name, address));
        }
        if last {
            // An interface without an address of its own speaks no IPv4.
            self.drop_routes_of(name, IpNetwork::is_ipv4);
        }
        self.forget_source(address.ip());
        Ok(())
    }

    /// What the kernel does with routes whose preferred source is gone: those of IPv4 go from the main table and stay
    /// as they are in every other one, those of IPv6 stay without.
    fn forget_source(&mut self, address: IpAddr) {
        if self.is_local(address) {
            return;
        }
        let gone = |route: &Route| route.table == MAIN && route.source == Some(address);
        self.routes.retain(|route| address.is_ipv6() || !gone(route));
        for route in self.routes.iter_mut().filter(|_| address.is_ipv6()) {
            route.source.take_if(|source| *source == address);
        }
    }

    /// The route of an address's network, where the kernel makes one: the first address of an IPv4 network brings
    /// it unless it is a single address, every IPv6 address but those of the link does.
    pub(super) fn add_connected_route(&mut self, name: &str, address: IpNetwork) {
        // The kernel keeps those of the loopback interface in the local table.
        if name == "lo" {
            return;
        }
        let wanted = match address {
            IpNetwork::V4(network) => network.prefix() < 32 && !self.is_later(name, address),
            IpNetwork::V6(network) => !link_local(network.ip()),
        };
        let route = connected_route(name, address);
        if wanted && !self.routes.contains(&route) {
            self.routes.push(route);
        }
    }

    /// Whether an earlier address of the interface is in the same network.
    fn is_later(&self, name: &str, address: IpNetwork) -> bool {
        self.find(name).is_some_and(|interface| {
            let mut before = interface.addresses.iter().take_while(|other| **other != address);
            before.any(|other| same_network(*other, address))
        })
    }
}

fn same_network(one: IpNetwork, other: IpNetwork) -> bool {
    network_of(one) == network_of(other)
}

fn connected_route(name: &str, address: IpNetwork) -> Route {
    Route {
        table: MAIN,
        destination: network_of(address),
        metric: if address.is_ipv4() { 0 } else { CONNECTED_IPV6 },
        kind: RouteKind::Via { interface: name.to_owned(), gateway: None },
        source: Some(address.ip()).filter(IpAddr::is_ipv4),
        protocol: KERNEL,
    }
}
