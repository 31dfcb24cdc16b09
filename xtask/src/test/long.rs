//! The long mode: everything there is, part by part, each written down in the record when it has ended. What the record
//! has for this commit is not run again, so that it can be stopped and goes on.

use std::time::Instant;

use super::build::Built;
use super::here::Choice;
use super::servers::{self, Server, When};
use super::{Skips, Tally, cargo_mutants, fuzz, here, mutants, pool, record, source};
use crate::command::Cmd;
use crate::lab::{Place, Suite};
use crate::lint;
use crate::problem::{Context as _, Problem, Result};
use crate::test::Record;
use crate::wstunnel;

/// A part of the long mode that has no server of its own.
struct Part {
    name: &'static str,
    run: fn(&mut Tally) -> Result,
}

const PARTS: &[Part] = &[
    // Every kill point, what goes on for minutes, and what the harness ignores.
    Part { name: "here", run: tests_here },
    Part { name: "wstunnel", run: stock_clients },
    Part { name: "mutants", run: mutants::run },
    Part { name: "cargo-mutants:store", run: |tally| cargo_mutants::run("store", tally) },
    Part { name: "cargo-mutants:reconcile", run: |tally| cargo_mutants::run("reconcile", tally) },
    Part { name: "fuzz", run: fuzz::run },
    Part { name: "source", run: source::run },
    Part {
        name: "lint",
        run: |tally| {
            lint::whole(tally);
            Ok(())
        },
    },
    Part { name: "licences", run: lint::licences },
];

/// The names of all parts: what does not run at each change.
pub(super) fn parts() -> Vec<String> {
    let own = PARTS.iter().map(|part| part.name.to_owned());
    own.chain(servers().map(|(server, suite)| server.part(suite))).collect()
}

fn servers() -> impl Iterator<Item = (&'static Server, Suite)> {
    servers::all().filter(|(server, suite)| server.when(*suite) != When::Always)
}

/// Runs the parts that the record does not have for this commit, or one of them by its name.
pub(super) fn run(only: Option<&str>, start: Instant) -> Result<bool> {
    let chosen: Vec<String> =
        parts().into_iter().filter(|part| only.is_none_or(|only| only == part)).collect();
    if chosen.is_empty() {
        let text = format!("the long mode has no such part; it has {}", parts().join(", "));
        return Err(Problem::new(text));
    }
    record::refuse_changes()?;
    super::prepare()?;
    let mut record = Record::read()?;
    let skips = Skips::read()?;
    let mut failed = Vec::new();
    for part in chosen {
        if record.is_current(&part) && only.is_none() {
            println!("== {part}: the record has it");
            continue;
        }
        let mut tally = Tally::default();
        println!("== {part}");
        if let Err(problem) = run_part(&part, start, &mut tally) {
            tally.fail(&part, &problem.to_string());
        }
        tally.close(&skips);
        record.add(&part, &tally, &versions(&part)?)?;
        if !tally.is_good() {
            failed.push(part);
        }
    }
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    Ok(failed.is_empty())
}

fn run_part(name: &str, start: Instant, tally: &mut Tally) -> Result {
    if let Some(part) = PARTS.iter().find(|part| part.name == name) {
        return (part.run)(tally);
    }
    let chosen: Vec<_> = servers().filter(|(server, suite)| server.part(*suite) == name).collect();
    let built = Built::everything()?;
    pool::run(servers::tasks(&chosen, &built)?, start, tally);
    Ok(())
}

fn tests_here(tally: &mut Tally) -> Result {
    let built = Built::everything()?;
    let tasks = here::tasks(built.tests(), &built, Choice { words: None, long: true })?;
    pool::run(tasks, Instant::now(), tally);
    Ok(())
}

/// The tests that run the real wstunnel, in the version of the contract and in a newer one.
fn stock_clients(tally: &mut Tally) -> Result {
    wstunnel::both()?;
    let built = Built::everything()?;
    let choice = |words| Choice { words, long: true };
    let stock = built.tests().filter(|test| here::part(test) == "tunnel/wstunnel");
    let mut tasks = here::tasks(stock, &built, choice(None))?;
    let server = built.tests().filter(|test| here::part(test) == "namespace");
    tasks.extend(here::tasks(server, &built, choice(Some("ghost::")))?);
    pool::run(tasks, Instant::now(), tally);
    Ok(())
}

/// What a part ran on and with.
fn versions(part: &str) -> Result<String> {
    let server = servers().find(|(server, suite)| server.part(*suite) == part);
    let rustc = Cmd::line("rustc --version").read()?;
    let rustc = rustc.split(' ').nth(1).context("rustc has no version")?.to_owned();
    let kernel = match server {
        Some((server, suite)) if server.place() == Place::Emulator => format!("the kernel of {suite}"),
        _ => format!("kernel {}", Cmd::line("uname -r").read()?),
    };
    let stocks = if part == "wstunnel" { wstunnel::all()? } else { Vec::new() };
    let stocks: Vec<String> = stocks.iter().map(|stock| format!(", wstunnel {}", stock.version)).collect();
    Ok(format!("rustc {rustc}, {kernel}{}", stocks.concat()))
}
