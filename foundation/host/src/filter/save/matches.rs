//! Matches: the conditions of a rule.

use std::net::IpAddr;

use super::masked;
use crate::filter::facts::address_number;
use crate::filter::ipset::InSet;
use crate::filter::names::{ESTABLISHED, NEW, NumberKind, RELATED, STATUS_DNAT, STATUS_SNAT, number};
use crate::filter::tree::{
    Among, BitOp, Condition, Element, Expr, Field, Lookup, Pattern, Ports, Statement, Version,
};

/// Modules whose options are understood here, or that have none of their own.
const MODULES: [&str; 20] = [
    "tcp",
    "udp",
    "udplite",
    "sctp",
    "dccp",
    "multiport",
    "comment",
    "conntrack",
    "state",
    "mark",
    "connmark",
    "addrtype",
    "icmp",
    "icmp6",
    "icmpv6",
    "iprange",
    "pkttype",
    "rpfilter",
    "policy",
    "set",
];

/// The conditions of one rule while they are read.
pub(super) struct Matches {
    version: Version,
    protocol: Option<u8>,
    /// The module that the last `-m` has named: some options have one name in two of them.
    module: String,
    /// The direction of an `IPsec` policy that is asked for.
    inwards: bool,
    /// A reverse path filter: whether it is strict, and whether it is inverted.
    reverse: Option<(bool, bool)>,
    steps: Vec<Statement>,
}

