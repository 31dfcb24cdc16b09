//! Rules in the words of nftables.

use std::fmt::Write;

use super::super::rules::{Family, HOOKS, NormalizedRule, RenderedRule, push};
use super::{NftTable, Rules, Table};
use crate::{Hook, Match, Protocol, Result, Ruleset, Verdict};

/// How a hook of ours is a base chain.
pub(super) struct Base {
    /// Name of our chain.
    pub name: &'static str,
    /// Its type.
    pub kind: &'static str,
    /// The kernel's hook.
    pub hook: &'static str,
    /// Its priority as a script has it.
    priority: &'static str,
    /// The same as a number (`NF_IP_PRI_*` of `linux/netfilter_ipv4.h`).
    pub number: i64,
}

pub(super) fn base(hook: Hook) -> Base {
    let (name, kind, hook, priority, number) = match hook {
        Hook::Prerouting => ("prerouting", "filter", "prerouting", "mangle", -150),
        Hook::Input => ("input", "filter", "input", "filter", 0),
        Hook::Forward => ("forward", "filter", "forward", "filter", 0),
        Hook::Output => ("output", "filter", "output", "filter", 0),
        Hook::MssClamp => ("mangle", "filter", "forward", "mangle", -150),
        Hook::SourceNat => ("srcnat", "nat", "postrouting", "srcnat", 100),
        // Behind all chains of NAT, which the kernel asks together at the priority of source NAT.
        Hook::Postrouting => ("postrouting", "filter", "postrouting", "200", 200),
    };
    Base { name, kind, hook, priority, number }
}

/// The rules of our own table, for the hooks that have any.
pub(in crate::linux::firewall) fn own_rules(mark: &str, wanted: &Ruleset) -> Result<Rules> {
    let mut rules = Rules::new();
    for rule in wanted.rules() {
        if let Some(plain) = NormalizedRule::from_rule(rule)? {
            rules.entry(rule.hook).or_default().push(render(mark, plain, None));
        }
    }
    Ok(rules)
}

/// Those of some rules that a table which sees only this family (or both, for `None`) can have.
pub(in crate::linux::firewall) fn rules_of(
    mark: &str,
    rules: &[NormalizedRule],
    only: Option<Family>,
) -> Vec<RenderedRule> {
    let suits = |plain: &&NormalizedRule| only.is_none_or(|family| plain.is_for(family));
    rules.iter().filter(suits).map(|plain| render(mark, plain.clone(), only)).collect()
}

/// A script that brings our table, as it is loaded, to exactly these rules. The table itself stays, and so do the chains that
/// are to be there: they are emptied and filled again. Nobody sees the moment between, because a script is one transaction.
pub(in crate::linux::firewall) fn own_table(
    table: &NftTable,
    loaded: Option<&Table>,
    rules: &Rules,
) -> String {
    let mut script = format!("add table {table}\nflush table {table}\n");
    // Writing to a string does not fail.
    for object in loaded.into_iter().flat_map(Table::surplus_objects) {
        let _ = writeln!(script, "delete {} {table} {}", object.kind, object.name);
    }
    for chain in loaded.into_iter().flat_map(|loaded| loaded.surplus_chains(rules)) {
        let _ = writeln!(script, "delete chain {table} {chain}");
    }
    let _ = writeln!(script, "table {table} {{");
    for (hook, rules) in HOOKS.iter().filter_map(|hook| rules.get_key_value(hook)) {
        let base = base(*hook);
        let _ = writeln!(script, "\tchain {} {{", base.name);
        let _ = writeln!(
            script,
            "\t\ttype {} hook {} priority {}; policy accept;",
            base.kind, base.hook, base.priority
        );
        for rule in rules {
            let _ = writeln!(script, "\t\t{} comment \"{}\"", rule.text, rule.comment);
        }
        script.push_str("\t}\n");
    }
    script.push_str("}\n");
    script
}

/// A script that removes our table, if it is there.
pub(in crate::linux::firewall) fn without_own_table(table: &NftTable) -> String {
    format!("add table {table}\ndelete table {table}\n")
}

/// A rule for a table that sees only this family, or both. In a table of one family the family is no condition.
fn render(mark: &str, plain: NormalizedRule, only: Option<Family>) -> RenderedRule {
    let plain = if only.is_some() { plain.in_its_family() } else { plain };
    let mut text = String::new();
    // A condition on an address implies its family, and nft leaves a family that is implied out of its listing.
    if let Some(family) = plain.family.filter(|_| !plain.has_address()) {
        push(&mut text, format_args!("meta nfproto {}", if family == Family::V4 { "ipv4" } else { "ipv6" }));
    }
    for condition in &plain.matches {
        push_match(&mut text, condition);
    }
    match plain.verdict {
        Verdict::Accept => push(&mut text, "accept"),
        Verdict::Drop => push(&mut text, "drop"),
        Verdict::Reject => push(&mut text, "reject with icmpx type admin-prohibited"),
        Verdict::Masquerade => push(&mut text, "masquerade"),
        Verdict::MasqueradeTo { first, last } => {
            push(&mut text, format_args!("masquerade to :{first}-{last}"));
        }
        // Neither raises an MSS that is smaller already (`nft_exthdr_tcp_set_eval` of the kernel).
        Verdict::ClampMss => push(&mut text, "tcp option maxseg size set rt mtu"),
        Verdict::SetMss(bytes) => push(&mut text, format_args!("tcp option maxseg size set {bytes}")),
    }
    RenderedRule::new(mark, text, plain)
}

fn push_match(text: &mut String, condition: &Match) {
    let sign = |not: bool| if not { "!= " } else { "" };
    match condition {
        Match::In { interface, not } => push(text, format_args!("iifname {}\"{interface}\"", sign(*not))),
        Match::Out { interface, not } => push(text, format_args!("oifname {}\"{interface}\"", sign(*not))),
        Match::From { network, not } => {
            let word = if network.is_ipv4() { "ip" } else { "ip6" };
            push(text, format_args!("{word} saddr {}{network}", sign(*not)));
        }
        Match::To { network, not } => {
            let word = if network.is_ipv4() { "ip" } else { "ip6" };
            push(text, format_args!("{word} daddr {}{network}", sign(*not)));
        }
        Match::CtOriginalSource { network } => {
            let word = if network.is_ipv4() { "ip" } else { "ip6" };
            push(text, format_args!("ct original {word} saddr {network}"));
        }
        Match::Port { protocol: Protocol::Tcp, port } => push(text, format_args!("tcp dport {port}")),
        Match::Port { protocol: Protocol::Udp, port } => push(text, format_args!("udp dport {port}")),
        Match::Established => push(text, "ct state established,related"),
        Match::Unconnected => push(text, "ct state invalid,untracked"),
        Match::Is { protocol: Protocol::Tcp } => push(text, "meta l4proto tcp"),
        Match::Is { protocol: Protocol::Udp } => push(text, "meta l4proto udp"),
        Match::TcpSyn => push(text, "tcp flags & (syn|rst) == syn"),
        // They are the rule's family.
        Match::Ipv4 | Match::Ipv6 => {}
    }
}

#[cfg(test)]
mod tests;
