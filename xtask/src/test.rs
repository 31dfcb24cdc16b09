//! `test`: the proof of a change, and in the long mode of everything.

mod build;
mod cargo_mutants;
mod count;
mod fuzz;
mod here;
mod long;
mod mutants;
mod pebble;
mod pool;
mod record;
mod released;
mod servers;
mod skips;
mod source;
mod tally;
mod turn;
mod web_servers;

use std::time::Instant;

pub(crate) use record::Record;
pub(crate) use skips::Skips;
pub(crate) use tally::Tally;

use self::build::Built;
use self::here::Choice;
use self::pool::Task;
use self::servers::{Server, When};
use crate::args::Args;
use crate::command::Cmd;
use crate::lab::{self, Place, Suite};
use crate::lint;
use crate::packages::{self, Need};
use crate::problem::{Context as _, Problem, Result};

/// What the tests call beside the programs of this project: foreign WireGuard, firewalls, clients and servers.
const NEEDS: &[Need] = &[
    Need::program("wg", "wireguard-tools"),
    Need::program("wireguard-go", "wireguard-go"),
    Need::program("nft", "nftables"),
    Need::program("iptables", "iptables"),
    Need::program("ipset", "ipset"),
    Need::program("ufw", "ufw"),
    Need::program("ip", "iproute2"),
    Need::program("ping", "iputils-ping"),
    Need::program("conntrack", "conntrack"),
    Need::program("tcpdump", "tcpdump"),
    Need::program("iperf3", "iperf3"),
    Need::program("curl", "curl"),
    Need::program("dig", "dnsutils"),
    // Without the service that the package dnsmasq would start on this machine.
    Need::program("dnsmasq", "dnsmasq-base"),
    Need::program("openssl", "openssl"),
    // Without the service, likewise.
    Need::program("tinyproxy", "tinyproxy-bin"),
    // An ACME service with a name server for its tests.
    Need::program("pebble", "pebble"),
    Need::program("jq", "jq"),
    Need::program("strace", "strace"),
    Need::program("man", "man-db"),
    // A terminal whose screen can be looked at.
    Need::program("tmux", "tmux"),
    Need::program("pgrep", "procps"),
    Need::program("zsh", "zsh"),
    Need::program("fish", "fish"),
];

pub(crate) fn run(mut words: Args) -> Result<bool> {
    let start = Instant::now();
    let (quick, long) = (words.flag("--quick"), words.flag("--long"));
    let only = words.value("--only")?;
    let turn =
        words.value("--turn")?.map(|text| text.parse().context("--turn wants a number")).transpose()?;
    words.end()?;
    if long {
        return long::run(only.as_deref(), start);
    }
    prepare()?;
    let mut tally = Tally::default();
    match only {
        Some(name) => one(&name, start, &mut tally)?,
        None => change(quick, turn, start, &mut tally)?,
    }
    tally.close(&Skips::read()?);
    Ok(tally.is_good())
}

/// What a build and the tests need of Debian. What cannot be had is a failure.
fn prepare() -> Result {
    packages::ensure(packages::BUILD)?;
    packages::ensure(NEEDS)?;
    Ok(())
}

/// The proof of a change: the sources' checks, all tests of this machine, and servers.
fn change(quick: bool, turn: Option<usize>, start: Instant, tally: &mut Tally) -> Result {
    let servers = if quick { Vec::new() } else { of_a_change(turn)? };
    if !quick {
        for (part, why) in stale(&Record::read()?) {
            tally.skip(&format!("long: {part}"), &why);
        }
    }
    let built = build_beside_images(&servers, Built::everything, start, tally)?;
    let mut tasks = here::tasks(built.tests(), &built, Choice::default())?;
    tasks.extend(servers::tasks(&servers, &built)?);
    if !quick {
        tasks.push(lint_task(&built, turn.or_else(turn::counted))?);
    }
    here::keep_times(pool::run(tasks, start, tally))
}

/// The servers of each change and those that changed paths force, or, where no path forces any, the one whose turn it is.
fn of_a_change(turn: Option<usize>) -> Result<Vec<(&'static Server, Suite)>> {
    let all: Vec<_> = servers::all().collect();
    let always = |(server, suite): &(&Server, Suite)| server.when(*suite) == When::Always;
    let forced = turn::forced();
    let is_forced = |one: &(&Server, Suite)| !always(one) && forced.contains(&&*one.0.part(one.1));
    let by_turn: Vec<_> = all.iter().filter(|(server, suite)| server.when(*suite) == When::Turn).collect();
    let mut extra: Vec<_> = all.iter().filter(|one| is_forced(one)).copied().collect();
    for (server, suite) in &extra {
        println!("Forced by a changed path: {}", server.part(*suite));
    }
    if extra.is_empty() || turn.is_some() {
        let turn = turn.map_or_else(turn::of_head, Ok)? % by_turn.len();
        let mine = *by_turn[turn];
        println!("By turn, {turn} of {}: {}", by_turn.len(), mine.0.part(mine.1));
        extra.push(mine);
    }
    let mut chosen: Vec<_> = all.iter().filter(|one| always(one)).copied().collect();
    chosen.extend(extra);
    Ok(chosen)
}

