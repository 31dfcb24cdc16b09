//! Sets, maps, their elements, and the values that rules have in their place.

use serde_json::Value;

use super::expression::{bits, boolean, expression};
use crate::filter::facts::address_number;
use crate::filter::names::Kind;
use crate::filter::tree::{Action, Among, Data, Element, Expr, Pattern, Set};

/// A named set or map.
pub(super) fn set(object: &Value) -> Set {
    let kinds: Vec<Kind> = match &object["type"] {
        Value::String(name) => vec![Kind::of_set(name)],
        Value::Array(names) => {
            names.iter().map(|name| name.as_str().map_or(Kind::Other, Kind::of_set)).collect()
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
    let kinds: Vec<Kind> = key.iter().map(Expr::kind).collect();
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
fn element(value: &Value, kinds: &[Kind]) -> Element {
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
            let kind = kinds.first().copied().unwrap_or(Kind::Other);
            vec![bits(value, kind).map_or(Pattern::Unknown, |bits| Pattern::Range(bits, bits))]
        }
        Some(parts) => {
            let kind = |at| kinds.get(at).copied().unwrap_or(Kind::Other);
            parts.iter().enumerate().map(|(at, part)| pattern(part, kind(at))).collect()
        }
        None => vec![pattern(value, kinds.first().copied().unwrap_or(Kind::Other))],
    };
    Element::plain(parts)
}

/// Whether this is the second of several names that make one value. Elements of maps have their data in that place.
fn is_bits(value: &Value, kinds: &[Kind]) -> bool {
    let kind = kinds.first().copied().unwrap_or(Kind::Other);
    kind.is_bits() && value.as_str().is_some_and(|name| kind.number(name).is_some())
}

fn mapped(value: &Value) -> Data {
    if let Some(action) = action(value) {
        return Data::Action(action);
    }
    value.as_u64().map_or(Data::Unknown, |number| Data::Number(number.into()))
}

/// A verdict, or another statement that ends a rule.
pub(super) fn action(value: &Value) -> Option<Action> {
    let (kind, inner) = match value {
        Value::String(word) => (word.as_str(), &Value::Null),
        value => value.as_object()?.iter().next().map(|(kind, inner)| (kind.as_str(), inner))?,
    };
    let target = || inner["target"].as_str().map(str::to_owned);
    Some(match kind {
        "accept" => Action::Accept,
        "drop" => Action::Drop,
        "reject" => Action::Reject,
        "return" => Action::Return,
        "continue" => Action::Continue,
        "jump" => Action::Jump(target()?),
        "goto" => Action::Goto(target()?),
        "dnat" | "redirect" | "tproxy" | "fwd" => Action::Redirect,
        "snat" => Action::Translate,
        "masquerade" => Action::Masquerade,
        "queue" | "synproxy" => Action::Unknown,
        _ => return None,
    })
}

/// A value, prefix or range of this kind.
pub(super) fn pattern(value: &Value, kind: Kind) -> Pattern {
    let number = |value: &Value| number(value, kind);
    if kind == Kind::Interface {
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

fn number(value: &Value, kind: Kind) -> Option<u128> {
    match (kind, value) {
        (Kind::Boolean, value) => boolean(value),
        (Kind::Address | Kind::Other, Value::String(text)) => text.parse().ok().map(address_number),
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
