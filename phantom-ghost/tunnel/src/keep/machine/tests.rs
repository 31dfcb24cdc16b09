//! The keeper's decisions, one step at a time.

use phantom_certs::schedule::Window;

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn at(passed: Duration) -> Timestamp {
    Timestamp::from_micros(1_757_380_307_000_000 + i64::try_from(passed.as_micros()).unwrap())
}

fn start() -> Timestamp {
    at(Duration::ZERO)
}

fn loaded(generation: u64, source: Source, from: Duration) -> Loaded {
    let life = Life { not_before: at(from), not_after: at(from + 90 * DAY) };
    Loaded { generation, source: Some(source), life: Some(life) }
}

/// The next step that is not about the status. The authority does not say when to renew.
fn step(machine: &mut Machine, now: Timestamp) -> KeeperTask {
    loop {
        match machine.step(now) {
            KeeperTask::Write(_) => {}
            KeeperTask::Ask => machine.advised(Ok(None), now, 0),
            other => return other,
        }
    }
}

/// A machine that serves.
fn serving(source: Source) -> Machine {
    let mut machine = Machine::new();
    assert_eq!(step(&mut machine, start()), KeeperTask::Load);
    machine.loaded(loaded(1, source, Duration::ZERO), None, 0);
    assert_eq!(step(&mut machine, start()), KeeperTask::Connect);
    machine.connected(Ok(()));
    assert_eq!(step(&mut machine, start()), KeeperTask::Push);
    machine.pushed(Ok(()));
    assert_eq!(step(&mut machine, start()), KeeperTask::Ready);
    assert!(matches!(step(&mut machine, start()), KeeperTask::Wait(_)));
    machine
}

fn status(machine: &Machine, now: Timestamp) -> Status {
    machine.status(now)
}

#[test]
fn it_loads_connects_pushes_and_is_ready() {
    let machine = serving(Source::Acme);
    let status = status(&machine, start());
    assert!(status.serving);
    assert_eq!(
        serde_json::to_string(&status).unwrap(),
        r#"{"serving":true,"source":"acme","expires_at":"2025-12-08T01:11:47Z","renewal":"automatic","next_attempt":"2025-11-08T01:11:47Z","last_error":null,"alarm":null}"#
    );
}

#[test]
fn ready_once_and_pushes_after_each_connection() {
    let mut machine = serving(Source::SelfSigned);
    machine.disconnected();
    assert!(!status(&machine, start()).serving);
    machine.woken(start());
    assert_eq!(step(&mut machine, start()), KeeperTask::Connect);
    machine.connected(Ok(()));
    assert_eq!(step(&mut machine, start()), KeeperTask::Push);
    machine.pushed(Ok(()));
    assert!(matches!(step(&mut machine, start()), KeeperTask::Wait(_)));
    assert_eq!(status(&machine, start()).last_error, None);
}

#[test]
fn only_changes_are_pushed() {
    let mut machine = serving(Source::Operator);
    machine.changed();
    assert_eq!(step(&mut machine, start()), KeeperTask::Load);
    machine.loaded(loaded(1, Source::Operator, Duration::ZERO), None, 0);
    assert!(matches!(step(&mut machine, start()), KeeperTask::Wait(_)));
    machine.changed();
    assert_eq!(step(&mut machine, start()), KeeperTask::Load);
    machine.loaded(loaded(2, Source::Operator, DAY), None, 0);
    assert_eq!(step(&mut machine, start()), KeeperTask::Push);
    machine.pushed(Ok(()));
    let status = status(&machine, start());
    assert_eq!((status.renewal, status.next_attempt), (Renewal::Operator, None));
}

#[test]
fn invalid_input_keeps_what_is_in_force() {
    let mut machine = serving(Source::Operator);
    machine.changed();
    assert_eq!(step(&mut machine, start()), KeeperTask::Load);
    machine.unusable("the key does not match".into(), false, 0);
    assert!(matches!(step(&mut machine, start()), KeeperTask::Wait(_)));
    let seen = status(&machine, start());
    assert!(seen.serving);
    assert_eq!(seen.last_error.as_deref(), Some("the key does not match"));
    // A new connection gets what was good.
    machine.disconnected();
    machine.woken(start());
    assert_eq!(step(&mut machine, start()), KeeperTask::Connect);
}

