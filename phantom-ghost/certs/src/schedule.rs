//! When to renew a certificate. Pure: the time and the random numbers come from outside.
//!
//! A certificate is renewed when a third of its life is left, a little later for some than for others. After a failure
//! the next attempt waits, each time longer, but never so long that the rest of the life would not see many attempts:
//! all waits are fractions of the life, so that certificates of six days and of ninety are treated alike.
//!
//! Where the authority suggests when to renew (RFC 9773), that decides: it knows of revocations and of its own load. Two bounds are ours.
//! An authority that always says "now" gets a request an hour at most, and one that says nothing sensible does not let a certificate
//! run out. Where it says how long it takes no further request (`Retry-After`), it gets none.
//!
//! Only wall-clock times count, looked at again at every wake-up, because clocks are set and machines are suspended.

use std::time::Duration;

use phantom_types::Timestamp;

/// Longest time that a caller sleeps before it asks again: a clock that was set is noticed after that.
pub const LONGEST_SLEEP: Duration = Duration::from_mins(15);
/// First wait after a failure, of a life of ninety days; shorter lives wait shorter (see [`Schedule::failed`]). Let's Encrypt takes five
/// failed validations an hour of one name, and an attempt has two.
const FIRST_WAIT: Duration = Duration::from_mins(30);
/// Longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_hours(12);
/// The longest time before the end at which an operator is told to renew by hand.
const NOTICE: Duration = Duration::from_hours(10 * 24);
/// Failures in a row after which the operator is told.
const PATIENCE: u32 = 3;
/// The longest time that an authority can bar us from asking it: more than the week that limits of authorities are counted in.
pub const LONGEST_BAR: Duration = Duration::from_hours(8 * 24);
/// When this part of a certificate's life is left, it is tried again whatever the authority has barred: a week outlives a certificate
/// of six days.
const LAST_CHANCE: u32 = 10;
/// So soon after its beginning a certificate is renewed at the earliest, or after a tenth of its life.
const SOONEST: Duration = Duration::from_hours(1);

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Its first second.
    pub not_before: Timestamp,
    /// Its last second.
    pub not_after: Timestamp,
}

/// The span in which an authority suggests to renew a certificate (RFC 9773, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its beginning. One that is past means: at once.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

/// What is known of one certificate's renewal.
#[derive(Clone, Debug)]
pub struct Schedule {
    life: Option<Life>,
    window: Option<Window>,
    jitter: u32,
    failures: u32,
    last: Option<Timestamp>,
    barred: Duration,
    error: Option<String>,
}

impl Life {
    /// Its length.
    pub fn length(self) -> Duration {
        self.not_after.since(self.not_before)
    }

    /// When a third of it is left.
    pub fn two_thirds(self) -> Timestamp {
        self.not_after.minus(self.length() / 3)
    }

    /// Whether at least a third of it is left: such a certificate is used as it is.
    pub fn is_fresh(self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.two_thirds()
    }

    /// What an operator has to be told about a certificate that no [`Schedule`] renews: in the last sixth of its life, but
    /// not before the last ten days, or when it is over.
    pub fn ending(self, now: Timestamp) -> Option<String> {
        let (left, until) = (self.not_after.since(now), self.not_after.date_and_time());
        if now > self.not_after {
            return Some(format!("the certificate expired at {until} UTC: its files were not renewed"));
        }
        let late = left < (self.length() / 6).min(NOTICE);
        late.then(|| format!("the certificate expires at {until} UTC, in {}: renew its files", span(left)))
    }
}

impl Schedule {
    /// The schedule of the certificate that is in force; with none, the first attempt is due at once. `jitter` is a random
    /// number: it decides where in the span after two thirds of the life the renewal lies.
    pub const fn new(life: Option<Life>, jitter: u32) -> Self {
        Self { life, window: None, jitter, failures: 0, last: None, barred: Duration::ZERO, error: None }
    }

    /// When the authority suggests to renew. A window that ends before it begins says nothing. `jitter` decides where in the window
    /// the renewal lies; a window that is said again changes nothing.
    pub fn suggested(&mut self, window: Option<Window>, jitter: u32) {
        let window = window.filter(|window| window.start <= window.end);
        if window != self.window {
            self.window = window;
            // Between attempts the number is about the wait.
            if self.last.is_none() {
                self.jitter = jitter;
            }
        }
    }

    /// A new certificate is in force.
    pub fn issued(&mut self, life: Life, jitter: u32) {
        *self = Self::new(Some(life), jitter);
    }

    /// An attempt failed at `now`. The wait is a 300th of the life, at most ten minutes, and doubles with each failure
    /// in a row up to a 30th of the life, at most twelve hours; a random quarter is added or taken away.
    pub fn failed(&mut self, now: Timestamp, jitter: u32, error: String) {
        self.barred(now, jitter, error, Duration::ZERO);
    }

