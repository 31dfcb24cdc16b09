//! The same walls on iptables, and beside ufw.

use super::flow::nothing_is_left;
use super::inward;
use super::lab::{EXIT, NFT_OF_EXITS, enable, start_exit, status_is_true, with_exits_and};
use super::load::{Flood, KINDS, listen, nothing_escapes};
use super::observer::Observer;
use crate::traffic::udp_seen_as;
use crate::world::{At, INTERNET, SERVER, TestNet};

/// The programs of iptables.
pub(crate) const IPTABLES: [&str; 6] =
    ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"];

/// The events that touch what differs between packet filters, and the most brutal of the others.
const EVENTS: [(&str, &str); 7] = [
    ("filter-flushed", "iptables -F; ip6tables -F"),
    (
        "all-flushed",
        "for t in filter mangle nat; do iptables -t $t -F; ip6tables -t $t -F || true; done; iptables -X; ip6tables -X",
    ),
    ("all-and-table-flushed", ALL_AND_TABLE),
    ("jump-deleted", "iptables -D FORWARD 1; ip6tables -D FORWARD 1"),
    ("link-deleted", "ip link del wg_vpn"),
    ("routes-flushed", "ip route flush table 100; ip -6 route flush table 100"),
    (
        "rules-flushed",
        "for f in -4 -6; do for p in 99 100 101; do while ip $f rule del pref $p 2>/dev/null; do :; done; done; done",
    ),
];

const ALL_AND_TABLE: &str =
    "for t in filter mangle nat; do iptables -t $t -F; ip6tables -t $t -F || true; done
     ip route flush table 100; ip -6 route flush table 100";

/// Here `nft` is not installed, and iptables is the one of this implementation.
pub(crate) fn without_nftables(world: &TestNet, test: &str, variant: &str) -> bool {
    world.sh(&format!("mv /usr/sbin/nft {NFT_OF_EXITS}"));
    for program in IPTABLES {
        let (head, tail) =
            program.split_once('-').map_or((program, String::new()), |(h, t)| (h, format!("-{t}")));
        world.sh(&format!("ln -sfn /usr/sbin/{head}-{variant}{tail} /etc/alternatives/{program}"));
    }
    let there = world.try_at(At::Server, "iptables -t nat -S; ip6tables -S").status.success();
    if !there {
        phantom_tests::skip(test, "this kernel has not this variant of iptables");
    }
    there
}

/// That packets of clients are seen on the uplink, so that not seeing any means something.
fn leaks_without(world: &TestNet) {
    let observer = Observer::start(world, "without");
    let flood = Flood::start();
    flood.go_on(20);
    flood.stop();
    let seen = observer.stop();
    for (kind, filter) in KINDS {
        assert!(seen.count(filter) > 0, "the observer is blind for {kind}");
    }
}

/// Every event, and that the host is rolled back after it.
fn survives(world: &TestNet, events: &[(&str, &str)]) {
    for (name, external_change) in events {
        nothing_escapes(world, name, || drop(world.sh(external_change)));
        status_is_true(world, "uk");
        world.ok(&["core", "reconcile"]);
        world.in_sync();
        world.reaches(At::Client1, INTERNET);
        assert_eq!(udp_seen_as(At::Client1), EXIT, "{name}");
    }
}

fn on_iptables(test: &str, variant: &str) {
    with_exits_and(
        test,
        &[&IPTABLES[..], &["ping"]].concat(),
        |world| without_nftables(world, test, variant),
        |world| {
            listen();
            leaks_without(world);
            enable(world, "uk");
            assert_eq!(udp_seen_as(At::Client1), EXIT);
            survives(world, &EVENTS);
            for exit in ["nl", "uk"] {
                nothing_escapes(world, exit, || drop(enable(world, exit)));
                status_is_true(world, exit);
                world.in_sync();
            }
            nothing_escapes(world, "restart", || drop(world.ok(&["core", "restart_service"])));
            world.begin_anew(At::Client1);
            world.reaches(At::Client1, INTERNET);
            inward::without_hops(world);
            inward::too_large(world);
            inward::forged(world);
            world.ok(&["multihop", "disable_multihop"]);
            nothing_is_left(world);
            assert_eq!(udp_seen_as(At::Client1), SERVER);
        },
    );
}

#[test]
fn nothing_escapes_on_iptables_nft() {
    on_iptables("multihop::filters::nothing_escapes_on_iptables_nft", "nft");
}

#[test]
fn nothing_escapes_on_iptables_legacy() {
    on_iptables("multihop::filters::nothing_escapes_on_iptables_legacy", "legacy");
}

#[test]
fn nothing_escapes_beside_ufw() {
    let test = "multihop::filters::nothing_escapes_beside_ufw";
    let ufw_on = |world: &TestNet| {
        let enabled = world.try_at(
            At::Server,
            "ufw default deny incoming; ufw default deny routed; ufw allow 22/tcp; ufw --force enable 2>&1",
        );
        if !enabled.status.success() {
            let why = String::from_utf8_lossy(&enabled.stdout);
            phantom_tests::skip(test, &format!("ufw cannot be enabled here: {}", why.trim()));
        }
        enabled.status.success()
    };
    with_exits_and(test, &["ufw", "iptables", "python3"], ufw_on, |world| {
        listen();
        enable(world, "uk");
        assert_eq!(udp_seen_as(At::Client1), EXIT, "ufw lets nothing through but what is allowed");
        survives(
            world,
            &[
                ("ufw-reload", "ufw reload"),
                ("ufw-disabled", "ufw --force disable"),
                ("ufw-enabled", "ufw --force enable"),
                ("ufw-opened", "ufw default allow routed; ufw reload"),
                ("ufw-and-nft-flushed", "nft flush ruleset; ufw reload"),
                ("ufw-reset", "ufw --force reset"),
            ],
        );
        world.ok(&["multihop", "disable_multihop"]);
        nothing_is_left(world);
    });
}

#[test]
fn exit_is_found_again_after_a_flush() {
    let test = "multihop::filters::exit_is_found_again_after_a_flush";
    with_exits_and(
        test,
        &[],
        |_| true,
        |world| {
            listen();
            enable(world, "uk");
            // Filter and ways at once: what is left is the rule behind the table.
            nothing_escapes(world, "filter-then-link", || {
                world.sh("nft flush ruleset; ip link del wg_vpn");
            });
            nothing_escapes(world, "filter-then-routes", || {
                world.sh("nft flush ruleset; ip route flush table 100 type unicast");
            });
            nothing_escapes(world, "filter-then-table", || {
                world.sh("nft flush ruleset; ip route flush table 100; ip -6 route flush table 100");
            });
            world.ok(&["core", "reconcile"]);
            start_exit_again(world);
            world.reaches(At::Client1, INTERNET);
            status_is_true(world, "uk");
        },
    );
}

fn start_exit_again(world: &TestNet) {
    if !world.try_at(At::Server, "ip netns exec exit1 wg show wgx1").status.success() {
        start_exit(world, 1);
    }
}
