//! The long mode: everything there is, part by part, each written down in the record when it has ended. What the record
//! has for this commit is not run again, so that it can be stopped and goes on.

use std::cmp::Reverse;
use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
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

/// So many parts with servers of their own run at a time: a machine in the emulator waits for a part of its time.
const LANES: usize = 2;

/// Runs the parts that the record does not have for this commit, or those of `only`: names with commas between them, a `*` at
/// the end of one stands for the rest.
pub(super) fn run(only: Option<&str>, start: Instant) -> Result<bool> {
    let mut outcome = Outcome { record: Record::read()?, skips: Skips::read()?, failed: Vec::new() };
    let chosen = chosen(only, &outcome.record)?;
    record::refuse_changes()?;
    super::prepare()?;
    for part in PARTS.iter().filter(|part| chosen.iter().any(|name| name == part.name)) {
        let mut tally = Tally::default();
        println!("== {}", part.name);
        if let Err(problem) = (part.run)(&mut tally) {
            tally.fail(part.name, &problem.to_string());
        }
        outcome.write(part.name, tally)?;
    }
    let failed = on_servers(&chosen, start, outcome)?;
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    Ok(failed.is_empty())
}

/// What is to run: what has never run or is oldest first, so that a run that is stopped has done the most.
fn chosen(only: Option<&str>, record: &Record) -> Result<Vec<String>> {
    let named = |part: &String| match only {
        Some(only) => only.split(',').any(|word| is_named(word, part)),
        None => !record.is_current(part),
    };
    let mut chosen: Vec<String> = parts().into_iter().filter(named).collect();
    if chosen.is_empty() && only.is_some() {
        let text = format!("the long mode has no such part; it has {}", parts().join(", "));
        return Err(Problem::new(text));
    }
    chosen.sort_by_key(|part| Reverse(record.commits_since(part).unwrap_or(u64::MAX)));
    Ok(chosen)
}

fn is_named(word: &str, part: &str) -> bool {
    word.strip_suffix('*').map_or(word == part, |beginning| part.starts_with(beginning))
}

/// What has come out so far.
struct Outcome {
    record: Record,
    skips: Skips,
    failed: Vec<String>,
}

impl Outcome {
    /// Writes down how a part went.
    fn write(&mut self, part: &str, mut tally: Tally) -> Result {
        tally.close(&self.skips);
        self.record.add(part, &tally, &versions(part)?)?;
        if !tally.is_good() {
            self.failed.push(part.to_owned());
        }
        Ok(())
    }
}

/// Runs the chosen parts that have servers of their own, a few at a time, and returns all parts that failed so far.
fn on_servers(parts: &[String], start: Instant, outcome: Outcome) -> Result<Vec<String>> {
    let of = |name: &String| servers().find(|(server, suite)| server.part(*suite) == *name);
    let chosen: Vec<_> = parts.iter().filter_map(of).collect();
    if chosen.is_empty() {
        return Ok(outcome.failed);
    }
    let built = Built::everything()?;
    let tasks = Mutex::new(servers::tasks(&chosen, &built)?.into_iter());
    let outcome = Mutex::new(outcome);
    let lane = || -> Result {
        loop {
            let Some(task) = lock(&tasks).next() else { return Ok(()) };
            let (part, mut tally) = (task.part.clone(), Tally::default());
            println!("== {part}");
            pool::run(vec![task], start, &mut tally);
            lock(&outcome).write(&part, tally)?;
        }
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        let ended = lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.collect::<Result<()>>()
    })?;
    Ok(outcome.into_inner().unwrap_or_else(PoisonError::into_inner).failed)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_never_run_comes_first() {
        let record = Record::read().unwrap();
        let chosen = chosen(None, &record).unwrap();
        let ages = chosen.iter().map(|part| record.commits_since(part).unwrap_or(u64::MAX));
        assert!(ages.is_sorted_by(|a, b| a >= b), "{chosen:?}");
    }

    #[test]
    fn parts_are_chosen_by_name() {
        let record = Record::default();
        assert_eq!(chosen(Some("lint,fuzz"), &record).unwrap().len(), 2);
        let emulated = chosen(Some("vm:*"), &record).unwrap();
        assert!(emulated.len() > 30 && emulated.iter().all(|part| part.starts_with("vm:")), "{emulated:?}");
        assert!(chosen(Some("lin"), &record).unwrap_err().to_string().contains("lint"));
    }
}
