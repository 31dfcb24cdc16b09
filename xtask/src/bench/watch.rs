//! The watcher on a server with 10,000 clients: how soon what somebody removes is back, and what it costs when others change
//! their own links all the time.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::Options;
use super::measure::median;
use super::report::{Goal, Report, Row, Unit};
use super::world::BenchNet;
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};

/// What is repaired again within this time is repaired later each time: somebody may be removing it again and again.
const REST: Duration = Duration::from_secs(12);
/// So long something may take before the bench says that it never came back.
const PATIENCE: Duration = Duration::from_mins(1);
/// The promise, in milliseconds.
const BACK: f64 = 2000.0;

/// Changes of foreign links, a second, and for how many seconds.
const EVENTS: u32 = 10_000;
const SECONDS: u32 = 20;
/// How they come: so many at a time.
const BATCHES_A_SECOND: u32 = 10;

pub(super) fn run(world: &BenchNet, options: &Options, report: &mut Report) -> Result {
    wait_until(world, "the server is in sync before anything is removed")?;
    foreign_links(report)?;
    removals(world, options, report)
}

/// What is removed, and by which command.
fn removers(world: &BenchNet) -> [(&'static str, String); 4] {
    let interface = &world.interface;
    [
        ("the whole packet filter", "nft flush ruleset".to_owned()),
        ("the interface's addresses", format!("ip addr flush dev {interface}")),
        ("forwarding", "sysctl -qw net.ipv4.ip_forward=0".to_owned()),
        ("the interface with all peers", format!("ip link del {interface}")),
    ]
}

fn removals(world: &BenchNet, options: &Options, report: &mut Report) -> Result {
    let rounds = if options.quick { 1 } else { 5 };
    let mut taken: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds {
        thread::sleep(REST);
        for ((what, command), taken) in removers(world).iter().zip(&mut taken) {
            Cmd::line(command).quiet()?;
            taken.push(wait_until(world, &format!("{what} is back"))?);
        }
    }
    for ((what, _), taken) in removers(world).iter().zip(taken) {
        let slowest = taken.iter().copied().fold(0.0, f64::max);
        report.add(Row {
            what: format!("watcher, {what} removed at {} clients: back after", world.clients),
            measured: Some(slowest),
            unit: Unit::Milliseconds,
            peer: None,
            goal: Goal::Limit(BACK),
            remark: format!("the slowest of {rounds}, the median is {:.0} ms", median(taken)),
        });
    }
    Ok(())
}

/// Milliseconds until the host is as it is meant to be.
fn wait_until(world: &BenchNet, what: &str) -> Result<f64> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let answer = world.api("core reconcile dry_run=true").read()?;
        let answer: serde_json::Value = serde_json::from_str(&answer).context("core reconcile")?;
        if answer["data"]["in_sync"] == true {
            return Ok(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Err(Problem::new(format!("{what}: it is not after {} s", PATIENCE.as_secs())))
}

/// Somebody else's link changes all the time: every change is told to the watcher, and none is about what is ours.
fn foreign_links(report: &mut Report) -> Result {
    Cmd::line("ip link add foreign0 type veth peer name foreign1").quiet()?;
    let (before, start) = (cpu()?, Instant::now());
    let mut ip = Cmd::line("ip -batch -").spawn(Stdio::piped(), Stdio::null(), Stdio::inherit())?;
    let mut stdin = ip.stdin.take().context("ip has no standard input")?;
    let each = Duration::from_secs(1) / BATCHES_A_SECOND;
    for batch in 0..SECONDS * BATCHES_A_SECOND {
        let line = |number| format!("link set dev foreign0 alias a{batch}-{number}\n");
        let lines: Vec<String> = (0..EVENTS / BATCHES_A_SECOND).map(line).collect();
        stdin.write_all(lines.concat().as_bytes()).context("ip")?;
        thread::sleep((each * (batch + 1)).saturating_sub(start.elapsed()));
    }
    drop(stdin);
    ip.wait().context("ip")?;
    let seconds = start.elapsed().as_secs_f64();
    let cores = (cpu()? - before) / seconds;
    Cmd::line("ip link del foreign0").quiet()?;
    let rate = f64::from(EVENTS * SECONDS) / seconds;
    report.add(Row {
        what: format!("watcher, {rate:.0} changes of foreign links a second: processor, of one core"),
        measured: Some(cores * 100.0),
        unit: Unit::Percent,
        peer: None,
        goal: Goal::Limit(1.0),
        remark: String::new(),
    });
    Ok(())
}

/// Seconds that the watcher's process has run.
fn cpu() -> Result<f64> {
    let process = Cmd::line("pgrep -n -x phantom-watch").read().context("the watcher does not run")?;
    let file = format!("/proc/{process}/schedstat");
    let text = fs::read_to_string(&file).context(&file)?;
    let nanoseconds: f64 = text.split(' ').next().unwrap_or_default().parse().context(&file)?;
    Ok(nanoseconds / 1e9)
}
