//! A guard as programs of classic BPF (`linux/filter.h`, `linux/bpf_common.h`): one for each way of a packet.
//!
//! They are for links without a header of their own, where a packet begins with that of IP. A load from behind the end of a
//! packet ends a program with 0, which lets the packet pass: the kernel itself drops what is shorter than its headers say,
//! and where a program relies on a field of TCP, UDP or ICMP it has seen that the packet's own lengths reach that far.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::LinkGuard;

/// Further filters are asked (`TC_ACT_UNSPEC` of `linux/pkt_cls.h`).
const PASS: u32 = u32::MAX;
/// `TC_ACT_SHOT`.
const DROP: u32 = 2;

/// Operations: `BPF_LD` and `BPF_LDX` with their sizes and ways to an address, `BPF_ST`, `BPF_ALU`, `BPF_JMP`, `BPF_RET`.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_AT_X: u16 = 0x48;
const LOAD_BYTE_AT_X: u16 = 0x50;
const LOAD_MEMORY: u16 = 0x60;
const LOAD_X: u16 = 0x01;
/// Four times the lower half of a byte: the length of an IPv4 header.
const LOAD_X_HEADER: u16 = 0xb1;
const STORE: u16 = 0x02;
const ADD: u16 = 0x04;
const SUBTRACT_X: u16 = 0x1c;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Protocol numbers (IANA).
const ICMP: u32 = 1;
const TCP: u32 = 6;
const UDP: u32 = 17;
const FRAGMENT: u32 = 44;
const GRE: u32 = 47;
const ESP: u32 = 50;
const ICMPV6: u32 = 58;

/// Lengths of the headers of UDP and ICMP, and of as much of TCP's as has its flags.
const SHORT_HEADER: u32 = 8;
const TO_FLAGS: u32 = 14;
/// SYN and ACK.
const SYN_ACK: u32 = 0x12;
const SYN: u32 = 0x02;
/// Answers and errors: echo reply, destination unreachable, time exceeded, parameter problem, timestamp reply.
const ICMP_ANSWERS: [u32; 5] = [0, 3, 11, 12, 14];
/// Destination unreachable, packet too big, time exceeded, parameter problem, echo reply.
const ICMPV6_ANSWERS: [u32; 5] = [1, 2, 3, 4, 129];

/// `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u16,
    yes: u8,
    no: u8,
    value: u32,
}

impl Instruction {
    /// As the kernel has it.
    pub(super) fn bytes(self) -> [u8; 8] {
        let mut bytes = [0, 0, self.yes, self.no, 0, 0, 0, 0];
        bytes[..2].copy_from_slice(&self.code.to_ne_bytes());
        bytes[4..].copy_from_slice(&self.value.to_ne_bytes());
        bytes
    }
}

/// The program for packets on their way out; `None` when it would be too long.
pub(super) fn out(sources: &BTreeSet<IpAddr>) -> Option<Vec<Instruction>> {
    let mut text = Text::new();
    let (four, six) = text.by_version();
    text.here(four);
    text.one_of_ipv4(12, sources, Text::PASS);
    text.here(six);
    text.one_of_ipv6(8, sources, Text::PASS);
    text.finish()
}

/// The program for packets on their way in; `None` when it would be too long.
pub(super) fn inward(destinations: &BTreeSet<IpAddr>) -> Option<Vec<Instruction>> {
    let mut text = Text::new();
    let (four, six) = text.by_version();
    let (ours4, ours6) = (text.label(), text.label());
    text.here(four);
    text.one_of_ipv4(16, destinations, ours4);
    text.here(six);
    text.one_of_ipv6(24, destinations, ours6);
    let content = text.label();
    // The length of the packet is kept, X is where its content begins, and what that is is loaded.
    text.here(ours4);
    text.run(LOAD_HALF, 6);
    text.when(IF_ANY_BIT, 0x1fff, Text::PASS); // a later fragment
    text.run(LOAD_HALF, 2);
    text.run(STORE, 0);
    text.run(LOAD_X_HEADER, 0);
    text.run(LOAD_BYTE, 9);
    text.go(content);
    text.here(ours6);
    text.run(LOAD_HALF, 4);
    text.run(ADD, 40);
    text.run(STORE, 0);
    text.run(LOAD_X, 40);
    text.run(LOAD_BYTE, 6);
    text.unless(IF_EQUAL, FRAGMENT, content);
    text.run(LOAD_HALF, 42);
    text.when(IF_ANY_BIT, 0xfff8, Text::PASS);
    text.run(LOAD_X, 48);
    text.run(LOAD_BYTE, 40);
    text.here(content);
    text.begins_nothing();
    text.finish()
}

/// A place to jump to.
#[derive(Clone, Copy)]
struct Label(usize);

/// A program that is being written.
struct Text {
    /// Operation, value, and where it goes on when its condition holds and when not; `None` is the next line.
    lines: Vec<(u16, u32, Option<Label>, Option<Label>)>,
    /// The lines of the labels.
    places: Vec<usize>,
}

