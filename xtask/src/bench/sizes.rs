//! How large the programs are that are delivered: for release, stripped, linked statically.

use std::fs;

use super::Places;
use super::report::{Goal, Report, Row, Unit};
use crate::problem::{Context as _, Result};

/// Programs with the most that they may have, in MiB.
const LIMITS: [(&str, f64); 3] = [("phantom-api", 8.0), ("phantom-casper", 3.0), ("factory-reset", 4.0)];

/// Weighs them.
pub(super) fn run(places: &Places, report: &mut Report) -> Result {
    for (name, limit) in LIMITS {
        let path = places.programs.join(name);
        let bytes = u32::try_from(fs::metadata(&path).context(path.display())?.len());
        let mebibytes = f64::from(bytes.unwrap_or(u32::MAX)) / f64::from(1 << 20);
        report.add(Row {
            what: format!("size of `{name}`, stripped, with all libraries in it"),
            measured: Some(mebibytes),
            unit: Unit::Mebibytes,
            peer: None,
            goal: Goal::Limit(limit),
            remark: String::new(),
        });
    }
    Ok(())
}
