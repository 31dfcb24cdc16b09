//! What an exit sends to the server that nobody asked for: none of it is answered, by whatever way, whatever happens.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use super::lab::{NFT_OF_EXITS, enable, with_exits_and};
use super::load::assert_tight;
use super::observer::Observer;
use crate::faulty::{self, Ended};
use crate::ping::ping;
use crate::world::{At, INTERNET, TestNet, long, note, programs, wait_for};

const FIRST: [&str; 3] = ["multihop", "enable_multihop", "exit_name=uk"];
const SWITCH: [&str; 3] = ["multihop", "enable_multihop", "exit_name=nl"];
const OFF: [&str; 2] = ["multihop", "disable_multihop"];

/// Both exits ask the server for echoes all the time, and count what comes that is no request.
fn knock(world: &TestNet) {
    for (n, at) in [(1, At::Exit1), (2, At::Exit2)] {
        world.sh_at(
            at,
            &format!(
                "nft 'add table ip seen; add chain ip seen in {{ type filter hook prerouting priority -300; }}
                 add rule ip seen in iifname wgx{n} icmp type != echo-request counter
                 add rule ip seen in iifname wgx{n} tcp flags & rst == rst counter'"
            ),
        );
        world.spawn(at, "ping", &["-q", "-i", "0.002", &format!("10.99.{n}.2")]);
    }
}

