//! Our part of nftables (`linux/netfilter/nf_tables.h`), and what tells it from a changed one.
//!
//! The kernel counts the changes of all of nftables (its generation). Only when that number has changed is our part looked at:
//! our table, its chains and the rules in them, and rules of other tables that name a chain of ours. Each rule has a number
//! (its handle) that is never given twice, so that names and numbers alone tell whether something is missing or was put
//! in its place.

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
/// `NFTA_CHAIN_POLICY`.
const POLICY: u16 = 5;

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
            for (what, kind) in [GET_TABLE, GET_CHAIN, GET_RULE].into_iter().zip(0_u8..) {
                self.ask(what, NLM_F_REQUEST | NLM_F_DUMP, &mut |message, attributes| {
                    if let Some(entry) = entry(filter, kind, message, attributes) {
                        print.insert(entry);
                    }
                })?;
            }
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

/// What a message adds to the print; nothing when it is about what is not ours.
fn entry(filter: &WatchedFilter, kind: u8, message: &[u8], attributes: &[u8]) -> Option<Vec<u8>> {
    let family = *message.get(HEADER)?;
    let table = name(value(attributes, FIRST)?);
    let own_table = family == INET && filter.table.as_ref().is_some_and(|own| own.as_bytes() == table);
    let prefix = filter.chain_prefix.as_bytes();
    let own = own_table || (kind > 0 && attributes.windows(prefix.len()).any(|part| part == prefix));
    if !own {
        return None;
    }
    let head = [kind, family];
    let mut parts = vec![&head[..], table];
    match kind {
        0 => parts.extend(value(attributes, SECOND)),
        1 => parts.extend([THIRD, SECOND, POLICY].into_iter().filter_map(|kind| value(attributes, kind))),
        _ => parts.extend([SECOND, THIRD].into_iter().filter_map(|kind| value(attributes, kind))),
    }
    Some(parts.join(&b'/'))
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

    fn told(kind: u8, family: u8, attributes: &[(u16, &[u8])]) -> Option<Vec<u8>> {
        let filter = WatchedFilter {
            table: Some("phantom_wg".to_owned()),
            chain_prefix: "PHANTOM-WG".to_owned(),
            generation: Some(1),
        };
        let attributes: Vec<u8> =
            attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect();
        let mut message = vec![0; HEADER + FAMILY_HEADER];
        message[HEADER] = family;
        message.extend(&attributes);
        entry(&filter, kind, &message, &attributes)
    }

    #[test]
    fn what_is_ours_is_told_from_the_rest() {
        let handle = 7_u64.to_be_bytes();
        let rule = |table: &'static [u8], chain: &'static [u8]| [(1, table), (2, chain)];
        assert!(told(2, INET, &rule(b"phantom_wg\0", b"forward\0")).is_some());
        assert_eq!(told(2, 2, &rule(b"phantom_wg\0", b"forward\0")), None, "a table of another family");
        assert_eq!(told(2, INET, &rule(b"filter\0", b"forward\0")), None);
        assert_eq!(told(2, INET, &rule(b"phantom_wg2\0", b"forward\0")), None);
        assert!(told(2, 2, &rule(b"filter\0", b"PHANTOM-WG-FORWARD\0")).is_some());
        // A jump to a chain of ours is in what the rule does.
        assert!(
            told(2, 2, &[(1, b"filter\0"), (2, b"FORWARD\0"), (3, &handle), (4, b"..PHANTOM-WG-FORWARD\0")])
                .is_some()
        );
    }

    #[test]
    fn another_rule_in_the_same_place_is_another() {
        let rule = |handle: u64| {
            told(2, INET, &[(1, b"phantom_wg\0"), (2, b"forward\0"), (3, &handle.to_be_bytes())]).unwrap()
        };
        assert_eq!(rule(7), rule(7));
        assert_ne!(rule(7), rule(8));
    }

    #[test]
    fn a_table_that_sleeps_and_a_chain_that_accepts_are_others() {
        let table = |flags: u32| told(0, INET, &[(1, b"phantom_wg\0"), (2, &flags.to_be_bytes())]).unwrap();
        assert_ne!(table(0), table(1));
        let chain = |policy: u32| {
            told(1, INET, &[(1, b"phantom_wg\0"), (3, b"forward\0"), (5, &policy.to_be_bytes())]).unwrap()
        };
        assert_ne!(chain(0), chain(1));
    }
}
