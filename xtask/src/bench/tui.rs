//! The full-screen interface: how soon it is there, how fast it follows, what it takes.

use super::Options;
use super::report::{Goal, Report, Row, Unit};
use super::world::BenchNet;
use crate::problem::{Context as _, Result};

/// On a server with ten thousand clients.
pub(super) fn run(world: &BenchNet, options: &Options, report: &mut Report) -> Result {
    let command = world.helper("bench-screen").arg(world.beside("phantom-wg")).arg(options.few().to_string());
    let text = command.env("PHANTOM_ROOT", world.root()).read()?;
    let mut figures = text.lines().map(|line| line.parse::<f64>().context("bench-screen"));
    let mut next = || figures.next().context("bench-screen said too little")?;
    let (start, redraw, page, peak) = (next()?, next()?, next()?, next()?);
    for (what, measured, limit) in [
        ("`phantom-wg`: start to first screen", start, 50.0),
        ("`phantom-wg`: key to redrawn screen at 10,000 clients", redraw, 16.0),
    ] {
        report.add(row(what, measured, Unit::Milliseconds, limit, String::new()));
    }
    let remark = format!("the next page of clients, asked for and drawn: {page:.1} ms");
    report.add(row("`phantom-wg`: memory at 10,000 clients", peak / 1024.0, Unit::Mebibytes, 24.0, remark));
    Ok(())
}

fn row(what: &str, measured: f64, unit: Unit, limit: f64, remark: String) -> Row {
    Row {
        what: what.to_owned(),
        measured: Some(measured),
        unit,
        peer: None,
        goal: Goal::Limit(limit),
        remark,
    }
}
