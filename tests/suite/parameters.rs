//! Parameters: the kinds in both forms, and the JSON object inline and on standard input.

use phantom_tests::{Answer, Program, Run, Server, is_root, skip};
use serde_json::{Value, json};

use crate::cases::with_john;

/// Calls an action with one parameter as a word.
fn word(server: &Server, action: &str, parameter: &str, value: &str) -> Answer {
    server.action("core", action, &[format!("{parameter}={value}")])
}

/// The same with a JSON value.
fn object(server: &Server, action: &str, parameter: &str, value: &Value) -> Answer {
    server.api(&["core", action, "--json", &json!({ parameter: value }).to_string()])
}

#[test]
fn booleans_have_words_and_json_forms() {
    let server = Server::ready();
    let dry = |answer: &Answer| answer.ok()["dry_run"].as_bool().unwrap();
    for (yes, no) in
        [("true", "false"), ("1", "0"), ("yes", "no"), ("on", "off"), ("TRUE", "False"), ("Yes", "nO")]
    {
        assert!(dry(&word(&server, "reconcile", "dry_run", yes)), "{yes}");
        assert!(!dry(&word(&server, "reconcile", "dry_run", no)), "{no}");
        assert!(dry(&object(&server, "reconcile", "dry_run", &yes.into())), "{yes}");
    }
    for (value, expected) in [(json!(true), true), (json!(false), false), (json!(1), true), (json!(0), false)]
    {
        assert_eq!(dry(&object(&server, "reconcile", "dry_run", &value)), expected, "{value}");
    }
    let refused = [json!(2), json!(-1), json!(1.5), json!([true]), json!({}), json!("truе"), json!(" true")];
    for value in refused {
        let answer = object(&server, "reconcile", "dry_run", &value).failed("INVALID_PARAMETER");
        assert_eq!(answer["data"], json!({ "parameter": "dry_run", "expected": "boolean" }), "{value}");
    }
}

#[test]
fn integers_are_decimal_digits_within_their_range() {
    let server = with_john();
    for text in ["1", "0001", "1000"] {
        word(&server, "latest_clients", "count", text).ok();
        object(&server, "latest_clients", "count", &text.into()).ok();
    }
    object(&server, "latest_clients", "count", &json!(1000)).ok();
    let words = [
        "0",
        "1001",
        "-1",
        "+1",
        "1.0",
        "1e2",
        "0x1",
        " 1",
        "1 ",
        "one",
        "--1",
        "9223372036854775808",
        "١",
        "1_0",
    ];
    let range = json!({ "parameter": "count", "minimum": 1, "maximum": 1000 });
    for text in words {
        let answer = word(&server, "latest_clients", "count", text).failed("INVALID_PARAMETER");
        assert_eq!(answer["data"], range, "{text}");
    }
    for value in
        [json!(0), json!(1001), json!(1.5), json!(true), json!([1]), json!({}), json!(1e300), json!(u64::MAX)]
    {
        let answer = object(&server, "latest_clients", "count", &value).failed("INVALID_PARAMETER");
        assert_eq!(answer["data"], range, "{value}");
    }
    // The largest values that actions allow.
    for (action, parameter, most) in [
        ("list_clients", "page", "4294967295"),
        ("list_clients", "per_page", "100000"),
        ("service_logs", "lines", "10000"),
    ] {
        word(&server, action, parameter, most).ok();
        let more = (most.parse::<u64>().unwrap() + 1).to_string();
        word(&server, action, parameter, &more).failed("INVALID_PARAMETER");
    }
}

#[test]
fn texts_have_up_to_255_characters() {
    let server = with_john();
    let total = |search: &str| word(&server, "list_clients", "search", search).ok()["total"].clone();
    assert_eq!(total("JOHN"), 1);
    assert_eq!(total("10.8.0.2"), 1);
    for literal in ["\"john\"", "%", "_", "john%", "'john'", "a=b", "*", "\\", "ş".repeat(255).as_str()] {
        assert_eq!(total(literal), 0, "{literal}");
    }
    for bad in
        ["a".repeat(256).as_str(), "ş".repeat(256).as_str(), "a\nb", "a\tb", "\u{7f}", "\u{85}", "\u{0}x"]
    {
        let answer = word(&server, "list_clients", "search", bad).failed("INVALID_PARAMETER");
        assert_eq!(answer["data"], json!({ "parameter": "search", "expected": "text" }), "{bad:?}");
    }
    for value in [json!(1), json!(true), json!(["john"]), json!({ "a": 1 })] {
        object(&server, "list_clients", "search", &value).failed("INVALID_PARAMETER");
    }
}

