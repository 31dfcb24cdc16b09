//! Each of the walls by itself: the others are taken away first, so that one that is missing is not hidden by them.

use phantom_tests::same_as_golden;

use super::filters::{IPTABLES, without_nftables};
use super::lab::{NFT_OF_EXITS, enable, with_exits_and};
use crate::ping::ping;
use crate::world::{At, INTERNET, TestNet, wait_for};

/// The programs of Ghost Mode's set-up.
const GHOST: [&str; 3] = ["openssl", "dnsmasq", "dig"];
/// The client that an exit sends to.
const CLIENT: &str = "10.8.0.2";

/// The exit can send anything to clients, as far as WireGuard goes.
fn let_exit_send(world: &TestNet) {
    world.sh_at(
        At::Exit1,
        "ip route add 10.8.0.0/24 dev wgx1
         wg set wgx1 peer $(wg show wgx1 peers) allowed-ips 10.99.1.2/32,10.8.0.0/24",
    );
}

/// Takes our rules at these hooks away, and the filter of the link itself, which has a test of its own.
fn without(world: &TestNet, chains: &[&str]) {
    world.sh("tc qdisc del dev wg_vpn clsact");
    for chain in chains {
        world.sh(&format!("nft flush chain inet phantom_wg {chain}"));
    }
}

/// How many packets have come to the client out of the tunnel.
fn arrived(world: &TestNet) -> u64 {
    world.sh_at(At::Client1, "cat /sys/class/net/c1/statistics/rx_packets").trim().parse().unwrap()
}

#[test]
fn unsolicited_exit_packets_are_stopped_twice() {
    let test = "multihop::walls::unsolicited_exit_packets_are_stopped_twice";
    with_exits_and(
        test,
        &["tc"],
        |_| true,
        |world| {
            enable(world, "uk");
            world.reaches(At::Client1, INTERNET);
            let_exit_send(world);
            for (left, gone) in [
                ("both walls", &[][..]),
                ("the one on the way through", &["prerouting"]),
                ("the one at the door", &["forward"]),
            ] {
                without(world, gone);
                let before = arrived(world);
                assert!(!ping(At::Exit1, CLIENT, 3), "{left}: the client answers an exit");
                assert_eq!(arrived(world), before, "{left}: the client hears an exit");
                world.reaches(At::Client1, INTERNET);
                world.ok(&["core", "reconcile"]);
                world.in_sync();
            }
            // Without any wall he gets through: nothing else kept him out.
            without(world, &["prerouting", "forward", "postrouting"]);
            let through = wait_for(std::time::Duration::from_secs(20), || ping(At::Exit1, CLIENT, 1));
            assert!(through, "there is no way for an exit in the first place");
        },
    );
}

/// Takes away everything that leads packets of clients nowhere, and the exit's table with it.
const NO_WAYS: &str = "ip route flush table 100; ip -6 route flush table 100
    for f in -4 -6; do for p in 100 101; do while ip $f rule del pref $p 2>/dev/null; do :; done; done; done";

