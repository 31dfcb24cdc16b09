//! When a repair is asked for: a pure machine over time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use phantom_types::Said;

/// A repair that was asked for and of which nothing is heard is asked for again after this.
const UNANSWERED: Duration = Duration::from_secs(20);
/// What is missing again within this after its repair was asked for is removed by somebody.
const AGAIN: Duration = Duration::from_secs(10);
/// The longest pause between two repairs of what somebody keeps removing.
const LONGEST: Duration = Duration::from_mins(1);
/// So many repairs of one object without a rest are a fight.
const FIGHT: u32 = 5;
/// What others may change as they like is asked about once in eight seconds, after so many times for nothing.
const CALM: u32 = 4;

/// What the loop does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until something happens.
    Rest,
    /// It looks again after this time.
    Look(Duration),
    /// It asks for a repair.
    Ask,
}

/// An object that somebody keeps removing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fight {
    /// The object.
    pub object: Said,
    /// How often its repair was asked for without a rest.
    pub times: u32,
}

/// What is known of an object whose repair was asked for.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    times: u32,
    asked: Duration,
    /// The last repair has found that it was not missing.
    unfounded: bool,
}

impl Trouble {
    /// How long after the last repair the next one may come: not at all, then 1, 2, 4 … 60 seconds.
    fn pause(self) -> Duration {
        let seconds = 1_u64.checked_shl(self.times.saturating_sub(1)).unwrap_or(u64::MAX);
        LONGEST.min(Duration::from_secs(seconds))
    }
    /// Whether a loss now has to do with the one before.
    fn goes_on(self, now: Duration) -> bool {
        now.saturating_sub(self.asked) < self.pause() + AGAIN
    }
}

/// Decides from looks at the host when a repair is asked for. Time is a duration since any fixed moment.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    troubles: BTreeMap<Said, Trouble>,
    /// Objects that others may change as they like.
    of_others: BTreeSet<Said>,
    /// When a repair was asked for that has not been heard of.
    waiting: Option<Duration>,
}

impl Machine {
    /// A machine that asks less and less for what is the business of others, as long as nothing of ours is missing then.
    pub fn patient_with(of_others: Said) -> Self {
        Self { of_others: BTreeSet::from([of_others]), ..Self::default() }
    }

    /// A look that found this missing.
    pub fn look(&mut self, now: Duration, missing: &BTreeSet<Said>) -> Next {
        self.troubles.retain(|_, trouble| trouble.goes_on(now));
        // Somebody else's own change is over with the look behind the repair. What is still missing then is repaired in vain.
        for (object, trouble) in &mut self.troubles {
            if std::mem::take(&mut trouble.unfounded) && !missing.contains(object) {
                let most = if self.of_others.contains(object) { CALM } else { 1 };
                trouble.times = trouble.times.min(most);
            }
        }
        if missing.is_empty() {
            self.waiting = None;
            return Next::Rest;
        }
        if let Some(asked) = self.waiting {
            let left = (asked + UNANSWERED).saturating_sub(now);
            if !left.is_zero() {
                return Next::Look(left);
            }
        }
        let pause = |object: &Said| {
            self.troubles
                .get(object)
                .map_or(Duration::ZERO, |trouble| (trouble.asked + trouble.pause()).saturating_sub(now))
        };
        // One that may be repaired at once does not wait for another that is being fought over.
        let pause = missing.iter().map(pause).min().unwrap_or_default();
        if !pause.is_zero() {
            return Next::Look(pause);
        }
        for object in missing {
            let trouble = self.troubles.entry(object.clone()).or_insert(Trouble {
                times: 0,
                asked: now,
                unfounded: false,
            });
            *trouble = Trouble { times: trouble.times.saturating_add(1), asked: now, unfounded: false };
        }
        self.waiting = Some(now);
        Next::Ask
    }

    /// What was asked for because of this object has nothing to do with what comes of it from now on.
    pub fn forget(&mut self, object: &Said) {
        self.troubles.remove(object);
    }

    /// A change has ended, or a repair: what was asked for has been heard.
    pub fn heard(&mut self) {
        self.waiting = None;
    }

    /// A repair has found that nothing was missing: what was asked for was somebody else's own change. There is a pause before
    /// the next repair of the same kind all the same, but a short one.
    pub fn nothing_was_missing(&mut self) {
        let asked = self.waiting.take();
        for trouble in self.troubles.values_mut() {
            trouble.unfounded |= Some(trouble.asked) == asked;
        }
    }

