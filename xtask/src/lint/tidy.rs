//! The house rules that no other tool holds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// Longest source file, its tests included.
const LONGEST: usize = 600;
/// Words that say that something is not finished. Written in halves, so that this file passes.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("unimple", "mented!"),
    concat!("to", "do!("),
    concat!("XX", "X:"),
];

pub(super) fn run() -> Result {
    let root = workspace::root();
    let mut found = Vec::new();
    for path in sources(&root)? {
        let text = fs::read_to_string(root.join(&path)).context(path.display())?;
        let name = path.display();
        if path.ends_with("Cargo.toml") {
            found.extend(manifest(&text).map(|complaint| format!("{name}: {complaint}")));
        } else {
            found.extend(source(&text).into_iter().map(|complaint| format!("{name}: {complaint}")));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    found.sort();
    Err(Problem::new(found.join("\n")))
}

/// What is wrong with a source file.
fn source(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.trim_start().starts_with("//!") {
        found.push("does not begin with what it is (`//!`)".to_owned());
    }
    let lines = text.lines().count();
    if lines > LONGEST {
        found.push(format!("{lines} lines, of at most {LONGEST}"));
    }
    for (number, line) in text.lines().enumerate() {
        for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
            found.push(format!("line {}: {word}", number + 1));
        }
    }
    found
}

/// What is wrong with a package's manifest; the workspace's own has no package.
fn manifest(text: &str) -> Option<&'static str> {
    if !text.lines().any(|line| line.trim() == "[package]") {
        return None;
    }
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    let inherits = lines.next() == Some("workspace = true");
    (!inherits).then_some("does not take over the workspace's lints")
}

/// Every `.rs` file and every `Cargo.toml` of the workspace.
pub(super) fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = files(root)?;
    // The fuzz targets are a workspace of their own, with the flags of the fuzzer.
    found.retain(|path| !(path.ends_with("fuzz/Cargo.toml")));
    found.retain(|path| path.extension().is_some_and(|kind| kind == "rs") || path.ends_with("Cargo.toml"));
    Ok(found)
}

/// Every file of the workspace: what git knows or would add, else all there is.
pub(super) fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let list = Cmd::line("git ls-files --cached --others --exclude-standard -z").dir(root).read();
    let mut found: Vec<PathBuf> = match list {
        Ok(list) => list.split('\0').map(PathBuf::from).collect(),
        Err(_) => walk(root)?,
    };
    found.retain(|path| root.join(path).is_file());
    Ok(found)
}

fn walk(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).context(folder.display())? {
            let path = folder.join(entry.context(folder.display())?.file_name());
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            match root.join(&path).is_dir() {
                true if hidden || path == Path::new("target") => {}
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_held() {
        assert!(source("//! What it is.\nfn main() {}\n").is_empty());
        assert_eq!(source("fn main() {}\n").len(), 1);
        assert_eq!(source(&format!("//! Long.\n{}", "\n".repeat(LONGEST))).len(), 1);
        assert_eq!(source(&format!("//! x\n// {}: later\n", UNFINISHED[0])).len(), 1);
        assert_eq!(manifest("[package]\n[lints]\nworkspace = true\n"), None);
        assert!(manifest("[package]\n[lints.clippy]\n").is_some());
        assert_eq!(manifest("[workspace]\n"), None);
    }
}