impl Text {
    /// The ends of every program.
    const PASS: Label = Label(0);
    const DROP: Label = Label(1);

    fn new() -> Self {
        Self { lines: Vec::new(), places: vec![0, 0] }
    }
    fn label(&mut self) -> Label {
        self.places.push(0);
        Label(self.places.len() - 1)
    }
    fn here(&mut self, label: Label) {
        self.places[label.0] = self.lines.len();
    }
    fn run(&mut self, code: u16, value: u32) {
        self.lines.push((code, value, None, None));
    }
    fn go(&mut self, to: Label) {
        self.lines.push((JUMP, 0, Some(to), None));
    }
    fn when(&mut self, code: u16, value: u32, to: Label) {
        self.lines.push((code, value, Some(to), None));
    }
    fn unless(&mut self, code: u16, value: u32, to: Label) {
        self.lines.push((code, value, None, Some(to)));
    }

    /// Goes on at one label for IPv4 and at another one for IPv6, and drops everything else.
    fn by_version(&mut self) -> (Label, Label) {
        let (four, six) = (self.label(), self.label());
        self.run(LOAD_BYTE, 0);
        self.run(AND, 0xf0);
        self.when(IF_EQUAL, 0x40, four);
        self.when(IF_EQUAL, 0x60, six);
        self.go(Self::DROP);
        (four, six)
    }

    /// Goes to a label when there is one of these addresses, and drops otherwise.
    fn one_of_ipv4(&mut self, at: u32, addresses: &BTreeSet<IpAddr>, to: Label) {
        self.run(LOAD_WORD, at);
        for address in addresses.iter().filter_map(ipv4) {
            self.when(IF_EQUAL, address.to_bits(), to);
        }
        self.go(Self::DROP);
    }

    fn one_of_ipv6(&mut self, at: u32, addresses: &BTreeSet<IpAddr>, to: Label) {
        for address in addresses.iter().filter_map(ipv6) {
            let next = self.label();
            let bytes = address.octets();
            let words = bytes
                .chunks_exact(4)
                .map(|word| word.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)));
            for (offset, word) in (at..).step_by(4).zip(words) {
                self.run(LOAD_WORD, offset);
                self.unless(IF_EQUAL, word, next);
            }
            self.go(to);
            self.here(next);
        }
        self.go(Self::DROP);
    }

    /// Drops what begins something, and lets the rest pass.
    fn begins_nothing(&mut self) {
        let (tcp, udp, icmp, icmpv6) = (self.label(), self.label(), self.label(), self.label());
        for (protocol, label) in
            [(TCP, tcp), (UDP, udp), (ICMP, icmp), (ICMPV6, icmpv6), (ESP, Self::PASS), (GRE, Self::PASS)]
        {
            self.when(IF_EQUAL, protocol, label);
        }
        self.go(Self::DROP);
        self.here(tcp);
        self.has_room_for(TO_FLAGS);
        self.run(LOAD_BYTE_AT_X, 13);
        self.run(AND, SYN_ACK);
        self.when(IF_EQUAL, SYN, Self::DROP);
        self.go(Self::PASS);
        self.here(udp);
        self.has_room_for(SHORT_HEADER);
        self.run(LOAD_HALF_AT_X, 2);
        self.when(IF_AT_LEAST, LinkGuard::LOWEST_UDP_PORT.into(), Self::PASS);
        self.go(Self::DROP);
        for (label, answers) in [(icmp, ICMP_ANSWERS), (icmpv6, ICMPV6_ANSWERS)] {
            self.here(label);
            self.has_room_for(SHORT_HEADER);
            self.run(LOAD_BYTE_AT_X, 0);
            for kind in answers {
                self.when(IF_EQUAL, kind, Self::PASS);
            }
            self.go(Self::DROP);
        }
    }

    /// Drops a first fragment that is too short to have a field, which would come with the second one.
    fn has_room_for(&mut self, bytes: u32) {
        self.run(LOAD_MEMORY, 0);
        self.run(SUBTRACT_X, 0);
        self.unless(IF_AT_LEAST, bytes, Self::DROP);
    }

    fn finish(mut self) -> Option<Vec<Instruction>> {
        for (label, verdict) in [(Self::PASS, PASS), (Self::DROP, DROP)] {
            self.here(label);
            self.run(RETURN, verdict);
        }
        let Self { lines, places } = self;
        let steps = |from: usize, to: Option<Label>| to.map_or(0, |to| places[to.0] - from - 1);
        let lines = lines.into_iter().enumerate().map(|(at, (code, value, yes, no))| {
            let (yes, no) = (steps(at, yes), steps(at, no));
            if code == JUMP {
                return Some(Instruction { code, yes: 0, no: 0, value: yes.try_into().ok()? });
            }
            Some(Instruction { code, yes: yes.try_into().ok()?, no: no.try_into().ok()?, value })
        });
        lines.collect()
    }
}

fn ipv4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}

fn ipv6(address: &IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(*address),
    }
}

#[cfg(test)]
mod tests;
