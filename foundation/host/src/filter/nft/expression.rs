//! Expressions and conditions.

use serde_json::{Value, json};

use super::element::{among, pattern};
use crate::filter::names::{NumberKind, TCP};
use crate::filter::tree::{Among, BitOp, Condition, Element, Expr, Field, Lookup, Pattern, Ports, Version};

/// `IP_DF` of `net/ip.h`: whole packets may have this bit, and none of the others.
const DONT_FRAGMENT: u64 = 0x4000;

/// The condition of a `match` statement; `None` if it is not understood.
pub(super) fn condition(value: &Value) -> Option<Condition> {
    let key = expression(&value["left"]);
    if key.contains(&Expr::Unknown) {
        return None;
    }
    let (right, kind) = (&value["right"], key[0].kind());
    let (among, not) = match value["op"].as_str()? {
        "in" if kind.is_bits() => (Among::AnyBit(bits(right, kind)?), false),
        "!" => (Among::AnyBit(bits(right, kind)?), true),
        "==" | "in" => (among(right, &key), false),
        "!=" => (among(right, &key), true),
        order => (compared(order, &pattern(right, kind))?, false),
    };
    Some(Condition { lookup: Lookup { key, among }, not })
}

/// `<`, `>`, `<=` and `>=`.
fn compared(order: &str, pattern: &Pattern) -> Option<Among> {
    let Pattern::Range(number, _) = *pattern else { return None };
    let (first, last) = match order {
        "<" => (0, number.checked_sub(1)?),
        "<=" => (0, number),
        ">" => (number.checked_add(1)?, u128::MAX),
        ">=" => (number, u128::MAX),
        _ => return None,
    };
    Some(Among::Elements(vec![Element::plain(vec![Pattern::Range(first, last)])]))
}

/// The parts of a key, one but for concatenations. What is not understood is [`Expr::Unknown`].
pub(super) fn expression(value: &Value) -> Vec<Expr> {
    match value["concat"].as_array() {
        Some(parts) if !parts.is_empty() => parts.iter().map(single).collect(),
        _ => vec![single(value)],
    }
}

fn single(value: &Value) -> Expr {
    if let Some([of, mask]) = value["&"].as_array().map(Vec::as_slice)
        && (&of["payload"]["protocol"], &of["payload"]["field"]) == (&json!("ip"), &json!("frag-off"))
        && mask.as_u64().is_some_and(|mask| mask & DONT_FRAGMENT == 0)
    {
        return Expr::Field(Field::FragmentOffset);
    }
    if let Some(number) = value.as_u64() {
        return Expr::Number(number.into());
    }
    if let Some(field) = field(value) {
        return Expr::Field(field);
    }
    for (sign, op) in
        [("&", BitOp::And), ("|", BitOp::Or), ("^", BitOp::Xor), ("<<", BitOp::Left), (">>", BitOp::Right)]
    {
        if let Some([left, rest @ ..]) = value[sign].as_array().map(Vec::as_slice) {
            return rest.iter().fold(single(left), |left, right| combine(op, left, right));
        }
    }
    if let map @ Value::Object(_) = &value["map"] {
        let key = expression(&map["key"]);
        let among = among(&map["data"], &key);
        return Expr::Map(Box::new(Lookup { key, among }));
    }
    Expr::Unknown
}

fn combine(op: BitOp, left: Expr, right: &Value) -> Expr {
    // A mask is printed by the names of what it is put on.
    let right = match bits(right, left.kind()).map(Expr::Number) {
        Some(number) => number,
        None => single(right),
    };
    if left == Expr::Unknown || right == Expr::Unknown {
        return Expr::Unknown;
    }
    Expr::Bits(op, Box::new((left, right)))
}

/// A number of bits: a number, an address, a name, or several of them in one of the forms that versions of nft have.
pub(super) fn bits(value: &Value, kind: NumberKind) -> Option<u128> {
    let several = value.as_array().or_else(|| value["|"].as_array()).or_else(|| value["set"].as_array());
    if let Some(several) = several {
        return several.iter().try_fold(0, |all, one| Some(all | bits(one, kind)?));
    }
    match pattern(value, kind) {
        Pattern::Range(first, last) if first == last => Some(first),
        _ => None,
    }
}

