//! Tests of looks that come late since a task took its time, of changes under way, and of exits that pass nothing.

use super::*;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn name(text: &str) -> ExitName {
    text.parse().unwrap()
}

fn machine(exits: &[&str]) -> Machine {
    let exits: Vec<ExitName> = exits.iter().map(|exit| name(exit)).collect();
    Machine::new(Watch { keepalive: seconds(5), named: false, in_use: exits[0].clone(), exits }, seconds(0))
}

#[test]
fn slow_failed_switch_is_no_life_sign() {
    for (took, offset) in (1..60).flat_map(|took| (0..5).map(move |offset| (took, offset))) {
        let mut machine = machine(&["uk", "nl", "de"]);
        let (mut now, mut tried) = (1, Vec::new());
        while tried.len() < 2 && now < 200 {
            // Nothing reaches it: it begins a handshake every five seconds, and clients send.
            let begun = (now + offset) / 5;
            let counters =
                DeviceCounters { rx: 148 * begun, tx: 2304 * now, handshake: Some(seconds(30 + now)) };
            for task in machine.tick(seconds(now), Some(counters)) {
                assert_ne!(
                    task,
                    MonitorTask::Log(SessionEvent::Reconnected),
                    "took {took}, offset {offset}: {now}"
                );
                if let MonitorTask::Switch(to) = task {
                    now += took;
                    machine.switch_failed(seconds(now), &to);
                    tried.push(to);
                }
            }
            now += 1;
        }
        assert_eq!(tried, [name("nl"), name("de")], "took {took}, offset {offset}");
    }
}

#[test]
fn late_observation_counts_as_upkeep() {
    let upkeep = |sent, during| is_upkeep(sent, seconds(during), seconds(5));
    // Keepalives, our own attempts, and our answers to those of the exit.
    assert!(
        upkeep(2 * 92, 6) && upkeep(148 + 92, 6) && upkeep(2 * 148 + 32, 7) && upkeep(3 * 92 + 2 * 32, 10)
    );
    assert!(
        !upkeep(2 * 92, 1) && !upkeep(148 + 92 + 16, 6) && !upkeep(1312, 7),
        "a client's packets are none"
    );
    assert!(is_begun(0, seconds(1)) && is_begun(148, seconds(1)) && is_begun(296, seconds(5)));
    assert!(!is_begun(296, seconds(1)) && !is_begun(92, seconds(60)) && !is_begun(32, seconds(60)));
}

#[test]
fn missing_device_during_change_is_no_loss() {
    let mut machine = machine(&["uk", "nl"]);
    let there = |at: u64| DeviceCounters { rx: at * 900, tx: at * 900, handshake: Some(seconds(1)) };
    machine.tick(seconds(1), Some(there(1)));
    for at in 2..100 {
        assert_eq!(machine.tick(seconds(at), Sight::Change), [], "{at}");
    }
    // It is another device, which counts from nothing.
    for at in 100..110 {
        assert_eq!(machine.tick(seconds(at), Some(there(at - 100))), [], "{at}");
    }
    assert!(machine.is_alive());
    // One that is away for longer than that, with nobody changing anything, is lost.
    for at in 110..115 {
        assert_eq!(machine.tick(seconds(at), Sight::Nothing), [], "{at}");
    }
    assert!(machine.tick(seconds(115), Sight::Nothing).contains(&MonitorTask::Switch(name("nl"))));
}

#[test]
fn doubt_does_not_carry_over_devices() {
    let mut machine = machine(&["uk", "nl"]);
    let silent = |at: u64| DeviceCounters { rx: 1_000, tx: 1_000 + at * 500, handshake: Some(seconds(30)) };
    for at in 1..15 {
        machine.tick(seconds(at), Some(silent(at)));
    }
    for at in 15..20 {
        assert_eq!(
            machine.tick(seconds(at), Sight::Change),
            [],
            "nobody switches while somebody may be choosing"
        );
    }
    let done: Vec<MonitorTask> =
        (20..30).flat_map(|at| machine.tick(seconds(at), Some(silent(at)))).collect();
    assert!(done.iter().all(|task| *task == MonitorTask::Probe), "{done:?}");
    assert!(machine.is_alive());
}

