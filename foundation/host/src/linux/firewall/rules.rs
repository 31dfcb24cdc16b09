//! Rules as every packet filter has them: cleared of what cannot match, checked, and comparable with what is loaded.

use std::collections::BTreeSet;
use std::fmt::Write;

use ipnetwork::IpNetwork;

use crate::tags::checksum;
use crate::{Hook, HostError, Match, Protocol, Result, RulesetRule, Verdict};

/// The family of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub(super) fn from_network(network: &IpNetwork) -> Self {
        if network.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// The hooks, in the order in which their chains are rendered.
pub(super) const HOOKS: [Hook; 7] = [
    Hook::Prerouting,
    Hook::Input,
    Hook::Forward,
    Hook::Output,
    Hook::MssClamp,
    Hook::SourceNat,
    Hook::Postrouting,
];

/// What a rule says, in one form: two rules with the same effect that differ in the order of their conditions or in
/// the host bits of a network are equal. The family is apart from the conditions, because some packet filters have
/// it as a condition, some imply it by an address, and some have a table for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NormalizedRule {
    /// The only family it is for.
    pub family: Option<Family>,
    /// Its conditions, without [`Match::Ipv4`] and [`Match::Ipv6`].
    pub matches: BTreeSet<Match>,
    /// Only packets that no NAT gives or has given another address: how a packet filter asks that has no place behind NAT.
    pub without_nat: bool,
    /// What it does.
    pub verdict: Verdict,
}

/// A rule as a packet filter is to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RenderedRule {
    /// The rule in the words of that filter, without its comment.
    pub text: String,
    /// Its comment: our tag, and a check sum of the text.
    pub comment: String,
    /// What it says.
    pub plain: NormalizedRule,
}

/// A rule as a packet filter has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InstalledRule {
    /// Its comment.
    pub comment: Option<String>,
    /// What it says; `None` when it has something that no rule of ours has.
    pub plain: Option<NormalizedRule>,
}

/// Whether exactly these rules are loaded, in this order. The comment tells our rules from others; the content tells
/// a rule that was edited and kept its comment.
pub(super) fn same(wanted: &[RenderedRule], loaded: &[InstalledRule]) -> bool {
    wanted.len() == loaded.len()
        && wanted.iter().zip(loaded).all(|(want, have)| {
            have.comment.as_ref() == Some(&want.comment) && have.plain.as_ref() == Some(&want.plain)
        })
}

impl RenderedRule {
    /// The rule with its comment.
    pub(super) fn new(mark: &str, text: String, plain: NormalizedRule) -> Self {
        Self { comment: format!("{mark} {:08x}", checksum(&text)), text, plain }
    }
}

impl NormalizedRule {
    /// The rule in its one form; `None` when no packet can meet its conditions. A rule that makes no sense at its
    /// hook, or names an interface in a way that a packet filter would not take literally, is
    /// [`HostError::Unsupported`]: nothing that was not checked gets into a script.
    pub(super) fn from_rule(rule: &RulesetRule) -> Result<Option<Self>> {
        check(rule)?;
        let mut plain = Self::new(rule.verdict);
        let possible = rule.matches.iter().all(|condition| plain.add(condition));
        Ok((possible && plain.consistent()).then_some(plain))
    }

    /// A rule without conditions.
    pub(super) fn new(verdict: Verdict) -> Self {
        Self { family: None, matches: BTreeSet::new(), without_nat: false, verdict }
    }

    /// Whether it is for packets of this family.
    pub(super) fn is_for(&self, family: Family) -> bool {
        self.family.is_none_or(|own| own == family)
    }

    /// Whether one of its conditions is an address, which implies the family.
    pub(super) fn has_address(&self) -> bool {
        self.matches.iter().any(|condition| {
            matches!(condition, Match::From { .. } | Match::To { .. } | Match::CtOriginalSource { .. })
        })
    }

    /// The rule as it reads in a table of its own family, where only an address says which that is.
    pub(super) fn in_its_family(self) -> Self {
        let family = self.family.filter(|_| self.has_address());
        Self { family, ..self }
    }

