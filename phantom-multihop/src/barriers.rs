//! What keeps packets of clients from the server's own uplink, as it is on the host: not what is stored of it.
//!
//! Each wall closes alone, so that clients are kept in as long as one of them stands. One that is missing is said all the
//! same: nothing is left then for whoever takes the other one away.

use std::net::{IpAddr, Ipv6Addr};

use ipnetwork::IpNetwork;
use phantom_engine::DesiredState;
use phantom_host::filter::{FilterVerdict, Packet, Tracking};
use phantom_host::{
    ForwardedPacket, Host, HostError, OwnershipTags, PolicyRule, Route, RouteKind, RuleAction, RulesetStatus,
};
use phantom_module::Lang;
use phantom_types::InterfaceName;

use crate::desired::leads_to_exit;
use crate::switch::SwitchContext;
use crate::verify::SOMEWHERE;

/// A public address of IPv6; nothing is sent there.
const SOMEWHERE6: Ipv6Addr = Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111);
/// Protocols that clients speak, by IANA's numbers: ICMP of each family, TCP, UDP.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Types of echo requests, of each family.
const ECHO: u8 = 8;
const ECHO6: u8 = 128;
/// The table of what the host delivers to itself (`RT_TABLE_LOCAL`), which every host asks first.
const LOCAL: u32 = 255;
/// A port that clients' packets go to.
const HTTPS: u16 = 443;

/// Something that closes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// The rules of the packet filter.
    Filter,
    /// The routes that lead nowhere, in the table of the exit.
    Routes,
    /// The policy rules that lead nowhere, behind that table.
    Rules,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Barriers {
    /// Clients are to be kept in.
    pub(crate) wanted: bool,
    /// They are: none of their packets leaves by the server's own uplink, whatever becomes of the exit.
    pub(crate) closed: bool,
    /// Their packets leave by the server's own uplink at this moment.
    pub(crate) direct: bool,
    /// Walls that are wanted and are not there.
    pub(crate) missing: Vec<Barrier>,
    /// What could not be asked. What depends on it counts as not there, and is not called missing.
    pub(crate) silent: Option<HostError>,
}

/// Looks at the walls; `wanted` is what all modules want of the host. Nothing is sent.
pub(crate) fn look(
    host: &Host,
    tags: &OwnershipTags,
    place: &SwitchContext,
    wanted: &DesiredState,
) -> Barriers {
    let mut barriers = Barriers { wanted: wanted.rules.iter().any(leads_nowhere), ..Barriers::default() };
    let ways = match Ways::read(host, tags, place) {
        Ok(ways) => ways,
        Err(error) => {
            barriers.silent = Some(error);
            Ways::default()
        }
    };
    if barriers.silent.is_none() {
        let nowhere = |route: &&Route| route.kind == RouteKind::Unreachable;
        let missing = [
            (Barrier::Routes, wanted.routes.iter().filter(nowhere).any(|route| !ways.routes.contains(route))),
            (
                Barrier::Rules,
                wanted.rules.iter().filter(|rule| leads_nowhere(rule)).any(|rule| !ways.has(rule)),
            ),
        ];
        barriers
            .missing
            .extend(missing.into_iter().filter(|(_, missing)| *missing).map(|(barrier, _)| barrier));
    }
    let whole = host.firewall.in_force(tags, &wanted.firewall);
    let whole = whole.unwrap_or_else(|error| {
        barriers.silent = Some(error);
        RulesetStatus::Missing
    });
    let stands = barriers.wanted && whole == RulesetStatus::InSync;
    if barriers.wanted && !stands && barriers.silent.is_none() {
        barriers.missing.insert(0, Barrier::Filter);
    }
    let networks = client_networks(place);
    let filter =
        if stands { vec![true; networks.len()] } else { dropped(host, tags, place, &ways, &networks) };
    let closed = |(network, dropped): (&IpNetwork, bool)| {
        dropped || ways.lead_nowhere(tags, &place.interface, *network)
    };
    barriers.closed = networks.iter().zip(filter.iter().copied()).all(closed);
    barriers.direct = ways.elsewhere.is_some() && filter.first() != Some(&true);
    barriers
}

fn leads_nowhere(rule: &PolicyRule) -> bool {
    rule.action == RuleAction::Unreachable
}

/// The networks of the clients, that of IPv4 first.
fn client_networks(place: &SwitchContext) -> Vec<IpNetwork> {
    let six = place.server.subnet6.map(IpNetwork::V6);
    [IpNetwork::V4(place.server.subnet.into())].into_iter().chain(six).collect()
}

/// Routes and rules as they are.
#[derive(Default)]
struct Ways {
    /// Of the exit's table.
    routes: Vec<Route>,
    /// All.
    rules: Vec<PolicyRule>,
    /// Where a packet of a client to the Internet leaves at this moment, if that is not the exit. IPv4.
    elsewhere: Option<String>,
}

impl Ways {
    fn read(host: &Host, tags: &OwnershipTags, place: &SwitchContext) -> Result<Self, HostError> {
        let SwitchContext { server, interface } = place;
        let packet = ForwardedPacket {
            from: server.subnet.first_client(),
            to: SOMEWHERE,
            in_interface: server.interface.clone(),
        };
        let out = match host.network.route_for(&packet) {
            // Nobody comes in by an interface that is not there.
            Err(error) if error.is_absent() => None,
            other => other?,
        };
        let near = |out: &String| leads_to_exit(interface, out) || out == server.interface.as_str();
        Ok(Self {
            routes: host.network.routes(tags.exit_table())?,
            rules: host.network.rules()?,
            elsewhere: out.filter(|out| !near(out)),
        })
    }

