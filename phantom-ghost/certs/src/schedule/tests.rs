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
fn renewal_is_at_two_thirds_and_soon_after() {
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
fn without_a_certificate_the_first_attempt_is_now_and_the_next_waits() {
    let mut schedule = Schedule::new(None, 7);
    assert!(schedule.due(at(DAY)));
    schedule.failed(at(DAY), u32::MAX / 2, "refused".into());
    assert!(!schedule.due(at(DAY)));
    let wait = schedule.next(at(DAY)).since(at(DAY));
    assert!(wait >= FIRST_WAIT * 3 / 4 && wait <= FIRST_WAIT * 5 / 4);
    assert_eq!(schedule.alarm(at(DAY)).unwrap(), "there is no certificate: refused");
}

#[test]
fn every_life_sees_many_attempts_and_none_too_many() {
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
fn a_clock_that_jumps_delays_nothing_for_long() {
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
