//! The committed record of the long mode: which part last ran at which commit, and how it went.

use std::collections::BTreeMap;
use std::fs;

use super::Tally;
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};
use crate::workspace::{self, git};

/// So many commits later a part that has not run again counts as not run.
pub(crate) const STALE: u64 = 60;

/// One line of the record for each part.
#[derive(Debug, Default)]
pub(crate) struct Record(BTreeMap<String, Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    commit: String,
    /// As in `2026-11-29`.
    date: String,
    passed: u64,
    failed: usize,
    skipped: usize,
    /// Of what the part ran on and with.
    versions: String,
}

impl Record {
    /// Where the record lies.
    pub(crate) const FILE: &str = "tests/long-runs.tsv";
    const HEAD: &str = "part\tcommit\tdate\tpassed\tfailed\tskipped\tversions";

    pub(crate) fn read() -> Result<Self> {
        let path = workspace::root().join(Self::FILE);
        Self::parse(&fs::read_to_string(&path).context(path.display())?)
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().skip(1).map(|line| {
            let parts: Vec<&str> = line.split('\t').collect();
            let read = || -> Option<(String, Line)> {
                let [part, commit, date, passed, failed, skipped, versions] = parts[..] else { return None };
                let numbers = (passed.parse().ok()?, failed.parse().ok()?, skipped.parse().ok()?);
                let (passed, failed, skipped) = numbers;
                let [commit, date, versions] = [commit, date, versions].map(str::to_owned);
                Some((part.to_owned(), Line { commit, date, passed, failed, skipped, versions }))
            };
            read().context(format!("{}: '{line}' is no line of the record", Self::FILE))
        });
        Ok(Self(lines.collect::<Result<_>>()?))
    }

    /// Writes down that a part has run at the checked-out commit, from a clean tree alone.
    pub(crate) fn add(&mut self, part: &str, tally: &Tally, versions: &str) -> Result {
        let (passed, failed, skipped) = tally.numbers();
        let date = Cmd::line("date -u +%F").read()?;
        let line =
            Line { commit: head()?, date, passed, failed, skipped, versions: versions.replace('\t', " ") };
        self.0.insert(part.to_owned(), line);
        let lines = self.0.iter().map(|(part, line)| {
            let Line { commit, date, passed, failed, skipped, versions } = line;
            format!("{part}\t{commit}\t{date}\t{passed}\t{failed}\t{skipped}\t{versions}\n")
        });
        let text: String = [format!("{}\n", Self::HEAD)].into_iter().chain(lines).collect();
        let path = workspace::root().join(Self::FILE);
        fs::write(&path, text).context(path.display())
    }

    /// Whether a part has run without a failure at the checked-out commit, or before commits that only wrote into the
    /// record.
    pub(crate) fn is_current(&self, part: &str) -> bool {
        self.0.get(part).is_some_and(|line| line.failed == 0 && same_but_for_record(&line.commit))
    }

    /// So many commits ago a part ran without a failure; nothing where it never did, or where this clone does not have the
    /// commit.
    pub(crate) fn commits_since(&self, part: &str) -> Option<u64> {
        let line = self.0.get(part).filter(|line| line.failed == 0)?;
        git(&format!("rev-list --count {}..HEAD", line.commit)).ok()?.parse().ok()
    }

    /// Why a part is to run again: it never did, it failed, or it ran too long ago.
    pub(crate) fn stale(&self, part: &str) -> Option<String> {
        let Some(line) = self.0.get(part) else { return Some("it has never run".to_owned()) };
        match self.commits_since(part) {
            _ if line.failed > 0 => Some(format!("it failed on {}", line.date)),
            Some(count) if count <= STALE => None,
            Some(count) => Some(format!("it ran {count} commits ago, on {}", line.date)),
            None => Some(format!("it ran at {}, which this clone does not have", line.commit)),
        }
    }
}

/// Refuses a tree in which anything but the record differs from the checked-out commit.
pub(crate) fn refuse_changes() -> Result {
    let status = git("status --porcelain")?;
    let changed = status.lines().find(|line| !line.ends_with(Record::FILE));
    match changed {
        None => Ok(()),
        Some(line) => Err(Problem::new(format!(
            "the long mode writes down what it ran, so that it runs committed trees alone; this is not: {}",
            line.trim()
        ))),
    }
}

fn same_but_for_record(commit: &str) -> bool {
    let paths = git(&format!("diff --name-only {commit} HEAD"));
    paths.is_ok_and(|paths| paths.lines().all(|path| path == Record::FILE))
}

fn head() -> Result<String> {
    git("rev-parse --short=10 HEAD")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_record_can_be_read() {
        Record::read().unwrap();
    }

    #[test]
    fn a_part_without_a_line_is_stale() {
        let record = Record::parse(Record::HEAD).unwrap();
        assert_eq!(record.stale("fuzz").as_deref(), Some("it has never run"));
        assert!(!record.is_current("fuzz"));
    }

    #[test]
    fn a_failed_part_is_stale() {
        let head = head().unwrap();
        let line =
            |failed: u32| format!("{}\nfuzz\t{head}\t2026-01-01\t5\t{failed}\t0\trustc 1\n", Record::HEAD);
        assert_eq!(Record::parse(&line(0)).unwrap().stale("fuzz"), None);
        assert!(Record::parse(&line(0)).unwrap().is_current("fuzz"));
        assert_eq!(
            Record::parse(&line(1)).unwrap().stale("fuzz").as_deref(),
            Some("it failed on 2026-01-01")
        );
        assert!(Record::parse("head\nfuzz\tx").is_err());
    }
}
