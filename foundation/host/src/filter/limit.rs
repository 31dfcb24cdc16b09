//! Ports that a rule of somebody else's names: whom such a chain refuses, it refuses on purpose.
//!
//! A chain that refuses all it does not know says nothing of our port, and an accept of ours only adds what its owner forgot. One
//! that names the port, for some senders or some interface, has been asked about it: an accept of ours would open to everybody what
//! its owner limited.

use std::collections::BTreeSet;

use super::fate::number;
use super::ipset::{InSet, IpSet, Part, key};
use super::letting::{from_strangers, leads_to};
use super::spot::spot;
use super::tree::{Action, Among, Data, Element, Expr, Field, Lookup, Pattern, Ports, Rule, Step, Table};
use super::{ChainId, Filters, Packet, RuleSpot};
use crate::{Marks, Network, Port, Result};

/// A rule of somebody else's that names a port, in a base chain that refuses strangers there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortLimit {
    /// The rule.
    pub spot: RuleSpot,
    /// False where it asks a set of which the elements are not known: it may name the port.
    pub certain: bool,
}

impl Filters {
    /// The rule by which somebody has limited a port of this host himself; `None` where nobody has, or where none of the rules that do
    /// so `counts`. Our own rules never do.
    ///
    /// # Errors
    ///
    /// The network cannot be asked.
    pub fn limit(
        &self,
        marks: &Marks,
        network: &dyn Network,
        port: Port,
        counts: impl Fn(&RuleSpot) -> bool,
    ) -> Result<Option<PortLimit>> {
        let groups = from_strangers(network, true, port)?;
        let groups: Vec<&[Packet]> = groups.iter().map(Vec::as_slice).collect();
        Ok(self.without_ours(marks).limit_for(port, &groups, counts))
    }

    /// The same of these packets to the port. A rule that certainly names it goes before one that may.
    pub(crate) fn limit_for(
        &self,
        port: Port,
        groups: &[&[Packet]],
        counts: impl Fn(&RuleSpot) -> bool,
    ) -> Option<PortLimit> {
        let refusing = groups.iter().flat_map(|packets| self.refusing(packets, |_| true));
        let chains: BTreeSet<ChainId> = refusing.collect();
        let found = || chains.iter().filter_map(|chain| self.naming(chain, port));
        let found = || found().filter(|limit| counts(&limit.spot));
        found().find(|limit| limit.certain).or_else(|| found().next())
    }

    /// A rule that names the port, among those that packets come to by a base chain.
    fn naming(&self, base: &ChainId, port: Port) -> Option<PortLimit> {
        let at = self.tables.iter().position(|table| table.id == base.table)?;
        let table = &self.tables[at];
        let first = *table.by_name.get(&base.name)?;
        let (mut waiting, mut seen, mut doubtful) = (vec![first], BTreeSet::from([first]), None);
        while let Some(chain) = waiting.pop() {
            for (place, rule) in table.chains[chain].rules.iter().enumerate() {
                if let Some(certain) = names(table, rule, port) {
                    let spot = spot(self, ((at, first), ((at, chain), Some(place))));
                    let limit = PortLimit { spot, certain };
                    if certain {
                        return Some(limit);
                    }
                    doubtful.get_or_insert(limit);
                }
                let next = targets(table, rule).into_iter().filter_map(|name| table.by_name.get(name));
                waiting.extend(next.copied().filter(|next| seen.insert(*next)));
            }
        }
        doubtful
    }
}

/// Whether a rule that decides something names the port, and certainly so; `None` where it does not. A rule that only counts or logs
/// limits nobody.
fn names(table: &Table, rule: &Rule, port: Port) -> Option<bool> {
    let decides = |step: &Step| match step {
        Step::Do(action) => *action != Action::Continue,
        Step::DoByMap(_) => true,
        _ => false,
    };
    if !rule.steps.iter().any(decides) || is_of_another_protocol(rule, port) {
        return None;
    }
    let lookups = rule.steps.iter().filter_map(|step| match step {
        Step::Require(condition) => Some(&condition.lookup),
        Step::DoByMap(lookup) => Some(lookup),
        _ => None,
    });
    lookups.filter_map(|lookup| holds(table, lookup, port)).max()
}

