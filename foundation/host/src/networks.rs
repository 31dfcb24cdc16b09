//! The IPv4 networks that a host has part in already.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use phantom_types::Subnet;

use crate::{Network, RouteKind};

/// The main routing table (`RT_TABLE_MAIN`).
const MAIN_TABLE: u32 = 254;

/// A network of the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostNetwork {
    /// The interface, or `-` for a route that leads nowhere.
    pub interface: String,
    /// The network.
    pub subnet: Subnet,
    /// It is on the link; else it is reached by a gateway.
    pub on_link: bool,
}

/// The networks of all addresses, and those of the main table's routes but the default ones; what is `own` is left out.
///
/// A part of the host that does not answer leaves its part out.
pub fn host_networks(network: &dyn Network, own: &dyn Fn(&str) -> bool) -> Vec<HostNetwork> {
    let mut found = Vec::new();
    let mut on_link = BTreeSet::new();
    for (interface, address) in network.addresses().unwrap_or_default() {
        let Some(subnet) = ipv4(address).filter(|_| !own(&interface)) else { continue };
        on_link.insert((interface.clone(), subnet));
        found.push(HostNetwork { interface, subnet, on_link: true });
    }
    for route in network.routes(MAIN_TABLE).unwrap_or_default() {
        let Some(subnet) = ipv4(route.destination).filter(|subnet| subnet.prefix() > 0) else { continue };
        let (interface, gateway) = match route.kind {
            RouteKind::Via { interface, gateway } => (interface, gateway.is_some()),
            RouteKind::Unreachable | RouteKind::Blackhole => ("-".to_owned(), true),
        };
        if !own(&interface) && !on_link.contains(&(interface.clone(), subnet)) {
            found.push(HostNetwork { interface, subnet, on_link: !gateway });
        }
    }
    found
}

fn ipv4(network: IpNetwork) -> Option<Subnet> {
    match network.ip() {
        IpAddr::V4(address) => Subnet::containing(address, network.prefix()),
        IpAddr::V6(_) => None,
    }
}