    /// As [`failed`](Self::failed), and the authority takes no request for so long. At most [`LONGEST_BAR`] of that counts, and none
    /// of it when a tenth of the life is left.
    pub fn barred(&mut self, now: Timestamp, jitter: u32, error: String, bar: Duration) {
        self.barred = bar.min(LONGEST_BAR);
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        self.jitter = jitter;
        self.error = Some(error);
    }

    /// The last of so many failures in a row was at `last`, as another process had noted, and the authority barred us for so long.
    pub fn resume(&mut self, failures: u32, last: Timestamp, jitter: u32, error: String, bar: Duration) {
        self.failures = failures.saturating_sub(1);
        self.barred(last, jitter, error, bar);
    }

    /// How long after the last failure the authority takes no request.
    pub const fn bar(&self) -> Duration {
        self.barred
    }

    /// The certificate that is in force.
    pub const fn life(&self) -> Option<Life> {
        self.life
    }

    /// What the last attempt said, if it failed.
    pub fn last_error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// When the last of them was.
    pub const fn last_failure(&self) -> Option<Timestamp> {
        self.last
    }

    /// When the next attempt is due, as seen at `now`.
    pub fn next(&self, now: Timestamp) -> Timestamp {
        match (self.last, self.life) {
            // A failure that lies ahead was noted before the clock was set back: it counts as one of now.
            (Some(failed), life) => {
                let (failed, wait) = (failed.min(now), self.wait_after_failure());
                let barred = after(failed, self.barred);
                let last_chance =
                    life.map_or(barred, |life| life.not_after.minus(life.length() / LAST_CHANCE));
                // Behind that moment a bar counts for a twentieth of the life.
                let behind = life.map_or(barred, |life| after(failed, life.length() / 20));
                after(failed, wait).max(barred.min(last_chance.max(behind)))
            }
            (None, Some(life)) => self.planned(life),
            (None, None) => now,
        }
    }

    /// When a certificate is renewed of which no renewal has failed.
    fn planned(&self, life: Life) -> Timestamp {
        let Some(window) = self.window else {
            return after(life.two_thirds(), scaled(life.length() / 50, self.jitter));
        };
        let suggested = after(window.start, scaled(window.end.since(window.start), self.jitter));
        let soonest = after(life.not_before, SOONEST.min(life.length() / 10));
        // While there is still time for attempts that fail, before the operator has to be told.
        let latest = life.not_after.minus(life.length() / 5);
        suggested.max(soonest).min(latest)
    }

    /// Whether an attempt is due now. Takes note of a clock that was set back.
    pub fn due(&mut self, now: Timestamp) -> bool {
        self.last = self.last.map(|failed| failed.min(now));
        self.next(now) <= now
    }

    /// How long to sleep before asking [`due`](Self::due) again.
    pub fn sleep(&self, now: Timestamp) -> Duration {
        self.next(now).since(now).min(LONGEST_SLEEP)
    }

    /// What the operator has to be told, while there is still time to do something: after three failures in a row, or when
    /// less than a sixth of the life is left, or when it is over.
    pub fn alarm(&self, now: Timestamp) -> Option<String> {
        let cause = self.error.as_deref().unwrap_or("no attempt was made yet");
        let Some(life) = self.life else {
            return (self.failures > 0).then(|| format!("there is no certificate: {cause}"));
        };
        let left = life.not_after.since(now);
        if now > life.not_after {
            return Some(format!(
                "the certificate expired at {} UTC: {cause}",
                life.not_after.date_and_time()
            ));
        }
        let late = left < life.length() / 6;
        (late || self.failures >= PATIENCE).then(|| {
            let until = life.not_after.date_and_time();
            let attempts = match self.failures {
                0 => "it was not renewed".to_owned(),
                1 => "1 attempt to renew it failed".to_owned(),
                more => format!("{more} attempts to renew it failed"),
            };
            format!("the certificate expires at {until} UTC, in {}, and {attempts}: {cause}", span(left))
        })
    }

    fn wait_after_failure(&self) -> Duration {
        let life = self.life.map_or(Duration::MAX, Life::length);
        let first = FIRST_WAIT.min(life / 300);
        let longest = LONGEST_WAIT.min(life / 30);
        let doubled = first.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(longest);
        doubled * 3 / 4 + scaled(doubled / 2, self.jitter)
    }
}

fn after(time: Timestamp, wait: Duration) -> Timestamp {
    Timestamp::from_micros(time.micros().saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)))
}

/// The part of `span` that a random number stands for: none of it for 0, nearly all for the largest.
fn scaled(span: Duration, random: u32) -> Duration {
    let micros = (span.as_micros() * u128::from(random)) >> 32;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

fn span(left: Duration) -> String {
    let hours = left.as_secs() / 3600;
    match hours {
        48.. => format!("{} days", hours / 24),
        2..48 => format!("{hours} hours"),
        0..2 => format!("{} min", left.as_secs().div_ceil(60)),
    }
}

#[cfg(test)]
mod tests;