/// Clients send all the time. What comes in beside the answers to questions is `data` bytes a second; each question to somebody
/// behind the exit is answered as `answers` says. Says when it wants to switch, and what it says.
fn passes(
    machine: &mut Machine,
    times: std::ops::Range<u64>,
    data: u64,
    mut answers: impl FnMut(u64) -> Option<bool>,
) -> (Vec<(u64, ExitName)>, Vec<SessionEvent>) {
    let (mut switches, mut said, mut echoes) = (Vec::new(), Vec::new(), 0);
    for now in times {
        let counters =
            DeviceCounters { rx: now * data + echoes, tx: now * 500, handshake: Some(seconds(30)) };
        for task in machine.tick(seconds(now), Some(counters)) {
            match task {
                MonitorTask::Probe => echoes += u64::from(ECHOES) * 128,
                MonitorTask::Prove => machine.proven(seconds(now), answers(now)),
                MonitorTask::Switch(to) => {
                    machine.switch_failed(seconds(now), &to);
                    switches.push((now, to));
                }
                MonitorTask::Log(
                    event @ (SessionEvent::ServiceLost
                    | SessionEvent::ServiceBack
                    | SessionEvent::HandshakeLost { .. }),
                ) => {
                    said.push(event);
                }
                MonitorTask::Log(_) | MonitorTask::Resolve | MonitorTask::Check(_) => {}
                MonitorTask::Reconnect => panic!("{now}: it answers"),
            }
        }
    }
    (switches, said)
}

#[test]
fn answering_exit_without_traffic_is_replaced() {
    let mut machine = machine(&["uk", "nl", "de"]);
    let (switches, said) = passes(&mut machine, 1..600, 0, |_| Some(false));
    let [(first, nl), (second, de)] = &switches[..] else { panic!("{switches:?}") };
    assert_eq!((nl.as_str(), de.as_str()), ("nl", "de"));
    assert!((60..150).contains(first), "not at once, and in about two minutes: {first}");
    assert_eq!(*second, first + 1);
    assert_eq!(said, [SessionEvent::ServiceLost]);
    // Neither of them was better: that is tried again, and not often.
    let (more, said) = passes(&mut machine, 600..20_000, 0, |_| Some(false));
    assert!((4..=12).contains(&more.len()), "{more:?}");
    assert!(more[0].0 >= first + 600, "{more:?}");
    assert_eq!(said, []);
    let (none, said) = passes(&mut machine, 20_000..30_000, 900, |_| Some(true));
    assert_eq!((none, said), (Vec::new(), vec![SessionEvent::ServiceBack]));
    assert!(machine.is_alive());
}

#[test]
fn occasional_lost_probe_is_no_reason() {
    let mut count = 0;
    let mut lost = |_| {
        count += 1;
        Some(count % 3 == 0)
    };
    let (switches, said) = passes(&mut machine(&["uk", "nl"]), 1..86_400, 0, &mut lost);
    assert_eq!((switches, said), (Vec::new(), Vec::new()));
}

#[test]
fn dead_resolver_is_no_fault_of_exit() {
    let (switches, said) = passes(&mut machine(&["uk", "nl"]), 1..86_400, 2_000, |_| Some(false));
    assert_eq!((switches, said), (Vec::new(), Vec::new()));
    let (switches, said) = passes(&mut machine(&["uk", "nl"]), 1..86_400, 0, |_| None);
    assert_eq!((switches, said), (Vec::new(), Vec::new()), "nobody was there to be asked");
}

#[test]
fn lone_exit_failure_is_reported_only() {
    let mut machine = machine(&["uk"]);
    let (switches, said) = passes(&mut machine, 1..86_400, 0, |_| Some(false));
    assert_eq!((switches, said), (Vec::new(), vec![SessionEvent::ServiceLost]));
}

