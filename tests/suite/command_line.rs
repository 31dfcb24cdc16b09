//! The command line (`docs/contract.md`): what is written where, exit statuses, options, the order of the checks.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use phantom_api::cli::{self, Environment, Streams};
use phantom_tests::{Answer, Program, Run, Server, is_root, skip};
use serde_json::{Value, json};

use crate::cases::with_john;

/// Runs the real command on an installation that is not there.
fn real(words: &[&str]) -> Answer {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("none").display().to_string();
    let words: Vec<&str> = ["--root", &root].iter().chain(words).copied().collect();
    Program::api().run(&words)
}

#[test]
fn a_success_is_json_and_exit_0() {
    let answer = with_john().api(&["core", "list_clients"]);
    assert_eq!((answer.exit, answer.err.as_str()), (0, ""));
    assert_eq!(answer.json()["success"], true);
}

#[test]
fn a_failure_is_json_and_exit_1() {
    for words in
        [&["core", "list_clients"][..], &["nope", "x"], &["core", "nope"], &["core", "setup", "--nope"]]
    {
        let answer = real(words);
        assert_eq!((answer.exit, &answer.json()["success"]), (1, &false.into()), "{words:?}");
    }
}

#[test]
fn requested_text_is_on_stdout_with_success() {
    let texts: [&[&str]; 16] = [
        &["--help"],
        &["-h"],
        &["help"],
        &["core", "--help"],
        &["core", "-h"],
        &["help", "core"],
        &["core", "add_client", "--help"],
        &["--help", "core", "add_client"],
        &["core", "add_client", "client_name=x", "-h"],
        &["help", "dns", "status"],
        &["--version"],
        &["--version", "core", "add_client"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["--lang", "tr", "help"],
    ];
    for words in texts {
        for answer in [Server::bare().api(words), real(words)] {
            assert!(!answer.text().starts_with('{'), "{words:?}");
        }
    }
}

#[test]
fn unclear_command_gives_usage_and_exit_2() {
    let unclear: [&[&str]; 14] = [
        &[],
        &["core"],
        &["nope"],
        &["--compact"],
        &["--lang", "tr"],
        &["help", "nope"],
        &["help", "core", "nope"],
        &["nope", "--help"],
        &["core", "nope", "--help"],
        &["help", "core", "add_client", "more"],
        &["completions"],
        &["completions", "tcsh"],
        &["completions", "bash", "zsh"],
        &["service"],
    ];
    for words in unclear {
        for answer in [Server::bare().api(words), real(words)] {
            assert_eq!((answer.exit, answer.out.as_str()), (2, ""), "{words:?}: {}", answer.err);
            let usage = if words.contains(&"tr") { "Kullanım:" } else { "Usage:" };
            assert!(answer.err.starts_with(usage), "{words:?}: {}", answer.err);
        }
    }
}

#[test]
fn the_version_names_program_and_api() {
    let text = real(&["--version"]).out;
    let version =
        text.strip_prefix("phantom-api ").and_then(|rest| rest.strip_suffix(" (core-v1)\n")).unwrap();
    let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 3, "{version}");
}

#[test]
fn options_are_accepted_anywhere_in_both_forms() {
    let server = with_john();
    let expected = server.api(&["core", "latest_clients", "count=1", "--compact", "--lang", "tr"]);
    assert_eq!(expected.out.lines().count(), 1);
    let forms: [&[&str]; 5] = [
        &["--compact", "--lang=tr", "core", "latest_clients", "count=1"],
        &["core", "--compact", "latest_clients", "--lang", "tr", "count=1"],
        &["--lang", "tr", "core", "latest_clients", "--compact", "count=1"],
        &["core", "latest_clients", "--lang=tr", "--json={\"count\":1}", "--compact"],
        &["core", "latest_clients", "--json", "{\"count\":\"1\"}", "--compact", "--lang=tr"],
    ];
    for words in forms {
        assert_eq!(server.api(words).out, expected.out, "{words:?}");
    }
}

#[test]
fn two_roots_are_two_installations() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let call = |words: &[&str], root: Option<&std::path::Path>| {
        let env = root.map(|root| vec![("PHANTOM_ROOT".to_owned(), root.as_os_str().to_owned())]);
        Program::api().run_as(words, &Run { env: env.unwrap_or_default(), ..Run::default() })
    };
    if !is_root() {
        return skip("two_roots_are_two_installations", "the actions need root");
    }
    // A file in the place of the database tells which root was asked.
    std::fs::create_dir(one.path().join("data")).unwrap();
    std::fs::write(one.path().join("data/phantom.db"), "not a database").unwrap();
    let root = one.path().display().to_string();
    let words = ["core", "list_clients"];
    assert_eq!(call(&words, Some(other.path())).code(), "NOT_INITIALIZED");
    assert_eq!(call(&words, Some(one.path())).code(), "CONFIG_ERROR");
    let answer = call(&["core", "list_clients", "--root", &root], Some(other.path()));
    assert_eq!(answer.code(), "CONFIG_ERROR", "the option counts more than the variable");
    assert_eq!(answer.json()["data"]["file"], format!("{root}/data/phantom.db"));
    assert_eq!(std::fs::read_to_string(one.path().join("data/phantom.db")).unwrap(), "not a database");
}

