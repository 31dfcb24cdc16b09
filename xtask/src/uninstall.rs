//! `uninstall`: takes away what quickstart brought, and nothing else.
//!
//! The server's objects on the host go by their marks (links, packet filter, units, settings), the files and folders by
//! the manifest. The stored state stays unless `--purge` is given; so do the Debian packages, which other programs may
//! have come to use.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Cmd, is_root};
use crate::packages;
use crate::problem::{Context as _, Result};
use crate::quickstart::{Manifest, PROGRAMS_DIR};
use crate::words::Words;
use crate::workspace;

/// Everything that the server stores.
const ROOT: &str = "/opt/phantom-wg";

pub(crate) fn run(mut words: Words) -> Result<bool> {
    let purge = words.flag("--purge");
    let built = words.value("--built")?.map(PathBuf::from);
    words.end()?;
    let built = built.map_or_else(workspace::build_installation, Ok)?;
    if !is_root() {
        let this = std::env::current_exe().context("this program")?;
        let command =
            Cmd::root(this).args(["uninstall", "--built"]).arg(built).args(purge.then_some("--purge"));
        return Ok(command.command().status().context(&command)?.success());
    }
    let mut manifest = Manifest::load()?;
    if manifest.is_empty() && !Path::new(PROGRAMS_DIR).join("phantom-api").exists() {
        println!("Nothing here was installed by quickstart.");
        return Ok(true);
    }
    println!("== Server");
    // First of all, and with the stored state still there: it knows the kernel's setting as it was.
    Cmd::new(built.join("factory-reset")).arg("--uninstall").run()?;
    println!("== Files");
    for file in &manifest.files {
        remove_file(file)?;
    }
    println!("removed {} files", manifest.files.len());
    if purge {
        purge_all(&manifest)?;
        println!("Nothing of it is left.");
        return Ok(true);
    }
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

fn purge_all(manifest: &Manifest) -> Result {
    if Path::new(ROOT).exists() {
        fs::remove_dir_all(ROOT).context(ROOT)?;
    }
    if !packages::purge(&manifest.packages)? {
        let list: Vec<&str> = manifest.packages.iter().map(String::as_str).collect();
        println!("Debian packages stay, since others have come to need them: {}", list.join(" "));
    }
    remove_folders(manifest);
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
