//! Every code of `docs/contract.md`, "Error codes", that the modules and the command can raise: provoked,
//! with its data and both texts.

mod collisions;
mod ghost;
mod later;
mod multihop;
mod servers;
mod words;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use phantom_tests::{Server, Texts, differences};
use serde_json::{Value, json};

use crate::cases::with_john;
pub(crate) use collisions::COLLISIONS;
pub(crate) use ghost::GHOST;
pub(crate) use later::{HOST, STATE};
pub(crate) use multihop::MULTIHOP;
pub(crate) use servers::with_multihop;
pub(crate) use words::WORDS;

/// A call that fails.
pub(crate) struct Failing {
    /// Its text in `tests/golden/texts.json`, which begins with the code where that has one text only.
    pub(crate) text: &'static str,
    pub(crate) words: &'static [&'static str],
    pub(crate) server: fn() -> Server,
    /// The whole `data`; the text `<any>` stands for any text. Null: there is none.
    pub(crate) data: fn() -> Value,
}

impl Failing {
    /// The code: the first word of the text's id.
    fn code(&self) -> &'static str {
        self.text.split(' ').next().unwrap()
    }
}

const fn failing(
    text: &'static str,
    words: &'static [&'static str],
    server: fn() -> Server,
    data: fn() -> Value,
) -> Failing {
    Failing { text, words, server, data }
}

const ADD: &[&str] = &["core", "add_client", "client_name=new"];
const CHANGE: &[&str] = &["core", "change_subnet", "new_subnet=192.168.100.0/24", "confirm=true"];

fn all() -> impl Iterator<Item = &'static Failing> {
    WORDS.iter().chain(STATE).chain(GHOST).chain(MULTIHOP).chain(COLLISIONS).chain(HOST)
}

#[test]
fn every_error_has_code_data_and_texts() {
    let texts = Texts::read();
    let mut wrong = Vec::new();
    for case in all() {
        let call = |lang| {
            let server = (case.server)();
            let words: Vec<&str> = case.words.iter().chain(&["--lang", lang]).copied().collect();
            // The option itself is what is wrong with one of them.
            let words = if case.words.contains(&"--lang") { case.words.to_vec() } else { words };
            server.plain(&server.api(&words)).failed(case.code())
        };
        let (en, tr) = (call("en"), call(if case.words.contains(&"--lang") { "en" } else { "tr" }));
        let expected = (case.data)();
        let mut actual = en.get("data").cloned().unwrap_or_default();
        blank_as(&expected, &mut actual);
        let found = differences(&expected, &actual, &[]);
        wrong.extend(found.into_iter().map(|line| format!("{:?}: data: {line}", case.words)));
        let message = |answer: &Value| answer["error"].as_str().unwrap().to_owned();
        if !case.words.contains(&"--lang") && !texts.ids_of(&message(&en), &message(&tr)).contains(&case.text)
        {
            wrong.push(format!(
                "{:?}: not the texts of '{}':\n  {}\n  {}",
                case.words,
                case.text,
                message(&en),
                message(&tr)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Puts `<any>` in the place of the texts that may be any.
fn blank_as(expected: &Value, actual: &mut Value) {
    let Some(map) = expected.as_object() else { return };
    for (key, _) in map.iter().filter(|(_, value)| *value == "<any>") {
        if actual[key].as_str().is_some_and(|text| !text.is_empty()) {
            actual[key] = "<any>".into();
        }
    }
}

/// Provoked by a test of its own, since somebody has to hold the lock meanwhile.
const LOCKED: &str = "STATE_LOCKED";

#[test]
fn every_code_of_chapter_3_is_provoked() {
    let provoked: BTreeSet<&str> = all().map(Failing::code).chain([LOCKED]).collect();
    let codes = phantom_tests::read_golden_json("codes.json");
    let expected: BTreeSet<&str> =
        codes["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(provoked, expected);
}

#[test]
fn change_gives_up_lock_after_its_patience() {
    let mut server = Server::ready();
    server.lock_wait = Some(Duration::from_secs(1));
    let before = server.dump();
    let lock = server.store().lock(Duration::ZERO).unwrap();
    let begin = Instant::now();
    let (en, tr) = std::thread::scope(|scope| {
        let call = |lang| {
            server.api(&["--lang", lang, "core", "add_client", "client_name=x"]).failed("STATE_LOCKED")
        };
        let other = scope.spawn(|| second(&server));
        (call("en"), other.join().unwrap())
    });
    let most = begin.elapsed().as_secs();
    drop(lock);
    for answer in [&en, &tr] {
        let waited = &answer["data"]["waited_seconds"];
        assert_eq!(answer["data"], json!({ "waited_seconds": waited, "holder_pid": std::process::id() }));
        assert!(waited.as_u64().is_some_and(|waited| (1..=most).contains(&waited)), "{answer}");
    }
    // One of the two may have found out a second later than the other.
    let message = |answer: &Value| {
        let waited = format!(" {} ", answer["data"]["waited_seconds"]);
        answer["error"].as_str().unwrap().replace(&waited, " 1 ")
    };
    assert!(Texts::read().ids_of(&message(&en), &message(&tr)).contains(&"STATE_LOCKED"), "{en} {tr}");
    assert_eq!(server.dump(), before);
    server.api(ADD).ok();
}

fn second(server: &Server) -> Value {
    server.api(&["--lang", "tr", "core", "add_client", "client_name=x"]).failed("STATE_LOCKED")
}

#[test]
fn default_lock_wait_is_half_a_minute() {
    let server = Server::bare();
    assert_eq!(server.lock_wait, None);
    assert_eq!(server.phantom().engine().lock_wait(), Duration::from_secs(30));
}

#[test]
fn a_reader_needs_no_lock() {
    let server = with_john();
    let _lock = server.store().lock(Duration::ZERO).unwrap();
    for action in ["list_clients", "server_status", "get_subnet_info"] {
        server.api(&["core", action]).ok();
    }
    assert_eq!(server.api(&["core", "reconcile", "dry_run=true"]).ok()["in_sync"], true);
}

#[test]
fn reconcile_names_failed_step_keeps_earlier_ones() {
    for (lang, detail) in [("en", "Add missing address"), ("tr", "Eksik adresi ekle")] {
        let server = with_john();
        server.fake.take_address("wg_main", "10.8.0.1/24".parse().unwrap()).unwrap();
        server.fake.set_sysctl("net.ipv4.ip_forward", Some("0"));
        server.fake.refuse_write(2);
        let answer = server.api(&["core", "reconcile", "--lang", lang]).failed("SERVICE_OPERATION_FAILED");
        let data = &answer["data"];
        assert_eq!((&data["operation"], &data["rolled_back"]), (&"reconcile".into(), &false.into()));
        assert!(data["detail"].as_str().is_some_and(|text| !text.is_empty()));
        let steps: Vec<_> =
            data["steps"].as_array().unwrap().iter().map(|step| (&step["kind"], &step["result"])).collect();
        let of = |kind: &str, result: &str| (json!(kind), json!(result));
        let steps: Vec<_> = steps.into_iter().map(|(kind, result)| (kind.clone(), result.clone())).collect();
        assert_eq!(steps, [of("sysctl", "applied"), of("address", "failed")], "{data:#}");
        assert_eq!(data["steps"][1]["detail"], detail);
        let plan = server.api(&["core", "reconcile"]).ok();
        assert_eq!(plan["steps"].as_array().unwrap().len(), 1, "the first step stayed: {plan:#}");
        server.assert_in_sync();
    }
}
