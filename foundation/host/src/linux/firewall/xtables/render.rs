//! Rules in the words of iptables.

use std::fmt::Write;

use super::super::rules::{Family, NormalizedRule, RenderedRule, push};
use super::{ChainNames, Chains, Listing, site};
use crate::{Hook, HostError, Match, Protocol, Result, Ruleset, Verdict};

/// Packets that NAT looks at, or has given another address: those that begin a connection or are related to one, and those of
/// connections with a mapping (`xt_conntrack`).
pub(super) const HAS_NAT: &str = "NEW,RELATED,SNAT,DNAT";

/// The rules of the given hooks that are for this family.
pub(in crate::linux::firewall) fn rules_for(
    mark: &str,
    wanted: &Ruleset,
    family: Family,
    hooks: impl Iterator<Item = Hook>,
) -> Result<Chains> {
    let mut chains = Chains::new();
    for hook in hooks {
        let mut rules = Vec::new();
        for rule in wanted.rules().iter().filter(|rule| rule.hook == hook) {
            if let Some(mut plain) = NormalizedRule::from_rule(rule)?.filter(|plain| plain.is_for(family)) {
                // The table mangle comes before the table nat.
                let translated = family == Family::V4 && plain.verdict == Verdict::Drop;
                plain.without_nat = hook == Hook::Postrouting && translated;
                rules.push(render(mark, plain, family)?);
            }
        }
        if !rules.is_empty() {
            chains.insert(hook, rules);
        }
    }
    Ok(chains)
}

/// Adds those of some rules that are for this family to the chain at a hook, behind what it has. A rule that it has already is not
/// repeated.
pub(in crate::linux::firewall) fn add_accepts(
    chains: &mut Chains,
    hook: Hook,
    mark: &str,
    rules: &[NormalizedRule],
    family: Family,
) -> Result<()> {
    for plain in rules.iter().filter(|plain| plain.is_for(family)) {
        let rule = render(mark, plain.clone(), family)?;
        let there = chains.get(&hook).is_some_and(|rules| rules.contains(&rule));
        if !there {
            chains.entry(hook).or_default().push(rule);
        }
    }
    Ok(())
}

/// What `iptables-restore --noflush` is told: a chain that is named is emptied, everything else stays. The jumps of these hooks,
/// wherever they are, go and come again in the first place. All of it is one step for the kernel.
pub(super) fn restore_script(
    table: &str,
    names: &ChainNames,
    listed: &Listing,
    chains: &Chains,
    jumps: &[Hook],
) -> String {
    let mut script = format!("*{table}\n");
    // Writing to a string does not fail.
    for hook in chains.keys() {
        let _ = writeln!(script, ":{} - [0:0]", names.chain(*hook));
    }
    for (hook, rules) in chains {
        for rule in rules {
            let chain = names.chain(*hook);
            let (conditions, target) = rule.text.rsplit_once("-j ").unwrap_or((&rule.text, ""));
            let _ = writeln!(
                script,
                "-A {chain} {conditions}-m comment --comment \"{}\" -j {target}",
                rule.comment
            );
        }
    }
    for hook in jumps {
        let (chain, (_, builtin, _)) = (names.chain(*hook), site(*hook));
        for jump in listed.jumps_to(&chain) {
            let _ = writeln!(script, "-D {jump}");
        }
        let _ = writeln!(script, "-I {builtin} 1 -m comment --comment {} -j {chain}", names.mark);
    }
    script.push_str("COMMIT\n");
    script
}

/// A rule as `iptables -S` prints it, without chain and comment.
fn render(mark: &str, plain: NormalizedRule, family: Family) -> Result<RenderedRule> {
    let plain = plain.in_its_family();
    let mut text = String::new();
    let mut seen = [false; 4];
    let (mut protocol, mut is_of) = (None, None);
    // Addresses come before interfaces in iptables' own order; the order of the conditions is that of our type.
    let addresses_first = |m: &&Match| !matches!(m, Match::From { .. } | Match::To { .. });
    let mut conditions: Vec<_> = plain.matches.iter().collect();
    conditions.sort_by_key(addresses_first);
    for condition in conditions {
        let (slot, option, value, not) = match condition {
            Match::From { network, not } => (0, "-s", network.to_string(), *not),
            Match::To { network, not } => (1, "-d", network.to_string(), *not),
            Match::In { interface, not } => (2, "-i", interface.clone(), *not),
            Match::Out { interface, not } => (3, "-o", interface.clone(), *not),
            Match::Established => {
                push(&mut text, "-m conntrack --ctstate RELATED,ESTABLISHED");
                continue;
            }
            Match::Unconnected => {
                push(&mut text, "-m conntrack --ctstate INVALID,UNTRACKED");
                continue;
            }
            Match::Is { protocol: own } => {
                is_of = Some(*own);
                continue;
            }
            Match::CtOriginalSource { network } => {
                push(&mut text, format_args!("-m conntrack --ctorigsrc {network}"));
                continue;
            }
            Match::Port { protocol: own, port } => {
                push_protocol(&mut text, &mut protocol, *own);
                push(&mut text, format_args!("--dport {port}"));
                continue;
            }
            Match::TcpSyn => {
                push_protocol(&mut text, &mut protocol, Protocol::Tcp);
                push(&mut text, "--tcp-flags SYN,RST SYN");
                continue;
            }
            Match::Ipv4 | Match::Ipv6 => continue,
        };
        if std::mem::replace(&mut seen[slot], true) {
            let what = format!("ask twice for {option} in one rule with iptables (nftables can)");
            return Err(HostError::Unsupported { what });
        }
        push(&mut text, format_args!("{}{option} {value}", if not { "! " } else { "" }));
    }
    if let (Some(own), None) = (is_of, protocol) {
        push(&mut text, format_args!("-p {}", word(own)));
    }
    if plain.without_nat {
        push(&mut text, format_args!("-m conntrack ! --ctstate {HAS_NAT}"));
    }
    let target = match (plain.verdict, family) {
        (Verdict::Accept, _) => "ACCEPT".to_owned(),
        (Verdict::Drop, _) => "DROP".to_owned(),
        (Verdict::Reject, Family::V4) => "REJECT --reject-with icmp-admin-prohibited".to_owned(),
        (Verdict::Reject, Family::V6) => "REJECT --reject-with icmp6-adm-prohibited".to_owned(),
        (Verdict::Masquerade, _) => "MASQUERADE".to_owned(),
        (Verdict::MasqueradeTo { first, last }, _) => format!("MASQUERADE --to-ports {first}-{last}"),
        (Verdict::ClampMss, _) => "TCPMSS --clamp-mss-to-pmtu".to_owned(),
        (Verdict::SetMss(bytes), _) => format!("TCPMSS --set-mss {bytes}"),
    };
    push(&mut text, format_args!("-j {target}"));
    Ok(RenderedRule::new(mark, text, plain))
}

/// Names the protocol once: its own options need it before them.
fn push_protocol(text: &mut String, named: &mut Option<Protocol>, protocol: Protocol) {
    let name = word(protocol);
    if named.replace(protocol).is_none() {
        push(text, format_args!("-p {name} -m {name}"));
    }
}

fn word(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Tcp { "tcp" } else { "udp" }
}

#[cfg(test)]
mod tests;
