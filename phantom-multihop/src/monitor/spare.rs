//! Which exit takes the place of a dead one, and when the chosen one gets its place back.

use std::collections::BTreeSet;
use std::time::Duration;

use phantom_types::ExitName;

use super::MonitorTask;

/// The chosen exit is tried this often while another one is in use and it answers.
const CHECK_EVERY: Duration = Duration::from_mins(1);
/// And at least this often when it does not: a try takes a while, in which nothing else can be changed.
const CHECK_AT_LEAST: Duration = Duration::from_mins(8);
/// It has to answer for this long before it gets its place back, for a start.
const PROOF: Duration = Duration::from_mins(10);
/// And at most for this long, however often it has died soon after.
const PROOF_MAX: Duration = Duration::from_hours(2);
/// An exit that has been in use for this long has not died soon.
const SOON: Duration = Duration::from_hours(1);
/// Exits that did not answer are tried again after this long.
const ROUND: Duration = Duration::from_mins(1);

/// The other exits.
#[derive(Clone, Debug)]
pub(super) struct Spare {
    exits: Vec<ExitName>,
    /// Those that did not answer since the one in use died, or since the last round.
    refused: BTreeSet<ExitName>,
    round: Duration,
    /// Since when the chosen exit has answered every time.
    proven_since: Option<Duration>,
    check_at: Duration,
    pause: Duration,
    proof: Duration,
    returned_at: Option<Duration>,
}

impl Spare {
    pub(super) fn new(exits: &[ExitName], now: Duration) -> Self {
        Self {
            exits: exits.to_vec(),
            refused: BTreeSet::new(),
            round: now,
            proven_since: None,
            check_at: now + CHECK_EVERY,
            pause: CHECK_EVERY,
            proof: PROOF,
            returned_at: None,
        }
    }

    /// The exit in use has died: every other one may be tried.
    pub(super) fn begin_round(&mut self, now: Duration) {
        self.round = now;
        self.refused.clear();
    }

    /// Lets those that did not answer be tried again, not too often.
    pub(super) fn next_round(&mut self, now: Duration) {
        if now >= self.round + ROUND {
            self.begin_round(now);
        }
    }

    /// The exit that is to be tried in the place of the one in use: the next in their order, after the last the first.
    pub(super) fn replacement(&self, in_use: &ExitName) -> Option<ExitName> {
        let at = self.exits.iter().position(|exit| exit == in_use).map_or(0, |at| at + 1);
        let others = self.exits.iter().cycle().skip(at).take(self.exits.len());
        others.filter(|exit| *exit != in_use).find(|exit| !self.refused.contains(*exit)).cloned()
    }

    /// What returns to the chosen exit while another one is in use and alive.
    pub(super) fn way_back(&mut self, now: Duration, in_use: &ExitName) -> Option<MonitorTask> {
        let chosen = self.exits.first().filter(|chosen| *chosen != in_use)?;
        if self.proven_since.is_some_and(|since| now >= since + self.proof) {
            return Some(MonitorTask::Switch(chosen.clone()));
        }
        if now < self.check_at {
            return None;
        }
        self.check_at = now + self.pause;
        Some(MonitorTask::Check(chosen.clone()))
    }

    pub(super) fn checked(&mut self, now: Duration, answered: bool) {
        self.proven_since = answered.then(|| self.proven_since.unwrap_or(now));
        self.pause = if answered { CHECK_EVERY } else { (self.pause * 2).min(CHECK_AT_LEAST) };
        self.check_at = now + self.pause;
    }

    pub(super) fn switch_failed(&mut self, now: Duration, to: &ExitName) {
        self.refused.insert(to.clone());
        // The chosen one answered for so long and could not take its place back: clients are interrupted by each trial.
        if self.proven_since.take().is_some() && self.exits.first() == Some(to) {
            self.proof = (self.proof * 2).min(PROOF_MAX);
        }
        self.check_at = now + CHECK_EVERY;
    }

    pub(super) fn switched(&mut self, now: Duration, from: &ExitName, to: &ExitName) {
        let chosen = self.exits.first();
        if chosen == Some(from) {
            let soon = self.returned_at.is_some_and(|at| now < at + SOON);
            self.proof = if soon { (self.proof * 2).min(PROOF_MAX) } else { PROOF };
        }
        if chosen == Some(to) {
            self.returned_at = Some(now);
        }
        self.proven_since = None;
        self.pause = CHECK_EVERY;
        self.check_at = now + CHECK_EVERY;
        self.begin_round(now);
    }
}
