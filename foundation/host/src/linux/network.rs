//! Links, addresses, routes and rules by rtnetlink.
//!
//! The files below this one are the pure half: our words to the kernel's messages and back.

mod addresses;
mod echo;
mod guard;
mod links;
mod routes;
mod rules;
mod uplink;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnetwork::IpNetwork;
use netlink_packet_route::RouteNetlinkMessage as Message;
use phantom_types::InterfaceName;
use phantom_types::watch::{FAR, way_out};

use self::addresses::Address;
use super::netlink::{
    Changing, EADDRNOTAVAIL, EAFNOSUPPORT, EEXIST, ENODEV, ENOENT, EOPNOTSUPP, ESRCH, NetlinkFault,
    RouteSocket,
};
use crate::{
    ForwardedPacket, HostError, Link, LinkChange, LinkGuard, Network, OwnRoute, PingSource, PolicyRule,
    Result, Route, Uplink,
};

/// With these the kernel says that it would drop a packet: `EACCES`, `EXDEV`, `EINVAL`, `ENETUNREACH`, `EHOSTUNREACH`.
const DROPPED: [i32; 5] = [13, 18, 22, 101, 113];

/// A public address: the kernel is asked by which way it would reach it. Nothing is sent there.
const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);

/// The network configuration of the kernel, in the network namespace of the thread that uses it first.
///
/// What the kernel does on its own and a caller has to know: removing the first IPv4 address of a network from an
/// interface removes the other addresses of that network too (unless `promote_secondaries` is set); taking a link
/// down removes its routes.
#[derive(Debug, Default)]
pub struct LinuxNetwork {
    netlink: RouteSocket,
}

impl LinuxNetwork {
    /// The network of this host. Opens nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The link of exactly this name: the kernel also answers to alternative names.
    fn find(&self, name: &str) -> Result<Option<Link>> {
        match self.netlink.get(Message::GetLink(links::by_name(name))) {
            Ok(Message::NewLink(message)) => Ok(links::read(&message).filter(|link| link.name == name)),
            Ok(_) => Err(odd_answer(&reading(name))),
            Err(NetlinkFault::Refused(ENODEV)) => Ok(None),
            Err(fault) => Err(fault.into_error(reading(name))),
        }
    }

    fn index(&self, name: &str) -> Result<u32> {
        self.find(name)?.map(|link| link.index).ok_or_else(|| absent_interface(name))
    }

    fn all_addresses(&self) -> Result<Vec<Address>> {
        let what = "reading the addresses";
        let messages =
            self.netlink.dump(&Message::GetAddress(addresses::all())).map_err(|f| f.into_error(what))?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                Message::NewAddress(message) => addresses::read(message),
                _ => None,
            })
            .collect())
    }

    /// The source address that the kernel takes for packets to the Internet that leave by this interface.
    fn source_address(&self, index: u32) -> Result<Option<Ipv4Addr>> {
        match self.netlink.get(Message::GetRoute(routes::lookup(SOMEWHERE, index))) {
            Ok(Message::NewRoute(message)) => Ok(routes::source(&message)),
            Ok(_) => Err(odd_answer("asking for the way to the Internet")),
            // Unreachable, prohibited or without an address: an uplink without a source address.
            Err(NetlinkFault::Refused(_)) => Ok(None),
            Err(fault) => Err(fault.into_error("asking for the way to the Internet")),
        }
    }

    fn change(
        &self,
        what: String,
        message: Message,
        changing: Changing,
        absent: &[i32],
        object: String,
    ) -> Result<()> {
        self.netlink.change(message, changing).map_err(|fault| match fault {
            NetlinkFault::Refused(number) if absent.contains(&number) => HostError::Absent { object },
            fault => fault.into_error(what),
        })
    }
}

