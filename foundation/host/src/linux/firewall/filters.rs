//! Reads everything that filters packets on this host, whoever made it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use phantom_types::Said;

use super::nft::{self, TableFamily};
use super::rules::Family;
use super::xtables::{Variant, XtablesTable};
use crate::filter::{FilterProgram, Filters, TableId};
use crate::linux::command::{Program, find};
use crate::{HostError, Result};

/// The tables that `iptables-nft-save` knows.
const NAMES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// What a rule of iptables has that asks a set of ipset.
const ASKS_IPSET: &str = "--match-set ";

/// Whether the elements of named sets and maps are read as well: there can be very many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sets {
    /// They are.
    Read,
    /// They are not: what depends on them is not known.
    Left,
}

/// Reads all tables: those of nftables, and those of both variants of iptables in their own words, which nft lists only
/// by the names of their matches.
pub(super) fn filters(sets: Sets) -> Result<Filters> {
    let mut filters = Filters::new();
    let tables = nft::kernel::tables()?;
    let listed = find("nft").is_some() && nft::kernel::chains()?.is_some();
    if listed {
        filters = nftables(sets)?;
    }
    let mut asks_ipset = false;
    for family in Family::ALL {
        let of = if family == Family::V4 { TableFamily::Ip } else { TableFamily::Ip6 };
        let there = tables.keys().any(|table| table.family == of && NAMES.contains(&table.table.as_str()));
        if there && let Some(text) = save(Variant::Nft, family)? {
            asks_ipset |= text.contains(ASKS_IPSET);
            filters.extend(Filters::read_iptables(&text, FilterProgram::IptablesNft, family == Family::V6));
        }
        if !legacy_tables(family).trim().is_empty() {
            match save(Variant::Legacy, family)? {
                Some(text) => {
                    asks_ipset |= text.contains(ASKS_IPSET);
                    let ipv6 = family == Family::V6;
                    filters.extend(Filters::read_iptables(&text, FilterProgram::IptablesLegacy, ipv6));
                }
                None => filters.add_unread("iptables-legacy"),
            }
        }
    }
    if !listed {
        let name = |table: &TableId| format!("{} {}", table.family.name(), table.name);
        let of_iptables = filters.tables().filter(|table| table.program == FilterProgram::IptablesNft);
        let read: BTreeSet<String> = of_iptables.map(name).collect();
        for table in tables.keys().map(ToString::to_string).filter(|table| !read.contains(table)) {
            filters.add_unread(format!("nftables {table}"));
        }
    }
    // Where its sets cannot be listed, what depends on them is not known.
    if asks_ipset
        && sets == Sets::Read
        && find("ipset").is_some()
        && let Ok(listed) = Program::named("ipset").and_then(|ipset| ipset.args(["save"]).run())
    {
        filters.add_ipsets(&String::from_utf8_lossy(&listed));
    }
    Ok(filters)
}

fn nftables(sets: Sets) -> Result<Filters> {
    let terse = if sets == Sets::Left { &["-t"][..] } else { &[] };
    let json =
        Program::named("nft")?.args(["-j"]).args(terse.iter().copied()).args(["list", "ruleset"]).run()?;
    let texts = Program::named("nft")?.args(["-a", "-t", "list", "ruleset"]).run()?;
    let read = Filters::read_nft(&json, &String::from_utf8_lossy(&texts))
        .map_err(|error| HostError::Told(Said::from_error(&error)))?;
    Ok(if sets == Sets::Left { read.without_sets() } else { read })
}

/// The legacy tables of a family that are loaded. To ask for others would load them.
fn legacy_tables(family: Family) -> String {
    let file = if family == Family::V4 { "ip_tables_names" } else { "ip6_tables_names" };
    // Missing, or not for our eyes: then there is none.
    fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default()
}

/// What the `-save` program of a variant prints; `None` without that program.
fn save(variant: Variant, family: Family) -> Result<Option<String>> {
    let at = XtablesTable { variant, family, table: "filter" };
    let Some(program) = at.program() else { return Ok(None) };
    // It is in the same directory, and is the same file by another name.
    let mut path = program.into_os_string();
    path.push("-save");
    let path = PathBuf::from(path);
    if !path.exists() {
        return Ok(None);
    }
    let text = Program::at(path).run()?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}
