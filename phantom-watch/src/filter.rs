//! Our part of nftables (`linux/netfilter/nf_tables.h`), and what tells it from a changed one.
//!
//! The kernel counts the changes of all of nftables (its generation). Only when that number has changed is our part looked at:
//! our table, its chains and the rules in them, rules of other tables that go to a chain of ours with the rule before each,
//! the chains that every forwarded packet passes, with what becomes of it at their end, and the chains that packets for this host
//! pass, with their own rules: one that comes there may close a port of ours. A table has a number (its handle) that
//! is never given twice, and so has each chain and rule in it: names and numbers alone tell whether something is missing
//! or was put in its place.

use std::collections::BTreeSet;
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

/// Everything that tells our part of nftables from a changed one.
pub(crate) type Print = BTreeSet<Vec<u8>>;

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
        let mut print = Print::new();
        loop {
            let before = self.generation()?;
            print.clear();
            let (mut tables, mut doors) = (Vec::new(), Doors::new());
            for (what, kind) in [(GET_CHAIN, Kind::Chain), (GET_RULE, Kind::Rule)] {
                self.ask(what, NLM_F_REQUEST | NLM_F_DUMP, &mut |message, attributes| {
                    if let Some((table, entry)) = entry(filter, kind, &mut doors, message, attributes) {
                        tables.push(table);
                        print.insert(entry);
                    }
                })?;
            }
            // Those that something of ours is in.
            self.ask(GET_TABLE, NLM_F_REQUEST | NLM_F_DUMP, &mut |message, attributes| {
                if let Some(entry) = table_entry(&tables, message, attributes) {
                    print.insert(entry);
                }
            })?;
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

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chain,
    Rule,
}

/// A table: its family and its name.
type Place = (u8, Vec<u8>);

/// The chains that packets for this host pass, each by its table and its name.
type Doors = BTreeSet<(Place, Vec<u8>)>;

/// What a message about a chain or rule adds to the print, and its table; nothing when it is about what is not ours.
fn entry(
    filter: &WatchedFilter,
    kind: Kind,
    doors: &mut Doors,
    message: &[u8],
    attributes: &[u8],
) -> Option<(Place, Vec<u8>)> {
    let family = *message.get(HEADER)?;
    let table = name(value(attributes, FIRST)?);
    let place = || (family, table.to_vec());
    let own_table = family == INET && filter.table.as_ref().is_some_and(|own| own.as_bytes() == table);
    let has = |mark: &String| attributes.windows(mark.len()).any(|part| part == mark.as_bytes());
    let passed = match kind {
        Kind::Chain => match hook(attributes) {
            Some(PREROUTING | INPUT) => {
                doors.insert((place(), name(value(attributes, THIRD)?).to_vec()));
                true
            }
            hook => hook == Some(FORWARD),
        },
        // The rules of a chain name it where the chain names its number.
        Kind::Rule => doors.contains(&(place(), name(value(attributes, SECOND)?).to_vec())),
    };
    if !(own_table || passed || filter.marks.iter().any(has)) {
        return None;
    }
    let (letter, told) = match kind {
        Kind::Chain => (b'c', [THIRD, SECOND, POLICY]),
        Kind::Rule => (b'r', [SECOND, THIRD, POSITION]),
    };
    let head = [letter, family];
    let mut parts = vec![&head[..], table];
    parts.extend(told.into_iter().map(|kind| value(attributes, kind).unwrap_or_default()));
    Some((place(), parts.join(&b'/')))
}

/// What a message about one of these tables adds to the print.
fn table_entry(tables: &[Place], message: &[u8], attributes: &[u8]) -> Option<Vec<u8>> {
    let family = *message.get(HEADER)?;
    let table = name(value(attributes, FIRST)?);
    tables.iter().any(|(of, named)| *of == family && named == table).then_some(())?;
    let head = [b't', family];
    let told = [SECOND, FOURTH].map(|kind| value(attributes, kind).unwrap_or_default());
    Some([&head[..], table, told[0], told[1]].join(&b'/'))
}

/// Which packets the kernel asks a chain about; `None` for one that only rules lead to.
fn hook(attributes: &[u8]) -> Option<u32> {
    let number = value(attributes, FOURTH).and_then(|hook| value(hook, HOOK_NUMBER));
    number.and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
}

fn value(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    // Its attributes borrow from the bytes that it was given.
    NlasIterator::new(attributes).flatten().find(|attribute| attribute.kind() == kind).map(|attribute| {
        let length = attribute.value_length();
        let inner: &[u8] = attribute.into_inner();
        &inner[4..4 + length]
    })
}

