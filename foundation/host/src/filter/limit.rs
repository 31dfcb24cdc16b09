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
use super::tree::{
    Among, Data, Element, Expr, Field, FilterAction, Lookup, Pattern, Ports, Rule, Statement, Table,
};
use super::{ChainId, Filters, Packet, RuleSpot};
use crate::{Network, OwnershipTags, Port, Result};

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
        tags: &OwnershipTags,
        network: &dyn Network,
        port: Port,
        counts: impl Fn(&RuleSpot) -> bool,
    ) -> Result<Option<PortLimit>> {
        let groups = from_strangers(network, true, port)?;
        let groups: Vec<&[Packet]> = groups.iter().map(Vec::as_slice).collect();
        Ok(self.without_ours(tags).limit_for(port, &groups, counts))
    }

    /// The same of these packets to the port. A rule that certainly names it goes before one that may.
    pub(crate) fn limit_for(
        &self,
        port: Port,
        groups: &[&[Packet]],
        counts: impl Fn(&RuleSpot) -> bool,
    ) -> Option<PortLimit> {
        let refusals: Vec<(ChainId, RuleSpot)> =
            groups.iter().flat_map(|packets| self.refusals(packets, |_| true)).collect();
        let chains: BTreeSet<&ChainId> = refusals.iter().map(|(chain, _)| chain).collect();
        let ends: Vec<&RuleSpot> = refusals.iter().map(|(_, end)| end).collect();
        let found = || chains.iter().flat_map(|chain| self.naming(chain, port, &ends));
        let found = || found().filter(|limit| counts(&limit.spot));
        found().find(|limit| limit.certain).or_else(|| found().next())
    }

    /// The rules that name the port, among those that packets come to by a base chain: those that let somebody in, and one that `ends`
    /// the packets of all but some. One that turns single senders away, or what is too much or no connection, limits nobody; one that turns
    /// everybody away closes the port, as a policy does.
    fn naming(&self, base: &ChainId, port: Port, ends: &[&RuleSpot]) -> Vec<PortLimit> {
        let mut found = Vec::new();
        let Some(at) = self.tables.iter().position(|table| table.id == base.table) else { return found };
        let table = &self.tables[at];
        let Some(&first) = table.by_name.get(&base.name) else { return found };
        let (mut waiting, mut seen) = (vec![first], BTreeSet::from([first]));
        while let Some(chain) = waiting.pop() {
            for (place, rule) in table.chains[chain].rules.iter().enumerate() {
                if let Some(certain) = names(table, rule, port) {
                    let spot = spot(self, ((at, first), ((at, chain), Some(place))));
                    if lets_in(table, rule) || (ends.contains(&&spot) && asks_who(rule)) {
                        found.push(PortLimit { spot, certain });
                    }
                }
                let next = targets(table, rule).into_iter().filter_map(|name| table.by_name.get(name));
                waiting.extend(next.copied().filter(|next| seen.insert(*next)));
            }
        }
        found
    }
}

/// Whether a rule asks who sends a packet, or by which interface it came.
fn asks_who(rule: &Rule) -> bool {
    let who = |part: &Expr| match part {
        Expr::Field(field) => {
            matches!(field, Field::InInterface | Field::Source(_) | Field::OriginalSource(_))
        }
        _ => false,
    };
    rule.steps.iter().any(|step| match step {
        Statement::Require(condition) => {
            matches!(condition.lookup.among, Among::IpSet(_)) || condition.lookup.key.iter().any(who)
        }
        _ => false,
    })
}

/// Whether a rule lets packets in, by itself or by a chain that it leads to.
fn lets_in(table: &Table, rule: &Rule) -> bool {
    let accepts = |rule: &Rule| {
        let by_itself = |step: &Statement| matches!(step, Statement::Do(FilterAction::Accept));
        let by_map = |step: &Statement| match step {
            Statement::DoByMap(lookup) => {
                elements(table, lookup).iter().any(|one| one.data == Data::Action(FilterAction::Accept))
            }
            _ => false,
        };
        rule.steps.iter().any(|step| by_itself(step) || by_map(step))
    };
    let (mut waiting, mut seen) = (vec![rule], BTreeSet::new());
    while let Some(rule) = waiting.pop() {
        if accepts(rule) {
            return true;
        }
        for name in targets(table, rule) {
            let chain = table.by_name.get(name).filter(|chain| seen.insert(**chain));
            waiting.extend(chain.into_iter().flat_map(|chain| &table.chains[*chain].rules));
        }
    }
    false
}

/// Whether a rule that decides something names the port, and certainly so; `None` where it does not. A rule that only counts or logs
/// limits nobody, and one for all ports but this one does not name it.
fn names(table: &Table, rule: &Rule, port: Port) -> Option<bool> {
    let decides = |step: &Statement| match step {
        Statement::Do(action) => *action != FilterAction::Continue,
        Statement::DoByMap(_) => true,
        _ => false,
    };
    if !rule.steps.iter().any(decides) || is_of_another_protocol(rule, port) {
        return None;
    }
    let lookups = rule.steps.iter().filter_map(|step| match step {
        Statement::Require(condition) => Some(&condition.lookup).filter(|_| !condition.not),
        Statement::DoByMap(lookup) => Some(lookup),
        _ => None,
    });
    lookups.filter_map(|lookup| holds(table, lookup, port)).max()
}

/// The most ports that a range has which names each of them: `51820:51821`, or what nftables makes of two elements. A wider one is about
/// something else.
const FEW: u128 = 16;

/// Whether the port itself is among what a lookup asks for, and certainly so. A wide range of ports that it is in does not name it.
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
        let is = match element.parts.get(place) {
            Some(Pattern::Range(first, last)) => (*first..=*last).contains(&wanted) && last - first < FEW,
            _ => false,
        };
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
        let Statement::Require(condition) = step else { return false };
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

/// The elements of a map, as far as they are known.
fn elements<'a>(table: &'a Table, lookup: &'a Lookup) -> &'a [Element] {
    match &lookup.among {
        Among::Elements(elements) => elements,
        Among::Set(name) => table.sets.get(name).map_or(&[], |set| &set.elements),
        Among::AnyBit(_) | Among::IpSet(_) => &[],
    }
}

/// The chains that a rule may hand packets on to, by itself or by a map.
fn targets<'a>(table: &'a Table, rule: &'a Rule) -> Vec<&'a str> {
    let maps = rule.steps.iter().filter_map(|step| match step {
        Statement::DoByMap(lookup) => Some(elements(table, lookup)),
        _ => None,
    });
    let by_map = maps.flatten().filter_map(|element| match &element.data {
        Data::Action(FilterAction::Jump(target) | FilterAction::Goto(target)) => Some(target.as_str()),
        _ => None,
    });
    by_map.chain(leads_to(rule)).collect()
}
