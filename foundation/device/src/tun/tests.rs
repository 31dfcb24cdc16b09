//! Packets of connections, cut and joined.

use std::io::IoSlice;

use proptest::prelude::*;

use super::sum::{TCP, UDP, V4_HEADER, V6_HEADER};
use super::virtio::LENGTH;
use super::{Joiner, Large};

/// A packet that is sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) v6: bool,
    pub(super) protocol: u8,
    /// Which connection.
    pub(super) flow: u8,
    pub(super) sequence: u32,
    pub(super) flags: u8,
    pub(super) id: u16,
    pub(super) content: Vec<u8>,
}

impl Sent {
    pub(super) fn tcp(v6: bool, flow: u8, sequence: u32, content: Vec<u8>) -> Self {
        Self { v6, protocol: TCP, flow, sequence, flags: 0x10, id: 0, content }
    }

    pub(super) fn udp(v6: bool, flow: u8, content: Vec<u8>) -> Self {
        Self { v6, protocol: UDP, flow, sequence: 0, flags: 0, id: 0, content }
    }

    /// As it goes over a wire.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let header = if self.protocol == TCP { 32 } else { 8 };
        let mut transport = vec![0; header];
        transport[..4].copy_from_slice(&[0x10, self.flow, 0x20, 0]);
        if self.protocol == TCP {
            transport[4..8].copy_from_slice(&self.sequence.to_be_bytes());
            transport[12..16].copy_from_slice(&[0x80, self.flags, 0xab, 0xcd]);
            transport[20..32].copy_from_slice(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        } else {
            let length = u16::try_from(8 + self.content.len()).unwrap();
            transport[4..6].copy_from_slice(&length.to_be_bytes());
        }
        transport.extend(&self.content);
        let at = if self.protocol == TCP { 16 } else { 6 };
        let mut packet = self.address(transport.len());
        let pseudo = pseudo(&packet, self.protocol, transport.len());
        let checksum = checksum(&[&pseudo[..], &transport].concat());
        let checksum = if checksum == 0 { 0xffff } else { checksum };
        transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(transport);
        packet
    }

    fn address(&self, length: usize) -> Vec<u8> {
        if self.v6 {
            let mut header = vec![0; V6_HEADER];
            header[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 0, self.protocol, 64]);
            header[4..6].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            (header[8], header[23], header[24], header[39]) = (0xfd, 1, 0xfd, self.flow);
            return header;
        }
        let mut header = vec![0; V4_HEADER];
        (header[0], header[8], header[9]) = (0x45, 64, self.protocol);
        header[2..4].copy_from_slice(&u16::try_from(V4_HEADER + length).unwrap().to_be_bytes());
        header[4..6].copy_from_slice(&self.id.to_be_bytes());
        header[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, self.flow]);
        let checksum = checksum(&header);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header
    }
}

/// The checksum as RFC 1071 describes it, word by word.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

fn pseudo(header: &[u8], protocol: u8, length: usize) -> Vec<u8> {
    let addresses = if header.len() == V4_HEADER { &header[12..20] } else { &header[8..40] };
    let [.., high, low] = length.to_be_bytes();
    [addresses, &[0, protocol, high, low]].concat()
}

/// What the kernel is given for packets, in order.
pub(super) fn joined(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut buffer = packets.concat();
    let (mut joiner, mut at, mut given) = (Joiner::new(true, true), 0, Vec::new());
    let mut write = |parts: &[IoSlice<'_>]| given.push(parts.iter().flat_map(|part| part.to_vec()).collect());
    for (number, packet) in packets.iter().enumerate() {
        joiner.add(&buffer, at..at + packet.len());
        at += packet.len();
        if number % 7 == 6 {
            joiner.take(&mut buffer, false, &mut write);
        }
    }
    joiner.take(&mut buffer, true, &mut write);
    given
}

/// What it makes of it.
pub(super) fn cut(given: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let cut = |bytes: &Vec<u8>| {
        let large = Large::read(bytes, true).unwrap();
        let packet = |index| {
            let mut packet = vec![0xee; large.length(index)];
            large.write(index, &mut packet);
            packet
        };
        (0..large.count()).map(packet).collect::<Vec<_>>()
    };
    given.iter().flat_map(cut).collect()
}

fn content(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 7 + seed * 13) % 253).to_le_bytes()[0]).collect()
}

/// The flow of a packet: its protocol, where it goes, and its ports.
fn flow(packet: &[u8]) -> Vec<u8> {
    let (protocol, addresses, transport) = if packet[0] == 0x45 { (9, 12..20, 20) } else { (6, 8..40, 40) };
    [&packet[protocol..=protocol], &packet[addresses], &packet[transport..transport + 4]].concat()
}

#[test]
fn packets_of_a_connection_become_one_and_again_the_same() {
    for v6 in [false, true] {
        let size = 1348;
        let packet = |number: usize| {
            let length = if number == 46 { 777 } else { size };
            let sequence = u32::MAX - 5000 + u32::try_from(number * size).unwrap_or(0);
            let sequence = if number == 0 { u32::MAX - 5000 } else { sequence };
            Sent { id: u16::try_from(number).unwrap(), ..Sent::tcp(v6, 3, sequence, content(length, number)) }
        };
        let packets: Vec<_> = (0..3).chain(3..4).map(|number| packet(number).bytes()).collect();
        let given = joined(&packets);
        assert_eq!(given.len(), 1);
        assert_eq!(given[0].len(), LENGTH + packets[0].len() + 3 * size);
        assert_eq!(cut(&given), packets);
        let datagrams: Vec<_> = (0..40)
            .map(|number| {
                let length = if number == 39 { 1 } else { 1400 };
                let id = u16::try_from(number).unwrap();
                Sent { id, ..Sent::udp(v6, 3, content(length, number)) }.bytes()
            })
            .collect();
        let given = joined(&datagrams);
        assert_eq!(given.len(), 1);
        assert_eq!(cut(&given), datagrams);
    }
}

