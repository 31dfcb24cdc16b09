//! What somebody, or some program, does to the host while clients send all they can.

use std::process::Command;
use std::time::{Duration, Instant};

use super::flow::nothing_is_left;
use super::lab::{EXIT, enable, start_exit, status_is_true, with_exits};
use super::load::{listen, nothing_escapes};
use crate::ping::ping;
use crate::traffic::udp_seen_as;
use crate::world::{At, INTERNET, SERVER, TestNet, note, programs, wait_for};

/// Something that happens, and how.
type Event = (&'static str, &'static str);

/// Links, routes and rules.
const NETWORK: [Event; 8] = [
    ("link-down", "ip link set wg_vpn down"),
    ("link-deleted", "ip link del wg_vpn"),
    ("routes-flushed", "ip route flush table 100; ip -6 route flush table 100"),
    ("unreachable-gone", "ip route flush table 100 type unreachable; ip -6 route flush table 100"),
    (
        "rules-flushed",
        "for f in -4 -6; do for p in 99 100 101; do while ip $f rule del pref $p 2>/dev/null; do :; done; done; done",
    ),
    (
        "all-rules-flushed",
        "ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default; ip -6 rule flush; ip -6 rule add pref 32766 lookup main",
    ),
    ("main-down", "ip link set wg_main down"),
    ("main-deleted", "ip link del wg_main"),
];

/// The packet filter, and processes.
const REST: [Event; 6] = [
    ("nft-flushed", "nft flush ruleset"),
    ("table-deleted", "nft delete table inet phantom_wg"),
    ("monitor-killed", "pkill -9 -f '[p]hantom-multihop'"),
    ("device-killed", "pkill -9 -f '[p]hantom-wg-device wg_vpn' || ip link del wg_vpn"),
    ("main-device-killed", "pkill -9 -f '[p]hantom-wg-device wg_main' || ip link del wg_main"),
    ("exit-stopped", "pkill -f '[w]ireguard-go wgx1'"),
];

/// How long something that heals by itself may take: it is looked at for this long.
const BY_ITSELF: Duration = Duration::from_secs(3);
/// A device that is gone is missed after five seconds, and made again.
const NEW_DEVICE: Duration = Duration::from_secs(30);

/// Lets each event happen: nothing escapes, `status` tells the truth, and the host can be rolled back.
fn survives(world: &TestNet, events: &[Event]) {
    listen();
    enable(world, "uk");
    for (name, external_change) in events {
        nothing_escapes(world, name, || drop(world.sh(external_change)));
        let began = Instant::now();
        let heals = ["link-deleted", "device-killed"].contains(name);
        let healed = wait_for(if heals { NEW_DEVICE } else { BY_ITSELF }, || ping(At::Client2, INTERNET, 1));
        let seconds = began.elapsed().as_secs();
        note(
            "multihop",
            &if healed { format!("{name}: healed, {seconds} s") } else { format!("{name}: stays blocked") },
        );
        assert!(healed || !heals, "{name}: the monitor does not bring the device back\n{}", world.picture());
        status_is_true(world, "uk");
        if *name == "exit-stopped" {
            stop_exit_rest(world);
        }
        world.ok(&["core", "reconcile"]);
        world.in_sync();
        if name.starts_with("main") {
            world.begin_anew(At::Client1);
            world.begin_anew(At::Client2);
        }
        world.reaches(At::Client1, INTERNET);
        world.reaches(At::Client2, INTERNET);
        assert_eq!(udp_seen_as(At::Client1), EXIT, "{name}");
        let status = status_is_true(world, "uk");
        assert_eq!(status["monitor_status"]["monitoring"], true, "{name}: {status:#}");
    }
}

/// Brings the first exit back after its process has ended.
fn stop_exit_rest(world: &TestNet) {
    world.sh("ip -n exit1 link del wgx1 2>/dev/null || true");
    start_exit(world, 1);
}

#[test]
fn link_and_route_changes_leak_nothing() {
    with_exits("multihop::matrix::link_and_route_changes_leak_nothing", |world| {
        survives(world, &NETWORK);
    });
}

#[test]
fn filter_and_process_changes_leak_nothing() {
    with_exits("multihop::matrix::filter_and_process_changes_leak_nothing", |world| {
        survives(world, &REST);
    });
}

#[test]
fn requests_to_the_server_leak_nothing() {
    with_exits("multihop::matrix::requests_to_the_server_leak_nothing", |world| {
        listen();
        enable(world, "uk");
        for (words, exit) in [
            (&["core", "restart_service"][..], "uk"),
            (&["multihop", "enable_multihop", "exit_name=uk"], "uk"),
            (&["multihop", "enable_multihop", "exit_name=nl"], "nl"),
            (&["multihop", "enable_multihop", "exit_name=uk"], "uk"),
            (&["core", "add_client", "client_name=new"], "uk"),
            (&["core", "remove_client", "client_name=new"], "uk"),
            (&["core", "setup", "port=51820"], "uk"),
            (&["multihop", "test_vpn"], "uk"),
            (&["multihop", "remove_vpn_config", "exit_name=nl"], "uk"),
        ] {
            nothing_escapes(world, &words.join("-").replace('=', "-"), || drop(world.ok(words)));
            world.in_sync();
            status_is_true(world, exit);
            if words[1] == "restart_service" {
                world.begin_anew(At::Client1);
            }
            world.reaches(At::Client1, INTERNET);
        }
        nothing_escapes(world, "subnet-refused", || {
            let words = ["core", "change_subnet", "new_subnet=10.44.0.0/24", "confirm=true"];
            world.fails(&words, "VALIDATION_ERROR");
        });
        nothing_escapes(world, "service-stopped", || drop(world.ok(&["core", "stop_service"])));
        status_is_true(world, "uk");
        nothing_escapes(world, "service-started", || drop(world.ok(&["core", "start_service"])));
        world.begin_anew(At::Client1);
        world.reaches(At::Client1, INTERNET);
        status_is_true(world, "uk");
        world.ok(&["multihop", "reset_state"]);
        nothing_is_left(world);
        assert_eq!(udp_seen_as(At::Client1), SERVER);
    });
}

#[test]
fn factory_reset_leaks_nothing() {
    let test = "multihop::matrix::factory_reset_leaks_nothing";
    with_exits(test, |world| {
        listen();
        enable(world, "uk");
        let reset = nothing_escapes(world, "factory-reset", || {
            Command::new(programs().join("factory-reset")).arg("--yes").output().unwrap()
        });
        assert!(reset.status.success(), "{reset:?}");
        nothing_is_left(world);
        assert_eq!(world.ok(&["core", "list_clients"])["total"], 0);
    });
}
