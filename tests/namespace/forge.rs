//! Packets that no program would send: made byte by byte, with any source, and sent by a raw socket.

use std::ffi::OsString;
use std::net::{Ipv4Addr, UdpSocket};

use nix::sys::socket::sockopt::BindToDevice;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket};

use crate::world::{At, on};

/// Bits of the flags of a TCP segment (RFC 9293, section 3.1).
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// An address with a port.
pub(crate) type Place = ([u8; 4], u16);

/// A whole IPv4 packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet(Vec<u8>);

impl Packet {
    /// A TCP segment of 11 bytes in the middle of nowhere.
    pub(crate) fn tcp(from: Place, to: Place, flags: u8) -> Self {
        let mut segment = vec![0; 20];
        segment[..2].copy_from_slice(&from.1.to_be_bytes());
        segment[2..4].copy_from_slice(&to.1.to_be_bytes());
        segment[4..8].copy_from_slice(&0x1234_5678_u32.to_be_bytes());
        segment[8..12].copy_from_slice(&0x0765_4321_u32.to_be_bytes());
        (segment[12], segment[13]) = (0x50, flags);
        segment[14..16].copy_from_slice(&1024_u16.to_be_bytes());
        if flags & (SYN | RST | FIN) == 0 {
            segment.extend(*b"out of turn");
        }
        Self::with_sum(from.0, to.0, TCP, segment, 16)
    }

    /// A UDP datagram.
    pub(crate) fn udp(from: Place, to: Place) -> Self {
        let mut datagram = Vec::new();
        for field in [from.1, to.1, 8 + 5, 0] {
            datagram.extend(field.to_be_bytes());
        }
        datagram.extend(*b"hello");
        Self::with_sum(from.0, to.0, UDP, datagram, 6)
    }

    /// An ICMP echo request.
    pub(crate) fn echo(from: [u8; 4], to: [u8; 4]) -> Self {
        Self::icmp(from, to, &[8, 0, 0, 0, 7, 7, 0, 1, 1, 2, 3, 4])
    }

    /// An ICMP error (port unreachable) that blames another packet.
    pub(crate) fn unreachable(from: [u8; 4], to: [u8; 4], blamed: &Self) -> Self {
        let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
        message.extend(&blamed.0[..blamed.0.len().min(28)]);
        Self::icmp(from, to, &message)
    }

    fn icmp(from: [u8; 4], to: [u8; 4], message: &[u8]) -> Self {
        let mut message = message.to_vec();
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        Self::build(from, to, ICMP, &message)
    }

    /// The same with a checksum of its content that is wrong.
    pub(crate) fn with_bad_sum(mut self) -> Self {
        let at = 20 + if self.0[9] == TCP { 16 } else { 6 };
        self.0[at] ^= 0x55;
        self
    }

    /// Puts in the checksum over a header that has the addresses too (RFC 9293, section 3.1).
    fn with_sum(from: [u8; 4], to: [u8; 4], protocol: u8, mut content: Vec<u8>, at: usize) -> Self {
        let length = u16::try_from(content.len()).unwrap();
        let mut summed = [&from[..], &to, &[0, protocol], &length.to_be_bytes()].concat();
        summed.extend(&content);
        let sum = checksum(&summed);
        content[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        Self::build(from, to, protocol, &content)
    }

    fn build(from: [u8; 4], to: [u8; 4], protocol: u8, content: &[u8]) -> Self {
        let mut packet = vec![0x45, 0];
        packet.extend(u16::try_from(20 + content.len()).unwrap().to_be_bytes());
        packet.extend([0x77, 0x77, 0, 0, 64, protocol, 0, 0]);
        packet.extend(from.iter().chain(&to));
        packet.extend(content);
        Self(packet)
    }

    fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[16], self.0[17], self.0[18], self.0[19])
    }
}

/// The checksum of RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let sum: u32 = words.map(u32::from).sum();
    let once = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((once & 0xffff) + (once >> 16)).unwrap()
}

/// Sends packets by an interface, as often as asked: each may be lost.
pub(crate) fn send(at: At, interface: &str, times: u16, packets: &[Packet]) {
    let (interface, packets) = (OsString::from(interface), packets.to_vec());
    let work = move || {
        // The header of the packet comes with it (`raw(7)`).
        let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw);
        let raw = raw.unwrap();
        setsockopt(&raw, BindToDevice, &interface).unwrap();
        let socket = UdpSocket::from(raw);
        for _ in 0..times {
            for packet in &packets {
                socket.send_to(&packet.0, (packet.destination(), 0)).unwrap();
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    on(at, work).join().unwrap();
}
