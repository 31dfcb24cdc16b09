//! Lives of all lengths, failures, and clocks that jump.

use super::*;

const START: i64 = 1_757_380_307_000_000;
const DAY: Duration = Duration::from_hours(24);
const LIVES: [Duration; 4] =
    [Duration::from_secs(90), DAY.saturating_mul(6), DAY.saturating_mul(45), DAY.saturating_mul(90)];

fn at(passed: Duration) -> Timestamp {
    after(Timestamp::from_micros(START), passed)
}

fn life(length: Duration) -> Life {
    Life { not_before: at(Duration::ZERO), not_after: at(length) }
}

#[test]
fn renewal_is_at_two_thirds_of_life() {
    for length in LIVES {
        for jitter in [0, 1, u32::MAX / 2, u32::MAX] {
            let mut schedule = Schedule::new(Some(life(length)), jitter);
            let next = schedule.next(at(Duration::ZERO));
            assert!(
                next >= at(length / 3 * 2)
                    && next <= at(length / 3 * 2 + length / 50 + Duration::from_millis(1))
            );
            assert!(!schedule.due(at(length / 2)));
            assert!(schedule.due(at(length * 7 / 10)));
            assert!(schedule.sleep(at(length / 2)) <= LONGEST_SLEEP);
            assert!(!schedule.sleep(at(length / 2)).is_zero());
        }
        assert!(life(length).is_fresh(at(length / 2)));
        assert!(!life(length).is_fresh(at(length * 7 / 10)));
        assert!(!life(length).is_fresh(at(Duration::ZERO).minus(DAY)));
    }
    let [early, late] = [0, u32::MAX].map(|jitter| Schedule::new(Some(life(90 * DAY)), jitter).next(at(DAY)));
    assert!(late.since(early) > DAY, "renewals are spread");
}

#[test]
fn without_certificate_first_attempt_is_immediate() {
    let mut schedule = Schedule::new(None, 7);
    assert!(schedule.due(at(DAY)));
    schedule.failed(at(DAY), u32::MAX / 2, "refused".into());
    assert!(!schedule.due(at(DAY)));
    let wait = schedule.next(at(DAY)).since(at(DAY));
    assert!(wait >= FIRST_WAIT * 3 / 4 && wait <= FIRST_WAIT * 5 / 4);
    assert_eq!(schedule.alarm(at(DAY)).unwrap(), "there is no certificate: refused");
}

#[test]
fn every_lifetime_has_a_bounded_attempt_count() {
    for length in LIVES {
        for jitter in [0, u32::MAX] {
            let mut schedule = Schedule::new(Some(life(length)), jitter);
            let (mut now, mut waits) = (schedule.next(at(Duration::ZERO)), Vec::new());
            while now < at(length) {
                assert!(schedule.due(now));
                schedule.failed(now, jitter, "refused".into());
                let next = schedule.next(now);
                waits.push(next.since(now));
                now = next;
            }
            assert!((10..=100).contains(&waits.len()), "{length:?}: {}", waits.len());
            assert!(waits.is_sorted(), "waits grow");
            assert!(*waits.last().unwrap() <= LONGEST_WAIT * 5 / 4);
            let first_day = waits.iter().scan(Duration::ZERO, |sum, wait| {
                *sum += *wait;
                Some(*sum)
            });
            assert!(
                length < DAY || first_day.take_while(|sum| *sum < DAY).count() < 12,
                "rate limits are respected"
            );
        }
    }
}

#[test]
fn success_forgets_the_failures() {
    let mut schedule = Schedule::new(Some(life(6 * DAY)), 0);
    for _ in 0..5 {
        schedule.failed(at(4 * DAY), 0, "refused".into());
    }
    assert_eq!(schedule.failures(), 5);
    schedule.issued(Life { not_before: at(4 * DAY), not_after: at(10 * DAY) }, 0);
    assert_eq!((schedule.failures(), schedule.last_error()), (0, None));
    assert_eq!(schedule.next(at(4 * DAY)), at(8 * DAY));
}