/// Every kind of violation, in the order of the checks; each call has this one and all that come later.
#[test]
fn first_violation_in_order_is_reported() {
    let calls: [(&str, &[&str], &str); 8] = [
        ("module", &["nope", "nope", "--bad", "word", "x=1", "page=no"], "MODULE_NOT_FOUND"),
        ("action", &["core", "nope", "--bad", "word", "x=1", "page=no"], "ACTION_NOT_FOUND"),
        (
            "form: option",
            &["core", "change_subnet", "--bad", "word", "x=1", "confirm=2"],
            "INVALID_PARAMETER",
        ),
        ("form: word", &["core", "change_subnet", "word", "x=1", "confirm=2"], "INVALID_PARAMETER"),
        ("names", &["core", "change_subnet", "x=1", "confirm=2"], "INVALID_PARAMETER"),
        ("missing", &["core", "change_subnet", "confirm=2"], "MISSING_PARAMETER"),
        ("types", &["core", "change_subnet", "confirm=2", "new_subnet=10.9.0.0/24"], "INVALID_PARAMETER"),
        ("privilege", &["core", "change_subnet", "new_subnet=10.9.0.0/24"], "PERMISSION_DENIED"),
    ];
    let parameters = ["", "", "--bad", "word", "x", "new_subnet", "confirm", ""];
    let mut server = Server::bare();
    server.host.privileged = false;
    for ((check, words, code), parameter) in calls.into_iter().zip(parameters) {
        let answer = server.api(words).failed(code);
        let named = answer["data"]["parameter"].as_str().unwrap_or_default();
        assert_eq!(named, parameter, "{check}: {answer}");
    }
    // Not initialised comes before the lock, and the lock before the action's own rules.
    server.host.privileged = true;
    server.api(&["core", "change_subnet", "new_subnet=10.9.0.0/24"]).failed("NOT_INITIALIZED");
    let server = Server::ready();
    server.api(&["core", "change_subnet", "new_subnet=10.9.0.0/24"]).failed("VALIDATION_ERROR");
}

#[test]
fn every_action_needs_root_and_initialisation() {
    let mut denied = Server::ready();
    denied.host.privileged = false;
    let bare = Server::bare();
    for (module, action, example, needs_setup) in actions(&bare) {
        let words: Vec<String> =
            [module, action].into_iter().chain(example.split_whitespace()).map(str::to_owned).collect();
        let run = |server: &Server| server.run(words.iter().map(Into::into).collect());
        run(&denied).failed("PERMISSION_DENIED");
        assert_eq!(
            needs_setup,
            ![("core", "setup"), ("core", "doctor"), ("core", "restore")].contains(&(module, action))
        );
        if needs_setup {
            let answer = run(&bare).failed("NOT_INITIALIZED");
            assert_eq!(answer["data"]["hint"], "phantom-api core setup");
        }
    }
}

fn actions(server: &Server) -> Vec<(&'static str, &'static str, &'static str, bool)> {
    let phantom = server.phantom();
    let of = |module: &std::sync::Arc<dyn phantom_module::Module>| {
        let name = module.name();
        let row = move |spec: phantom_module::Spec| (name, spec.name, spec.example, spec.needs_setup);
        module.specs().into_iter().map(row).collect::<Vec<_>>()
    };
    phantom.modules().iter().flat_map(of).collect()
}

