//! Joins packets of a connection to what the kernel takes as one of up to 64 kB, without moving a byte of their content.
//!
//! Packets of one connection stay in order, and so do all packets before and after one that cannot be joined. Only what can be cut
//! into the same packets again is joined. A packet whose checksum is wrong is handed over by itself, so that the kernel sees that
//! it is: what is joined gets a new one.

use std::io::IoSlice;
use std::ops::Range;

use super::sum::{TCP, UDP, V4_HEADER, V6_HEADER, fold, number, pseudo, set_number, sum, write_v4};
use super::virtio::{Cutting, Header, LENGTH};

/// How many packets are joined at most. The kernel takes 1,024 parts of a packet, and cuts so many datagrams from one.
const MOST_SEGMENTS: usize = 128;
const MOST_DATAGRAMS: usize = 64;
/// The most bytes of an IP packet.
const LARGEST: usize = 65535;
/// How many connections are joined side by side.
const OPEN: usize = 8;

/// What IPv4's flags and offset of a part are a multiple of where a packet is no part of another.
const WHOLE: usize = 0x4000;
/// Flags of a TCP header.
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;

/// Packets that wait to be written. They lie in a buffer of which only places are known here.
pub(crate) struct Joiner {
    /// What the kernel takes joined.
    tcp: bool,
    udp: bool,
    joined: Vec<Joined>,
    /// Lists that are used again.
    spare: Vec<Vec<Range<usize>>>,
}

/// Packets that are one.
struct Joined {
    /// The first packet.
    first: Range<usize>,
    /// Content of those that follow.
    more: Vec<Range<usize>>,
    /// Nothing if it cannot be joined.
    layout: Option<Layout>,
    /// All bytes.
    length: usize,
    /// Nothing can follow any more.
    closed: bool,
    /// The last one asks that everything be handed on at once.
    push: bool,
}

/// A packet that can be joined with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    cutting: Cutting,
    transport: usize,
    /// The bytes of all headers.
    headers: usize,
    /// The bytes behind them.
    content: usize,
}

impl Layout {
    fn of(packet: &[u8], tcp: bool, udp: bool) -> Option<Self> {
        let (transport, protocol) = match packet.first()? {
            // Without options, and no part of a packet.
            0x45 if number(packet, 6)?.is_multiple_of(WHOLE) => (V4_HEADER, *packet.get(9)?),
            first if first >> 4 == 6 => (V6_HEADER, *packet.get(6)?),
            _ => return None,
        };
        let rest = packet.get(transport..)?;
        let (cutting, headers) = match protocol {
            TCP if tcp => {
                let flags = *rest.get(13)?;
                let length = usize::from(rest[12] >> 4) * 4;
                (flags & !PSH == ACK && length >= TCP_HEADER).then_some((Cutting::Tcp, transport + length))?
            }
            UDP if udp => {
                let fits = number(rest, 4)? == rest.len() && number(rest, 6)? != 0;
                fits.then_some((Cutting::Udp, transport + UDP_HEADER))?
            }
            _ => return None,
        };
        let content = packet.len().checked_sub(headers).filter(|content| *content > 0)?;
        let covered = pseudo(packet, protocol, rest.len())? + sum(rest);
        (fold(covered) == 0xffff).then_some(Self { cutting, transport, headers, content })
    }

    /// Whether the second packet can be cut from behind the first, of which `count` with `ahead` bytes of content are there.
    fn joins(&self, first: &[u8], second: &[u8], count: usize, ahead: usize) -> bool {
        let same = |range: Range<usize>| first.get(range.clone()) == second.get(range);
        let transport = self.transport;
        let is_same_path = if transport == V4_HEADER {
            let id = |packet| number(packet, 4).unwrap_or(0);
            // Numbers that count on. Where nobody may cut a packet they are of no use.
            let counts = first[6] & 0x40 != 0 || (id(first) + count) & 0xffff == id(second);
            counts && same(0..2) && same(6..10) && same(12..20)
        } else {
            same(0..4) && same(6..40)
        };
        if !is_same_path || !same(transport..transport + 4) {
            return false;
        }
        if self.cutting == Cutting::Udp {
            return true;
        }
        let sequence = |packet: &[u8]| {
            packet
                .get(transport + 4..)
                .and_then(<[u8]>::first_chunk)
                .map_or(0, |bytes| u32::from_be_bytes(*bytes))
        };
        let ahead = u32::try_from(ahead).unwrap_or(0); // less than 64 kB
        sequence(first).wrapping_add(ahead) == sequence(second)
            && same(transport + 8..transport + 13)
            && same(transport + 14..transport + 16)
            && same(transport + TCP_HEADER..self.headers)
    }
}

impl Joined {
    const fn count(&self) -> usize {
        1 + self.more.len()
    }

