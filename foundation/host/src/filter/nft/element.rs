//! Sets, maps, their elements, and the values that rules have in their place.

use serde_json::Value;

use super::expression::{bits, boolean, expression};
use crate::filter::facts::address_number;
use crate::filter::names::NumberKind;
use crate::filter::tree::{Among, Data, Element, Expr, FilterAction, Pattern, Set};

/// A named set or map.
pub(super) fn set(object: &Value) -> Set {
    let kinds: Vec<NumberKind> = match &object["type"] {
        Value::String(name) => vec![NumberKind::of_set(name)],
        Value::Array(names) => {
            names.iter().map(|name| name.as_str().map_or(NumberKind::Other, NumberKind::of_set)).collect()
        }
        // Of a type that is written as an expression.
        other => expression(&other["typeof"]).iter().map(Expr::kind).collect(),
    };
    let elements = object["elem"].as_array().into_iter().flatten();
    Set { elements: elements.map(|value| element(value, &kinds)).collect() }
}

/// Where a key is searched: `@name`, a set or map of the rule's own, or a single value.
pub(super) fn among(value: &Value, key: &[Expr]) -> Among {
    if let Some(name) = value.as_str().and_then(|text| text.strip_prefix('@')) {
        return Among::Set(name.to_owned());
    }
    let kinds: Vec<NumberKind> = key.iter().map(Expr::kind).collect();
    match value["set"].as_array() {
        Some(elements) => Among::Elements(elements.iter().map(|value| element(value, &kinds)).collect()),
        // Several of a kind that has bits are one value.
        None if kinds.len() == 1 && kinds[0].is_bits() => {
            let pattern = bits(value, kinds[0]).map_or(Pattern::Unknown, |bits| Pattern::Range(bits, bits));
            Among::Elements(vec![Element::plain(vec![pattern])])
        }
        None => Among::Elements(vec![element(value, &kinds)]),
    }
}

/// An element: its key, what a map gives for it, and what else is in it.
fn element(value: &Value, kinds: &[NumberKind]) -> Element {
    if let Some([key, data]) = value.as_array().map(Vec::as_slice)
        && !is_bits(data, kinds)
    {
        return Element { data: mapped(data), ..element(key, kinds) };
    }
    let inner = &value["elem"];
    if inner.is_object() {
        let counts =
            |name: &String| ["val", "timeout", "expires", "comment", "counter"].contains(&name.as_str());
        let limited = inner.as_object().is_some_and(|inner| !inner.keys().all(counts));
        return Element { limited, ..element(&inner["val"], kinds) };
    }
    if value == "*" {
        return Element::plain(Vec::new());
    }
    let parts = match value["concat"].as_array() {
        None if value.is_array() => {
            let kind = kinds.first().copied().unwrap_or(NumberKind::Other);
            vec![bits(value, kind).map_or(Pattern::Unknown, |bits| Pattern::Range(bits, bits))]
        }
        Some(parts) => {
            let kind = |at| kinds.get(at).copied().unwrap_or(NumberKind::Other);
            parts.iter().enumerate().map(|(at, part)| pattern(part, kind(at))).collect()
        }
        None => vec![pattern(value, kinds.first().copied().unwrap_or(NumberKind::Other))],
    };
    Element::plain(parts)
}

/// Whether this is the second of several names that make one value. Elements of maps have their data in that place.
fn is_bits(value: &Value, kinds: &[NumberKind]) -> bool {
    let kind = kinds.first().copied().unwrap_or(NumberKind::Other);
    kind.is_bits() && value.as_str().is_some_and(|name| kind.number(name).is_some())
}

fn mapped(value: &Value) -> Data {
    if let Some(action) = action(value) {
        return Data::Action(action);
    }
    value.as_u64().map_or(Data::Unknown, |number| Data::Number(number.into()))
}

/// A verdict, or another statement that ends a rule.
pub(super) fn action(value: &Value) -> Option<FilterAction> {
    let (kind, inner) = match value {
        Value::String(word) => (word.as_str(), &Value::Null),
        value => value.as_object()?.iter().next().map(|(kind, inner)| (kind.as_str(), inner))?,
    };
    let target = || inner["target"].as_str().map(str::to_owned);
    Some(match kind {
        "accept" => FilterAction::Accept,
        "drop" => FilterAction::Drop,
        "reject" => FilterAction::Reject,
        "return" => FilterAction::Return,
        "continue" => FilterAction::Continue,
        "jump" => FilterAction::Jump(target()?),
        "goto" => FilterAction::Goto(target()?),
        "dnat" | "redirect" | "tproxy" | "fwd" => FilterAction::Redirect,
        "snat" => FilterAction::Translate,
        "masquerade" => FilterAction::Masquerade,
        "queue" | "synproxy" => FilterAction::Unknown,
        _ => return None,
    })
}

/// A value, prefix or range of this kind.
pub(super) fn pattern(value: &Value, kind: NumberKind) -> Pattern {
    let number = |value: &Value| number(value, kind);
    if kind == NumberKind::Interface {
        return value.as_str().map_or(Pattern::Unknown, interface);
    }
    if let Some([first, last]) = value["range"].as_array().map(Vec::as_slice) {
        let ends = number(first).zip(number(last));
        return ends.map_or(Pattern::Unknown, |(first, last)| Pattern::Range(first, last));
    }
    if value["prefix"].is_object() {
        return prefix(&value["prefix"]).unwrap_or(Pattern::Unknown);
    }
    number(value).map_or(Pattern::Unknown, |number| Pattern::Range(number, number))
}

fn number(value: &Value, kind: NumberKind) -> Option<u128> {
    match (kind, value) {
        (NumberKind::Boolean, value) => boolean(value),
        (NumberKind::Address | NumberKind::Other, Value::String(text)) => {
            text.parse().ok().map(address_number)
        }
        (kind, Value::String(text)) => kind.number(text),
        (_, value) => value.as_u64().map(Into::into),
    }
}

fn prefix(value: &Value) -> Option<Pattern> {
    let address: std::net::IpAddr = value["addr"].as_str()?.parse().ok()?;
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let host = width.checked_sub(value["len"].as_u64()?.try_into().ok()?)?;
    // All bits of the host part; 128 of them are all there are.
    let rest = 1_u128.checked_shl(host).map_or(u128::MAX, |bit| bit - 1);
    let first = address_number(address) & !rest;
    Some(Pattern::Range(first, first | rest))
}

/// A name of interfaces: an asterisk at its end matches anything.
pub(super) fn interface(name: &str) -> Pattern {
    match name.strip_suffix('*') {
        Some(literal) if literal.ends_with('\\') => {
            Pattern::Name(format!("{}*", literal.trim_end_matches('\\')))
        }
        Some(prefix) => Pattern::NamePrefix(prefix.to_owned()),
        None => Pattern::Name(name.to_owned()),
    }
}
