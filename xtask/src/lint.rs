//! `lint`: everything about the sources that a program can check.

#[cfg(test)]
mod edges;
mod names;
mod tidy;
mod unused;
mod wording;

use std::time::Instant;

use crate::args::Args;
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};
use crate::tool;
use crate::workspace::{self, cargo};
use crate::{generate, test};

/// What the checks are called as a part of a run.
pub(crate) const PART: &str = "lint";

/// One check: its name, and what it runs.
struct Check {
    name: &'static str,
    run: fn() -> Result,
    beside_tests: Beside,
}

/// Whether a check runs beside the tests of a change. On its own, the lint runs all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Always,
    /// One of these at each change: they compile for long and find little.
    Turn,
    /// The tests have it too.
    Never,
}

const fn check(name: &'static str, run: fn() -> Result) -> Check {
    Check { name, run, beside_tests: Beside::Always }
}

const CHECKS: &[Check] = &[
    check("format", || cargo().args(["fmt", "--all", "--check"]).quiet()),
    check("house rules", tidy::run),
    check("names of modules", names::run),
    check("wording", wording::run),
    check("unused dependencies", unused::run),
    check("generated files", generated),
    check("clippy, all features", || clippy(&["--workspace", "--all-targets", "--all-features"])),
    Check { name: "clippy, no features", run: without_features, beside_tests: Beside::Turn },
    Check { name: "documentation", run: documentation, beside_tests: Beside::Turn },
    Check { name: "crates and their edges", run: edges, beside_tests: Beside::Never },
];

/// Runs every check and closes with the line that `test` closes with.
pub(crate) fn run(mut words: Args) -> Result<bool> {
    let beside_tests = words.flag("--beside-tests");
    let turn =
        words.value("--turn")?.map(|text| text.parse().context("--turn wants a number")).transpose()?;
    words.end()?;
    let mut failed = 0;
    let checks = if beside_tests { beside(turn) } else { CHECKS.iter().collect() };
    let mut count = 0;
    for check in checks {
        let start = Instant::now();
        let result = (check.run)();
        count += 1;
        match result {
            Ok(()) => println!("ok {} ({} s)", check.name, start.elapsed().as_secs()),
            Err(problem) => {
                failed += 1;
                println!("FAIL {}\n{problem}", check.name);
            }
        }
    }
    println!("{} passed, {failed} failed, 0 skipped", count - failed);
    Ok(failed == 0)
}

/// The checks beside the tests of a change; without a turn all that have one.
fn beside(turn: Option<usize>) -> Vec<&'static Check> {
    let by_turn: Vec<&str> =
        CHECKS.iter().filter(|check| check.beside_tests == Beside::Turn).map(|check| check.name).collect();
    let has_its_turn = |check: &Check| turn.is_none_or(|turn| by_turn[turn % by_turn.len()] == check.name);
    let runs = |check: &&Check| match check.beside_tests {
        Beside::Always => true,
        Beside::Turn => has_its_turn(check),
        Beside::Never => false,
    };
    CHECKS.iter().filter(runs).collect()
}

fn without_features() -> Result {
    clippy(&["-p", "phantom-api", "--no-default-features"])
}

fn clippy(words: &[&str]) -> Result {
    cargo().args(["clippy", "--quiet"]).args(words).args(["--", "-D", "warnings"]).quiet()
}

fn documentation() -> Result {
    let command = cargo().args(["doc", "--quiet", "--workspace", "--all-features", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings").quiet()
}

fn generated() -> Result {
    let check = Args::new(["--check".into()].into_iter());
    if generate::run(check)? { Ok(()) } else { Err(Problem::new("not up to date")) }
}

/// All checks, as a part of the long mode.
pub(crate) fn whole(tally: &mut test::Tally) {
    for check in CHECKS {
        tally.record(check.name, (check.run)());
    }
}

/// The test in `lint/edges.rs`, which `cargo test` runs too.
fn edges() -> Result {
    cargo().args(["test", "--quiet", "-p", "xtask", "--bin", "xtask", "lint::edges"]).quiet()
}

/// Licences, bans and sources of all dependencies, and the advisories of the last download where there is one.
pub(crate) fn licences(tally: &mut test::Tally) -> Result {
    let program = tool::DENY.program()?;
    // It looks at the manifests of all dependencies, also of those that are for other systems and never compiled here.
    cargo().args(["fetch", "--quiet", "--locked"]).quiet()?;
    let deny = |words: &[&str]| {
        let command =
            Cmd::new(&program).dir(workspace::root()).args(["--offline", "--all-features", "check"]);
        command.args(words).quiet()
    };
    tally.record("licences, bans, sources", deny(&["licenses", "bans", "sources"]));
    let fetched = Cmd::new(&program).dir(workspace::root()).args(["fetch", "db"]).quiet();
    let home = std::env::var_os("CARGO_HOME").map(Into::into);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let downloaded = |home: std::path::PathBuf| {
        let found = std::fs::read_dir(home.join("advisory-dbs"));
        found.is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir()))
    };
    if fetched.is_ok() || home.is_some_and(downloaded) {
        tally.record("advisories", deny(&["advisories"]));
    } else {
        tally.skip("licences: advisories", "their database cannot be downloaded here");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periodic_lints_run_within_bounded_changes() {
        let names = |turn| beside(turn).into_iter().map(|check| check.name).collect::<Vec<_>>();
        assert!(
            names(Some(0)).contains(&"clippy, no features") && !names(Some(0)).contains(&"documentation")
        );
        assert!(names(Some(1)).contains(&"documentation") && names(Some(7)) == names(Some(1)));
        assert_eq!(names(None).len(), CHECKS.len() - 1, "all but what the tests have too");
    }
}
