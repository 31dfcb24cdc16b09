//! nginx for the tests, without installing it: Debian's package would start it on the machine's port 80.

use std::fs;
use std::path::PathBuf;

use crate::command::{Cmd, find_program};
use crate::packages;
use crate::problem::{Context as _, Result};
use crate::workspace;

/// The machine's own nginx, or the program out of Debian's package, unpacked below the target folder.
pub(super) fn program() -> Result<PathBuf> {
    if let Some(program) = find_program("nginx") {
        return Ok(program);
    }
    let dir = workspace::target_dir()?.join("nginx");
    let program = dir.join("usr/sbin/nginx");
    if !program.is_file() {
        fs::create_dir_all(&dir).context(dir.display())?;
        Cmd::new("dpkg-deb").arg("-x").arg(packages::download("nginx", &dir)?).arg(&dir).quiet()?;
    }
    // Says what is missing where its libraries are not all here.
    Cmd::new(&program).arg("-v").quiet()?;
    Ok(program)
}
