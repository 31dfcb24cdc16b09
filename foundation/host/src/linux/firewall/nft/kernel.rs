//! Which nftables chains the kernel has, by netlink: this costs a system call where the `nft` program would cost a
//! process, and it works where that program is not installed.
//!
//! Messages and attributes are those of `linux/netfilter/nfnetlink.h` and `nf_tables.h`.

use std::collections::BTreeMap;

use netlink_packet_core::NlasIterator;

use super::{NftTable, TableFamily};
use crate::Result;
use crate::linux::netlink::{EOPNOTSUPP, NetlinkFault, Request, Socket};

/// `NETLINK_NETFILTER` of `linux/netlink.h`.
const NETLINK_NETFILTER: isize = 12;
/// `NFNL_SUBSYS_NFTABLES`, in the upper byte of the message type.
const SUBSYSTEM: u16 = 10 << 8;
/// `NFT_MSG_GETTABLE`.
const GET_TABLE: u16 = SUBSYSTEM | 1;
/// `NFT_MSG_GETCHAIN`.
const GET_CHAIN: u16 = SUBSYSTEM | 4;
/// `NFT_MSG_GETGEN`.
const GET_GENERATION: u16 = SUBSYSTEM | 16;
/// Length of `struct nfgenmsg`: family, version, resource.
const HEAD: usize = 4;

/// Attributes of a table: its name, its flags.
const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
/// `NFT_TABLE_F_OWNER`: only the process that made the table may change it.
const OWNED: u32 = 2;
/// Attribute of a generation: its number.
const GENERATION_ID: u16 = 1;
/// Attributes of a chain: its table, its name, its hook, its policy.
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
/// Attribute inside the hook: its number.
const HOOK_NUMBER: u16 = 1;
/// `NF_INET_PRE_ROUTING`, `NF_INET_LOCAL_IN`, `NF_INET_FORWARD`.
const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;

/// `EINVAL`: what a kernel without `nf_tables` says to its messages.
const EINVAL: i32 = 22;
/// `EPROTONOSUPPORT`: what a kernel without nfnetlink says to its sockets.
const EPROTONOSUPPORT: i32 = 93;

/// A chain of any table of the families `inet`, `ip` and `ip6`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::linux::firewall) struct SeenChain {
    /// The table it is in.
    pub table: NftTable,
    /// Its name.
    pub name: String,
    /// It is asked about forwarded packets by the kernel itself.
    pub at_forward: bool,
    /// It is asked about packets for this host, at the latest when that is known.
    pub at_input: bool,
}

/// All chains, or `None` on a kernel without `nf_tables`. Loads its module where that is possible.
pub(in crate::linux::firewall) fn chains() -> Result<Option<Vec<SeenChain>>> {
    dump(GET_CHAIN, |chains: &mut Vec<SeenChain>, payload| {
        chains.extend(chain(payload)?);
        Ok(())
    })
    .map_err(|fault| fault.into_error("listing the nftables chains"))
}

/// All tables, each with whether it belongs to one process alone, which nobody else may change then (firewalld's in
/// Debian 13). None on a kernel without `nf_tables`.
pub(in crate::linux::firewall) fn tables() -> Result<BTreeMap<NftTable, bool>> {
    let tables = dump(GET_TABLE, |tables: &mut BTreeMap<NftTable, bool>, payload| {
        tables.extend(table(payload)?);
        Ok(())
    });
    Ok(tables.map_err(|fault| fault.into_error("listing the nftables tables"))?.unwrap_or_default())
}

/// How often nftables was changed since the boot, by anybody; `None` on a kernel without `nf_tables`.
pub(in crate::linux::firewall) fn generation() -> Result<Option<u32>> {
    let number = |payload: &[u8]| {
        let attributes = payload.get(HEAD..).unwrap_or_default();
        let id = NlasIterator::new(attributes).flatten().find(|attribute| attribute.kind() == GENERATION_ID);
        let id = id.and_then(|attribute| big_endian(attribute.value()));
        id.ok_or_else(|| NetlinkFault::Garbled("a generation without number".to_owned()))
    };
    let asked = Socket::open(NETLINK_NETFILTER)
        .and_then(|mut socket| socket.ask(&mut Request::new(GET_GENERATION, HEAD, |_| {}), number));
    unless_absent(asked).map_err(|fault| fault.into_error("asking for the generation of nftables"))
}

fn dump<T: Default>(
    message: u16,
    add: impl Fn(&mut T, &[u8]) -> Result<(), NetlinkFault>,
) -> Result<Option<T>, NetlinkFault> {
    let result = Socket::open(NETLINK_NETFILTER)
        // All bytes of the head are zero: any family (`NFPROTO_UNSPEC`), version 0, resource 0.
        .and_then(|mut socket| socket.dump(&mut Request::new(message, HEAD, |_| {}), T::default, add));
    unless_absent(result)
}

/// The answer, or nothing from a kernel without `nf_tables`.
fn unless_absent<T>(result: Result<T, NetlinkFault>) -> Result<Option<T>, NetlinkFault> {
    match result {
        Ok(all) => Ok(Some(all)),
        Err(NetlinkFault::Refused(EINVAL | EOPNOTSUPP)) => Ok(None),
        Err(NetlinkFault::Io(error)) if error.raw_os_error() == Some(EPROTONOSUPPORT) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The chain of a message; `None` for a family that carries no IP packets of ours.
fn chain(payload: &[u8]) -> Result<Option<SeenChain>, NetlinkFault> {
    let Some((family, attributes)) = head(payload)? else { return Ok(None) };
    let (mut table, mut name, mut hook) = (None, None, None);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        match attribute.kind() {
            CHAIN_TABLE => table = Some(text(attribute.value())),
            CHAIN_NAME => name = Some(text(attribute.value())),
            CHAIN_HOOK => hook = hook_number(attribute.value())?,
            _ => {}
        }
    }
    let seen = table.zip(name).map(|(table, name)| SeenChain {
        table: NftTable { family, table },
        name,
        at_forward: hook == Some(FORWARD),
        at_input: matches!(hook, Some(PREROUTING | INPUT)),
    });
    seen.map(Some).ok_or_else(|| NetlinkFault::Garbled("a chain without name".to_owned()))
}

fn hook_number(attributes: &[u8]) -> Result<Option<u32>, NetlinkFault> {
    let mut number = None;
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        if attribute.kind() == HOOK_NUMBER {
            number = big_endian(attribute.value());
        }
    }
    Ok(number)
}

