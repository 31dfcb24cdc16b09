//! Whether an exit passes anything, shown by a DNS question that goes through it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::lab::{EXIT, OTHER, enable, status_is_true, with_exits};
use super::load::{listen, nothing_escapes};
use crate::traffic::udp_seen_as;
use crate::world::{At, INTERNET, TestNet, long, note, wait_for};

/// The exit shakes hands and answers echo requests, and passes nothing on; or it passes everything again.
fn pass(world: &TestNet, n: u8, on: bool) {
    world.sh(&format!("ip netns exec exit{n} sysctl -qw net.ipv4.ip_forward={}", u8::from(on)));
}

#[test]
fn exit_without_traffic_is_not_accepted() {
    with_exits("multihop::proof::exit_without_traffic_is_not_accepted", |world| {
        listen();
        pass(world, 1, false);
        let refused = world.fails(&["multihop", "enable_multihop", "exit_name=uk"], "MULTIHOP_ERROR");
        assert_eq!(refused["data"]["step"], "verify", "{refused:#}");
        assert_eq!(world.ok(&["multihop", "status"])["enabled"], false);
        world.in_sync();
        world.reaches(At::Client1, INTERNET);
        // Whoever says that nobody is to be asked gets what he asks for, and is told.
        let off = world.ok(&["multihop", "enable_multihop", "exit_name=uk", "probe=off"]);
        assert_eq!(off["connection_verified"], false, "{off:#}");
        assert_eq!(status_is_true(world, "uk")["probe"], "off");
        pass(world, 1, true);
        assert_eq!(enable(world, "uk")["connection_verified"], true);
        let proof = &status_is_true(world, "uk")["service_proof"];
        assert_eq!((&proof["passed"], &proof["asked"]), (&json!(true), &json!("8.8.8.8")), "{proof:#}");
        assert_eq!(udp_seen_as(At::Client1), EXIT);
    });
}

#[test]
fn switching_to_exit_without_traffic_leaks_nothing() {
    with_exits("multihop::proof::switching_to_exit_without_traffic_leaks_nothing", |world| {
        listen();
        enable(world, "uk");
        pass(world, 2, false);
        nothing_escapes(world, "switch-to-an-exit-that-passes-nothing", || {
            let words = ["multihop", "enable_multihop", "exit_name=nl"];
            let refused = world.fails(&words, "MULTIHOP_ERROR");
            assert_eq!(refused["data"]["restored_exit"], "uk", "{refused:#}");
        });
        status_is_true(world, "uk");
        world.reaches(At::Client1, INTERNET);
        assert_eq!(udp_seen_as(At::Client1), EXIT);
        pass(world, 2, true);
        nothing_escapes(world, "switch-to-an-exit-that-passes", || enable(world, "nl"));
        assert_eq!(udp_seen_as(At::Client1), OTHER);
        world.in_sync();
    });
}

#[test]
fn active_exit_without_traffic_is_replaced() {
    let test = "multihop::proof::active_exit_without_traffic_is_replaced";
    with_exits(test, |world| {
        if !long() {
            return phantom_tests::skip(test, "takes two minutes; PHANTOM_TEST_LONG=1 runs it");
        }
        listen();
        world.ok(&["multihop", "enable_multihop", "exit_name=uk", "fallback_exits=nl"]);
        nothing_escapes(world, "passes-nothing-any-more", || {
            pass(world, 1, false);
            let began = Instant::now();
            let replaced = || {
                crate::ping::ping(At::Client2, INTERNET, 1);
                world.ok(&["multihop", "status"])["active_exit"] == "nl"
            };
            assert!(wait_for(Duration::from_mins(4), replaced), "{}", world.picture());
            note(
                "multihop",
                &format!("passes nothing: replaced after {:.0} s", began.elapsed().as_secs_f64()),
            );
            assert!(began.elapsed() > Duration::from_mins(1), "a few packets may be lost");
        });
        status_is_true(world, "nl");
        assert_eq!(udp_seen_as(At::Client1), OTHER);
        world.in_sync();
    });
}

#[test]
fn doctor_asks_client_servers_by_the_exit() {
    with_exits("multihop::proof::doctor_asks_client_servers_by_the_exit", |world| {
        let words = ["dns", "change_dns_servers", "primary=8.8.8.8", "secondary=8.8.8.8"];
        world.ok(&words);
        let check = || {
            let doctor = world.ok(&["core", "doctor"]);
            let checks = doctor["checks"].as_array().unwrap();
            checks.iter().find(|check| check["name"] == "dns_servers").unwrap().clone()
        };
        enable(world, "uk");
        // By the exit there is no such name, which is an answer of no use to clients.
        let found = check();
        assert_eq!(found["state"], "problem", "{found:#}");
        assert!(found["text"].as_str().unwrap().contains("(wg_vpn)"), "{found:#}");
    });
}