#[test]
fn the_real_command_denies_everybody_but_root() {
    if !is_root() {
        return skip("the_real_command_denies_everybody_but_root", "only root can become nobody");
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = Program::api().copied_to(dir.path());
    let nobody = Run { as_nobody: true, ..Run::default() };
    for (module, action, example, _) in actions(&Server::bare()) {
        let words = [module, action].into_iter().chain(example.split_whitespace());
        let words: Vec<&str> = words.chain(["--root", "/nowhere/phantom-wg"]).collect();
        let answer = program.run_as(&words, &nobody).failed("PERMISSION_DENIED");
        assert_eq!(answer["data"], json!({ "reason": "INSUFFICIENT_PRIVILEGES", "required": "root" }));
    }
    for words in [&["--help"][..], &["--version"], &["completions", "fish"], &["help", "core", "setup"]] {
        program.run_as(words, &nobody).text();
    }
}

#[test]
fn the_metadata_name_what_was_typed() {
    let answer = real(&["Nöpe", "Ação"]).failed("MODULE_NOT_FOUND");
    assert_eq!(
        (&answer["metadata"]["module"], &answer["metadata"]["action"]),
        (&"Nöpe".into(), &"Ação".into())
    );
    assert_eq!(answer["metadata"]["version"], "core-v1");
    let mut value = answer["metadata"]["timestamp"].clone();
    phantom_tests::redact(&mut value);
    assert_eq!(value, "<time>Z");
}

#[test]
fn non_ascii_characters_are_written_as_is() {
    let answer = with_john().api(&["core", "add_client", "client_name=çocuk", "--lang", "tr"]);
    assert!(answer.out.contains("'çocuk' istemci adı geçersiz karakterler içeriyor"), "{}", answer.out);
    assert!(!answer.out.contains("\\u"), "{}", answer.out);
}

#[test]
fn non_utf8_argument_is_refused_with_json() {
    let words = |tail: &[u8]| {
        let tail = OsString::from_vec(tail.to_vec());
        vec![OsString::from("core"), "add_client".into(), tail]
    };
    let answer = Program::api().run(&words(b"client_name=\xff\xfe"));
    let answer = answer.failed("INVALID_PARAMETER");
    assert_eq!(answer["data"]["parameter"], "client_name=\u{fffd}\u{fffd}");
    assert_eq!(Server::ready().run(words(b"\xff=x")).code(), "INVALID_PARAMETER");
}

/// A standard output without room.
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How a call ends whose answer cannot be written, and what it says on standard error.
fn unwritten(server: &Server, words: &[&str]) -> (u8, String) {
    let mut err = Vec::new();
    let mut streams = Streams { out: &mut Full, err: &mut err };
    let words = words.iter().map(OsString::from).collect();
    let exit = cli::main(words, &Environment::default(), &mut streams, |_| (), |_| server.phantom());
    (exit.into(), String::from_utf8(err).unwrap())
}

#[test]
fn unwritable_answer_is_no_success() {
    let server = with_john();
    let lost = "the answer could not be written completely";
    let (exit, said) = unwritten(&server, &["core", "list_clients"]);
    assert_eq!((exit, said.contains(lost)), (3, true), "{said}");
    // A script that asks again would make the change twice.
    let (exit, said) = unwritten(&server, &["core", "add_client", "client_name=anna"]);
    assert_eq!((exit, said.contains("the change is made, but its answer")), (3, true), "{said}");
    assert_eq!(server.api(&["core", "list_clients"]).ok()["total"], 2);
    let (exit, said) = unwritten(&server, &["core", "add_client", "client_name=anna", "--lang", "tr"]);
    assert_eq!((exit, said.contains("yanıtın tamamı yazılamadı")), (1, true), "a failure stays one: {said}");
    for words in [&["--help"][..], &["--version"], &["help", "core"], &["completions", "bash"]] {
        let (exit, said) = unwritten(&server, words);
        assert_eq!(
            (exit, said.contains("the text could not be written completely")),
            (3, true),
            "{words:?}: {said}"
        );
    }
}

#[test]
fn real_command_reports_a_full_device() {
    let mut call = std::process::Command::new(Program::api().path());
    call.args(["core", "doctor", "--root", "/nowhere/phantom-wg"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = call.stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("could not be written completely"), "{said}");
    assert!(matches!(output.status.code(), Some(1 | 3)), "{output:?}");
}

#[test]
fn closed_output_is_no_reason_to_complain() {
    let script = "set -o pipefail; \"$0\" --help | head -c 1 >/dev/null; \"$0\" core list_clients --root /nowhere/x >&-; echo $?";
    let output =
        std::process::Command::new("bash").arg("-c").arg(script).arg(Program::api().path()).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    assert!(output.status.code().is_some_and(|code| code < 3), "{output:?}");
}

#[test]
fn finding_something_broken_is_a_success() {
    let server = Server::ready();
    let dns = server.api(&["dns", "test_dns_servers"]);
    assert_eq!((dns.exit, &dns.ok()["all_passed"]), (0, &false.into()));
    let subnet = server.api(&["core", "validate_subnet_change", "new_subnet=8.8.8.0/30"]);
    assert_eq!((subnet.exit, &subnet.ok()["valid"]), (0, &false.into()));
}

#[test]
fn causes_are_on_stderr_for_unexpected_failures() {
    let server = with_john();
    assert_eq!(server.api(&["core", "remove_client", "client_name=nobody"]).err, "");
    server.fake.refuse_write(1);
    let answer = server.api(&["core", "add_client", "client_name=x"]);
    assert!(answer.err.starts_with("phantom-api: SERVICE_OPERATION_FAILED: "), "{}", answer.err);
    let detail = answer.json()["data"]["detail"].clone();
    assert_ne!(detail, Value::Null);
}
