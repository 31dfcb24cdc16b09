//! Adding clients to servers of every size.

use std::path::Path;

use super::Options;
use super::measure::{interleave, timed};
use super::report::{Goal, Report, Row, Unit};
use super::world::BenchNet;
use crate::command::Cmd;
use crate::problem::{Context as _, Result};

/// `add_client` at every size beside what it cannot do without: a process, a durable insert, and a peer on the
/// interface. All in turns, so that the sizes can be compared with each other, too; three times as often as other things,
/// because a disk that others use is busy for whole rounds on end.
pub(super) fn add(worlds: &[BenchNet; 4], options: &Options, report: &mut Report) -> Result {
    let [first, second, third, fourth] = worlds;
    let mut numbers = [0; 4];
    let [zero, one, two, three] = &mut numbers;
    let database = first.beside_the_state("floor.db");
    let [a, b, c, d, hello, insert, set] = interleave(
        3 * options.many(),
        [
            &mut || add_one(first, zero),
            &mut || add_one(second, one),
            &mut || add_one(third, two),
            &mut || add_one(fourth, three),
            &mut || timed(&first.helper("bench-hello")),
            &mut || insert_one(first, &database),
            &mut || set_one(third),
        ],
    )?;
    let floor = hello + insert + set;
    let sizes = [a, b, c, d];
    for (world, measured) in worlds.iter().zip(sizes) {
        report.add(Row {
            what: format!("`add_client` at {} clients", world.clients),
            measured: Some(measured),
            unit: Unit::Milliseconds,
            peer: Some((format!("hello {hello:.2} + insert {insert:.2} + `wg set` {set:.2}"), floor)),
            goal: Goal::TimesOrLess(2.5),
            remark: String::new(),
        });
    }
    report.add(Row {
        what: "`add_client`, slowest size through fastest size".to_owned(),
        measured: Some(
            sizes.into_iter().fold(0.0, f64::max) / sizes.into_iter().fold(f64::INFINITY, f64::min),
        ),
        unit: Unit::Spread,
        peer: None,
        goal: Goal::Limit(1.25),
        remark: String::new(),
    });
    Ok(())
}

/// A thousand clients, one process after the other; between two of them the durable insert alone.
pub(super) fn add_in_a_loop(world: &BenchNet, report: &mut Report) -> Result {
    let database = world.beside_the_state("loop.db");
    let (mut adding, mut inserting) = (0.0, 0.0);
    for number in 0..1000 {
        adding += timed(&world.api(&format!("core add_client client_name=loop-{number}")))?;
        inserting += insert_one(world, &database)?;
    }
    report.add(Row {
        what: "1,000 × `add_client` in a loop at 10,000 clients".to_owned(),
        measured: Some(adding),
        unit: Unit::Milliseconds,
        peer: Some(("1,000 durable inserts between them, without a process".to_owned(), inserting)),
        goal: Goal::Limit(6000.0),
        remark: String::new(),
    });
    Ok(())
}

fn add_one(world: &BenchNet, number: &mut u32) -> Result<f64> {
    *number += 1;
    timed(&world.api(&format!("core add_client client_name=added-{number}")))
}

/// Milliseconds of a durable insert, without the start of the process that does it.
fn insert_one(world: &BenchNet, database: &Path) -> Result<f64> {
    let micros: f64 = world.helper("bench-insert").arg(database).read()?.parse().context("bench-insert")?;
    Ok(micros / 1e3)
}

/// Sets a peer, which is removed again outside the measurement.
fn set_one(world: &BenchNet) -> Result<f64> {
    let key = Cmd::line("wg genkey").read()?; // any 32 bytes are a key
    let peer = Cmd::line("wg set").args([&world.interface, "peer", &key]);
    let took = timed(&peer.clone().args(["allowed-ips", "10.255.0.9/32"]))?;
    peer.arg("remove").quiet()?;
    Ok(took)
}
