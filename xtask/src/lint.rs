//! `lint`: everything about the sources that a program can check.

#[cfg(test)]
mod edges;
mod tidy;
mod unused;

use std::time::Instant;

use crate::command::Cmd;
use crate::problem::{Problem, Result};
use crate::tool;
use crate::words::Words;
use crate::workspace::{self, cargo};
use crate::{generate, test};

/// What the checks are called as a part of a run.
pub(crate) const PART: &str = "lint";

/// One check: its name, and what it runs.
struct Check {
    name: &'static str,
    run: fn() -> Result,
    /// The tests have it too.
    is_test: bool,
}

const fn check(name: &'static str, run: fn() -> Result) -> Check {
    Check { name, run, is_test: false }
}

const CHECKS: &[Check] = &[
    check("format", || cargo().args(["fmt", "--all", "--check"]).quiet()),
    check("house rules", tidy::run),
    check("unused dependencies", unused::run),
    check("generated files", generated),
    check("clippy, all features", || clippy(&["--workspace", "--all-targets", "--all-features"])),
    check("clippy, no features", || clippy(&["-p", "phantom-api", "--no-default-features"])),
    check("documentation", documentation),
    Check { name: "crates and their edges", run: edges, is_test: true },
];

/// Runs every check and closes with the line that `test` closes with.
pub(crate) fn run(mut words: Words) -> Result<bool> {
    let beside_tests = words.flag("--beside-tests");
    words.end()?;
    let mut failed = 0;
    let checks = CHECKS.iter().filter(|check| !(beside_tests && check.is_test));
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

fn clippy(words: &[&str]) -> Result {
    cargo().args(["clippy", "--quiet"]).args(words).args(["--", "-D", "warnings"]).quiet()
}

fn documentation() -> Result {
    let command = cargo().args(["doc", "--quiet", "--workspace", "--all-features", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings").quiet()
}

fn generated() -> Result {
    let check = Words::new(["--check".into()].into_iter());
    if generate::run(check)? { Ok(()) } else { Err(Problem::new("not up to date")) }
}

/// The test in `lint/edges.rs`, which `cargo test` runs too.
fn edges() -> Result {
    cargo().args(["test", "--quiet", "-p", "xtask", "--bin", "xtask", "lint::edges"]).quiet()
}

/// Licences, bans and sources of all dependencies, and the advisories of the last download where there is one.
pub(crate) fn licences(tally: &mut test::Tally) -> Result {
    let program = tool::DENY.program()?;
    let deny = |words: &[&str]| {
        let command =
            Cmd::new(&program).dir(workspace::root()).args(["--offline", "--all-features", "check"]);
        command.args(words).quiet()
    };
    tally.record("licences, bans, sources", deny(&["licenses", "bans", "sources"]));
    let home = std::env::var_os("CARGO_HOME").map(Into::into);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    if home.is_some_and(|home: std::path::PathBuf| home.join("advisory-dbs").is_dir()) {
        tally.record("advisories", deny(&["advisories"]));
    } else {
        tally.skip("licences: advisories", "none have been downloaded (cargo deny fetch)");
    }
    Ok(())
}
