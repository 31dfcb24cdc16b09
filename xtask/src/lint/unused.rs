//! Dependencies that nothing uses: each manifest against the sources of its package.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::tidy;
use crate::problem::{Context as _, Problem, Result};
use crate::workspace;

/// Dependencies that are there for their features, which cargo unites over all who use a crate: here those that switch off
/// what libraries would log.
const SILENT: &[(&str, &str)] = &[("phantom-host", "tracing")];
/// Packages whose library has another name.
const OTHER_NAMES: &[(&str, &str)] = &[("rustls-webpki", "webpki")];

pub(super) fn run() -> Result {
    let found = found()?;
    if found.is_empty() { Ok(()) } else { Err(Problem::new(found.join("\n"))) }
}

fn found() -> Result<Vec<String>> {
    let root = workspace::root();
    let files = tidy::sources(&root)?;
    let metadata = workspace::metadata()?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let (mut complaints, mut used) = (Vec::new(), BTreeSet::new());
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let dir = manifest.parent().and_then(|dir| dir.strip_prefix(&root).ok()).unwrap_or(Path::new(""));
        let inside = |path: &Path| {
            // A package may be in the directory of another one.
            let nearest = path.ancestors().skip(1).find(|dir| root.join(dir).join("Cargo.toml").is_file());
            nearest == Some(dir)
        };
        let mut text = String::new();
        for path in
            files.iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs") && inside(path))
        {
            text += &fs::read_to_string(root.join(path)).context(path.display())?;
        }
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let own = dependency["name"].as_str().unwrap_or_default();
            used.insert(own.to_owned());
            let library =
                OTHER_NAMES.iter().find(|(name, _)| *name == own).map_or(own, |(_, library)| library);
            let called = dependency["rename"].as_str().unwrap_or(library);
            if !mentions(&text, &called.replace('-', "_")) && !SILENT.contains(&(name, own)) {
                complaints.push(format!("{name} does not use {called}"));
            }
        }
    }
    complaints.extend(nobodys(&root, &used)?);
    Ok(complaints)
}

/// Names in the workspace's list that no package's list has.
fn nobodys(root: &Path, used: &BTreeSet<String>) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join("Cargo.toml")).context("Cargo.toml")?;
    let list = text.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let list = list.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    let names = list.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned());
    Ok(names.filter(|name| !used.contains(name)).map(|name| format!("no package uses {name}")).collect())
}

/// Whether a text has a name as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    let part = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(name)
        .any(|(at, _)| !part(text[..at].chars().next_back()) && !part(text[at + name.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_as_a_whole_word() {
        assert!(mentions("use serde_json::Value;", "serde_json"));
        assert!(!mentions("use serde_json::Value;", "serde"));
        assert!(!mentions("let reserde = 1;", "serde"));
    }
}
