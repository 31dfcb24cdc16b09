//! Where accepts of ours have to be, in the packet filters of others, so that the Internet reaches our ports.
//!
//! What the evaluator says without our parts decides, so that an accept of ours is no reason for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::filters::{Sets, filters};
use super::nft::{NftTable, TableFamily, kernel};
use super::rules::{Family, NormalizedRule};
use super::ufw;
use super::xtables::{Variant, XtablesTable, family_exists};
use crate::filter::{
    ChainId, FilterFamily, FilterHook, FilterManager, FilterProgram, Filters, Packet, RuleSpot,
    from_strangers,
};
use crate::linux::LinuxNetwork;
use crate::{Match, OwnershipTags, Port, Result, Ruleset, Verdict};

/// Accepts by the base chains of others that need them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Letting {
    ports: BTreeMap<ChainId, BTreeSet<Port>>,
    /// The accepts that stay where they are, because it could not be found out where they are needed.
    unread: Vec<NormalizedRule>,
}

impl Letting {
    /// What is needed for the ports that a ruleset lets in. Nothing is read where nobody else has a chain that packets for this host
    /// pass. Rules of others that cannot be read hold up no change: then what is there stays, and nothing is opened.
    pub(super) fn for_ruleset(tags: &OwnershipTags, ruleset: &Ruleset, chains: &[kernel::SeenChain]) -> Self {
        Self::evaluated(tags, ruleset, chains).unwrap_or_else(|_| Self::unknown(ruleset))
    }

    /// That it is not known.
    fn unknown(ruleset: &Ruleset) -> Self {
        Self { ports: BTreeMap::new(), unread: plains(ruleset.openings().iter()) }
    }

    /// The accepts of which those stay that are loaded; none where it is known what is needed.
    pub(super) fn unread(&self) -> &[NormalizedRule] {
        &self.unread
    }

    fn evaluated(tags: &OwnershipTags, ruleset: &Ruleset, chains: &[kernel::SeenChain]) -> Result<Self> {
        let own = NftTable::own(tags.nft_table());
        let others = chains.iter().any(|chain| chain.at_input && chain.table != own) || legacy();
        if ruleset.openings().is_empty() || !others {
            return Ok(Self::default());
        }
        let owned = kernel::tables()?.into_iter().filter(|(_, owned)| *owned).map(|(table, _)| table);
        let owned: BTreeSet<NftTable> = owned.collect();
        let ufw = ufw::enabled()?;
        let by_ufw = |spot: &RuleSpot| spot.manager == FilterManager::Ufw && ufw;
        let can = |spot: &RuleSpot| {
            !by_ufw(spot)
                && place(&spot.base.table).is_none_or(|place| !owned.contains(&place))
                && takes(spot)
        };
        // What ufw limits is ufw's to open.
        let limits = |spot: &RuleSpot| !by_ufw(spot);
        let (network, mut groups) = (LinuxNetwork::new(), Vec::new());
        for port in ruleset.openings() {
            let packets = from_strangers(&network, family_exists(Family::V6), *port)?;
            groups.extend(packets.into_iter().map(|packets| (*port, packets)));
        }
        // Sets of others may have very many elements: they are listed where the answer depends on them.
        let (mut ports, doubtful) = needed(&filters(Sets::Left)?.without_ours(tags), &groups, can, limits);
        if doubtful {
            ports = needed(&filters(Sets::Read)?.without_ours(tags), &groups, can, limits).0;
        }
        Ok(Self { ports, unread: Vec::new() })
    }

    /// The accepts for a table of nftables: one chain of ours has those of all base chains that lead to it.
    pub(super) fn of_table(&self, table: &NftTable) -> Vec<NormalizedRule> {
        let here = self.ports.iter().filter(|(chain, _)| place(&chain.table).as_ref() == Some(table));
        plains(here.flat_map(|(_, ports)| ports))
    }

    /// Whether a base chain of a table of nftables is to lead to them.
    pub(super) fn wants(&self, table: &NftTable, chain: &str) -> bool {
        self.ports.keys().any(|id| id.name == chain && place(&id.table).as_ref() == Some(table))
    }

