//! The programs on a machine for classic BPF that has the operations they use, as the kernel defines them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Instruction, inward, out};

const PASS: u32 = super::PASS;
const DROP: u32 = super::DROP;

fn run(program: &[Instruction], packet: &[u8]) -> u32 {
    let load = |at: usize, bytes: usize| {
        let field = packet.get(at..at + bytes)?;
        Some(field.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)))
    };
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, 0_u32, 0_usize);
    for _ in 0..=program.len() {
        let Instruction { code, yes, no, value } = program[at];
        let (k, offset) = (value as usize, x as usize);
        at += 1;
        let loaded = match code {
            super::LOAD_WORD => Some(load(k, 4)),
            super::LOAD_HALF => Some(load(k, 2)),
            super::LOAD_BYTE => Some(load(k, 1)),
            super::LOAD_HALF_AT_X => Some(load(offset + k, 2)),
            super::LOAD_BYTE_AT_X => Some(load(offset + k, 1)),
            _ => None,
        };
        if let Some(loaded) = loaded {
            // A load from behind the end ends the program.
            let Some(loaded) = loaded else { return 0 };
            a = loaded;
            continue;
        }
        let condition = match code {
            super::LOAD_MEMORY => {
                a = memory;
                None
            }
            super::LOAD_X => {
                x = value;
                None
            }
            super::LOAD_X_HEADER => {
                x = (u32::from(packet[k]) & 15) * 4;
                None
            }
            super::STORE => {
                memory = a;
                None
            }
            super::ADD => {
                a = a.wrapping_add(value);
                None
            }
            super::SUBTRACT_X => {
                a = a.wrapping_sub(x);
                None
            }
            super::AND => {
                a &= value;
                None
            }
            super::JUMP => {
                at += k;
                None
            }
            super::IF_EQUAL => Some(a == value),
            super::IF_AT_LEAST => Some(a >= value),
            super::IF_ANY_BIT => Some(a & value != 0),
            super::RETURN => return value,
            other => panic!("{other:#x} is no operation of these programs"),
        };
        at += condition.map_or(0, |holds| usize::from(if holds { yes } else { no }));
    }
    panic!("a program without an end")
}

fn addresses(list: &[&str]) -> BTreeSet<IpAddr> {
    list.iter().map(|address| address.parse().unwrap()).collect()
}

/// An IPv4 packet with so many words of options, this field of flags and offset, this protocol and content.
fn four(from: &str, to: &str, options: usize, fragment: u16, protocol: u8, content: &[u8]) -> Vec<u8> {
    let header = 20 + options * 4;
    let mut packet = vec![0; header];
    packet[0] = 0x45 + u8::try_from(options).unwrap();
    packet[2..4].copy_from_slice(&u16::try_from(header + content.len()).unwrap().to_be_bytes());
    packet[6..8].copy_from_slice(&fragment.to_be_bytes());
    packet[9] = protocol;
    for (at, address) in [(12, from), (16, to)] {
        let IpAddr::V4(address) = address.parse().unwrap() else { panic!("{address}") };
        packet[at..at + 4].copy_from_slice(&address.octets());
    }
    packet.extend(content);
    packet
}

fn six(from: &str, to: &str, next: u8, content: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 40];
    packet[0] = 0x60;
    packet[4..6].copy_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
    packet[6] = next;
    for (at, address) in [(8, from), (24, to)] {
        let IpAddr::V6(address) = address.parse().unwrap() else { panic!("{address}") };
        packet[at..at + 16].copy_from_slice(&address.octets());
    }
    packet.extend(content);
    packet
}

fn tcp(flags: u8) -> Vec<u8> {
    let mut segment = vec![0; 20];
    segment[13] = flags;
    segment
}

fn udp(port: u16) -> Vec<u8> {
    [&[0, 53][..], &port.to_be_bytes(), &[0, 9, 0, 0, 7]].concat()
}

fn icmp(kind: u8) -> Vec<u8> {
    vec![kind, 0, 0, 0, 0, 0, 0, 0]
}

const OURS: &str = "10.99.1.2";
const THEIRS: &str = "198.18.0.2";

#[test]
fn only_packets_with_its_sources_leave() {
    let program = out(&addresses(&[OURS, "10.99.1.3", "fd99::2"])).unwrap();
    let leaves = |packet: Vec<u8>| run(&program, &packet) == PASS;
    assert!(
        leaves(four(OURS, THEIRS, 0, 0, 17, &udp(1))) && leaves(four("10.99.1.3", THEIRS, 3, 0, 6, &tcp(2)))
    );
    assert!(leaves(six("fd99::2", "2001:db8::1", 6, &tcp(2))));
    for packet in [
        four("10.8.0.2", OURS, 0, 0, 17, &udp(1)),
        four("203.0.113.5", THEIRS, 0, 0, 6, &tcp(16)),
        six("fd99::3", "fd99::2", 6, &tcp(2)),
        six("fd00:8::2", "2001:db8::1", 58, &icmp(128)),
        vec![0x70; 60],
    ] {
        assert!(!leaves(packet.clone()), "{packet:?}");
    }
    let nothing = out(&BTreeSet::new()).unwrap();
    assert_eq!(run(&nothing, &four(OURS, THEIRS, 0, 0, 17, &udp(1))), DROP);
    assert_eq!(run(&nothing, &six("fd99::2", "fd99::3", 6, &tcp(2))), DROP);
}