    /// Takes a condition in; `false` when the rule can match nothing any more.
    pub(super) fn add(&mut self, condition: &Match) -> bool {
        let (network, not) = match condition {
            Match::Ipv4 => return self.only(Family::V4),
            Match::Ipv6 => return self.only(Family::V6),
            Match::From { network, not } | Match::To { network, not } => (without_host_bits(*network), *not),
            Match::CtOriginalSource { network } => (without_host_bits(*network), false),
            _ => {
                self.matches.insert(condition.clone());
                return true;
            }
        };
        // "Any address" is no condition beyond the family, and "not any address" meets nothing.
        if network.prefix() == 0 {
            return !not && self.only(Family::from_network(&network));
        }
        self.matches.insert(match condition {
            Match::From { .. } => Match::From { network, not },
            Match::CtOriginalSource { .. } => Match::CtOriginalSource { network },
            _ => Match::To { network, not },
        });
        self.only(Family::from_network(&network))
    }

    fn only(&mut self, family: Family) -> bool {
        let possible = self.is_for(family);
        self.family = Some(family);
        possible
    }

    /// Whether a packet can meet all conditions at once, as far as protocols, ports and interfaces go.
    fn consistent(&self) -> bool {
        let mut protocols = BTreeSet::new();
        let (mut ports, mut ins, mut outs) = (0, 0, 0);
        for condition in &self.matches {
            match condition {
                Match::Port { protocol, .. } => (ports, _) = (ports + 1, protocols.insert(*protocol)),
                Match::TcpSyn => drop(protocols.insert(Protocol::Tcp)),
                Match::Is { protocol } => drop(protocols.insert(*protocol)),
                Match::In { not: false, .. } => ins += 1,
                Match::Out { not: false, .. } => outs += 1,
                _ => {}
            }
        }
        protocols.len() <= 1 && ports <= 1 && ins <= 1 && outs <= 1
    }
}

fn without_host_bits(network: IpNetwork) -> IpNetwork {
    // The prefix comes from a network, so that it is in range.
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}

fn check(rule: &RulesetRule) -> Result<()> {
    let syn = rule.matches.contains(&Match::TcpSyn);
    let has_protocol = rule.matches.iter().any(|condition| matches!(condition, Match::Is { .. }));
    let placed = match rule.verdict {
        Verdict::Accept => true,
        Verdict::Drop => !matches!(rule.hook, Hook::MssClamp | Hook::SourceNat),
        Verdict::Reject => matches!(rule.hook, Hook::Input | Hook::Forward),
        Verdict::Masquerade => rule.hook == Hook::SourceNat,
        Verdict::MasqueradeTo { .. } => rule.hook == Hook::SourceNat && has_protocol,
        Verdict::ClampMss | Verdict::SetMss(_) => rule.hook == Hook::MssClamp && syn,
    };
    if !placed {
        return Err(HostError::Unsupported { what: format!("do {:?} at {:?}", rule.verdict, rule.hook) });
    }
    for condition in &rule.matches {
        let interface = match (condition, rule.hook) {
            // What comes to this host goes out nowhere, and what goes out has forgotten where it came in.
            (Match::Out { .. }, Hook::Prerouting | Hook::Input)
            | (Match::In { .. }, Hook::Output | Hook::SourceNat | Hook::Postrouting) => {
                return Err(HostError::Unsupported {
                    what: format!("ask for {condition:?} at {:?}", rule.hook),
                });
            }
            (Match::In { interface, .. } | Match::Out { interface, .. }, _) => interface,
            // It would say nothing of whether there is a connection.
            (Match::CtOriginalSource { network }, _) if network.prefix() == 0 => {
                return Err(HostError::Unsupported { what: "ask for connections from any address".into() });
            }
            _ => continue,
        };
        if !literal(interface) {
            return Err(HostError::Unsupported {
                what: format!("filter by the interface name '{interface}'"),
            });
        }
    }
    Ok(())
}

/// Whether a name is a possible interface name without anything that a packet filter takes for a pattern (`eth+`,
/// `eth*`) or a quote.
fn literal(interface: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:@".contains(&byte);
    // 15 is IFNAMSIZ of linux/if.h less the terminating NUL. A dash in front would be an option.
    (1..=15).contains(&interface.len()) && interface.bytes().all(plain) && !interface.starts_with('-')
}

/// Joins words with blanks between them.
pub(super) fn push(text: &mut String, words: impl std::fmt::Display) {
    if !text.is_empty() {
        text.push(' ');
    }
    // Writing to a string does not fail.
    let _ = write!(text, "{words}");
}

#[cfg(test)]
mod tests;
