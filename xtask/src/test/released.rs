//! The package of an older commit, from which the tests upgrade.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Cmd;
use crate::contents::{PROGRAMS, RESET};
use crate::dist;
use crate::problem::{Context as _, Problem, Result};
use crate::workspace::{self, cargo};

/// The commit whose servers must be taken over. Its schema, units and programs are what people have installed.
const COMMIT: &str = "940a203";

/// Makes the package, once for each machine.
pub(super) fn package() -> Result<PathBuf> {
    let dir = workspace::kept()?.join("released");
    let package = dir.join(format!("{COMMIT}.deb"));
    if package.is_file() {
        return Ok(package);
    }
    let tree = dir.join(COMMIT);
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir_all(&tree).context(tree.display())?;
    unpack(&tree)?;
    let programs = build(&tree)?;
    let unfinished = package.with_extension("unfinished");
    dist::package_of(&tree, &programs, &unfinished)?;
    fs::rename(&unfinished, &package).context(package.display())?;
    fs::remove_dir_all(&tree).context(tree.display())?;
    Ok(package)
}

/// The commit's files, asked of where this clone came from if it does not have them.
fn unpack(tree: &Path) -> Result {
    let git = |words: &str| Cmd::new("git").args(words.split(' ')).dir(workspace::root());
    if !git(&format!("cat-file -e {COMMIT}^{{tree}}")).succeeds() {
        let _ = git("fetch --quiet --unshallow").quiet();
    }
    let tar = tree.with_extension("tar");
    git("archive --output").arg(&tar).arg(COMMIT).quiet().map_err(|problem| {
        Problem::new(format!(
            "the commit to upgrade from is not in this clone (git fetch --unshallow): {problem}"
        ))
    })?;
    Cmd::line("tar -xf").arg(&tar).arg("-C").arg(tree).quiet()?;
    fs::remove_file(&tar).context(tar.display())
}

/// Builds its programs, in a target folder of its own: cargo knows crates of a workspace by their places in it, so that it
/// would take this tree's crates for those of the other.
fn build(tree: &Path) -> Result<PathBuf> {
    let words = ["build", "--workspace", "--bins"];
    let command = cargo().dir(tree).env("CARGO_TARGET_DIR", tree.join("target"));
    let built = workspace::build_with(&words, command)?;
    let programs = tree.join("programs");
    fs::create_dir_all(&programs).context(programs.display())?;
    // Some of today's did not exist then; one of then that is missing is missed when the package is made.
    for name in PROGRAMS.iter().chain([&RESET]) {
        if let Some(program) = built.iter().find(|program| program.kind == "bin" && program.target == *name) {
            fs::copy(&program.path, programs.join(name)).context(name)?;
        }
    }
    Ok(programs)
}
