//! Counting: what passed, failed and was skipped, from the lines that test programs write.
//!
//! A test that cannot run on a machine ends without failing and says so on a line of its own,
//! `SKIPPED: <name>: <reason>`, on standard output or standard error. The test harness counts it as passed; here it
//! is counted as skipped. Scenarios in the virtual machine write `ok <name>` and `FAIL <name>`.

use std::collections::BTreeSet;

use crate::problem::Result;

/// The count so far. Its methods print what they are told.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    part: String,
    passed: u64,
    failed: Vec<String>,
    /// Names with their reasons.
    skipped: Vec<(String, String)>,
    /// Those of the test program that is running, which its harness will count as passed. A test that says twice that
    /// it was skipped was skipped once.
    pending: BTreeSet<String>,
    /// What the harness calls ignored, which no line of ours explains.
    ignored: u64,
    /// The part of the output of `cargo test` that is being read.
    showing: Showing,
    /// How many tests the running program has: tests may show the output of a harness of their own, whose result is not
    /// the program's.
    running: Option<u64>,
}

/// Of a test program's output, what is passed on to the terminal.
#[derive(Debug, Default, PartialEq, Eq)]
enum Showing {
    /// Compilation, names of programs, results.
    #[default]
    Everything,
    /// The output of tests that passed.
    Nothing,
    /// The output of tests that failed.
    Failures,
}

impl Tally {
    /// Begins a part: its name stands before the names of its tests.
    pub(crate) fn part(&mut self, name: &str) {
        println!("== {name}");
        name.clone_into(&mut self.part);
        self.showing = Showing::Everything;
        self.pending.clear();
        self.running = None;
    }

    /// A check that succeeded or not.
    pub(crate) fn record(&mut self, name: &str, result: Result) {
        match result {
            Ok(()) => self.passed += 1,
            Err(problem) => self.fail(name, &problem.to_string()),
        }
    }

    pub(crate) fn fail(&mut self, name: &str, why: &str) {
        println!("FAIL {name}: {why}");
        self.failed.push(self.named(name));
    }

    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        println!("SKIPPED: {name}: {why}");
        self.skipped.push((self.named(name), why.to_owned()));
    }

    pub(crate) fn failures(&self) -> usize {
        self.failed.len()
    }

    pub(crate) fn is_good(&self) -> bool {
        self.failed.is_empty()
    }

    /// A line of a test program, of `cargo test` or of a scenario.
    pub(crate) fn line(&mut self, line: &str) {
        let shown = self.count(line);
        if shown {
            println!("{line}");
        }
    }

    /// Takes a line into account; returns whether it is worth showing.
    fn count(&mut self, line: &str) -> bool {
        let plain = line.trim_start();
        if let Some((name, why)) = skip_line(plain) {
            let first = self.pending.insert(name.to_owned());
            if first {
                self.skipped.push((self.named(name), why.to_owned()));
            }
            return first;
        }
        if self.running.is_none() {
            self.running =
                line.strip_prefix("running ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        }
        if let Some(result) =
            plain.strip_prefix("test result: ").filter(|result| self.is_the_programs(result))
        {
            self.running = None;
            self.passed += number_before(result, " passed").saturating_sub(self.pending.len() as u64);
            self.pending.clear();
            self.ignored += number_before(result, " ignored");
            self.showing = Showing::Everything;
            return true;
        }
        match plain {
            "successes:" => self.showing = Showing::Nothing,
            "failures:" => self.showing = Showing::Failures,
            _ => {}
        }
        if let Some(test) = plain.strip_prefix("test ").filter(|_| self.showing == Showing::Everything) {
            if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.failed.push(self.named(name));
                return true;
            }
            if test.ends_with(" ... ok") || test.contains(" ... ignored") {
                return false;
            }
        }
        if self.showing == Showing::Everything {
            if let Some(name) = line.strip_prefix("FAIL ") {
                self.failed.push(self.named(name));
            } else if line.starts_with("ok ") {
                self.passed += 1;
            }
        }
        self.showing != Showing::Nothing
    }

    /// Whether a result speaks of as many tests as the program has.
    fn is_the_programs(&self, result: &str) -> bool {
        let words = [" passed", " failed", " ignored", " measured"];
        let count: u64 = words.iter().map(|word| number_before(result, word)).sum();
        self.running == Some(count)
    }

    /// Prints the summary; its last line is `N passed, N failed, N skipped`.
    pub(crate) fn close(&self) {
        println!();
        for (name, why) in &self.skipped {
            println!("skipped: {name}: {why}");
        }
        if self.ignored > 0 {
            println!("skipped: {} that run only when they are asked for", self.ignored);
        }
        for name in &self.failed {
            println!("failed: {name}");
        }
        println!("{}", self.closing_line());
    }

    fn closing_line(&self) -> String {
        let skipped = self.skipped.len() as u64 + self.ignored;
        format!("{} passed, {} failed, {skipped} skipped", self.passed, self.failed.len())
    }

    fn named(&self, name: &str) -> String {
        if self.part.is_empty() { name.to_owned() } else { format!("{}: {name}", self.part) }
    }
}

/// `SKIPPED: name: reason`; the word in any case, and the first colon may be missing.
fn skip_line(line: &str) -> Option<(&str, &str)> {
    let (word, rest) = line.split_at_checked("skipped".len())?;
    if !word.eq_ignore_ascii_case("skipped") || !rest.starts_with([':', ' ']) {
        return None;
    }
    let rest = rest.trim_start_matches([':', ' ']);
    // A name may hold `::`, as the paths of tests do.
    let end = rest.find(": ")?;
    Some((&rest[..end], rest[end + 2..].trim()))
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    if before.len() == text.len() {
        return 0;
    }
    before
        .rsplit(|letter: char| !letter.is_ascii_digit())
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &str) -> Tally {
        let mut tally = Tally::default();
        for line in lines.lines() {
            tally.count(line);
        }
        tally
    }

    #[test]
    fn a_skipped_test_is_not_a_passed_one() {
        let harness = "\
running 4 tests
test a ... ok
SKIPPED: kernel::peers: this kernel has no WireGuard
test kernel::peers ... ok
test b ... FAILED
test c ... ignored, needs a printer

successes:

---- a stdout ----
ok this is the output of a test and no result
skipped kernel::peers: this kernel has no WireGuard

failures:

---- b stdout ----
running 1 test
test b ... FAILED
test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s

failures:
    b

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
        let tally = tally(harness);
        assert_eq!(tally.failed, ["b"]);
        assert_eq!(tally.skipped.len(), 1);
        assert_eq!(tally.closing_line(), "1 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn tests_that_were_chosen_by_their_names_count() {
        let harness = "\
running 3 tests
running 1 test
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 40 filtered out; finished in 0.01s
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 38 filtered out; finished in 0.01s
";
        assert_eq!(tally(harness).closing_line(), "3 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn lines_of_scenarios_count() {
        let tally = tally("ok setup\nFAIL reboot\nSKIPPED: ufw: it is not installed\nokay\n");
        assert_eq!(tally.closing_line(), "1 passed, 1 failed, 1 skipped");
        assert!(!tally.is_good());
    }

    #[test]
    fn programs_do_not_share_their_skips() {
        let program = "running 2 tests\nSKIPPED: x: no tun\n\
                       test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(tally(&program.repeat(2)).closing_line(), "2 passed, 0 failed, 2 skipped");
    }
}
