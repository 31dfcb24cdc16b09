//! Programs out of the crates' registry that tasks call, each of one version, outside the tree.

use std::path::PathBuf;

use crate::command::Cmd;
use crate::problem::{Context as _, Result};
use crate::workspace::{self, cargo};

/// A program of a crate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Makes the Debian package; the version that the package's list is written for.
pub(crate) const DEB: Tool = Tool { name: "cargo-deb", version: "3.8.0" };
/// Makes small changes of the code and says which of them no test notices.
pub(crate) const MUTANTS: Tool = Tool { name: "cargo-mutants", version: "27.1.0" };
/// Knows the licences of dependencies.
pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

impl Tool {
    /// The program: that of `PATH` if it has the version, else one that is built once and kept.
    pub(crate) fn program(self) -> Result<PathBuf> {
        let Self { name, version } = self;
        let said = |program: &PathBuf| Cmd::new(program).arg("--version").read();
        let right = |program: &PathBuf| said(program).is_ok_and(|said| said.ends_with(version));
        let installed = PathBuf::from(name);
        if right(&installed) {
            return Ok(installed);
        }
        let dir = workspace::kept()?.join("tools").join(format!("{name}-{version}"));
        let program = dir.join("bin").join(name);
        if !right(&program) {
            println!("Building {name} {version} in {} (once, some minutes)", dir.display());
            let target = workspace::target_dir()?.join("tools").join(name);
            // Not in the workspace, whose settings are not for it.
            let build = cargo().dir("/").args(["install", "--quiet", "--locked", name, "--version", version]);
            build.arg("--root").arg(&dir).arg("--target-dir").arg(&target).run()?;
            std::fs::remove_dir_all(&target).context(target.display())?;
        }
        Ok(program)
    }
}