#[test]
fn the_operator_is_told_early() {
    let mut schedule = Schedule::new(Some(life(6 * DAY)), 0);
    assert_eq!(schedule.alarm(at(4 * DAY)), None);
    schedule.failed(at(4 * DAY), 0, "port 443 is closed".into());
    schedule.failed(at(4 * DAY), 0, "port 443 is closed".into());
    assert_eq!(schedule.alarm(at(4 * DAY)), None, "two failures happen");
    schedule.failed(at(4 * DAY), 0, "port 443 is closed".into());
    let text = schedule.alarm(at(4 * DAY)).unwrap();
    assert_eq!(
        text,
        "the certificate expires at 2025-09-15 01:11:47 UTC, in 2 days, and 3 attempts to renew it failed: \
         port 443 is closed"
    );
    let idle = Schedule::new(Some(life(6 * DAY)), 0);
    assert!(idle.alarm(at(5 * DAY + DAY / 2)).unwrap().contains("12 hours"));
    assert!(idle.alarm(at(7 * DAY)).unwrap().starts_with("the certificate expired at 2025-09-15"));
}

#[test]
fn clock_jump_delays_nothing_for_long() {
    // Far ahead: due at once, whatever was planned.
    let mut schedule = Schedule::new(Some(life(90 * DAY)), 0);
    assert!(schedule.due(at(4000 * DAY)));
    // The attempt fails there, and the clock comes back: the failure lies years ahead.
    schedule.failed(at(4000 * DAY), 0, "not yet valid".into());
    let now = at(70 * DAY);
    assert!(!schedule.due(now));
    assert!(schedule.next(now).since(now) <= LONGEST_WAIT);
    assert!(schedule.due(at(71 * DAY)), "the wait is counted from the corrected time");
    // Far back: a certificate of the future is kept, and nothing is hammered.
    let mut schedule = Schedule::new(Some(life(90 * DAY)), 0);
    let past = at(Duration::ZERO).minus(1000 * DAY);
    assert!(!schedule.due(past));
    assert_eq!(schedule.sleep(past), LONGEST_SLEEP);
}

#[test]
fn nothing_overflows() {
    let mut schedule = Schedule::new(None, u32::MAX);
    for _ in 0..100 {
        schedule.failed(Timestamp::from_micros(i64::MAX), u32::MAX, String::new());
    }
    assert!(schedule.next(Timestamp::from_micros(i64::MAX)) <= Timestamp::from_micros(i64::MAX));
    let odd = Life { not_before: at(DAY), not_after: at(Duration::ZERO) };
    assert_eq!(odd.length(), Duration::ZERO);
    assert!(Schedule::new(Some(odd), 3).due(at(DAY)));
}

fn window(from: Duration, to: Duration) -> Window {
    Window { start: at(from), end: at(to) }
}

#[test]
fn the_authority_decides_when_to_renew() {
    for (jitter, expected) in [(0, 2 * DAY), (u32::MAX / 2, 3 * DAY), (u32::MAX, 4 * DAY)] {
        let mut schedule = Schedule::new(Some(life(6 * DAY)), 7);
        schedule.suggested(Some(window(2 * DAY, 4 * DAY)), jitter);
        let next = schedule.next(at(DAY));
        assert!(next <= at(expected) && at(expected).since(next) < Duration::from_secs(1), "{next:?}");
        // The same window again: the moment stays.
        schedule.suggested(Some(window(2 * DAY, 4 * DAY)), jitter ^ u32::MAX);
        assert_eq!(schedule.next(at(DAY)), next);
        // It has come to nothing: half of what the certificate had is over by then.
        schedule.suggested(None, 0);
        assert_eq!(schedule.next(at(DAY)), at(4 * DAY));
    }
    // One that makes no sense is none.
    let mut schedule = Schedule::new(Some(life(6 * DAY)), 0);
    schedule.suggested(Some(window(4 * DAY, 2 * DAY)), 0);
    assert_eq!(schedule.next(at(DAY)), at(4 * DAY));
}

