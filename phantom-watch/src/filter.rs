//! Our part of nftables (`linux/netfilter/nf_tables.h`), and what tells it from a changed one.
//!
//! The kernel counts the changes of all of nftables (its generation). Only when that number has changed is our part looked at:
//! our table, its chains and the rules in them, rules of other tables that go to a chain of ours with the rule before each,
//! and the chains that every forwarded packet passes, with what becomes of it at their end. Apart from that, since it changes more
//! often: the chains that packets for this host pass, with their rules and those of all chains that they lead to, where one that
//! comes may close a port of ours. Chains of type `nat` are not among them, since no accept of ours takes back what they do. A table
//! has a number (its handle) that is never given twice, and so has each chain and rule in it: names and numbers alone tell whether
//! something is missing or was put in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NlasIterator};
use netlink_sys::protocols::NETLINK_NETFILTER;
use phantom_types::watch::WatchedFilter;

use crate::netlink::{Ear, HEADER, Mouth};

/// `NFNLGRP_NFTABLES`.
const GROUP: u32 = 7;
/// `NFNL_SUBSYS_NFTABLES`, in the upper byte of a message type.
const SUBSYSTEM: u16 = 10 << 8;
/// `NFT_MSG_GETTABLE`.
const GET_TABLE: u16 = 1;
/// `NFT_MSG_GETCHAIN`.
const GET_CHAIN: u16 = 4;
/// `NFT_MSG_GETRULE`.
const GET_RULE: u16 = 7;
/// `NFT_MSG_GETGEN`.
const GET_GENERATION: u16 = 16;
/// Length of `struct nfgenmsg`: family, version, resource.
const FAMILY_HEADER: usize = 4;
/// `NFPROTO_INET`.
const INET: u8 = 1;
/// `NFTA_TABLE_NAME`, `NFTA_CHAIN_TABLE`, `NFTA_RULE_TABLE`, `NFTA_GEN_ID`.
const FIRST: u16 = 1;
/// `NFTA_TABLE_FLAGS`, `NFTA_CHAIN_HANDLE`, `NFTA_RULE_CHAIN`.
const SECOND: u16 = 2;
/// `NFTA_CHAIN_NAME`, `NFTA_RULE_HANDLE`.
const THIRD: u16 = 3;
/// `NFTA_TABLE_HANDLE`, `NFTA_CHAIN_HOOK`.
const FOURTH: u16 = 4;
/// `NFTA_CHAIN_POLICY`.
const POLICY: u16 = 5;
/// `NFTA_RULE_POSITION`: the handle of the rule before it.
const POSITION: u16 = 6;
/// `NFTA_CHAIN_TYPE`.
const TYPE: u16 = 7;
/// `NFT_REG_VERDICT`.
const VERDICT: [u8; 4] = [0; 4];
/// `NFTA_HOOK_HOOKNUM`.
const HOOK_NUMBER: u16 = 1;
/// `NF_INET_PRE_ROUTING`, `NF_INET_LOCAL_IN`, `NF_INET_FORWARD`.
const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;

/// Is told of changes of nftables.
pub(crate) fn ear() -> io::Result<Ear> {
    Ear::open(NETLINK_NETFILTER, &[GROUP])
}

/// What tells chains and rules from changed ones.
type Entries = BTreeSet<Vec<u8>>;

/// Everything that tells nftables from a changed one, as far as it is about us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Print {
    /// Our part, and what becomes of forwarded packets elsewhere.
    pub(crate) ours: Entries,
    /// What others do with packets for this host.
    pub(crate) doors: Entries,
}

/// Asks nftables.
pub(crate) struct Nftables(Mouth);

impl Nftables {
    pub(crate) fn open() -> io::Result<Self> {
        Mouth::open(NETLINK_NETFILTER).map(Self)
    }

    /// How often nftables was changed since the boot, by anybody.
    pub(crate) fn generation(&mut self) -> io::Result<u32> {
        let mut found = None;
        self.ask(GET_GENERATION, NLM_F_REQUEST, &mut |_, attributes| {
            found = value(attributes, FIRST).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        })?;
        found.ok_or_else(|| io::Error::other("the kernel names no generation of nftables"))
    }