    /// Takes the packet in if it follows.
    fn take(&mut self, buffer: &[u8], range: &Range<usize>, next: &Layout) -> bool {
        let Some(layout) = &self.layout else { return false };
        let most = if layout.cutting == Cutting::Udp { MOST_DATAGRAMS } else { MOST_SEGMENTS };
        let fits = !self.closed
            && next.cutting == layout.cutting
            && (next.transport, next.headers) == (layout.transport, layout.headers)
            && next.content <= layout.content
            && self.count() < most
            && self.length + next.content <= LARGEST;
        let (first, second) = (&buffer[self.first.clone()], &buffer[range.clone()]);
        if !fits || !layout.joins(first, second, self.count(), self.length - layout.headers) {
            return false;
        }
        self.closed = next.content < layout.content;
        if next.cutting == Cutting::Tcp && second[next.transport + 13] & PSH != 0 {
            (self.push, self.closed) = (true, true);
        }
        self.length += next.content;
        self.more.push(range.start + next.headers..range.end);
        true
    }

    /// Makes the headers of the first packet those of all, and says how they are to be cut.
    fn finish(&self, packet: &mut [u8]) -> [u8; LENGTH] {
        let Some(layout) = self.layout.filter(|_| !self.more.is_empty()) else {
            return Header::PLAIN.write(0, false);
        };
        let Layout { cutting, transport, headers, content } = layout;
        let is_v6 = transport == V6_HEADER;
        if is_v6 {
            set_number(packet, 4, self.length - V6_HEADER);
        } else {
            set_number(packet, 2, self.length);
            write_v4(&mut packet[..V4_HEADER]);
        }
        let covered = self.length - transport;
        let (protocol, offset) = if cutting == Cutting::Udp {
            set_number(packet, transport + 4, covered);
            (UDP, 6)
        } else {
            packet[transport + 13] |= if self.push { PSH } else { 0 };
            (TCP, 16)
        };
        // The kernel adds the rest, packet by packet.
        let begun = fold(pseudo(packet, protocol, covered).unwrap_or(0));
        packet[transport + offset..][..2].copy_from_slice(&begun.to_ne_bytes());
        Header { cutting, size: content, checksum: Some((transport, offset)) }.write(headers, is_v6)
    }
}

impl Joiner {
    /// Joins what the kernel takes joined.
    pub(crate) const fn new(tcp: bool, udp: bool) -> Self {
        Self { tcp, udp, joined: Vec::new(), spare: Vec::new() }
    }

    /// Adds the IP packet at this place of the buffer.
    pub(crate) fn add(&mut self, buffer: &[u8], range: Range<usize>) {
        let packet = &buffer[range.clone()];
        let layout = Layout::of(packet, self.tcp, self.udp);
        let Some(next) = &layout else {
            // What follows must not overtake it.
            self.joined.iter_mut().for_each(|joined| joined.closed = true);
            return self.begin(range, None, true, false);
        };
        for at in (0..self.joined.len()).rev() {
            if self.joined[at].take(buffer, &range, next) {
                return;
            }
            let is_same = self.joined[at].layout.is_some_and(|layout| {
                let first = &buffer[self.joined[at].first.clone()];
                same_connection(&layout, first, next, packet)
            });
            if is_same {
                self.joined[at].closed = true;
                break;
            }
        }
        let is_push = next.cutting == Cutting::Tcp && packet[next.transport + 13] & PSH != 0;
        self.begin(range, layout, is_push, is_push);
        let open = self.joined.iter().filter(|joined| !joined.closed).count();
        if open > OPEN
            && let Some(oldest) = self.joined.iter_mut().find(|joined| !joined.closed)
        {
            oldest.closed = true;
        }
    }

    fn begin(&mut self, first: Range<usize>, layout: Option<Layout>, closed: bool, push: bool) {
        let (length, more) = (first.len(), self.spare.pop().unwrap_or_default());
        self.joined.push(Joined { first, more, layout, length, closed, push });
    }

    /// Takes out what nothing can follow any more, or everything at the end, in order: the parts of each packet, of which the first
    /// is its header for the kernel.
    pub(crate) fn take(
        &mut self,
        buffer: &mut [u8],
        everything: bool,
        mut write: impl FnMut(&[IoSlice<'_>]),
    ) {
        let spare = &mut self.spare;
        self.joined.retain_mut(|joined| {
            if !joined.closed && !everything {
                return true;
            }
            let header = joined.finish(&mut buffer[joined.first.clone()]);
            let mut parts = Vec::with_capacity(1 + joined.count());
            parts.push(IoSlice::new(&header));
            parts.push(IoSlice::new(&buffer[joined.first.clone()]));
            parts.extend(joined.more.iter().map(|range| IoSlice::new(&buffer[range.clone()])));
            write(&parts);
            let mut more = std::mem::take(&mut joined.more);
            more.clear();
            spare.push(more);
            false
        });
    }
}

/// Whether two packets are of one connection and way.
fn same_connection(one: &Layout, first: &[u8], other: &Layout, second: &[u8]) -> bool {
    let addresses = if one.transport == V4_HEADER { 12..20 } else { 8..40 };
    let ports = one.transport..one.transport + 4;
    (one.cutting, one.transport) == (other.cutting, other.transport)
        && first[addresses.clone()] == second[addresses]
        && first[ports.clone()] == second[ports]
}
