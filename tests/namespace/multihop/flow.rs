//! The way through an exit, end to end, and that the observer would see any other.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::lab::{EXIT, OTHER, enable, status_is_true, stop_exit, with_exits};
use super::load::{Flood, KINDS, listen, nothing_escapes};
use super::observer::Observer;
use crate::traffic::{fetch, udp_seen_as, web_server};
use crate::world::{At, SERVER, TestNet, note};

/// Size of a file.
const BYTES: usize = 3_000_000;

#[test]
fn clients_appear_with_the_exit_address() {
    with_exits("multihop::flow::clients_appear_with_the_exit_address", |world| {
        let seen = web_server(BYTES);
        assert_eq!(udp_seen_as(At::Client1), SERVER, "without an exit clients are seen as the server");
        let began = Instant::now();
        let enabled = enable(world, "uk");
        note("multihop", &format!("enable_multihop took {} ms", began.elapsed().as_millis()));
        assert_eq!(enabled["traffic_flow"], format!("Clients → Phantom → VPN Exit ({EXIT}:51821)"));
        world.in_sync();
        let observer = Observer::start(world, "uk");
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        assert_eq!(fetch(At::Client1), BYTES);
        assert_eq!(seen.recv().unwrap().ip().to_string(), EXIT);
        world.reaches(At::Client1, "10.8.0.3");
        let escaped = observer.escaped();
        assert!(escaped.is_empty(), "{} packets: {:?}", escaped.len(), &escaped[..escaped.len().min(5)]);
        let status = status_is_true(world, "uk");
        assert_eq!(status["vpn_interface"]["endpoint"], format!("{EXIT}:51821"), "{status:#}");
        assert_eq!(status["monitor_status"]["monitoring"], true);
        let tested = world.ok(&["multihop", "test_vpn"]);
        assert_eq!(tested["all_tests_passed"], true, "{tested:#}");
        assert!(!Path::new("/etc/owned").exists(), "a hook was executed");
        // Again is no interruption; another one is a switch.
        assert_eq!(enable(world, "uk")["previous_exit"], Value::Null);
        let switched = enable(world, "nl");
        assert_eq!(switched["previous_exit"], "uk");
        assert_eq!(udp_seen_as(At::Client1), OTHER);
        world.in_sync();
        let log = world.ok(&["multihop", "get_session_log"]);
        let events: Vec<&str> =
            log["logs"].as_array().unwrap().iter().map(|record| record["event"].as_str().unwrap()).collect();
        assert!(events.starts_with(&["session_started"]) && events.contains(&"exit_switched"), "{events:?}");
        let disabled = world.ok(&["multihop", "disable_multihop"]);
        assert_eq!(
            (&disabled["previous_exit"], &disabled["interface_cleaned"]),
            (&json!("nl"), &json!(true))
        );
        nothing_is_left(world);
        assert_eq!(udp_seen_as(At::Client1), SERVER);
    });
}

/// That no object of Multihop is on the host.
#[track_caller]
pub(super) fn nothing_is_left(world: &TestNet) {
    world.in_sync();
    let left = world.sh(
        "ip link show wg_vpn 2>&1 || true; ip rule; ip -6 rule; ip route show table 100 2>&1 || true
         ip -6 route show table 100 2>&1 || true; ls /etc/iproute2/rt_tables.d 2>/dev/null || true
         pgrep -fa '[p]hantom-multihop.*monitor' || true",
    );
    let gone = left.contains("does not exist") && !left.contains("lookup 100") && !left.contains("phantom");
    assert!(gone && !left.contains("unreachable"), "{left}");
    assert_eq!(world.ok(&["multihop", "status"])["enabled"], false);
}

/// That the observer sees every kind of traffic that the matrix is about.
#[track_caller]
fn sees_every_kind(world: &TestNet, name: &str, before: impl FnOnce()) {
    let observer = Observer::start(world, name);
    let flood = Flood::start();
    flood.go_on(20);
    before();
    flood.go_on(40);
    let (sent, _) = flood.stop();
    let seen = observer.stop();
    let counts: Vec<_> = KINDS.iter().map(|(kind, filter)| (*kind, seen.count(filter))).collect();
    note("multihop", &format!("{name}: sent {sent:?}, the observer saw {counts:?}"));
    let unseen: Vec<_> = counts.iter().filter(|(_, count)| *count == 0).collect();
    assert!(unseen.is_empty(), "{name}: the observer is blind for {unseen:?}\n{}", world.picture());
    assert!(seen.escaped().len() >= counts.iter().map(|(_, count)| count).sum());
}