impl Matches {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            protocol: None,
            module: String::new(),
            inwards: false,
            reverse: None,
            steps: Vec::new(),
        }
    }

    /// Reads the conditions. Gives their steps, and the words from the target on.
    pub(super) fn read(mut self, words: &[String]) -> (Vec<Statement>, &[String]) {
        let mut rest = words;
        let mut not = false;
        while let [word, after @ ..] = rest {
            if ["-j", "-g", "--jump", "--goto"].contains(&word.as_str()) {
                break;
            }
            rest = after;
            if word == "!" {
                not = true;
                continue;
            }
            rest = self.option(word, rest, std::mem::take(&mut not));
        }
        if let Some((strict, inverted)) = self.reverse {
            let there = vec![Pattern::Range(1, 1)];
            self.require(Some(Condition::matching(Field::ReturnRoute { strict }, there, inverted)));
        }
        (self.steps, rest)
    }

    /// Reads an option and its values. Gives what is left.
    fn option<'a>(&mut self, name: &str, rest: &'a [String], not: bool) -> &'a [String] {
        match name {
            "-m" | "--match" => {
                let (module, rest) = value(rest);
                module.clone_into(&mut self.module);
                if module == "rpfilter" {
                    self.reverse = Some((true, false));
                } else if ["rt", "hbh", "dst", "frag"].contains(&module) {
                    // It has no extension headers.
                    self.require(Some(Condition::matching(Field::Family, Vec::new(), false)));
                } else if !MODULES.contains(&module) {
                    self.steps.push(Statement::Maybe);
                }
                rest
            }
            "--loose" => self.reverse(|reverse| reverse.0 = false, rest),
            "--invert" => self.reverse(|reverse| reverse.1 = true, rest),
            "--validmark" | "--accept-local" if self.reverse.is_some() => rest,
            // The packet is whole.
            "-f" | "--fragment" => {
                self.require(Some(Condition::matching(Field::Family, Vec::new(), not)));
                rest
            }
            "--comment" => value(rest).1,
            "--dir" => {
                let (direction, rest) = value(rest);
                self.inwards = direction == "in";
                rest
            }
            "--tcp-flags" => {
                let (mask, rest) = value(rest);
                let (flags, rest) = value(rest);
                let condition = tcp_flags(mask, flags, not);
                self.require(condition);
                rest
            }
            "--match-set" => {
                let (name, rest) = value(rest);
                let (parts, rest) = value(rest);
                let sources = parts.split(',').map(|part| part == "src").collect();
                let among = Among::IpSet(InSet { name: name.to_owned(), sources });
                self.require(Some(Condition { lookup: Lookup { key: Vec::new(), among }, not }));
                rest
            }
            // They say what is counted in the set.
            "--update-counters" | "--update-subcounters" => rest,
            "--ports" => {
                let (ports, rest) = value(rest);
                let condition = self.either_port(ports, not);
                self.require(condition);
                rest
            }
            _ => self.with_value(name, rest, not),
        }
    }

    /// Reads an option that has one value, or one that is not understood.
    fn with_value<'a>(&mut self, name: &str, rest: &'a [String], not: bool) -> &'a [String] {
        let (text, after) = value(rest);
        let condition = match name {
            "-s" | "--source" => self.address(Field::Source, text, not),
            "-d" | "--destination" => self.address(Field::Destination, text, not),
            "--ctorigsrc" => self.address(Field::OriginalSource, text, not),
            "--ctorigdst" => self.address(Field::OriginalDestination, text, not),
            "--src-range" => self.addresses(Field::Source, text, not),
            "--dst-range" => self.addresses(Field::Destination, text, not),
            "-i" | "--in-interface" => Some(interface(Field::InInterface, text, not)),
            "-o" | "--out-interface" => Some(interface(Field::OutInterface, text, not)),
            "-p" | "--protocol" => self.protocol(text, not),
            "--sport" | "--source-port" | "--sports" | "--source-ports" => {
                ports(Field::SourcePort(self.ports()), text, not)
            }
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                ports(Field::DestinationPort(self.ports()), text, not)
            }
            "--ctorigsrcport" => ports(Field::OriginalSourcePort, text, not),
            "--ctorigdstport" => ports(Field::OriginalDestinationPort, text, not),
            "--state" | "--ctstate" => states(text, not),
            "--ctstatus" => {
                bits(NumberKind::Status, text).map(|bits| Condition::any_bit(Field::Status, bits, not))
            }
            "--ctdir" => named(Field::Direction, text, not),
            "--ctproto" => {
                // A packet without connection has no such protocol.
                let tracked = Condition::any_bit(Field::State, NEW | ESTABLISHED | RELATED, false);
                self.require(Some(tracked));
                named(Field::Protocol, text, not)
            }
            "--mark" => self.mark(text, not),
            "--src-type" => named(Field::SourceType, text, not),
            "--dst-type" => named(Field::DestinationType, text, not),
            "--pkt-type" => named(Field::PacketType, text, not),
            "--icmp-type" | "--icmpv6-type" => icmp(self.version, text, not),
            "--pol" if self.inwards => {
                let number = u128::from(text == "ipsec");
                Some(Condition::matching(Field::Decrypted, vec![Pattern::Range(number, number)], not))
            }
            _ => {
                self.steps.push(Statement::Maybe);
                return skip(rest);
            }
        };
        self.require(condition);
        after
    }

    fn require(&mut self, condition: Option<Condition>) {
        self.steps.push(condition.map_or(Statement::Maybe, Statement::Require));
    }

    fn reverse<'a>(&mut self, set: impl FnOnce(&mut (bool, bool)), rest: &'a [String]) -> &'a [String] {
        match &mut self.reverse {
            Some(reverse) => set(reverse),
            None => self.steps.push(Statement::Maybe),
        }
        rest
    }

    fn ports(&self) -> Ports {
        self.protocol.map_or(Ports::Any, Ports::Of)
    }

    /// A network, whose mask may have holes.
    fn address(&self, field: fn(Version) -> Field, text: &str, not: bool) -> Option<Condition> {
        let width: u32 = if self.version == Version::V4 { 32 } else { 128 };
        let all = u128::MAX >> (128 - width);
        let (address, mask) = match text.split_once('/') {
            None => (text, all),
            Some((address, mask)) => match mask.parse::<u32>() {
                Ok(length) => (address, all & !(all.checked_shr(length).unwrap_or_default())),
                Err(_) => (address, address_number(mask.parse::<IpAddr>().ok()?)),
            },
        };
        let value = address_number(address.parse().ok()?);
        Some(Condition::matching(field(self.version), vec![Pattern::Masked { value, mask }], not))
    }

    fn addresses(&self, field: fn(Version) -> Field, text: &str, not: bool) -> Option<Condition> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let address = |text: &str| text.parse().ok().map(address_number);
        let range = Pattern::Range(address(first)?, address(last)?);
        Some(Condition::matching(field(self.version), vec![range], not))
    }

    fn protocol(&mut self, text: &str, not: bool) -> Option<Condition> {
        let number = if text == "all" { 0 } else { NumberKind::Protocol.number(text)? };
        if number == 0 {
            // Any protocol.
            return Some(Condition::matching(Field::Protocol, vec![Pattern::Range(0, u128::MAX)], not));
        }
        self.protocol = number.try_into().ok().filter(|_| !not);
        Some(Condition::matching(Field::Protocol, vec![Pattern::Range(number, number)], not))
    }

    fn mark(&self, text: &str, not: bool) -> Option<Condition> {
        let (value, mask) = masked(text)?;
        let field = if self.module == "connmark" { Field::ConnectionMark } else { Field::Mark };
        // What is outside the mask is never there.
        let pattern = (value & !mask == 0).then_some(Pattern::Masked { value, mask });
        Some(Condition::matching(field, pattern.into_iter().collect(), not))
    }

    /// One port or the other, as `-m multiport --ports` asks.
    fn either_port(&self, text: &str, not: bool) -> Option<Condition> {
        let any = || Pattern::Range(0, u128::MAX);
        let mut elements = Vec::new();
        for range in port_ranges(text)? {
            elements.push(Element::plain(vec![range.clone(), any()]));
            elements.push(Element::plain(vec![any(), range]));
        }
        let key = [Field::SourcePort(self.ports()), Field::DestinationPort(self.ports())];
        let key = key.map(Expr::Field).to_vec();
        Some(Condition { lookup: Lookup { key, among: Among::Elements(elements) }, not })
    }
}

