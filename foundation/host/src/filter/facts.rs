//! What is known of a packet at one point of its walk.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::names::{
    BROADCAST, ESTABLISHED, ETHERTYPE_IPV4, ETHERTYPE_IPV6, INVALID, LOCAL, MULTICAST, NEW, NFPROTO_IPV4,
    NFPROTO_IPV6, RELATED, SYN, TCP, UNICAST, UNTRACKED,
};
use super::tree::{Field, Ports, Version, Writable};
use super::{FilterHook, Packet, PacketPath, TableId, Tracking};

/// Priority at which a packet gets its connection (`NF_IP_PRI_CONNTRACK`), in prerouting.
const CONNTRACK: i64 = -200;
/// At which NAT has given it the addresses of its connection, in prerouting and in postrouting.
const TRANSLATED_DESTINATION: i64 = -100;
const TRANSLATED_SOURCE: i64 = 100;

/// The source of either version.
const SOURCES: [Field; 2] = [Field::Source(Version::V4), Field::Source(Version::V6)];

/// An answer that need not be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tri {
    False,
    Maybe,
    True,
}

impl Tri {
    pub(super) fn from_bool(known: bool) -> Self {
        if known { Self::True } else { Self::False }
    }
    pub(super) fn and(self, other: Self) -> Self {
        self.min(other)
    }
    pub(super) fn or(self, other: Self) -> Self {
        self.max(other)
    }
    pub(super) fn reversed_if(self, not: bool) -> Self {
        match (self, not) {
            (Self::True, true) => Self::False,
            (Self::False, true) => Self::True,
            _ => self,
        }
    }
}

/// Where a packet is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    pub hook: FilterHook,
    /// Of the base chain that is asked.
    pub priority: i64,
}

/// What the rules have done to a packet until now. Equal states have equal futures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PacketState {
    mark: Option<u32>,
    connection_mark: Option<u32>,
    /// It was taken off connection tracking.
    untracked: Tri,
    /// It has the address of the interface that it leaves by, which is known.
    masqueraded: bool,
    /// Fields that have got values that are not followed.
    changed: BTreeSet<Field>,
    /// Sets, by table and name, that may hold other elements than those that are listed.
    touched: BTreeSet<(TableId, String)>,
}

impl PacketState {
    pub(super) fn new(packet: &Packet) -> Self {
        Self {
            mark: Some(packet.mark),
            connection_mark: packet.connection_mark,
            untracked: Tri::False,
            masqueraded: false,
            changed: BTreeSet::new(),
            touched: BTreeSet::new(),
        }
    }
    /// What is known where packets of both states may be.
    pub(super) fn join(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (mut one, other) = match (one, other) {
            (Some(one), Some(other)) => (one, other),
            (one, other) => return one.or(other),
        };
        if one == other {
            return Some(one);
        }
        one.mark = one.mark.filter(|mark| other.mark == Some(*mark));
        one.connection_mark = one.connection_mark.filter(|mark| other.connection_mark == Some(*mark));
        if one.untracked != other.untracked {
            one.untracked = Tri::Maybe;
        }
        one.changed.extend(other.changed);
        if one.masqueraded != other.masqueraded {
            one.masqueraded = false;
            one.changed.extend(SOURCES);
        }
        one.touched.extend(other.touched);
        Some(one)
    }
    pub(super) fn set(&mut self, what: Writable, value: Option<u128>) {
        let value = value.and_then(|value| value.try_into().ok());
        match what {
            Writable::Mark => self.mark = value,
            Writable::ConnectionMark => self.connection_mark = value,
            Writable::Header(field) => drop(self.changed.insert(field)),
        }
    }
    /// It gets another source, which is not followed.
    pub(super) fn translate_source(&mut self, protocol: u8) {
        self.changed.extend(SOURCES);
        self.changed.extend([Field::SourcePort(Ports::Any), Field::SourcePort(Ports::Of(protocol))]);
    }
    /// It gets the address of the interface that it leaves by.
    pub(super) fn masquerade(&mut self, packet: &Packet) {
        self.translate_source(packet.protocol);
        if packet.masqueraded.is_some() {
            self.masqueraded = true;
            self.changed.retain(|field| !SOURCES.contains(field));
        }
    }
    /// Takes the packet off connection tracking, if it is not tracked yet.
    pub(super) fn untrack(&mut self, stage: Stage) {
        match stage.hook {
            FilterHook::Prerouting if stage.priority < CONNTRACK => self.untracked = Tri::True,
            FilterHook::Prerouting if stage.priority == CONNTRACK => {
                self.untracked = self.untracked.or(Tri::Maybe);
            }
            _ => {}
        }
    }
    pub(super) fn touch(&mut self, table: &TableId, set: &str) {
        self.touched.insert((table.clone(), set.to_owned()));
    }
    pub(super) fn has_touched(&self, table: &TableId, set: &str) -> bool {
        !self.touched.is_empty() && self.touched.contains(&(table.clone(), set.to_owned()))
    }
    /// Somebody had the packet who may have changed its marks.
    pub(super) fn blur(&mut self) {
        (self.mark, self.connection_mark) = (None, None);
    }
}

