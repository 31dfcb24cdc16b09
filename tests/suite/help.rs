//! Help on its three levels in both languages, and the completions.

use std::process::Command;

use phantom_module::{Effect, Lang, parameters};
use phantom_tests::{Server, read_golden_json, skip};
use serde_json::Value;

const LANGS: [(&str, Lang); 2] = [("en", Lang::En), ("tr", Lang::Tr)];

fn help(words: &[&str], lang: &str) -> String {
    let words: Vec<&str> = words.iter().chain(&["--lang", lang]).copied().collect();
    Server::bare().api(&words).text().to_owned()
}

/// The committed help texts.
fn text(table: &Value, id: &str, lang: &str) -> String {
    table[id][lang].as_str().unwrap_or_else(|| panic!("help.json has no {id}")).to_owned()
}

/// The same of an action or a parameter of a module: where several modules have one of this name, that of the module;
/// where several actions have a parameter of this name, that of the action.
fn text_of(table: &Value, module: &str, name: &str, lang: &str) -> String {
    let own = format!("{name} ({module})");
    text(table, if table.get(&own).is_some() { &own } else { name }, lang)
}

#[test]
fn program_help_shows_modules_and_answer_shape() {
    let table = read_golden_json("help.json");
    for (tag, _) in LANGS {
        let shown = help(&["--help"], tag);
        for heading in ["usage", "modules", "parameters", "options", "examples"] {
            let heading = format!("{}:", text(&table, &format!("heading.{heading}"), tag));
            assert!(shown.lines().any(|line| line == heading), "{heading}: {shown}");
        }
        for module in ["core", "dns", "ghost"] {
            let line =
                shown.lines().find(|line| line.trim_start().starts_with(&format!("{module} "))).unwrap();
            assert!(line.ends_with(&text(&table, module, tag)), "{line}");
        }
        let (root, json) = if tag == "tr" {
            ("--root DİZİN", "--json NESNE|-")
        } else {
            ("--root DIR", "--json OBJECT|-")
        };
        for option in ["--help, -h", "--version", "--compact", "--lang en|tr", root, json] {
            assert!(shown.contains(&format!("\n  {option}")), "{option}: {shown}");
        }
        for part in [
            "\"success\": true",
            "\"success\": false",
            "\"metadata\"",
            "PHANTOM_LANG",
            "PHANTOM_ROOT",
            "key=value",
        ] {
            let part = if tag == "tr" && part == "key=value" { "anahtar=değer" } else { part };
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
    let usage = Server::bare().api(&["--lang", "tr"]).err;
    assert!(usage.contains(&text(&table, "usage hint", "tr")), "{usage}");
}

#[test]
fn module_help_shows_action_summaries() {
    let table = read_golden_json("help.json");
    for (tag, _) in LANGS {
        for module in Server::bare().phantom().modules() {
            let shown = help(&["help", module.name()], tag);
            assert!(shown.starts_with(&format!(
                "phantom-api {} — {}",
                module.name(),
                text(&table, module.name(), tag)
            )));
            let lines: Vec<&str> = shown.lines().collect();
            for spec in module.specs() {
                let line = lines
                    .iter()
                    .find(|line| line.trim_start().starts_with(&format!("{} ", spec.name)))
                    .unwrap();
                assert!(line.ends_with(&text_of(&table, module.name(), spec.name, tag)), "{line}");
            }
        }
    }
}

#[test]
fn action_help_shows_parameters_example_and_codes() {
    let table = read_golden_json("help.json");
    for (tag, lang) in LANGS {
        for module in Server::bare().phantom().modules() {
            for spec in module.specs() {
                let shown = help(&[module.name(), spec.name, "--help"], tag);
                assert!(shown.contains(&text_of(&table, module.name(), spec.name, tag)), "{shown}");
                for param in parameters(&spec) {
                    let own = format!("{} ({})", param.name, spec.name);
                    let known = table.get(&own).is_some();
                    let help = text_of(&table, module.name(), if known { &own } else { &param.name }, tag);
                    let line = format!("  {:<16} {help}", param.name);
                    assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
                    let facts = shown.lines().skip_while(|shown| *shown != line).nth(1).unwrap();
                    assert!(facts.trim_start().starts_with(param.kind.expected()), "{facts}");
                    let required = text(&table, "heading.required", tag);
                    assert_eq!(facts.ends_with(&required), param.required, "{facts}");
                }
                let example = format!("phantom-api {} {} {}", module.name(), spec.name, spec.example);
                assert!(shown.contains(example.trim_end()), "{shown}");
                let codes = [
                    "MISSING_PARAMETER",
                    "INVALID_PARAMETER",
                    "PERMISSION_DENIED",
                    "NOT_INITIALIZED",
                    "CONFIG_ERROR",
                ];
                let locked = (spec.effect != Effect::Read).then_some("STATE_LOCKED");
                for code in spec.errors.iter().chain(&codes).copied().chain(locked) {
                    let never = !spec.needs_setup && code == "NOT_INITIALIZED";
                    assert_eq!(shown.contains(code), !never, "{code}: {shown}");
                }
                assert_eq!(shown.contains("STATE_LOCKED"), spec.effect != Effect::Read, "{shown}");
                let _ = lang;
            }
        }
    }
}

#[test]
fn limits_and_defaults_are_shown() {
    let shown = |action: &str| help(&["core", action, "--help"], "en");
    for (action, facts) in [
        ("list_clients", "integer; 1–4294967295; default: 1"),
        ("list_clients", "integer; 1–100000; default: 10"),
        ("latest_clients", "integer; 1–1000; default: 5"),
        ("service_logs", "integer; 1–10000; default: 50"),
        ("setup", "integer; 1–65535"),
        ("setup", "auto | kernel | embedded"),
    ] {
        assert!(shown(action).contains(facts), "{action}: {facts}: {}", shown(action));
    }
    assert!(help(&["dns", "test_dns_servers", "--help"], "en").contains("default: google.com"));
}

fn completion(shell: &str) -> String {
    Server::bare().api(&["completions", shell]).text().to_owned()
}

#[test]
fn the_shells_understand_their_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let name = format!("the_shells_understand_their_completions ({shell})");
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("completion");
        std::fs::write(&script, completion(shell)).unwrap();
        match Command::new(shell).arg("-n").arg(&script).output() {
            Err(error) => skip(&name, &format!("{shell} is not installed: {error}")),
            Ok(output) => assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}"),
        }
    }
}

