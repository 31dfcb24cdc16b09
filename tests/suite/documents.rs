//! The documents for users: every command in them is one, both languages say the same, and every link leads somewhere.

use std::collections::{BTreeMap, BTreeSet};

use phantom_cli::options::CliOptions;
use phantom_tests::{Document, Program, Server, calls, read_golden_json, repository};

/// The programs of the system, and the tasks of a checkout.
const PROGRAMS: [&str; 7] = [
    "phantom-api",
    "phantom-wg",
    "phantom-casper",
    "phantom-casper-ios",
    "phantom-ghost",
    "factory-reset",
    "cargo",
];

/// Where the commands of a block belong; `sh` alone is the server.
const PLACES: [&str; 10] = [
    "sh",
    "sh client",
    "sh internet",
    "sh elsewhere",
    "sh restore",
    "sh restored",
    "sh tests",
    "sh packages",
    "sh compiler",
    "text",
];

fn manual(lang: &str) -> Vec<Document> {
    Document::all_in(&format!("docs/{lang}"))
}

/// Everything that is written for users.
fn all() -> Vec<Document> {
    let single = [
        "README.md",
        "docs/ghost.md",
        "docs/multihop.md",
        "docs/factory-reset.md",
        "docs/phantom-wg.md",
        "docs/packages.md",
        "docs/contract.md",
    ];
    single.into_iter().map(Document::read).chain(manual("en")).chain(manual("tr")).collect()
}

/// Every call of one of our programs in a document.
fn commands(document: &Document) -> Vec<Vec<String>> {
    let blocks = document.blocks().into_iter().filter(|block| block.info.starts_with("sh"));
    let lines = blocks.flat_map(|block| block.commands()).chain(document.inline()).chain(document.indented());
    // A span with a placeholder speaks of a form.
    let lines = lines.filter(|line| !line.contains(['…', '<', '[', '{']));
    lines
        .flat_map(|line| calls(&line, &PROGRAMS))
        .filter(|words| words.len() > 1 && (words[0] != "cargo" || words[1] == "xtask"))
        .collect()
}

