//! The errors of Multihop: files that are no exits, exits that are not there, and exits that do not answer.

use phantom_host::Network as _;
use phantom_tests::Server;
use serde_json::{Value, json};

use super::{Failing, failing};
use crate::cases::{ENABLE_MULTIHOP, IMPORT, through_exit, with_exit, with_john, with_second_exit};

/// The calls of the module that fail.
pub(crate) const MULTIHOP: &[Failing] = &[
    failing(
        "MISSING_PARAMETER",
        &["multihop", "import_vpn_config"],
        with_john,
        || json!({ "parameter": "config_path" }),
    ),
    failing(
        "INVALID_PARAMETER unfit",
        &["multihop", "import_vpn_config", "config_path=/x", "custom_name=a b"],
        with_john,
        || json!({ "parameter": "custom_name", "expected": "name" }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["multihop", "enable_multihop", "exit_name=xeovo-uk", "probe=127.0.0.1"],
        with_exit,
        || json!({ "parameter": "probe", "expected": "ipv4" }),
    ),
    failing(
        "VPN_CONFIG_ERROR file",
        IMPORT,
        with_john,
        || json!({ "config_path": "/home/user/xeovo-uk.conf" }),
    ),
    failing(
        "VPN_CONFIG_ERROR file",
        IMPORT,
        || with_file("PK\u{3}\u{4}"),
        || {
            let detail = "it is a packed file, which is to be unpacked first";
            json!({ "config_path": "/home/user/xeovo-uk.conf", "detail": detail, "kind": "archive" })
        },
    ),
    failing(
        "VPN_CONFIG_ERROR content",
        IMPORT,
        || with_file("[Interface]\nPrivateKey = nonsense\n"),
        || json!({ "line": 2, "key": "PrivateKey" }),
    ),
    failing(
        "VPN_CONFIG_ERROR missing",
        IMPORT,
        || with_file("[Interface]\n"),
        || json!({ "line": null, "key": "[Peer]" }),
    ),
    failing(
        "VPN_CONFIG_ERROR exists",
        IMPORT,
        with_exit,
        || json!({ "exit_name": "xeovo-uk", "hint": "Give another name: custom_name=<name>" }),
    ),
    failing(
        "VPN_CONFIG_ERROR name",
        &["multihop", "import_vpn_config", "config_path=/home/user/wg.conf"],
        || with_conf("wg.conf", "10.99.0.2/32", "[2001:db8::1]:51820"),
        || json!({ "exit_name": null }),
    ),
    failing(
        "VPN_CONFIG_ERROR overlap",
        IMPORT,
        || with_conf("xeovo-uk.conf", "10.8.0.9/32", "192.0.2.9:51820"),
        || json!({ "address": "10.8.0.9/32", "subnet": "10.8.0.0/24", "hint": "phantom-api core change_subnet" }),
    ),
    failing(
        "EXIT_NODE_ERROR",
        &["multihop", "enable_multihop", "exit_name=nl"],
        with_exit,
        || json!({ "exit_name": "nl", "available": ["xeovo-uk"] }),
    ),
    failing(
        "EXIT_NODE_ERROR",
        &["multihop", "remove_vpn_config", "exit_name=nl"],
        with_john,
        || json!({ "exit_name": "nl", "available": [] }),
    ),
    failing("VALIDATION_ERROR test", &["multihop", "test_vpn"], with_exit, || Value::Null),
    failing(
        "MULTIHOP_ERROR",
        &["multihop", "disable_multihop"],
        || refusing(through_exit()),
        || {
            json!({
                "step": "interface", "restored_exit": "xeovo-uk",
                "possible_issues": [
                    "VPN server unreachable", "VPN configuration wrong or expired", "Outgoing UDP is blocked",
                    "Server clock is wrong",
                ],
            })
        },
    ),
];

/// The next change on the host is refused.
fn refusing(server: Server) -> Server {
    server.fake.refuse_write(1);
    server
}

/// A file that is imported.
fn with_file(text: &str) -> Server {
    let server = with_john();
    server.fake.put_file("/home/user/xeovo-uk.conf", text.as_bytes(), 0o644, 1000);
    server
}

fn with_conf(file: &str, address: &str, endpoint: &str) -> Server {
    let server = with_john();
    let key = phantom_types::PrivateKey::from_random([0x55; 32]);
    let text = format!(
        "[Interface]\nPrivateKey = {}\nAddress = {address}\n[Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0\n\
         Endpoint = {endpoint}\n",
        key.reveal().as_str(),
        key.public_key()
    );
    server.fake.put_file(&format!("/home/user/{file}"), text.as_bytes(), 0o644, 1000);
    server
}

/// The facts of a failed change in both languages, and what the host and the database are afterwards.
fn failed(server: &Server, words: &[&str]) -> (Value, Value) {
    let before = crate::faults::dump(server);
    let call = |lang| {
        let words: Vec<&str> = words.iter().chain(&["--lang", lang]).copied().collect();
        server.api(&words).failed("MULTIHOP_ERROR")
    };
    let (en, tr) = (call("en"), call("tr"));
    assert_eq!(crate::faults::changed(&before, &crate::faults::dump(server)), "");
    server.assert_in_sync();
    for answer in [&en, &tr] {
        assert_eq!(answer["data"]["possible_issues"].as_array().unwrap().len(), 4);
    }
    let texts = phantom_tests::Texts::read();
    let message = |answer: &Value| answer["error"].as_str().unwrap().to_owned();
    assert!(texts.ids_of(&message(&en), &message(&tr)).contains(&"MULTIHOP_ERROR"), "{en:#} {tr:#}");
    for at in 0..4 {
        let issue = |answer: &Value| answer["data"]["possible_issues"][at].as_str().unwrap().to_owned();
        assert!(texts.ids_of(&issue(&en), &issue(&tr)).contains(&format!("issue.{}", at + 1).as_str()));
    }
    (en["data"].clone(), tr["data"].clone())
}

#[test]
fn silent_exit_is_not_enabled() {
    let server = with_exit();
    let key = phantom_types::PrivateKey::from_random([0x51; 32]).public_key();
    server.fake.let_peer_answer(key, false);
    let (en, tr) = failed(&server, ENABLE_MULTIHOP);
    assert_eq!((&en["step"], &en["restored_exit"]), (&json!("handshake"), &Value::Null));
    assert_eq!(
        en["handshake_result"],
        json!({ "success": false, "error": "no handshake with the exit in time" })
    );
    assert_ne!(en["possible_issues"], tr["possible_issues"]);
}

#[test]
fn unresolvable_name_is_no_exit() {
    let server = with_exit();
    server.fake.set_lookup("uk.gw.xeovo.com".parse().unwrap(), Ok(Vec::new()));
    let (en, _) = failed(&server, ENABLE_MULTIHOP);
    assert_eq!((&en["step"], &en["handshake_result"]["success"]), (&json!("handshake"), &json!(false)));
}

#[test]
fn switch_to_dead_exit_keeps_the_active() {
    let server = with_second_exit(through_exit());
    let key = phantom_types::PrivateKey::from_random([0x61; 32]).public_key();
    server.fake.let_peer_answer(key, false);
    let (en, _) = failed(&server, &["multihop", "enable_multihop", "exit_name=nl"]);
    assert_eq!((&en["step"], &en["restored_exit"]), (&json!("handshake"), &json!("xeovo-uk")));
    let status = server.api(&["multihop", "status"]).ok();
    assert_eq!((&status["enabled"], &status["active_exit"]), (&json!(true), &json!("xeovo-uk")));
}

#[test]
fn packets_on_another_route_are_noticed() {
    let server = with_exit();
    // A rule of somebody else, asked before ours.
    let rule = phantom_host::PolicyRule {
        priority: 50,
        ipv6: false,
        from: Some("10.8.0.0/24".parse().unwrap()),
        to: None,
        in_interface: None,
        action: phantom_host::RuleAction::Lookup(254),
        protocol: 4,
    };
    server.fake.add_rule(&rule).unwrap();
    let (en, _) = failed(&server, ENABLE_MULTIHOP);
    assert_eq!((&en["step"], &en["test_result"]["success"]), (&json!("verify"), &json!(false)));
}

#[test]
fn reset_lists_what_it_cannot_remove() {
    let server = through_exit();
    server.fake.reset_writes();
    server.fake.refuse_write(3);
    let answer = server.api(&["multihop", "reset_state"]).failed("MULTIHOP_ERROR");
    let left = answer["data"]["left"].as_array().unwrap();
    assert_eq!((left.len(), answer["data"].get("restored_exit")), (1, None), "{answer:#}");
}
