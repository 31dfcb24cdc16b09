//! The monitor's services as they are called by the service manager: a trial of an exit, a turn, and the block.

use std::time::Duration;

use serde_json::json;

use super::lab::{EXIT, OTHER, blackhole, status_is_true, with_exits};
use super::load::{listen, nothing_escapes};
use crate::traffic::{udp_answer, udp_seen_as};
use crate::world::{At, INTERNET, TestNet, api, wait_for};

/// What a replaced exit, or a client whose server is a new process, may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// What one datagram may take.
const ONE: Duration = Duration::from_secs(1);

/// A service of the multihop module, as its units call it; it succeeds and says nothing.
#[track_caller]
fn service(words: &[&str]) {
    let output = api().arg("service").args(words).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn returned_exit_is_tested_before_the_switch() {
    with_exits("multihop::monitor::returned_exit_is_tested_before_the_switch", |world| {
        listen();
        world.ok(&["multihop", "enable_multihop", "exit_name=uk", "fallback_exits=nl"]);
        nothing_escapes(world, "replaced", || {
            blackhole(world, 1, true);
            let replaced = || world.ok(&["multihop", "status"])["active_exit"] == "nl";
            assert!(wait_for(PATIENCE, replaced), "{}", world.picture());
        });
        status_is_true(world, "nl");
        blackhole(world, 1, false);
        // A trial needs no way of a client, and leaves none.
        nothing_escapes(world, "tried", || service(&["try", "uk"]));
        status_is_true(world, "nl");
        assert_eq!(udp_seen_as(At::Client1), OTHER);
        world.in_sync();
        nothing_escapes(world, "turned-back", || service(&["turn", "uk"]));
        status_is_true(world, "uk");
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        world.in_sync();
    });
}

#[test]
fn lost_route_stays_closed_without_monitor() {
    with_exits("multihop::monitor::lost_route_stays_closed_without_monitor", |world| {
        listen();
        world.ok(&["multihop", "enable_multihop", "exit_name=uk"]);
        let pid = status_is_true(world, "uk")["monitor_status"]["pid"].as_u64().unwrap();
        world.sh(&format!("kill -9 {pid}"));
        let monitored = || world.ok(&["multihop", "status"])["monitor_status"]["monitoring"] == true;
        assert!(wait_for(PATIENCE, || !monitored()));
        assert_eq!(udp_seen_as(At::Client1), EXIT, "the way needs no monitor");
        nothing_escapes(world, "lost-unmonitored", || {
            world.sh("ip link del wg_vpn");
            world.does_not_reach(At::Client1, INTERNET);
        });
        status_is_true(world, "uk");
        world.ok(&["core", "reconcile"]);
        let now = status_is_true(world, "uk");
        let (monitoring, new) = (&now["monitor_status"]["monitoring"], &now["monitor_status"]["pid"]);
        assert!(*monitoring == true && *new != json!(pid), "{now:#}");
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        world.in_sync();
    });
}

/// Everything that decides where a client's packet goes.
fn way(world: &TestNet) -> String {
    world.sh("ip rule; ip -6 rule; for f in -4 -6; do ip $f route show table 100 2>/dev/null || true; done
         nft list table inet phantom_wg 2>/dev/null || true")
}

#[test]
fn boot_guard_needs_only_the_stored_state() {
    with_exits("multihop::monitor::boot_guard_needs_only_the_stored_state", |world| {
        listen();
        let direct = way(world);
        service(&["block"]);
        assert_eq!(way(world), direct, "there is nobody to keep in");
        world.ok(&["multihop", "enable_multihop", "exit_name=uk"]);
        // As after a boot: nothing of ours is there but what is stored. Meanwhile nobody sends.
        world.sh("for f in /run/phantom-wg/*.pid; do kill -9 $(cut -d' ' -f1 $f) 2>/dev/null || true; done
             rm -f /run/phantom-wg/*.pid
             ip link del wg_vpn 2>/dev/null || true; nft delete table inet phantom_wg
             for p in 99 100 101; do ip rule del priority $p; ip -6 rule del priority $p; done
             ip route flush table 100; ip -6 route flush table 100");
        nothing_escapes(world, "booted", || {
            service(&["block"]);
            let once = way(world);
            let parts = ["99:", "100:", "101:", "unreachable default", "drop"];
            assert!(parts.iter().all(|part| once.contains(part)), "{once}");
            assert!(!once.contains("dev wg_vpn"), "{once}");
            service(&["block"]);
            assert_eq!(way(world), once, "a second time it has nothing to do");
            let link = world.try_at(At::Server, "ip link show wg_vpn");
            assert!(!link.status.success(), "it made a link");
            world.ok(&["core", "reconcile"]);
            // The client's session went with the server's device: it calls again after 15 s without an answer.
            let back = || udp_answer(At::Client1, ONE).as_deref() == Some(EXIT);
            assert!(wait_for(PATIENCE, back), "{}", world.picture());
        });
        world.in_sync();
    });
}
