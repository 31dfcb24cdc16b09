//! ICMP echo requests, as `ping` sends them, with an eye on the gaps between answers.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// What came of some requests.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) sent: usize,
    pub(crate) answered: usize,
    /// The longest time without an answer, the waiting at the end not counted.
    pub(crate) longest_gap: Duration,
}

/// Sends requests to `address`, one each `interval`, until `enough` says so; then waits a second for late answers.
pub(crate) fn ping(address: Ipv4Addr, interval: Duration, mut enough: impl FnMut(usize) -> bool) -> Report {
    let fd = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp).unwrap();
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::microseconds(500)).unwrap();
    let to = SockaddrIn::from(std::net::SocketAddrV4::new(address, 0));
    let (start, mut open) = (Instant::now(), BTreeMap::new());
    let mut report = Report { sent: 0, answered: 0, longest_gap: Duration::ZERO };
    let mut last = start;
    let mut end = None;
    loop {
        let now = Instant::now();
        if end.is_none() && enough(report.sent) {
            end = Some(now + Duration::from_secs(1));
        }
        if end.is_some_and(|end| now > end || open.is_empty()) {
            return report;
        }
        if end.is_none() && now >= start + interval * u32::try_from(report.sent).unwrap() {
            let number = u16::try_from(report.sent % 65536).unwrap();
            let _ = sendto(fd.as_raw_fd(), &request(number), &to, MsgFlags::empty());
            open.insert(number, now);
            report.sent += 1;
        }
        if answer(&fd).is_some_and(|number| open.remove(&number).is_some()) {
            report.answered += 1;
            report.longest_gap = report.longest_gap.max(last.elapsed());
            last = Instant::now();
        }
    }
}

/// Sends requests until `count` are answered in a row of `count`; fails when that does not happen.
pub(crate) fn answers(address: Ipv4Addr) -> bool {
    (0..20).any(|_| ping(address, Duration::from_millis(20), |sent| sent == 5).answered == 5)
}

fn request(number: u16) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0, 0x50, 0x57];
    packet.extend(number.to_be_bytes());
    packet.extend([0x61; 56]);
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The number of an answer, if one arrives within half a millisecond.
fn answer(fd: &OwnedFd) -> Option<u16> {
    let mut packet = [0; 2048];
    loop {
        let length = match recv(fd.as_raw_fd(), &mut packet, MsgFlags::empty()).map_err(io::Error::from) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        };
        let header = usize::from(packet[0] & 15) * 4;
        if let [0, 0, _, _, 0x50, 0x57, high, low, ..] = packet[header..length] {
            return Some(u16::from_be_bytes([high, low]));
        }
    }
}
