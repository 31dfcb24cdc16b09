//! Tests of the machine in virtual time.

use super::simulation::{Simulation, Traffic};
use super::*;

const HOUR: u64 = 3_600_000;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn name(text: &str) -> ExitName {
    text.parse().unwrap()
}

fn watch(exits: &[&str]) -> Watch {
    Watch {
        keepalive: seconds(5),
        named: false,
        in_use: name(exits[0]),
        exits: exits.iter().map(|exit| name(exit)).collect(),
    }
}

/// Whether a task does more than to look.
fn acts(task: &MonitorTask) -> bool {
    match task {
        MonitorTask::Reconnect | MonitorTask::Switch(_) | MonitorTask::Check(_) => true,
        MonitorTask::Log(event) => matches!(
            event,
            SessionEvent::HandshakeWarning { .. }
                | SessionEvent::HandshakeLost { .. }
                | SessionEvent::ReconnectAttempt { .. }
                | SessionEvent::ServiceLost
        ),
        MonitorTask::Probe | MonitorTask::Prove | MonitorTask::Resolve => false,
    }
}

#[test]
fn day_of_loss_and_jitter_triggers_nothing() {
    for (traffic, seed) in [
        (Traffic::Quiet, 1),
        (Traffic::Requests(50), 2),
        (Traffic::Requests(1_000), 3),
        (Traffic::Requests(20_000), 4),
        (Traffic::OneWay(200), 5),
        (Traffic::Bursts(60_000), 6),
        (Traffic::Bursts(400_000), 7),
    ] {
        let mut tunnel = Simulation::new(traffic, 20, 300, seed);
        let done = tunnel.run_until(24 * HOUR);
        let acted: Vec<_> = done.iter().filter(|(_, task)| acts(task)).collect();
        assert!(acted.is_empty(), "{traffic:?}: {acted:?}");
        assert!(tunnel.machine.is_alive());
        let resolved = done.iter().filter(|(_, task)| *task == MonitorTask::Resolve).count();
        assert!((23..=24).contains(&resolved), "{traffic:?}: resolved {resolved} times");
    }
}

#[test]
fn lossy_answering_tunnel_is_left_alone() {
    for seed in 0..20 {
        let mut tunnel = Simulation::new(Traffic::Requests(500), 200, 1_000, seed);
        let done = tunnel.run_until(HOUR);
        assert!(!done.iter().any(|(_, task)| matches!(task, MonitorTask::Reconnect)), "{seed}: {done:?}");
    }
}

#[test]
fn blackhole_and_its_end_are_found_quickly() {
    let mut found = Vec::new();
    for seed in 0..200 {
        let traffic = match seed % 3 {
            0 => Traffic::Requests(100),
            1 => Traffic::Requests(900),
            _ => Traffic::OneWay(250),
        };
        let mut tunnel = Simulation::new(traffic, 20, 300, seed);
        let from = 60_000 + seed * 1_737;
        let until = from + 60_000 + seed * 331;
        tunnel.hole = from..until;
        let done = tunnel.run_until(until + 60_000);
        let lost = done
            .iter()
            .find(|(_, task)| matches!(task, MonitorTask::Log(SessionEvent::HandshakeLost { .. })));
        let took = lost.expect("the hole is found").0 - from;
        assert!(took < 20_000, "{traffic:?} {seed}: {took} ms");
        assert!(took >= 8_000, "{traffic:?} {seed}: {took} ms is hasty");
        found.push(took);
        let attempt =
            done.iter().position(|(_, task)| *task == MonitorTask::Reconnect).expect("it is called again");
        assert_eq!(done[attempt - 1].1, MonitorTask::Resolve, "the name first");
        let back = done
            .iter()
            .find(|(_, task)| *task == MonitorTask::Log(SessionEvent::Reconnected))
            .expect("it is back");
        assert!(
            back.0 >= until && back.0 < until + 20_000,
            "{traffic:?} {seed}: back after {}",
            back.0 - until
        );
        assert!(tunnel.machine.is_alive() && tunnel.now() > until);
    }
    found.sort_unstable();
    assert!(found[found.len() / 2] <= 17_000, "median {}", found[found.len() / 2]);
}

