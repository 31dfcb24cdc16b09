//! What `iptables -S` prints, read as far as it concerns us.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::IpNetwork;

use super::super::rules::{InstalledRule, NormalizedRule, same};
use super::render::HAS_NAT;
use super::{ChainNames, Chains, XtablesTable, site};
use crate::{Hook, Match, Protocol, Verdict};

/// A table as it is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::linux::firewall) struct Listing {
    /// Policies of the chains that have one.
    policies: BTreeMap<String, String>,
    /// All chains, with their rules as printed but for the chain.
    pub chains: BTreeMap<String, Vec<String>>,
}

impl Listing {
    /// Reads the lines of `iptables -S`.
    pub(super) fn parse(text: &str) -> Self {
        let mut listing = Self::default();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let (command, chain, rest) = (words.next(), words.next().unwrap_or_default(), words.next());
            let rest = rest.unwrap_or_default().to_owned();
            match command {
                Some("-P") => {
                    listing.policies.insert(chain.to_owned(), rest);
                    listing.chains.entry(chain.to_owned()).or_default();
                }
                Some("-N") => drop(listing.chains.entry(chain.to_owned()).or_default()),
                Some("-A") => listing.chains.entry(chain.to_owned()).or_default().push(rest),
                _ => {}
            }
        }
        listing
    }

    #[cfg(test)]
    pub(in crate::linux::firewall) fn of_text(text: &str) -> Self {
        Self::parse(text)
    }

    /// All rules as `iptables -S` prints them, chain by chain.
    pub(in crate::linux::firewall) fn lines(&self) -> impl Iterator<Item = String> {
        self.chains
            .iter()
            .flat_map(|(chain, rules)| rules.iter().map(move |rule| format!("-A {chain} {rule}")))
    }

    /// Forwarded packets that no rule decides are dropped: by the policy, or by a rule without conditions.
    pub(in crate::linux::firewall) fn closed(&self) -> bool {
        let by_rule = |rule: &String| rule.starts_with("-j DROP") || rule.starts_with("-j REJECT");
        self.policies.get("FORWARD").is_some_and(|policy| policy == "DROP")
            || self.chains.get("FORWARD").is_some_and(|rules| rules.iter().any(by_rule))
    }

    /// It has a chain of ours.
    pub(in crate::linux::firewall) fn has_ours(&self, names: &ChainNames, at: XtablesTable) -> bool {
        at.hooks().any(|hook| self.chains.contains_key(&names.chain(hook)))
    }

    /// Whether our chains in it are exactly these.
    pub(in crate::linux::firewall) fn holds(
        &self,
        names: &ChainNames,
        at: XtablesTable,
        wanted: &Chains,
    ) -> bool {
        at.hooks().all(|hook| {
            let loaded = self.chains.get(&names.chain(hook));
            match (wanted.get(&hook), loaded) {
                (None, None) => true,
                (Some(rules), Some(loaded)) => {
                    let loaded: Vec<_> = loaded.iter().map(|rule| read(rule)).collect();
                    same(rules, &loaded) && self.jump_holds(names, hook)
                }
                _ => false,
            }
        })
    }

    /// The rules of our chain for a hook that are of a kind that we make.
    pub(in crate::linux::firewall) fn loaded(&self, names: &ChainNames, hook: Hook) -> Vec<NormalizedRule> {
        let rules = self.chains.get(&names.chain(hook)).into_iter().flatten();
        rules.filter_map(|rule| read(rule).plain).collect()
    }

    /// Whether our chain is jumped to by exactly one rule, which stands first, or behind jumps of other
    /// installations only.
    pub(super) fn jump_holds(&self, names: &ChainNames, hook: Hook) -> bool {
        let chain = names.chain(hook);
        let (_, builtin, _) = site(hook);
        let rules = self.chains.get(builtin).map(Vec::as_slice).unwrap_or_default();
        let first = rules.iter().find(|rule| {
            let target = target(rule).unwrap_or_default();
            target == chain || !ChainNames::is_sibling(target)
        });
        // Printed with quotes only if there is a blank in it, which a mark has not.
        let ours = format!("-m comment --comment {} -j {chain}", names.mark);
        first == Some(&ours) && self.jumps_to(&chain).count() == 1
    }

    /// All rules of the table that lead to this chain, with their chain.
    pub(super) fn jumps_to(&self, chain: &str) -> impl Iterator<Item = String> {
        let leads = move |rule: &String| target(rule) == Some(chain);
        self.chains.iter().flat_map(move |(from, rules)| {
            rules.iter().filter(move |rule| leads(rule)).map(move |rule| format!("{from} {rule}"))
        })
    }

    /// The chains that forwarded packets can come to.
    pub(in crate::linux::firewall) fn reached_from(&self, builtin: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> =
            self.chains.get_key_value(builtin).map(|(name, _)| name.as_str()).into_iter().collect();
        while let Some(chain) = open.pop() {
            if reached.insert(chain) {
                let targets = self.chains[chain].iter().filter_map(|rule| target(rule));
                open.extend(
                    targets.filter_map(|name| self.chains.get_key_value(name).map(|(name, _)| name.as_str())),
                );
            }
        }
        reached
    }
}