    /// Our part, and the generation that it was seen in.
    pub(crate) fn print(&mut self, filter: &WatchedFilter) -> io::Result<(u32, Print)> {
        loop {
            let before = self.generation()?;
            let mut reader = Reader::new(filter);
            self.ask(GET_CHAIN, NLM_F_REQUEST | NLM_F_DUMP, &mut |message, attributes| {
                reader.chain(message, attributes);
            })?;
            self.ask(GET_RULE, NLM_F_REQUEST | NLM_F_DUMP, &mut |message, attributes| {
                reader.rule(message, attributes);
            })?;
            // Those that something of it is in.
            self.ask(GET_TABLE, NLM_F_REQUEST | NLM_F_DUMP, &mut |message, attributes| {
                reader.table(message, attributes);
            })?;
            let print = reader.print();
            if self.generation()? == before {
                return Ok((before, print));
            }
        }
    }

    fn ask(&mut self, kind: u16, flags: u16, each: &mut dyn FnMut(&[u8], &[u8])) -> io::Result<()> {
        // Family 0 asks for those of every family.
        let mut bytes = [0; HEADER + FAMILY_HEADER];
        self.0.ask(SUBSYSTEM | kind, flags, &mut bytes, &mut |message| {
            if let Some(attributes) = message.get(HEADER + FAMILY_HEADER..) {
                each(message, attributes);
            }
        })
    }
}

/// A table: its family and its name.
type TableId = (u8, Vec<u8>);
/// A chain by its table and its name.
type Chain = (TableId, Vec<u8>);

/// A rule of a table in which packets for this host pass.
struct Other {
    entry: Vec<u8>,
    /// The chains that it leads to.
    leads_to: Vec<Vec<u8>>,
    /// It leads to chains that a map names, which is not read.
    by_map: bool,
}

/// Reads what the kernel lists: first all chains, then all rules, then all tables.
struct Reader<'a> {
    filter: &'a WatchedFilter,
    print: Print,
    tables: BTreeSet<TableId>,
    /// The chains that packets for this host pass first.
    doors: BTreeSet<Chain>,
    /// All chains that the kernel asks by itself.
    bases: BTreeSet<Chain>,
    others: BTreeMap<Chain, Vec<Other>>,
}

impl<'a> Reader<'a> {
    fn new(filter: &'a WatchedFilter) -> Self {
        Self {
            filter,
            print: Print::default(),
            tables: BTreeSet::new(),
            doors: BTreeSet::new(),
            bases: BTreeSet::new(),
            others: BTreeMap::new(),
        }
    }

    fn chain(&mut self, message: &[u8], attributes: &[u8]) {
        let Some((place, chain)) = chain_of(message, attributes, THIRD) else { return };
        let entry = entry(b'c', &place, attributes, [THIRD, SECOND, POLICY]);
        let hook = hook(attributes);
        if hook.is_some() {
            self.bases.insert((place.clone(), chain.clone()));
        }
        let nat = value(attributes, TYPE).is_some_and(|kind| name(kind) == b"nat");
        if hook == Some(FORWARD) || self.is_ours(&place, attributes) {
            self.tables.insert(place);
            self.print.ours.insert(entry);
        } else if matches!(hook, Some(PREROUTING | INPUT)) && !nat {
            self.tables.insert(place.clone());
            self.print.doors.insert(entry);
            self.doors.insert((place, chain));
        }
    }

    fn rule(&mut self, message: &[u8], attributes: &[u8]) {
        let Some((place, chain)) = chain_of(message, attributes, SECOND) else { return };
        let entry = entry(b'r', &place, attributes, [SECOND, THIRD, POSITION]);
        let ours = self.is_ours(&place, attributes);
        if ours {
            self.tables.insert(place.clone());
            self.print.ours.insert(entry.clone());
        }
        if self.doors.iter().any(|(table, _)| *table == place) {
            let (leads_to, by_map) = targets(attributes);
            self.others.entry((place, chain)).or_default().push(Other { entry, leads_to, by_map });
        }
    }

    /// Tables that nothing of it is in say nothing.
    fn table(&mut self, message: &[u8], attributes: &[u8]) {
        let Some(place) = table_of(message, attributes).filter(|place| self.tables.contains(place)) else {
            return;
        };
        self.print.ours.insert(entry(b't', &place, attributes, [SECOND, FOURTH]));
    }

