//! How many queues of a TUN are held, by whichever processes: the kernel lets several share one that has several queues.

use std::os::fd::AsRawFd as _;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use phantom_types::InterfaceName;

/// `RTM_GETLINK` and its answer (`include/uapi/linux/rtnetlink.h`).
const GET_LINK: u16 = 18;
const NEW_LINK: u16 = 16;
const REQUEST: u16 = 1;
/// The bytes of `struct nlmsghdr` and `struct ifinfomsg`.
const HEADER: usize = 16;
const LINK: usize = 16;
/// `IFLA_LINKINFO`, in it `IFLA_INFO_DATA`, and in that `IFLA_TUN_NUM_QUEUES` (`include/uapi/linux/if_link.h`).
const PATH: [u16; 3] = [18, 2, 8];
/// The bits of an attribute's kind that are flags.
const FLAGS: u16 = 0xc000;

/// The queues that are held; `None` if the kernel does not say.
pub(super) fn held(name: &InterfaceName) -> Option<usize> {
    let index = if_nametoindex(name.as_str()).ok()?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute).ok()?;
    let request = request(index);
    sendto(fd.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty()).ok()?;
    let mut answer = vec![0; 32 << 10];
    let length = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty()).ok()?;
    count(&answer[..length])
}

fn request(index: u32) -> Vec<u8> {
    let length = u32::try_from(HEADER + LINK).unwrap_or(0);
    let header: [&[u8]; 5] = [
        &length.to_ne_bytes(),
        &GET_LINK.to_ne_bytes(),
        &REQUEST.to_ne_bytes(),
        &1u32.to_ne_bytes(),
        &[0; 4],
    ];
    let link: [&[u8]; 3] = [&[0; 4], &index.to_ne_bytes(), &[0; 8]];
    [header.concat(), link.concat()].concat()
}

fn count(answer: &[u8]) -> Option<usize> {
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    let mut bytes = answer.get(HEADER + LINK..).filter(|_| kind == NEW_LINK)?;
    for wanted in PATH {
        bytes = attribute(bytes, wanted)?;
    }
    usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()
}

/// What the first attribute of this kind holds.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?) & !FLAGS;
        let content = bytes.get(4..length)?;
        if kind == wanted {
            return Some(content);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_found_behind_others_and_cut_ones_are_none() {
        let bytes = [7, 0, 1, 0, 1, 2, 3, 0, 8, 0, 2, 0x80, 4, 5, 6, 7];
        assert_eq!(attribute(&bytes, 1), Some(&[1, 2, 3][..]));
        assert_eq!(attribute(&bytes, 2), Some(&[4, 5, 6, 7][..]));
        assert_eq!(attribute(&bytes, 3), None);
        assert_eq!(attribute(&bytes[..12], 2), None);
        assert_eq!(attribute(&[0; 8], 2), None, "it would never end");
    }

    #[test]
    fn a_link_that_is_no_tun_has_none() {
        assert_eq!(held(&"lo".parse().expect("a name")), None);
    }
}