    /// Whether any of them is for a table of nftables.
    pub(super) fn concerns(&self, table: &NftTable) -> bool {
        self.ports.keys().any(|id| place(&id.table).as_ref() == Some(table))
    }

    /// The accepts for a table of iptables.
    pub(super) fn of_iptables(&self, at: XtablesTable) -> Vec<NormalizedRule> {
        let here = |chain: &ChainId| {
            let legacy = chain.table.program == FilterProgram::IptablesLegacy;
            let family = if at.family == Family::V4 { FilterFamily::Ip } else { FilterFamily::Ip6 };
            legacy == (at.variant == Variant::Legacy)
                && (chain.table.family, chain.table.name.as_str()) == (family, at.table)
                && chain.name == INPUT
        };
        plains(self.ports.iter().filter(|(chain, _)| here(chain)).flat_map(|(_, ports)| ports))
    }
}

/// The base chains that need accepts for packets to these ports, and whether that depends on what is not known. A port that somebody
/// has limited himself is opened nowhere: a chain that forgot it, as one of the other family, would let in whom he keeps out.
fn needed(
    theirs: &Filters,
    groups: &[(Port, Vec<Packet>)],
    can: impl Fn(&RuleSpot) -> bool + Copy,
    limits: impl Fn(&RuleSpot) -> bool + Copy,
) -> (BTreeMap<ChainId, BTreeSet<Port>>, bool) {
    let (mut ports, mut doubtful) = (BTreeMap::<ChainId, BTreeSet<Port>>::new(), false);
    let all: BTreeSet<Port> = groups.iter().map(|(port, _)| *port).collect();
    for port in all {
        let groups = groups.iter().filter(|(of, _)| *of == port);
        let groups: Vec<&[Packet]> = groups.map(|(_, packets)| packets.as_slice()).collect();
        if let Some(limit) = theirs.limit_for(port, &groups, limits) {
            doubtful |= !limit.certain;
            continue;
        }
        for packets in groups {
            let chains = theirs.refusing(packets, can);
            doubtful |= theirs.doubts(packets, &chains);
            for chain in chains {
                ports.entry(chain).or_default().insert(port);
            }
        }
    }
    (ports, doubtful)
}

/// The chain of iptables for packets to this host.
const INPUT: &str = "INPUT";

fn plains<'a>(ports: impl Iterator<Item = &'a Port>) -> Vec<NormalizedRule> {
    let ports: BTreeSet<&Port> = ports.collect();
    let accept = |port: &&Port| {
        let mut plain = NormalizedRule::new(Verdict::Accept);
        plain.add(&Match::Port { protocol: port.protocol, port: port.number });
        plain
    };
    ports.iter().map(accept).collect()
}

/// Whether an accept of ours can be in the base chain: iptables has a place for us in its table `filter` alone, and tables that see
/// the packets of single interfaces are not looked at.
fn takes(spot: &RuleSpot) -> bool {
    let base = &spot.base;
    match base.table.program {
        FilterProgram::Nftables => {
            place(&base.table).is_some() && matches!(base.hook, FilterHook::Prerouting | FilterHook::Input)
        }
        FilterProgram::IptablesNft | FilterProgram::IptablesLegacy => {
            base.table.name == "filter" && base.name == INPUT
        }
    }
}

/// The table of nftables that a table is.
fn place(table: &crate::filter::TableId) -> Option<NftTable> {
    let family = match (table.program, table.family) {
        (FilterProgram::IptablesLegacy, _) | (_, FilterFamily::Netdev) => return None,
        (_, FilterFamily::Inet) => TableFamily::Inet,
        (_, FilterFamily::Ip) => TableFamily::Ip,
        (_, FilterFamily::Ip6) => TableFamily::Ip6,
    };
    Some(NftTable { family, table: table.name.clone() })
}

/// Whether any table of the kernel's older interface is loaded.
fn legacy() -> bool {
    let names = ["ip_tables_names", "ip6_tables_names"];
    names.iter().any(|file| {
        fs::read_to_string(format!("/proc/net/{file}")).is_ok_and(|tables| !tables.trim().is_empty())
    })
}