#[test]
fn completions_offer_every_choice() {
    for shell in ["bash", "zsh", "fish"] {
        let script = completion(shell);
        for module in Server::bare().phantom().modules() {
            assert!(script.contains(module.name()));
            for spec in module.specs() {
                assert!(script.contains(spec.name), "{shell}: {}", spec.name);
                for param in parameters(&spec) {
                    assert!(script.contains(&format!("{}=", param.name)), "{shell}: {}", param.name);
                }
            }
        }
        for word in
            ["backend=kernel", "backend=embedded", "confirm=true", "dry_run=false", "en tr", "bash zsh fish"]
        {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

/// What bash offers behind these words, the last of which is being typed, with these characters between words.
fn offered_with(breaks: &str, words: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("completion");
    std::fs::write(&script, completion("bash")).unwrap();
    let program = format!(
        "source {}; COMP_WORDBREAKS={breaks}; COMP_WORDS=(phantom-api \"$@\"); COMP_CWORD=$#; COMP_LINE=\"${{COMP_WORDS[*]}}\"; \
         COMP_POINT=${{#COMP_LINE}}; _phantom_api; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let output = Command::new("bash").args(["--norc", "-c", &program, "bash"]).args(words).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn offered(words: &[&str]) -> Vec<String> {
    offered_with("' '", words)
}

#[test]
fn bash_completes_word_by_word() {
    assert_eq!(offered(&["c"]), ["core", "completions"]);
    assert_eq!(offered(&["dns", "s"]), ["status"]);
    assert_eq!(offered(&["core", "re"]), ["remove_client", "restart_service", "reconcile", "restore"]);
    assert_eq!(offered(&["core", "add_client", "c"]), ["client_name="]);
    assert_eq!(offered(&["core", "setup", "backend=k"]), ["backend=kernel"]);
    assert_eq!(offered(&["--lang", "t"]), ["tr"]);
    assert_eq!(offered(&["--lang", "tr", "--compact", "dns", "ge"]), ["get_dns_servers"]);
    assert_eq!(offered(&["--com"]), ["--compact"]);
    assert_eq!(offered(&["completions", "z"]), ["zsh"]);
    assert_eq!(offered(&["help", "dns", "g"]), ["get_dns_servers"]);
    assert_eq!(offered(&["core", "nope", "x"]), [""; 0]);
}

#[test]
fn bash_completes_values_split_at_equals() {
    // As bash does by default, and without the package bash-completion, which would put the parts together again.
    let divided = |words: &[&str]| offered_with("' ='", words);
    assert_eq!(divided(&["core", "setup", "backend", "=", "k"]), ["kernel"]);
    assert_eq!(divided(&["core", "setup", "backend", "="]), ["auto", "kernel", "embedded"]);
    assert_eq!(divided(&["core", "setup", "port", "=", "1", "backend", "=", "e"]), ["embedded"]);
    assert_eq!(divided(&["core", "reconcile", "dry"]), ["dry_run=true", "dry_run=false"]);
    // An option with its value in one word is no module and no action.
    assert_eq!(divided(&["--lang", "=", "tr", "dns", "ge"]), ["get_dns_servers"]);
    assert_eq!(divided(&["--root", "=", "/srv", "--compact", "co"]), ["core", "completions"]);
    assert_eq!(divided(&["--lang", "="]), ["en", "tr"]);
    assert_eq!(divided(&["--lang", "=", "t"]), ["tr"]);
    assert_eq!(divided(&["--root", "=", "/et"]), ["/etc"]);
    assert_eq!(offered(&["--lang=t"]), ["--lang=tr"]);
    assert_eq!(offered(&["--root=/et"]), ["--root=/etc"]);
    assert_eq!(offered(&["--lang=tr", "dns", "ge"]), ["get_dns_servers"]);
}
