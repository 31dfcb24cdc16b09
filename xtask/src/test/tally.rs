//! The sum of a run: what passed, failed and was skipped, part by part, how long each part took, and whether each skip may
//! be.

use std::collections::BTreeMap;
use std::time::Duration;

use super::count::Count;
use super::skips::Skips;
use crate::problem::Result;

/// The sum so far. Its methods print what they are told.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u64,
    failed: Vec<String>,
    /// Names with their reasons.
    skipped: Vec<(String, String)>,
    parts: BTreeMap<String, Spent>,
}

/// What a part has cost.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// From its beginning to its end, as far as it is known.
    first: Option<Duration>,
    last: Duration,
    /// The times of all its tasks together.
    sum: Duration,
    passed: u64,
}

impl Tally {
    /// A check that succeeded or not.
    pub(crate) fn record(&mut self, name: &str, result: Result) {
        match result {
            Ok(()) => self.passed += 1,
            Err(problem) => self.fail(name, &problem.to_string()),
        }
    }

    pub(crate) fn fail(&mut self, name: &str, why: &str) {
        println!("FAIL {name}: {why}");
        self.failed.push(name.to_owned());
    }

    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        self.skipped.push((name.to_owned(), why.to_owned()));
    }

    /// What a process of a part has said.
    pub(crate) fn add(&mut self, part: &str, count: &Count) {
        let named = |name: &String| format!("{part}: {name}");
        self.passed += count.passed;
        self.parts.entry(part.to_owned()).or_default().passed += count.passed;
        self.failed.extend(count.failed.iter().map(named));
        self.skipped.extend(count.skipped.iter().map(|(name, why)| (named(name), why.clone())));
    }

    /// That a task of a part ran from one moment of the run to another.
    pub(crate) fn spent(&mut self, part: &str, from: Duration, to: Duration) {
        let spent = self.parts.entry(part.to_owned()).or_default();
        spent.first = Some(spent.first.map_or(from, |first| first.min(from)));
        spent.last = spent.last.max(to);
        spent.sum += to.saturating_sub(from);
    }

    pub(crate) fn failures(&self) -> usize {
        self.failed.len()
    }

    pub(crate) fn is_good(&self) -> bool {
        self.failed.is_empty()
    }

    /// `passed`, `failed` and `skipped`.
    pub(crate) fn numbers(&self) -> (u64, usize, usize) {
        (self.passed, self.failed.len(), self.skipped.len())
    }

    /// Prints the times and the summary; its last line is `N passed, N failed, N skipped`. A skip that the committed list
    /// does not allow is a failure.
    pub(crate) fn close(&mut self, allowed: &Skips) {
        println!();
        for (name, why) in std::mem::take(&mut self.skipped) {
            if let Some(reason) = allowed.reason(&name, &why) {
                println!("may be skipped: {name}: {reason}");
                self.skipped.push((name, why));
            } else {
                let text = format!("was skipped ({why}), and {} does not allow it", Skips::FILE);
                self.fail(&name, &text);
            }
        }
        for name in &self.failed {
            println!("failed: {name}");
        }
        self.print_times();
        let (passed, failed, skipped) = self.numbers();
        println!("{passed} passed, {failed} failed, {skipped} skipped");
    }

    /// The parts in the order in which they began.
    fn print_times(&self) {
        let timed = self.parts.iter().filter_map(|(name, spent)| Some((spent.first?, name, spent)));
        let mut timed: Vec<_> = timed.collect();
        timed.sort_unstable_by_key(|(first, name, _)| (*first, *name));
        if timed.is_empty() {
            return;
        }
        println!("\n   from     to   work  passed  part");
        for (first, name, spent) in timed {
            let [from, to, sum] = [first, spent.last, spent.sum].map(|time| time.as_secs());
            println!("{from:>5} s {to:>4} s {sum:>4} s {:>7}  {name}", spent.passed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_nobody_allowed_fails_the_run() {
        let allowed = Skips::parse("suite: a | needs a printer | no test machine has one").unwrap();
        let mut tally = Tally::default();
        let mut count = Count::default();
        count.line("SKIPPED: a: needs a printer");
        tally.add("suite", &count);
        tally.close(&allowed);
        assert!(tally.is_good());
        assert_eq!(tally.numbers(), (0, 0, 1));

        count.line("SKIPPED: b: needs a printer");
        tally.add("suite", &count);
        tally.close(&allowed);
        assert_eq!(tally.failed, ["suite: b"]);
    }
}
