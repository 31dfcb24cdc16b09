//! What of ours stays loaded because nobody can take it out: the program for it was uninstalled meanwhile, or does not understand a
//! table in which somebody else has put rules of another program.
//!
//! The kernel itself tells the names of its chains, so that this needs no program. The older interface of iptables tells nothing
//! without its own.

use std::collections::BTreeMap;

use super::nft::{NftTable, kernel};
use super::rules::Family;
use super::xtables::{ChainNames, Start, TABLES, Variant, XtablesTable};
use crate::linux::command::find;
use crate::{OwnershipTags, Result, StuckRules};

/// Looks for it.
pub(super) fn stuck(start: Start, tags: &OwnershipTags) -> Result<Vec<StuckRules>> {
    let (own, names) = (NftTable::own(tags.nft_table()), ChainNames::from_tags(tags));
    let in_others = [tags.repeated_chain(), tags.input_chain()];
    let nft = find("nft").is_some();
    let mut readable = BTreeMap::new();
    let mut found = BTreeMap::new();
    for chain in kernel::chains()?.unwrap_or_default() {
        let (table, name) = (&chain.table, &chain.name);
        if *table == own {
            if !nft {
                found.insert(format!("nftables {own}"), format!("nft delete table {own}"));
            }
            continue;
        }
        let by_iptables = iptables(&names, table, name);
        let can = match by_iptables {
            Some(at) => {
                *readable.entry(at).or_insert_with(|| at.program().is_some() && at.list(start).is_ok())
            }
            None if in_others.contains(name) => nft,
            None => true,
        };
        if !can {
            // An empty chain of ours does nothing, whatever leads to it.
            found.insert(format!("nftables {table} {name}"), format!("nft flush chain {table} {name}"));
        }
    }
    let installing = if nft { "" } else { "apt install nftables && " };
    let stuck =
        |(place, command): (String, String)| StuckRules { place, command: format!("{installing}{command}") };
    Ok(found.into_iter().map(stuck).collect())
}

/// The table of iptables-nft in which a chain with this name is ours.
fn iptables(names: &ChainNames, table: &NftTable, chain: &str) -> Option<XtablesTable> {
    let all = Family::ALL.into_iter().flat_map(|family| {
        TABLES.into_iter().map(move |table| XtablesTable { variant: Variant::Nft, family, table })
    });
    let mut here = all.filter(|at| at.place().as_ref() == Some(table));
    here.find(|at| at.hooks().any(|hook| names.chain(hook) == chain))
}
