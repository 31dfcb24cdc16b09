//! The legacy variant of iptables, which tells nobody of its changes: its tables are read now and then.
//!
//! Asked by `getsockopt(2)` (`linux/netfilter_ipv4/ip_tables.h`, `linux/netfilter_ipv6/ip6_tables.h`). Only tables are asked
//! for that are there already: asking for one makes it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use phantom_types::watch::LegacyTable;

/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`.
const GET_INFO: libc::c_int = 64;
/// `IPT_SO_GET_ENTRIES` and `IP6T_SO_GET_ENTRIES`.
const GET_ENTRIES: libc::c_int = 65;
/// Length of the name of a table, with the zero at its end.
const NAME: usize = 32;
/// Length of `struct ipt_getinfo`, and the place of its `size`; those of IPv6 are laid out the same. The name comes first.
const INFO: usize = 84;
const SIZE: Range<usize> = 80..84;
/// Length of `struct ipt_get_entries` without its entries, and the place of its `size`.
const ENTRIES: usize = 40;
const ENTRIES_SIZE: Range<usize> = 32..36;
/// How often a table is read that changes meanwhile.
const ATTEMPTS: u32 = 4;

/// How the entries of a family are laid out.
struct Layout {
    family: AddressFamily,
    level: libc::c_int,
    /// The place of `next_offset` in an entry.
    next: Range<usize>,
    /// What the kernel writes while packets pass: `comefrom` and `counters`.
    counted: Range<usize>,
}

/// `struct ipt_entry` and `struct ip6t_entry`.
const IPV4: Layout =
    Layout { family: AddressFamily::Inet, level: libc::IPPROTO_IP, next: 90..92, counted: 92..112 };
const IPV6: Layout =
    Layout { family: AddressFamily::Inet6, level: libc::IPPROTO_IPV6, next: 142..144, counted: 144..168 };

/// What tells these tables from changed ones, one number for each.
///
/// # Errors
/// The kernel does not say. A table that is not there is none.
pub(crate) fn print(tables: &[LegacyTable]) -> io::Result<Vec<Option<u64>>> {
    tables.iter().map(of_table).collect()
}

fn of_table(table: &LegacyTable) -> io::Result<Option<u64>> {
    let layout = if table.ipv6 { &IPV6 } else { &IPV4 };
    // It names the family and the network namespace, and no packet ever comes to it.
    let socket = socket(layout.family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match read(socket.as_fd(), layout, &table.name) {
            // It has become larger or smaller meanwhile (`get_entries`).
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINVAL)) => {
                last = Some(error);
            }
            // There is no such table, or the module of its family is not loaded.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOPROTOOPT)) => {
                return Ok(None);
            }
            other => return other.map(|entries| Some(number(entries, layout))),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::InvalidData.into()))
}

/// The entries of a table.
fn read(socket: BorrowedFd<'_>, layout: &Layout, table: &str) -> io::Result<Vec<u8>> {
    if table.len() >= NAME {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut info = vec![0; INFO];
    info[..table.len()].copy_from_slice(table.as_bytes());
    ask(socket, layout.level, GET_INFO, &mut info)?;
    let size = info[SIZE].try_into().map(u32::from_ne_bytes).map_err(io::Error::other)?;
    let mut entries = vec![0; ENTRIES + size as usize];
    entries[..table.len()].copy_from_slice(table.as_bytes());
    entries[ENTRIES_SIZE].copy_from_slice(&size.to_ne_bytes());
    ask(socket, layout.level, GET_ENTRIES, &mut entries)?;
    Ok(entries.split_off(ENTRIES))
}

/// A number that another number of entries, another order or other contents do not give, and that no packet changes.
fn number(mut entries: Vec<u8>, layout: &Layout) -> u64 {
    let mut at = 0;
    while let Some(entry) = entries.get_mut(at..).filter(|entry| entry.len() >= layout.counted.end) {
        entry[layout.counted.clone()].fill(0);
        let next = [entry[layout.next.start], entry[layout.next.start + 1]];
        // None is shorter than what all have; else this would not end.
        at += usize::from(u16::from_ne_bytes(next)).max(layout.counted.end);
    }
    let mut hasher = DefaultHasher::new();
    entries.hash(&mut hasher);
    hasher.finish()
}

fn ask(socket: BorrowedFd<'_>, level: libc::c_int, what: libc::c_int, room: &mut [u8]) -> io::Result<()> {
    let mut length = u32::try_from(room.len()).map_err(io::Error::other)?;
    #[expect(
        unsafe_code,
        reason = "the table is named in the room for the answer, for which no library has a call"
    )]
    // SAFETY: `room` is as long as `length` says and lives until the call returns; the kernel writes no more than that, and
    // every byte is a value.
    let status = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, what, room.as_mut_ptr().cast(), &raw mut length)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two entries of IPv4 with this much beyond what all have, counters and a byte of contents.
    fn entries(counter: u8, content: u8) -> Vec<u8> {
        let mut entry = vec![0; IPV4.counted.end + 40];
        let length = u16::try_from(entry.len()).unwrap();
        entry[IPV4.next].copy_from_slice(&length.to_ne_bytes());
        entry[IPV4.counted].fill(counter);
        let mut other = entry.clone();
        other[130] = content;
        [entry, other].concat()
    }

    #[test]
    fn only_what_packets_do_not_change_counts() {
        let number = |entries| number(entries, &IPV4);
        assert_eq!(number(entries(0, 1)), number(entries(7, 1)));
        assert_ne!(number(entries(0, 1)), number(entries(0, 2)), "another target, of the same size");
        assert_ne!(number(entries(0, 1)), number(entries(0, 1)[..152].to_vec()));
        // What is not laid out like that ends as well.
        assert_eq!(number(vec![0; 500]), number(vec![0; 500]));
        assert_eq!(number(Vec::new()), number(Vec::new()));
    }
}