#[test]
fn search_is_by_age_or_by_name() {
    // The addresses of all three contain an 8; the last one is called so.
    let server = Server::ready().with(&["anna", "ben", "room-8"]);
    let found = |more: &[&str]| -> Vec<Value> {
        let answer = server.api(&[&["core", "list_clients", "search=8"], more].concat()).ok().clone();
        let clients = answer["clients"].as_array().unwrap();
        clients.iter().map(|client| client["name"].clone()).collect()
    };
    assert_eq!(found(&[]), ["anna", "ben", "room-8"]);
    assert_eq!(found(&["names_first=true"]), ["room-8", "anna", "ben"]);
    assert_eq!(found(&["names_first=true", "per_page=2", "page=2"]), ["ben"]);
    // Without a search there is nothing to rank.
    let all = server.api(&["core", "list_clients", "names_first=true"]).ok().clone();
    assert_eq!((&all["total"], &all["clients"][0]["name"]), (&json!(3), &json!("anna")));
}

#[test]
fn empty_value_or_null_means_nothing() {
    let server = with_john();
    for answer in
        [word(&server, "list_clients", "page", ""), object(&server, "list_clients", "page", &Value::Null)]
    {
        assert_eq!(answer.ok()["pagination"]["page"], 1);
    }
    object(&server, "list_clients", "page", &"".into()).ok();
    object(&server, "validate_subnet_change", "new_subnet", &Value::Null).failed("MISSING_PARAMETER");
    object(&server, "add_client", "client_name", &Value::Null).failed("INVALID_CLIENT_NAME");
    word(&server, "add_client", "client_name", "").failed("INVALID_CLIENT_NAME");
    server.api(&["core", "add_client"]).failed("MISSING_PARAMETER");
}

#[test]
fn new_names_are_checked_and_stay_text() {
    let server = Server::ready();
    for name in ["123", "true", "null", "0", "_", "a-", "A_b-C", &"z".repeat(50), "0x1f", "1e5"] {
        let client = word(&server, "add_client", "client_name", name).ok();
        assert_eq!(client["client"]["name"], name);
    }
    word(&server, "add_client", "client_name", "TRUE").failed("CLIENT_EXISTS");
    for value in [json!(123), json!(true), json!(["a"]), json!({})] {
        object(&server, "add_client", "client_name", &value).failed("INVALID_PARAMETER");
    }
}

#[test]
fn addresses_and_subnets_are_strict() {
    let server = Server::ready();
    let dns = |value: &str| server.action("dns", "change_dns_servers", &[format!("primary={value}")]);
    for good in ["9.9.9.9", "2620:fe::fe", "::1", "127.0.0.1"] {
        dns(good).ok();
    }
    for bad in [
        "09.9.9.9",
        "9.9.9",
        "9.9.9.9/32",
        "9.9.9.9:53",
        "0x9.9.9.9",
        "fe80::1%eth0",
        "[::1]",
        "0.0.0.0",
        "::",
        "ff02::1",
        "1",
        "９.9.9.9",
    ] {
        dns(bad).failed("INVALID_PARAMETER");
    }
    for bad in [
        "10.9.0.0",
        "10.9.0.0/",
        "10.9.0.1/24",
        "10.9.0.0/24 ",
        "10.9.0.0/33",
        "10.9.0.0/024",
        "010.9.0.0/24",
        "fd00::/64",
        "10.9/16",
        "a",
    ] {
        let answer = word(&server, "validate_subnet_change", "new_subnet", bad).failed("VALIDATION_ERROR");
        assert_eq!(answer["data"], json!({ "parameter": "new_subnet" }), "{bad}");
    }
}

#[test]
fn domains_and_hosts_are_strict() {
    let server = Server::ready();
    let asked = |domain: &str| {
        server.action("dns", "test_dns_servers", &[format!("domain={domain}"), "servers=192.0.2.1".into()])
    };
    assert_eq!(asked("ExAmPlE.Com").ok()["results"][0]["test_domain"], "example.com");
    let long = format!("{}.com", vec!["a".repeat(63); 3].join("."));
    asked(&long).ok();
    for bad in [
        "com",
        "a..b",
        ".a.b",
        "a.b.",
        "-a.com",
        "a-.com",
        "*.a.com",
        "http://a.com",
        "a.com:53",
        "a.1",
        "ä.com",
        "a_b.com",
        "a b.com",
        &format!("{}.com", "a".repeat(64)),
        &format!("a.{long}.{long}"),
    ] {
        asked(bad).failed("INVALID_PARAMETER");
    }
    let endpoint = |host: &str| word(&server, "setup", "endpoint", host);
    for good in ["vpn.example.com", "198.51.100.9", "2001:db8::9"] {
        endpoint(good).ok();
    }
    for bad in ["vpn", "vpn.example.com:51820", "[2001:db8::9]", "a b.c", "198.51.100.9/24"] {
        endpoint(bad).failed("INVALID_PARAMETER");
    }
}

