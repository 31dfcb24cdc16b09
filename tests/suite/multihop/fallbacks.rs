//! Exits that take the place of a dead one: the monitor in virtual time, and what it has done for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use phantom_api::{Call, Lang, Params, Phantom};
use phantom_multihop::monitor::Monitor;
use phantom_multihop::rows::MultihopState as _;
use phantom_store::State;
use phantom_tests::Server;
use serde_json::{Value, json};

use super::{is_closed, nl, uk};
use crate::cases::{with_exit, with_second_exit};

/// Through `xeovo-uk`, with `nl` behind it; programs that are run do what they do.
fn with_fallback() -> Arc<Server> {
    let server = Arc::new(with_second_exit(with_exit()));
    let words = ["multihop", "enable_multihop", "exit_name=xeovo-uk", "fallback_exits=nl,xeovo-uk,NL"];
    server.api(&words).ok();
    let weak = Arc::downgrade(&server);
    server.fake.set_runner(move |command| {
        let Some(server) = weak.upgrade() else { return false };
        let words: Vec<&str> = command.args.iter().map(String::as_str).collect();
        server.api(&words).exit == 0
    });
    server
}

/// The state as a program says it that asks again and again, which these tests do thousands of times.
fn status(phantom: &Phantom) -> Value {
    phantom.execute("multihop", "status", Params::new(), &Call::new(Lang::En)).unwrap().to_value()
}

fn active(phantom: &Phantom) -> Value {
    status(phantom)["active_exit"].take()
}

fn events(server: &Server) -> Vec<(String, String)> {
    let log = server.api(&["multihop", "get_session_log", "lines=1000"]).ok();
    let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    let logs = log["logs"].as_array().unwrap();
    logs.iter().map(|record| (text(record, "event"), text(record, "details"))).collect()
}

/// Clients send, once a second, for at most so long; says after how many seconds something held.
fn until(monitor: &mut Monitor<'_>, server: &Server, limit: u64, holds: impl Fn() -> bool) -> Option<u64> {
    for second in 0..limit {
        if holds() {
            return Some(second);
        }
        for key in [uk(), nl()] {
            if let Some(peer) = server.fake.peer("wg_vpn", &key) {
                let bytes = (peer.rx_bytes, peer.tx_bytes + 1312);
                let (endpoint, handshake) = (peer.config.endpoint, peer.last_handshake);
                server.fake.set_peer_traffic("wg_vpn", &key, endpoint, handshake, bytes);
            }
        }
        monitor.tick();
        server.fake.advance(Duration::from_secs(1));
    }
    None
}

#[test]
fn dead_exit_is_replaced_and_returns() {
    let server = with_fallback();
    let (phantom, watch) = (server.phantom(), server.phantom());
    let mut monitor = Monitor::new(phantom.engine());
    assert_eq!(until(&mut monitor, &server, 10, || active(&watch) != "xeovo-uk"), None);
    // At no write is anybody let out.
    let opened = Arc::new(Mutex::new(Vec::new()));
    let (notes, weak) = (opened.clone(), Arc::downgrade(&server));
    server.fake.on_write(move |_, write| {
        if weak.upgrade().is_some_and(|server| !is_closed(&server)) {
            notes.lock().unwrap().push(write.to_owned());
        }
    });
    server.fake.let_peer_answer(uk(), false);
    let replaced = until(&mut monitor, &server, 60, || active(&watch) == "nl");
    assert!(replaced.is_some_and(|seconds| (10..20).contains(&seconds)), "{replaced:?}");
    server.assert_in_sync();
    let stored = server.store().read(State::multihop).unwrap().unwrap();
    assert_eq!(
        (stored.chosen_exit.as_str(), stored.active_exit.as_str()),
        ("xeovo-uk", "nl"),
        "the choice has changed"
    );
    assert_eq!(stored.fallback_exits.iter().map(phantom_types::ExitName::as_str).collect::<Vec<_>>(), ["nl"]);
    let status = server.api(&["multihop", "status"]).ok();
    assert_eq!((&status["kill_switch"], &status["enabled"]), (&json!(true), &json!(true)));
    let log = events(&server);
    let at = |event: &str| log.iter().position(|(name, _)| name == event);
    assert!(at("handshake_lost") < at("exit_switched") && at("handshake_lost").is_some(), "{log:?}");
    assert_eq!(log[at("exit_switched").unwrap()].1, "Exit switched from xeovo-uk to nl");
    // As long as the chosen one does not answer, nothing changes.
    assert_eq!(until(&mut monitor, &server, 1_300, || active(&watch) != "nl"), None);
    server.fake.let_peer_answer(uk(), true);
    let back = until(&mut monitor, &server, 2_000, || active(&watch) == "xeovo-uk");
    // It is tried at least every eight minutes, and has to answer for ten.
    assert!(back.is_some_and(|seconds| (600..1_150).contains(&seconds)), "{back:?}");
    server.assert_in_sync();
    let log = events(&server);
    assert_eq!(log.iter().filter(|(event, _)| event == "exit_switched").count(), 2, "{log:?}");
    assert_eq!(*opened.lock().unwrap(), [""; 0]);
}

