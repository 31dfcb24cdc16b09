//! The same events with the watcher: nothing escapes either, and everything comes back by itself.

use std::time::{Duration, Instant};

use super::lab::{EXIT, enable, status_is_true, with_exits};
use super::load::{listen, nothing_escapes};
use crate::traffic::udp_seen_as;
use crate::world::{At, INTERNET, note, wait_for};

/// What somebody removes, and how.
const REMOVERS: [(&str, &str); 9] = [
    ("watched-nft-flushed", "nft flush ruleset"),
    ("watched-routes-flushed", "ip route flush table 100; ip -6 route flush table 100"),
    ("watched-both-flushed", "nft flush ruleset; ip route flush table 100"),
    (
        "watched-rules-flushed",
        "for f in -4 -6; do for p in 99 100; do while ip $f rule del pref $p 2>/dev/null; do :; done; done; done",
    ),
    ("watched-addresses-flushed", "ip addr flush dev wg_vpn"),
    ("watched-link-deleted", "ip link del wg_vpn"),
    // In the places of ours.
    ("watched-route-replaced", "ip route replace default dev wg_vpn table 100"),
    (
        "watched-guard-replaced",
        "for h in ingress egress; do tc filter del dev wg_vpn $h
           tc filter add dev wg_vpn $h pref 7 bpf da bytecode '1,6 0 0 0'; done",
    ),
    // The same place and number, and lets everything pass.
    (
        "watched-guard-opened",
        "for h in ingress egress; do
           tc filter replace dev wg_vpn $h protocol all pref 1 handle 1 bpf da bytecode '1,6 0 0 0'; done",
    ),
];

#[test]
fn exit_route_is_repaired_without_a_leak() {
    with_exits("multihop::watched::exit_route_is_repaired_without_a_leak", |world| {
        listen();
        enable(world, "uk");
        for (name, remover) in REMOVERS {
            let began = nothing_escapes(world, name, || {
                let began = Instant::now();
                world.sh(remover);
                began
            });
            let back = wait_for(Duration::from_secs(20), || {
                world.call(&["core", "reconcile", "dry_run=true"])["data"]["in_sync"] == true
            });
            let log = world.sh("cat /opt/phantom-wg/logs/phantom-watch.log || true");
            assert!(back, "{name}: not back\n{log}");
            note("multihop", &format!("{name}: looked at after {} ms", began.elapsed().as_millis()));
            world.reaches(At::Client1, INTERNET);
            assert_eq!(udp_seen_as(At::Client1), EXIT, "{name}");
            status_is_true(world, "uk");
        }
    });
}
