//! The legacy variant of iptables, which tells nobody of its changes: how many entries a table has, and how large they are.
//!
//! Asked by `getsockopt(2)` (`linux/netfilter_ipv4/ip_tables.h`, `linux/netfilter_ipv6/ip6_tables.h`). Only tables are asked
//! for that have rules of ours: asking for one makes it.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`.
const GET_INFO: libc::c_int = 64;
/// The tables that have rules of ours.
const TABLES: [&str; 3] = ["filter", "nat", "mangle"];

/// `struct ipt_getinfo`; that of IPv6 is laid out the same.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Info {
    name: [u8; 32],
    valid_hooks: u32,
    hook_entry: [u32; 5],
    underflow: [u32; 5],
    entries: u32,
    size: u32,
}

/// Number and size of the entries of each table; a table that cannot be asked for counts as empty.
pub(crate) fn print() -> Vec<(u32, u32)> {
    let mut print = Vec::new();
    for (address, level) in [("0.0.0.0:0", libc::IPPROTO_IP), ("[::]:0", libc::IPPROTO_IPV6)] {
        // Not bound to anything that counts: the socket only names the family and the network namespace.
        let Ok(socket) = UdpSocket::bind(address) else { continue };
        for table in TABLES {
            print.push(info(&socket, level, table).map(|info| (info.entries, info.size)).unwrap_or_default());
        }
    }
    print
}

fn info(socket: &UdpSocket, level: libc::c_int, table: &str) -> io::Result<Info> {
    let mut info = Info::default();
    info.name[..table.len()].copy_from_slice(table.as_bytes());
    let mut length = u32::try_from(size_of::<Info>()).map_err(io::Error::other)?;
    #[expect(
        unsafe_code,
        reason = "the table is named in the room for the answer, for which no library has a call"
    )]
    // SAFETY: `info` is as large as `length` says and lives until the call returns; the kernel writes no more than that,
    // and every bit pattern is a value of its fields.
    let status = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, GET_INFO, (&raw mut info).cast(), &raw mut length)
    };
    if status == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}
