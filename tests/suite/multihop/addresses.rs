//! Exits whose name has several addresses, and exits that are one server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use phantom_host::{Files as _, ProbeError};
use phantom_multihop::monitor::Monitor;
use phantom_multihop::rows::MultihopState as _;
use phantom_store::State;
use phantom_tests::Server;
use serde_json::json;

use super::{nl, uk};
use crate::cases::{ENABLE_MULTIHOP, through_exit, with_exit, with_second_exit};

const NAME: &str = "uk.gw.xeovo.com";
const FIRST: &str = "185.213.155.1";
const SECOND: &str = "2001:db8:7::2";
const THIRD: &str = "185.213.155.3";

fn at(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 51820)
}

/// The name of the exit leads to these.
fn leads(server: &Server, addresses: &[&str]) {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    server.fake.set_lookup(NAME.parse().unwrap(), Ok(addresses));
}

fn lose(server: &Server, lost: &[&str]) {
    for address in [FIRST, SECOND, THIRD] {
        server.fake.lose_what_is_sent_to(at(address), lost.contains(&address));
    }
}

/// Where the exit in use is sought, by what is stored and by the device.
fn sought(server: &Server) -> String {
    let stored = server.store().read(State::multihop).unwrap().unwrap();
    let key = if stored.active_exit.as_str() == "nl" { nl() } else { uk() };
    let device = server.fake.peer("wg_vpn", &key).unwrap().config.endpoint;
    assert_eq!(stored.endpoint_address, device);
    device.unwrap().ip().to_string()
}

#[test]
fn the_first_address_that_answers_is_used() {
    for lost in [&[][..], &[FIRST], &[FIRST, SECOND], &[SECOND, THIRD]] {
        for server in [with_exit(), with_second_exit(with_exit())] {
            leads(&server, &[FIRST, SECOND, THIRD]);
            lose(&server, lost);
            // From none, and beside another one.
            let beside = server.api(&["multihop", "enable_multihop", "exit_name=nl"]).exit == 0;
            let enabled = server.api(ENABLE_MULTIHOP).ok();
            let expected = [FIRST, SECOND, THIRD].into_iter().find(|one| !lost.contains(one)).unwrap();
            assert_eq!(sought(&server), expected, "{lost:?}, beside another: {beside}");
            assert_eq!(
                enabled["traffic_flow"],
                format!("Clients → Phantom → VPN Exit ({})", at(expected)),
                "the address that is in use is told"
            );
            server.assert_in_sync();
            // The same exit again: where it answers it stays, and else it is found.
            server.api(ENABLE_MULTIHOP).ok();
            assert_eq!(sought(&server), expected);
            server.fake.advance(Duration::from_mins(10));
            lose(&server, &[expected]);
            server.api(ENABLE_MULTIHOP).ok();
            assert_ne!(sought(&server), expected);
            server.assert_in_sync();
        }
    }
}

#[test]
fn an_exit_that_answers_nowhere_changes_nothing() {
    let server = with_second_exit(with_exit());
    server.api(&["multihop", "enable_multihop", "exit_name=nl"]).ok();
    leads(&server, &[FIRST, SECOND, THIRD]);
    lose(&server, &[FIRST, SECOND, THIRD]);
    let before = server.dump();
    let refused = server.api(ENABLE_MULTIHOP).failed("MULTIHOP_ERROR");
    assert_eq!(refused["data"]["step"], "handshake", "{refused:#}");
    assert_eq!(server.dump(), before);
    server.assert_in_sync();
}

#[test]
fn reason_for_unresolved_name_is_reported() {
    let server = with_exit();
    let refused = ProbeError::NoAddress { rcode: "SERVFAIL".into(), elapsed: Duration::ZERO };
    for (answer, en, tr) in [
        (Ok(Vec::new()), "it has no address", "bu ada ait bir adres yok"),
        (Err(ProbeError::Timeout), "no DNS server of this server answered", "hiçbiri yanıt vermedi"),
        (Err(ProbeError::Unreachable), "no DNS server of this server answered", "hiçbiri yanıt vermedi"),
        (Err(refused), "answered with an error", "hata bildirdi"),
    ] {
        server.fake.set_lookup(NAME.parse().unwrap(), answer);
        let said = |lang: &[&str]| {
            let refused = server.api(&[lang, ENABLE_MULTIHOP].concat()).failed("MULTIHOP_ERROR");
            refused["data"]["handshake_result"]["error"].as_str().unwrap().to_owned()
        };
        assert!(said(&[]).contains(en), "{}", said(&[]));
        assert!(said(&["--lang", "tr"]).contains(tr), "{}", said(&["--lang", "tr"]));
    }
}

