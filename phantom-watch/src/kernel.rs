//! What rtnetlink knows: links, addresses, routes, rules (`linux/rtnetlink.h`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::IpNetwork;
use netlink_packet_core::{Emitable as _, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use phantom_types::watch::{FAR, Watched, WatchedRoute, WatchedRule, way_out};

use crate::SeenLink;
use crate::netlink::{Ear, HEADER, Mouth};

/// `RTNLGRP_LINK`, `_TC`, `_IPV4_IFADDR`, `_IPV4_ROUTE`, `_IPV4_RULE`, `_IPV6_IFADDR`, `_IPV6_ROUTE`, `_IPV6_RULE`, `_IPV4_NETCONF`,
/// `_IPV6_NETCONF`.
const GROUPS: [u32; 10] = [1, 4, 5, 7, 8, 9, 11, 19, 24, 25];
/// The table of what the host delivers to itself (`RT_TABLE_LOCAL`).
const LOCAL: u32 = 255;
/// The number of a link's own filter among those of its place, and that place.
const GUARD: TcHandle = TcHandle { major: 0, minor: 1 };
const GUARD_PRIORITY: u32 = 1;
/// `ENODEV`: no such link. Also `ENOENT`, of a table that has never had a route.
const ABSENT: [i32; 2] = [19, 2];

/// Is told of changes of links, addresses, routes, rules and settings.
pub(crate) fn ear() -> io::Result<Ear> {
    Ear::open(NETLINK_ROUTE, &GROUPS)
}

/// Asks for links, addresses, routes and rules.
pub(crate) struct Kernel {
    mouth: Mouth,
    /// What the filters of links did when they were seen first, by link and hook.
    guards: BTreeMap<(String, u16), Vec<TcOption>>,
}

impl Kernel {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { mouth: Mouth::open(NETLINK_ROUTE)?, guards: BTreeMap::new() })
    }

    /// A change has found the filters of links right: what they do from now on is right.
    pub(crate) fn forget_guards(&mut self) {
        self.guards.clear();
    }

    /// The links of these names that are there.
    pub(crate) fn links(&mut self, watched: &Watched) -> io::Result<BTreeMap<String, SeenLink>> {
        let mut links = BTreeMap::new();
        for name in watched.links.keys() {
            if let Some((index, mut link)) = self.link(name)? {
                self.addresses(index, &mut link)?;
                self.local(index, &mut link)?;
                if watched.guards.contains(name) {
                    link.guarded = self.guarded(name, index)?;
                }
                links.insert(name.clone(), link);
            }
        }
        Ok(links)
    }

    fn link(&mut self, name: &str) -> io::Result<Option<(u32, SeenLink)>> {
        let mut question = LinkMessage::default();
        question.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let mut found = None;
        let asked = self.ask(&RouteNetlinkMessage::GetLink(question), NLM_F_REQUEST, &mut |answer| {
            if let Some(RouteNetlinkMessage::NewLink(message)) = answer {
                let alias = message.attributes.iter().find_map(|attribute| match attribute {
                    LinkAttribute::IfAlias(alias) => Some(alias.clone()),
                    _ => None,
                });
                let up = message.header.flags.contains(LinkFlags::Up);
                found = Some((message.header.index, SeenLink { up, alias, ..SeenLink::default() }));
            }
        });
        or_absent(asked)?;
        Ok(found)
    }

    fn addresses(&mut self, index: u32, link: &mut SeenLink) -> io::Result<()> {
        let mut question = AddressMessage::default();
        question.header.index = index;
        let asked = self.list(&RouteNetlinkMessage::GetAddress(question), &mut |answer| match answer {
            None => link.addresses.clear(),
            Some(RouteNetlinkMessage::NewAddress(message)) if message.header.index == index => {
                link.addresses.extend(address(&message));
            }
            Some(_) => {}
        });
        or_absent(asked)
    }

    /// What is delivered to the host itself by a link, of IPv4: of IPv6 the kernel names the loopback interface.
    fn local(&mut self, index: u32, link: &mut SeenLink) -> io::Result<()> {
        let mut question = table(LOCAL, false);
        question.attributes.push(RouteAttribute::Oif(index));
        let asked = self.list(&RouteNetlinkMessage::GetRoute(question), &mut |answer| match answer {
            None => link.local.clear(),
            Some(RouteNetlinkMessage::NewRoute(message)) => {
                let by = message.attributes.contains(&RouteAttribute::Oif(index));
                if by && message.header.kind == RouteType::Local {
                    link.local.extend(destination(&message).map(|network| network.ip()));
                }
            }
            Some(_) => {}
        });
        or_absent(asked)
    }

    /// Whether a link has our filter at both hooks of its own (`clsact`), and these do what they did when they were seen first.
    fn guarded(&mut self, name: &str, index: u32) -> io::Result<bool> {
        for minor in [TcHandle::MIN_INGRESS, TcHandle::MIN_EGRESS] {
            // The kernel counts its links in this type too.
            let mut question = TcMessage::with_index(index.cast_signed());
            question.header.parent = TcHandle { major: u16::MAX, minor };
            let mut found = None;
            let asked =
                self.list(&RouteNetlinkMessage::GetTrafficFilter(question), &mut |answer| match answer {
                    None => found = None,
                    Some(RouteNetlinkMessage::NewTrafficFilter(message)) if is_guard(&message) => {
                        found = Some(does(message));
                    }
                    Some(_) => {}
                });
            or_absent(asked)?;
            let Some(now) = found else { return Ok(false) };
            let first = self.guards.entry((name.to_owned(), minor)).or_insert_with(|| now.clone());
            if *first != now {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The routes of the tables that something is wanted in.
    pub(crate) fn routes(&mut self, watched: &Watched) -> io::Result<BTreeSet<WatchedRoute>> {
        let tables: BTreeSet<(u32, bool)> =
            watched.routes.iter().map(|route| (route.table, route.destination.is_ipv6())).collect();
        let mut routes = BTreeSet::new();
        let mut names = BTreeMap::new();
        for name in watched.links.keys() {
            if let Some((index, _)) = self.link(name)? {
                names.insert(index, name.clone());
            }
        }
        for (number, ipv6) in tables {
            let mut found = BTreeSet::new();
            let question = RouteNetlinkMessage::GetRoute(table(number, ipv6));
            let asked = self.list(&question, &mut |answer| match answer {
                None => found.clear(),
                Some(RouteNetlinkMessage::NewRoute(message)) => found.extend(route(&message, number, &names)),
                Some(_) => {}
            });
            or_absent(asked)?;
            routes.append(&mut found);
        }
        Ok(routes)
    }

    /// All rules.
    pub(crate) fn rules(&mut self) -> io::Result<BTreeSet<WatchedRule>> {
        let mut rules = BTreeSet::new();
        for (family, ipv6) in [(AddressFamily::Inet, false), (AddressFamily::Inet6, true)] {
            let mut question = RuleMessage::default();
            question.header.family = family;
            let mut found = BTreeSet::new();
            let asked = self.list(&RouteNetlinkMessage::GetRule(question), &mut |answer| match answer {
                None => found.clear(),
                Some(RouteNetlinkMessage::NewRule(message)) => {
                    found.insert(rule(&message, ipv6));
                }
                Some(_) => {}
            });
            match asked {
                // A kernel without IPv6 has no rules for it.
                Err(error) if ipv6 && error.raw_os_error() == Some(95) => {}
                other => other?,
            }
            rules.append(&mut found);
        }
        Ok(rules)
    }

    /// The ways to the Internet, as the engine has written them down.
    pub(crate) fn ways_out(&mut self) -> io::Result<Vec<String>> {
        let mut ways = Vec::new();
        for to in [IpAddr::V4(FAR.0), IpAddr::V6(FAR.1)] {
            let mut found = None;
            let asked = self.ask(&RouteNetlinkMessage::GetRoute(way_to(to)), NLM_F_REQUEST, &mut |answer| {
                if let Some(RouteNetlinkMessage::NewRoute(message)) = answer {
                    found = hop(&message);
                }
            });
            match asked {
                // No route, or a kernel without this family.
                Err(error) if error.raw_os_error().is_some() => continue,
                other => other?,
            }
            if let Some((index, source)) = found
                && let Some(name) = self.name(index)?
            {
                ways.push(way_out(&name, source));
            }
        }
        Ok(ways)
    }

    /// The name of a link; none where it has gone.
    fn name(&mut self, index: u32) -> io::Result<Option<String>> {
        let mut question = LinkMessage::default();
        question.header.index = index;
        let mut found = None;
        let asked = self.ask(&RouteNetlinkMessage::GetLink(question), NLM_F_REQUEST, &mut |answer| {
            if let Some(RouteNetlinkMessage::NewLink(message)) = answer {
                found = message.attributes.into_iter().find_map(|attribute| match attribute {
                    LinkAttribute::IfName(name) => Some(name),
                    _ => None,
                });
            }
        });
        or_absent(asked)?;
        Ok(found)
    }

    fn list(
        &mut self,
        question: &RouteNetlinkMessage,
        each: &mut dyn FnMut(Option<RouteNetlinkMessage>),
    ) -> io::Result<()> {
        self.ask(question, NLM_F_REQUEST | NLM_F_DUMP, each)
    }

    /// Asks; `each` gets the answers, and nothing where they begin again. What this library does not understand is passed over:
    /// nothing of ours is among it.
    fn ask(
        &mut self,
        question: &RouteNetlinkMessage,
        flags: u16,
        each: &mut dyn FnMut(Option<RouteNetlinkMessage>),
    ) -> io::Result<()> {
        let mut bytes = vec![0; HEADER + question.buffer_len()];
        question.emit(&mut bytes[HEADER..]);
        self.mouth.ask(question.message_type(), flags, &mut bytes, &mut |message| {
            if message.is_empty() {
                each(None);
            } else if let Ok(NetlinkPayload::InnerMessage(answer)) =
                NetlinkMessage::<RouteNetlinkMessage>::deserialize(message).map(|message| message.payload)
            {
                each(Some(answer));
            }
        })
    }
}

/// What a filter does.
fn does(message: TcMessage) -> Vec<TcOption> {
    let options = message.attributes.into_iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    options.unwrap_or_default()
}

/// The question by which way packets of the host's own go to an address.
fn way_to(to: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (family, length, to) = match to {
        IpAddr::V4(to) => (AddressFamily::Inet, 32, RouteAddress::Inet(to)),
        IpAddr::V6(to) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(to)),
    };
    (message.header.address_family, message.header.destination_prefix_length) = (family, length);
    message.attributes.push(RouteAttribute::Destination(to));
    message
}

/// The index of the interface in the answer to [`way_to`], and for IPv4 the address that packets leave with.
fn hop(message: &RouteMessage) -> Option<(u32, Option<Ipv4Addr>)> {
    let mut hop = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => hop.0 = Some(*index),
            RouteAttribute::PrefSource(RouteAddress::Inet(source)) => hop.1 = Some(*source),
            _ => {}
        }
    }
    let (index, source) = hop;
    index.filter(|_| message.header.kind == RouteType::Unicast).map(|index| (index, source))
}