#[test]
fn absent_server_is_retried_less_often() {
    let mut machine = Machine::new();
    step(&mut machine, start());
    machine.loaded(loaded(1, Source::SelfSigned, Duration::ZERO), None, 0);
    let mut waits = Vec::new();
    for _ in 0..8 {
        assert_eq!(step(&mut machine, start()), KeeperTask::Connect);
        machine.connected(Err("nobody listens".into()));
        let KeeperTask::Wait(wait) = step(&mut machine, start()) else { panic!() };
        waits.push(wait);
        machine.woken(start());
    }
    assert_eq!((waits[0], waits[1], waits[7]), (RETRY, 2 * RETRY, RETRY_ABSENT));
    for _ in 0..4 {
        assert_eq!(step(&mut machine, start()), KeeperTask::Connect);
        machine.connected(Ok(()));
        assert_eq!(step(&mut machine, start()), KeeperTask::Push);
        machine.pushed(Err("refused".into()));
        assert!(matches!(step(&mut machine, start()), KeeperTask::Wait(_)));
        machine.woken(start());
    }
    step(&mut machine, start());
    machine.connected(Ok(()));
    step(&mut machine, start());
    machine.pushed(Err("refused".into()));
    let later = at(READY_AT_LATEST);
    assert_eq!(step(&mut machine, later), KeeperTask::Ready);
    assert_eq!(step(&mut machine, later), KeeperTask::Wait(RETRY_REFUSED));
    assert_eq!(status(&machine, start()).last_error.as_deref(), Some("refused"));
}

#[test]
fn certificate_is_renewed_and_pushed() {
    let mut machine = serving(Source::Acme);
    let day = at(62 * DAY);
    assert_eq!(step(&mut machine, day), KeeperTask::Issue);
    assert!(matches!(step(&mut machine, day), KeeperTask::Wait(_)), "one at a time");
    machine.issued(Ok(()), day, 0);
    assert_eq!(step(&mut machine, day), KeeperTask::Load);
    machine.loaded(loaded(2, Source::Acme, 62 * DAY), None, 0);
    assert_eq!(step(&mut machine, day), KeeperTask::Push);
    machine.pushed(Ok(()));
    assert!(matches!(step(&mut machine, day), KeeperTask::Wait(_)));
    let seen = status(&machine, day);
    assert_eq!((seen.last_error, seen.expires_at.as_deref()), (None, Some("2026-02-08T01:11:47Z")));
}

#[test]
fn a_failed_renewal_waits_and_keeps_serving() {
    let mut machine = serving(Source::Acme);
    let mut now = at(62 * DAY);
    for attempt in 1..=4 {
        assert_eq!(step(&mut machine, now), KeeperTask::Issue);
        machine.issued(Err("rate limited".into()), now, 0);
        assert!(matches!(step(&mut machine, now), KeeperTask::Wait(_)));
        let seen = status(&machine, now);
        assert!(seen.serving);
        assert_eq!(seen.last_error.as_deref(), Some("rate limited"));
        assert_eq!(seen.alarm.is_some(), attempt >= 3);
        now = machine.schedule.as_ref().unwrap().next(now);
    }
}

#[test]
fn new_files_do_not_hasten_the_authority() {
    let mut machine = serving(Source::Acme);
    let day = at(62 * DAY);
    assert_eq!(step(&mut machine, day), KeeperTask::Issue);
    machine.issued(Ok(()), day, 0);
    assert_eq!(step(&mut machine, day), KeeperTask::Load);
    machine.loaded(loaded(1, Source::Acme, Duration::ZERO), None, 0);
    assert!(matches!(step(&mut machine, day), KeeperTask::Wait(_)));
    assert!(status(&machine, day).last_error.unwrap().contains("names other files"));
}

#[test]
fn without_a_certificate_one_is_obtained_first() {
    let mut machine = Machine::new();
    assert_eq!(step(&mut machine, start()), KeeperTask::Load);
    machine.unusable("there is no file".into(), true, 0);
    assert_eq!(
        step(&mut machine, start()),
        KeeperTask::Connect,
        "a server that is there answers the challenge"
    );
    machine.connected(Err("nobody listens".into()));
    assert_eq!(step(&mut machine, start()), KeeperTask::Ready, "however long that takes");
    assert_eq!(step(&mut machine, start()), KeeperTask::Issue);
    assert!(!machine.serving());
    machine.issued(Err("refused".into()), start(), 0);
    machine.changed();
    assert_eq!(step(&mut machine, start()), KeeperTask::Load);
    machine.unusable("there is no file".into(), true, 0);
    assert!(matches!(step(&mut machine, start()), KeeperTask::Wait(_)), "the failure is not forgotten");
    assert_eq!(status(&machine, start()).renewal, Renewal::Automatic);
}

