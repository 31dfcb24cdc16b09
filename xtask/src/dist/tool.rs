//! cargo-deb, of one version, outside the tree.

use std::path::PathBuf;

use crate::command::Cmd;
use crate::problem::{Context as _, Result};
use crate::workspace::{self, cargo};

/// The version that the package's list is written for.
const VERSION: &str = "3.8.0";

/// The program: that of `PATH` if it has the version, else one that is built once and kept in `/var/tmp/phantom-wg-tools`
/// or where `PHANTOM_TOOLS` says.
pub(crate) fn cargo_deb() -> Result<PathBuf> {
    let said = |program: &PathBuf| Cmd::new(program).arg("--version").read();
    let right = |program: &PathBuf| said(program).is_ok_and(|said| said.ends_with(VERSION));
    let installed = PathBuf::from("cargo-deb");
    if right(&installed) {
        return Ok(installed);
    }
    let tools = std::env::var_os("PHANTOM_TOOLS").unwrap_or_else(|| "/var/tmp/phantom-wg-tools".into());
    let dir = PathBuf::from(tools).join(format!("cargo-deb-{VERSION}"));
    let program = dir.join("bin/cargo-deb");
    if !right(&program) {
        println!("Building cargo-deb {VERSION} in {} (once, about two minutes)", dir.display());
        let target = workspace::target_dir()?.join("tools");
        // Not in the workspace, whose settings are not for it.
        let build =
            cargo().dir("/").args(["install", "--quiet", "--locked", "cargo-deb", "--version", VERSION]);
        build.arg("--root").arg(&dir).arg("--target-dir").arg(&target).run()?;
        std::fs::remove_dir_all(&target).context(target.display())?;
    }
    Ok(program)
}