fn table(payload: &[u8]) -> Result<Option<(NftTable, bool)>, NetlinkFault> {
    let Some((family, attributes)) = head(payload)? else { return Ok(None) };
    let (mut name, mut flags) = (None, 0);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute?;
        match attribute.kind() {
            TABLE_NAME => name = Some(text(attribute.value())),
            TABLE_FLAGS => flags = big_endian(attribute.value()).unwrap_or_default(),
            _ => {}
        }
    }
    let name = name.ok_or_else(|| NetlinkFault::Garbled("a table without name".to_owned()))?;
    Ok(Some((NftTable { family, table: name }, flags & OWNED != 0)))
}

/// Family and attributes of a message.
fn head(payload: &[u8]) -> Result<Option<(TableFamily, &[u8])>, NetlinkFault> {
    let (head, attributes) =
        payload.split_at_checked(HEAD).ok_or_else(|| NetlinkFault::Garbled("a short message".to_owned()))?;
    Ok(TableFamily::of_number(head[0]).map(|family| (family, attributes)))
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

fn big_endian(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::super::{NftTable, TableFamily};
    use super::{SeenChain, chain, table};

    /// Captured from Linux 6.18: `chain FORWARD` of iptables-nft in table `ip filter`.
    const CHAIN: &[u8] = b"\x02\x00\x00\x04\x0b\x00\x01\x00filter\x00\x00\x0c\x00\x03\x00FORWARD\x00\
        \x0c\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x14\x00\x04\x00\x08\x00\x01\x00\x00\x00\x00\x02\
        \x08\x00\x02\x00\x00\x00\x00\x00\x08\x00\x05\x00\x00\x00\x00\x00\x0b\x00\x07\x00filter\x00\x00\
        \x1c\x00\x08\x00\x0c\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0c\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\
        \x08\x00\n\x00\x00\x00\x00\x01\x08\x00\x06\x00\x00\x00\x00\x00";
    /// The last byte of the number of its hook.
    const HOOK: usize = 51;
    /// The same: `chain other` of table `inet x`, which is at no hook.
    const OTHER: &[u8] = b"\x01\x00\x00\x04\x06\x00\x01\x00x\x00\x00\x00\n\x00\x03\x00other\x00\x00\x00\
        \x0c\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x08\x00\x06\x00\x00\x00\x00\x00";

    fn with_flags(flags: u8) -> Vec<u8> {
        let mut bytes =
            b"\x01\x00\x00\x07\x0e\x00\x01\x00firewalld\x00\x00\x00\x08\x00\x02\x00\x00\x00\x00".to_vec();
        bytes.push(flags);
        bytes.extend(b"\x08\x00\x03\x00\x00\x00\x00\x02");
        bytes
    }

    fn place(family: TableFamily, table: &str) -> NftTable {
        NftTable { family, table: table.into() }
    }

    #[test]
    fn chains_are_read() {
        let seen = |family, table, name: &str| SeenChain {
            table: place(family, table),
            name: name.to_owned(),
            at_forward: false,
            at_input: false,
        };
        let other = seen(TableFamily::Inet, "x", "other");
        let input = SeenChain { at_input: true, ..seen(TableFamily::Ip, "filter", "FORWARD") };
        let forward = SeenChain { at_forward: true, at_input: false, ..input.clone() };
        assert_eq!(chain(CHAIN).unwrap(), Some(forward.clone()));
        assert_eq!(chain(OTHER).unwrap(), Some(other));
        // The first one at other hooks.
        let mut bytes = CHAIN.to_vec();
        assert_eq!(bytes[HOOK], 2);
        for (hook, expected) in
            [(0, &input), (1, &input), (3, &SeenChain { at_input: false, ..input.clone() })]
        {
            bytes[HOOK] = hook;
            assert_eq!(chain(&bytes).unwrap().as_ref(), Some(expected));
        }
        // A bridge has a forward hook too, but no IP routing.
        let mut bridge = CHAIN.to_vec();
        bridge[0] = 7;
        assert_eq!(chain(&bridge).unwrap(), None);
    }

    #[test]
    fn process_owned_tables_are_recognised() {
        let owned = |flags| table(&with_flags(flags)).unwrap();
        let firewalld = place(TableFamily::Inet, "firewalld");
        assert_eq!(owned(2), Some((firewalld.clone(), true)));
        assert_eq!(owned(6), Some((firewalld.clone(), true)));
        // Dormant (1) is not owned.
        assert_eq!((owned(0), owned(1)), (Some((firewalld.clone(), false)), Some((firewalld, false))));
    }

    #[test]
    fn cut_messages_are_errors_and_no_panics() {
        for length in 0..CHAIN.len() {
            let _ = chain(&CHAIN[..length]);
            let _ = table(&CHAIN[..length]);
        }
        assert!(chain(&CHAIN[..3]).is_err() && chain(&CHAIN[..4]).is_err() && chain(&CHAIN[..10]).is_err());
    }
}
