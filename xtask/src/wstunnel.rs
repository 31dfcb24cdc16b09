//! The real wstunnel, the client that people have. It is in no registry: its programs are built outside this tree from the
//! tags of its public repository, and found in `wstunnel/VERSION/wstunnel` below the kept folder, or named by
//! `PHANTOM_WSTUNNEL` (paths with colons between).

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// By this variable tests find the programs.
pub(crate) const VARIABLE: &str = "PHANTOM_WSTUNNEL";
/// The version whose wire protocol the contract names.
const CONTRACT: &str = "10.5.2";

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stock {
    numbers: Vec<u32>,
    /// As in `10.5.2`.
    pub(crate) version: String,
    pub(crate) path: PathBuf,
}

/// All that are here, the newest last.
pub(crate) fn all() -> Result<Vec<Stock>> {
    let paths: Vec<PathBuf> = if let Some(named) = std::env::var_os(VARIABLE) {
        std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect()
    } else {
        let versions = fs::read_dir(workspace::kept()?.join("wstunnel")).into_iter().flatten().flatten();
        versions.map(|version| version.path().join("wstunnel")).filter(|path| path.is_file()).collect()
    };
    let mut found = Vec::new();
    for path in paths {
        let text = Cmd::new(&path).arg("--version").read()?;
        let version = text.split(' ').next_back().unwrap_or_default().to_owned();
        let numbers = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        found.push(Stock { numbers, version, path });
    }
    found.sort();
    Ok(found)
}

/// The version of the contract and a newer one.
pub(crate) fn both() -> Result<Vec<Stock>> {
    let all = all()?;
    let newest = all.last().filter(|newest| newest.version != CONTRACT).cloned();
    let old = all.into_iter().find(|one| one.version == CONTRACT);
    old.zip(newest).map(|(old, newest)| vec![old, newest]).ok_or_else(|| {
        Problem::new(format!(
            "wstunnel {CONTRACT} and a newer 10.x are needed in {}/wstunnel/VERSION/wstunnel: build them from their tags \
             (cargo build --locked --release -p wstunnel-cli), or name them in {VARIABLE}",
            workspace::kept().map(|dir| dir.display().to_string()).unwrap_or_default()
        ))
    })
}

/// What the variable is to hold for these.
pub(crate) fn list(stocks: &[Stock]) -> Result<OsString> {
    std::env::join_paths(stocks.iter().map(|stock| &stock.path)).context(VARIABLE)
}
