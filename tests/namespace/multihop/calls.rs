//! Calls that turn exits on, over and off while clients send, and their failing and dying at every step.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::flow::nothing_is_left;
use super::lab::{EXIT, enable, status_is_true, with_exits};
use super::load::{Flood, assert_tight, listen, nothing_escapes};
use super::observer::Observer;
use crate::faulty::{self, Ended};
use crate::look::assert_same_lines;
use crate::traffic::udp_seen_as;
use crate::world::{At, INTERNET, TestNet, long, note, on, wait_for};

const ENABLE: [&str; 3] = ["multihop", "enable_multihop", "exit_name=uk"];
const SWITCH: [&str; 3] = ["multihop", "enable_multihop", "exit_name=nl"];
const DISABLE: [&str; 2] = ["multihop", "disable_multihop"];
const RESET: [&str; 2] = ["multihop", "reset_state"];

/// Whether packets of clients are kept in: the answer of the packet filter itself.
fn walled(world: &TestNet) -> bool {
    world
        .sh("nft list table inet phantom_wg")
        .lines()
        .any(|line| line.contains("iifname \"wg_main\" drop") && !line.contains("ip6"))
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn nothing_escapes_from_first_change_on() {
    with_exits("multihop::calls::nothing_escapes_from_first_change_on", |world| {
        listen();
        let flood = Flood::start();
        for round in 0..5 {
            let observer = Observer::start(world, &format!("enable-{round}"));
            flood.go_on(10);
            // The interface comes behind the wall.
            let watch = on(At::Server, || {
                let there = || std::path::Path::new("/sys/class/net/wg_vpn").exists();
                while !there() {
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
                now()
            });
            enable(world, "uk");
            let moment = watch.join().unwrap();
            flood.go_on(25);
            let seen = observer.stop();
            let (before, late) = (seen.escaped(), seen.escaped_after(moment));
            assert!(!before.is_empty(), "the observer saw nothing of the time before");
            assert!(late.is_empty(), "{} escaped: {:#?}", late.len(), &late[..late.len().min(5)]);
            status_is_true(world, "uk");
            let observer = Observer::start(world, &format!("disable-{round}"));
            let began = now();
            world.ok(&DISABLE);
            let ended = now();
            flood.go_on(15);
            let seen = observer.stop();
            let (all, later) = (seen.escaped(), seen.escaped_after(ended));
            assert!(!later.is_empty(), "clients do not go by the uplink after a disable");
            let (early, whole) = (all.len() - later.len(), ended - began);
            note("multihop", &format!("disable of {whole:.3} s: {early} packets left before it had ended"));
        }
        flood.stop();
        nothing_is_left(world);
    });
}

/// What is tried at every write on the host.
struct Trial {
    words: &'static [&'static str],
    /// The exit that is in use before, if one is.
    before: Option<&'static str>,
}

/// Brings the server to where a trial begins.
fn prepare(world: &TestNet, trial: &Trial) {
    match trial.before {
        Some(exit) => drop(enable(world, exit)),
        None => drop(world.ok(&DISABLE)),
    }
}

/// That the state from before stands, and is told.
#[track_caller]
fn is_as_before(world: &TestNet, trial: &Trial, what: &str) {
    match trial.before {
        Some(exit) => {
            status_is_true(world, exit);
            assert_eq!(udp_seen_as(At::Client2), EXIT, "{what}");
        }
        None => nothing_is_left(world),
    }
}

/// The host without the addresses that the kernel makes up for every new link, and without the order of what has none.
fn lasting(world: &TestNet) -> String {
    let host = world.host();
    let mut lines: Vec<&str> = host.lines().filter(|line| !line.contains("fe80")).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Every write refused: all is rolled back, and nobody gets out who was kept in before.
fn refuse_each(test: &str, trial: &Trial) {
    with_exits(test, |world| {
        listen();
        prepare(world, trial);
        let writes = faulty::count(trial.words);
        note(test, &format!("{writes} writes, each refused"));
        prepare(world, trial);
        let flood = Flood::start();
        for write in 1..=writes {
            let what = format!("{:?} refuse:{write}", trial.words);
            let host = lasting(world);
            let observer = Observer::start(world, &format!("refuse-{write}"));
            flood.go_on(2);
            let Ended::Answered { answer, .. } = faulty::call(&format!("refuse:{write}"), trial.words) else {
                panic!("{what}: killed");
            };
            flood.go_on(5);
            let seen = observer.stop();
            assert_eq!(answer["success"], false, "{what}: {answer:#}");
            if trial.before.is_some() {
                assert_tight(world, &what, &seen);
            }
            if answer["data"]["rolled_back"] == false {
                still_closed(world, trial, &what, &answer);
                note(test, &format!("refuse:{write}: off, and closed until the next change"));
                continue;
            }
            assert_eq!(answer["code"], "MULTIHOP_ERROR", "{what}: {answer:#}");
            assert_eq!(answer["data"]["restored_exit"], json!(trial.before), "{what}: {answer:#}");
            assert_same_lines(&host, &lasting(world), &what);
            is_as_before(world, trial, &what);
            world.in_sync();
        }
        flood.stop();
    });
}

/// What opens comes last of all, when the new state is stored already: where that is refused it stays closed.
#[track_caller]
fn still_closed(world: &TestNet, trial: &Trial, what: &str, answer: &Value) {
    assert!(walled(world), "{what}: open, although it was refused: {answer:#}");
    assert_eq!(world.ok(&["multihop", "status"])["enabled"], false, "{what}: {answer:#}");
    world.ok(&["core", "reconcile"]);
    nothing_is_left(world);
    prepare(world, trial);
}

/// Killed before each write, and behind the last one (in the long mode behind each): the host heals or stays closed.
fn kill_each(test: &str, trial: &Trial) {
    with_exits(test, |world| {
        listen();
        prepare(world, trial);
        let writes = faulty::count(trial.words);
        let before = (1..=writes).map(|write| format!("kill-before:{write}"));
        let behind = (if long() { 1 } else { writes }..=writes).map(|write| format!("kill-after:{write}"));
        let faults: Vec<String> = before.chain(behind).collect();
        note(test, &format!("{writes} writes, {} runs killed", faults.len()));
        let flood = Flood::start();
        let mut closed = 0;
        for fault in &faults {
            prepare(world, trial);
            world.in_sync();
            let what = format!("{:?} {fault}", trial.words);
            if trial.before.is_some() {
                killed_while_closed(world, trial, &flood, fault, &what);
            } else if killed_while_open(world, trial, &flood, fault, &what) {
                closed += 1;
            } else {
                assert_eq!(closed, 0, "{what}: open again after it had been closed");
            }
            world.in_sync();
        }
        flood.stop();
        prepare(world, trial);
        world.reaches(At::Client1, INTERNET);
        if trial.before.is_none() {
            note(test, &format!("{closed} of {} left it closed until it was healed", faults.len()));
            assert!(closed * 2 > faults.len(), "the wall comes late");
        }
    });
}

/// A call is killed while an exit is in use, and the host is healed: nothing escapes in all that time, unless the new
/// state had been stored.
fn killed_while_closed(world: &TestNet, trial: &Trial, flood: &Flood, fault: &str, what: &str) {
    let observer = Observer::start(world, &fault.replace(':', "-"));
    flood.go_on(2);
    assert!(matches!(faulty::call(fault, trial.words), Ended::Killed), "{what}: was not killed");
    flood.go_on(5);
    let enabled = world.ok(&["multihop", "status"])["enabled"] == json!(true);
    if !enabled {
        // It had been stored: closed until the host has followed, and open when it was killed behind that.
        let seen = observer.stop();
        if walled(world) {
            assert_tight(world, what, &seen);
        } else {
            assert!(fault.starts_with("kill-after"), "{what}: open, and the host has not followed");
        }
        world.ok(&["core", "reconcile"]);
        return nothing_is_left(world);
    }
    let recovered = world.ok(&["core", "reconcile"])["recovered"].clone();
    assert!(recovered.is_null() || recovered["outcome"] == "undone", "{what}: {recovered:#}");
    flood.go_on(2);
    assert_tight(world, what, &observer.stop());
    is_as_before(world, trial, what);
}

/// A call is killed while clients go by the uplink, and the host is healed; whether they were kept in until then.
fn killed_while_open(world: &TestNet, trial: &Trial, flood: &Flood, fault: &str, what: &str) -> bool {
    assert!(matches!(faulty::call(fault, trial.words), Ended::Killed), "{what}: was not killed");
    let observer = Observer::start(world, &fault.replace(':', "-"));
    flood.go_on(5);
    assert_eq!(world.ok(&["multihop", "status"])["enabled"], false, "{what}: enabled without a commit");
    let wall = walled(world);
    let seen = observer.stop();
    if wall {
        assert_tight(world, what, &seen);
    }
    world.ok(&["core", "reconcile"]);
    nothing_is_left(world);
    wall
}

#[test]
fn refused_switch_lets_nothing_out() {
    let trial = Trial { words: &SWITCH, before: Some("uk") };
    refuse_each("multihop::calls::refused_switch_lets_nothing_out", &trial);
}

#[test]
fn refused_enable_leaves_nothing() {
    let trial = Trial { words: &ENABLE, before: None };
    refuse_each("multihop::calls::refused_enable_leaves_nothing", &trial);
}

#[test]
fn refused_disable_lets_nothing_out() {
    let trial = Trial { words: &DISABLE, before: Some("uk") };
    refuse_each("multihop::calls::refused_disable_lets_nothing_out", &trial);
}

#[test]
fn killed_switch_lets_nothing_out() {
    let trial = Trial { words: &SWITCH, before: Some("uk") };
    kill_each("multihop::calls::killed_switch_lets_nothing_out", &trial);
}

#[test]
fn killed_enable_stays_closed_once_it_was() {
    let trial = Trial { words: &ENABLE, before: None };
    kill_each("multihop::calls::killed_enable_stays_closed_once_it_was", &trial);
}

#[test]
fn killed_disable_lets_nothing_out() {
    let trial = Trial { words: &DISABLE, before: Some("uk") };
    kill_each("multihop::calls::killed_disable_lets_nothing_out", &trial);
}

#[test]
fn killed_reset_lets_nothing_out() {
    let trial = Trial { words: &RESET, before: Some("uk") };
    kill_each("multihop::calls::killed_reset_lets_nothing_out", &trial);
}

#[test]
fn nothing_escapes_while_kill_switch_changes() {
    with_exits("multihop::calls::nothing_escapes_while_kill_switch_changes", |world| {
        listen();
        enable(world, "uk");
        nothing_escapes(world, "off-with-a-live-exit", || {
            world.ok(&[&ENABLE[..], &["kill_switch=false"]].concat());
        });
        nothing_escapes(world, "on-with-a-live-exit", || drop(enable(world, "uk")));
        assert!(wait_for(std::time::Duration::from_secs(5), || walled(world)));
        status_is_true(world, "uk");
    });
}