/// Whether it is a filter of the kind, in the place and of the number that ours has.
fn is_guard(message: &TcMessage) -> bool {
    let bpf = message.attributes.iter().any(|one| matches!(one, TcAttribute::Kind(kind) if kind == "bpf"));
    bpf && message.header.handle == GUARD && message.header.info >> 16 == GUARD_PRIORITY
}

/// What is not there is no failure.
fn or_absent(asked: io::Result<()>) -> io::Result<()> {
    match asked {
        Err(error) if error.raw_os_error().is_some_and(|code| ABSENT.contains(&code)) => Ok(()),
        other => other,
    }
}

fn address(message: &AddressMessage) -> Option<IpNetwork> {
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            _ => {}
        }
    }
    IpNetwork::new(local.or(address)?, message.header.prefix_len).ok()
}

fn table(number: u32, ipv6: bool) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    message.header.table = u8::try_from(number).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
    message.attributes.push(RouteAttribute::Table(number));
    message
}

fn table_of(message: &RouteMessage) -> u32 {
    let named = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(number) => Some(*number),
        _ => None,
    });
    named.unwrap_or_else(|| message.header.table.into())
}

fn destination(message: &RouteMessage) -> Option<IpNetwork> {
    let ip: Option<IpAddr> = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(ip)) => Some((*ip).into()),
        RouteAttribute::Destination(RouteAddress::Inet6(ip)) => Some((*ip).into()),
        _ => None,
    });
    let any: IpAddr = match message.header.address_family {
        AddressFamily::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    };
    IpNetwork::new(ip.unwrap_or(any), message.header.destination_prefix_length).ok()
}

/// A route of this table; one by an interface that is not ours is none that is looked for.
fn route(message: &RouteMessage, table: u32, names: &BTreeMap<u32, String>) -> Option<WatchedRoute> {
    if table_of(message) != table {
        return None;
    }
    let interface = match message.header.kind {
        RouteType::Unicast => {
            let out = message.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => names.get(index).cloned(),
                _ => None,
            });
            Some(out?)
        }
        RouteType::Unreachable | RouteType::BlackHole => None,
        _ => return None,
    };
    let metric = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    let (protocol, metric) = (message.header.protocol.into(), metric.unwrap_or_default());
    Some(WatchedRoute { table, destination: destination(message)?, interface, protocol, metric })
}

fn rule(message: &RuleMessage, ipv6: bool) -> WatchedRule {
    let mut rule = WatchedRule { ipv6, priority: 0, from: None, table: message.header.table.into() };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(number) => rule.priority = *number,
            RuleAttribute::Table(number) => rule.table = *number,
            RuleAttribute::Source(ip) => rule.from = IpNetwork::new(*ip, message.header.src_len).ok(),
            _ => {}
        }
    }
    rule
}