    /// What somebody keeps removing.
    pub fn fights(&self) -> Vec<Fight> {
        let fights = self.troubles.iter().filter(|(_, trouble)| trouble.times >= FIGHT);
        fights.map(|(object, trouble)| Fight { object: object.clone(), times: trouble.times }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lost(object: &str) -> BTreeSet<Said> {
        BTreeSet::from([Said::new(object, object)])
    }

    /// A host on which an object is removed the moment it is repaired: the times at which repairs are asked for.
    fn fight(machine: &mut Machine, from: Duration, until: Duration) -> Vec<Duration> {
        let (mut now, mut asked) = (from, Vec::new());
        while now < until {
            match machine.look(now, &lost("a")) {
                Next::Ask => {
                    asked.push(now);
                    machine.heard();
                    now += Duration::from_millis(100);
                }
                Next::Look(pause) => now += pause,
                Next::Rest => unreachable!("something is missing"),
            }
        }
        asked
    }

    #[test]
    fn the_first_loss_is_repaired_at_once() {
        let mut machine = Machine::default();
        assert_eq!(machine.look(SECOND, &BTreeSet::new()), Next::Rest);
        assert_eq!(machine.look(SECOND, &lost("a")), Next::Ask);
    }

    #[test]
    fn running_repair_is_not_requested_twice() {
        let mut machine = Machine::default();
        assert_eq!(machine.look(SECOND, &lost("a")), Next::Ask);
        assert_eq!(machine.look(SECOND * 2, &lost("b")), Next::Look(UNANSWERED.saturating_sub(SECOND)));
        machine.heard();
        assert_eq!(machine.look(SECOND * 2, &lost("b")), Next::Ask);
        // Nobody answered: it is asked for again.
        assert_eq!(machine.look(SECOND * 2 + UNANSWERED, &lost("c")), Next::Ask);
    }

    #[test]
    fn repeated_removal_is_not_fought() {
        let mut machine = Machine::default();
        let asked = fight(&mut machine, SECOND, SECOND * 1000);
        let pauses: Vec<u64> =
            asked.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).as_secs()).collect();
        assert_eq!(pauses[..7], [1, 2, 4, 8, 16, 32, 60]);
        assert!(pauses[7..].iter().all(|pause| *pause == 60), "{pauses:?}");
        assert_eq!(machine.fights().len(), 1);
        assert!(machine.fights()[0].times >= FIGHT);
    }

    #[test]
    fn other_loss_does_not_wait_for_fight() {
        let mut machine = Machine::default();
        fight(&mut machine, SECOND, SECOND * 1000);
        let both = lost("a").union(&lost("b")).cloned().collect();
        assert_eq!(machine.look(SECOND * 1000, &both), Next::Ask);
    }

    #[test]
    fn a_fight_that_ended_is_forgotten() {
        let mut machine = Machine::default();
        let last = *fight(&mut machine, SECOND, SECOND * 1000).last().unwrap();
        assert_eq!(machine.look(last + LONGEST + AGAIN, &BTreeSet::new()), Next::Rest);
        assert_eq!(machine.fights(), []);
        assert_eq!(machine.look(last + LONGEST + AGAIN, &lost("a")), Next::Ask);
    }

    /// Ten years with a loss every hour: each is repaired at once, and nothing piles up.
    #[test]
    fn years_of_single_losses_leave_nothing_behind() {
        let mut machine = Machine::default();
        for hour in 1..87_600_u32 {
            let now = Duration::from_hours(1) * hour;
            assert_eq!(machine.look(now, &lost(&hour.to_string())), Next::Ask);
            machine.heard();
            assert_eq!(machine.look(now + SECOND, &BTreeSet::new()), Next::Rest);
        }
        assert!(machine.troubles.len() <= 1);
    }

    /// Something is to be done every second, and is done: each time is another one.
    #[test]
    fn recurring_due_work_is_no_fight() {
        let mut machine = Machine::default();
        for second in 1..1000_u32 {
            machine.forget(&Said::new("a", "a"));
            assert_eq!(machine.look(SECOND * second, &lost("a")), Next::Ask);
            machine.heard();
            assert_eq!(machine.look(SECOND * second, &BTreeSet::new()), Next::Rest);
            assert_eq!(machine.fights(), []);
        }
    }

    #[test]
    fn what_was_not_missing_is_no_fight() {
        let mut machine = Machine::default();
        let (mut now, mut asked) = (Duration::ZERO, 0);
        while now < Duration::from_mins(5) {
            match machine.look(now, &lost("a")) {
                Next::Ask => {
                    asked += 1;
                    machine.nothing_was_missing();
                    now += SECOND / 10;
                    assert_eq!(
                        machine.look(now, &BTreeSet::new()),
                        Next::Rest,
                        "it was somebody else's change"
                    );
                }
                Next::Look(pause) => now += pause,
                Next::Rest => unreachable!("something is missing"),
            }
            assert_eq!(machine.fights(), []);
        }
        // There is a pause all the same, and it stays short.
        assert!((100..=300).contains(&asked), "{asked}");
        assert!(matches!(machine.look(now + 3 * SECOND, &lost("a")), Next::Ask));
    }

    /// Somebody else changes his rules all the time, as a program does that shuts out attackers.
    #[test]
    fn foreign_losses_are_asked_seldom() {
        let mut machine = Machine::patient_with(Said::new("a", "a"));
        let (mut now, mut asked) = (Duration::ZERO, 0);
        while now < Duration::from_mins(10) {
            match machine.look(now, &lost("a")) {
                Next::Ask => {
                    asked += 1;
                    machine.nothing_was_missing();
                    now += SECOND / 10;
                    assert_eq!(machine.look(now, &BTreeSet::new()), Next::Rest);
                }
                Next::Look(pause) => now += pause,
                Next::Rest => unreachable!("something is missing"),
            }
            assert_eq!(machine.fights(), []);
        }
        assert!((60..=90).contains(&asked), "{asked}");
        // What is ours does not wait for that.
        assert_eq!(machine.look(now, &lost("b")), Next::Ask);
    }

    #[test]
    fn remaining_loss_is_requested_less_often() {
        let mut machine = Machine::default();
        let (mut now, mut asked) = (Duration::ZERO, 0);
        while now < Duration::from_mins(10) {
            match machine.look(now, &lost("a")) {
                Next::Ask => {
                    asked += 1;
                    machine.nothing_was_missing();
                    now += SECOND / 10;
                }
                Next::Look(pause) => now += pause,
                Next::Rest => unreachable!("something is missing"),
            }
        }
        assert!((10..=20).contains(&asked), "{asked}");
        assert_eq!(machine.fights().len(), 1, "and somebody is told");
    }
}
