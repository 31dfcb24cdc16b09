//! When to ask an authority for its suggestion. Pure.

use std::time::Duration;

use phantom_types::Timestamp;

/// After how long an authority is asked again that does not say when to renew: it may learn to.
const WITHOUT_ADVICE: Duration = Duration::from_hours(24);
/// First wait after it could not be asked; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_mins(10);
/// Longest wait after it could not be asked.
const LONGEST_WAIT: Duration = Duration::from_hours(12);

/// When an authority is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asking {
    under_way: bool,
    /// When it was asked last, and how long that holds.
    last: Option<(Timestamp, Duration)>,
    failures: u32,
}

impl Asking {
    /// Whether it is to be asked now; then it is.
    pub(super) fn begin(&mut self, now: Timestamp) -> bool {
        let due = !self.under_way && self.left(now).is_zero();
        self.under_way |= due;
        due
    }

    /// It was asked: how long its answer holds if it has one, or how long it takes no request.
    pub(super) fn end(&mut self, now: Timestamp, answer: Result<Option<Duration>, Duration>) {
        self.under_way = false;
        let wait = match answer {
            Ok(again) => {
                self.failures = 0;
                again.unwrap_or(WITHOUT_ADVICE)
            }
            Err(bar) => {
                let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
                self.failures = self.failures.saturating_add(1);
                wait.max(bar.min(WITHOUT_ADVICE))
            }
        };
        self.last = Some((now, wait));
    }

    /// How long to sleep before it is to be asked; nothing while it is being asked.
    pub(super) fn wait(&self, now: Timestamp) -> Option<Duration> {
        (!self.under_way).then(|| self.left(now))
    }

    /// A clock that was set back does not put it off.
    fn left(&self, now: Timestamp) -> Duration {
        let past = self.last.filter(|(last, _)| *last <= now);
        past.map_or(Duration::ZERO, |(last, wait)| wait.saturating_sub(now.since(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(passed: Duration) -> Timestamp {
        Timestamp::from_micros(1_757_380_307_000_000 + i64::try_from(passed.as_micros()).unwrap())
    }

    #[test]
    fn authority_is_asked_once_per_announced_interval() {
        let (mut asking, start) = (Asking::default(), at(Duration::ZERO));
        assert!(asking.begin(start) && !asking.begin(start));
        assert_eq!(asking.wait(start), None);
        asking.end(start, Ok(Some(Duration::from_hours(6))));
        assert!(!asking.begin(at(Duration::from_hours(5))));
        assert_eq!(asking.wait(at(Duration::from_hours(5))), Some(Duration::from_hours(1)));
        assert!(asking.begin(at(Duration::from_hours(6))));
        asking.end(at(Duration::from_hours(6)), Ok(None));
        assert!(!asking.begin(at(Duration::from_hours(29))) && asking.begin(at(Duration::from_hours(30))));
        // The clock was set back.
        asking.end(at(Duration::from_hours(9000)), Ok(None));
        assert!(asking.begin(start));
    }

    #[test]
    fn unreachable_authority_is_asked_less_often() {
        let (mut asking, mut now, mut waits) = (Asking::default(), at(Duration::ZERO), Vec::new());
        for _ in 0..40 {
            assert!(asking.begin(now));
            asking.end(now, Err(Duration::ZERO));
            waits.push(asking.wait(now).unwrap());
            now = Timestamp::from_micros(
                now.micros() + i64::try_from(waits.last().unwrap().as_micros()).unwrap(),
            );
        }
        assert_eq!((waits[0], waits[1], *waits.last().unwrap()), (FIRST_WAIT, 2 * FIRST_WAIT, LONGEST_WAIT));
        assert!(asking.begin(now));
        asking.end(now, Err(Duration::from_hours(20)));
        assert_eq!(asking.wait(now), Some(Duration::from_hours(20)), "it said so itself");
    }
}