#[test]
fn unsolicited_packets_reach_listed_destinations_only() {
    let program = inward(&addresses(&[OURS, "fd99::2"])).unwrap();
    let comes4 = |to: &str, options, protocol, content: &[u8]| {
        run(&program, &four(THEIRS, to, options, 0, protocol, content)) == PASS
    };
    let comes6 =
        |to: &str, next, content: &[u8]| run(&program, &six("2001:db8::1", to, next, content)) == PASS;
    let contents = [
        // FIN, SYN, RST, ACK, and what is made of them.
        (6, tcp(0x02), false),
        (6, tcp(0xc2), false),
        (6, tcp(0x03), false),
        (6, tcp(0x12), true),
        (6, tcp(0x10), true),
        (6, tcp(0x04), true),
        (6, tcp(0x11), true),
        (17, udp(53), false),
        (17, udp(32_767), false),
        (17, udp(32_768), true),
        (17, udp(65_535), true),
        (50, vec![0; 8], true),
        (47, vec![0; 8], true),
        (132, vec![0; 20], false),
        (136, udp(40_000), false),
        (4, vec![0; 40], false),
    ];
    for (protocol, content, passes) in contents {
        assert_eq!(comes4(OURS, 0, protocol, &content), passes, "{protocol} {content:?}");
        assert_eq!(comes4(OURS, 10, protocol, &content), passes, "with options: {protocol} {content:?}");
        assert_eq!(comes6("fd99::2", protocol, &content), passes, "IPv6: {protocol} {content:?}");
        for to in ["10.8.0.2", "10.8.0.1", "203.0.113.5", "10.99.1.1"] {
            assert!(!comes4(to, 0, protocol, &content), "{to}");
        }
        assert!(!comes6("fd99::3", protocol, &content) && !comes6("fd00:8::2", protocol, &content));
    }
    for kind in 0..=u8::MAX {
        assert_eq!(comes4(OURS, 0, 1, &icmp(kind)), super::ICMP_ANSWERS.contains(&kind.into()), "{kind}");
        assert_eq!(
            comes6("fd99::2", 58, &icmp(kind)),
            super::ICMPV6_ANSWERS.contains(&kind.into()),
            "{kind}"
        );
    }
    let nothing = inward(&BTreeSet::new()).unwrap();
    assert_eq!(run(&nothing, &four(THEIRS, OURS, 0, 0, 17, &udp(40_000))), DROP);
}

/// More fragments follow.
const MORE: u16 = 0x2000;

/// The field that decides may not come with a later fragment, which nobody looks at.
#[test]
fn fragments_do_not_hide_what_they_begin() {
    let program = inward(&addresses(&[OURS, "fd99::2"])).unwrap();
    let verdict = |fragment, protocol, content: &[u8], rest: &[u8]| {
        let mut packet = four(THEIRS, OURS, 0, fragment, protocol, content);
        packet.extend(rest); // behind the length that the packet itself names
        run(&program, &packet)
    };
    assert_eq!(verdict(MORE, 17, &udp(40_000), &[]), PASS);
    assert_eq!(verdict(MORE | 0xb9, 17, &[0; 100], &[]), PASS, "a later one");
    assert_eq!(verdict(1, 6, &[0; 12], &[]), PASS, "its first one does not come in");
    assert_eq!(verdict(MORE, 6, &[0; 8], &[]), DROP);
    assert_eq!(verdict(MORE, 6, &tcp(0x10)[..13], &[]), DROP);
    assert_eq!(
        verdict(MORE, 6, &[0; 8], &[0, 0, 0, 0, 0x50, 0x10, 0, 0]),
        DROP,
        "with padding that looks like it"
    );
    assert_eq!(verdict(MORE, 17, &udp(40_000)[..4], &[]), DROP);
    let six = |more: u16, next, content: &[u8]| {
        let head = [&[next, 0][..], &more.to_be_bytes(), &[0; 4]].concat();
        run(&program, &six("2001:db8::1", "fd99::2", 44, &[&head, content].concat()))
    };
    assert_eq!(six(1, 17, &udp(40_000)), PASS);
    assert_eq!((six(1, 17, &udp(53)), six(1, 6, &tcp(2)), six(1, 6, &[0; 8])), (DROP, DROP, DROP));
    assert_eq!(six(8, 6, &[0; 8]), PASS, "its first one does not come in");
}

#[test]
fn packets_that_are_cut_end_a_program() {
    let whole = four(THEIRS, OURS, 0, 0, 6, &tcp(0x10));
    let program = inward(&addresses(&[OURS])).unwrap();
    assert_eq!(run(&program, &whole), PASS);
    for length in 1..whole.len() {
        run(&program, &whole[..length]);
    }
}

#[test]
fn too_many_addresses_make_no_program() {
    let many: BTreeSet<IpAddr> = (0..100_u32).map(|n| IpAddr::V4((0x0a63_0000 + n).into())).collect();
    assert!(inward(&many).is_some() && out(&many).is_some());
    let more: BTreeSet<IpAddr> = (0..300_u32).map(|n| IpAddr::V4((0x0a63_0000 + n).into())).collect();
    assert!(inward(&more).is_none() && out(&more).is_none());
}