#[test]
fn failed_resolution_reports_its_cause() {
    let server = with_exit();
    server.fake.fail_lookups(true);
    let before = server.dump();
    let failed = server.api(ENABLE_MULTIHOP).failed("MULTIHOP_ERROR");
    assert_eq!(failed["data"]["step"], "handshake", "{failed:#}");
    let said = failed["error"].as_str().unwrap();
    assert!(said.contains("starting to ask DNS servers") && !said.contains("resolv.conf"), "{said}");
    assert_eq!(server.dump(), before);
}

#[test]
fn idle_change_keeps_the_exit_peer() {
    let server = with_exit();
    leads(&server, &[FIRST, SECOND, THIRD]);
    server.api(&[ENABLE_MULTIHOP, &["kill_switch=false"]].concat()).ok();
    let peer = || server.fake.peer("wg_vpn", &uk()).map(|peer| (peer.config.endpoint, peer.last_handshake));
    let before = peer();
    assert!(before.is_some_and(|(_, handshake)| handshake.is_some()));
    server.fake.advance(Duration::from_secs(30));
    // The same exit again with a kill switch: the host refuses the first thing that is done to it.
    server.fake.reset_writes();
    server.fake.refuse_write(1);
    server.api(ENABLE_MULTIHOP).failed("MULTIHOP_ERROR");
    let log = server.fake.write_log();
    assert!(!log.iter().any(|write| write.contains("wireguard.configure")), "{log:?}");
    assert_eq!(peer(), before, "with the session that it had");
    server.assert_in_sync();
}

/// A server whose programs do what they do when the monitor runs them, through the exit with these addresses.
fn watched(fallback: bool) -> Arc<Server> {
    let server = with_second_exit(with_exit());
    leads(&server, &[FIRST, SECOND, THIRD]);
    let more: &[&str] = if fallback { &["fallback_exits=nl"] } else { &[] };
    server.api(&[ENABLE_MULTIHOP, more].concat()).ok();
    let server = Arc::new(server);
    let weak = Arc::downgrade(&server);
    server.fake.set_runner(move |command| {
        let Some(server) = weak.upgrade() else { return false };
        let words: Vec<&str> = command.args.iter().map(String::as_str).collect();
        server.api(&words).exit == 0
    });
    server
}

/// Clients send, once a second, until something holds; says after how many seconds.
fn until(monitor: &mut Monitor<'_>, server: &Server, limit: u64, holds: impl Fn() -> bool) -> Option<u64> {
    for second in 0..limit {
        if holds() {
            return Some(second);
        }
        for key in [uk(), nl()] {
            if let Some(peer) = server.fake.peer("wg_vpn", &key) {
                let heard = peer.config.endpoint.is_some_and(|at| !server.fake.loses_what_is_sent_to(at));
                let bytes = (peer.rx_bytes + if heard { 1312 } else { 0 }, peer.tx_bytes + 1312);
                let at = peer.config.endpoint;
                server.fake.set_peer_traffic("wg_vpn", &key, at, peer.last_handshake, bytes);
            }
        }
        monitor.tick();
        server.fake.advance(Duration::from_secs(1));
    }
    None
}