/// Where a rule leads: a chain, or a verdict.
pub(in crate::linux::firewall) fn target(rule: &str) -> Option<&str> {
    let mut words = words(rule).into_iter();
    words.find(|word| matches!(*word, "-j" | "-g")).and_then(|_| words.next())
}

/// Source and destination of a rule; `None` for one whose source is turned round. A destination that is turned round, as
/// in `! -d 10.8.0.0/24`, still is everywhere else.
pub(in crate::linux::firewall) fn addresses(rule: &str) -> Option<(Option<IpNetwork>, Option<IpNetwork>)> {
    let words = words(rule);
    let mut found = (None, None);
    for (at, pair) in words.windows(2).enumerate() {
        let place = match pair[0] {
            "-s" => &mut found.0,
            "-d" => &mut found.1,
            _ => continue,
        };
        if at > 0 && words[at - 1] == "!" {
            if pair[0] == "-s" {
                return None;
            }
            continue;
        }
        *place = pair[1].parse().ok();
    }
    Some(found)
}

/// A rule as printed, without its chain.
fn read(rule: &str) -> InstalledRule {
    let words = words(rule);
    let comment = words.windows(2).find(|pair| pair[0] == "--comment").map(|pair| pair[1].to_owned());
    InstalledRule { comment, plain: plain(&words) }
}

/// Words between blanks; quotes hold a word together. Our comments have no quotes inside.
pub(super) fn words(rule: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = rule.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// What a rule says in our words, or `None` if it says more than a rule of ours.
fn plain(words: &[&str]) -> Option<NormalizedRule> {
    let mut words = words.iter().copied();
    let mut plain = NormalizedRule::new(Verdict::Accept);
    let (mut protocol, mut used, mut not) = (None, false, false);
    loop {
        let condition = match words.next()? {
            "!" => {
                not = true;
                continue;
            }
            "-s" => Match::From { network: words.next()?.parse().ok()?, not: std::mem::take(&mut not) },
            "-d" => Match::To { network: words.next()?.parse().ok()?, not: std::mem::take(&mut not) },
            "-i" => Match::In { interface: words.next()?.to_owned(), not: std::mem::take(&mut not) },
            "-o" => Match::Out { interface: words.next()?.to_owned(), not: std::mem::take(&mut not) },
            "--ctstate" if not => {
                not = false;
                plain.without_nat = true;
                (words.next()? == HAS_NAT).then_some(())?;
                continue;
            }
            _ if not => return None,
            "-p" => {
                protocol = Some(match words.next()? {
                    "tcp" => Protocol::Tcp,
                    "udp" => Protocol::Udp,
                    _ => return None,
                });
                continue;
            }
            "-m" => {
                matches!(words.next()?, "tcp" | "udp" | "comment" | "conntrack").then_some(())?;
                continue;
            }
            "--comment" => {
                words.next()?;
                continue;
            }
            "--dport" => {
                used = true;
                Match::Port { protocol: protocol?, port: words.next()?.parse().ok()? }
            }
            "--tcp-flags" => {
                used = true;
                (words.next()? == "SYN,RST" && words.next()? == "SYN").then_some(Match::TcpSyn)?
            }
            "--ctorigsrc" => Match::CtOriginalSource { network: words.next()?.parse().ok()? },
            "--ctstate" => match words.next()? {
                "RELATED,ESTABLISHED" => Match::Established,
                "INVALID,UNTRACKED" => Match::Unconnected,
                _ => return None,
            },
            "-j" => break,
            _ => return None,
        };
        plain.add(&condition).then_some(())?;
    }
    // A protocol without a condition on it is one itself.
    if let Some(protocol) = protocol.filter(|_| !used) {
        plain.add(&Match::Is { protocol }).then_some(())?;
    }
    let rest: Vec<_> = words.collect();
    plain.verdict = match rest.as_slice() {
        ["ACCEPT"] => Verdict::Accept,
        ["DROP"] => Verdict::Drop,
        ["REJECT", "--reject-with", "icmp-admin-prohibited" | "icmp6-adm-prohibited"] => Verdict::Reject,
        ["MASQUERADE"] => Verdict::Masquerade,
        ["MASQUERADE", "--to-ports", ports] => {
            let (first, last) = ports.split_once('-')?;
            Verdict::MasqueradeTo { first: first.parse().ok()?, last: last.parse().ok()? }
        }
        ["TCPMSS", "--clamp-mss-to-pmtu"] => Verdict::ClampMss,
        ["TCPMSS", "--set-mss", bytes] => Verdict::SetMss(bytes.parse().ok()?),
        _ => return None,
    };
    Some(plain)
}

#[cfg(test)]
mod tests;
