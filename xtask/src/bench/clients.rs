//! Adding clients to servers of every size.

use super::Options;
use super::measure::{interleave, timed};
use super::report::{Goal, Report, Row, Unit};
use super::world::{INTERFACE, World};
use crate::command::Cmd;
use crate::problem::{Context as _, Result};

/// What adding a client took at each size, with the floor of the same run.
#[derive(Default)]
pub(super) struct Sizes(Vec<(f64, f64)>);

/// `add_client` beside what it cannot do without: a process, a durable insert, and a peer on the interface.
pub(super) fn add(
    world: &World,
    options: &Options,
    count: u32,
    sizes: &mut Sizes,
    report: &mut Report,
) -> Result {
    let mut number = 0;
    let database = world.beside_the_state("floor.db");
    let mut add = || {
        number += 1;
        timed(&world.api(&format!("core add_client client_name=at-{count}-{number}")))
    };
    let mut hello = || timed(&world.helper("bench-hello"));
    let mut insert = || {
        let micros: f64 =
            world.helper("bench-insert").arg(&database).read()?.parse().context("bench-insert")?;
        Ok(micros / 1e3)
    };
    let mut set = || {
        let key = Cmd::line("wg genkey").read()?; // any 32 bytes are a key
        let peer = Cmd::line("wg set").args([INTERFACE, "peer", &key]);
        let took = timed(&peer.clone().args(["allowed-ips", "10.255.0.9/32"]))?;
        peer.arg("remove").quiet()?;
        Ok(took)
    };
    let [add, hello, insert, set] =
        interleave(options.many(), [&mut add, &mut hello, &mut insert, &mut set])?;
    let floor = hello + insert + set;
    sizes.0.push((add, floor));
    report.add(Row {
        what: format!("`add_client` at {count} clients"),
        measured: Some(add),
        unit: Unit::Milliseconds,
        peer: Some((format!("hello {hello:.2} + insert {insert:.2} + `wg set` {set:.2}"), floor)),
        goal: Goal::AtMostTimes(2.5),
        remark: String::new(),
    });
    Ok(())
}

impl Sizes {
    /// The line that says whether it takes the same at every size.
    pub(super) fn report(&self, report: &mut Report) {
        if self.0.is_empty() {
            return;
        }
        let spread = |figure: fn(&(f64, f64)) -> f64| {
            let figures = || self.0.iter().map(figure);
            figures().fold(0.0, f64::max) / figures().fold(f64::INFINITY, f64::min)
        };
        report.add(Row {
            what: "`add_client`, slowest size through fastest size".to_owned(),
            measured: Some(spread(|(add, _)| *add)),
            unit: Unit::Spread,
            peer: None,
            goal: Goal::AtMost(1.25),
            remark: format!("the floor's own: {:.2}", spread(|(_, floor)| *floor)),
        });
    }
}

/// A thousand clients, one process after the other.
pub(super) fn add_in_a_loop(world: &World, report: &mut Report) -> Result {
    let mut sum = 0.0;
    for number in 0..1000 {
        sum += timed(&world.api(&format!("core add_client client_name=loop-{number}")))?;
    }
    report.add(Row {
        what: "1,000 × `add_client` in a loop at 10,000 clients".to_owned(),
        measured: Some(sum),
        unit: Unit::Milliseconds,
        peer: None,
        goal: Goal::AtMost(6000.0),
        remark: String::new(),
    });
    Ok(())
}