/// The next word.
fn value(rest: &[String]) -> (&str, &[String]) {
    rest.split_first().map_or(("", rest), |(word, rest)| (word.as_str(), rest))
}

/// Leaves out the values of an option that is not understood.
fn skip(rest: &[String]) -> &[String] {
    let values = rest.iter().take_while(|word| !word.starts_with('-') && *word != "!").count();
    &rest[values..]
}

fn interface(field: Field, name: &str, not: bool) -> Condition {
    let pattern = match name.strip_suffix('+') {
        Some(prefix) => Pattern::NamePrefix(prefix.to_owned()),
        None => Pattern::Name(name.to_owned()),
    };
    Condition::matching(field, vec![pattern], not)
}

/// `22,80,90:99`.
fn port_ranges(text: &str) -> Option<Vec<Pattern>> {
    let port = |text: &str, otherwise| if text.is_empty() { Some(otherwise) } else { number(text) };
    let range = |text: &str| {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        Some(Pattern::Range(port(first, 0)?, port(last, u16::MAX.into())?))
    };
    text.split(',').map(range).collect()
}

fn ports(field: Field, text: &str, not: bool) -> Option<Condition> {
    Some(Condition::matching(field, port_ranges(text)?, not))
}

/// One of several names, as in `LOCAL,BROADCAST`.
fn named(field: Field, text: &str, not: bool) -> Option<Condition> {
    let pattern = |name: &str| field.kind().number(name).map(|number| Pattern::Range(number, number));
    Some(Condition::matching(field, text.split(',').map(pattern).collect::<Option<_>>()?, not))
}

fn bits(kind: NumberKind, text: &str) -> Option<u128> {
    let bits = text.split(',').try_fold(0, |all, name| Some(all | kind.number(name)?))?;
    (bits != 0).then_some(bits)
}

/// States of connections, among them `SNAT` and `DNAT`, which are none of the kernel's states.
fn states(text: &str, not: bool) -> Option<Condition> {
    let translated = STATUS_SNAT | STATUS_DNAT;
    let bits = text.split(',').try_fold(0, |all, name| {
        let state = NumberKind::State.number(name);
        Some(all | state.or_else(|| NumberKind::Status.number(name).filter(|bits| bits & !translated == 0))?)
    })?;
    if bits & translated == 0 {
        return Some(Condition::any_bit(Field::State, bits, not));
    }
    // No state has the bits of those two.
    let both = (Expr::Field(Field::State), Expr::Field(Field::Translated));
    let key = vec![Expr::Bits(BitOp::Or, Box::new(both))];
    Some(Condition { lookup: Lookup { key, among: Among::AnyBit(bits) }, not })
}

/// `SYN,RST SYN`: of the first flags the second are set, and no others.
fn tcp_flags(mask: &str, flags: &str, not: bool) -> Option<Condition> {
    let bits =
        |text: &str| text.split(',').try_fold(0, |all, name| Some(all | NumberKind::TcpFlags.number(name)?));
    let (mask, flags) = (bits(mask)?, bits(flags)?);
    let key = vec![Expr::Bits(BitOp::And, Box::new((Expr::Field(Field::TcpFlags), Expr::Number(mask))))];
    let among = Among::Elements(vec![Element::plain(vec![Pattern::Range(flags, flags)])]);
    Some(Condition { lookup: Lookup { key, among }, not })
}

/// A type, or a type and a code, as in `3/4`.
fn icmp(version: Version, text: &str, not: bool) -> Option<Condition> {
    let (kind, code) = text.split_once('/').map_or((text, None), |(kind, code)| (kind, Some(code)));
    let range = |number| Pattern::Range(number, number);
    let kind = match kind {
        // 255 means all of them.
        "any" | "255" => Pattern::Range(0, u128::MAX),
        name => range(Field::IcmpType(version).kind().number(name)?),
    };
    let code = match code {
        None => Pattern::Range(0, u128::MAX),
        Some(code) => range(number(code)?),
    };
    let key = [Field::IcmpType(version), Field::IcmpCode(version)].map(Expr::Field).to_vec();
    let among = Among::Elements(vec![Element::plain(vec![kind, code])]);
    Some(Condition { lookup: Lookup { key, among }, not })
}