#[test]
fn lists_are_arrays_or_comma_separated() {
    let server = Server::ready();
    let tested = |value: &str| server.action("dns", "test_dns_servers", &[format!("servers={value}")]);
    for form in [
        "192.0.2.1,192.0.2.2",
        " 192.0.2.1 , 192.0.2.2 ",
        r#"["192.0.2.1","192.0.2.2"]"#,
        r#" [ "192.0.2.1", "192.0.2.2" ] "#,
    ] {
        assert_eq!(tested(form).ok()["servers_tested"], 2, "{form}");
    }
    let typed = json!({ "servers": ["192.0.2.1", "nonsense", "192.0.2.2"] }).to_string();
    let answer = server.api(&["dns", "test_dns_servers", "--json", &typed]).ok();
    assert_eq!((&answer["servers_tested"], &answer["skipped"]), (&2.into(), &json!(["nonsense"])));
    assert_eq!(answer["all_passed"], false);
    for empty in ["", "[]"] {
        assert_eq!(tested(empty).ok()["servers_tested"], 2, "the stored pair: {empty:?}");
    }
    tested(&vec!["192.0.2.1"; 64].join(",")).ok();
    let refused = [
        vec!["192.0.2.1"; 65].join(","),
        "[".into(),
        r#"["192.0.2.1""#.into(),
        "[1]".into(),
        "[[]]".into(),
        "[null]".into(),
        "{}".repeat(200),
    ];
    for bad in refused {
        tested(&bad).failed("INVALID_PARAMETER");
    }
}

#[test]
fn repeated_keys_are_refused_across_forms() {
    let server = with_john();
    for words in [
        &["count=1", "count=2"][..],
        &["count=1", "--json", r#"{"count":1}"#],
        &["--json", r#"{"count":1,"count":2}"#],
        &["--json", r#"{"count":1,"\u0063ount":2}"#],
    ] {
        let words: Vec<&str> = ["core", "latest_clients"].iter().chain(words).copied().collect();
        let answer = server.api(&words).failed("INVALID_PARAMETER");
        assert_eq!(answer["data"], json!({ "parameter": "count" }), "{words:?}");
    }
    let twice =
        server.api(&["core", "latest_clients", "--json", "{}", "--json", "{}"]).failed("INVALID_PARAMETER");
    assert_eq!(twice["data"], json!({ "parameter": "--json" }));
    server.api(&["core", "list_clients", "page=1", "--json", r#"{"per_page":5}"#]).ok();
}

#[test]
fn what_is_no_object_is_refused() {
    let server = with_john();
    let deep = "[".repeat(100_000);
    for bad in [
        "",
        " ",
        "[]",
        "1",
        "null",
        "\"count=1\"",
        "{",
        "{]",
        "{} {}",
        "{}x",
        "{'count':1}",
        "{count:1}",
        "nonsense",
        deep.as_str(),
    ] {
        let answer = server.api(&["core", "latest_clients", "--json", bad]).failed("INVALID_PARAMETER");
        let expected = if bad.is_empty() { &["text", "object"][..] } else { &["object"] };
        assert_eq!(answer["data"]["parameter"], "--json");
        assert!(expected.contains(&answer["data"]["expected"].as_str().unwrap()), "{bad:.20}: {answer}");
    }
    server.api(&["core", "latest_clients", "--json", " {\"count\" : 1} \n"]).ok();
}

/// The real command with parameters on standard input. Nothing is set up, so that good ones end there.
fn standard_input(input: &[u8], words: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("none").display().to_string();
    let words: Vec<&str> = words.iter().chain(&["--json", "-", "--root", &root]).copied().collect();
    Program::api().run_as(&words, &Run { input: input.to_vec(), ..Run::default() }).code()
}

#[test]
fn stdin_object_is_limited_to_one_mebibyte() {
    if !is_root() {
        return skip("stdin_object_is_limited_to_one_mebibyte", "the actions need root");
    }
    let add = ["core", "add_client"];
    assert_eq!(standard_input(br#"{"client_name":"x"}"#, &add), "NOT_INITIALIZED");
    assert_eq!(
        standard_input(br#"{"client_name":"x"}"#, &["core", "add_client", "client_name=y"]),
        "INVALID_PARAMETER"
    );
    for bad in [&b""[..], b"[]", b"{", b"\xff\xfe", b"{\"client_name\":\"\xff\"}", b"{}\0"] {
        assert_eq!(standard_input(bad, &add), "INVALID_PARAMETER", "{bad:?}");
    }
    assert_eq!(standard_input(b"{}", &add), "MISSING_PARAMETER");
    let padded = |length: usize| {
        let mut text = br#"{"client_name":"x"}"#.to_vec();
        text.resize(length, b' ');
        text
    };
    assert_eq!(standard_input(&padded(1 << 20), &add), "NOT_INITIALIZED");
    assert_eq!(standard_input(&padded((1 << 20) + 1), &add), "INVALID_PARAMETER");
    assert_eq!(standard_input(&padded(20 << 20), &add), "INVALID_PARAMETER");
}

#[test]
fn usage_errors_precede_reading_stdin() {
    // Nothing is written to it: a program that reads it would wait for its end.
    let answer = Program::api().run(&["nope", "x", "--json", "-", "--root", "/nowhere/x"]);
    assert_eq!(answer.code(), "MODULE_NOT_FOUND");
    let answer = Program::api().run(&["core", "add_client", "--bad", "--json", "-", "--root", "/nowhere/x"]);
    assert_eq!(answer.json()["data"]["parameter"], "--bad");
}
