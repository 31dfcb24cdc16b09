//! The sets of ipset, which rules of both variants of iptables ask: what `ipset save` prints (`ipset(8)`).

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::facts::address_number;
use super::names::{NumberKind, TCP, UDP, number};
use super::tree::{Element, Expr, Field, Pattern, Ports, Version};
use super::{FilterFamily, FilterProgram, Filters, TableId};

/// Its sets by name.
pub(super) type IpSets = BTreeMap<String, IpSet>;

/// A set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IpSet {
    /// Of a type that is not understood.
    Unknown,
    /// All that is in one of these sets is in it.
    List(Vec<String>),
    /// One with elements.
    Of {
        /// The only version whose packets can be in it.
        version: Option<Version>,
        /// What an element has.
        parts: &'static [Part],
        elements: Vec<Element>,
        /// What is not in it although a wider network is (`nomatch`).
        except: Vec<Element>,
    },
}

/// A part of an element; the rule says for each whether it is that of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Address,
    /// A protocol with its port.
    Port,
    /// A port of TCP or UDP.
    PortAlone,
    Interface,
    Mark,
}

/// A rule's question for a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InSet {
    pub name: String,
    /// For each part whether it is that of the source.
    pub sources: Vec<bool>,
}

impl Filters {
    /// Gives the tables of iptables the sets that their rules ask: what `ipset save` prints. Without it, what is in a set is not
    /// known.
    pub fn add_ipsets(&mut self, save: &str) {
        let sets = Arc::new(read(save));
        for table in self.tables.iter_mut().filter(|table| table.id.program != FilterProgram::Nftables) {
            table.ipsets = Arc::clone(&sets);
        }
    }
}

/// The table that stands for all sets of ipset where one changes: they belong to no table.
pub(super) fn place() -> TableId {
    TableId { program: FilterProgram::IptablesLegacy, family: FilterFamily::Inet, name: "ipset".to_owned() }
}

/// The parts of a type's elements, where it is understood.
fn parts(kind: &str) -> Option<&'static [Part]> {
    Some(match kind {
        "hash:ip" | "hash:net" | "bitmap:ip" => &[Part::Address],
        "bitmap:port" => &[Part::PortAlone],
        "hash:ip,port" | "hash:net,port" => &[Part::Address, Part::Port],
        "hash:net,net" => &[Part::Address, Part::Address],
        "hash:net,iface" => &[Part::Address, Part::Interface],
        "hash:ip,mark" => &[Part::Address, Part::Mark],
        "hash:ip,port,ip" | "hash:ip,port,net" | "hash:net,port,net" => {
            &[Part::Address, Part::Port, Part::Address]
        }
        _ => return None,
    })
}

fn read(save: &str) -> IpSets {
    let mut sets = IpSets::new();
    for line in save.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("create"), Some(name), Some(kind)) => {
                sets.insert(name.to_owned(), create(kind, &words.collect::<Vec<_>>()));
            }
            (Some("add"), Some(name), Some(element)) => {
                if let Some(set) = sets.get_mut(name) {
                    set.add(element, &words.collect::<Vec<_>>());
                }
            }
            _ => {}
        }
    }
    sets
}

fn create(kind: &str, options: &[&str]) -> IpSet {
    if kind == "list:set" {
        return IpSet::List(Vec::new());
    }
    // What is compared under a mask is not what is listed.
    let masked = ["netmask", "bitmask", "markmask"].iter().any(|mask| options.contains(mask));
    let Some(parts) = parts(kind).filter(|_| !masked) else { return IpSet::Unknown };
    let version = match kind {
        "bitmap:port" => None,
        _ if options.contains(&"inet6") => Some(Version::V6),
        _ => Some(Version::V4),
    };
    IpSet::Of { version, parts, elements: Vec::new(), except: Vec::new() }
}

impl IpSet {
    fn add(&mut self, element: &str, options: &[&str]) {
        let (parts, elements, except) = match self {
            Self::Unknown => return,
            Self::List(members) => return members.push(element.to_owned()),
            Self::Of { parts, elements, except, .. } => (*parts, elements, except),
        };
        // A comment may have any words, in quotes.
        let options: Vec<&str> = options.iter().copied().take_while(|option| *option != "comment").collect();
        let to = if options.contains(&"nomatch") { except } else { elements };
        let words: Vec<&str> = element.split(',').collect();
        let wildcard = options.contains(&"wildcard");
        if parts == [Part::PortAlone] {
            for protocol in [TCP, UDP] {
                let protocol = Pattern::Range(protocol.into(), protocol.into());
                to.push(Element::plain(vec![protocol, port(element, NumberKind::Port)]));
            }
            return;
        }
        let mut patterns = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            // One that has fewer parts than its type is not understood.
            let word = words.get(at).copied().unwrap_or_default();
            match part {
                Part::Address => patterns.push(address(word)),
                Part::Port | Part::PortAlone => patterns.extend(protocol_and_port(word)),
                Part::Interface => patterns.push(interface(word, wildcard)),
                Part::Mark => {
                    patterns.push(number(word).map_or(Pattern::Unknown, |mark| Pattern::Range(mark, mark)));
                }
            }
        }
        to.push(Element::plain(patterns));
    }
}

fn address(word: &str) -> Pattern {
    let Ok(network) = word.parse::<IpNetwork>() else { return Pattern::Unknown };
    let last = match network {
        IpNetwork::V4(network) => network.broadcast().into(),
        IpNetwork::V6(network) => network.broadcast().into(),
    };
    Pattern::Range(address_number(network.network()), address_number(last))
}

fn port(word: &str, kind: NumberKind) -> Pattern {
    kind.number(word).map_or(Pattern::Unknown, |number| Pattern::Range(number, number))
}

/// `udp:53`. What ICMP has in that place is a type by its name.
fn protocol_and_port(word: &str) -> [Pattern; 2] {
    let Some((protocol, number)) = word.split_once(':') else { return [Pattern::Unknown, Pattern::Unknown] };
    [port(protocol, NumberKind::Protocol), port(number, NumberKind::Port)]
}

fn interface(word: &str, wildcard: bool) -> Pattern {
    match word {
        // The port of a bridge.
        _ if word.is_empty() || word.starts_with("physdev:") => Pattern::Unknown,
        _ if wildcard => Pattern::NamePrefix(word.to_owned()),
        _ => Pattern::Name(word.to_owned()),
    }
}

/// What a question for a set of these parts asks of a packet; `None` where it names too few.
pub(super) fn key(parts: &[Part], sources: &[bool], version: Option<Version>) -> Option<Vec<Expr>> {
    let mut key = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let source = *sources.get(at)?;
        let pick = |of_source, of_destination| Expr::Field(if source { of_source } else { of_destination });
        let version = version.unwrap_or(Version::V4);
        match part {
            Part::Address => key.push(pick(Field::Source(version), Field::Destination(version))),
            Part::Port | Part::PortAlone => {
                key.push(Expr::Field(Field::Protocol));
                key.push(pick(Field::SourcePort(Ports::Any), Field::DestinationPort(Ports::Any)));
            }
            Part::Interface => key.push(pick(Field::InInterface, Field::OutInterface)),
            Part::Mark => key.push(Expr::Field(Field::Mark)),
        }
    }
    Some(key)
}
