//! The help of every program tells everything that it accepts, and nothing else: its options and variables are read out of the
//! sources of its parser and held against what it prints.

use std::collections::BTreeSet;
use std::path::Path;

use phantom_tests::{Program, Run, Server};

/// A program: its name, what is put before `--help` (one call for each), whether it speaks both languages, and the sources in
/// which its words are understood.
struct Spoken {
    name: &'static str,
    calls: &'static [&'static [&'static str]],
    languages: bool,
    sources: &'static [&'static str],
}

const PROGRAMS: [Spoken; 9] = [
    Spoken {
        name: "phantom-api",
        calls: &[&[]],
        languages: true,
        sources: &[
            "phantom-api/src/cli/args.rs",
            "phantom-api/src/cli.rs",
            "phantom-api/src/bin/phantom-api.rs",
        ],
    },
    Spoken {
        name: "phantom-casper",
        calls: &[&[]],
        languages: true,
        sources: &["phantom-casper/src/command.rs", "phantom-casper/src/bin/phantom-casper.rs"],
    },
    Spoken {
        name: "phantom-casper-ios",
        calls: &[&[]],
        languages: true,
        sources: &["phantom-casper/src/command.rs", "phantom-casper/src/bin/phantom-casper-ios.rs"],
    },
    Spoken {
        name: "phantom-wg",
        calls: &[&[]],
        languages: true,
        sources: &[
            "phantom-cli/src/options.rs",
            "phantom-cli/src/shell.rs",
            "phantom-cli/src/bin/phantom-wg.rs",
        ],
    },
    Spoken {
        name: "factory-reset",
        calls: &[&[]],
        languages: true,
        sources: &["factory-reset/src/command.rs", "factory-reset/src/bin/factory-reset.rs"],
    },
    Spoken {
        name: "phantom-ghost",
        calls: &[
            &[],
            &["serve"],
            &["keep"],
            &["ports"],
            &["pages"],
            &["issue"],
            &["inspect"],
            &["share"],
            &["self-sign"],
            &["connect"],
            &["verify"],
            &["probe"],
        ],
        languages: true,
        sources: &[
            "phantom-ghost/tunnel/src/cli.rs",
            "phantom-ghost/tunnel/src/cli",
            "phantom-ghost/tunnel/src/client",
            "phantom-ghost/tunnel/src/verify.rs",
            "phantom-ghost/tunnel/src/probe.rs",
        ],
    },
    Spoken {
        name: "phantom-multihop",
        calls: &[&[]],
        languages: false,
        sources: &["phantom-multihop/src/bin/phantom-multihop.rs"],
    },
    Spoken {
        name: "phantom-watch",
        calls: &[&[]],
        languages: false,
        sources: &["phantom-watch/src/bin/phantom-watch.rs"],
    },
    Spoken {
        name: "phantom-wg-device",
        calls: &[&[]],
        languages: false,
        sources: &["foundation/device/src/bin/phantom-wg-device.rs"],
    },
];

/// What systemd and WireGuard's programs tell a service, which nobody types.
const NOT_TYPED: [&str; 1] = ["SERVICE_RESULT"];

/// The sources of a file or of a folder, without their tests.
fn sources(path: &Path) -> String {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        return entries.filter(|path| !path.ends_with("tests.rs")).map(|path| sources(&path)).collect();
    }
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// Whether a text is an option and nothing more: `--json`, `-h`, `--`.
fn is_option(text: &str) -> bool {
    let Some(name) = text.strip_prefix('-') else { return false };
    let name = name.strip_prefix('-').unwrap_or(name);
    text == "--"
        || (!name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphabetic() || letter == '-'))
}

/// The literals of a source.
fn literals(source: &str) -> impl Iterator<Item = &str> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split('"').skip(1).step_by(2))
}

/// The options that a parser knows.
fn understood(source: &str) -> BTreeSet<String> {
    literals(source).filter(|text| is_option(text)).map(str::to_owned).collect()
}