#[test]
fn unreachable_exit_is_dead_despite_handshakes() {
    for quiet in [false, true] {
        let mut machine = Machine::new(watch(&["uk"]), seconds(0));
        let mut at = |now: u64, more: u64| {
            let begun = now / 5;
            let sent = if quiet { 92 * begun + 32 * begun } else { 2304 * now };
            let handshake = Some(seconds(now));
            let counters = DeviceCounters { rx: 1_000 + 148 * begun + more, tx: 1_000 + sent, handshake };
            let tasks = machine.tick(seconds(now), Some(counters));
            let lost =
                tasks.iter().any(|task| matches!(task, MonitorTask::Log(SessionEvent::HandshakeLost { .. })));
            (lost, machine.is_alive())
        };
        let found: Vec<u64> = (1..400).filter(|now| at(*now, 0).0).collect();
        let [lost] = found[..] else { panic!("found at {found:?}") };
        assert!(lost < if quiet { 140 } else { 20 }, "after {lost} s");
        assert_eq!(at(400, 0), (false, false), "the handshake that it begins now changes nothing");
        assert_eq!(at(401, 32), (false, true), "what it sends through one brings it back");
    }
}

#[test]
fn quiet_tunnel_is_probed_every_two_minutes() {
    let mut tunnel = Simulation::new(Traffic::Quiet, 0, 0, 1);
    let done = tunnel.run_until(HOUR);
    let asked: Vec<u64> =
        done.iter().filter(|(_, task)| *task == MonitorTask::Probe).map(|(at, _)| *at).collect();
    assert!((25..=31).contains(&asked.len()), "{asked:?}");
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= 115_000), "{asked:?}");
    tunnel.hole = HOUR..u64::MAX;
    let done = tunnel.run_until(2 * HOUR);
    let lost =
        done.iter().find(|(_, task)| matches!(task, MonitorTask::Log(SessionEvent::HandshakeLost { .. })));
    assert!(lost.unwrap().0 < HOUR + 140_000, "{lost:?}");
}

#[test]
fn exit_ignoring_echoes_is_alive_by_wireguard() {
    let mut tunnel = Simulation::new(Traffic::OneWay(200), 0, 100, 3);
    tunnel.echoes = false;
    let done = tunnel.run_until(6 * HOUR);
    assert!(!done.iter().any(|(_, task)| acts(task)), "{:?}", done.iter().find(|(_, task)| acts(task)));
}

#[test]
fn attempts_start_at_once_then_slow_down() {
    let mut tunnel = Simulation::new(Traffic::Requests(500), 0, 0, 1);
    tunnel.hole = 60_000..u64::MAX;
    let done = tunnel.run_until(2 * HOUR);
    let attempts: Vec<u64> =
        done.iter().filter(|(_, task)| *task == MonitorTask::Reconnect).map(|(at, _)| *at / 1000).collect();
    let pauses: Vec<u64> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..14], PAUSES);
    assert!(pauses[14..].iter().all(|pause| *pause == 300), "{pauses:?}");
    let numbers = done.iter().filter_map(|(_, task)| match task {
        MonitorTask::Log(SessionEvent::ReconnectAttempt { attempt: number }) => Some(*number),
        _ => None,
    });
    assert!(numbers.eq(1..=u32::try_from(attempts.len()).unwrap()));
    let lost = done
        .iter()
        .filter(|(_, task)| matches!(task, MonitorTask::Log(SessionEvent::HandshakeLost { .. })))
        .count();
    assert_eq!(lost, 1, "an outage is lost once");
}

/// Ticks once a second with the same counters: the exit is silent and the client sends.
fn starve(machine: &mut Machine, from: u64, until: u64) -> Vec<(u64, MonitorTask)> {
    let mut done = Vec::new();
    for at in from..until {
        let handshake = Some(seconds(30));
        let counters = DeviceCounters { rx: 1_000, tx: 10_000 + at * 500, handshake };
        done.extend(machine.tick(seconds(at), Some(counters)).into_iter().map(|task| (at, task)));
    }
    done
}

