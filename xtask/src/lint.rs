//! `lint`: everything about the sources that a program can check.

#[cfg(test)]
mod edges;
mod tidy;

use crate::command::Cmd;
use crate::problem::{Problem, Result};
use crate::words::Words;
use crate::workspace::cargo;
use crate::{generate, test};

/// One check: its name, and what it runs.
struct Check {
    name: &'static str,
    run: fn() -> Result,
}

const CHECKS: &[Check] = &[
    Check { name: "format", run: || cargo().args(["fmt", "--all", "--check"]).run() },
    Check {
        name: "clippy, all features",
        run: || clippy(&["--workspace", "--all-targets", "--all-features"]),
    },
    Check { name: "clippy, no features", run: || clippy(&["-p", "phantom-api", "--no-default-features"]) },
    Check { name: "documentation", run: documentation },
    Check { name: "generated files", run: generated },
    Check { name: "house rules", run: tidy::run },
    Check { name: "crates and their edges", run: edges },
];

/// Runs every check and closes with the line that `test` closes with.
pub(crate) fn run(words: Words) -> Result<bool> {
    words.end()?;
    let mut tally = test::Tally::default();
    for check in CHECKS {
        println!("== {}", check.name);
        tally.record(check.name, (check.run)());
    }
    println!("== licences, bans, advisories");
    match deny() {
        None => {
            tally
                .skip("licences, bans, advisories", "cargo-deny is not installed (cargo install cargo-deny)");
        }
        Some(result) => tally.record("licences, bans, advisories", result),
    }
    tally.close();
    Ok(tally.is_good())
}

fn clippy(words: &[&str]) -> Result {
    cargo().args(["clippy", "--quiet"]).args(words).args(["--", "-D", "warnings"]).run()
}

fn documentation() -> Result {
    let command = cargo().args(["doc", "--quiet", "--workspace", "--all-features", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings").run()
}

fn generated() -> Result {
    let check = Words::new(["--check".into()].into_iter());
    if generate::run(check)? { Ok(()) } else { Err(Problem::new("not up to date")) }
}

/// The test in `lint/edges.rs`, which `cargo test` runs too.
fn edges() -> Result {
    cargo().args(["test", "--quiet", "-p", "xtask", "--bin", "xtask", "lint::edges"]).run()
}

/// `None` without cargo-deny. The advisories are those of the last download; without one they are left out.
fn deny() -> Option<Result> {
    if !Cmd::new("cargo-deny").arg("--version").succeeds() {
        return None;
    }
    let deny =
        |words: &[&str]| cargo().args(["deny", "--offline", "--all-features", "check"]).args(words).run();
    let base = deny(&["licenses", "bans", "sources"]);
    let home = std::env::var_os("CARGO_HOME").map(Into::into);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let downloaded = home.is_some_and(|home: std::path::PathBuf| home.join("advisory-dbs").is_dir());
    if !downloaded {
        println!("advisories: left out, since none have been downloaded (cargo deny fetch)");
        return Some(base);
    }
    Some(base.and_then(|()| deny(&["advisories"])))
}
