//! ICMP echo requests (RFC 792) out of one interface, or from one address.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::BindToDevice;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, bind, setsockopt, socket,
};

use crate::linux::misc::random_number;
use crate::{HostError, PingSource, Result};

/// Bytes of a request: the header of 8 and as many of payload as `ping` sends.
const LENGTH: usize = 8 + 56;

/// Sends the requests at once, and waits for the first answer to any of them.
pub(super) fn ask(from: &PingSource, to: Ipv4Addr, count: u16, wait: Duration) -> Result<bool> {
    let failed = |source| HostError::io(format!("asking {to}"), source);
    let socket = match open(from) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            return Err(HostError::Absent { object: "the address that is asked from".to_owned() });
        }
        other => other.map_err(failed)?,
    };
    let [first, second, ..] = random_number()?.to_ne_bytes();
    let identifier = [first, second];
    let end = Instant::now() + wait;
    // Without an address or a peer to go to it cannot be sent, which is no answer.
    let sent =
        (1..=count).filter(|number| socket.send_to(&request(identifier, *number), (to, 0)).is_ok()).count();
    if sent == 0 {
        return Ok(false);
    }
    let mut packet = [0; 2048];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left)).map_err(failed)?;
        match socket.recv(&mut packet) {
            Ok(length) if answers(&packet[..length], to, identifier) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

fn open(from: &PingSource) -> io::Result<UdpSocket> {
    let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)?;
    match from {
        PingSource::Interface(name) => setsockopt(&raw, BindToDevice, &OsString::from(name.as_str()))?,
        PingSource::Address(address) => {
            bind(raw.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(*address, 0)))?;
        }
    }
    // The type of a socket that sends and receives datagrams, which a raw one does too.
    Ok(UdpSocket::from(raw))
}

fn request(identifier: [u8; 2], number: u16) -> [u8; LENGTH] {
    let mut packet = [0; LENGTH];
    packet[0] = 8;
    packet[4..6].copy_from_slice(&identifier);
    packet[6..8].copy_from_slice(&number.to_be_bytes());
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The checksum of RFC 1071; of a packet with its checksum in place it is 0.
fn checksum(packet: &[u8]) -> u16 {
    let words = packet.chunks(2).map(|pair| [pair[0], pair.get(1).copied().unwrap_or(0)]);
    let sum = words.fold(0_u32, |sum, pair| sum + u32::from(u16::from_be_bytes(pair)));
    let once = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((once & 0xffff) + (once >> 16)).unwrap_or(u16::MAX)
}

/// Whether an IPv4 packet is an answer to one of our requests.
fn answers(packet: &[u8], from: Ipv4Addr, identifier: [u8; 2]) -> bool {
    let answer = || {
        let header = usize::from(packet.first()? & 15) * 4;
        let source = packet.get(12..16)?;
        let icmp = packet.get(header..header + 8)?;
        Some(source == from.octets() && icmp[0] == 0 && icmp[4..6] == identifier)
    };
    answer().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_carry_their_checksum() {
        let packet = request([0x12, 0x34], 7);
        assert_eq!((packet[0], &packet[4..8]), (8, &[0x12, 0x34, 0, 7][..]));
        assert_eq!(checksum(&packet), 0);
        // The example of RFC 1071, section 3.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn only_answers_to_our_requests_count() {
        let from = Ipv4Addr::new(192, 0, 2, 7);
        let mut packet = vec![0x45; 1];
        packet.resize(28, 0);
        packet[12..16].copy_from_slice(&from.octets());
        packet[24..26].copy_from_slice(&[1, 2]);
        assert!(answers(&packet, from, [1, 2]));
        assert!(!answers(&packet, from, [1, 3]) && !answers(&packet, Ipv4Addr::LOCALHOST, [1, 2]));
        for cut in 0..28 {
            assert!(!answers(&packet[..cut], from, [1, 2]), "{cut}");
        }
        packet[20] = 8;
        assert!(!answers(&packet, from, [1, 2]), "a request of somebody else");
    }
}