#[test]
fn resumed_process_probes_before_it_judges() {
    let mut machine = Machine::new(watch(&["uk"]), seconds(0));
    starve(&mut machine, 0, 3);
    let done = starve(&mut machine, 600, 640);
    let first = done.iter().find(|(_, task)| *task == MonitorTask::Reconnect).expect("it acts in the end").0;
    let asked = done.iter().filter(|(at, task)| *at <= first && *task == MonitorTask::Probe).count();
    assert!(asked >= 3 && first >= 606, "{done:?}");
}

#[test]
fn missing_device_is_restored_without_probes() {
    let mut machine = Machine::new(watch(&["uk"]), seconds(0));
    let mut done = Vec::new();
    for at in 1..10 {
        done.extend(machine.tick(seconds(at), None).into_iter().map(|task| (at, task)));
    }
    assert!(!done.iter().any(|(_, task)| *task == MonitorTask::Probe));
    assert_eq!(done.iter().find(|(_, task)| *task == MonitorTask::Reconnect).unwrap().0, 6);
    // A new device counts from nothing, which is no news of the exit.
    let fresh = DeviceCounters { rx: 0, tx: 0, handshake: None };
    machine.tick(seconds(10), Some(fresh));
    assert!(!machine.is_alive());
    machine.tick(seconds(11), Some(DeviceCounters { rx: 92, tx: 148, handshake: Some(seconds(0)) }));
    assert!(machine.is_alive());
}

#[test]
fn upkeep_and_traffic_differ_by_size() {
    let upkeep = |sent| is_upkeep(sent, seconds(1), seconds(5));
    assert!(upkeep(32) && upkeep(148) && upkeep(180));
    // The smallest packet of a client: an IP header, padded, in a message of WireGuard's.
    assert!(!upkeep(64) && !upkeep(48) && !upkeep(148 + 64) && !upkeep(96) && !upkeep(1));
    assert!(is_upkeep(64, seconds(1), seconds(1)), "two keepalives fit into one second");
    assert!(is_upkeep(32 * 13, seconds(60), seconds(5)) && !is_upkeep(32 * 14, seconds(60), seconds(5)));
}

#[test]
fn log_reports_handshake_only_as_news() {
    let mut machine = Machine::new(watch(&["uk"]), seconds(0));
    let mut logged = Vec::new();
    for at in 1..400 {
        // A handshake at 0 and, late, at 150; then one every two minutes.
        let age = if at < 150 { at } else { (at - 150) % 121 };
        let counters = DeviceCounters { rx: at * 100, tx: at * 100, handshake: Some(seconds(age)) };
        let done = machine.tick(seconds(at), Some(counters)).into_iter();
        logged.extend(done.filter(|task| *task != MonitorTask::Prove).map(|task| (at, task)));
    }
    let expected = [
        (1, MonitorTask::Log(SessionEvent::HandshakeGood { seconds: 1 })),
        (136, MonitorTask::Log(SessionEvent::HandshakeWarning { seconds: 136 })),
        (150, MonitorTask::Log(SessionEvent::HandshakeGood { seconds: 0 })),
    ];
    assert_eq!(logged, expected);
}

#[test]
fn clock_change_triggers_nothing() {
    let mut machine = Machine::new(watch(&["uk"]), seconds(0));
    for at in 1..300 {
        let counters = DeviceCounters { rx: at * 100, tx: at * 100, handshake: Some(seconds(100_000)) };
        let done = machine.tick(seconds(at), Some(counters));
        assert!(done.iter().all(|task| *task == MonitorTask::Probe), "{done:?}");
    }
}

