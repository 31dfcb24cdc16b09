//! Counting what one process says: a test program, or a scenario in a server.
//!
//! A test that cannot run on a machine ends without failing and says so on a line of its own,
//! `SKIPPED: <name>: <reason>`, on standard output or standard error. The test harness counts it as passed; here it
//! is counted as skipped. So is a test that the harness ignores. Scenarios write `ok <name>` and `FAIL <name>`.

use std::collections::BTreeSet;

/// What a process has said so far.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: Vec<String>,
    /// Names with their reasons.
    pub(crate) skipped: Vec<(String, String)>,
    /// The lines that are worth showing.
    pub(crate) shown: Vec<String>,
    /// The skipped tests of the program that is running, which its harness will count as passed. A test that says twice
    /// that it was skipped was skipped once.
    pending: BTreeSet<String>,
    /// The part of the harness's output that is being read.
    showing: Showing,
    /// How many tests the running program has: tests may show the output of a harness of their own, whose result is not
    /// the program's.
    running: Option<u64>,
    /// Whether a harness has said how it ended.
    result: bool,
}

/// Of a test program's output, what is shown.
#[derive(Debug, Default, PartialEq, Eq)]
enum Showing {
    #[default]
    Everything,
    /// The output of tests that passed.
    Nothing,
    /// The output of tests that failed.
    Failures,
}

impl Count {
    /// Takes a line into account.
    pub(crate) fn line(&mut self, line: &str) {
        if self.count(line) {
            self.shown.push(line.to_owned());
        }
    }

    /// That the process itself failed, beside its tests.
    pub(crate) fn fail(&mut self, name: &str, why: &str) {
        self.shown.push(format!("FAIL {name}: {why}"));
        self.failed.push(format!("{name}: {why}"));
    }

    /// Whether a harness has said how it ended, with at least one test that it ran, skipped or ignored.
    pub(crate) fn has_result(&self) -> bool {
        self.result
    }

    /// Takes a line into account; returns whether it is worth showing.
    fn count(&mut self, line: &str) -> bool {
        let plain = line.trim_start();
        if let Some((name, why)) = skip_line(plain) {
            let first = self.pending.insert(name.to_owned());
            if first {
                self.skipped.push((name.to_owned(), why.to_owned()));
            }
            return false;
        }
        if self.running.is_none() {
            self.running =
                line.strip_prefix("running ").and_then(|rest| rest.split(' ').next()?.parse().ok());
            if self.running.is_some() {
                return false;
            }
        }
        if let Some(result) =
            plain.strip_prefix("test result: ").filter(|result| self.is_the_programs(result))
        {
            self.running = None;
            self.result = true;
            self.passed += number_before(result, " passed").saturating_sub(self.pending.len() as u64);
            self.pending.clear();
            self.showing = Showing::Everything;
            return !result.starts_with("ok");
        }
        match plain {
            "successes:" => self.showing = Showing::Nothing,
            "failures:" => self.showing = Showing::Failures,
            _ => {}
        }
        match self.showing {
            Showing::Everything => self.report(line),
            Showing::Failures => true,
            Showing::Nothing => false,
        }
    }

    /// A line of the harness itself, or of a scenario.
    fn report(&mut self, line: &str) -> bool {
        if let Some(test) = line.trim_start().strip_prefix("test ") {
            if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.failed.push(name.to_owned());
                return true;
            }
            if let Some((name, why)) = test.split_once(" ... ignored") {
                self.skipped.push((name.to_owned(), why.trim_start_matches([',', ' ']).to_owned()));
                return false;
            }
            if test.ends_with(" ... ok") || test.ends_with(" has been running for over 60 seconds") {
                return false;
            }
        }
        if let Some(name) = line.strip_prefix("FAIL ") {
            self.failed.push(name.to_owned());
        } else if line.starts_with("ok ") {
            self.passed += 1;
            return false;
        }
        !line.is_empty()
    }

    /// Whether a result speaks of as many tests as the program has.
    fn is_the_programs(&self, result: &str) -> bool {
        let words = [" passed", " failed", " ignored", " measured"];
        let count: u64 = words.iter().map(|word| number_before(result, word)).sum();
        self.running == Some(count)
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

    fn count(lines: &str) -> Count {
        let mut count = Count::default();
        lines.lines().for_each(|line| count.line(line));
        count
    }

    fn numbers(count: &Count) -> (u64, usize, usize) {
        (count.passed, count.failed.len(), count.skipped.len())
    }

    #[test]
    fn skipped_test_does_not_count_as_passed() {
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
        let count = count(harness);
        assert_eq!(count.failed, ["b"]);
        assert_eq!(count.skipped[1], ("c".to_owned(), "needs a printer".to_owned()));
        assert_eq!(numbers(&count), (1, 1, 2));
        assert!(count.shown.iter().any(|line| line.contains("---- b stdout")), "{:?}", count.shown);
        assert!(!count.shown.iter().any(|line| line.contains("no result")), "{:?}", count.shown);
    }

    #[test]
    fn tests_chosen_by_name_count() {
        let harness = "\
running 3 tests
running 1 test
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 40 filtered out; finished in 0.01s
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 38 filtered out; finished in 0.01s
";
        assert_eq!(numbers(&count(harness)), (3, 0, 0));
    }

    #[test]
    fn lines_of_scenarios_count() {
        let count = count("ok setup\nFAIL reboot\n    because\nSKIPPED: ufw: it is not installed\nokay\n");
        assert_eq!(numbers(&count), (1, 1, 1));
        assert_eq!(count.shown, ["FAIL reboot", "    because", "okay"]);
    }

    #[test]
    fn a_process_without_a_result_is_noticed() {
        assert!(!count("running 2 tests\ntest a ... ok\n").has_result());
    }
}
