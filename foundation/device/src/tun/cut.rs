//! Cuts what the kernel gives in pieces of up to 64 kB into the packets that it stands for, each written to where it is sealed.

use super::sum::{TCP, UDP, V4_HEADER, V6_HEADER, copy, fold, number, pseudo, set_number, sum, write_v4};
use super::virtio::{Cutting, Header, LENGTH};

/// Flags of a TCP header, at byte 13 of it: those that only the last packet of several has, and the one that only the first has.
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;
/// Where the checksum is in the headers.
const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;

/// A packet, or several in one.
#[derive(Debug)]
pub(crate) struct Large<'a> {
    packet: &'a [u8],
    header: Header,
    /// Where the header of TCP or UDP begins, if it is cut.
    transport: usize,
    /// The bytes of all headers, which every packet gets; 0 if it is not cut.
    headers: usize,
    count: usize,
}

impl<'a> Large<'a> {
    /// What was read from a TUN, with the header in front if it has one; `None` of what makes no sense.
    pub(crate) fn read(bytes: &'a [u8], has_header: bool) -> Option<Self> {
        if !has_header {
            return Self::new(bytes, Header::PLAIN);
        }
        let (header, packet) = bytes.split_first_chunk::<LENGTH>()?;
        Self::new(packet, Header::read(header)?)
    }

    fn new(packet: &'a [u8], header: Header) -> Option<Self> {
        let whole = Self { packet, header, transport: 0, headers: 0, count: 1 };
        if let Some((start, offset)) = header.checksum
            && start + offset + 2 > packet.len()
        {
            return None;
        }
        let (Some((transport, _)), true) = (header.checksum, header.cutting != Cutting::Not) else {
            // The kernel never gives one to be cut whose checksum is there.
            return (header.cutting == Cutting::Not && !packet.is_empty()).then_some(whole);
        };
        let least = if packet[0] >> 4 == 4 { V4_HEADER } else { V6_HEADER };
        let length = match header.cutting {
            Cutting::Udp => UDP_HEADER,
            _ => usize::from(packet.get(transport + 12)? >> 4) * 4,
        };
        let headers = transport + length;
        let fits = header.cutting == Cutting::Udp || length >= TCP_HEADER;
        if transport < least || !fits || header.size == 0 || headers >= packet.len() {
            return None;
        }
        let count = (packet.len() - headers).div_ceil(header.size);
        Some(Self { transport, headers, count, ..whole })
    }

    /// All of it, headers of the first packet first.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.packet
    }

    /// How many packets it is.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// How long the packet number `index` is.
    pub(crate) fn length(&self, index: usize) -> usize {
        if self.headers == 0 {
            return self.packet.len();
        }
        self.headers + self.header.size.min(self.packet.len() - self.headers - index * self.header.size)
    }

    /// Writes the packet number `index` into a place of its length.
    pub(crate) fn write(&self, index: usize, into: &mut [u8]) {
        if self.headers == 0 {
            into.copy_from_slice(self.packet);
            if let Some((start, offset)) = self.header.checksum {
                // What is there is the sum of what precedes.
                let checksum = !fold(sum(&into[start..]));
                set_checksum(into, start + offset, checksum);
            }
            return;
        }
        let (head, content) = into.split_at_mut(self.headers);
        let from = self.headers + index * self.header.size;
        head.copy_from_slice(&self.packet[..self.headers]);
        let content = copy(&self.packet[from..from + content.len()], content);
        self.address(index, into);
        let transport = self.transport;
        let (protocol, at) = if self.header.cutting == Cutting::Udp {
            set_number(into, transport + 4, into.len() - transport);
            (UDP, transport + UDP_CHECKSUM)
        } else {
            self.sequence(index, &mut into[transport..]);
            (TCP, transport + TCP_CHECKSUM)
        };
        into[at..at + 2].fill(0);
        let length = into.len() - transport;
        let own = pseudo(into, protocol, length).unwrap_or(0) + sum(&into[transport..self.headers]);
        let checksum = !fold(own + content);
        set_checksum(into, at, checksum);
    }

    /// The lengths and numbers of the IP header.
    fn address(&self, index: usize, packet: &mut [u8]) {
        if packet[0] >> 4 == 4 {
            let id = number(packet, 4).unwrap_or(0);
            set_number(packet, 2, packet.len());
            set_number(packet, 4, id + index);
            write_v4(&mut packet[..self.transport]);
        } else {
            set_number(packet, 4, packet.len() - V6_HEADER);
        }
    }

    /// The sequence number and the flags of the TCP header.
    fn sequence(&self, index: usize, tcp: &mut [u8]) {
        if let Some(place) = tcp.get_mut(4..).and_then(|tcp| tcp.first_chunk_mut()) {
            let ahead = u32::try_from(index * self.header.size).unwrap_or(0); // less than 64 kB
            *place = u32::from_be_bytes(*place).wrapping_add(ahead).to_be_bytes();
        }
        if index + 1 < self.count {
            tcp[13] &= !FIN_PSH;
        }
        if index > 0 {
            tcp[13] &= !CWR;
        }
    }
}

/// Writes a checksum; UDP takes zero for none, and both are the same sum.
fn set_checksum(packet: &mut [u8], at: usize, checksum: u16) {
    let checksum = if checksum == 0 { u16::MAX } else { checksum };
    packet[at..at + 2].copy_from_slice(&checksum.to_ne_bytes());
}