#[test]
fn an_expired_certificate_is_served_and_told() {
    let mut machine = serving(Source::Operator);
    let late = at(91 * DAY);
    machine.woken(late);
    assert_eq!(step(&mut machine, late), KeeperTask::Load, "a look from time to time");
    machine.loaded(loaded(1, Source::Operator, Duration::ZERO), None, 0);
    let seen = status(&machine, late);
    assert!(seen.serving);
    assert_eq!(seen.last_error.as_deref(), Some("the certificate expired at 2025-12-08T01:11:47Z"));
}

#[test]
fn status_is_written_only_when_it_changes() {
    let mut machine = serving(Source::Acme);
    assert!(matches!(machine.step(start()), KeeperTask::Wait(_)));
    machine.disconnected();
    let KeeperTask::Write(status) = machine.step(start()) else { panic!() };
    assert!(!status.serving);
    assert!(matches!(machine.step(start()), KeeperTask::Wait(_)));
}

#[test]
fn files_are_reread_after_a_clock_change() {
    let mut machine = serving(Source::SelfSigned);
    machine.woken(at(LONGEST_SLEEP / 2));
    assert!(matches!(step(&mut machine, at(LONGEST_SLEEP / 2)), KeeperTask::Wait(_)));
    machine.woken(at(LONGEST_SLEEP));
    assert_eq!(step(&mut machine, at(LONGEST_SLEEP)), KeeperTask::Load);
    machine.woken(start().minus(DAY));
    assert_eq!(step(&mut machine, start().minus(DAY)), KeeperTask::Load);
}

#[test]
fn a_service_manager_never_waits_without_end() {
    let after = |seconds| at(Duration::from_secs(seconds));
    let ready_at = |machine: &mut Machine| {
        (0..30).find(|second| {
            machine.woken(after(*second));
            match step(machine, after(*second)) {
                KeeperTask::Connect => {
                    machine.connected(Err("nobody listens".to_owned()));
                    step(machine, after(*second)) == KeeperTask::Ready
                }
                other => other == KeeperTask::Ready,
            }
        })
    };
    let started = || {
        let mut machine = Machine::new();
        assert_eq!(step(&mut machine, start()), KeeperTask::Load);
        machine
    };
    // The server cannot have its port.
    let mut machine = started();
    machine.loaded(loaded(1, Source::Operator, Duration::ZERO), None, 0);
    assert_eq!(ready_at(&mut machine), Some(10));
    assert_eq!(ready_at(&mut machine), None, "it is said once");
    assert!(!status(&machine, start()).serving);
    // There is no certificate, and to get one may take minutes or never be.
    let mut machine = started();
    machine.unusable("no certificate".to_owned(), true, 0);
    assert_eq!(ready_at(&mut machine), Some(0));
    assert_eq!(step(&mut machine, start()), KeeperTask::Issue);
    // The clock is set back meanwhile.
    let mut machine = started();
    machine.loaded(loaded(1, Source::Operator, Duration::ZERO), None, 0);
    machine.connected(Err("nobody listens".to_owned()));
    assert_eq!(step(&mut machine, Timestamp::from_micros(0)), KeeperTask::Ready);
}

#[test]
fn manual_renewal_is_announced_in_time() {
    let machine = serving(Source::Operator);
    assert_eq!(status(&machine, at(79 * DAY)).alarm, None);
    let alarm = status(&machine, at(81 * DAY)).alarm.unwrap();
    assert!(alarm.contains("in 9 days") && alarm.contains("renew its files"), "{alarm}");
    assert!(status(&machine, at(91 * DAY)).alarm.unwrap().contains("expired at"));
}

#[test]
fn attempts_of_an_earlier_keeper_count() {
    let mut machine = Machine::new();
    assert_eq!(step(&mut machine, start()), KeeperTask::Load);
    machine.unusable("no certificate".to_owned(), true, 0);
    machine.resume(4, start(), 0, "the name leads elsewhere".into());
    machine.connected(Ok(()));
    assert_eq!(step(&mut machine, start()), KeeperTask::Ready);
    let minutes = |count| at(Duration::from_mins(count));
    assert!(
        matches!(step(&mut machine, minutes(179)), KeeperTask::Wait(_)),
        "half an hour three times doubled, less a quarter"
    );
    assert_eq!(step(&mut machine, minutes(181)), KeeperTask::Issue);
    machine.issued(Err("again".into()), minutes(181), 0);
    assert_eq!(machine.failed(), Some((5, minutes(181), "again".into())));
}

