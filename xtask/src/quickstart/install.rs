//! Putting programs, manual pages and completions where Debian looks for an administrator's own.

use std::fs;
use std::path::Path;

use super::manifest::{Manifest, write};
use super::server::PROGRAMS_DIR;
use crate::contents::{PROGRAMS, RESET, RESET_DIR, RESET_SCRIPT, TEXTS, files};
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// Where an administrator's own manual pages and completions lie.
const SHARE: &str = "/usr/local/share";

/// Folders that the server makes when it is set up or started.
const MADE_BY_THE_SERVER: [&str; 3] = ["/etc/wireguard", "/etc/sysctl.d", "/run/wireguard"];

/// Installs what differs from what is installed; returns whether a program did.
pub(super) fn run(built: &Path, manifest: &mut Manifest) -> Result<bool> {
    MADE_BY_THE_SERVER.iter().try_for_each(|folder| manifest.note_folder(Path::new(folder)))?;
    let mut changed = false;
    for program in PROGRAMS {
        changed |= place(&built.join(program), &Path::new(PROGRAMS_DIR).join(program), 0o755, manifest)?;
    }
    let reset = Path::new(RESET_DIR);
    changed |= place(&built.join(RESET), &reset.join(RESET), 0o755, manifest)?;
    let beside = built.join(RESET_SCRIPT);
    let script =
        if beside.is_file() { beside } else { workspace::root().join("factory-reset").join(RESET_SCRIPT) };
    place(&script, &reset.join(RESET_SCRIPT), 0o755, manifest)?;
    let docs = if built.join("man").is_dir() { built.to_owned() } else { workspace::root().join("docs") };
    for texts in TEXTS {
        for file in files(&docs.join(texts.from))? {
            let name = file.file_name().unwrap_or_default();
            place(&file, &Path::new(SHARE).join(texts.share).join(name), 0o644, manifest)?;
        }
    }
    println!(
        "{}: {}",
        PROGRAMS.map(|program| format!("{PROGRAMS_DIR}/{program}")).join(", "),
        if changed { "installed, with manual pages and completions" } else { "up to date" }
    );
    Ok(changed)
}

/// Copies a file unless the same one is there; returns whether it did.
fn place(from: &Path, to: &Path, mode: u32, manifest: &mut Manifest) -> Result<bool> {
    let content = fs::read(from).context(from.display())?;
    let now = fs::read(to).ok();
    let ours = manifest.files.contains(to);
    if to.symlink_metadata().is_ok() && !ours {
        let text = format!(
            "{} is there already and was not put there by quickstart: move it away first",
            to.display()
        );
        return Err(Problem::new(text));
    }
    if ours && now.as_ref() == Some(&content) {
        return Ok(false);
    }
    if let Some(folder) = to.parent() {
        manifest.make_folder(folder)?;
    }
    manifest.add_file(to)?;
    write(to, &content, mode)?;
    Ok(true)
}
