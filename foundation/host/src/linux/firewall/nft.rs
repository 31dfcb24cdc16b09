//! nftables: our own table, replaced in one transaction, and what other tables do with forwarded packets.

pub(super) mod kernel;
mod listing;
mod render;

use std::collections::BTreeMap;
use std::fmt;

pub(super) use listing::{Chain, Listing, Table, network};
pub(super) use render::{own_rules, own_table, rules_of, without_own_table};

use super::rules::{Family, RenderedRule};
use crate::linux::command::Program;
use crate::{Hook, HostError, Result};

/// A family of tables that sees IP packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TableFamily {
    /// Both.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

impl TableFamily {
    const ALL: [Self; 3] = [Self::Inet, Self::Ip, Self::Ip6];

    /// Its name in nftables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        }
    }
    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
    /// The family of this number (`NFPROTO_INET` and so on of `linux/netfilter.h`).
    fn of_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Inet),
            2 => Some(Self::Ip),
            10 => Some(Self::Ip6),
            _ => None,
        }
    }
    /// The only family of packets that it sees.
    pub(super) fn only(self) -> Option<Family> {
        match self {
            Self::Inet => None,
            Self::Ip => Some(Family::V4),
            Self::Ip6 => Some(Family::V6),
        }
    }
}

/// A table by its family and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NftTable {
    /// Its family.
    pub family: TableFamily,
    /// Its name.
    pub table: String,
}

impl NftTable {
    /// Our own table.
    pub(super) fn own(name: String) -> Self {
        Self { family: TableFamily::Inet, table: name }
    }
}

impl fmt::Display for NftTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family.name(), self.table)
    }
}

/// Our rules for one hook each, as nftables gets them.
pub(super) type Rules = BTreeMap<Hook, Vec<RenderedRule>>;

/// One table as it is loaded. It must exist.
pub(super) fn list_table(table: &NftTable) -> Result<Listing> {
    list(["list", "table", table.family.name(), &table.table])
}

/// All tables as they are loaded, without the elements of sets.
pub(super) fn list_all() -> Result<Listing> {
    list(["-t", "list", "ruleset"])
}

fn list<'a>(command: impl IntoIterator<Item = &'a str>) -> Result<Listing> {
    let json = Program::named("nft")?.args(["-j"]).args(command).run()?;
    Listing::parse(&json)
        .map_err(|error| HostError::unexpected(format!("nft's listing was not understood: {error}")))
}

/// Carries out a script in one transaction: all of it or nothing.
pub(super) fn apply(script: &str) -> Result<()> {
    Program::named("nft")?.args(["-f", "-"]).input(script).run().map(drop)
}
