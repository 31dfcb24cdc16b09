//! Accepts of ours in the base chains of others: where they are needed, and where they are.
//!
//! An accept at the head of a base chain ends that chain for the packet, so that it is as if the chain were not asked. Other base
//! chains are asked all the same, and each that refuses needs an accept of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use phantom_types::watch::FAR;

use super::fate::{STRANGERS, number};
use super::names::{TCP, UDP};
use super::tree::{Among, Base, Expr, Field, FilterAction, Pattern, Ports, Rule, Statement, Table};
use super::{FilterFamily, FilterProgram, FilterVerdict, Filters, Packet, PacketFate, RuleSpot, TableId};
use crate::{LinkKind, Network, OwnershipTags, Port, Protocol, Result};

/// The same two kinds of strangers as of IPv4: of the documentation (RFC 3849), and an ordinary one. Nothing is ever sent to them.
pub(super) const STRANGERS6: [Ipv6Addr; 2] = [Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7), FAR.1];
/// Where packets go while the host has no address of the family yet.
const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SOMEWHERE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// A base chain by its table and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainId {
    /// Its table.
    pub table: TableId,
    /// Its name.
    pub name: String,
}

/// A base chain of somebody else that leads to accepts of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetIn {
    /// The base chain.
    pub chain: ChainId,
    /// The ports that our accepts there are for.
    pub ports: BTreeSet<Port>,
}

/// First packets from the Internet to a port of this host, in groups: of each group one packet that passes is enough. IPv4 and,
/// where the kernel has it, IPv6, by the uplink; without an uplink, as at boot, by each link that may become one.
///
/// # Errors
///
/// The network cannot be asked.
pub fn from_strangers(network: &dyn Network, ipv6: bool, port: Port) -> Result<Vec<Vec<Packet>>> {
    let uplink = network.uplink()?;
    let (four, six) = uplink.as_ref().map_or((None, None), |uplink| (uplink.address, uplink.ipv6));
    let interfaces = match uplink {
        Some(uplink) => vec![uplink.interface],
        None => links(network)?,
    };
    let mut groups = Vec::new();
    for interface in interfaces {
        let packet = |source: IpAddr, destination: IpAddr| {
            Packet::to_host(&interface, source, destination, number(port.protocol), port.number)
        };
        let destination = four.unwrap_or(SOMEWHERE).into();
        groups.push(STRANGERS.map(|stranger| packet(stranger.into(), destination)).into());
        if ipv6 {
            let destination = six.unwrap_or(SOMEWHERE6).into();
            groups.push(STRANGERS6.map(|stranger| packet(stranger.into(), destination)).into());
        }
    }
    Ok(groups)
}

/// Links that are neither loopback nor a tunnel.
fn links(network: &dyn Network) -> Result<Vec<String>> {
    let links = network.links()?.into_iter();
    let outer = links.filter(|link| link.name != "lo" && matches!(link.kind, LinkKind::Other(_)));
    Ok(outer.map(|link| link.name).collect())
}

impl Filters {
    /// The same without this installation: without its own table, and without the rules that lead to chains of its own.
    #[must_use]
    pub fn without_ours(&self, tags: &OwnershipTags) -> Self {
        let mut rest = self.clone();
        rest.tables.retain(|table| !is_own(&table.id, tags));
        for chain in rest.tables.iter_mut().flat_map(|table| &mut table.chains) {
            chain.rules.retain(|rule| !leads_to(rule).is_some_and(|target| is_our_chain(target, tags)));
        }
        rest
    }

    /// The base chains in which an accept is needed so that one of these packets passes, as far as `can` says that there can be
    /// one. A chain of which it is not known whether it refuses needs none, and no accept takes back that a packet is sent elsewhere.
    pub fn refusing(&self, packets: &[Packet], can: impl Fn(&RuleSpot) -> bool) -> BTreeSet<ChainId> {
        self.refusals(packets, can).into_keys().collect()
    }

    /// The same, each with the rule that ends the packet there.
    pub(super) fn refusals(
        &self,
        packets: &[Packet],
        can: impl Fn(&RuleSpot) -> bool,
    ) -> BTreeMap<ChainId, RuleSpot> {
        let (mut rest, mut found) = (self.clone(), BTreeMap::new());
        while let Some(fate) = PacketFate::best(&rest, packets.iter().cloned()) {
            let (FilterVerdict::Dropped(spot) | FilterVerdict::Rejected(spot)) = fate.verdict else { break };
            let chain = ChainId { table: spot.base.table.clone(), name: spot.base.name.clone() };
            if !can(&spot) || rest.base(&chain).is_none_or(|base| base.nat) {
                break;
            }
            rest.pass(&chain);
            if found.insert(chain, *spot).is_some() {
                break;
            }
        }
        found
    }

