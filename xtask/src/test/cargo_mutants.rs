//! cargo-mutants on the crates whose faults cost most: every small change of their code must be noticed by a test.

use std::fs;

use super::Tally;
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};
use crate::tool;
use crate::workspace;

/// What is changed, by a name: the words that choose it, and those that choose the tests that must notice.
const SUBJECTS: &[(&str, &str)] = &[
    ("store", "--package phantom-store"),
    (
        "reconcile",
        "--package phantom-host --file foundation/host/src/reconcile.rs --file foundation/host/src/reconcile/**",
    ),
];
/// Seconds for the tests of one mutant: an endless loop must not hold up the rest.
const TIMEOUT: &str = "300";

/// Tries every mutant of a subject that the last run did not see noticed. One that no test notices counts as skipped, so
/// that the committed list must say why nothing is lost by it.
pub(super) fn run(subject: &str, tally: &mut Tally) -> Result {
    let (_, choice) = SUBJECTS.iter().find(|(name, _)| *name == subject).context(subject)?;
    let out = workspace::kept()?.join("cargo-mutants").join(subject);
    fs::create_dir_all(&out).context(out.display())?;
    // Where cargo keeps what it has built for other tasks is no place for mutants.
    let command = Cmd::line("env --unset=CARGO_TARGET_DIR").arg(tool::MUTANTS.program()?).arg("mutants");
    let command = command.dir(workspace::root());
    let command = command.args("--no-shuffle --iterate --all-features --test-tool=cargo --jobs 1".split(' '));
    let command = command.args(["--timeout", TIMEOUT, "--output"]).arg(&out).args(choice.split(' '));
    let status = command.stream(|line| println!("{line}"))?;
    let read = |name: &str| -> Result<Vec<String>> {
        let file = out.join("mutants.out").join(name);
        let text = fs::read_to_string(&file).context(file.display())?;
        Ok(text.lines().map(without_place).collect())
    };
    let caught = read("caught.txt")?.len() + read("previously_caught.txt").unwrap_or_default().len();
    for _ in 0..caught {
        tally.record(subject, Ok(()));
    }
    for survivor in [read("missed.txt")?, read("timeout.txt")?].concat() {
        tally.skip(&format!("cargo-mutants:{subject}: {survivor}"), "no test notices it");
    }
    // 0: all were noticed; 2: some were not; 3: some took too long. Anything else is no result.
    match status.code() {
        Some(0 | 2 | 3) => Ok(()),
        _ => Err(Problem::new(format!("cargo mutants: {status}"))),
    }
}

/// A mutant's name without line and column, which change with everything above it.
fn without_place(line: &str) -> String {
    let mut parts = line.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(row), Some(column), Some(rest))
            if [row, column].iter().all(|text| text.bytes().all(|byte| byte.is_ascii_digit())) =>
        {
            format!("{file}:{rest}")
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_outlives_lines_above_it() {
        let name = "foundation/store/src/lib.rs:12:5: replace open -> Result with Ok(())";
        assert_eq!(without_place(name), "foundation/store/src/lib.rs: replace open -> Result with Ok(())");
        assert_eq!(without_place("something else"), "something else");
    }
}