impl Network for LinuxNetwork {
    fn links(&self) -> Result<Vec<Link>> {
        let what = "reading the interfaces";
        let messages = self.netlink.dump(&Message::GetLink(links::all())).map_err(|f| f.into_error(what))?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                Message::NewLink(message) => links::read(message),
                _ => None,
            })
            .collect())
    }

    fn link(&self, name: &InterfaceName) -> Result<Option<Link>> {
        self.find(name.as_str())
    }

    fn set_link(&self, name: &InterfaceName, change: &LinkChange) -> Result<()> {
        let message = Message::SetLink(links::change(self.index(name.as_str())?, change));
        let object = format!("interface {name}");
        self.change(format!("changing interface {name}"), message, Changing::Existing, &[ENODEV], object)
    }

    fn delete_link(&self, name: &InterfaceName) -> Result<()> {
        let message = Message::DelLink(links::by_index(self.index(name.as_str())?));
        let object = format!("interface {name}");
        self.change(format!("deleting interface {name}"), message, Changing::Existing, &[ENODEV], object)
    }

    fn has_guard(&self, name: &InterfaceName, guard: &LinkGuard) -> Result<bool> {
        let index = self.index(name.as_str())?;
        for way in guard::Direction::ALL {
            let messages = match self.netlink.dump(&Message::GetTrafficFilter(guard::filters(index, way))) {
                Ok(messages) => messages,
                Err(NetlinkFault::Refused(ENODEV)) => return Err(absent_interface(name.as_str())),
                // A kernel without traffic control has no filter either.
                Err(NetlinkFault::Refused(ENOENT | EOPNOTSUPP)) => return Ok(false),
                Err(fault) => return Err(fault.into_error(format!("reading the guard of {name}"))),
            };
            let mut found = false;
            for message in &messages {
                if let Message::NewTrafficFilter(message) = message {
                    found |= guard::is_filter(message, way, guard)?;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn set_guard(&self, name: &InterfaceName, guard: &LinkGuard) -> Result<()> {
        let index = self.index(name.as_str())?;
        let failed = |fault| match fault {
            NetlinkFault::Refused(ENODEV) => absent_interface(name.as_str()),
            NetlinkFault::Refused(ENOENT | EOPNOTSUPP) => {
                let what = "guard a link: the kernel has not both sch_ingress and cls_bpf".to_owned();
                HostError::Unsupported { what }
            }
            fault => fault.into_error(format!("guarding {name}")),
        };
        let hooks = Message::NewQueueDiscipline(guard::hooks(index));
        match self.netlink.change(hooks, Changing::Create) {
            Ok(()) | Err(NetlinkFault::Refused(EEXIST)) => {}
            Err(fault) => return Err(failed(fault)),
        }
        for way in guard::Direction::ALL {
            let filter = Message::NewTrafficFilter(guard::filter(index, way, guard)?);
            self.netlink.change(filter, Changing::Either).map_err(failed)?;
        }
        Ok(())
    }

    fn addresses(&self) -> Result<Vec<(String, IpNetwork)>> {
        let mut names = Names::new(self);
        let mut found = Vec::new();
        for address in self.all_addresses()?.into_iter().filter(|address| !address.link_local()) {
            // An interface that vanished meanwhile took its addresses with it.
            if let Some(name) = names.get(address.index)? {
                found.push((name, address.network));
            }
        }
        Ok(found)
    }

    fn add_address(&self, name: &InterfaceName, address: IpNetwork) -> Result<()> {
        let message = Message::NewAddress(addresses::message(self.index(name.as_str())?, address));
        let object = format!("interface {name}");
        self.change(format!("adding {address} to {name}"), message, Changing::Create, &[ENODEV], object)
    }

    fn remove_address(&self, name: &InterfaceName, address: IpNetwork) -> Result<()> {
        let index = self.index(name.as_str())?;
        let object = format!("address {address} of {name}");
        // The kernel knows an address by its far end too, so that it is named as it is there.
        let all = self.all_addresses()?.into_iter();
        let found: Vec<Address> =
            all.filter(|found| (found.index, found.network) == (index, address)).collect();
        if found.is_empty() {
            return Err(HostError::Absent { object });
        }
        for found in found {
            let message = Message::DelAddress(addresses::message_of(&found));
            let (what, object) = (format!("removing {address} from {name}"), object.clone());
            self.change(what, message, Changing::Existing, &[EADDRNOTAVAIL, ENODEV], object)?;
        }
        Ok(())
    }

    fn routes(&self, table: u32) -> Result<Vec<Route>> {
        let mut names = Names::new(self);
        let mut found = Vec::new();
        for ipv6 in [false, true] {
            let messages = match self.netlink.dump(&Message::GetRoute(routes::of_table(table, ipv6))) {
                Ok(messages) => messages,
                // A table that nothing was ever put in does not exist; neither does a family that is turned off.
                Err(NetlinkFault::Refused(ENOENT | EAFNOSUPPORT | EOPNOTSUPP)) => continue,
                Err(fault) => return Err(fault.into_error(format!("reading the routes of table {table}"))),
            };
            for message in messages {
                let Message::NewRoute(message) = message else { continue };
                for route in routes::read(&message, ipv6, &mut |index| names.get(index))? {
                    if route.table == table {
                        found.push(route);
                    }
                }
            }
        }
        Ok(found)
    }

    fn add_route(&self, route: &Route) -> Result<()> {
        routes::check(route)?;
        let index = routes::interface(route).map(|name| self.index(name)).transpose()?;
        let message = Message::NewRoute(routes::message(route, index));
        let object = format!("interface {}", routes::interface(route).unwrap_or("lo"));
        self.change(format!("adding {route}"), message, Changing::Create, &[ENODEV], object)
    }

    fn replace_route(&self, route: &Route) -> Result<()> {
        routes::check(route)?;
        let index = routes::interface(route).map(|name| self.index(name)).transpose()?;
        let message = Message::NewRoute(routes::message(route, index));
        let object = format!("interface {}", routes::interface(route).unwrap_or("lo"));
        self.change(format!("replacing {route}"), message, Changing::Replace, &[ENODEV], object)
    }

    fn remove_route(&self, route: &Route) -> Result<()> {
        let object = route.to_string();
        // The kernel takes a metric of 0 and a missing source as "any": whether it is this route is to be seen first.
        if !self.routes(route.table)?.contains(route) {
            return Err(HostError::Absent { object });
        }
        let index = routes::interface(route).map(|name| self.index(name)).transpose()?;
        let message = Message::DelRoute(routes::message(route, index));
        self.change(format!("removing {object}"), message, Changing::Existing, &[ESRCH, ENODEV], object)
    }

    fn rules(&self) -> Result<Vec<PolicyRule>> {
        let what = "reading the policy rules";
        let messages = self.netlink.dump(&Message::GetRule(rules::all())).map_err(|f| f.into_error(what))?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                Message::NewRule(message) => rules::read(message),
                _ => None,
            })
            .collect())
    }

    fn add_rule(&self, rule: &PolicyRule) -> Result<()> {
        let object = rules::name(rule);
        self.change(
            format!("adding {object}"),
            Message::NewRule(rules::message(rule)),
            Changing::Create,
            &[],
            object,
        )
    }

    fn remove_rule(&self, rule: &PolicyRule) -> Result<()> {
        let object = rules::name(rule);
        match rules::hit(&self.rules()?, rule) {
            rules::Hit::This => {}
            rules::Hit::Nothing => return Err(HostError::Absent { object }),
            rules::Hit::Another => {
                let what =
                    format!("{object} cannot be removed: the kernel would remove another one in its place");
                return Err(HostError::unexpected(what));
            }
        }
        let message = Message::DelRule(rules::message(rule));
        self.change(format!("removing {object}"), message, Changing::Existing, &[ENOENT, ESRCH], object)
    }

    fn uplink(&self) -> Result<Option<Uplink>> {
        let routes = self.routes(uplink::MAIN_TABLE)?;
        let (four, six) = (uplink::default_route(&routes), || uplink::default_route6(&routes));
        let Some(interface) = four.as_ref().map(|(interface, _)| interface.clone()).or_else(six) else {
            return Ok(None);
        };
        let Some(link) = self.find(&interface)? else { return Ok(None) };
        let addresses = self.all_addresses()?;
        let of_link = || addresses.iter().filter(|address| address.index == link.index);
        // Without a route for IPv4, no address of it reaches beyond the link.
        let Some((_, preferred)) = four else {
            let ipv6 = uplink::global_ipv6(of_link());
            return Ok(Some(Uplink { interface, address: None, prefix: None, ipv6 }));
        };
        let address =
            self.source_address(link.index)?.or(preferred).or_else(|| uplink::first_ipv4(of_link()));
        let prefix = address.and_then(|address| uplink::prefix(of_link(), IpAddr::V4(address)));
        Ok(Some(Uplink { interface, address, prefix, ipv6: uplink::global_ipv6(of_link()) }))
    }

    fn route_for(&self, packet: &ForwardedPacket) -> Result<Option<String>> {
        let index = self.index(packet.in_interface.as_str())?;
        let what = || format!("asking for the way of packets from {} to {}", packet.from, packet.to);
        match self.netlink.get(Message::GetRoute(routes::passing(packet, index))) {
            Ok(Message::NewRoute(message)) => {
                let out = routes::out_interface(&message);
                out.map_or(Ok(None), |index| Names::new(self).get(index))
            }
            Ok(_) => Err(odd_answer(&what())),
            // Unreachable, prohibited, a black hole, forwarding switched off, a source that cannot be there: dropped.
            Err(NetlinkFault::Refused(number)) if DROPPED.contains(&number) => Ok(None),
            Err(fault) => Err(fault.into_error(what())),
        }
    }

    fn own_route(&self, from: Option<Ipv4Addr>, to: Ipv4Addr) -> Result<Option<OwnRoute>> {
        let what = || format!("asking for the route to {to}");
        match self.netlink.get(Message::GetRoute(routes::own(from, to))) {
            Ok(Message::NewRoute(message)) => {
                let Some((index, gateway)) = routes::own_hop(&message) else { return Ok(None) };
                let Some(interface) = Names::new(self).get(index)? else { return Ok(None) };
                // The kernel names its choice of a source only where it had one.
                let source = routes::source(&message).or(from);
                Ok(Some(OwnRoute { interface, gateway, source }))
            }
            Ok(_) => Err(odd_answer(&what())),
            // No route, one that leads nowhere, or a source that is not on this host.
            Err(NetlinkFault::Refused(number)) if DROPPED.contains(&number) => Ok(None),
            Err(fault) => Err(fault.into_error(what())),
        }
    }

    fn ways_out(&self) -> Result<Vec<String>> {
        let mut ways = Vec::new();
        for to in [IpAddr::V4(FAR.0), IpAddr::V6(FAR.1)] {
            let what = || format!("asking for the route to {to}");
            match self.netlink.get(Message::GetRoute(routes::out(to))) {
                Ok(Message::NewRoute(message)) => {
                    if let Some(index) = routes::out_interface(&message)
                        && let Some(interface) = Names::new(self).get(index)?
                    {
                        ways.push(way_out(&interface, routes::source(&message)));
                    }
                }
                Ok(_) => return Err(odd_answer(&what())),
                // No route, or a kernel without this family.
                Err(NetlinkFault::Refused(_)) => {}
                Err(fault) => return Err(fault.into_error(what())),
            }
        }
        Ok(ways)
    }

    fn echo(&self, from: &PingSource, to: Ipv4Addr, count: u16, wait: Duration) -> Result<bool> {
        if let PingSource::Interface(interface) = from {
            self.index(interface.as_str())?;
        }
        echo::ask(from, to, count, wait)
    }
}