    /// The same without what is known of named sets and maps, as where they were not listed: what depends on them is not known.
    #[must_use]
    pub fn without_sets(mut self) -> Self {
        for table in &mut self.tables {
            table.sets.clear();
            table.ipsets = Arc::default();
        }
        self
    }

    /// Whether it is not known what becomes of all of these packets, once accepts are in these base chains.
    pub fn doubts(&self, packets: &[Packet], accepts: &BTreeSet<ChainId>) -> bool {
        let mut rest = self.clone();
        for chain in accepts {
            rest.pass(chain);
        }
        PacketFate::best(&rest, packets.iter().cloned()).is_some_and(|fate| fate.doubt().is_some())
    }

    /// The base chains of others that lead to accepts of this installation, with the ports of these.
    pub fn let_in(&self, tags: &OwnershipTags) -> Vec<LetIn> {
        let mut found = Vec::new();
        for table in self.tables.iter().filter(|table| !is_own(&table.id, tags)) {
            for chain in table.chains.iter().filter(|chain| chain.base.is_some()) {
                let targets = chain.rules.iter().filter_map(leads_to);
                let ours = targets.filter(|target| is_our_chain(target, tags));
                let ports: BTreeSet<Port> = ours.flat_map(|target| accepted(table, target)).collect();
                if !ports.is_empty() {
                    let chain = ChainId { table: table.id.clone(), name: chain.name.clone() };
                    found.push(LetIn { chain, ports });
                }
            }
        }
        found.sort();
        found
    }

    /// The tables of others in which there are rules that lead to chains of this installation.
    pub fn tables_with_ours(&self, tags: &OwnershipTags) -> BTreeSet<TableId> {
        let ours = |rule: &Rule| leads_to(rule).is_some_and(|target| is_our_chain(target, tags));
        let with = |table: &&Table| table.chains.iter().any(|chain| chain.rules.iter().any(ours));
        let others = self.tables.iter().filter(|table| !is_own(&table.id, tags));
        others.filter(with).map(|table| table.id.clone()).collect()
    }

    fn base(&self, chain: &ChainId) -> Option<&Base> {
        let table = self.tables.iter().find(|table| table.id == chain.table)?;
        table.chains[*table.by_name.get(&chain.name)?].base.as_ref()
    }

    /// Lets every packet pass a base chain.
    fn pass(&mut self, chain: &ChainId) {
        if let Some(table) = self.tables.iter_mut().find(|table| table.id == chain.table)
            && let Some(at) = table.by_name.get(&chain.name)
        {
            table.chains[*at].base = None;
        }
    }
}

fn is_own(table: &TableId, tags: &OwnershipTags) -> bool {
    let place = (table.program, table.family) == (FilterProgram::Nftables, FilterFamily::Inet);
    place && table.name == tags.nft_table()
}

/// Whether a chain has the name of one of this installation's. Those of others begin alike, and have one part more.
fn is_our_chain(name: &str, tags: &OwnershipTags) -> bool {
    let hook = name.strip_prefix(&tags.chain_prefix()).and_then(|rest| rest.strip_prefix('-'));
    let own = [tags.repeated_chain(), tags.input_chain()];
    own.iter().any(|own| own == name) || hook.is_some_and(|hook| !hook.contains('-'))
}

/// The chain that a rule hands packets on to.
pub(super) fn leads_to(rule: &Rule) -> Option<&str> {
    rule.steps.iter().find_map(|step| match step {
        Statement::Do(FilterAction::Jump(target) | FilterAction::Goto(target)) => Some(target.as_str()),
        _ => None,
    })
}

/// The ports that the rules of a chain accept.
fn accepted<'a>(table: &'a Table, chain: &str) -> impl Iterator<Item = Port> + 'a {
    let chain = table.by_name.get(chain).map(|at| &table.chains[*at]);
    let rules = chain.into_iter().flat_map(|chain| &chain.rules);
    rules.filter(|rule| rule.steps.contains(&Statement::Do(FilterAction::Accept))).filter_map(port_of)
}

/// The port that a rule of ours asks for.
fn port_of(rule: &Rule) -> Option<Port> {
    rule.steps.iter().find_map(|step| {
        let Statement::Require(condition) = step else { return None };
        let ([Expr::Field(Field::DestinationPort(Ports::Of(protocol)))], Among::Elements(elements)) =
            (condition.lookup.key.as_slice(), &condition.lookup.among)
        else {
            return None;
        };
        let protocol = match *protocol {
            TCP => Protocol::Tcp,
            UDP => Protocol::Udp,
            _ => return None,
        };
        let [Pattern::Range(first, last)] = elements.first()?.parts.as_slice() else { return None };
        let number = u16::try_from(*first).ok().filter(|_| first == last)?;
        Some(Port { protocol, number })
    })
}
