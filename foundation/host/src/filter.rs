//! What the packet filters of the host do with a packet, whoever made their rules.
//!
//! [`Filters`] is the value of all tables, chains and rules, read from what `nft` and `iptables-save` list.
//! [`Filters::verdict`] walks one [`Packet`] through them as the kernel does: hook by hook, in each the base chains by
//! their priority. An accept ends one base chain and no other one; a drop ends everything.
//!
//! Hooks that are evaluated:
//!
//! | path | hooks |
//! |---|---|
//! | [`PacketPath::Input`] | ingress (of the interface), prerouting, input |
//! | [`PacketPath::Forward`] | ingress, prerouting, forward, postrouting, egress |
//!
//! All tables of the families `inet`, `ip`, `ip6` and `netdev` count, those of both variants of iptables among them,
//! and so do chains of type `nat`, which can drop or redirect. What is not in tables is not seen: XDP, tc, bridge and
//! security modules.
//!
//! A condition is true, false, or not known: a rate limit, or a match that is not understood. Then both possibilities
//! are followed, and only if they agree there is an answer. Otherwise [`FilterVerdict::Unknown`] names the rule.

mod evaluate;
mod facts;
mod fate;
mod ipset;
mod letting;
mod limit;
mod lookup;
mod names;
mod nft;
mod opening;
mod packet;
#[cfg(feature = "fake")]
mod ruleset;
mod save;
mod spot;
mod tree;

use std::collections::BTreeSet;
use std::fmt;

pub use fate::PacketFate;
pub use letting::{ChainId, LetIn, from_strangers};
pub use limit::PortLimit;
pub use nft::FilterListingError;
pub use packet::{Packet, PacketPath, Tracking};
use tree::Table;

use crate::OwnershipTags;

/// Everything that filters packets on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    tables: Vec<Table>,
    /// Tables whose rules cannot be read, as texts for people.
    unread: BTreeSet<String>,
}

/// The program through which a table is read and changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FilterProgram {
    /// nftables.
    Nftables,
    /// `iptables-nft` or `ip6tables-nft`: a table of nftables too.
    IptablesNft,
    /// `iptables-legacy` or `ip6tables-legacy`.
    IptablesLegacy,
}

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FilterFamily {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Those of some interfaces, at their ingress or egress.
    Netdev,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// The program through which it is read and changed.
    pub program: FilterProgram,
    /// Which packets it sees.
    pub family: FilterFamily,
    /// Its name.
    pub name: String,
}

/// Where the kernel asks a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilterHook {
    /// Packets that an interface has received, before anything else.
    Ingress,
    /// Packets that came in, before it is known where they go.
    Prerouting,
    /// Packets for this host.
    Input,
    /// Packets passing through.
    Forward,
    /// Packets of this host.
    Output,
    /// Packets that go out.
    Postrouting,
    /// Packets that an interface is about to send.
    Egress,
}

/// A chain that the kernel asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// Its table.
    pub table: TableId,
    /// Its name.
    pub name: String,
    /// Where it is asked.
    pub hook: FilterHook,
    /// The lowest is asked first.
    pub priority: i64,
    /// It drops what none of its rules decides.
    pub policy_drop: bool,
}

/// The manager of a table's rules: its command opens them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterManager {
    /// Nobody that is known: the administrator.
    Administrator,
    /// ufw.
    Ufw,
    /// firewalld.
    Firewalld,
}

/// A rule, or the policy of a base chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSpot {
    /// The base chain by which the packet came to it.
    pub base: BaseChain,
    /// The chain that it is in; that of [`Self::base`] for a policy.
    pub chain: String,
    /// Its place in the chain, from 1; `None` for a policy.
    pub number: Option<usize>,
    /// What nftables deletes it by.
    pub handle: Option<u64>,
    /// As its packet filter writes it; `policy drop` or `-P INPUT DROP` for a policy.
    pub text: String,
    /// The manager of its rules.
    pub manager: FilterManager,
}

/// What is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterDoubt {
    /// Whether this rule applies, and what becomes of the packet depends on it.
    Rule(Box<RuleSpot>),
    /// What this table does, whose rules cannot be read.
    Unread(String),
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterVerdict {
    /// No base chain of any hook on its path ends it.
    Accepted,
    /// It is dropped silently, by this rule or policy.
    Dropped(Box<RuleSpot>),
    /// It is dropped by this rule, and its sender is told so.
    Rejected(Box<RuleSpot>),
    /// This rule gives it another destination (DNAT, redirection to another port, a transparent proxy).
    Redirected(Box<RuleSpot>),
    /// It depends on what is not known.
    Unknown(FilterDoubt),
}

