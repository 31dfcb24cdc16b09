//! How iptables is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use iptables::IPTables;

use super::listing::words;
use crate::linux::command::{Output, Program};
use crate::{HostError, Result};

/// How long iptables waits for another iptables (`-w`), in seconds.
pub(super) const LOCK_WAIT: &str = "20";

/// Runs a command of iptables, as in `-S` or `-F INPUT`, on a table with this program.
pub(in crate::linux::firewall) type Start = fn(program: &Path, table: &str, command: &str) -> Result<Output>;

/// Through the `iptables` crate. It starts the program by the path that it is given; it has no time limit of its own,
/// so that iptables is told how long to wait for its lock.
pub(in crate::linux::firewall) fn through_crate(
    program: &Path,
    table: &str,
    command: &str,
) -> Result<Output> {
    let iptables = IPTables { cmd: kept(program), has_check: true, has_wait: false, is_numeric: false };
    let mut argv = vec![program.to_string_lossy().into_owned(), "-t".to_owned(), table.to_owned()];
    argv.extend(command.split(' ').map(str::to_owned));
    let output = iptables.execute(table, &format!("-w {LOCK_WAIT} {command}"));
    let output = output.map_err(|e| HostError::unexpected(format!("starting {}: {e}", program.display())))?;
    Ok(Output::from_output(argv, output))
}

/// By itself, for a small program: the crate's regular expressions would be a tenth of it.
pub(in crate::linux::firewall) fn directly(program: &Path, table: &str, command: &str) -> Result<Output> {
    Program::at(program).args(["-w", LOCK_WAIT, "-t", table]).args(words(command)).output()
}

/// The path as the crate wants it. There are at most as many different ones as programs, so that nothing grows.
fn kept(path: &Path) -> &'static str {
    static KEPT: Mutex<BTreeMap<PathBuf, &'static str>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(path.to_owned()).or_insert_with(|| path.to_string_lossy().into_owned().leak())
}
