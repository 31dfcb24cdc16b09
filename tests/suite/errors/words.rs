//! Calls that fail before an action runs.

use phantom_tests::Server;
use serde_json::{Value, json};

use super::{Failing, failing};

/// The calls that fail before an action runs.
pub(crate) const WORDS: &[Failing] = &[
    failing(
        "MODULE_NOT_FOUND",
        &["cor", "add_client"],
        Server::bare,
        || json!({ "available_modules": ["core", "dns", "ghost", "multihop"] }),
    ),
    failing("ACTION_NOT_FOUND", &["dns", "get"], Server::bare, || {
        let actions = ["change_dns_servers", "test_dns_servers", "status", "get_dns_servers"];
        json!({ "available_actions": actions })
    }),
    failing(
        "MISSING_PARAMETER",
        &["core", "add_client"],
        Server::bare,
        || json!({ "parameter": "client_name" }),
    ),
    failing(
        "MISSING_PARAMETER",
        &["core", "validate_subnet_change", "new_subnet="],
        Server::bare,
        || json!({ "parameter": "new_subnet" }),
    ),
    failing(
        "INVALID_PARAMETER form",
        &["core", "add_client", "john"],
        Server::bare,
        || json!({ "parameter": "john", "known": ["client_name"] }),
    ),
    failing(
        "INVALID_PARAMETER unknown",
        &["core", "latest_clients", "n=1"],
        Server::bare,
        || json!({ "parameter": "n", "known": ["count"] }),
    ),
    failing(
        "INVALID_PARAMETER option",
        &["core", "latest_clients", "--count=1"],
        Server::bare,
        || json!({ "parameter": "--count=1" }),
    ),
    failing(
        "INVALID_PARAMETER repeated",
        &["core", "latest_clients", "count=1", "count=1"],
        Server::bare,
        || json!({ "parameter": "count" }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["core", "reconcile", "dry_run=maybe"],
        Server::bare,
        || json!({ "parameter": "dry_run", "expected": "boolean" }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["core", "reconcile", "--json", "[]"],
        Server::bare,
        || json!({ "parameter": "--json", "expected": "object" }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["core", "setup", "server_ip=1.2.3"],
        Server::bare,
        || json!({ "parameter": "server_ip", "expected": "ipv4" }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["core", "setup", "server_ip=127.0.0.1"],
        Server::bare,
        || json!({ "parameter": "server_ip", "expected": "ipv4" }),
    ),
    failing(
        "INVALID_PARAMETER unfit",
        &["core", "setup", "endpoint=a..b"],
        Server::bare,
        || json!({ "parameter": "endpoint", "expected": "host" }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["core", "setup", "--root", ""],
        Server::bare,
        || json!({ "parameter": "--root", "expected": "path" }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["core", "list_clients", "search=\u{1}"],
        Server::bare,
        || json!({ "parameter": "search", "expected": "text" }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["dns", "change_dns_servers", "primary=::g"],
        Server::bare,
        || json!({ "parameter": "primary", "expected": "ip" }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["dns", "change_dns_servers", "primary=224.0.0.1"],
        Server::bare,
        || json!({ "parameter": "primary", "expected": "ip" }),
    ),
    failing(
        "INVALID_PARAMETER unfit",
        &["dns", "test_dns_servers", "domain=*.com"],
        Server::bare,
        || json!({ "parameter": "domain", "expected": "domain" }),
    ),
    failing(
        "INVALID_PARAMETER type",
        &["dns", "test_dns_servers", "--json", "{\"servers\":1}"],
        Server::bare,
        || json!({ "parameter": "servers", "expected": "list" }),
    ),
    failing(
        "INVALID_PARAMETER unfit",
        &["core", "setup", "interface=1wg"],
        Server::bare,
        || json!({ "parameter": "interface", "expected": "name" }),
    ),
    failing(
        "INVALID_PARAMETER range",
        &["core", "latest_clients", "count=0"],
        Server::bare,
        || json!({ "parameter": "count", "minimum": 1, "maximum": 1000 }),
    ),
    failing(
        "INVALID_PARAMETER range",
        &["core", "setup", "port=65536"],
        Server::bare,
        || json!({ "parameter": "port", "minimum": 1, "maximum": 65535 }),
    ),
    failing(
        "INVALID_PARAMETER range",
        &["core", "service_logs", "lines=many"],
        Server::bare,
        || json!({ "parameter": "lines", "minimum": 1, "maximum": 10000 }),
    ),
    failing(
        "INVALID_PARAMETER choice",
        &["core", "setup", "backend=boringtun"],
        Server::bare,
        || json!({ "parameter": "backend", "allowed": ["auto", "kernel", "embedded"] }),
    ),
    failing(
        "INVALID_PARAMETER choice",
        &["core", "setup", "--lang", "de"],
        Server::bare,
        || json!({ "parameter": "--lang", "allowed": ["en", "tr"] }),
    ),
    failing("INVALID_CLIENT_NAME empty", &["core", "add_client", "client_name="], Server::bare, name),
    failing("INVALID_CLIENT_NAME empty", &["core", "remove_client", "client_name="], Server::bare, name),
    failing("INVALID_CLIENT_NAME empty", &["core", "export_client", "client_name="], Server::bare, name),
    failing("INVALID_CLIENT_NAME chars", &["core", "add_client", "client_name=a b"], Server::bare, || {
        character("' '")
    }),
    failing("INVALID_CLIENT_NAME chars", &["core", "add_client", "client_name=-a"], Server::bare, || {
        character("'-'")
    }),
    failing(
        "INVALID_CLIENT_NAME long",
        &["core", "add_client", "client_name=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeef"],
        Server::bare,
        name,
    ),
    failing(
        "VALIDATION_ERROR cidr",
        &["core", "validate_subnet_change", "new_subnet=10.0.0.1/24"],
        Server::bare,
        subnet,
    ),
    failing(
        "VALIDATION_ERROR cidr",
        &["core", "change_subnet", "new_subnet=fd00::/64"],
        Server::bare,
        subnet,
    ),
    failing(
        "MISSING_PARAMETER dns",
        &["dns", "change_dns_servers"],
        Server::ready,
        || json!({ "parameter": "primary" }),
    ),
];

fn character(shown: &str) -> Value {
    let hint = format!("Write the name without this character: {shown}");
    json!({ "parameter": "client_name", "character": shown, "hint": hint })
}
fn name() -> Value {
    json!({ "parameter": "client_name" })
}
fn subnet() -> Value {
    json!({ "parameter": "new_subnet" })
}
