//! How long a client waits before it tries again, pure: no clock, no random source.

use std::time::Duration;

/// The shortest wait.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(15);
/// A tunnel that was open for so long was a good one: the waits begin again.
pub const HEALTHY: Duration = Duration::from_mins(1);

/// Waits that double from one failure to the next, each drawn from the upper half of its range, so that many clients that
/// lost the same server do not come back together.
///
/// ```
/// use std::time::Duration;
/// use phantom_tunnel::client::backoff::{Backoff, HEALTHY};
///
/// let mut backoff = Backoff::default();
/// assert_eq!(backoff.next(0.0), Duration::from_secs(1));
/// assert_eq!(backoff.next(0.0), Duration::from_secs(2));
/// assert_eq!(backoff.next(1.0), Duration::from_secs(8));
/// backoff.was_open(HEALTHY);
/// assert_eq!(backoff.next(0.0), Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait: from [`SHORTEST`] to [`LONGEST`]. `chance` is a random number from 0 to 1.
    pub fn next(&mut self, chance: f64) -> Duration {
        // 2, 4, 8, … seconds; the exponent is bounded, the product cannot overflow.
        let ceiling = (SHORTEST * 2_u32.pow(1 + self.failures.min(10))).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let half = ceiling / 2;
        half + half.mul_f64(chance.clamp(0.0, 1.0))
    }

    /// A tunnel was open for this long before it ended. Only after [`HEALTHY`] do the waits begin again: a server that
    /// accepts and drops at once is not to be asked every second.
    pub fn was_open(&mut self, time: Duration) {
        if time >= HEALTHY {
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_fifteen_seconds() {
        for (chance, expected) in
            [(0.0, [1000, 2000, 4000, 7500, 7500, 7500]), (1.0, [2000, 4000, 8000, 15_000, 15_000, 15_000])]
        {
            let mut backoff = Backoff::default();
            let waits = expected.map(|_| backoff.next(chance).as_millis());
            assert_eq!(waits, expected);
        }
    }

    #[test]
    fn every_wait_stays_in_its_range() {
        let mut backoff = Backoff::default();
        for round in 0..1000 {
            let wait = backoff.next(f64::from(round % 11) / 10.0);
            assert!((SHORTEST..=LONGEST).contains(&wait), "{wait:?}");
        }
        let mut full = Backoff { failures: u32::MAX };
        assert_eq!(full.next(f64::INFINITY), LONGEST);
    }

    #[test]
    fn only_a_healthy_tunnel_resets() {
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            backoff.next(0.0);
        }
        backoff.was_open(HEALTHY.saturating_sub(Duration::from_millis(1)));
        assert_eq!(backoff.next(0.0), LONGEST / 2);
        backoff.was_open(HEALTHY);
        assert_eq!(backoff.next(0.0), SHORTEST);
    }
}
