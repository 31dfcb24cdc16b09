//! Tables, chains and rules of every packet filter in one form: both readers make it, the evaluator walks it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ipset::{InSet, IpSet, IpSets};
use super::names::NumberKind;
use super::{BaseChain, TableId};

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub id: TableId,
    /// The kernel does not ask it (`flags dormant`).
    pub dormant: bool,
    pub chains: Vec<Chain>,
    /// The place of each chain in [`Self::chains`].
    pub by_name: BTreeMap<String, usize>,
    pub sets: BTreeMap<String, Set>,
    /// The sets of ipset that its rules may ask.
    pub ipsets: Arc<IpSets>,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub name: String,
    pub base: Option<Base>,
    pub rules: Vec<Rule>,
}

/// What makes a chain one that the kernel itself asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub chain: BaseChain,
    /// Of type `nat`: asked for the first packet of a connection only.
    pub nat: bool,
    /// The interfaces of an ingress or egress chain; `None` when they are not known.
    pub devices: Option<Vec<String>>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its handle in nftables.
    pub handle: Option<u64>,
    /// As its packet filter writes it.
    pub text: String,
    /// What it asks and does, from left to right.
    pub steps: Vec<Statement>,
}

/// A part of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// The rule goes on only if this holds.
    Require(Condition),
    /// The rule goes on or not, and nobody can tell from the packet: a rate limit, or a match that is not understood.
    Maybe,
    /// Ends the rule.
    Do(FilterAction),
    /// Ends the rule by the action of the element that the key is in.
    DoByMap(Lookup),
    /// Changes something of the packet that later conditions ask for.
    Set(Writable, Expr),
    /// The packet is not tracked any more.
    NoTrack,
    /// Changes the set of this name; which elements it has then is not known.
    Touch(String),
    /// The same of a set of ipset.
    TouchIpSet(String),
}

/// What a rule, or an element of a map, does with a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum FilterAction {
    Accept,
    Drop,
    Reject,
    /// Back to the calling chain; in a base chain its policy.
    Return,
    Jump(String),
    Goto(String),
    /// Nothing: the next rule is asked.
    Continue,
    /// It gets another destination, and is nobody's packet that was asked about any more.
    Redirect,
    /// It gets another source, which is not followed, and passes the chain.
    Translate,
    /// It gets the address of the interface that it leaves by as its source, and passes the chain.
    Masquerade,
    /// Somebody else decides: a program that reads a queue, or a target that is not understood.
    Unknown,
}

/// What a rule can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writable {
    Mark,
    ConnectionMark,
    /// A field of the packet's headers; what it gets is not followed.
    Header(Field),
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub lookup: Lookup,
    /// Negated. What does not exist in the packet meets neither the condition nor its negation.
    pub not: bool,
}

/// A question whether something is among some elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lookup {
    /// More than one for a concatenation.
    pub key: Vec<Expr>,
    pub among: Among,
}

/// Where a key is searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// Elements that the rule has itself.
    Elements(Vec<Element>),
    /// A set or map of the table.
    Set(String),
    /// It has one of these bits.
    AnyBit(u128),
    /// A set of ipset, which says itself what it asks of the packet: there is no other key.
    IpSet(InSet),
}

/// A set or a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    pub elements: Vec<Element>,
}

/// An element of a set or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// As many as the key has parts; none for the one that takes what no other does (`*`).
    pub parts: Vec<Pattern>,
    /// It has a rate limit or the like, so that a packet that is in it may count as outside.
    pub limited: bool,
    pub data: Data,
}

/// What a map gives for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    None,
    Action(FilterAction),
    Number(u128),
    Unknown,
}

/// What a part of a key is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// From the first to the last, both among them.
    Range(u128, u128),
    /// The bits of the first that the second has.
    Masked { value: u128, mask: u128 },
    /// A name.
    Name(String),
    /// All names that begin so.
    NamePrefix(String),
    /// Not understood.
    Unknown,
}

/// Something that has a value for a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    Field(Field),
    Number(u128),
    Bits(BitOp, Box<(Self, Self)>),
    /// The value of a map.
    Map(Box<Lookup>),
    Unknown,
}

/// An operation on bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BitOp {
    And,
    Or,
    Xor,
    Left,
    Right,
}

/// Which header a port is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Ports {
    /// That of this protocol: a packet of another one has no such field.
    Of(u8),
    /// That of whatever protocol it is (`th dport`).
    Any,
}

/// An address family of a field: a packet of the other one has no such field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Version {
    V4,
    V6,
}

