//! The evaluator of packet filters against the kernel: rulesets made by chance are loaded, real packets are sent, and
//! what the kernel does with each of them is what the evaluator has said. `PHANTOM_TEST_SEED=N` repeats one ruleset.

mod chance;
mod iptables;
mod nftables;
mod wire;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use phantom_host::Firewall;
use phantom_host::filter::{FilterDoubt, FilterVerdict, Filters, Packet, Tracking};
use phantom_host::linux::LinuxFirewall;

use self::chance::Chance;
use self::wire::{Sent, Wire};
use crate::lab::{Network, in_namespace, sh};

const NEEDS: [&str; 5] = ["nft", "iptables-nft", "iptables-legacy", "ip", "ipset"];
/// What one run takes, and what it takes at most to be one.
const TIME: Duration = Duration::from_secs(16);
const ROUNDS_MIN: u64 = 30;
/// How many packets meet a ruleset.
const PACKETS: usize = 24;
/// Rounds of the long mode.
const ROUNDS_LONG: u64 = 1000;

/// A ruleset made by chance.
#[derive(Default)]
struct Made {
    /// Scripts by the program that takes each.
    scripts: Vec<(&'static str, String)>,
    /// It has a match that is not understood, or a limit.
    uncertain: bool,
    /// The same, but only for packets of known connections.
    uncertain_if_known: bool,
}

impl Made {
    fn by(chance: &mut Chance) -> Self {
        let mut made = Self::default();
        match chance.below(5) {
            0 | 1 => nftables::add(&mut made, chance),
            2 => iptables::add(&mut made, chance, "nft"),
            3 => iptables::add(&mut made, chance, "legacy"),
            // All of them count.
            _ => {
                nftables::add(&mut made, chance);
                iptables::add(&mut made, chance, "nft");
                iptables::add(&mut made, chance, "legacy");
            }
        }
        made
    }

    /// Takes away what was loaded before, and loads this. Chance makes rules that contradict themselves, which no
    /// program takes: these are left out.
    fn load(&mut self) {
        let mut script = String::from("nft flush ruleset\n");
        for table in sh("cat /proc/net/ip_tables_names").lines() {
            let _ = writeln!(script, "printf '*{table}\\nCOMMIT\\n' | iptables-legacy-restore");
        }
        sh(&script);
        for (program, text) in &mut self.scripts {
            while let Err(errors) = given(program, text) {
                let mut lines: Vec<&str> = text.lines().collect();
                let line = refused(&errors).filter(|line| *line <= lines.len());
                lines.remove(line.unwrap_or_else(|| panic!("{errors}\n{program}\n{text}")) - 1);
                *text = lines.join("\n") + "\n";
            }
        }
    }
}

/// Gives a program its script, or what it says against it.
fn given(program: &str, text: &str) -> Result<(), String> {
    let said = sh(&format!("{program} 2>&1 <<'END' && echo taken || true\n{text}\nEND"));
    if said.ends_with("taken\n") { Ok(()) } else { Err(said) }
}

/// The number of the line that nft (`/dev/stdin:23:34-42: Error`) or iptables (`line 23 failed`, `Error occurred at
/// line: 23`) does not take.
fn refused(errors: &str) -> Option<usize> {
    let number = |text: &str| {
        text.trim_start_matches([':', ' ']).split(|end: char| !end.is_ascii_digit()).next()?.parse().ok()
    };
    ["/dev/stdin:", "at line", "line "].iter().find_map(|word| number(errors.split_once(word)?.1))
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.scripts.iter().try_for_each(|(program, text)| writeln!(f, "{program}\n{text}"))
    }
}

/// How often what was said.
#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    closed: usize,
    unknown: usize,
}