#[test]
fn revoked_certificate_is_renewed_with_bounded_attempts() {
    let past =
        Some(Window { start: at(Duration::ZERO).minus(9 * DAY), end: at(Duration::ZERO).minus(8 * DAY) });
    for (length, soonest) in
        [(90 * DAY, SOONEST), (6 * DAY, SOONEST), (Duration::from_secs(90), Duration::from_secs(9))]
    {
        let mut schedule = Schedule::new(Some(life(length)), 3);
        schedule.suggested(past, 5);
        assert_eq!(schedule.next(at(Duration::ZERO)), at(soonest));
        assert!(schedule.due(at(length / 2)));
    }
}

#[test]
fn no_suggestion_lets_a_certificate_run_out() {
    for length in LIVES {
        let mut schedule = Schedule::new(Some(life(length)), u32::MAX);
        schedule.suggested(Some(window(length * 2, length * 3)), 9);
        let next = schedule.next(at(Duration::ZERO));
        assert_eq!(next, at(length).minus(length / 5));
        assert_eq!(schedule.alarm(next), None, "nobody is told before it was tried");
        let mut now = next;
        let mut attempts = 0;
        while now < at(length) {
            schedule.failed(now, 0, "refused".into());
            now = schedule.next(now);
            attempts += 1;
        }
        assert!(attempts >= 5, "{length:?}: {attempts}");
    }
}

#[test]
fn authority_that_takes_no_request_gets_none() {
    let mut schedule = Schedule::new(Some(life(6 * DAY)), 0);
    schedule.barred(at(4 * DAY), 0, "too many".into(), Duration::from_hours(33));
    assert_eq!(
        (schedule.next(at(4 * DAY)), schedule.bar()),
        (at(4 * DAY + Duration::from_hours(33)), Duration::from_hours(33))
    );
    assert!(!schedule.due(at(5 * DAY)));
    // The wait of its own is the longer one.
    schedule.barred(at(4 * DAY), 0, "busy".into(), Duration::from_secs(1));
    assert!(schedule.next(at(4 * DAY)) > at(4 * DAY + Duration::from_mins(10)));
    // Another process knows it, too.
    let mut again = Schedule::new(Some(life(6 * DAY)), 0);
    again.resume(2, at(4 * DAY), 0, "too many".into(), Duration::from_hours(33));
    assert_eq!((again.next(at(4 * DAY)), again.failures()), (at(4 * DAY + Duration::from_hours(33)), 2));
    // Nobody bars us for ever, and a clock that was set back does not either.
    schedule.barred(at(4000 * DAY), 0, "never".into(), Duration::MAX);
    assert!(schedule.next(at(DAY)) <= at(9 * DAY));
    schedule.issued(life(6 * DAY), 0);
    assert_eq!((schedule.bar(), schedule.next(at(DAY))), (Duration::ZERO, at(4 * DAY)));
}

#[test]
fn a_bar_does_not_outlive_the_certificate() {
    for length in LIVES {
        let mut schedule = Schedule::new(Some(life(length)), 0);
        let first = schedule.next(at(Duration::ZERO));
        schedule.barred(first, 0, "not now".into(), Duration::MAX);
        let again = schedule.next(first);
        assert!(again > first && again <= at(length).minus(length / 10), "{length:?}");
        // There it is refused again: further attempts come, each after a wait of our own.
        schedule.barred(again, 0, "not now".into(), Duration::MAX);
        let third = schedule.next(again);
        assert!(third > again && third < at(length), "{length:?}");
    }
}

#[test]
fn hourly_limit_of_failed_validations_is_kept() {
    for length in [6 * DAY, 90 * DAY] {
        for jitter in [0, u32::MAX] {
            let mut schedule = Schedule::new(Some(life(length)), jitter);
            let (mut now, mut attempts) = (schedule.next(at(Duration::ZERO)), Vec::new());
            for _ in 0..20 {
                attempts.push(now);
                schedule.failed(now, jitter, "refused".into());
                now = schedule.next(now);
            }
            for begin in &attempts {
                let end = after(*begin, Duration::from_hours(1));
                let hour = attempts.iter().filter(|attempt| *begin <= **attempt && **attempt < end).count();
                assert!(hour * 2 <= 5, "{length:?}: {hour} attempts in an hour");
            }
        }
    }
}