#[test]
fn dead_exit_is_replaced_by_answering_one() {
    let mut machine = Machine::new(watch(&["uk", "nl", "de"]), seconds(0));
    let done = starve(&mut machine, 0, 17);
    assert_eq!(done.last().unwrap().1, MonitorTask::Switch(name("nl")), "{done:?}");
    assert!(!done.iter().any(|(_, task)| *task == MonitorTask::Reconnect));
    machine.switch_failed(seconds(17), &name("nl"));
    assert_eq!(starve(&mut machine, 17, 18).last().unwrap().1, MonitorTask::Switch(name("de")));
    machine.switched(seconds(18), name("de"), seconds(25), false);
    assert!(machine.is_alive() && starve(&mut machine, 18, 20).len() == 1, "only the log of the handshake");
    // The next after the last is the first; and when none answers, the one in use is called again.
    let done = starve(&mut machine, 20, 36);
    assert_eq!(done.last().unwrap().1, MonitorTask::Switch(name("uk")), "{done:?}");
    machine.switch_failed(seconds(36), &name("uk"));
    assert_eq!(starve(&mut machine, 36, 37).last().unwrap().1, MonitorTask::Switch(name("nl")));
    machine.switch_failed(seconds(37), &name("nl"));
    let done = starve(&mut machine, 37, 110);
    assert!(done.iter().any(|(_, task)| *task == MonitorTask::Reconnect));
    let again: Vec<_> = done.iter().filter(|(_, task)| matches!(task, MonitorTask::Switch(_))).collect();
    assert!(
        again.first().is_some_and(|(at, task)| *at >= 90 && *task == MonitorTask::Switch(name("uk"))),
        "{again:?}"
    );
}

/// Ticks of a healthy exit; each check of the chosen one is answered as `answers` says. Stops at a switch.
fn return_at(machine: &mut Machine, from: u64, until: u64, answers: impl Fn(u64) -> bool) -> Option<u64> {
    for at in from..until {
        let counters = DeviceCounters { rx: at * 100, tx: at * 100, handshake: Some(seconds(10)) };
        for task in machine.tick(seconds(at), Some(counters)) {
            match task {
                MonitorTask::Check(exit) => {
                    assert_eq!(exit, name("uk"));
                    machine.checked(seconds(at), answers(at));
                }
                MonitorTask::Switch(exit) => {
                    assert_eq!(exit, name("uk"));
                    return Some(at);
                }
                _ => {}
            }
        }
    }
    None
}

#[test]
fn chosen_exit_returns_after_ten_good_minutes() {
    let mut machine = Machine::new(Watch { in_use: name("nl"), ..watch(&["uk", "nl"]) }, seconds(0));
    assert_eq!(return_at(&mut machine, 1, 5_000, |_| false), None);
    // It answers from 5,000 on, but for one time.
    let back = return_at(&mut machine, 5_000, 10_000, |at| !(5_400..5_470).contains(&at)).unwrap();
    assert!((5_400 + 600..5_400 + 760).contains(&back), "{back}");
    machine.switch_failed(seconds(back), &name("uk"));
    let later = return_at(&mut machine, back + 1, 20_000, |_| true).unwrap();
    assert!(later - back >= 600, "a failed return begins from the start");
}

#[test]
fn relapsed_exit_must_prove_itself_longer() {
    let mut machine = Machine::new(Watch { in_use: name("nl"), ..watch(&["uk", "nl"]) }, seconds(0));
    let (mut now, mut proofs) = (0, Vec::new());
    for _ in 0..6 {
        let back = return_at(&mut machine, now + 1, now + 20_000, |_| true).unwrap();
        proofs.push((back - now) / 60);
        machine.switched(seconds(back), name("uk"), seconds(5), false);
        now = back + 120;
        machine.switched(seconds(now), name("nl"), seconds(5), false);
    }
    assert_eq!(proofs, [11, 21, 41, 81, 121, 121]);
    let back = return_at(&mut machine, now + 1, now + 20_000, |_| true).unwrap();
    machine.switched(seconds(back), name("uk"), seconds(5), false);
    now = back + 4_000;
    machine.switched(seconds(now), name("nl"), seconds(5), false);
    let back = return_at(&mut machine, now + 1, now + 20_000, |_| true).unwrap();
    assert_eq!((back - now) / 60, 11, "an hour in use and all is forgiven");
}