#[test]
fn every_documented_command_exists() {
    let (mut complaints, mut seen) = (Vec::new(), BTreeSet::new());
    for document in all() {
        for words in commands(&document) {
            if !seen.insert(words.clone()) {
                continue;
            }
            if let Err(complaint) = known(&words) {
                complaints.push(format!("{}: {}: {complaint}", document.path.display(), words.join(" ")));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    for program in PROGRAMS {
        let any = seen.iter().any(|words| words[0] == program);
        assert!(any || ["phantom-wg", "phantom-casper-ios"].contains(&program), "no command calls {program}");
    }
    assert!(seen.len() > 50, "only {} commands were found", seen.len());
}

/// Whether a program knows these words.
fn known(words: &[String]) -> Result<(), String> {
    let rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    match words[0].as_str() {
        "phantom-api" => known_to_the_api(&rest),
        "phantom-wg" => CliOptions::parse(rest.iter().map(Into::into)).map(drop),
        "phantom-ghost" => options_in(&rest[1..], &help(&["phantom-ghost", rest[0]])),
        "cargo" => {
            let tasks = std::fs::read_to_string(repository().join("xtask/src/main.rs")).unwrap();
            let task = rest.get(1).copied().unwrap_or_default();
            if tasks.contains(&format!("\"{task}\" => ")) {
                return options_in(rest.get(2..).unwrap_or_default(), &tasks);
            }
            Err("there is no such task".to_owned())
        }
        program => options_in(&rest, &help(&[program])),
    }
}

/// What a program says of itself.
fn help(words: &[&str]) -> String {
    let words: Vec<&str> = words.iter().copied().chain(["--help"]).collect();
    Program::named(words[0]).run(&words[1..]).text().to_owned()
}

/// Words that a server without a setup understands as far as it can: everything but the state is looked at before the
/// state is.
fn known_to_the_api(words: &[&str]) -> Result<(), String> {
    let bare = Server::bare();
    let answer = bare.api(words);
    if words.iter().any(|word| ["--help", "-h", "help", "--version", "completions"].contains(word)) {
        return if answer.exit == 0 { Ok(()) } else { Err(answer.err) };
    }
    let answer = if words.contains(&"update_tweak_setting") { Server::ready().api(words) } else { answer };
    let Ok(value) = serde_json::from_str::<serde_json::Value>(&answer.out) else { return Err(answer.err) };
    match value["code"].as_str() {
        None | Some("NOT_INITIALIZED") => Ok(()),
        // The one thing that setup cannot know.
        Some("MISSING_PARAMETER") if value["data"]["parameter"] == "server_ip" => Ok(()),
        // The backup that a page made before.
        Some("CONFIG_ERROR") if words.contains(&"restore") => Ok(()),
        Some(code) => Err(format!("{code}: {}", value["error"])),
    }
}

/// That a help names the options among the words.
fn options_in(words: &[&str], help: &str) -> Result<(), String> {
    let known: BTreeSet<&str> =
        help.split(|letter: char| !(letter.is_alphanumeric() || letter == '-')).chain(["--help"]).collect();
    let options = words.iter().filter(|word| word.starts_with('-'));
    let names = options.map(|word| word.split('=').next().unwrap_or(word));
    let unknown: Vec<&str> = names.filter(|name| !known.contains(*name)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(format!("unknown: {}", unknown.join(", "))) }
}

#[test]
fn a_wrong_command_would_be_found() {
    for wrong in [
        "phantom-api core add_clients client_name=x",
        "phantom-api cor add_client client_name=x",
        "phantom-api core add_client name=x",
        "phantom-api core add_client",
        "phantom-api core list_clients page=many",
        "phantom-api core update_tweak_setting setting_name=speed value=true",
        "for n in 1 2; do phantom-api core add_client client=office-$n; done",
        "phantom-wg --colour",
        "phantom-casper --out FILE john",
        "phantom-ghost connect --secrets x",
        "sudo /opt/phantom-wg/phantom/factory-reset.sh --force",
        "cargo xtask walk-away",
    ] {
        let found = calls(wrong, &PROGRAMS);
        assert_eq!(found.len(), 1, "{wrong}");
        assert!(known(&found[0]).is_err(), "{wrong}");
    }
    assert_eq!(calls("tar -C /opt -czf x.tar.gz phantom-wg", &PROGRAMS).len(), 0);
    assert_eq!(calls("for x in $(phantom-api a b | jq .); do phantom-api c d > f; done", &PROGRAMS).len(), 2);
}

#[test]
fn both_languages_have_the_same_pages() {
    let (english, turkish) = (manual("en"), manual("tr"));
    let names = |documents: &[Document]| -> Vec<_> {
        documents.iter().map(|document| document.path.file_name().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&english), names(&turkish));
    for (one, other) in english.iter().zip(&turkish) {
        let name = one.path.display();
        let blocks = |document: &Document| -> Vec<_> {
            document.blocks().iter().map(|block| (block.info.clone(), block.commands())).collect()
        };
        assert_eq!(blocks(one), blocks(other), "{name}: the blocks");
        for (info, _) in blocks(one) {
            assert!(PLACES.contains(&info.as_str()), "{name}: what is {info:?}?");
        }
        let inline = |document: &Document| {
            let mut calls: Vec<_> = commands(document);
            calls.sort();
            calls
        };
        assert_eq!(inline(one), inline(other), "{name}: the commands in the sentences");
        let shape = |document: &Document| -> Vec<usize> {
            let text = document.prose();
            let counts = ["## ", "### ", "| ", "* ", "1. ", "!["];
            counts.map(|begin| text.lines().filter(|line| line.starts_with(begin)).count()).to_vec()
        };
        assert_eq!(shape(one), shape(other), "{name}: headings, rows, points, pictures");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let more = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/adding-a-module.md",
        "docs/adding-an-action.md",
        "docs/glossary.md",
        "docs/locks.md",
        "docs/performance.md",
    ]
    .map(Document::read);
    let documents: Vec<Document> = all().into_iter().chain(more).collect();
    let mut complaints = Vec::new();
    let files = std::fs::read_dir(repository().join("docs/pictures")).unwrap();
    let mut unseen: BTreeSet<_> = files.map(|file| file.unwrap().file_name()).collect();
    for document in &documents {
        let text = document.prose();
        for piece in text.split("](").skip(1) {
            let target = piece.split(')').next().unwrap_or_default();
            if target.starts_with("https://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = document.path.parent().unwrap();
            let path = if path.is_empty() { document.path.clone() } else { folder.join(path) };
            let file = repository().join(&path);
            unseen.remove(path.file_name().unwrap_or_default());
            let there = file.is_file() && (anchor.is_empty() || anchors(&file).contains(anchor));
            if !there {
                complaints.push(format!("{}: {target}", document.path.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(unseen.is_empty(), "no document shows {unseen:?}");
}

/// The anchors of a document's headings, as code hosts make them.
fn anchors(file: &std::path::Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_code_and_check_is_explained() {
    let codes = read_golden_json("codes.json");
    let codes: Vec<&str> =
        codes["codes"].as_array().unwrap().iter().filter_map(|code| code.as_str()).collect();
    let checks = Server::ready().api(&["core", "doctor"]).ok();
    let checks: Vec<&str> =
        checks["checks"].as_array().unwrap().iter().filter_map(|check| check["name"].as_str()).collect();
    assert!(codes.len() > 20 && checks.len() > 15, "{codes:?} {checks:?}");
    for lang in ["en", "tr"] {
        let page = Document::read(&format!("docs/{lang}/trouble.md"));
        // By the first column of the tables; each of them in one row.
        let mut rows: BTreeMap<String, usize> = BTreeMap::new();
        for line in page.text.lines().filter_map(|line| line.strip_prefix("| `")) {
            let cell = line.split(" |").next().unwrap_or_default();
            for name in cell.split('`').step_by(2).filter(|name| !name.is_empty()) {
                *rows.entry(name.to_owned()).or_default() += 1;
            }
        }
        for name in codes.iter().chain(&checks) {
            assert_eq!(rows.get(*name), Some(&1), "{lang}: {name}");
        }
        assert_eq!(rows.len(), codes.len() + checks.len(), "{lang}: {rows:?}");
    }
}

#[test]
fn the_contract_names_every_error_code() {
    let contract = Document::read("docs/contract.md").text;
    let section = contract.split("\n## ").find(|section| section.starts_with("Error codes\n")).unwrap();
    let rows: Vec<&str> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let codes = read_golden_json("codes.json");
    let names = |list: &str| -> Vec<String> {
        codes[list].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(rows, names("codes"));
    for reserved in names("reserved") {
        assert!(section.contains(&format!("`{reserved}`")), "{reserved}");
    }
}
