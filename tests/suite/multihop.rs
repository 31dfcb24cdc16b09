//! Multihop on the host in memory: what is proven before an exit counts, the block before there is a network, and exits
//! that take the place of another.

mod addresses;
mod block;
mod collisions;
mod fallbacks;
mod overtaken;
mod proof;
mod walls;

use phantom_tests::Server;
use phantom_types::{PrivateKey, PublicKey};
use serde_json::json;

use crate::cases::{ENABLE_MULTIHOP, through_exit, with_exit, with_john, with_second_exit};

/// The key of the exit `xeovo-uk`.
fn uk() -> PublicKey {
    PrivateKey::from_random([0x51; 32]).public_key()
}

/// The key of the exit `nl`.
fn nl() -> PublicKey {
    PrivateKey::from_random([0x61; 32]).public_key()
}

/// How a line of the dump shows that packets of clients are dropped.
const BLOCK: &str = "[In { interface: \"wg_main\", not: false }] => Drop";

fn is_closed(server: &Server) -> bool {
    server.fake.dump().lines().any(|line| line.contains("Forward") && line.ends_with(BLOCK))
}

#[test]
fn exit_without_echo_is_verified_otherwise() {
    let said = "does not answer echo requests";
    for (drops, more, told) in [
        (false, &[][..], false),
        // An answer from behind the exit says more than an echo of its own, and nobody waits for that.
        (true, &[], false),
        (false, &["probe=off"], false),
        (true, &["probe=off"], true),
    ] {
        let server = with_exit();
        if drops {
            server.fake.let_peer_drop_echoes(uk());
        }
        let answer = server.api(&[ENABLE_MULTIHOP, more].concat());
        assert!(answer.success() && answer.err.contains(said) == told, "{drops} {more:?}: {}", answer.err);
    }
}

#[test]
fn older_handshake_is_no_verification() {
    let server = with_second_exit(through_exit());
    // Both exits have answered once, and do not answer any more.
    server.api(&["multihop", "enable_multihop", "exit_name=nl"]).ok();
    server.fake.advance(std::time::Duration::from_mins(1));
    server.fake.let_peer_answer(uk(), false);
    let refused = server.api(ENABLE_MULTIHOP).failed("MULTIHOP_ERROR");
    assert_eq!(
        (&refused["data"]["step"], &refused["data"]["restored_exit"]),
        (&json!("handshake"), &json!("nl"))
    );
    server.assert_in_sync();
}

#[test]
fn stopped_server_has_no_exit_route() {
    let server = with_exit();
    server.api(&["core", "stop_service"]).ok();
    let refused = server.api(ENABLE_MULTIHOP).failed("MULTIHOP_ERROR");
    assert_eq!(refused["data"]["step"], "interface", "{refused:#}");
    server.api(&["core", "start_service"]).ok();
    server.api(ENABLE_MULTIHOP).ok();
    // Whoever stops the server stops the way to the exit and its monitor, and nobody is let out.
    server.api(&["core", "stop_service"]).ok();
    let status = server.api(&["multihop", "status"]).ok();
    assert_eq!((&status["enabled"], &status["monitor_status"]["monitoring"]), (&json!(true), &json!(false)));
    assert!(is_closed(&server));
    server.api(&["core", "start_service"]).ok();
    assert_eq!(server.api(&["multihop", "status"]).ok()["monitor_status"]["monitoring"], true);
    server.assert_in_sync();
}

#[test]
fn halted_monitor_does_not_monitor() {
    let server = through_exit();
    let monitor = || server.api(&["multihop", "status"]).ok()["monitor_status"].clone();
    let pid = monitor()["pid"].clone();
    for (state, monitors) in [("S", true), ("T", false), ("R", true)] {
        let stat = format!("{pid} (phantom (T) x) {state} 1 {pid} {pid} 0 -1 4194560");
        server.fake.put_file(&format!("/proc/{pid}/stat"), stat.as_bytes(), 0o444, 0);
        assert_eq!(monitor()["monitoring"], monitors, "{state}: {:#}", monitor());
    }
}

#[test]
fn active_kill_switch_toggles_without_interruption() {
    let server = through_exit();
    let with = |value: &str| {
        let word = format!("kill_switch={value}");
        let answer = server.api(&["multihop", "enable_multihop", "exit_name=xeovo-uk", &word]).ok();
        assert_eq!((&answer["kill_switch"], answer.get("previous_exit")), (&json!(value == "true"), None));
        server.assert_in_sync();
        assert!(!server.fake.write_log().iter().any(|write| write.contains("wireguard.configure")));
        (is_closed(&server), server.fake.dump().contains("unreachable"))
    };
    assert_eq!(with("false"), (false, false));
    assert_eq!(with("true"), (true, true));
}

#[test]
fn second_exit_opens_after_verification_without_killswitch() {
    let server = with_second_exit(through_exit());
    server.fake.let_peer_answer(nl(), false);
    server
        .api(&["multihop", "enable_multihop", "exit_name=nl", "kill_switch=false"])
        .failed("MULTIHOP_ERROR");
    assert!(is_closed(&server));
    server.fake.let_peer_answer(nl(), true);
    server.api(&["multihop", "enable_multihop", "exit_name=nl", "kill_switch=false"]).ok();
    assert!(!is_closed(&server));
    server.assert_in_sync();
    // An exit in use as what it is: nothing of it is left when it is disabled.
    server.api(&["multihop", "disable_multihop"]).ok();
    server.api(&["multihop", "remove_vpn_config", "exit_name=nl"]).ok();
    server.api(&["multihop", "remove_vpn_config", "exit_name=xeovo-uk"]).ok();
    server.assert_in_sync();
    let never = with_john();
    let links = |server: &Server| server.fake.dump().lines().filter(|line| line.starts_with("wg_")).count();
    assert_eq!(links(&server), links(&never));
}