#[test]
fn without_kill_switch_observer_sees_the_leak() {
    with_exits("multihop::flow::without_kill_switch_observer_sees_the_leak", |world| {
        listen();
        web_server(100);
        sees_every_kind(world, "direct", || ());
        let enabled = world.ok(&["multihop", "enable_multihop", "exit_name=uk", "kill_switch=false"]);
        assert_eq!(enabled["kill_switch"], false);
        world.in_sync();
        let observer = Observer::start(world, "open");
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        assert!(observer.escaped().is_empty());
        let observer = Observer::start(world, "leak");
        let flood = Flood::start();
        flood.go_on(20);
        world.sh("ip link set wg_vpn down");
        flood.go_on(40);
        flood.stop();
        let seen = observer.stop();
        for (kind, filter) in &KINDS[..4] {
            assert!(seen.count(filter) > 0, "with the kill switch off the observer must see {kind} leak");
        }
        // On again: the same exit, and nothing but the wall is changed.
        let enabled = enable(world, "uk");
        assert_eq!((&enabled["kill_switch"], &enabled["previous_exit"]), (&json!(true), &Value::Null));
        nothing_escapes(world, "closed", || drop(world.sh("ip link set wg_vpn down")));
    });
}

#[test]
fn failed_enable_leaves_the_earlier_state() {
    with_exits("multihop::flow::failed_enable_leaves_the_earlier_state", |world| {
        stop_exit(world, 2);
        let before = world.look();
        let failed = world.fails(&["multihop", "enable_multihop", "exit_name=nl"], "MULTIHOP_ERROR");
        assert_eq!(
            (&failed["data"]["step"], &failed["data"]["restored_exit"]),
            (&json!("handshake"), &Value::Null)
        );
        assert_eq!(failed["data"]["handshake_result"]["success"], false, "{failed:#}");
        assert_eq!(failed["data"]["possible_issues"].as_array().unwrap().len(), 4);
        assert_eq!(before.host, world.look().host);
        assert_eq!(udp_seen_as(At::Client1), SERVER);
        // With another exit active it goes on running, and no packet is moved meanwhile.
        enable(world, "uk");
        let before = world.look();
        nothing_escapes(world, "failed-switch", || {
            let failed = world.fails(&["multihop", "enable_multihop", "exit_name=nl"], "MULTIHOP_ERROR");
            assert_eq!(failed["data"]["restored_exit"], "uk", "{failed:#}");
        });
        assert_eq!(before.host, world.look().host);
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        status_is_true(world, "uk");
        world.in_sync();
    });
}

#[test]
fn large_transfers_pass_within_the_mtu() {
    with_exits("multihop::flow::large_transfers_pass_within_the_mtu", |world| {
        const LARGE: usize = 40_000_000;
        web_server(LARGE);
        enable(world, "uk");
        assert!(world.sh("ip link show wg_vpn").contains("mtu 1380"), "the MTU is the file's");
        let file = "/run/internet.pcap";
        world.spawn(
            At::Internet,
            "tcpdump",
            &["-i", "eth0", "-U", "-w", file, "-Z", "root", "tcp[13] & 2 != 0"],
        );
        let observer = Observer::start(world, "large");
        let began = Instant::now();
        assert_eq!(fetch(At::Client1), LARGE);
        let took: Duration = began.elapsed();
        let seen = observer.stop();
        assert!(seen.escaped().is_empty());
        assert_eq!(seen.count("ip[6:2] & 0x3fff != 0"), 0, "fragments on the uplink");
        // 1380 less the headers of IPv4 and TCP, said by the client to the Internet and by the Internet to the client.
        let said =
            |what: &str| world.sh(&format!("tcpdump -nn -r {file} 2>/dev/null | grep -c '{what}' || true"));
        assert_ne!(said("mss 1340").trim(), "0", "the MSS is not that of the exit");
        note("multihop", &format!("{LARGE} bytes in {} ms", took.as_millis()));
        assert_eq!(udp_seen_as(At::Client1), EXIT);
    });
}