/// Whether the port itself is among what a lookup asks for, and certainly so. A range of ports that it is in does not name it.
fn holds(table: &Table, lookup: &Lookup, port: Port) -> Option<bool> {
    if let Among::IpSet(asked) = &lookup.among {
        return in_ipset(table, asked, port);
    }
    let is_port = |part: &Expr| match part {
        Expr::Field(Field::DestinationPort(Ports::Of(protocol))) => *protocol == number(port.protocol),
        Expr::Field(Field::DestinationPort(Ports::Any) | Field::OriginalDestinationPort) => true,
        _ => false,
    };
    let place = lookup.key.iter().position(is_port)?;
    let wanted = u128::from(port.number);
    let named = |element: &Element| {
        let is = element.parts.get(place) == Some(&Pattern::Range(wanted, wanted));
        is && lookup.key.iter().zip(&element.parts).all(|(part, pattern)| may_be(part, pattern, port))
    };
    let elements = match &lookup.among {
        Among::Elements(elements) => elements,
        Among::Set(name) => match table.sets.get(name) {
            Some(set) => &set.elements,
            None => return Some(false),
        },
        Among::AnyBit(_) | Among::IpSet(_) => return None,
    };
    elements.iter().any(named).then_some(true)
}

/// The same of a set of ipset. What is in one that cannot be read may be the port, unless the rule asks for the sender alone.
fn in_ipset(table: &Table, asked: &InSet, port: Port) -> Option<bool> {
    let one = |name: &String| match table.ipsets.get(name) {
        Some(IpSet::Of { version, parts, elements, .. }) => {
            parts.iter().find(|part| matches!(part, Part::Port | Part::PortAlone))?;
            let key = key(parts, &asked.sources, *version)?;
            holds(table, &Lookup { key, among: Among::Elements(elements.clone()) }, port)
        }
        // The kernel lets no list into a list.
        Some(IpSet::List(_)) => None,
        Some(IpSet::Unknown) | None => asked.sources.contains(&false).then_some(false),
    };
    match table.ipsets.get(&asked.name) {
        Some(IpSet::List(members)) => members.iter().filter_map(one).max(),
        _ => one(&asked.name),
    }
}

/// Whether a rule is for packets of other protocols alone: one that asks for the port of whatever protocol it is says elsewhere which.
fn is_of_another_protocol(rule: &Rule, port: Port) -> bool {
    rule.steps.iter().any(|step| {
        let Step::Require(condition) = step else { return false };
        let ([asked], Among::Elements(elements), false) =
            (condition.lookup.key.as_slice(), &condition.lookup.among, condition.not)
        else {
            return false;
        };
        let says_which = matches!(asked, Expr::Field(Field::Protocol | Field::ProtocolOf(_)));
        let may =
            |element: &Element| element.parts.first().is_none_or(|pattern| may_be(asked, pattern, port));
        says_which && !elements.iter().any(may)
    })
}

/// Whether a part of a key can be as a pattern says for packets to the port. Only protocols say no.
fn may_be(asked: &Expr, pattern: &Pattern, port: Port) -> bool {
    match (asked, pattern) {
        (Expr::Field(Field::Protocol | Field::ProtocolOf(_)), Pattern::Range(first, last)) => {
            (*first..=*last).contains(&u128::from(number(port.protocol)))
        }
        _ => true,
    }
}

/// The chains that a rule may hand packets on to, by itself or by a map.
fn targets<'a>(table: &'a Table, rule: &'a Rule) -> Vec<&'a str> {
    let maps = rule.steps.iter().filter_map(|step| match step {
        Step::DoByMap(lookup) => Some(&lookup.among),
        _ => None,
    });
    let elements = maps.filter_map(|among| match among {
        Among::Elements(elements) => Some(elements),
        Among::Set(name) => table.sets.get(name).map(|set| &set.elements),
        Among::AnyBit(_) | Among::IpSet(_) => None,
    });
    let by_map = elements.flatten().filter_map(|element| match &element.data {
        Data::Action(Action::Jump(target) | Action::Goto(target)) => Some(target.as_str()),
        _ => None,
    });
    by_map.chain(leads_to(rule)).collect()
}