/// The variables that a program asks its environment for.
fn asked(source: &str) -> BTreeSet<String> {
    let variables = source.split("var").filter_map(|rest| {
        let rest = rest.strip_prefix("_os").unwrap_or(rest).strip_prefix("(\"")?;
        rest.split('"').next()
    });
    variables.filter(|name| !NOT_TYPED.contains(name)).map(str::to_owned).collect()
}

/// The words of a help text that look like options.
fn told(help: &str) -> BTreeSet<String> {
    let word = |letter: char| letter.is_ascii_alphabetic() || letter == '-';
    let words = help.split(|letter: char| !word(letter));
    words.filter(|text| text.starts_with('-') && is_option(text)).map(str::to_owned).collect()
}

#[test]
fn help_of_every_program_is_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for Spoken { name, calls, languages, sources: files } in PROGRAMS {
        let source: String = files.iter().map(|file| sources(&root.join(file))).collect();
        let (options, variables) = (understood(&source), asked(&source));
        assert!(options.contains("--help") && options.len() > 1, "{name}: {options:?}");
        for lang in if languages { &["en", "tr"][..] } else { &["en"] } {
            let how = Run { env: vec![("PHANTOM_LANG".to_owned(), lang.into())], ..Run::default() };
            let help: String = calls
                .iter()
                .map(|call| {
                    let said = Program::named(name).run_as(&[call, &["--help"][..]].concat(), &how);
                    assert_eq!((said.exit, said.err.as_str()), (0, ""), "{name} {call:?} --help");
                    said.out
                })
                .collect();
            let told = told(&help);
            let missing: Vec<_> = options.difference(&told).collect();
            assert!(
                missing.is_empty(),
                "{name} accepts what its help ({lang}) does not tell: {missing:?}\n{help}"
            );
            let unknown: Vec<_> = told.difference(&options).collect();
            assert!(
                unknown.is_empty(),
                "the help of {name} ({lang}) tells what it does not accept: {unknown:?}\n{help}"
            );
            for variable in &variables {
                assert!(help.contains(variable.as_str()), "{name} ({lang}): {variable}\n{help}");
            }
        }
    }
}

#[test]
fn every_verb_of_a_service_is_told() {
    let help = Program::api().run(&["--help"]).out;
    let line =
        help.lines().find(|line| line.contains("phantom-api service ")).unwrap_or_else(|| panic!("{help}"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = sources(&root.join("phantom-api/src/cli/args.rs"));
    let verbs = source.lines().filter(|line| line.contains("verb == \"") || line.contains("matches!(verb"));
    let own = verbs.flat_map(literals).filter(|verb| *verb != "service").map(str::to_owned);
    // And what modules do for their services.
    let phantom = Server::bare().phantom();
    let verbs: BTreeSet<String> = own.chain(phantom.engine().hook_verbs().map(str::to_owned)).collect();
    assert!(verbs.len() >= 7, "{verbs:?}");
    for verb in verbs {
        assert!(line.split(['|', ' ']).any(|word| word == verb), "{verb}: {line}");
    }
}

#[test]
fn whole_number_has_any_json_form() {
    let server = Server::ready();
    for name in ["a", "b", "c"] {
        server.api(&["core", "add_client", &format!("client_name={name}")]).ok();
    }
    let listed = |json: &str| server.api(&["core", "list_clients", "--json", json]);
    let page = |json: &str| listed(json).ok()["clients"].as_array().unwrap().len();
    for json in [
        "{\"page\": 2, \"per_page\": 2}",
        "{\"page\": 2.0, \"per_page\": 2e0}",
        "{\"page\": 0.2e1, \"per_page\": 20e-1}",
    ] {
        assert_eq!(page(json), 1, "{json}");
    }
    for json in ["{\"page\": 1.5}", "{\"page\": 0.0}", "{\"page\": 1e40}", "{\"page\": \"2.0\"}"] {
        let refused = listed(json).failed("INVALID_PARAMETER");
        assert_eq!(refused["data"]["parameter"], "page", "{json}");
    }
    assert_eq!(server.api(&["core", "reconcile", "--json", "{\"dry_run\": 1.0}"]).ok()["dry_run"], true);
}