#[test]
fn first_answering_exit_ends_the_block() {
    let server = with_fallback();
    let (phantom, watch) = (server.phantom(), server.phantom());
    let mut monitor = Monitor::new(phantom.engine());
    for key in [uk(), nl()] {
        server.fake.let_peer_answer(key, false);
    }
    assert_eq!(until(&mut monitor, &server, 300, || active(&watch) != "xeovo-uk"), None);
    assert!(is_closed(&server));
    let log = events(&server);
    assert!(log.iter().filter(|(event, _)| event == "reconnect_attempt").count() > 5, "{log:?}");
    server.fake.let_peer_answer(nl(), true);
    let replaced = until(&mut monitor, &server, 400, || active(&watch) == "nl");
    assert!(replaced.is_some(), "{:?}", events(&server));
    server.assert_in_sync();
}

#[test]
fn missing_link_is_restored() {
    let server = with_fallback();
    let (phantom, watch) = (server.phantom(), server.phantom());
    let mut monitor = Monitor::new(phantom.engine());
    until(&mut monitor, &server, 5, || false);
    server.fake.cut_link("wg_vpn").unwrap();
    assert_eq!(server.api(&["multihop", "status"]).ok()["vpn_interface"]["active"], false);
    let there = || status(&watch)["vpn_interface"]["active"] == true;
    let back = until(&mut monitor, &server, 40, there);
    assert!(back.is_some_and(|seconds| seconds < 20), "{back:?}");
    server.assert_in_sync();
}

#[test]
fn fallbacks_are_exits_and_optional() {
    let server = with_second_exit(with_exit());
    let words = ["multihop", "enable_multihop", "exit_name=xeovo-uk"];
    let with = |list: &str| server.api(&[&words[..], &[&format!("fallback_exits={list}")]].concat());
    let refused = with("nl,de").failed("EXIT_NODE_ERROR");
    assert_eq!(refused["data"], json!({ "exit_name": "de", "available": ["nl", "xeovo-uk"] }));
    with("nl,a b").failed("INVALID_PARAMETER");
    let stored = || {
        let stored = server.store().read(State::multihop).unwrap();
        stored.map(|stored| stored.fallback_exits.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(stored(), None);
    with("nl").ok();
    assert_eq!(stored(), Some(vec!["nl".to_owned()]));
    server.api(&["multihop", "remove_vpn_config", "exit_name=nl"]).ok();
    assert_eq!(stored(), Some(Vec::new()), "one that is removed is forgotten");
    server.api(&words).ok();
    assert_eq!(stored(), Some(Vec::new()));
}

#[test]
fn only_exits_that_were_chosen_take_part() {
    let server = with_second_exit(with_exit());
    for verb in ["turn", "try"] {
        assert_eq!(server.api(&["service", verb, "nl"]).exit, 1, "{verb}: nothing is enabled");
        assert_eq!(server.api(&["service", verb, "../x"]).exit, 2);
    }
    server.api(&["multihop", "enable_multihop", "exit_name=xeovo-uk"]).ok();
    let before = server.dump();
    for (verb, exit) in [("turn", "nl"), ("try", "nl"), ("turn", "de"), ("try", "de")] {
        let answer = server.api(&["service", verb, exit]);
        assert_eq!((answer.exit, answer.out.as_str()), (1, ""), "{verb} {exit}: {}", answer.err);
    }
    assert_eq!(server.dump(), before);
    let server = with_fallback();
    let host = |server: &Server| server.dump().split("[backups]").next().unwrap().to_owned();
    let before = host(&server);
    assert_eq!(server.api(&["service", "try", "nl"]).exit, 0);
    assert_eq!(host(&server), before, "an exit that was tried leaves nothing behind");
    server.fake.let_peer_answer(nl(), false);
    for verb in ["try", "turn"] {
        assert_eq!(server.api(&["service", verb, "nl"]).exit, 1);
        assert_eq!(host(&server), before, "{verb}");
    }
    server.assert_in_sync();
}
