//! The tarball: for machines where no Debian package is wanted.

use std::fs;
use std::path::Path;

use super::{NOTICES, version};
use crate::command::Cmd;
use crate::contents::{PROGRAMS, RESET, RESET_SCRIPT, TEXTS, files};
use crate::problem::{Context as _, Result};
use crate::workspace;

/// Texts of the workspace that it holds beside those of `docs/`.
const READING: [&str; 5] =
    ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md", "SECURITY.md", "packaging/README.md"];

/// `phantom-wg-0.1.0-x86_64-linux`: the name, and the folder in it.
pub(super) fn name() -> Result<String> {
    Ok(format!("phantom-wg-{}-{}-linux", version()?, std::env::consts::ARCH))
}

/// Makes it below `stage` from the programs of a folder. Its `bin` and `share` are those of an administrator's
/// `/usr/local`.
pub(super) fn make(stage: &Path, programs: &Path, epoch: &str, to: &Path) -> Result {
    let (root, name) = (workspace::root(), name()?);
    let top = stage.join(&name);
    let _ = fs::remove_dir_all(&top);
    for program in PROGRAMS {
        place(&programs.join(program), &top.join("bin"), "755")?;
    }
    place(&programs.join(RESET), &top.join(RESET), "755")?;
    place(&root.join(RESET).join(RESET_SCRIPT), &top.join(RESET), "755")?;
    for texts in TEXTS {
        for file in files(&root.join("docs").join(texts.from))? {
            place(&file, &top.join("share").join(texts.share), "644")?;
        }
    }
    for file in files(&root.join("docs"))? {
        place(&file, &top.join("docs"), "644")?;
    }
    for file in READING {
        place(&root.join(file), &top, "644")?;
    }
    place(&programs.join(NOTICES), &top, "644")?;
    sums(&top)?;
    let tar = Cmd::line("tar --sort=name --owner=0 --group=0 --numeric-owner --format=gnu");
    let tar = tar.arg(format!("--mtime=@{epoch}")).args(["-I", "gzip -9n", "-cf"]);
    tar.arg(to).arg("-C").arg(stage).arg(name).quiet()
}

fn place(file: &Path, folder: &Path, mode: &str) -> Result {
    Cmd::new("install").args(["-D", "-m", mode, "-t"]).arg(folder).arg(file).quiet()
}

/// The checksums of everything in it, for `sha256sum --check`.
fn sums(top: &Path) -> Result {
    let list = Cmd::line("find . -type f -printf %P\\n").dir(top).read()?;
    let mut names: Vec<&str> = list.lines().collect();
    names.sort_unstable();
    let sums = Cmd::new("sha256sum").args(names).dir(top).read()?;
    fs::write(top.join("SHA256SUMS"), format!("{sums}\n")).context("SHA256SUMS")
}
