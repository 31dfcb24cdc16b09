//! Whether something is among some elements, and which of them it is.

use std::collections::{BTreeSet, HashMap};

use super::facts::{Context, Fact, Tri};
use super::ipset::{self, InSet, IpSet};
use super::tree::{
    Among, BitOp, Condition, Data, Element, Expr, FilterAction, Lookup, Pattern, Table, Version,
};

/// What a map says to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What may be done; one, if it is known.
    pub actions: BTreeSet<FilterAction>,
    /// The key may be, or is, in none of the elements.
    pub may_miss: bool,
}

/// Answers that large sets have given: many rules ask the same set for the same thing.
#[derive(Default)]
pub(super) struct Cache {
    sets: HashMap<String, Tri>,
    maps: HashMap<String, Found>,
    cost: usize,
}

impl Cache {
    /// How many elements the questions since the last call have cost.
    pub(super) fn cost(&mut self) -> usize {
        std::mem::take(&mut self.cost)
    }

    pub(super) fn condition(&mut self, condition: &Condition, table: &Table, context: Context<'_>) -> Tri {
        let key = self.key(&condition.lookup.key, table, context);
        if key.contains(&Fact::Absent) {
            return Tri::False;
        }
        self.is_among(&key, &condition.lookup.among, table, context).reversed_if(condition.not)
    }

    fn is_among(&mut self, key: &[Fact<'_>], among: &Among, table: &Table, context: Context<'_>) -> Tri {
        let name = match among {
            Among::AnyBit(bits) => {
                return match key {
                    [Fact::Number(number)] => Tri::from_bool(number & bits != 0),
                    _ => Tri::Maybe,
                };
            }
            Among::Elements(elements) => return self.any(key, elements),
            Among::IpSet(asked) => return self.is_in_ipset(asked, table, context, true),
            Among::Set(name) => name,
        };
        let Some(set) = table.sets.get(name).filter(|_| !context.state.has_touched(&table.id, name)) else {
            return Tri::Maybe;
        };
        let question = format!("{name} {key:?}");
        if let Some(known) = self.sets.get(&question) {
            return *known;
        }
        let found = self.any(key, &set.elements);
        self.sets.insert(question, found);
        found
    }

    /// Whether what a rule asks is in a set of ipset. What the packet does not have is in none. `lists`: it may be a list of sets,
    /// of which none is in another one.
    fn is_in_ipset(&mut self, asked: &InSet, table: &Table, context: Context<'_>, lists: bool) -> Tri {
        let InSet { name, sources } = asked;
        let Some(set) = table.ipsets.get(name).filter(|_| !context.state.has_touched(&ipset::place(), name))
        else {
            return Tri::Maybe;
        };
        let (version, parts, elements, except) = match set {
            IpSet::Of { version, parts, elements, except } => (*version, *parts, elements, except),
            IpSet::List(members) if lists => {
                let member = |name: &String| InSet { name: name.clone(), sources: sources.clone() };
                let members =
                    members.iter().map(|name| self.is_in_ipset(&member(name), table, context, false));
                return members.fold(Tri::False, Tri::or);
            }
            IpSet::List(_) | IpSet::Unknown => return Tri::Maybe,
        };
        let other = if context.packet.is_ipv4() { Version::V6 } else { Version::V4 };
        let Some(key) = ipset::key(parts, sources, version).filter(|_| version != Some(other)) else {
            return Tri::False;
        };
        let key = self.key(&key, table, context);
        let question = format!("ipset {name} {key:?}");
        if let Some(known) = self.sets.get(&question) {
            return *known;
        }
        let found = self.any(&key, elements);
        let found = match (found, self.any(&key, except)) {
            (Tri::False, _) => Tri::False,
            (found, Tri::False) => found,
            // The narrower network of the two decides.
            _ => Tri::Maybe,
        };
        self.sets.insert(question, found);
        found
    }

    fn any(&mut self, key: &[Fact<'_>], elements: &[Element]) -> Tri {
        let mut found = Tri::False;
        for element in elements {
            self.cost += 1;
            found = found.or(is_element(key, element));
            if found == Tri::True {
                break;
            }
        }
        found
    }

    /// What a map says to do.
    pub(super) fn actions(&mut self, lookup: &Lookup, table: &Table, context: Context<'_>) -> Found {
        let key = self.key(&lookup.key, table, context);
        if key.contains(&Fact::Absent) {
            return Found { may_miss: true, ..Found::default() };
        }
        let unknown = || Found { actions: [FilterAction::Unknown].into(), may_miss: true };
        let name = match &lookup.among {
            Among::AnyBit(_) | Among::IpSet(_) => return unknown(),
            Among::Elements(elements) => return self.find(&key, elements),
            Among::Set(name) => name,
        };
        let Some(set) = table.sets.get(name).filter(|_| !context.state.has_touched(&table.id, name)) else {
            return unknown();
        };
        let question = format!("{name} {key:?}");
        if let Some(known) = self.maps.get(&question) {
            return known.clone();
        }
        let found = self.find(&key, &set.elements);
        self.maps.insert(question, found.clone());
        found
    }

    fn find(&mut self, key: &[Fact<'_>], elements: &[Element]) -> Found {
        let mut found = Found { may_miss: true, ..Found::default() };
        let mut rest = None;
        for element in elements {
            self.cost += 1;
            let action = match &element.data {
                Data::Action(action) => action,
                _ => &FilterAction::Unknown,
            };
            if element.parts.is_empty() {
                rest = Some(action);
                continue;
            }
            match is_element(key, element) {
                Tri::True => return Found { actions: [action.clone()].into(), may_miss: false },
                Tri::Maybe if !found.actions.contains(action) => drop(found.actions.insert(action.clone())),
                Tri::Maybe | Tri::False => {}
            }
        }
        if let Some(rest) = rest {
            found.actions.insert(rest.clone());
            found.may_miss = false;
        }
        found
    }

    fn key<'a>(&mut self, key: &[Expr], table: &Table, context: Context<'a>) -> Vec<Fact<'a>> {
        key.iter().map(|expr| self.value(expr, table, context)).collect()
    }

    /// The number that an expression has; `None` when it is not known.
    pub(super) fn number(&mut self, expr: &Expr, table: &Table, context: Context<'_>) -> Option<u128> {
        match self.value(expr, table, context) {
            Fact::Number(number) => Some(number),
            _ => None,
        }
    }

    fn value<'a>(&mut self, expr: &Expr, table: &Table, context: Context<'a>) -> Fact<'a> {
        match expr {
            Expr::Field(field) => context.fact(*field),
            Expr::Number(number) => Fact::Number(*number),
            Expr::Bits(op, sides) => {
                let values = [&sides.0, &sides.1].map(|side| self.value(side, table, context));
                match values {
                    [Fact::Absent, _] | [_, Fact::Absent] => Fact::Absent,
                    [Fact::Number(one), Fact::Number(other)] => bits(*op, one, other),
                    _ => Fact::Unknown,
                }
            }
            Expr::Map(lookup) => self.mapped(lookup, table, context),
            Expr::Unknown => Fact::Unknown,
        }
    }

    /// The number that a map has for a key.
    fn mapped<'a>(&mut self, lookup: &Lookup, table: &Table, context: Context<'a>) -> Fact<'a> {
        let key = self.key(&lookup.key, table, context);
        let elements = match &lookup.among {
            Among::Elements(elements) => elements,
            Among::Set(name) if !context.state.has_touched(&table.id, name) => match table.sets.get(name) {
                Some(set) => &set.elements,
                None => return Fact::Unknown,
            },
            Among::Set(_) | Among::AnyBit(_) | Among::IpSet(_) => return Fact::Unknown,
        };
        self.cost += elements.len();
        let mut there = elements.iter().filter(|element| is_element(&key, element) != Tri::False);
        match (there.next(), there.next()) {
            (Some(Element { data: Data::Number(number), .. }), None) => Fact::Number(*number),
            _ => Fact::Unknown,
        }
    }
}