/// How many answers the exits have got.
fn answers(world: &TestNet) -> u64 {
    let lists = [At::Exit1, At::Exit2].map(|at| world.sh_at(at, "nft list table ip seen"));
    let counts = lists.iter().flat_map(|list| list.split("counter packets ").skip(1));
    counts.map(|rest| rest.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// How many packets have come in from the exit in use.
fn received(world: &TestNet) -> u64 {
    world.sh("cat /sys/class/net/wg_vpn/statistics/rx_packets").trim().parse().unwrap()
}

#[track_caller]
fn unanswered(world: &TestNet, what: &str, observer: Observer<'_>) {
    assert_tight(world, what, &observer.stop());
    assert_eq!(answers(world), 0, "{what}: the server answers an exit");
}

/// Which writes are tried.
#[derive(Default)]
struct Rounds {
    /// The kinds of writes that have been.
    kinds: BTreeSet<String>,
}

impl Rounds {
    /// Every other write of a call, and the first one of each kind that would not be tried at all; where tests may take
    /// minutes, all writes.
    fn of(&mut self, writes: &[String], begin: usize) -> Vec<usize> {
        let half = |at: usize| long() || at % 2 == begin % 2;
        let every_other = (1..).zip(writes).filter(|(at, _)| half(*at));
        self.kinds.extend(every_other.map(|(_, kind)| kind.clone()));
        let tried = |(at, kind): &(usize, &String)| half(*at) || self.kinds.insert((*kind).clone());
        (1..).zip(writes).filter(tried).map(|(at, _)| at).collect()
    }
}

#[test]
fn exit_gets_no_unrequested_reply() {
    let test = "multihop::inward::exit_gets_no_unrequested_reply";
    with_exits_and(
        test,
        &["ping"],
        |_| true,
        |world| {
            knock(world);
            let observer = Observer::start(world, "steady");
            for exit in ["uk", "nl", "uk"] {
                enable(world, exit);
                let before = received(world);
                let comes = wait_for(Duration::from_secs(20), || received(world) > before + 50);
                assert!(comes, "nothing comes from {exit}");
            }
            unanswered(world, "steady", observer);
            let (mut refused, mut killed) = (Rounds::default(), Rounds::default());
            for (words, before, begin) in [(&SWITCH[..], &FIRST[..], 1), (&FIRST, &OFF, 2), (&OFF, &FIRST, 1)]
            {
                world.ok(before);
                let writes = faulty::writes(words);
                let rounds = refused.of(&writes, begin);
                note(test, &format!("{}: refused {rounds:?} of {writes:?}", words.join(" ")));
                for write in rounds {
                    let what = format!("{words:?} refuse:{write}");
                    world.ok(before);
                    let observer = Observer::start(world, &format!("inward-{write}"));
                    let ended = faulty::call(&format!("refuse:{write}"), words);
                    assert!(matches!(ended, Ended::Answered { .. }), "{what}: killed");
                    unanswered(world, &what, observer);
                }
            }
            world.ok(&FIRST);
            // Those between the ones that were refused.
            for write in killed.of(&faulty::writes(&SWITCH), 2) {
                world.ok(&FIRST);
                let what = format!("{SWITCH:?} kill-before:{write}");
                let observer = Observer::start(world, &format!("inward-killed-{write}"));
                assert!(
                    matches!(faulty::call(&format!("kill-before:{write}"), &SWITCH), Ended::Killed),
                    "{what}"
                );
                world.ok(&["core", "reconcile"]);
                unanswered(world, &what, observer);
            }
            let observer = Observer::start(world, "inward-restart");
            world.ok(&["core", "restart_service"]);
            unanswered(world, "a restart", observer);
            let observer = Observer::start(world, "inward-reset");
            let reset = Command::new(programs().join("factory-reset")).arg("--yes").output().unwrap();
            assert!(reset.status.success(), "{reset:?}");
            unanswered(world, "a factory reset", observer);
        },
    );
}

/// An answer that has no hops left at the server, two of which are before it.
pub(super) fn without_hops(world: &TestNet) {
    let observer = Observer::start(world, "hops");
    world.sh_at(At::Internet, "sysctl -qw net.ipv4.ip_default_ttl=3");
    assert!(!ping(At::Client1, INTERNET, 3), "the answer has hops enough");
    world.sh_at(At::Internet, "sysctl -qw net.ipv4.ip_default_ttl=64");
    assert_tight(world, "hops", &observer.stop());
}

/// Answers that are too large for the way to the client, and must not be cut.
pub(super) fn too_large(world: &TestNet) {
    let observer = Observer::start(world, "size");
    let nft = format!("$(command -v nft || echo {NFT_OF_EXITS})");
    let whole = "add table ip whole; add chain ip whole out { type filter hook output priority 0; }
                 add rule ip whole out ip frag-off set 0x4000";
    world.sh_at(At::Internet, &format!("{nft} '{whole}'"));
    world.sh("ip link set wg_main mtu 1280");
    let ask = format!("ping -c 3 -i 0.2 -W 1 -s 1300 {INTERNET}");
    assert!(!world.try_at(At::Client1, &ask).status.success(), "the answer passes");
    world.ok(&["core", "reconcile"]);
    world.sh_at(At::Internet, &format!("{nft} delete table ip whole"));
    assert_tight(world, "size", &observer.stop());
}

/// What nobody asked for, from the exit's network, for a client, without hops left.
pub(super) fn forged(world: &TestNet) {
    let observer = Observer::start(world, "forged");
    world.sh_at(
        At::Exit1,
        "ip route add 10.8.0.0/24 dev wgx1
         wg set wgx1 peer $(wg show wgx1 peers) allowed-ips 10.99.1.2/32,10.8.0.0/24",
    );
    let _ = world.try_at(At::Exit1, "ping -c 3 -i 0.2 -W 1 -t 1 10.8.0.2");
    assert_tight(world, "forged", &observer.stop());
}

/// Whoever clients talk to could have the server tell where it really is: an answer that the server cannot pass on makes
/// its kernel report that, before any filter for what passes through is asked, and by the way of its own packets.
#[test]
fn undeliverable_reply_is_reported_to_nobody() {
    let test = "multihop::inward::undeliverable_reply_is_reported_to_nobody";
    with_exits_and(
        test,
        &["ping"],
        |_| true,
        |world| {
            enable(world, "uk");
            world.reaches(At::Client1, INTERNET);
            without_hops(world);
            too_large(world);
            forged(world);
            // The server's own answers to its clients, and to itself, go on.
            world.reaches(At::Client1, "10.8.0.1");
            world.reaches(At::Server, "10.8.0.1");
            world.reaches(At::Client1, INTERNET);
        },
    );
}