#[test]
fn the_kernel_does_what_the_evaluator_says() {
    in_namespace("filters::the_kernel_does_what_the_evaluator_says", &NEEDS, || {
        let network = Network::new();
        sh(iptables::SETS);
        assert!(network.passes().is_some(), "the first packets wait for ARP");
        let wire = Wire::new();
        let firewall = LinuxFirewall::new();
        let long = std::env::var_os("PHANTOM_TEST_LONG").is_some();
        let only: Option<u64> = std::env::var("PHANTOM_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let (begun, mut tally, mut round) = (Instant::now(), Tally::default(), 0);
        while only.is_none() || round == 0 {
            let seed = only.unwrap_or(round);
            let mut chance = Chance::new(seed);
            let mut made = Made::by(&mut chance);
            made.load();
            let filters = firewall.filters().unwrap();
            compare(&wire, &filters, &made, seed, &mut chance, &mut tally);
            round += 1;
            let enough =
                if long { round >= ROUNDS_LONG } else { begun.elapsed() > TIME && round >= ROUNDS_MIN };
            if enough {
                break;
            }
        }
        println!("{round} rulesets, {tally:?}");
        let all = tally.accepted + tally.closed + tally.unknown;
        if only.is_none() {
            assert!(tally.accepted > all / 10 && tally.closed > all / 10, "{tally:?}");
            assert!(tally.unknown < all / 5, "{tally:?}");
        }
    });
}

fn compare(wire: &Wire, filters: &Filters, made: &Made, seed: u64, chance: &mut Chance, tally: &mut Tally) {
    let packets: Vec<Packet> = (0..PACKETS).map(|_| chance::packet(chance)).collect();
    let sent = wire.send(&packets);
    let expected: Vec<FilterVerdict> = sent.iter().map(|sent| filters.verdict(&sent.packet)).collect();
    let passed = wire.passed(&sent, &expected);
    for ((sent, verdict), passed) in sent.iter().zip(&expected).zip(&passed) {
        check(&sent.packet, verdict, *passed, (made.uncertain, made, seed), tally);
    }
    // What came in once is answered, and then belongs to a known connection.
    let arrived = sent.into_iter().zip(passed).filter(|(_, passed)| *passed).map(|(sent, _)| sent);
    let known: Vec<Sent> = wire.send_again(arrived.collect());
    let expected: Vec<FilterVerdict> = known
        .iter()
        .map(|sent| {
            let connection_mark = None;
            let packet = Packet { tracking: Tracking::Established, connection_mark, ..sent.packet.clone() };
            filters.verdict(&packet)
        })
        .collect();
    let passed = wire.passed(&known, &expected);
    let uncertain = made.uncertain || made.uncertain_if_known;
    for ((sent, verdict), passed) in known.iter().zip(&expected).zip(&passed) {
        check(&sent.packet, verdict, *passed, (uncertain, made, seed), tally);
    }
}

fn check(
    packet: &Packet,
    verdict: &FilterVerdict,
    passed: bool,
    (uncertain, made, seed): (bool, &Made, u64),
    tally: &mut Tally,
) {
    let told = || format!("PHANTOM_TEST_SEED={seed}: {packet:?}: {verdict:?}, but passed: {passed}\n{made}");
    match verdict {
        FilterVerdict::Accepted => tally.accepted += 1,
        FilterVerdict::Unknown(_) => tally.unknown += 1,
        _ => tally.closed += 1,
    }
    match verdict {
        FilterVerdict::Accepted => assert!(passed, "{}", told()),
        FilterVerdict::Unknown(_) => assert!(uncertain, "{}", told()),
        _ => assert!(!passed, "{}", told()),
    }
}

/// The tables of `iptables-nft` are tables of nftables, and its own program lists them as well.
#[test]
fn iptables_tables_are_read_without_nft() {
    in_namespace("filters::iptables_tables_are_read_without_nft", &NEEDS, || {
        sh("iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT; iptables-nft -P INPUT DROP");
        // Nobody may run what is in its place, in this namespace alone.
        sh("cp /usr/sbin/nft /run/nft; : > /run/none; mount --bind /run/none /usr/sbin/nft");
        let verdict = |port| {
            let (stranger, host) = ("203.0.113.9".parse().unwrap(), "192.0.2.1".parse().unwrap());
            let packet = Packet::to_host("out0", stranger, host, 6, port);
            LinuxFirewall::new().filters().unwrap().verdict(&packet)
        };
        assert_eq!(verdict(22), FilterVerdict::Accepted);
        assert!(matches!(verdict(23), FilterVerdict::Dropped(_)), "{:?}", verdict(23));
        // One that nobody can list may do anything.
        sh("/run/nft add table inet other");
        let unread = FilterVerdict::Unknown(FilterDoubt::Unread("nftables inet other".to_owned()));
        assert_eq!(verdict(22), unread);
        assert!(matches!(verdict(23), FilterVerdict::Dropped(_)));
    });
}