/// The field that an expression reads.
pub(super) fn field(value: &Value) -> Option<Field> {
    let (kind, inner) = value.as_object()?.iter().next()?;
    let text = |key: &str| inner[key].as_str();
    match kind.as_str() {
        "meta" => meta(text("key")?),
        "payload" => payload(text("protocol")?, text("field")?),
        "ct" => ct(text("key")?, text("dir")),
        "fib" => fib(text("result")?, &inner["flags"]),
        // Whether a segment has one is not known.
        "tcp option" => Some(Field::OfProtocol(TCP)),
        "exthdr" | "ip option" if text("field").is_some() => Some(Field::Extension),
        "exthdr" | "ip option" => Some(Field::ExtensionExists),
        "rt" if text("key") == Some("ipsec") => Some(Field::Decrypted),
        _ => None,
    }
}

fn meta(key: &str) -> Option<Field> {
    Some(match key {
        "iif" | "iifname" => Field::InInterface,
        "oif" | "oifname" => Field::OutInterface,
        "nfproto" => Field::Family,
        "protocol" => Field::EtherType,
        "l4proto" => Field::Protocol,
        "mark" => Field::Mark,
        "pkttype" => Field::PacketType,
        "ipsec" | "secpath" => Field::Decrypted,
        _ => return None,
    })
}

fn payload(protocol: &str, field: &str) -> Option<Field> {
    let ports = || if protocol == "th" { Some(Ports::Any) } else { number_of(protocol).map(Ports::Of) };
    Some(match (protocol, field) {
        ("ip", "saddr") => Field::Source(Version::V4),
        ("ip", "daddr") => Field::Destination(Version::V4),
        ("ip", "protocol") => Field::ProtocolOf(Version::V4),
        ("ip6", "saddr") => Field::Source(Version::V6),
        ("ip6", "daddr") => Field::Destination(Version::V6),
        ("ip6", "nexthdr") => Field::ProtocolOf(Version::V6),
        ("tcp", "flags") => Field::TcpFlags,
        ("icmp", "type") => Field::IcmpType(Version::V4),
        ("icmp", "code") => Field::IcmpCode(Version::V4),
        ("icmpv6", "type") => Field::IcmpType(Version::V6),
        ("icmpv6", "code") => Field::IcmpCode(Version::V6),
        ("th" | "tcp" | "udp" | "sctp" | "dccp" | "udplite", "sport") => Field::SourcePort(ports()?),
        ("th" | "tcp" | "udp" | "sctp" | "dccp" | "udplite", "dport") => Field::DestinationPort(ports()?),
        ("ip", _) => Field::OfVersion(Version::V4),
        ("ip6", _) => Field::OfVersion(Version::V6),
        // Of headers inside others, and below IP, nothing is known.
        ("th" | "ether" | "vlan" | "vxlan" | "geneve" | "gretap", _) => return None,
        (protocol, _) => Field::OfProtocol(number_of(protocol)?),
    })
}

fn number_of(protocol: &str) -> Option<u8> {
    NumberKind::Protocol.number(protocol).and_then(|number| number.try_into().ok())
}

fn ct(key: &str, direction: Option<&str>) -> Option<Field> {
    Some(match (key, direction) {
        ("state", _) => Field::State,
        ("status", _) => Field::Status,
        ("direction", _) => Field::Direction,
        ("mark", _) => Field::ConnectionMark,
        ("ip saddr", Some("original")) => Field::OriginalSource(Version::V4),
        ("ip daddr", Some("original")) => Field::OriginalDestination(Version::V4),
        ("ip6 saddr", Some("original")) => Field::OriginalSource(Version::V6),
        ("ip6 daddr", Some("original")) => Field::OriginalDestination(Version::V6),
        ("proto-src", Some("original")) => Field::OriginalSourcePort,
        ("proto-dst", Some("original")) => Field::OriginalDestinationPort,
        _ => return None,
    })
}

fn fib(result: &str, flags: &Value) -> Option<Field> {
    let flags: Vec<&str> = match flags {
        Value::String(flag) => vec![flag],
        flags => flags.as_array()?.iter().filter_map(Value::as_str).collect(),
    };
    let has = |flag| flags.contains(&flag);
    match result {
        // The type of an address on one interface only is another question.
        "type" if has("daddr") && !has("iif") && !has("oif") => Some(Field::DestinationType),
        "type" if has("saddr") && !has("iif") && !has("oif") => Some(Field::SourceType),
        "oif" | "oifname" if has("saddr") && !has("oif") => Some(Field::ReturnRoute { strict: has("iif") }),
        _ => None,
    }
}

/// The number of a boolean in one of the forms that nft prints. No interface has the index 0.
pub(super) fn boolean(value: &Value) -> Option<u128> {
    match value {
        Value::Bool(there) => Some((*there).into()),
        Value::String(text) if text == "0" || text == "missing" => Some(0),
        Value::String(text) if text == "exists" => Some(1),
        value => value.as_u64().filter(|number| *number == 0).map(Into::into),
    }
}
