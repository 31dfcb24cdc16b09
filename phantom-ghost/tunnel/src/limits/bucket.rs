//! What is left of a rate.

use std::time::{Duration, Instant};

use super::Rate;

/// What is left of a [`Rate`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { left: f64::from(rate.burst), at: now }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(rate.per_second);
        self.left = (self.left + earned).min(f64::from(rate.burst));
        self.at = now;
        let granted = self.left >= 1.0;
        if granted {
            self.left -= 1.0;
        }
        granted
    }

    /// Whether it is as good as new.
    pub(crate) fn is_full(&self, rate: Rate, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(rate.per_second);
        self.left + earned >= f64::from(rate.burst)
    }

    /// How long it takes until there is one; an hour where none ever comes.
    pub(super) fn wait(&self, rate: Rate) -> Duration {
        let missing = (1.0 - self.left).max(0.0) / f64::from(rate.per_second);
        Duration::try_from_secs_f64(missing).unwrap_or(NEVER).min(NEVER)
    }

    /// When it was asked last.
    pub(super) fn at(&self) -> Instant {
        self.at
    }
}

const NEVER: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_again() {
        let (rate, start) = (Rate { burst: 2, per_second: 4 }, Instant::now());
        let mut bucket = Bucket::new(rate, start);
        assert!(bucket.take(rate, start) && bucket.take(rate, start) && !bucket.take(rate, start));
        assert_eq!(bucket.wait(rate), Duration::from_millis(250));
        let is_full = |after: u64| bucket.is_full(rate, start + Duration::from_millis(after));
        assert_eq!([is_full(0), is_full(400), is_full(500)], [false, false, true]);
        assert!(bucket.take(rate, start + Duration::from_millis(300)));
        assert!(!bucket.take(rate, start + Duration::from_millis(301)));
        let later = start + Duration::from_mins(1);
        assert!(bucket.take(rate, later) && bucket.take(rate, later) && !bucket.take(rate, later));
        assert_eq!(bucket.wait(Rate { burst: 2, per_second: 0 }), NEVER);
    }
}