#[test]
fn failed_return_is_retried_less_often() {
    let exits = vec![name("uk"), name("nl")];
    let mut machine =
        Machine::new(Watch { keepalive: seconds(5), named: false, in_use: name("nl"), exits }, seconds(0));
    let mut switches = Vec::new();
    for now in 1..40_000 {
        let counters = DeviceCounters { rx: now * 900, tx: now * 900, handshake: Some(seconds(10)) };
        for task in machine.tick(seconds(now), Some(counters)) {
            match task {
                // It shakes hands, and a switch finds that it passes nothing.
                MonitorTask::Check(_) => machine.checked(seconds(now), true),
                MonitorTask::Switch(to) => {
                    machine.switch_failed(seconds(now), &to);
                    switches.push(now);
                }
                _ => {}
            }
        }
    }
    let pauses: Vec<u64> = switches.windows(2).map(|pair| (pair[1] - pair[0]) / 60).collect();
    assert_eq!(pauses, [21, 41, 81, 121, 121, 121, 121], "clients are interrupted by each of them");
}

/// An exit that is a name, which does not answer from the first second on.
fn silent(exits: &[&str], until: u64, mut tell: impl FnMut(&mut Machine, u64)) -> Vec<(u64, MonitorTask)> {
    let exits: Vec<ExitName> = exits.iter().map(|exit| name(exit)).collect();
    let watch = Watch { keepalive: seconds(5), named: true, in_use: exits[0].clone(), exits };
    let (mut machine, mut done) = (Machine::new(watch, seconds(0)), Vec::new());
    for now in 1..until {
        let counters = DeviceCounters { rx: 1_000, tx: 1_000 + now * 500, handshake: Some(seconds(30)) };
        for task in machine.tick(seconds(now), Some(counters)) {
            match task {
                MonitorTask::Resolve => {
                    done.push((now, task));
                    tell(&mut machine, now);
                }
                MonitorTask::Switch(_) | MonitorTask::Reconnect => done.push((now, task)),
                _ => {}
            }
        }
    }
    done
}

#[test]
fn dead_exit_is_tried_at_all_addresses() {
    let switch = || MonitorTask::Switch(name("nl"));
    // It has two more addresses, of which none answers; each has three seconds.
    let mut more = 2;
    let done = silent(&["uk", "nl"], 60, |machine, now| {
        more -= 1;
        machine.called(seconds(now), more);
    });
    let first = done[0].0;
    assert!(first < 20, "{done:?}");
    assert_eq!(
        done[..3],
        [(first, MonitorTask::Resolve), (first + 3, MonitorTask::Resolve), (first + 6, switch())]
    );
    // However many more its name has with each answer, another exit is not kept waiting.
    let done = silent(&["uk", "nl"], 60, |machine, now| machine.called(seconds(now), 99));
    let calls: Vec<_> =
        done.iter().take_while(|(_, task)| *task == MonitorTask::Resolve).map(|(at, _)| at - first).collect();
    assert_eq!((calls, &done[3]), (vec![0, 3, 6], &(first + 9, switch())));
    // Nor by name servers that take their time: three seconds here.
    let done = silent(&["uk", "nl"], 60, |machine, now| machine.called(seconds(now + 3), 99));
    assert_eq!(
        done[..3],
        [(first, MonitorTask::Resolve), (first + 6, MonitorTask::Resolve), (first + 10, switch())]
    );
    // Of one that has no other, another exit takes the place with the next look.
    let done = silent(&["uk", "nl"], 60, |_, _| ());
    assert_eq!(done[..2], [(first, MonitorTask::Resolve), (first + 1, switch())]);
    // Without another exit it is called at once, and wherever its name leads.
    let done = silent(&["uk"], 60, |machine, now| machine.called(seconds(now), 5));
    assert_eq!(done[..2], [(first, MonitorTask::Resolve), (first, MonitorTask::Reconnect)]);
    assert!(!done.iter().any(|(_, task)| matches!(task, MonitorTask::Switch(_))));
}
