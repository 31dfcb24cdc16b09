//! The licences of the libraries that are linked into the programs, with their texts, as those ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::contents::files;
use crate::problem::{Context as _, Result};
use crate::workspace::{self, SERVER_PACKAGES, cargo};

/// What the names of files with licences begin with.
const LICENCES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];

/// What the linker adds. Its licence wants that the programs can be linked again with another version of it.
const C_LIBRARY: &str = "\
The GNU C Library: LGPL-2.1-or-later. It is linked statically; who wants another version of it builds the programs from
their sources, which are public, with `cargo xtask dist`. Its text: https://www.gnu.org/licenses/old-licenses/lgpl-2.1.txt
";

/// The libraries with the texts that they bring, each text once.
pub(super) fn text() -> Result<String> {
    let linked = linked()?;
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut list = String::new();
    for package in sources()?["packages"].as_array().context("cargo metadata names no packages")? {
        let field = |key: &str| package[key].as_str().unwrap_or_default();
        let name = format!("{} v{}", field("name"), field("version"));
        // What belongs to the workspace has no source.
        if package["source"].is_null() || !linked.contains(&name) {
            continue;
        }
        let licence = if field("license").is_empty() { "see below" } else { field("license") };
        let _ = writeln!(list, "{name}: {licence}");
        let manifest = PathBuf::from(field("manifest_path"));
        for file in licences(manifest.parent().unwrap_or(Path::new("/")))? {
            let text = String::from_utf8_lossy(&fs::read(&file).context(file.display())?).trim().to_owned();
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    let mut all = format!("Libraries that are linked into the programs of Phantom-WG\n\n{list}{C_LIBRARY}");
    for (text, names) in texts {
        let names: Vec<_> = names.into_iter().collect();
        let _ = write!(all, "\n{}\n{}\n\n{text}\n", "=".repeat(78), names.join(", "));
    }
    Ok(all)
}

/// The packages that the programs are linked with, as in `base64 v0.23.1`.
fn linked() -> Result<BTreeSet<String>> {
    let packages = SERVER_PACKAGES.map(|package| ["-p", package]).concat();
    let words = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = cargo().args(words).args(packages).read()?;
    // After name and version stands where a package of the workspace lies, or that it is a macro, which runs while
    // building and is not linked.
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Ok(tree.lines().filter(|line| !line.contains("(proc-macro)")).map(name).collect())
}

fn sources() -> Result<Value> {
    let triple = workspace::host_triple()?;
    let words = ["metadata", "--locked", "--format-version", "1", "--filter-platform", &triple];
    serde_json::from_str(&cargo().args(words).read()?).context("cargo metadata")
}

fn licences(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = files(dir)?;
    found.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        LICENCES.iter().any(|start| name.starts_with(start))
    });
    Ok(found)
}
