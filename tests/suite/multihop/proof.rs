//! The proof of service: a DNS question by the exit, when an exit is enabled and now and then after it.

use std::time::Duration;

use phantom_multihop::monitor::Monitor;
use phantom_tests::Server;
use serde_json::{Value, json};

use super::{nl, uk};
use crate::cases::{ENABLE_MULTIHOP, through_exit, with_exit, with_second_exit};

fn status(server: &Server) -> Value {
    server.api(&["multihop", "status"]).ok()
}

fn enable(server: &Server, words: &[&str]) -> phantom_tests::Answer {
    server.api(&[ENABLE_MULTIHOP, words].concat())
}

#[test]
fn exit_without_traffic_is_not_enabled() {
    let server = with_exit();
    server.fake.let_peer_pass(uk(), false);
    let refused = enable(&server, &[]).failed("MULTIHOP_ERROR");
    assert_eq!(refused["data"]["step"], "verify", "{refused:#}");
    let why = refused["data"]["test_result"]["error"].as_str().unwrap();
    assert!(why.contains("DNS question") && why.contains("probe=off"), "{why}");
    assert_eq!(status(&server)["enabled"], false);
    server.assert_in_sync();
    server.fake.let_peer_pass(uk(), true);
    assert_eq!(enable(&server, &[]).ok()["connection_verified"], true);
    let status = status(&server);
    assert_eq!(status["service_proof"], json!({ "passed": true, "asked": "8.8.8.8", "age_seconds": 0 }));
    assert!(status.get("probe").is_none(), "{status:#}");
}

#[test]
fn switch_to_exit_without_traffic_rolls_back() {
    let server = with_second_exit(through_exit());
    server.fake.let_peer_pass(nl(), false);
    let refused = server.api(&["multihop", "enable_multihop", "exit_name=nl"]).failed("MULTIHOP_ERROR");
    let data = &refused["data"];
    assert_eq!(
        (&data["step"], &data["restored_exit"]),
        (&json!("verify"), &json!("xeovo-uk")),
        "{refused:#}"
    );
    let status = status(&server);
    assert_eq!((&status["active_exit"], &status["kill_switch"]), (&json!("xeovo-uk"), &json!(true)));
    assert_eq!(status["service_proof"]["passed"], true, "that of the exit in use");
    server.assert_in_sync();
    // The exit in use is verified again, too.
    server.fake.let_peer_pass(uk(), false);
    enable(&server, &[]).failed("MULTIHOP_ERROR");
    assert_eq!(self::status(&server)["active_exit"], "xeovo-uk");
}

#[test]
fn operator_chooses_who_is_probed() {
    let server = with_exit();
    server.fake.let_peer_pass(uk(), false);
    let answer = enable(&server, &["probe=off"]).ok();
    assert_eq!(
        (&answer["connection_verified"], &answer["handshake_established"]),
        (&json!(false), &json!(true))
    );
    let told = status(&server);
    assert_eq!((&told["probe"], told.get("service_proof")), (&json!("off"), None), "{told:#}");
    server.fake.let_peer_pass(uk(), true);
    assert_eq!(enable(&server, &["probe=9.9.9.9"]).ok()["connection_verified"], true);
    let told = status(&server);
    assert_eq!((&told["probe"], &told["service_proof"]["asked"]), (&json!("9.9.9.9"), &json!("9.9.9.9")));
    // Without the word it is the clients' own servers again, and nothing is left of it when there is no exit.
    enable(&server, &[]).ok();
    assert!(status(&server).get("probe").is_none());
    enable(&server, &["probe=9.9.9.9"]).ok();
    server.api(&["multihop", "disable_multihop"]).ok();
    let told = status(&server);
    assert_eq!((told.get("probe"), told.get("service_proof")), (None, None), "{told:#}");
    for wrong in
        ["on", "OFF", "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "2001:db8::1", "dns.google"]
    {
        let refused = enable(&server, &[&format!("probe={wrong}")]).failed("INVALID_PARAMETER");
        assert_eq!(refused["data"]["parameter"], "probe", "{refused:#}");
    }
    // And nobody who is not behind the exit: the VPN, the server with all its addresses, and those that exits give it.
    for near in ["10.8.0.1", "10.8.0.9", phantom_tests::SERVER_IP, "10.99.0.2", "0.8.8.8", "240.0.0.1"] {
        let refused = enable(&server, &[&format!("probe={near}")]).failed("INVALID_PARAMETER");
        assert_eq!(refused["data"]["parameter"], "probe", "{refused:#}");
    }
}

#[test]
fn second_client_resolver_is_probed_next() {
    let server = with_exit();
    server.fake.set_answer("8.8.8.8".parse().unwrap(), None, Err(phantom_host::ProbeError::Timeout));
    assert_eq!(enable(&server, &[]).ok()["connection_verified"], true);
    assert_eq!(status(&server)["service_proof"]["asked"], "8.8.4.4");
    server.fake.set_answer("8.8.4.4".parse().unwrap(), None, Err(phantom_host::ProbeError::Unreachable));
    enable(&server, &[]).failed("MULTIHOP_ERROR");
    // A refusal has come back as well as an answer.
    let refused = phantom_host::ProbeError::NoAddress { rcode: "REFUSED".into(), elapsed: Duration::ZERO };
    server.fake.set_answer("8.8.4.4".parse().unwrap(), None, Err(refused));
    enable(&server, &[]).ok();
}

#[test]
fn servers_outside_the_exit_prove_nothing() {
    let server = with_exit();
    let words = ["dns", "change_dns_servers", "primary=10.8.0.1", "secondary=10.8.0.1"];
    server.api(&words).ok();
    let answer = enable(&server, &[]);
    assert!(answer.err.contains("clients reach none of their DNS servers by it"), "{}", answer.err);
    assert_eq!(answer.ok()["connection_verified"], false);
    assert!(status(&server).get("service_proof").is_none());
}

#[test]
fn only_the_monitor_probes() {
    let server = through_exit();
    let engine = server.phantom();
    let mut monitor = Monitor::new(engine.engine());
    let mut watch = |minutes: u32| {
        for _ in 0..minutes * 60 {
            monitor.tick();
            server.fake.advance(Duration::from_secs(1));
        }
    };
    watch(3);
    let told = status(&server);
    assert!(told["service_proof"]["age_seconds"].as_u64().unwrap() >= 180, "{told:#}");
    let before = server.tree();
    assert_eq!(status(&server), told);
    assert_eq!(server.tree(), before);
    server.fake.let_peer_pass(uk(), false);
    watch(3);
    let told = status(&server);
    assert_eq!(told["service_proof"]["passed"], false, "{told:#}");
    assert!(told["service_proof"]["age_seconds"].as_u64().unwrap() < 120, "{told:#}");
    assert_eq!((&told["enabled"], &told["active_exit"]), (&json!(true), &json!("xeovo-uk")));
    server.fake.let_peer_pass(uk(), true);
    watch(6);
    assert_eq!(status(&server)["service_proof"]["passed"], true);
}