impl Filters {
    /// No table at all: every packet passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// What becomes of a packet.
    ///
    /// It takes a time that is linear in the number of rules and elements: a ruleset that would take longer, since it
    /// jumps into the same chains again and again with other marks, is not followed to its end, and the answer is
    /// [`FilterVerdict::Unknown`].
    pub fn verdict(&self, packet: &Packet) -> FilterVerdict {
        evaluate::verdict(self, packet)
    }

    /// The base chains of a hook in the order in which the kernel asks them.
    pub fn base_chains(&self, hook: FilterHook) -> Vec<&BaseChain> {
        let order = evaluate::order(self, hook);
        let base = |(table, chain): (usize, usize)| self.tables[table].chains[chain].base.as_ref();
        order.into_iter().filter_map(base).map(|base| &base.chain).collect()
    }

    /// Adds all tables of another value, after those that are there. A table that is there already is replaced.
    pub fn extend(&mut self, others: Self) {
        for table in others.tables {
            self.put(table);
        }
        self.unread.extend(others.unread);
    }

    /// Says that there is a table whose rules cannot be read, so that no packet can be said to pass.
    pub fn add_unread(&mut self, table: impl Into<String>) {
        self.unread.insert(table.into());
    }

    /// The tables there are.
    pub fn tables(&self) -> impl Iterator<Item = &TableId> {
        self.tables.iter().map(|table| &table.id)
    }

    /// Tables of nftables that both variants of iptables would call theirs are one table, whoever has listed it.
    fn put(&mut self, table: Table) {
        let key = |id: &TableId| (id.program == FilterProgram::IptablesLegacy, id.family, id.name.clone());
        match self.tables.iter_mut().find(|there| key(&there.id) == key(&table.id)) {
            Some(there) => *there = table,
            None => self.tables.push(table),
        }
    }
}

impl FilterVerdict {
    /// The rule or policy that ends the packet; `None` when none does, or when it is not known.
    pub fn closing(&self) -> Option<&RuleSpot> {
        match self {
            Self::Dropped(spot) | Self::Rejected(spot) | Self::Redirected(spot) => Some(spot),
            Self::Accepted | Self::Unknown(_) => None,
        }
    }
}

impl RuleSpot {
    /// Whether it is a rule of this installation's own.
    pub fn is_ours(&self, tags: &OwnershipTags) -> bool {
        let table = &self.base.table;
        let own_table = table.program == FilterProgram::Nftables
            && table.family == FilterFamily::Inet
            && table.name == tags.nft_table();
        own_table || self.chain.starts_with(&format!("{}-", tags.chain_prefix()))
    }

    /// The command that lets packets like this one pass here, for a person. It puts an accept in front of the base
    /// chain, or is ufw's or firewalld's own. Other base chains may still close.
    pub fn opening(&self, packet: &Packet) -> String {
        opening::command(self, packet)
    }
}

impl fmt::Display for FilterDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(spot) => spot.fmt(f),
            Self::Unread(table) => f.write_str(table),
        }
    }
}

impl FilterFamily {
    /// Its name in nftables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Netdev => "netdev",
        }
    }
    fn of_name(name: &str) -> Option<Self> {
        [Self::Inet, Self::Ip, Self::Ip6, Self::Netdev].into_iter().find(|family| family.name() == name)
    }
}

impl FilterHook {
    fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "ingress" => Self::Ingress,
            "prerouting" => Self::Prerouting,
            "input" => Self::Input,
            "forward" => Self::Forward,
            "output" => Self::Output,
            "postrouting" => Self::Postrouting,
            "egress" => Self::Egress,
            _ => return None,
        })
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = match (self.program, self.family) {
            (FilterProgram::Nftables, family) => {
                return write!(f, "nftables {} {}", family.name(), self.name);
            }
            (FilterProgram::IptablesNft, FilterFamily::Ip6) => "ip6tables",
            (FilterProgram::IptablesNft, _) => "iptables",
            (FilterProgram::IptablesLegacy, FilterFamily::Ip6) => "ip6tables-legacy",
            (FilterProgram::IptablesLegacy, _) => "iptables-legacy",
        };
        write!(f, "{program} {}", self.name)
    }
}

impl fmt::Display for RuleSpot {
    /// In words of no language, as in `nftables inet filter input handle 7: tcp dport 443 drop`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.base.table, self.chain)?;
        match (self.handle, self.number) {
            (Some(handle), _) => write!(f, " handle {handle}")?,
            (None, Some(number)) => write!(f, " #{number}")?,
            (None, None) => {}
        }
        write!(f, ": {}", self.text)
    }
}

#[cfg(test)]
mod tests;
