//! Policy rules: `RTM_*RULE` messages (`linux/fib_rules.h`).

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteHeader, RouteProtocol};
use netlink_packet_route::rule::{RuleAction as Action, RuleAttribute, RuleMessage};

use crate::{PolicyRule, RuleAction};

/// All rules of both families.
pub(super) fn all() -> RuleMessage {
    RuleMessage::default()
}

/// How messages name a rule: `the IPv4 rule 100 (from 10.8.0.0/24 to all lookup 100)`.
pub(super) fn name(rule: &PolicyRule) -> String {
    let family = if rule.ipv6 { "IPv6" } else { "IPv4" };
    let text =
        |network: Option<IpNetwork>| network.map_or_else(|| "all".to_owned(), |network| network.to_string());
    let action = match rule.action {
        RuleAction::Lookup(table) => format!("lookup {table}"),
        RuleAction::Unreachable => "unreachable".to_owned(),
        RuleAction::Other(number) => format!("action {number}"),
    };
    format!("the {family} rule {} (from {} to {} {action})", rule.priority, text(rule.from), text(rule.to))
}

/// The message that adds or removes this rule.
pub(super) fn message(rule: &PolicyRule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = if rule.ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    message.header.action = match rule.action {
        RuleAction::Lookup(table) => {
            message.header.table = u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
            message.attributes.push(RuleAttribute::Table(table));
            Action::ToTable
        }
        RuleAction::Unreachable => Action::Unreachable,
        RuleAction::Other(number) => Action::Other(number),
    };
    message.attributes.push(RuleAttribute::Priority(rule.priority));
    message.attributes.push(RuleAttribute::Protocol(RouteProtocol::from(rule.protocol)));
    if let Some(from) = rule.from {
        message.header.src_len = from.prefix();
        message.attributes.push(RuleAttribute::Source(from.network()));
    }
    if let Some(to) = rule.to {
        message.header.dst_len = to.prefix();
        message.attributes.push(RuleAttribute::Destination(to.network()));
    }
    if let Some(interface) = &rule.in_interface {
        message.attributes.push(RuleAttribute::Iifname(interface.clone()));
    }
    message
}

/// The rule that a message tells of; `None` for other families than IPv4 and IPv6. What our words have no room for
/// (a mark, a port) is left out: a rule of ours has none of it.
pub(super) fn read(message: &RuleMessage) -> Option<PolicyRule> {
    let ipv6 = match message.header.family {
        AddressFamily::Inet => false,
        AddressFamily::Inet6 => true,
        _ => return None,
    };
    let mut table = u32::from(message.header.table);
    let action = RuleAction::Unreachable;
    let mut rule =
        PolicyRule { priority: 0, ipv6, from: None, to: None, in_interface: None, action, protocol: 0 };
    let network = |ip: &IpAddr, length| IpNetwork::new(*ip, length).ok();
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(number) => rule.priority = *number,
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Protocol(protocol) => rule.protocol = (*protocol).into(),
            RuleAttribute::Source(ip) => rule.from = network(ip, message.header.src_len),
            RuleAttribute::Destination(ip) => rule.to = network(ip, message.header.dst_len),
            RuleAttribute::Iifname(name) => rule.in_interface = Some(name.clone()),
            _ => {}
        }
    }
    rule.action = match message.header.action {
        Action::ToTable => RuleAction::Lookup(table),
        Action::Unreachable => RuleAction::Unreachable,
        other => RuleAction::Other(other.into()),
    };
    Some(rule)
}

/// Which rule the kernel would remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hit {
    /// The one that is meant.
    This,
    /// One that merely has everything that the meant one has.
    Another,
    /// None, or only one that merely has everything that the meant one has while that one is not there.
    Nothing,
}

/// Which of `rules`, in the kernel's order, a request to remove `wanted` would hit: the kernel takes the first rule
/// that has what the request names and does not ask what else it has (`rule_find` in `net/core/fib_rules.c`).
pub(super) fn hit(rules: &[PolicyRule], wanted: &PolicyRule) -> Hit {
    let covers = |part: bool, equal: bool| !part || equal;
    let first = rules.iter().find(|rule| {
        rule.ipv6 == wanted.ipv6
            && rule.priority == wanted.priority
            && rule.action == wanted.action
            && covers(wanted.protocol != 0, rule.protocol == wanted.protocol)
            && covers(wanted.from.is_some(), rule.from == wanted.from)
            && covers(wanted.to.is_some(), rule.to == wanted.to)
            && covers(wanted.in_interface.is_some(), rule.in_interface == wanted.in_interface)
    });
    match first {
        Some(rule) if rule == wanted => Hit::This,
        Some(_) if rules.contains(wanted) => Hit::Another,
        _ => Hit::Nothing,
    }
}
