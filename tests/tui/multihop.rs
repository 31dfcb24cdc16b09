//! The screens of Multihop, on a module that answers as the specification prints it.

use std::sync::Arc;

use phantom_api::{Answer, Call, Effect, Failure, Module, Params, Phantom, Spec, Text};
use phantom_tests::Server;
use schemars::{Schema, json_schema};
use serde_json::{Value, json};

use crate::driver::{FULL, Person};

/// Answers and nothing else.
struct Printed;

fn nothing() -> Schema {
    json_schema!({ "type": "object" })
}

fn import() -> Schema {
    json_schema!({ "type": "object", "required": ["config_path"], "properties": {
        "config_path": { "type": "string", "format": "path", "description": "Path of the file" },
        "custom_name": { "type": ["string", "null"], "format": "name", "description": "Name for the configuration" },
    } })
}

fn exit() -> Schema {
    json_schema!({ "type": "object", "required": ["exit_name"], "properties": {
        "exit_name": { "type": "string", "format": "name", "description": "Name of the VPN exit" },
        "kill_switch": { "type": "boolean", "default": true, "description": "Drop client traffic when the exit is gone" },
    } })
}

fn lines() -> Schema {
    json_schema!({ "type": "object", "properties": { "lines": { "type": "integer", "minimum": 1, "maximum": 10_000 } } })
}

fn spec(name: &'static str, params: fn() -> Schema, effect: Effect) -> Spec {
    let summary = Text { en: name, tr: name };
    Spec { name, summary, effect, example: "", errors: &[], needs_setup: true, params, output: nothing }
}

impl Module for Printed {
    fn name(&self) -> &'static str {
        "multihop"
    }
    fn summary(&self) -> Text {
        Text {
            en: "Routing through external VPN exits", tr: "Harici VPN çıkışları üzerinden yönlendirme"
        }
    }
    fn specs(&self) -> Vec<Spec> {
        vec![
            spec("import_vpn_config", import, Effect::Change),
            spec("enable_multihop", exit, Effect::Change),
            spec("disable_multihop", nothing, Effect::Change),
            spec("list_exits", nothing, Effect::Read),
            spec("remove_vpn_config", exit, Effect::Destroy),
            spec("status", nothing, Effect::Read),
            spec("test_vpn", nothing, Effect::Read),
            spec("reset_state", nothing, Effect::Destroy),
            spec("get_session_log", lines, Effect::Read),
        ]
    }
    fn execute(&self, action: &str, params: Params, call: &Call) -> Result<Answer, Failure> {
        let spec = self.specs().into_iter().find(|spec| spec.name == action).unwrap();
        let given = phantom_module::read(&phantom_module::parameters(&spec), params).map_err(Failure::new)?;
        Ok(Answer::new(answer(action, &given, call)))
    }
}

fn answer(action: &str, given: &serde_json::Map<String, Value>, call: &Call) -> Value {
    let message = call.lang.pick("It is done", "Tamamlandı");
    match action {
        "import_vpn_config" => json!({
            "success": true, "exit_name": "xeovo-uk", "message": message, "optimizations": ["MTU optimized for multihop"],
            "ignored": [{ "key": "DNS", "line": 4, "reason": "DNS of an exit is not used" }],
            "warnings": ["AllowedIPs does not cover all IPv4 addresses"],
            "metadata": { "provider": "Unknown Provider", "original_path": given["config_path"] },
        }),
        "list_exits" => json!({ "exits": [
            { "name": "xeovo-uk", "endpoint": "uk.gw.xeovo.com:51820", "active": true, "provider": "Unknown Provider" },
            { "name": "mullvad-se", "endpoint": "185.213.155.134:51820", "active": false, "provider": "Mullvad" },
        ], "multihop_enabled": true, "active_exit": "xeovo-uk", "total": 2 }),
        "enable_multihop" => json!({
            "exit_name": given["exit_name"], "kill_switch": given.get("kill_switch").unwrap_or(&Value::Bool(true)),
            "message": message,
        }),
        "status" => json!({ "enabled": true, "active_exit": "xeovo-uk", "traffic_routing": "VPN Exit" }),
        "test_vpn" => json!({
            "exit_name": "xeovo-uk", "endpoint": "185.213.155.134:51820", "all_tests_passed": false, "message": "Some tests failed",
            "tests": { "network_connectivity": { "passed": true }, "vpn_interface": { "passed": true },
                "wireguard_handshake": { "passed": false }, "ip_check": { "passed": true } },
        }),
        "get_session_log" => json!({ "active_session": true, "log_lines": [
            { "timestamp": "01:17:02", "message": "Session started", "level": "INFO" },
            { "timestamp": "01:17:32", "message": "Handshake 4 s ago: good", "level": "SUCCESS" },
        ] }),
        _ => json!({ "message": message }),
    }
}

fn person() -> Person {
    let server = Server::ready();
    let builder = Phantom::builder(server.host.clone(), server.store()).system::<phantom_core::Core>();
    let phantom = builder.system::<phantom_dns::Dns>().with(Arc::new(Printed)).build().unwrap();
    let mut person = Person::with(server, phantom, FULL, (100, 30));
    person.sees("● Multihop Active").picks("Multihop VPN").sees("9  Session Log");
    person
}

#[test]
fn a_file_is_picked_and_what_is_not_used_of_it_is_said() {
    let mut person = person();
    for file in ["/root/xeovo-uk.conf", "/root/notes.txt", "/root/vpn/other.conf"] {
        person.server.fake.put_file(file, b"[Interface]", 0o600, 0);
    }
    person.press("1").sees("/root").sees("vpn/").sees("xeovo-uk.conf").does_not_see("notes.txt");
    person
        .picks_line("vpn/")
        .press("Enter")
        .sees("/root/vpn")
        .sees("other.conf")
        .press("Left")
        .sees("xeovo-uk.conf");
    person.picks_line("xeovo-uk.conf").press("Enter").sees("Name for the configuration").press("Enter");
    person.sees("It is done").sees("Unknown Provider").sees("DNS of an exit is not used");
    person.sees("▲ AllowedIPs does not cover all IPv4 addresses").press("0").sees("9  Session Log");
    // A path can be typed, too.
    person.press("1 t").sees("Path of the configuration file").types("vpn/other.conf").press("Enter");
    person.sees("/root/vpn/other.conf");
}

#[test]
fn exits_are_picked_from_the_list() {
    let mut person = person();
    person.press("3").sees("● Active").sees("uk.gw.xeovo.com:51820").sees("Mullvad").press("0");
    person.press("4").sees("mullvad-se").press("2").sees("Drop client traffic").press("Right Enter");
    person.sees("mullvad-se").sees("No").press("0");
    person.press("2 1").sees("This cannot be undone").press("y").sees("It is done");
    person.press("5").sees("own uplink").press("Enter").sees("Cancelled").press("6 y").sees("It is done");
    person.press("8").sees("✖ Some tests failed").sees("● Yes").sees("✖ No").press("0 7").sees("xeovo-uk");
}

#[test]
fn the_session_log_is_followed_until_ctrl_c() {
    let mut person = person();
    person
        .press("9")
        .sees("● 01:17:32 Handshake 4 s ago: good")
        .waits(3)
        .sees("Session started")
        .press("Ctrl-C");
    person.sees("9  Session Log").does_not_see("Leave Phantom-WG?");
}
