//! Links coming, changing and going.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnetwork::IpNetwork;
use nix::errno::Errno;

use super::super::{State, kernel};
use super::{Interface, Net, absent_interface};
use crate::{HostError, Link, LinkChange, LinkGuard, LinkKind, Result, RouteKind};

/// Longest alias in bytes: what the kernel takes (`IFALIASZ` of linux/if.h, less one), less the NUL it is sent with.
const ALIAS_MAX: usize = 254;
/// Smallest MTU with which the kernel keeps IPv6 on a link (`IPV6_MIN_MTU`).
pub(super) const IPV6_MIN_MTU: u32 = 1280;

/// The parts of a change that are there, each after a blank.
pub(super) fn change_text(change: &LinkChange) -> String {
    let up = change.up.map(|up| if up { " up".to_owned() } else { " down".to_owned() });
    let mtu = change.mtu.map(|mtu| format!(" mtu {mtu}"));
    let alias = change.alias.as_ref().map(|alias| format!(" alias {alias:?}"));
    [up, mtu, alias].into_iter().flatten().collect()
}

/// What a guard lets pass, each part after a blank.
pub(in super::super) fn guard_text(guard: &LinkGuard) -> String {
    let list = |name: &str, addresses: &BTreeSet<IpAddr>| {
        let words: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        format!(" {name} {}", if words.is_empty() { "nothing".to_owned() } else { words.join(",") })
    };
    list("from", &guard.sources) + &list("to", &guard.destinations)
}

impl Net {
    /// Makes a link without looking whether there is one of that name.
    pub(in super::super) fn insert(&mut self, name: &str, kind: LinkKind, mtu: u32, up: bool) {
        let link = Link { name: name.to_owned(), index: self.next_index, kind, up, mtu, alias: None };
        self.next_index += 1;
        self.links.push(Interface { link, addresses: Vec::new(), guard: None });
    }

    /// Sets a link up or down, with what that does to addresses and routes.
    fn set_up(&mut self, name: &str, up: bool) -> Result<()> {
        let interface = self.find_mut(name)?;
        if interface.link.up == up {
            return Ok(());
        }
        interface.link.up = up;
        if up {
            for address in interface.addresses.clone() {
                self.add_connected_route(name, address);
            }
        } else {
            // The kernel forgets the IPv6 addresses of a link that goes down, unless `keep_addr_on_down` is set.
            interface.addresses.retain(IpNetwork::is_ipv4);
            self.drop_routes_of(name, |_| true);
        }
        Ok(())
    }

    /// Drops the routes by an interface whose destination is such.
    pub(super) fn drop_routes_of(&mut self, name: &str, such: impl Fn(&IpNetwork) -> bool) {
        self.routes.retain(|route| match &route.kind {
            RouteKind::Via { interface, .. } => interface != name || !such(&route.destination),
            RouteKind::Unreachable | RouteKind::Blackhole => true,
        });
    }
}

impl State {
    pub(in super::super) fn set_link(&mut self, name: &str, change: &LinkChange) -> Result<()> {
        let link = &self.net.find_mut(name)?.link;
        let failed = |errno| Err(kernel(format!("changing interface {name}"), errno));
        if change.mtu.is_some_and(|mtu| !mtu_range(&link.kind).contains(&mtu)) {
            return failed(Errno::EINVAL);
        }
        if change.alias.as_ref().is_some_and(|alias| alias.len() > ALIAS_MAX) {
            return failed(Errno::ERANGE);
        }
        // The kernel's WireGuard opens its port when the link comes up.
        if change.up == Some(true) && !link.up && !self.open_port(name) {
            return failed(Errno::EADDRINUSE);
        }
        if let Some(mtu) = change.mtu {
            self.set_mtu(name, mtu)?;
        }
        if let Some(alias) = &change.alias {
            let link = &mut self.net.find_mut(name)?.link;
            link.alias = Some(alias.clone()).filter(|alias| !alias.is_empty());
        }
        change.up.map_or(Ok(()), |up| self.net.set_up(name, up))
    }

    fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<()> {
        let interface = self.net.find_mut(name)?;
        interface.link.mtu = mtu;
        if mtu < IPV6_MIN_MTU {
            interface.addresses.retain(IpNetwork::is_ipv4);
            self.net.drop_routes_of(name, IpNetwork::is_ipv6);
        }
        Ok(())
    }

    pub(in super::super) fn delete_link(&mut self, name: &str) -> Result<()> {
        let kind = &self.net.find(name).ok_or_else(|| absent_interface(name))?.link.kind;
        if *kind == LinkKind::Other(String::new()) {
            return Err(kernel(format!("deleting interface {name}"), Errno::EOPNOTSUPP));
        }
        self.net.set_up(name, false)?;
        self.net.links.retain(|interface| interface.link.name != name);
        self.device_link_gone(name);
        Ok(())
    }
}

/// The MTUs that a driver takes (`min_mtu` and `max_mtu` of its `net_device`).
fn mtu_range(kind: &LinkKind) -> RangeInclusive<u32> {
    match kind {
        LinkKind::WireGuard => 0..=2_147_483_552,
        LinkKind::Tun => 68..=65535,
        LinkKind::Other(_) => 68..=65536,
    }
}

/// Makes a link of the host, or says that there is one.
pub(in super::super) fn create(net: &mut Net, name: &str, kind: LinkKind, mtu: u32) -> Result<(), HostError> {
    if net.find(name).is_some() {
        return Err(kernel(format!("creating interface {name}"), Errno::EEXIST));
    }
    net.insert(name, kind, mtu, false);
    Ok(())
}