/// Names of interfaces by their index, each asked for once.
struct Names<'a> {
    network: &'a LinuxNetwork,
    known: BTreeMap<u32, Option<String>>,
}

impl<'a> Names<'a> {
    fn new(network: &'a LinuxNetwork) -> Self {
        Self { network, known: BTreeMap::new() }
    }

    /// The name, `None` when there is no such interface any more.
    fn get(&mut self, index: u32) -> Result<Option<String>> {
        if let Some(name) = self.known.get(&index) {
            return Ok(name.clone());
        }
        let what = || format!("reading interface number {index}");
        let name = match self.network.netlink.get(Message::GetLink(links::by_index(index))) {
            Ok(Message::NewLink(message)) => links::read(&message).map(|link| link.name),
            Ok(_) => return Err(odd_answer(&what())),
            Err(NetlinkFault::Refused(ENODEV)) => None,
            Err(fault) => return Err(fault.into_error(what())),
        };
        self.known.insert(index, name.clone());
        Ok(name)
    }
}

fn reading(name: &str) -> String {
    format!("reading interface {name}")
}

fn absent_interface(name: &str) -> HostError {
    HostError::Absent { object: format!("interface {name}") }
}

fn odd_answer(what: &str) -> HostError {
    HostError::unexpected(format!("{what}: the kernel answered something else"))
}

#[cfg(test)]
mod tests;