    /// Adds the rules of all chains that packets for this host may come to.
    fn print(mut self) -> Print {
        let mut next: Vec<Chain> = self.doors.iter().cloned().collect();
        let mut seen: BTreeSet<Chain> = self.doors.clone();
        while let Some(chain) = next.pop() {
            for rule in self.others.get(&chain).into_iter().flatten() {
                // Ours are told already.
                if !self.print.ours.contains(&rule.entry) {
                    self.print.doors.insert(rule.entry.clone());
                }
                let named = rule.leads_to.iter().map(|name| (chain.0.clone(), name.clone()));
                let all = self.others.keys().filter(|one| rule.by_map && one.0 == chain.0).cloned();
                let led = named.chain(all).filter(|one| !self.bases.contains(one));
                let new: Vec<Chain> = led.filter(|one| seen.insert(one.clone())).collect();
                next.extend(new);
            }
        }
        self.print
    }

    /// Whether it is in our table, or in another one and has to do with a chain of ours.
    fn is_ours(&self, place: &TableId, attributes: &[u8]) -> bool {
        let own = |table: &String| place.0 == INET && place.1 == table.as_bytes();
        let has = |mark: &String| attributes.windows(mark.len()).any(|part| part == mark.as_bytes());
        self.filter.table.as_ref().is_some_and(own) || self.filter.marks.iter().any(has)
    }
}

/// The table that a message is about.
fn table_of(message: &[u8], attributes: &[u8]) -> Option<TableId> {
    Some((*message.get(HEADER)?, name(value(attributes, FIRST)?).to_vec()))
}

/// The chain that a message is about, or that its rule is in.
fn chain_of(message: &[u8], attributes: &[u8], named: u16) -> Option<Chain> {
    Some((table_of(message, attributes)?, name(value(attributes, named)?).to_vec()))
}

/// What a message adds to the print: these attributes of it.
fn entry<const N: usize>(letter: u8, place: &TableId, attributes: &[u8], told: [u16; N]) -> Vec<u8> {
    let head = [letter, place.0];
    let mut parts = vec![&head[..], &place.1];
    parts.extend(told.into_iter().map(|kind| value(attributes, kind).unwrap_or_default()));
    parts.join(&b'/')
}

/// The chains that a rule leads to, and whether it leads to some by a map. An expression is `NFTA_EXPR_NAME` and
/// `NFTA_EXPR_DATA`.
fn targets(attributes: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (mut targets, mut by_map) = (Vec::new(), false);
    // `NFTA_RULE_EXPRESSIONS`, a list.
    for (_, expression) in each(value(attributes, FOURTH).unwrap_or_default()) {
        let Some((kind, data)) = value(expression, FIRST).zip(value(expression, SECOND)) else { continue };
        match name(kind) {
            // `NFTA_IMMEDIATE_DATA`, `NFTA_DATA_VERDICT`, `NFTA_VERDICT_CHAIN`.
            b"immediate" => {
                let verdict = value(data, SECOND).and_then(|data| value(data, SECOND));
                targets
                    .extend(verdict.and_then(|verdict| value(verdict, SECOND)).map(|to| name(to).to_vec()));
            }
            // `NFTA_LOOKUP_DREG`.
            b"lookup" => by_map |= value(data, THIRD) == Some(&VERDICT[..]),
            _ => {}
        }
    }
    (targets, by_map)
}

/// Which packets the kernel asks a chain about; `None` for one that only rules lead to.
fn hook(attributes: &[u8]) -> Option<u32> {
    let number = value(attributes, FOURTH).and_then(|hook| value(hook, HOOK_NUMBER));
    number.and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
}

fn value(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    each(attributes).find(|(of, _)| *of == kind).map(|(_, value)| value)
}

/// The attributes, each by its kind and its value.
fn each(attributes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(attributes).flatten().map(|attribute| {
        let (kind, length) = (attribute.kind(), attribute.value_length());
        let inner: &[u8] = attribute.into_inner();
        (kind, &inner[4..4 + length])
    })
}

/// A name without the zero at its end.
fn name(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\0").unwrap_or(bytes)
}

#[cfg(test)]
mod tests;