/// A name without the zero at its end.
fn name(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\0").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn told(kind: Kind, family: u8, attributes: &[(u16, &[u8])]) -> Option<Vec<u8>> {
        told_behind(&mut Doors::new(), kind, family, attributes)
    }

    /// The same where chains were told of before.
    fn told_behind(
        doors: &mut Doors,
        kind: Kind,
        family: u8,
        attributes: &[(u16, &[u8])],
    ) -> Option<Vec<u8>> {
        let filter = WatchedFilter {
            table: Some("phantom_wg".to_owned()),
            marks: vec!["PHANTOM-WG".to_owned(), "phantom_wg_forward".to_owned()],
            generation: Some(1),
        };
        let (message, attributes) = message(family, attributes);
        entry(&filter, kind, doors, &message, &attributes).map(|(_, entry)| entry)
    }

    fn message(family: u8, attributes: &[(u16, &[u8])]) -> (Vec<u8>, Vec<u8>) {
        let attributes: Vec<u8> =
            attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect();
        let mut message = vec![0; HEADER + FAMILY_HEADER];
        message[HEADER] = family;
        message.extend(&attributes);
        (message, attributes)
    }

    #[test]
    fn what_is_ours_is_told_from_the_rest() {
        let handle = 7_u64.to_be_bytes();
        let rule = |table: &'static [u8], chain: &'static [u8]| [(1, table), (2, chain)];
        let told = |family, attributes: &[(u16, &[u8])]| told(Kind::Rule, family, attributes);
        assert!(told(INET, &rule(b"phantom_wg\0", b"forward\0")).is_some());
        assert_eq!(told(2, &rule(b"phantom_wg\0", b"forward\0")), None, "a table of another family");
        assert_eq!(told(INET, &rule(b"filter\0", b"forward\0")), None);
        assert_eq!(told(INET, &rule(b"phantom_wg2\0", b"forward\0")), None);
        assert!(told(2, &rule(b"filter\0", b"PHANTOM-WG-FORWARD\0")).is_some());
        // A jump to a chain of ours is in what the rule does.
        let jump = |to: &'static [u8]| [(1, &b"filter\0"[..]), (2, b"FORWARD\0"), (3, &handle), (4, to)];
        assert!(told(2, &jump(b"..PHANTOM-WG-FORWARD\0")).is_some());
        assert!(told(INET, &jump(b"..phantom_wg_forward\0")).is_some());
    }

    #[test]
    fn another_rule_in_the_same_place_is_another() {
        let rule = |handle: u64, before: u64| {
            let (handle, before) = (handle.to_be_bytes(), before.to_be_bytes());
            let attributes = [(1, &b"phantom_wg\0"[..]), (2, b"forward\0"), (3, &handle), (6, &before)];
            told(Kind::Rule, INET, &attributes).unwrap()
        };
        assert_eq!(rule(7, 6), rule(7, 6));
        assert_ne!(rule(7, 6), rule(8, 6));
        assert_ne!(rule(7, 6), rule(7, 5), "another one was put before it");
    }

    #[test]
    fn a_chain_that_drops_what_passes_counts_whoever_made_it() {
        let number = |hook: u32| attribute(HOOK_NUMBER, &hook.to_be_bytes());
        let chain = |hook: u32, policy: u32| {
            let (hook, policy) = (number(hook), policy.to_be_bytes());
            told(Kind::Chain, 2, &[(1, b"filter\0"), (3, b"FORWARD\0"), (4, &hook), (5, &policy)])
        };
        assert!(chain(FORWARD, 1).is_some());
        assert_ne!(chain(FORWARD, 0), chain(FORWARD, 1));
        assert_eq!(chain(3, 0), None, "nothing comes to the chain of what the host sends");
    }

    #[test]
    fn a_rule_that_may_close_a_port_counts_whoever_made_it() {
        let hook = |number: u32| attribute(HOOK_NUMBER, &number.to_be_bytes());
        let handle = 7_u64.to_be_bytes();
        let rule = [(1, &b"filter\0"[..]), (2, &b"in\0"[..]), (3, &handle[..])];
        for (number, counts) in [(0, true), (1, true), (3, false)] {
            let (mut doors, hook) = (Doors::new(), hook(number));
            let chain = [(1, &b"filter\0"[..]), (3, &b"in\0"[..]), (4, &hook[..])];
            let of_chain = told_behind(&mut doors, Kind::Chain, 2, &chain);
            assert_eq!(of_chain.is_some(), counts, "{number}");
            assert_eq!(told_behind(&mut doors, Kind::Rule, 2, &rule).is_some(), counts, "{number}");
            // A chain of the same name elsewhere is another one.
            assert_eq!(told_behind(&mut doors, Kind::Rule, 10, &rule), None);
        }
    }

    #[test]
    fn a_table_that_sleeps_or_was_made_again_is_another() {
        let tables = [(INET, b"phantom_wg".to_vec())];
        let table = |family, flags: u32, handle: u64| {
            let (flags, handle) = (flags.to_be_bytes(), handle.to_be_bytes());
            let (message, attributes) = message(family, &[(1, b"phantom_wg\0"), (2, &flags), (4, &handle)]);
            table_entry(&tables, &message, &attributes)
        };
        assert!(table(INET, 0, 3).is_some());
        assert_ne!(table(INET, 0, 3), table(INET, 1, 3));
        assert_ne!(table(INET, 0, 3), table(INET, 0, 4));
        assert_eq!(table(2, 0, 3), None);
        let chain = |policy: u32| {
            told(Kind::Chain, INET, &[(1, b"phantom_wg\0"), (3, b"forward\0"), (5, &policy.to_be_bytes())])
        };
        assert_ne!(chain(0), chain(1));
    }
}