/// Something of a packet, or of what surrounds it, that conditions ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Field {
    InInterface,
    OutInterface,
    Family,
    EtherType,
    Protocol,
    ProtocolOf(Version),
    Source(Version),
    Destination(Version),
    SourcePort(Ports),
    DestinationPort(Ports),
    TcpFlags,
    IcmpType(Version),
    IcmpCode(Version),
    State,
    Status,
    /// The bits of [`Self::Status`] that say that it is translated. A packet without connection has none of them.
    Translated,
    Direction,
    Mark,
    ConnectionMark,
    /// Of the first packet of its connection.
    OriginalSource(Version),
    OriginalDestination(Version),
    OriginalSourcePort,
    OriginalDestinationPort,
    PacketType,
    SourceType,
    DestinationType,
    /// Whether there is a route back, by the interface that it came in by if `strict`.
    ReturnRoute {
        strict: bool,
    },
    /// Whether it went through an `IPsec` tunnel.
    Decrypted,
    /// Something in an extension header of IPv6 or an option of IPv4.
    Extension,
    /// Whether there is such a header.
    ExtensionExists,
    /// Where in the whole packet a fragment begins.
    FragmentOffset,
    /// Something else of the header of this protocol, which other packets do not have.
    OfProtocol(u8),
    /// The same of an IP header.
    OfVersion(Version),
}

impl Field {
    /// By which names its values may be printed.
    pub(super) fn kind(self) -> NumberKind {
        match self {
            Self::InInterface | Self::OutInterface => NumberKind::Interface,
            Self::Family => NumberKind::Family,
            Self::EtherType => NumberKind::EtherType,
            Self::Protocol | Self::ProtocolOf(_) => NumberKind::Protocol,
            Self::Source(_)
            | Self::Destination(_)
            | Self::OriginalSource(_)
            | Self::OriginalDestination(_) => NumberKind::Address,
            Self::SourcePort(_)
            | Self::DestinationPort(_)
            | Self::OriginalSourcePort
            | Self::OriginalDestinationPort => NumberKind::Port,
            Self::TcpFlags => NumberKind::TcpFlags,
            Self::IcmpType(Version::V4) => NumberKind::IcmpType,
            Self::IcmpType(Version::V6) => NumberKind::Icmpv6Type,
            Self::State => NumberKind::State,
            Self::Status | Self::Translated => NumberKind::Status,
            Self::Direction => NumberKind::Direction,
            Self::Mark | Self::ConnectionMark => NumberKind::Number,
            Self::PacketType => NumberKind::PacketType,
            Self::SourceType | Self::DestinationType => NumberKind::AddressType,
            Self::ReturnRoute { .. } | Self::Decrypted | Self::ExtensionExists => NumberKind::Boolean,
            Self::IcmpCode(_)
            | Self::Extension
            | Self::FragmentOffset
            | Self::OfProtocol(_)
            | Self::OfVersion(_) => NumberKind::Other,
        }
    }
}

impl Expr {
    /// By which names its values may be printed.
    pub(super) fn kind(&self) -> NumberKind {
        match self {
            Self::Field(field) => field.kind(),
            Self::Bits(_, sides) => sides.0.kind(),
            Self::Number(_) | Self::Map(_) | Self::Unknown => NumberKind::Other,
        }
    }
}

impl Condition {
    /// That a field is one of these.
    pub(super) fn matching(field: Field, patterns: Vec<Pattern>, not: bool) -> Self {
        let elements = patterns.into_iter().map(|pattern| Element::plain(vec![pattern])).collect();
        Self { lookup: Lookup { key: vec![Expr::Field(field)], among: Among::Elements(elements) }, not }
    }
    /// That a field has one of these bits.
    pub(super) fn any_bit(field: Field, bits: u128, not: bool) -> Self {
        Self { lookup: Lookup { key: vec![Expr::Field(field)], among: Among::AnyBit(bits) }, not }
    }
}

impl Element {
    /// One without conditions of its own and without data.
    pub(super) fn plain(parts: Vec<Pattern>) -> Self {
        Self { parts, limited: false, data: Data::None }
    }
}

impl Table {
    pub(super) fn new(id: TableId) -> Self {
        Self {
            id,
            dormant: false,
            chains: Vec::new(),
            by_name: BTreeMap::new(),
            sets: BTreeMap::new(),
            ipsets: Arc::default(),
        }
    }
    /// The chain of this name, made if need be.
    pub(super) fn chain(&mut self, name: &str) -> &mut Chain {
        let next = self.chains.len();
        let at = *self.by_name.entry(name.to_owned()).or_insert(next);
        if at == next {
            self.chains.push(Chain { name: name.to_owned(), base: None, rules: Vec::new() });
        }
        &mut self.chains[at]
    }
    /// How many rules and elements it has: what it costs to ask all of them.
    pub(super) fn size(&self) -> usize {
        let inline = |among: &Among| match among {
            Among::Elements(elements) => elements.len(),
            Among::Set(_) | Among::AnyBit(_) | Among::IpSet(_) => 1,
        };
        let step = |step: &Statement| match step {
            Statement::Require(condition) => inline(&condition.lookup.among),
            Statement::DoByMap(lookup) => inline(&lookup.among),
            _ => 1,
        };
        let rules = self.chains.iter().flat_map(|chain| &chain.rules);
        let rules: usize = rules.map(|rule| 1 + rule.steps.iter().map(step).sum::<usize>()).sum();
        let of_ipset = |set: &IpSet| match set {
            IpSet::Unknown => 1,
            IpSet::List(members) => members.len(),
            IpSet::Of { elements, except, .. } => elements.len() + except.len(),
        };
        let sets: usize = self.sets.values().map(|set| set.elements.len()).sum();
        rules + sets + self.ipsets.values().map(of_ipset).sum::<usize>()
    }
}
