//! The test programs of this machine, as tasks of the pool.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::build::Built;
use super::pebble;
use super::pool::{Task, Times};
use super::web_servers;
use crate::command::{Cmd, find_program, is_root};
use crate::problem::{Context as _, Result};
use crate::workspace::{self, Artifact};
use crate::wstunnel;

/// Programs whose tests run each in a process of its own, so that they spread over the pool, with the slots that one takes.
/// What waits takes one, what computes takes more. Other programs run whole, in two threads.
const SPREAD: &[(&str, u32)] = &[("namespace", 1), ("suite", 3), ("tui", 3), ("multihop", 2)];
/// What a program that runs whole takes of the pool.
const WHOLE: u32 = 3;
/// Seconds that a test is taken for which nobody has measured yet.
const UNKNOWN: f64 = 5.0;
/// What is known to take long, for a machine that has not measured yet: seconds by the beginning of the name.
const LONG_ONES: &[(&str, f64)] = &[
    ("namespace: multihop::inward", 150.0),
    ("namespace: tui::", 70.0),
    ("namespace: documents::", 60.0),
    ("namespace: multihop::", 40.0),
    ("suite: faults::opening", 60.0),
    ("suite: hostile::", 60.0),
    ("tunnel/server", 100.0),
    ("namespace: ", 15.0),
];
/// A guard against what hangs, in seconds; no bound of the product.
const LIMIT: u32 = 900;
const LONG_LIMIT: u32 = 7200;

/// Which tests of the programs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choice<'a> {
    /// Those with this in their names; all where there is none.
    pub(super) words: Option<&'a str>,
    /// Also those that the harness ignores, and those that go on for minutes.
    pub(super) long: bool,
}

/// A part's name: `suite`, `host/conformance`, `types` for the tests inside a crate.
pub(super) fn part(test: &Artifact) -> String {
    let package = test.package.strip_prefix("phantom-").unwrap_or(&test.package);
    match &*test.kind {
        "test" if test.package == "phantom-tests" => test.target.clone(),
        "test" => format!("{package}/{}", test.target),
        _ => package.to_owned(),
    }
}

/// Tasks for these test programs.
pub(super) fn tasks<'a>(
    tests: impl Iterator<Item = &'a Artifact>,
    built: &Built,
    choice: Choice<'_>,
) -> Result<Vec<Task>> {
    let (times, env) = (read_times(), environment(built, choice.long)?);
    let mut tasks = Vec::new();
    for test in tests {
        let part = part(test);
        let spread = SPREAD.iter().find(|(target, _)| test.kind == "test" && *target == test.target);
        let names = names(test, choice)?;
        if names.is_empty() {
            continue;
        }
        let expected = |name: &str| {
            let guess = LONG_ONES.iter().find(|(start, _)| name.starts_with(start));
            times.get(name).copied().unwrap_or(guess.map_or(UNKNOWN, |(_, seconds)| *seconds))
        };
        if let Some((_, slots)) = spread {
            for name in names {
                // Two threads also for one test: with one, the harness begins a line that the test's own words go on.
                let command = command(test, &env, choice.long).args(["--exact", &name, "--test-threads=2"]);
                let expected = expected(&format!("{part}: {name}"));
                tasks.push(task(&part, name, *slots, expected, command));
            }
        } else {
            let command = command(test, &env, choice.long).arg("--test-threads=2").args(choice.words);
            tasks.push(task(&part, part.clone(), WHOLE, expected(&format!("{part}: {part}")), command));
        }
    }
    Ok(tasks)
}

fn task(part: &str, name: String, slots: u32, expected: f64, command: Cmd) -> Task {
    let run = Box::new(move |line: &mut dyn FnMut(&str)| {
        let status = command.stream(line)?;
        Ok(status.code().unwrap_or(-1))
    });
    Task { part: part.to_owned(), name, slots, expected, run, harness: true }
}

/// The names of a program's tests that are chosen.
fn names(test: &Artifact, choice: Choice<'_>) -> Result<Vec<String>> {
    let list = Cmd::new(&test.path).args(["--list", "--format", "terse"]).args(choice.words);
    let list = list.dir(&test.dir).read()?;
    Ok(list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// A test program with what cargo would give it. Passed tests too may have said that they were skipped.
fn command(test: &Artifact, env: &[(&'static str, PathBuf)], long: bool) -> Cmd {
    let limit = if long { LONG_LIMIT } else { LIMIT };
    let mut command = Cmd::line("timeout --kill-after=10").arg(limit.to_string());
    if let Some(runner) = privileged_runner() {
        command = command.args(runner.split(' '));
    }
    command = command.arg(&test.path).arg("--show-output").dir(&test.dir);
    command = command.env("CARGO_MANIFEST_DIR", &test.dir);
    env.iter().fold(command, |command, (name, value)| command.env(name, value))
}

fn environment(built: &Built, long: bool) -> Result<Vec<(&'static str, PathBuf)>> {
    let device = &built.program("phantom-wg-device")?.path;
    let dir = device.parent().context("programs lie in a folder")?;
    let mut env = vec![("PHANTOM_BIN_DIR", dir.to_owned()), ("PHANTOM_DEVICE", device.clone())];
    env.extend(web_servers::programs()?);
    // Those that are here: at each change their tests may be skipped, in the long mode they have a part of their own.
    env.push((wstunnel::VARIABLE, wstunnel::list(&wstunnel::all()?)?.into()));
    if long {
        env.push(("PHANTOM_TEST_LONG", "1".into()));
        env.push(("PHANTOM_PEBBLE", pebble::newest()?));
    }
    Ok(env)
}

/// What test programs are started with so that they may make network namespaces; nothing for root.
fn privileged_runner() -> Option<&'static str> {
    if is_root() {
        return None;
    }
    if Cmd::line("sudo -n true").succeeds() {
        return Some("sudo -n -E");
    }
    // Root in a user namespace of one's own: enough for namespaces, links, rules and nft, not for /etc.
    let own = "unshare --map-root-user --net --mount";
    (find_program("unshare").is_some() && Cmd::line(own).arg("true").succeeds()).then_some(own)
}

/// What the last run measured: only the order depends on it.
fn read_times() -> BTreeMap<String, f64> {
    let text = times_file().and_then(|file| fs::read_to_string(file).context("times")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    lines.filter_map(|(seconds, name)| Some((name.to_owned(), seconds.parse().ok()?))).collect()
}

/// Keeps what a run measured for the next one.
pub(super) fn keep_times(measured: Times) -> Result {
    let mut times = read_times();
    times.extend(measured.into_iter().map(|(name, time)| (name, time.as_secs_f64())));
    let lines: Vec<String> = times.iter().map(|(name, seconds)| format!("{seconds:.1}\t{name}\n")).collect();
    let file = times_file()?;
    fs::write(&file, lines.concat()).context(file.display())
}

fn times_file() -> Result<PathBuf> {
    Ok(workspace::kept()?.join("test-times"))
}