    fn has(&self, rule: &PolicyRule) -> bool {
        self.rules.contains(rule)
    }

    /// Whether somebody has put in a way out for some destinations: a route in the exit's table by another interface, or a rule
    /// that is asked before ours.
    fn some_leave(&self, tags: &OwnershipTags, exit: &InterfaceName, from: IpNetwork) -> bool {
        let four = from.is_ipv4();
        let aside = |route: &Route| {
            let by =
                matches!(&route.kind, RouteKind::Via { interface, .. } if !leads_to_exit(exit, interface));
            by && route.protocol != OwnershipTags::PROTOCOL && route.destination.is_ipv4() == four
        };
        let before = |rule: &PolicyRule| {
            let asks = matches!(rule.action, RuleAction::Lookup(table) if table != LOCAL && table != tags.exit_table());
            asks && rule.ipv6 != four
                && rule.priority < tags.last_priority()
                && rule.protocol != OwnershipTags::PROTOCOL
                && overlap(rule.from, from)
        };
        self.routes.iter().any(aside) || self.rules.iter().any(before)
    }

    /// Whether packets from there lead nowhere when they do not lead to the exit: by the rule behind the exit's table, or by
    /// the last route in it. Where the kernel has another way for them now, somebody has put a rule of his own before ours.
    fn lead_nowhere(&self, tags: &OwnershipTags, exit: &InterfaceName, from: IpNetwork) -> bool {
        if from.is_ipv4() && self.elsewhere.is_some() || self.some_leave(tags, exit, from) {
            return false;
        }
        let ours = |priority, action| {
            let same = |rule: &&PolicyRule| (rule.priority, rule.action) == (priority, action);
            self.rules.iter().filter(same).any(|rule| rule.from == Some(from) && rule.to.is_none())
        };
        let nowhere = |route: &Route| {
            let everywhere = route.destination.prefix() == 0;
            everywhere
                && route.kind == RouteKind::Unreachable
                && route.destination.is_ipv4() == from.is_ipv4()
        };
        ours(tags.last_priority(), RuleAction::Unreachable)
            || (ours(tags.exit_priority(), RuleAction::Lookup(tags.exit_table()))
                && self.routes.iter().any(nowhere))
    }
}

/// Whether two networks have an address in common; every address is in no network at all.
fn overlap(one: Option<IpNetwork>, other: IpNetwork) -> bool {
    one.is_none_or(|one| one.contains(other.network()) || other.contains(one.network()))
}

/// For each of the networks, whether rules of ours drop what clients send from there to the server's own uplink, whatever
/// has become of the others.
fn dropped(
    host: &Host,
    tags: &OwnershipTags,
    place: &SwitchContext,
    ways: &Ways,
    networks: &[IpNetwork],
) -> Vec<bool> {
    let Ok(filters) = host.firewall.filters() else { return vec![false; networks.len()] };
    let uplink = host.network.uplink().ok().flatten().map(|uplink| uplink.interface);
    let out = ways.elsewhere.clone().or(uplink);
    let ours = |packet: &Packet| match filters.verdict(packet) {
        FilterVerdict::Dropped(spot) | FilterVerdict::Rejected(spot) => spot.is_ours(tags),
        _ => false,
    };
    networks.iter().map(|network| packets(place, *network, out.as_deref()).iter().all(ours)).collect()
}

/// Packets of a client to the Internet: of each protocol, those that begin a connection and those of one that goes on.
fn packets(place: &SwitchContext, network: IpNetwork, out: Option<&str>) -> Vec<Packet> {
    let (source, to): (IpAddr, IpAddr) = match network {
        IpNetwork::V4(_) => (place.server.subnet.first_client().into(), SOMEWHERE.into()),
        IpNetwork::V6(six) => (Ipv6Addr::from(u128::from(six.network()) + 2).into(), SOMEWHERE6.into()),
    };
    let by = (place.server.interface.as_str(), out.unwrap_or_default());
    let of = |protocol| Packet {
        out_interface: out.map(str::to_owned),
        ..Packet::through(by, source, to, protocol, HTTPS)
    };
    let (icmp, echo) = if source.is_ipv4() { (ICMP, ECHO) } else { (ICMPV6, ECHO6) };
    let echo = Packet { ports: None, icmp: Some((echo, 0)), ..of(icmp) };
    let first = [of(TCP), of(UDP), echo];
    let goes_on = |packet: &Packet| Packet {
        tracking: Tracking::Established,
        connection_mark: None,
        origin: Some(packet.source),
        ..packet.clone()
    };
    let later: Vec<Packet> = first.iter().map(goes_on).collect();
    first.into_iter().chain(later).collect()
}

impl Barrier {
    /// What is missing, as people know it.
    pub(crate) fn sentence(self, lang: Lang) -> &'static str {
        match self {
            Self::Filter => lang.pick(
                "The packet filter's rules are missing, or somebody has changed them",
                "Paket filtresinin kuralları eksik veya biri onları değiştirmiş",
            ),
            Self::Routes => lang.pick(
                "The unreachable routes in the exit's routing table are missing",
                "Çıkışın yönlendirme tablosundaki unreachable rotaları eksik",
            ),
            Self::Rules => lang.pick(
                "The unreachable policy rules behind the exit's routing table are missing",
                "Çıkışın yönlendirme tablosundan sonra gelen unreachable kuralları eksik",
            ),
        }
    }
}