fn bits(op: BitOp, one: u128, other: u128) -> Fact<'static> {
    let shift = u32::try_from(other).unwrap_or(u32::MAX);
    // Marks and masks of 32 bits are what rules calculate with; addresses are only masked.
    Fact::Number(match op {
        BitOp::And => one & other,
        BitOp::Or => one | other,
        BitOp::Xor => one ^ other,
        BitOp::Left => one.checked_shl(shift).unwrap_or_default() & u128::from(u32::MAX),
        BitOp::Right => one.checked_shr(shift).unwrap_or_default(),
    })
}

fn is_element(key: &[Fact<'_>], element: &Element) -> Tri {
    let found = match element.parts.as_slice() {
        [] => Tri::True,
        parts if parts.len() != key.len() => Tri::Maybe,
        parts => parts.iter().zip(key).map(|(part, fact)| is(part, *fact)).fold(Tri::True, Tri::and),
    };
    if element.limited { found.and(Tri::Maybe) } else { found }
}

fn is(pattern: &Pattern, fact: Fact<'_>) -> Tri {
    match (pattern, fact) {
        (Pattern::Range(first, last), Fact::Number(number)) => {
            Tri::from_bool((*first..=*last).contains(&number))
        }
        (Pattern::Masked { value, mask }, Fact::Number(number)) => {
            Tri::from_bool(number & mask == value & mask)
        }
        (Pattern::Name(name), Fact::Name(known)) => Tri::from_bool(name == known),
        (Pattern::NamePrefix(prefix), Fact::Name(known)) => Tri::from_bool(known.starts_with(prefix)),
        (_, Fact::Absent) => Tri::False,
        _ => Tri::Maybe,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fact, is, is_element};
    use crate::filter::facts::Tri;
    use crate::filter::tree::{Element, Pattern};

    #[test]
    fn patterns_compare() {
        assert_eq!(is(&Pattern::Range(3, 5), Fact::Number(5)), Tri::True);
        assert_eq!(is(&Pattern::Range(3, 5), Fact::Number(6)), Tri::False);
        assert_eq!(is(&Pattern::Range(3, 5), Fact::Unknown), Tri::Maybe);
        assert_eq!(is(&Pattern::Range(3, 5), Fact::Name("eth0")), Tri::Maybe);
        assert_eq!(is(&Pattern::Masked { value: 0x15, mask: 0xf }, Fact::Number(0x25)), Tri::True);
        assert_eq!(is(&Pattern::NamePrefix("eth".into()), Fact::Name("eth1")), Tri::True);
        assert_eq!(is(&Pattern::NamePrefix("eth".into()), Fact::Name("wg0")), Tri::False);
        assert_eq!(is(&Pattern::Name("eth".into()), Fact::Name("eth1")), Tri::False);
    }

    #[test]
    fn a_part_that_does_not_fit_decides() {
        let element = |port| Element::plain(vec![Pattern::Unknown, Pattern::Range(port, port)]);
        let key = [Fact::Number(7), Fact::Number(22)];
        assert_eq!(is_element(&key, &element(22)), Tri::Maybe);
        assert_eq!(is_element(&key, &element(23)), Tri::False);
        let limited = Element { limited: true, ..Element::plain(vec![Pattern::Range(7, 7)]) };
        assert_eq!(is_element(&key[..1], &limited), Tri::Maybe);
        assert_eq!(is_element(&key, &Element::plain(Vec::new())), Tri::True);
    }
}