#[test]
fn monitor_tries_other_addresses_of_dead_exit() {
    for fallback in [false, true] {
        let server = watched(fallback);
        let phantom = server.phantom();
        let mut monitor = Monitor::new(phantom.engine());
        assert_eq!(until(&mut monitor, &server, 60, || sought(&server) != FIRST), None);
        lose(&server, &[FIRST, SECOND]);
        let found = until(&mut monitor, &server, 60, || sought(&server) == THIRD);
        assert!(found.is_some_and(|seconds| seconds < 40), "fallback {fallback}: {found:?}");
        // It stays there, also when its name is asked for again.
        assert_eq!(until(&mut monitor, &server, 4_000, || sought(&server) != THIRD), None);
        let log = server.api(&["multihop", "get_session_log", "lines=1000"]).ok();
        let count =
            |event: &str| log["logs"].as_array().unwrap().iter().filter(|one| one["event"] == event).count();
        assert_eq!((count("endpoint_changed"), count("reconnected"), count("exit_switched")), (2, 1, 0));
        server.assert_in_sync();
    }
}

#[test]
fn exit_is_replaced_when_all_addresses_fail() {
    let server = watched(true);
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine());
    until(&mut monitor, &server, 5, || false);
    lose(&server, &[FIRST, SECOND, THIRD]);
    let active = || server.api(&["multihop", "status"]).ok()["active_exit"].take();
    let replaced = until(&mut monitor, &server, 60, || active() == "nl");
    assert!(replaced.is_some_and(|seconds| seconds < 45), "{replaced:?}");
    server.assert_in_sync();
    // The chosen one is tried at all of them, and gets its place back where it answers.
    lose(&server, &[FIRST]);
    assert!(until(&mut monitor, &server, 3_000, || active() == "xeovo-uk").is_some());
    assert_eq!(sought(&server), SECOND);
    server.assert_in_sync();
}

#[test]
fn changing_addresses_do_not_delay_the_fallback() {
    let server = watched(true);
    let phantom = server.phantom();
    let mut monitor = Monitor::new(phantom.engine());
    until(&mut monitor, &server, 5, || false);
    lose(&server, &[FIRST, SECOND, THIRD]);
    let pool = |turn: u8| (0..100).map(move |number| IpAddr::from([185, 213, 156 + turn, number]));
    for address in (0..60).flat_map(pool) {
        server.fake.lose_what_is_sent_to(SocketAddr::new(address, 51820), true);
    }
    let turn = std::cell::Cell::new(0);
    let replaced = until(&mut monitor, &server, 60, || {
        server.fake.set_lookup(NAME.parse().unwrap(), Ok(pool(turn.replace(turn.get() + 1)).collect()));
        server.api(&["multihop", "status"]).ok()["active_exit"] == "nl"
    });
    assert!(replaced.is_some_and(|seconds| seconds < 45), "{replaced:?}");
    let log = server.api(&["multihop", "get_session_log", "lines=1000"]).ok();
    let calls =
        log["logs"].as_array().unwrap().iter().filter(|one| one["event"] == "endpoint_changed").count();
    assert!((1..=3).contains(&calls), "{log:#}");
    server.assert_in_sync();
}

#[test]
fn exit_of_same_server_gets_own_session() {
    let server = through_exit();
    let file = server.fake.read(std::path::Path::new("/home/user/xeovo-uk.conf")).unwrap().unwrap();
    server.fake.put_file("/root/copy.conf", &file, 0o600, 0);
    server.api(&["multihop", "import_vpn_config", "config_path=/root/copy.conf"]).ok();
    for to in ["copy", "xeovo-uk"] {
        server.fake.advance(Duration::from_secs(10));
        let began = phantom_host::Clock::now(&server.fake);
        server.fake.reset_writes();
        server.api(&["multihop", "enable_multihop", &format!("exit_name={to}")]).ok();
        let peer = server.fake.peer("wg_vpn", &uk()).unwrap();
        assert!(peer.last_handshake.is_some_and(|at| at >= began), "{to}: {peer:?}");
        server.assert_in_sync();
    }
    // The way back as well.
    server.fake.let_peer_pass(uk(), false);
    server.fake.advance(Duration::from_secs(10));
    let began = phantom_host::Clock::now(&server.fake);
    let refused = server.api(&["multihop", "enable_multihop", "exit_name=copy"]).failed("MULTIHOP_ERROR");
    assert_eq!(refused["data"]["restored_exit"], json!("xeovo-uk"));
    server.assert_in_sync();
    let peer = server.fake.peer("wg_vpn", &uk()).unwrap();
    assert!(peer.last_handshake.is_none_or(|at| at >= began), "{peer:?}");
}
