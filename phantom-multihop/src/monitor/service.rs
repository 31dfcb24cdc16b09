//! Whether anything passes the exit in use, by what comes of the questions that go through it.
//!
//! One question that is not answered says little: the packet may have been lost, and the resolver may be what is gone. So the
//! exit is only blamed for several in a row, and only while nothing else comes in by it: an exit that brings clients what they
//! ask for passes data, although the resolver is silent. The rest is found out by another exit, which has to pass the same question
//! before it keeps the place. When none does, it is the resolver, and nothing is tried again for a while.

use std::time::Duration;

/// The exit in use is asked for a proof of its service this often.
const EVERY: Duration = Duration::from_mins(5);
/// And sooner when there is a doubt, but not more often than this.
const IN_DOUBT: Duration = Duration::from_mins(1);
/// A question that was not answered is asked again after this long.
const AGAIN: Duration = Duration::from_secs(20);
/// So many without an answer are not lost by chance.
const UNANSWERED: u32 = 4;
/// An exit by which this much came in between two of them passes data. Errors that routers report are fewer: each of at most
/// 624 bytes in the tunnel, and one a second (RFC 1812, section 4.3.2.8; `icmp_ratelimit` of Linux).
const DATA: u64 = 16 << 10;
/// After a round in which no exit was better the next one waits for this long, for a start, and at most.
const REST: Duration = Duration::from_mins(10);
const REST_MAX: Duration = Duration::from_hours(2);

/// The service of the exit in use.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// When it is asked the next time.
    next: Duration,
    /// When it was asked the last time.
    asked: Duration,
    /// Questions without an answer since the last one that had one, or since data came in.
    unanswered: u32,
    /// Bytes that came in since the last question.
    received: u64,
    /// It counts as one that passes nothing.
    lost: bool,
    /// That was said, and the opposite was not.
    told: bool,
    /// Until when it is not counted so again, and how long the next rest is.
    rest_until: Duration,
    rest: Duration,
}

impl Service {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            next: now + EVERY,
            asked: now,
            unanswered: 0,
            received: 0,
            lost: false,
            told: false,
            rest_until: now,
            rest: REST,
        }
    }

    /// Whether it is to be asked now.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let due = now >= self.next;
        if due {
            (self.asked, self.next) = (now, now + EVERY);
        }
        due
    }

    /// Clients sent, and all that came back was an answer to us.
    pub(super) fn doubt(&mut self, now: Duration) {
        self.next = self.next.min(now.max(self.asked + IN_DOUBT));
    }

    /// So many bytes came in.
    pub(super) fn receive(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
    }

    /// What came of a question: it was answered or not, or nobody was there to be asked. Says whether that is the end of a loss
    /// that was told of.
    pub(super) fn answered(&mut self, now: Duration, answered: Option<bool>) -> bool {
        let received = std::mem::take(&mut self.received);
        if answered != Some(false) {
            // A rest is not over with one answer: of a line that answers now and then, each would begin another round. It is forgotten
            // once answers have come for as long as the longest rest.
            let (rest_until, rest) = (self.rest_until, self.rest);
            let rested = now >= rest_until + REST_MAX;
            let told = self.told && answered.is_none();
            let over = self.told && !told;
            *self = Self { told, ..Self::new(now) };
            if !rested {
                (self.rest_until, self.rest) = (rest_until, rest);
            }
            return over;
        }
        // What came in before the first of them says nothing of the time since.
        let brings_data = self.unanswered > 0 && received >= DATA;
        self.unanswered = if brings_data { 1 } else { self.unanswered.saturating_add(1) };
        self.lost &= !brings_data;
        self.next = now
            + match self.unanswered {
                _ if brings_data => IN_DOUBT,
                count if count < UNANSWERED => AGAIN,
                _ => EVERY,
            };
        false
    }

    /// Whether it begins to count as one that passes nothing, and whether that is news.
    pub(super) fn begins_to_be_lost(&mut self, now: Duration) -> Option<bool> {
        if self.lost || self.unanswered < UNANSWERED || now < self.rest_until {
            return None;
        }
        self.lost = true;
        Some(!std::mem::replace(&mut self.told, true))
    }

    /// Whether it counts as one that passes nothing.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// No other exit is better.
    pub(super) fn give_up(&mut self, now: Duration) {
        self.lost = false;
        self.rest_until = now + self.rest;
        self.rest = (self.rest * 2).min(REST_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// Asks whenever that is due and answers as told; says when it begins to be lost, and how often it was asked.
    fn lost_at(service: &mut Service, until: u64, bytes: u64, answered: Option<bool>) -> (Vec<u64>, u32) {
        let (mut lost, mut asked) = (Vec::new(), 0);
        for now in 1..until {
            service.receive(bytes);
            if service.is_due(seconds(now)) {
                asked += 1;
                service.answered(seconds(now), answered);
            }
            if service.begins_to_be_lost(seconds(now)).is_some() {
                lost.push(now);
                service.give_up(seconds(now));
            }
        }
        (lost, asked)
    }

    #[test]
    fn several_missed_answers_are_a_loss() {
        let mut service = Service::new(seconds(0));
        let (lost, _) = lost_at(&mut service, 700, 128, Some(false));
        assert_eq!(lost, [360], "after the fourth");
        assert_eq!(lost_at(&mut Service::new(seconds(0)), 100_000, 128, Some(true)), (Vec::new(), 333));
        assert_eq!(lost_at(&mut Service::new(seconds(0)), 100_000, 128, None).0, [0; 0]);
    }

    #[test]
    fn answer_in_between_resets_the_count() {
        let mut service = Service::new(seconds(0));
        for now in 0..1_000 {
            service.answered(seconds(now), Some(now % 4 == 3));
            assert_eq!(service.begins_to_be_lost(seconds(now)), None, "{now}");
        }
    }

    #[test]
    fn receiving_exit_is_not_blamed_for_resolver() {
        let (lost, asked) = lost_at(&mut Service::new(seconds(0)), 10_000, DATA / 19, Some(false));
        assert_eq!(lost, [0; 0]);
        assert!((150..200).contains(&asked), "{asked}");
    }

    #[test]
    fn fruitless_searches_become_rare() {
        let (lost, _) = lost_at(&mut Service::new(seconds(0)), 40_000, 0, Some(false));
        let pauses: Vec<u64> = lost.windows(2).map(|pair| (pair[1] - pair[0]) / 60).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 120, 120, 120, 120]);
    }

    #[test]
    fn loss_and_its_end_are_reported_once() {
        let mut service = Service::new(seconds(0));
        let fail = |service: &mut Service, now: u64| {
            for _ in 0..4 {
                service.answered(seconds(now), Some(false));
            }
        };
        fail(&mut service, 1);
        assert_eq!(service.begins_to_be_lost(seconds(2)), Some(true));
        service.give_up(seconds(2));
        assert_eq!(service.begins_to_be_lost(seconds(1_000)), Some(false), "it is no news");
        assert!(service.answered(seconds(1_001), Some(true)) && !service.is_lost());
        assert!(!service.answered(seconds(1_002), Some(true)));
    }

    #[test]
    fn doubt_hastens_probes_at_bounded_rate() {
        let mut service = Service::new(seconds(0));
        let asked: Vec<u64> = (1..=240)
            .filter(|now| {
                service.doubt(seconds(*now));
                let due = service.is_due(seconds(*now));
                if due {
                    service.answered(seconds(*now), Some(true));
                }
                due
            })
            .collect();
        assert_eq!(asked, [60, 120, 180, 240]);
    }
}