/// The value of something for the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact<'a> {
    /// The packet has no such thing, so that a rule that asks for it does not apply.
    Absent,
    Unknown,
    Number(u128),
    Name(&'a str),
}

/// How connection tracking has dealt with the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tracked {
    NotYet,
    As(Tracking),
    Unknown,
}

/// A packet at one point of its walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub packet: &'a Packet,
    pub stage: Stage,
    pub state: &'a PacketState,
}

impl<'a> Context<'a> {
    /// Whether it opens a connection that is tracked.
    pub(super) fn opens_connection(self) -> Tri {
        match self.tracked() {
            Tracked::As(Tracking::New) => Tri::True,
            Tracked::Unknown | Tracked::As(Tracking::Related) => Tri::Maybe,
            _ => Tri::False,
        }
    }

    fn tracked(self) -> Tracked {
        let early = |then| match self.state.untracked {
            Tri::True => Tracked::As(Tracking::Untracked),
            Tri::False => then,
            Tri::Maybe => Tracked::Unknown,
        };
        match self.stage.hook {
            FilterHook::Ingress => Tracked::NotYet,
            FilterHook::Prerouting if self.stage.priority < CONNTRACK => early(Tracked::NotYet),
            FilterHook::Prerouting if self.stage.priority == CONNTRACK => early(Tracked::Unknown),
            _ => early(Tracked::As(self.packet.tracking)),
        }
    }

    /// Its connection is known, so that it may have other addresses than those it had on the wire.
    fn of_known_connection(self) -> bool {
        matches!(self.packet.tracking, Tracking::Established | Tracking::Related)
    }