#[test]
fn authority_advice_decides_until_new_certificate() {
    let mut machine = Machine::new();
    assert_eq!(step(&mut machine, start()), KeeperTask::Load);
    machine.loaded(loaded(1, Source::Acme, Duration::ZERO), None, 0);
    let mut asked = 0;
    let window = Window { start: at(10 * DAY), end: at(11 * DAY) };
    let mut next = |machine: &mut Machine, now| loop {
        match machine.step(now) {
            KeeperTask::Write(_) => {}
            KeeperTask::Ask => {
                asked += 1;
                machine.advised(
                    Ok(Some(Advice { window, again: Duration::from_hours(6) })),
                    now,
                    u32::MAX / 2,
                );
            }
            other => return (other, asked),
        }
    };
    assert_eq!(next(&mut machine, start()), (KeeperTask::Connect, 0));
    machine.connected(Ok(()));
    assert_eq!(next(&mut machine, start()), (KeeperTask::Push, 0));
    machine.pushed(Ok(()));
    assert_eq!(next(&mut machine, start()), (KeeperTask::Ready, 0));
    assert!(matches!(next(&mut machine, start()), (KeeperTask::Wait(_), 1)));
    let planned = machine.status(start()).next_attempt.unwrap();
    assert!(planned.starts_with("2025-09-19T13:11:4"), "{planned}");
    // It is asked again when it says, and not before.
    machine.woken(at(Duration::from_hours(5)));
    assert_eq!(next(&mut machine, at(Duration::from_hours(5))), (KeeperTask::Load, 1));
    machine.loaded(loaded(1, Source::Acme, Duration::ZERO), None, 0);
    assert!(matches!(next(&mut machine, at(Duration::from_hours(5))), (KeeperTask::Wait(_), 1)));
    assert!(matches!(next(&mut machine, at(Duration::from_hours(6))), (KeeperTask::Wait(_), 2)));
    let day = at(11 * DAY);
    assert_eq!(next(&mut machine, day).0, KeeperTask::Issue);
    // Its limit is used up: it gets no request before its time.
    machine.issued(Err(Missed { text: "too many".to_owned(), bar: Duration::from_hours(34) }), day, 0);
    assert_eq!(
        machine.failed(),
        Some((1, day, Missed { text: "too many".to_owned(), bar: Duration::from_hours(34) }))
    );
    assert!(matches!(next(&mut machine, at(12 * DAY)).0, KeeperTask::Wait(_)));
    assert_eq!(next(&mut machine, at(13 * DAY)).0, KeeperTask::Issue);
    machine.issued(Ok(()), at(13 * DAY), 0);
    assert_eq!(next(&mut machine, at(13 * DAY)).0, KeeperTask::Load);
    let (_, before) = next(&mut machine, at(13 * DAY));
    machine.loaded(loaded(2, Source::Acme, 13 * DAY), None, 0);
    assert_eq!(next(&mut machine, at(13 * DAY)), (KeeperTask::Push, before));
    machine.pushed(Ok(()));
    assert!(matches!(next(&mut machine, at(13 * DAY)), (KeeperTask::Wait(_), after) if after == before + 1));
}

#[test]
fn unreachable_authority_is_no_error() {
    let mut machine = serving(Source::Acme);
    machine.asking = Asking::default();
    loop {
        match machine.step(start()) {
            KeeperTask::Write(_) => {}
            KeeperTask::Ask => machine.advised(Err(Duration::ZERO), start(), 0),
            KeeperTask::Wait(_) => break,
            other => panic!("{other:?}"),
        }
    }
    let status = status(&machine, start());
    assert_eq!((status.last_error, status.alarm), (None, None));
    assert_eq!(status.next_attempt.as_deref(), Some("2025-11-08T01:11:47Z"), "it is renewed as usual");
}

#[test]
fn front_server_needs_no_certificate_watch() {
    let mut machine = Machine::new();
    assert_eq!(step(&mut machine, start()), KeeperTask::Load);
    machine.loaded(Loaded { generation: 1, source: None, life: None }, None, 0);
    assert_eq!(step(&mut machine, start()), KeeperTask::Connect);
    machine.connected(Ok(()));
    assert_eq!(step(&mut machine, start()), KeeperTask::Push);
    machine.pushed(Ok(()));
    assert_eq!(step(&mut machine, start()), KeeperTask::Ready);
    assert!(matches!(step(&mut machine, at(900 * DAY)), KeeperTask::Wait(_)));
    assert_eq!(
        serde_json::to_string(&status(&machine, at(900 * DAY))).unwrap(),
        r#"{"serving":true,"source":null,"expires_at":null,"renewal":"none","next_attempt":null,"last_error":null,"alarm":null}"#
    );
}
