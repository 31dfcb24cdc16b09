//! `generate`: the files under `docs/` that are made from the action tables.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::command::Cmd;
use crate::problem::{Context as _, Result};
use crate::workspace;

/// Folders below `docs/` that hold nothing but generated files.
const WHOLE: [&str; 2] = ["man", "completions"];

pub(crate) fn run(mut words: Args) -> Result<bool> {
    let check = words.flag("--check");
    words.end()?;
    let made = make()?;
    let docs = workspace::root().join("docs");
    let stale: Vec<PathBuf> = leftovers(&docs)?.into_iter().filter(|path| !made.contains_key(path)).collect();
    let mut same = true;
    for (path, text) in &made {
        let file = docs.join(path);
        if fs::read_to_string(&file).is_ok_and(|now| now == *text) {
            continue;
        }
        same = false;
        if check {
            println!("docs/{} is not up to date: run cargo xtask generate", path.display());
            continue;
        }
        fs::create_dir_all(file.parent().unwrap_or(&docs)).context(file.display())?;
        fs::write(&file, text).context(file.display())?;
        println!("wrote docs/{}", path.display());
    }
    for path in stale {
        same = false;
        if check {
            println!("docs/{} is no longer generated: run cargo xtask generate", path.display());
            continue;
        }
        fs::remove_file(docs.join(&path)).context(path.display())?;
        println!("removed docs/{}", path.display());
    }
    Ok(same || !check)
}

/// The generated files by their path below `docs/`.
fn make() -> Result<BTreeMap<PathBuf, String>> {
    let words = ["build", "--quiet", "-p", "xtask", "--features", "docs", "--bin", "phantom-docs"];
    let built = || -> Result<PathBuf> {
        let artifacts = workspace::build(words)?;
        let program = artifacts.into_iter().find(|artifact| artifact.target == "phantom-docs");
        Ok(program.context("cargo built no phantom-docs")?.path)
    };
    // Beside the tests the program is there already.
    let program = std::env::var_os("PHANTOM_DOCS").map_or_else(built, |path| Ok(path.into()))?;
    let dir = workspace::target_dir()?.join("generated-docs");
    if dir.exists() {
        fs::remove_dir_all(&dir).context(dir.display())?;
    }
    Cmd::new(program).arg(&dir).run()?;
    let mut files = BTreeMap::new();
    for path in files_below(&dir)? {
        let text = fs::read_to_string(dir.join(&path)).context(path.display())?;
        files.insert(path, text);
    }
    Ok(files)
}

/// What is in the folders that are wholly generated.
fn leftovers(docs: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in WHOLE.iter().filter(|folder| docs.join(folder).is_dir()) {
        found.extend(files_below(&docs.join(folder))?.into_iter().map(|path| Path::new(folder).join(path)));
    }
    Ok(found)
}

/// All files below a folder, by their paths in it.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(dir.join(&folder)).context(dir.display())? {
            let entry = entry.context(dir.display())?;
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}
