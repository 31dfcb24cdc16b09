//! Actions that read or compare, beside the least that does the same, and what memory actions take.

use std::fs;

use super::Options;
use super::measure::{interleave, timed};
use super::report::{Goal, Report, Row, Unit};
use super::world::BenchNet;
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};

/// The reading actions that have nothing to do with the number of clients, beside a program that does nothing.
pub(super) fn reads(world: &BenchNet, options: &Options, report: &mut Report) -> Result {
    let actions = ["core list_clients", "core export_client client_name=filled-30000", "dns get_dns_servers"];
    let mut hello = || timed(&world.helper("bench-hello"));
    let [mut list, mut export, mut dns] = actions.map(|line| move || timed(&world.api(line)));
    let medians = interleave(options.many(), [&mut hello, &mut list, &mut export, &mut dns])?;
    let names = ["`list_clients` (first page)", "`export_client`", "`dns get_dns_servers`"];
    for (name, measured) in names.into_iter().zip(&medians[1..]) {
        report.add(row(format!("{name} at 60,000 clients"), *measured, ("hello", medians[0]), 3.0));
    }
    Ok(())
}

/// `server_status` beside `wg` showing the same peers.
pub(super) fn status(world: &BenchNet, options: &Options, report: &mut Report) -> Result {
    let mut status = || timed(&world.api("core server_status"));
    let mut showing = || timed(&dump(world));
    let [status, showing] = interleave(options.few(), [&mut status, &mut showing])?;
    report.add(row("`server_status` at 10,000 peers".to_owned(), status, ("`wg show dump`", showing), 2.0));
    Ok(())
}

/// `reconcile` with nothing to do, and with every peer to bring back.
pub(super) fn reconcile(world: &BenchNet, options: &Options, report: &mut Report) -> Result {
    let mut in_sync = || timed(&world.api("core reconcile"));
    let mut showing = || timed(&dump(world));
    let [in_sync, showing] = interleave(options.few(), [&mut in_sync, &mut showing])?;
    report.add(row(
        "`reconcile` in sync, 10,000 peers".to_owned(),
        in_sync,
        ("`wg show dump`", showing),
        5.0,
    ));

    write_configurations(world)?;
    let wanted = world.live_peers()?;
    let from_empty = |command: &Cmd| {
        set(world, EMPTY).quiet()?;
        let took = timed(command)?;
        let live = world.live_peers()?;
        if live == wanted {
            Ok(took)
        } else {
            Err(Problem::new(format!("{command}: {live} of {wanted} peers")))
        }
    };
    let mut repair = || from_empty(&world.api("core reconcile"));
    let mut setconf = || from_empty(&set(world, FULL));
    let [repair, setconf] = interleave(options.few(), [&mut repair, &mut setconf])?;
    let what = "`reconcile` from an empty device, 10,000 peers".to_owned();
    report.add(row(what, repair, ("`wg setconf`", setconf), 3.0));
    Ok(())
}

/// Memory of the actions that could need much of it.
pub(super) fn memory(world: &BenchNet, options: &Options, report: &mut Report) -> Result {
    let mut peaks = Vec::new();
    write_configurations(world)?;
    for action in [
        "add_client",
        "remove_client",
        "list_clients",
        "export_client",
        "get_subnet_info",
        "validate_subnet_change",
        "server_status",
        "reconcile",
        "reconcile (empty device)",
        "restart_service",
        "change_subnet",
    ] {
        let mut number = 0;
        let mut run = || {
            number += 1;
            let line = match action {
                "add_client" | "remove_client" => format!("core {action} client_name=memory-{number}"),
                "validate_subnet_change" => format!("core {action} new_subnet={}", super::subnet::OTHER),
                "export_client" => "core export_client client_name=filled-5000".to_owned(),
                "change_subnet" => super::subnet::line(world, number),
                "reconcile (empty device)" => {
                    set(world, EMPTY).quiet()?;
                    "core reconcile".to_owned()
                }
                _ => format!("core {action}"),
            };
            peak(world, &line)
        };
        // An even number of changes (with the one that does not count) returns to the first subnet.
        let [peak] = interleave(options.few(), [&mut run])?;
        peaks.push((action, peak));
    }
    let worst = peaks.iter().map(|(_, peak)| *peak).fold(0.0, f64::max);
    let each: Vec<String> = peaks.iter().map(|(action, peak)| format!("{action} {peak:.1}")).collect();
    report.add(Row {
        what: "peak memory of `phantom-api` at 10,000 clients, the highest action".to_owned(),
        measured: Some(worst),
        unit: Unit::Mebibytes,
        peer: None,
        goal: Goal::Limit(16.0),
        remark: each.join(", "),
    });
    Ok(())
}

/// The configuration of the interface with all its peers: in memory, with the keys.
const FULL: &str = "/run/bench/full.conf";
/// The same without peers.
const EMPTY: &str = "/run/bench/empty.conf";

fn write_configurations(world: &BenchNet) -> Result {
    let full = Cmd::line("wg showconf").arg(&world.interface).read()?;
    let (interface, _) = full.split_once("[Peer]").context("the interface has no peers")?;
    for (file, text) in [(FULL, full.as_str()), (EMPTY, interface)] {
        fs::write(file, text).context(file)?;
    }
    Ok(())
}

/// Gives the interface the configuration of a file in the place of its own.
fn set(world: &BenchNet, file: &str) -> Cmd {
    Cmd::line("wg setconf").args([&world.interface, file])
}

fn dump(world: &BenchNet) -> Cmd {
    Cmd::line("wg show").args([&world.interface, "dump"])
}

fn peak(world: &BenchNet, line: &str) -> Result<f64> {
    let command = world.helper("bench-peak").arg(world.program()).args(world.words(line));
    let kibibytes: f64 = command.read()?.parse().context("bench-peak")?;
    Ok(kibibytes / 1024.0)
}

fn row(what: String, measured: f64, (name, figure): (&str, f64), times: f64) -> Row {
    Row {
        what,
        measured: Some(measured),
        unit: Unit::Milliseconds,
        peer: Some((name.to_owned(), figure)),
        goal: Goal::TimesOrLess(times),
        remark: String::new(),
    }
}
