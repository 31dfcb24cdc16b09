//! `uninstall`: takes away what quickstart brought, and nothing else.
//!
//! The server's objects on the host go by their marks (links, packet filter, units, settings), the files and folders by
//! the manifest. The stored state stays unless `--purge` is given; so do the Debian packages, which other programs may
//! have come to use.
//!
//! It needs no build: the factory reset that is installed does the first part. That program and the manifest go last, so
//! that a run that fails on the way can be made again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::command::{Cmd, is_root};
use crate::contents::{RESET, RESET_DIR};
use crate::packages;
use crate::problem::{Context as _, Result};
use crate::quickstart::{Manifest, PROGRAMS_DIR};
use crate::workspace;

/// Everything that the server stores.
const ROOT: &str = "/opt/phantom-wg";

pub(crate) fn run(mut words: Args) -> Result<bool> {
    let purge = words.flag("--purge");
    let built = words.value("--built")?.map(PathBuf::from);
    words.end()?;
    let mut manifest = Manifest::load()?;
    let programs = Path::new(PROGRAMS_DIR).join("phantom-api").exists();
    if manifest.is_empty() && !programs {
        println!("Nothing here was installed by quickstart.");
        return Ok(true);
    }
    let installed = Path::new(RESET_DIR).join(RESET);
    // Without files and programs an earlier run has taken the server off the host.
    let server = programs || !manifest.files.is_empty();
    let reset = match built {
        _ if !server => None,
        _ if installed.exists() => Some(installed),
        Some(dir) => Some(dir.join(RESET)),
        None => Some(workspace::build_installation()?.join(RESET)),
    };
    if !is_root() {
        return as_root(reset.as_deref(), purge);
    }
    if let Some(reset) = &reset {
        println!("== Server");
        // First of all, and with the stored state still there: it knows the kernel's setting as it was.
        Cmd::new(reset).args(["--uninstall", "--yes"]).run()?;
    }
    println!("== Files");
    let (kept, others): (Vec<_>, Vec<_>) = manifest.files.iter().partition(|file| is_needed_again(file));
    others.iter().try_for_each(|file| remove_file(file))?;
    println!("removed {} files", manifest.files.len());
    if purge {
        remove_packages(&manifest)?;
        if Path::new(ROOT).exists() {
            empty(Path::new(ROOT))?;
        }
        Manifest::remove()?;
        let _ = fs::remove_dir(ROOT);
        remove_folders(&manifest);
        println!("Nothing of it is left.");
        return Ok(true);
    }
    kept.iter().try_for_each(|file| remove_file(file))?;
    remove_folders(&manifest);
    manifest.keep_only_packages()?;
    println!(
        "The stored state stays in {ROOT}: quickstart finds it again, and uninstall --purge removes it."
    );
    if !manifest.packages.is_empty() {
        let list: Vec<&str> = manifest.packages.iter().map(String::as_str).collect();
        println!("Debian packages stay (uninstall --purge removes them): {}", list.join(" "));
    }
    Ok(true)
}

/// Goes on as root. A program that was built is named by its folder.
fn as_root(reset: Option<&Path>, purge: bool) -> Result<bool> {
    let this = std::env::current_exe().context("this program")?;
    let mut call = Cmd::root(this).arg("uninstall");
    if let Some(folder) = reset.and_then(Path::parent) {
        call = call.arg("--built").arg(folder);
    }
    let call = call.args(purge.then_some("--purge"));
    Ok(call.command().status().context(&call)?.success())
}

/// Whether a file is used by a run that is made again because this one failed.
fn is_needed_again(file: &Path) -> bool {
    file.starts_with(RESET_DIR)
}

fn remove_packages(manifest: &Manifest) -> Result {
    if !packages::purge(&manifest.packages)? {
        let list: Vec<&str> = manifest.packages.iter().map(String::as_str).collect();
        println!("Debian packages stay, since others have come to need them: {}", list.join(" "));
    }
    Ok(())
}

/// Removes everything in the folder but the manifest, which says what there is until all of it is gone.
fn empty(root: &Path) -> Result {
    for entry in fs::read_dir(root).context(root.display())? {
        let entry = entry.context(root.display())?;
        let path = entry.path();
        if path == Manifest::path() {
            continue;
        }
        let folder = entry.file_type().context(path.display())?.is_dir();
        if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.context(path.display())?;
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context(path.display()),
        _ => Ok(()),
    }
}

/// Removes the folders that were not there before, the innermost first; one that holds something by now stays.
fn remove_folders(manifest: &Manifest) {
    for folder in manifest.folders.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
}