/// What `status` says of the kill switch, how many walls it misses, and how the check of the doctor went.
fn told(world: &TestNet) -> (bool, usize, String) {
    let status = world.ok(&["multihop", "status"]);
    let doctor = world.ok(&["core", "doctor"]);
    let checks = doctor["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "kill_switch").unwrap();
    let closed = status["kill_switch"].as_bool().unwrap();
    // Where nothing keeps them in, they leave by the uplink.
    assert_eq!(status["traffic_routing"], if closed { "VPN Exit" } else { "Direct" }, "{status:#}");
    let missing = status.get("missing_walls").map_or(0, |list| list.as_array().unwrap().len());
    (closed, missing, check["state"].as_str().unwrap().to_owned())
}

/// `flush` empties the packet filter; `past` lets connections that go on pass our rules, `beside` changes those that do not
/// concern clients.
fn walls_are_told(world: &TestNet, flush: &str, past: &str, beside: &str) {
    let is = |closed, missing, state: &str| (closed, missing, state.to_owned());
    enable(world, "uk");
    let well = || {
        world.ok(&["core", "reconcile"]);
        assert_eq!(told(world), is(true, 0, "ok"));
    };
    well();
    world.sh(flush);
    assert_eq!(told(world), is(true, 1, "problem"), "the routes are left");
    world.sh(NO_WAYS);
    assert_eq!(told(world), is(false, 3, "problem"), "nothing is left");
    well();
    world.sh(NO_WAYS);
    assert_eq!(told(world), is(true, 2, "problem"), "the packet filter is left");
    world.sh(beside);
    assert_eq!(
        told(world),
        is(true, 3, "problem"),
        "a packet filter that somebody has changed drops all the same"
    );
    world.sh(past);
    assert_eq!(told(world), is(false, 3, "problem"), "a packet filter that somebody has opened");
    well();
    world.sh("ip rule add pref 50 from 10.8.0.0/24 lookup main");
    assert!(told(world).0, "the packet filter is left");
    world.sh(flush);
    assert_eq!(told(world), is(false, 1, "problem"), "a rule before ours leads past the routes");
    world.sh("ip rule del pref 50");
    well();
    // For some destinations alone: what goes elsewhere still leaves by the exit.
    let kept_in = || world.ok(&["multihop", "status"])["kill_switch"] == true;
    for aside in [
        "ip rule add pref 50 to 198.51.100.0/24 lookup main",
        "ip route add 198.51.100.0/24 dev lo table 100",
    ] {
        world.sh(aside);
        assert!(kept_in(), "{aside}: the packet filter is left");
        world.sh(flush);
        assert!(!kept_in(), "{aside}");
        world.sh("ip rule del pref 50 2>/dev/null || ip route del 198.51.100.0/24 table 100");
        well();
    }
    world.reaches(At::Client1, INTERNET);
}

#[test]
fn status_says_which_walls_stand() {
    let test = "multihop::walls::status_says_which_walls_stand";
    with_exits_and(
        test,
        &[],
        |_| true,
        |world| {
            walls_are_told(
                world,
                "nft flush ruleset",
                "nft insert rule inet phantom_wg forward iifname wg_main ct state established accept",
                "nft add rule inet phantom_wg srcnat oifname nowhere masquerade",
            );
        },
    );
}

fn walls_are_told_on_iptables(test: &str, variant: &str) {
    with_exits_and(
        test,
        &IPTABLES,
        |world| without_nftables(world, test, variant),
        |world| {
            walls_are_told(
                world,
                "for p in iptables ip6tables; do for t in mangle nat filter; do $p -t $t -F; done; done",
                "iptables -I PHANTOM-WG-FORWARD 1 -i wg_main -m conntrack --ctstate ESTABLISHED -j ACCEPT",
                "iptables -A PHANTOM-WG-FORWARD -i nowhere -j ACCEPT",
            );
        },
    );
}

#[test]
fn status_lists_barriers_on_iptables_nft() {
    walls_are_told_on_iptables("multihop::walls::status_lists_barriers_on_iptables_nft", "nft");
}

#[test]
fn status_lists_barriers_on_iptables_legacy() {
    walls_are_told_on_iptables("multihop::walls::status_lists_barriers_on_iptables_legacy", "legacy");
}

/// With clients, an exit and Ghost Mode there are all rules of ours that there can be.
fn with_all_rules(world: &TestNet) {
    enable(world, "uk");
    crate::ghost::in_ghost_mode(world);
    world.in_sync();
}

#[test]
fn rules_match_committed_ones_on_nftables() {
    let test = "multihop::walls::rules_match_committed_ones_on_nftables";
    with_exits_and(
        test,
        &GHOST,
        |_| true,
        |world| {
            with_all_rules(world);
            // From 1.1.0 on nft lists this condition in other words.
            let list = world.sh("nft -s list table inet phantom_wg");
            let list = list.replace("tcp flags & (syn | rst) == syn", "tcp flags syn / syn,rst");
            same_as_golden("firewall/nftables.txt", &list);
        },
    );
}

fn on_iptables(test: &str, variant: &str) {
    with_exits_and(
        test,
        &[&IPTABLES[..], &GHOST].concat(),
        |world| without_nftables(world, test, variant),
        |world| {
            // The authority of the test needs no nft, the exits do.
            world.sh(&format!("[ -x {NFT_OF_EXITS} ]"));
            with_all_rules(world);
            // Our chains and the jumps to them, in one order for both implementations.
            let list = "for p in iptables ip6tables; do for t in mangle nat filter; do
                          echo \"$p -t $t\"; $p -t $t -S | grep -i phantom || true; done; done";
            same_as_golden("firewall/iptables.txt", &world.sh(list));
        },
    );
}

#[test]
fn rules_match_committed_ones_on_iptables_nft() {
    on_iptables("multihop::walls::rules_match_committed_ones_on_iptables_nft", "nft");
}

#[test]
fn rules_match_committed_ones_on_iptables_legacy() {
    on_iptables("multihop::walls::rules_match_committed_ones_on_iptables_legacy", "legacy");
}
