//! Errors speak both languages: held against the sources, so that every variant that exists is seen.
//!
//! The compiler sees a variant without Turkish, since no match has an arm for the rest; a cause that does not speak is no
//! cause of one that does. What the compiler cannot see is held here.

mod the_tunnels_program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use phantom_host::HostError;
use phantom_tests::repository;
use phantom_types::Spoken as _;

/// Errors that no person is told as they are, with the reason.
const UNTOLD: [(&str, &str); 3] = [
    ("BuildError", "a program that registers two modules of one name has a bug"),
    ("PlanError", "a test's own faults"),
    ("Unfit", "a cause inside SQLite's own error, which is quoted"),
];

/// Crates whose errors are English between programs: what a person is told of them is held by the tests of the crate that tells
/// it, and for the tunnel's program by the table of all its sentences and by [`the_tunnels_program`].
const PROGRAMS: [&str; 3] = ["foundation/device", "phantom-ghost/certs", "phantom-ghost/tunnel"];

/// The sources of a folder without their tests, by path.
fn sources(dir: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if path.is_dir() {
            if name != "tests" && name != "target" && name != "examples" {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
            found.insert(path, text);
        }
    }
}

/// The sources of the crates that tell people something.
fn ours() -> BTreeMap<PathBuf, String> {
    let root = repository();
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&root).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name == "foundation" || name == "factory-reset" || name.starts_with("phantom-") {
            sources(&entry.path(), &mut found);
        }
    }
    found.retain(|path, _| {
        let path = path.strip_prefix(&root).unwrap();
        !PROGRAMS.iter().any(|program| path.starts_with(program)) && path.iter().any(|part| part == "src")
    });
    assert!(found.len() > 200, "{}", found.len());
    found
}

/// The name of the type that is defined behind this place.
fn type_behind(text: &str) -> String {
    let keyword = ["struct ", "enum "].iter().filter_map(|word| Some((text.find(word)?, word.len())));
    let (at, length) = keyword.min().expect("an error is a struct or an enum");
    text[at + length..].chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// The block that begins behind this place, up to its closing brace at the beginning of a line.
fn block(text: &str) -> &str {
    text.split("\n}").next().unwrap_or(text)
}

#[test]
fn every_error_speaks_both_languages() {
    let (sources, mut silent, mut seen) = (ours(), Vec::new(), 0);
    let all: String = sources.values().map(String::as_str).collect();
    for (path, text) in &sources {
        for (at, _) in text.match_indices("thiserror::Error") {
            let name = type_behind(&text[at..]);
            seen += 1;
            let speaks = [format!("Spoken for {name} {{"), format!("ErrorCode for {name} {{")];
            let generic = format!("ErrorCode for {name}<");
            let told = speaks.iter().chain([&generic]).any(|words| all.contains(words.as_str()));
            if !told && !UNTOLD.iter().any(|(untold, _)| *untold == name) {
                silent.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(seen > 25, "{seen}");
    assert_eq!(silent, Vec::<String>::new(), "these are English only: implement Spoken beside them");
}

#[test]
fn turkish_texts_contain_no_english() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (path, text) in &ours() {
        for (at, _) in text.match_indices("fn turkish(&self) -> String {") {
            seen += 1;
            let body = text[at..].split("\n    }\n").next().unwrap_or_default();
            let rest = ["_ => self.to_string()", "other.to_string()", "self.to_string()"];
            if let Some(found) = rest.iter().find(|rest| body.contains(**rest)) {
                wrong.push(format!("{}: {found}", path.display()));
            }
        }
        // A match that has an arm for the rest would hide a variant from the compiler.
        for (at, _) in text.match_indices("Spoken for ") {
            let body = block(&text[at..]);
            let turkish = body.split("fn because").next().unwrap_or_default();
            let own = turkish.split("match self {").nth(1).unwrap_or_default();
            if own
                .lines()
                .any(|line| line.starts_with("            _ =>") || line.starts_with("            other =>"))
            {
                wrong.push(format!(
                    "{}: an arm for the rest in {}",
                    path.display(),
                    turkish.lines().next().unwrap()
                ));
            }
            let causes = ["#[source]", "#[from]"];
            let name: String =
                text[at + "Spoken for ".len()..].chars().take_while(|c| c.is_alphanumeric()).collect();
            let defined =
                text.find(&format!("pub enum {name} ")).map(|at| block(&text[at..])).unwrap_or_default();
            if causes.iter().any(|cause| defined.contains(cause)) && !body.contains("fn because") {
                wrong.push(format!("{}: {name} has causes, and does not tell them", path.display()));
            }
        }
    }
    assert!(seen > 25, "{seen}");
    assert_eq!(wrong, Vec::<String>::new());
}

/// Where a phrase of a [`HostError`] begins in the sources.
const MARKERS: [&str; 9] = [
    "HostError::io(",
    "HostError::unexpected(",
    "unexpected(",
    ".into_error(",
    "object: ",
    "what: ",
    "let what = ",
    "let object = ",
    "let what = || ",
];

/// The text that begins here, with a name in each place; nothing where there is none.
fn literal(text: &str) -> Option<String> {
    let mut text = text.trim_start();
    for word in ["&", "format!("] {
        text = text.strip_prefix(word).unwrap_or(text).trim_start();
    }
    let mut chars = text.strip_prefix('"')?.chars();
    let mut said = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(said),
            '{' => {
                while chars.next().is_some_and(|c| c != '}') {}
                said.push_str("NAME");
            }
            other => said.push(other),
        }
    }
    None
}

#[test]
fn every_host_phrase_has_turkish() {
    let mut found = BTreeMap::new();
    for (path, text) in
        ours().iter().filter(|(path, _)| !path.components().any(|part| part.as_os_str() == "fake"))
    {
        for marker in MARKERS {
            for (at, _) in text.match_indices(marker) {
                if let Some(phrase) = literal(&text[at + marker.len()..]) {
                    found.insert(phrase, path.clone());
                }
            }
        }
    }
    // A name alone needs no words.
    found
        .retain(|phrase, _| phrase.contains(' ') && phrase.replace("NAME", "").contains(char::is_alphabetic));
    assert!(found.len() > 40, "{found:?}");
    let english: Vec<String> = found
        .iter()
        .filter(|(phrase, _)| HostError::unexpected(phrase.as_str()).turkish() == **phrase)
        .map(|(phrase, path)| format!("{}: {phrase}", path.display()))
        .collect();
    assert_eq!(english, Vec::<String>::new(), "these have no line among the phrases of the host");
}