#[test]
fn what_asks_to_be_handed_on_ends_what_is_joined_and_says_so_last() {
    let first = Sent::tcp(true, 1, 0, content(100, 0));
    let last = Sent { flags: 0x18, ..Sent::tcp(true, 1, 100, content(100, 1)) };
    let next = Sent::tcp(true, 1, 200, content(100, 2));
    let packets: Vec<_> = [first, last, next].iter().map(Sent::bytes).collect();
    let given = joined(&packets);
    assert_eq!(given.len(), 2);
    assert_eq!(cut(&given), packets);
}

#[test]
fn what_cannot_be_cut_into_the_same_again_stays_by_itself() {
    let base = Sent::tcp(false, 1, 0, content(100, 0));
    let next = Sent { id: 1, ..Sent::tcp(false, 1, 100, content(100, 1)) };
    let alone = |second: Vec<u8>| {
        let packets = vec![base.bytes(), second];
        let given = joined(&packets);
        assert_eq!(given.len(), 2);
        assert!(given.iter().zip(&packets).all(|(given, packet)| given[LENGTH..] == packet[..]));
    };
    assert_eq!(joined(&[base.bytes(), next.bytes()]).len(), 1);
    alone(Sent { sequence: 101, ..next.clone() }.bytes());
    alone(Sent { flags: 0x11, ..next.clone() }.bytes());
    alone(Sent { flow: 2, ..next.clone() }.bytes());
    alone(Sent { id: 2, ..next.clone() }.bytes());
    alone(Sent { content: content(101, 1), ..next.clone() }.bytes());
    alone(Sent { content: vec![], ..next.clone() }.bytes());
    // A wrong checksum would become a right one.
    let mut damaged = next.bytes();
    damaged[60] ^= 1;
    alone(damaged);
    // Part of a packet; another time to live; options.
    for (at, bits) in [(6, 0x20), (8, 1), (40 + 4, 1)] {
        let mut other = next.bytes();
        other[at] ^= bits;
        let sum = u32::from(u16::from_be_bytes([other[36], other[37]]));
        if at > 20 {
            // The sum of a changed word stays right.
            let word = u32::from(bits) << 8;
            other[36..38]
                .copy_from_slice(&u16::try_from((sum + 0xffff - word) % 0xffff).unwrap().to_be_bytes());
        }
        alone(other);
    }
}

#[test]
fn what_makes_no_sense_is_dropped() {
    let packet = joined(&[0u8, 1].map(|number| {
        Sent { id: number.into(), ..Sent::tcp(false, 1, u32::from(number) * 100, content(100, 0)) }.bytes()
    }))
    .remove(0);
    assert_eq!(Large::read(&packet, true).unwrap().count(), 2);
    let with = |at: usize, value: u8| {
        let mut packet = packet.clone();
        packet[at] = value;
        Large::read(&packet, true).map(|large| large.count())
    };
    assert_eq!(with(1, 3), None, "a kind that was never asked for");
    assert_eq!(with(4, 0), None, "pieces of nothing");
    assert_eq!(with(6, 4), None, "a transport header within that of IP");
    assert_eq!(with(7, 200), None, "and behind the end");
    assert_eq!(with(LENGTH + 32, 0x10), None, "a TCP header that is too short");
    assert_eq!(Large::read(&packet[..9], true).map(|large| large.count()), None);
    assert_eq!(Large::read(&packet[..10], true).map(|large| large.count()), None);
}

proptest! {
    /// Whatever comes: nothing is lost, doubled or changed, and each connection stays in order.
    #[test]
    fn connections_stay_in_order(
        packets in prop::collection::vec((any::<bool>(), 0u8..3, 0u8..6, 1usize..4, any::<bool>()), 1..120),
    ) {
        let mut sequences = [[0u32; 3]; 2];
        let mut id = 0;
        let packets: Vec<_> = packets.into_iter().enumerate().map(|(number, (v6, flow, kind, size, gap))| {
            let sequence = &mut sequences[usize::from(v6)][usize::from(flow)];
            *sequence = sequence.wrapping_add(u32::from(gap));
            let content = content(size * 400, number);
            id += 1;
            let sent = match kind {
                0 => Sent::udp(v6, flow, content),
                1 => Sent { flags: 0x18, ..Sent::tcp(v6, flow, *sequence, content) },
                2 => Sent { flags: 0x11, ..Sent::tcp(v6, flow, *sequence, content) },
                _ => Sent::tcp(v6, flow, *sequence, content),
            };
            *sequence = sequence.wrapping_add(u32::try_from(sent.content.len()).unwrap());
            Sent { id, ..sent }.bytes()
        }).collect();
        let came = cut(&joined(&packets));
        for one in &packets {
            let of = |all: &[Vec<u8>]| all.iter().filter(|packet| flow(packet) == flow(one)).cloned().collect::<Vec<_>>();
            prop_assert_eq!(of(&came), of(&packets));
        }
        prop_assert_eq!(came.len(), packets.len());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), v6 in any::<bool>(), header in any::<[u8; 10]>()) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = if v6 { 0x60 } else { 0x45 };
        }
        let _ = joined(&[bytes.clone(), bytes.clone()]);
        for header in [header, [1, header[1] & 5, 0, 0, header[2], 0, header[3] % 64, 0, header[4] % 32, 0]] {
            let whole = [&header[..], &bytes].concat();
            if let Some(large) = Large::read(&whole, true) {
                for index in 0..large.count().min(1000) {
                    let mut packet = vec![0; large.length(index)];
                    large.write(index, &mut packet);
                }
            }
        }
    }
}