/// Parts of the long mode that have not run for too long, each with the reason.
fn stale(record: &Record) -> Vec<(String, String)> {
    long::parts().into_iter().filter_map(|part| record.stale(&part).map(|why| (part, why))).collect()
}

/// Refuses what is handed out while a part of the long mode has not run for too long.
pub(crate) fn refuse_unproven() -> Result {
    let stale = stale(&Record::read()?);
    if stale.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = stale.iter().map(|(part, why)| format!("  {part}: {why}")).collect();
    let parts = lines.join("\n");
    Err(Problem::new(format!(
        "a release wants every part of `cargo xtask test --long`; these are missing:\n{parts}"
    )))
}

/// Builds while the images of servers are made, which mostly wait for a mirror.
fn build_beside_images(
    servers: &[(&'static Server, Suite)],
    build: impl FnOnce() -> Result<Built>,
    start: Instant,
    tally: &mut Tally,
) -> Result<Built> {
    let mut places: Vec<(Place, Suite)> = Vec::new();
    for (server, suite) in servers {
        if !places.contains(&(server.place(), *suite)) {
            places.push((server.place(), *suite));
        }
    }
    std::thread::scope(|scope| {
        let images = scope.spawn(move || {
            // A server's own task says what is wrong with its image.
            let done = places.into_iter().all(|(place, suite)| lab::prepare(place, suite).is_ok());
            (done, start.elapsed())
        });
        let from = start.elapsed();
        let result = build();
        tally.spent("build", from, start.elapsed());
        if let Ok((true, end)) = images.join() {
            tally.spent("images", from, end);
        }
        result
    })
}

/// The checks of the sources, at idle priority: they compile what no test needs, while the tests wait. Of those that go by
/// turn, one; all without a turn.
fn lint_task(built: &Built, turn: Option<usize>) -> Result<Task> {
    // The one that has just been built: it lies where this one lay.
    let this = &built.program("xtask")?.path;
    let docs = built.program("phantom-docs")?.path.clone();
    let command = Cmd::line("chrt --idle 0").arg(this).args(["lint", "--beside-tests"]);
    let turn = turn.map(|turn| ["--turn".to_owned(), turn.to_string()]);
    let command = command.args(turn.into_iter().flatten()).env("PHANTOM_DOCS", docs);
    let run = Box::new(move |line: &mut dyn FnMut(&str)| Ok(command.stream(line)?.code().unwrap_or(-1)));
    let part = lint::PART.to_owned();
    Ok(Task { name: part.clone(), part, slots: 0, expected: 9999.0, run, harness: false })
}

/// One part, one test program, or the tests with a word in their names.
fn one(name: &str, start: Instant, tally: &mut Tally) -> Result {
    if name == lint::PART {
        let built = Built::some(&[])?;
        pool::run(vec![lint_task(&built, None)?], start, tally);
        return Ok(());
    }
    let servers: Vec<_> = servers::all().filter(|(server, suite)| server.part(*suite) == name).collect();
    if let Some((server, _)) = servers.first() {
        let target = server.program().map(|program| ["--test", program]);
        let targets: Vec<&str> = target.into_iter().flatten().collect();
        let built = build_beside_images(&servers, || Built::some(&targets), start, tally)?;
        pool::run(servers::tasks(&servers, &built)?, start, tally);
        return Ok(());
    }
    if name.starts_with("vm:") || name.starts_with("container:") {
        let all: Vec<_> = servers::all().map(|(server, suite)| server.part(suite)).collect();
        return Err(Problem::new(format!("there is no part {name}; there are {}", all.join(", "))));
    }
    let (built, choice) = build::of_name(name)?;
    let tests = built.tests().filter(|test| choice.is_some() || build::is_named(test, name));
    let tasks = here::tasks(tests, &built, Choice { words: choice, ..Choice::default() })?;
    if tasks.is_empty() {
        return Err(Problem::new(format!("no part, no test program and no test is called {name}")));
    }
    here::keep_times(pool::run(tasks, start, tally))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_wants_every_long_part() {
        let missing = stale(&Record::default());
        assert_eq!(missing.len(), long::parts().len());
        assert!(missing.iter().any(|(part, _)| part == "fuzz"), "{missing:?}");
    }
}