    pub(super) fn fact(self, field: Field) -> Fact<'a> {
        if self.state.changed.contains(&field) && !matches!(self.header(field), Fact::Absent) {
            return Fact::Unknown;
        }
        match field {
            Field::InInterface => Fact::Name(&self.packet.in_interface),
            Field::OutInterface => self.out_interface(),
            Field::Mark => known(self.state.mark),
            Field::PacketType => Fact::Number(match self.destination_type() {
                MULTICAST => 2,
                BROADCAST => 1,
                _ => 0,
            }),
            Field::SourceType => Fact::Number(self.source_type()),
            Field::DestinationType => Fact::Number(self.destination_type()),
            Field::ReturnRoute { strict } => match self.packet.return_route {
                Some(true) => Fact::Number(1),
                Some(false) if strict => Fact::Number(0),
                _ => Fact::Unknown,
            },
            Field::Decrypted | Field::ExtensionExists => Fact::Number(0),
            Field::Extension => Fact::Absent,
            Field::State => self.connection_state(),
            Field::Translated => match self.of_connection(Field::Status) {
                Fact::Absent => Fact::Number(0),
                status => status,
            },
            Field::Status
            | Field::Direction
            | Field::ConnectionMark
            | Field::OriginalSource(_)
            | Field::OriginalDestination(_)
            | Field::OriginalSourcePort
            | Field::OriginalDestinationPort => self.of_connection(field),
            _ => self.header(field),
        }
    }

    fn out_interface(self) -> Fact<'a> {
        match self.stage.hook {
            // It is not known yet, or the packet does not leave: nftables compares with an empty name then.
            FilterHook::Ingress | FilterHook::Prerouting | FilterHook::Input => Fact::Name(""),
            _ => self.packet.out_interface.as_deref().map_or(Fact::Unknown, Fact::Name),
        }
    }

    fn connection_state(self) -> Fact<'a> {
        let bits = match self.tracked() {
            // What has no connection is invalid (`nft_ct_get_eval`).
            Tracked::NotYet | Tracked::As(Tracking::Invalid) => INVALID,
            Tracked::As(Tracking::New) => NEW,
            Tracked::As(Tracking::Established) => ESTABLISHED,
            Tracked::As(Tracking::Related) => RELATED,
            Tracked::As(Tracking::Untracked) => UNTRACKED,
            Tracked::Unknown => return Fact::Unknown,
        };
        Fact::Number(bits)
    }

    fn of_connection(self, field: Field) -> Fact<'a> {
        match self.tracked() {
            Tracked::NotYet | Tracked::As(Tracking::Untracked | Tracking::Invalid) => return Fact::Absent,
            Tracked::As(_) if field == Field::ConnectionMark => return known(self.state.connection_mark),
            Tracked::As(Tracking::New) => {}
            Tracked::As(Tracking::Established) => {
                return match (field, self.packet.origin) {
                    (Field::OriginalSource(version), Some(origin)) => {
                        let is = (version == Version::V4) == origin.is_ipv4();
                        if is { address(origin) } else { Fact::Absent }
                    }
                    _ => Fact::Unknown,
                };
            }
            Tracked::Unknown | Tracked::As(Tracking::Related) => {
                return Fact::Unknown;
            }
        }
        match field {
            // Nothing has been seen of it, and rules that translate it end the walk.
            Field::Status | Field::Direction => Fact::Number(0),
            Field::OriginalSource(version) => {
                let is = (version == Version::V4) == self.packet.is_ipv4();
                if is { address(self.packet.source) } else { Fact::Absent }
            }
            Field::OriginalDestination(version) => self.header(Field::Destination(version)),
            Field::OriginalSourcePort => self.header(Field::SourcePort(Ports::Any)),
            Field::OriginalDestinationPort => self.header(Field::DestinationPort(Ports::Any)),
            _ => Fact::Unknown,
        }
    }

    /// What its headers have.
    fn header(self, field: Field) -> Fact<'a> {
        let packet = self.packet;
        let is = |version| (version == Version::V4) == packet.is_ipv4();
        let of = |there: bool, fact: Fact<'a>| if there { fact } else { Fact::Absent };
        let four = packet.is_ipv4();
        match field {
            Field::Family => Fact::Number(if four { NFPROTO_IPV4 } else { NFPROTO_IPV6 }),
            Field::EtherType => Fact::Number(if four { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 }),
            Field::Protocol => Fact::Number(packet.protocol.into()),
            Field::ProtocolOf(version) => of(is(version), Fact::Number(packet.protocol.into())),
            Field::OfProtocol(protocol) => of(packet.protocol == protocol, Fact::Unknown),
            Field::OfVersion(version) => of(is(version), Fact::Unknown),
            Field::FragmentOffset => of(four, Fact::Number(0)),
            Field::Source(version) => of(is(version), self.source()),
            Field::Destination(version) => of(is(version), self.destination()),
            Field::SourcePort(ports) => self.port(ports, packet.ports.map(|(from, _)| from)),
            Field::DestinationPort(ports) => self.port(ports, packet.ports.map(|(_, to)| to)),
            Field::TcpFlags if packet.tracking == Tracking::New => {
                of(packet.protocol == TCP, Fact::Number(SYN))
            }
            Field::TcpFlags => of(packet.protocol == TCP, Fact::Unknown),
            Field::IcmpType(version) => {
                of(is(version) && packet.protocol == packet.icmp_protocol(), known(packet.icmp.map(|i| i.0)))
            }
            Field::IcmpCode(version) => {
                of(is(version) && packet.protocol == packet.icmp_protocol(), known(packet.icmp.map(|i| i.1)))
            }
            _ => Fact::Unknown,
        }
    }

    fn source(self) -> Fact<'a> {
        let late = self.stage.hook == FilterHook::Egress
            || (self.stage.hook == FilterHook::Postrouting && self.stage.priority > TRANSLATED_SOURCE);
        if let (true, Some(masqueraded)) = (self.state.masqueraded, self.packet.masqueraded) {
            return address(masqueraded);
        }
        if late && self.of_known_connection() { Fact::Unknown } else { address(self.packet.source) }
    }

    fn destination(self) -> Fact<'a> {
        let early = self.stage.hook == FilterHook::Ingress
            || (self.stage.hook == FilterHook::Prerouting && self.stage.priority <= TRANSLATED_DESTINATION);
        if !early || !self.of_known_connection() {
            return address(self.packet.destination);
        }
        // Of an answer it is known what it came with.
        let answered = self.packet.masqueraded.filter(|_| self.packet.origin.is_some());
        answered.map_or(Fact::Unknown, address)
    }

    fn port(self, ports: Ports, port: Option<u16>) -> Fact<'a> {
        match ports {
            Ports::Of(protocol) if self.packet.protocol != protocol => Fact::Absent,
            // What other protocols have in that place is not known.
            Ports::Any if !self.packet.has_ports() => Fact::Unknown,
            _ => known(port),
        }
    }

    fn source_type(self) -> u128 {
        if self.packet.source.is_loopback() { LOCAL } else { UNICAST }
    }

    fn destination_type(self) -> u128 {
        match (self.packet.destination, self.packet.path) {
            (address, _) if address.is_multicast() => MULTICAST,
            (IpAddr::V4(address), _) if address.is_broadcast() => BROADCAST,
            (_, PacketPath::Input) => LOCAL,
            (_, PacketPath::Forward) => UNICAST,
        }
    }
}

fn known<'a>(number: Option<impl Into<u128>>) -> Fact<'a> {
    number.map_or(Fact::Unknown, |number| Fact::Number(number.into()))
}

/// An address as a number.
pub(super) fn address<'a>(address: IpAddr) -> Fact<'a> {
    Fact::Number(address_number(address))
}

/// The same, to be compared.
pub(super) fn address_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}
