//! Every error code of chapter 3 that Core, DNS and the command can raise: provoked, with its data and both texts.

use std::collections::BTreeSet;
use std::fs;

use phantom_host::{LinkKind, Port, Protocol};
use phantom_tests::{Server, Texts, differences};
use serde_json::{Value, json};

use crate::cases::{stopped, with_john};

/// A call that fails.
pub(crate) struct Failing {
    /// Its text in chapter 12, which begins with the code where that has one text only.
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
    text: &'static str, words: &'static [&'static str], server: fn() -> Server, data: fn() -> Value,
) -> Failing {
    Failing { text, words, server, data }
}

const ADD: &[&str] = &["core", "add_client", "client_name=new"];
const CHANGE: &[&str] = &["core", "change_subnet", "new_subnet=192.168.100.0/24", "confirm=true"];

/// The calls that fail before an action runs.
pub(crate) const WORDS: &[Failing] = &[
    failing("MODULE_NOT_FOUND", &["cor", "add_client"], Server::bare, || json!({ "available_modules": ["core", "dns"] })),
    failing("ACTION_NOT_FOUND", &["dns", "get"], Server::bare, || {
        let actions = ["change_dns_servers", "test_dns_servers", "status", "get_dns_servers"];
        json!({ "available_actions": actions })
    }),
    failing("MISSING_PARAMETER", &["core", "add_client"], Server::bare, || json!({ "parameter": "client_name" })),
    failing("MISSING_PARAMETER", &["core", "validate_subnet_change", "new_subnet="], Server::bare, || {
        json!({ "parameter": "new_subnet" })
    }),
    failing("INVALID_PARAMETER form", &["core", "add_client", "john"], Server::bare, || {
        json!({ "parameter": "john", "known": ["client_name"] })
    }),
    failing("INVALID_PARAMETER unknown", &["core", "latest_clients", "n=1"], Server::bare, || {
        json!({ "parameter": "n", "known": ["count"] })
    }),
    failing("INVALID_PARAMETER option", &["core", "latest_clients", "--count=1"], Server::bare, || {
        json!({ "parameter": "--count=1" })
    }),
    failing("INVALID_PARAMETER repeated", &["core", "latest_clients", "count=1", "count=1"], Server::bare, || {
        json!({ "parameter": "count" })
    }),
    failing("INVALID_PARAMETER type", &["core", "reconcile", "dry_run=maybe"], Server::bare, || {
        json!({ "parameter": "dry_run", "expected": "boolean" })
    }),
    failing("INVALID_PARAMETER type", &["core", "reconcile", "--json", "[]"], Server::bare, || {
        json!({ "parameter": "--json", "expected": "object" })
    }),
    failing("INVALID_PARAMETER type", &["core", "setup", "server_ip=1.2.3"], Server::bare, || {
        json!({ "parameter": "server_ip", "expected": "ipv4" })
    }),
    failing("INVALID_PARAMETER type", &["core", "setup", "server_ip=127.0.0.1"], Server::bare, || {
        json!({ "parameter": "server_ip", "expected": "ipv4" })
    }),
    failing("INVALID_PARAMETER type", &["core", "setup", "endpoint=a..b"], Server::bare, || {
        json!({ "parameter": "endpoint", "expected": "host" })
    }),
    failing("INVALID_PARAMETER type", &["core", "setup", "--root", ""], Server::bare, || {
        json!({ "parameter": "--root", "expected": "path" })
    }),
    failing("INVALID_PARAMETER type", &["core", "list_clients", "search=\u{1}"], Server::bare, || {
        json!({ "parameter": "search", "expected": "text" })
    }),
    failing("INVALID_PARAMETER type", &["dns", "change_dns_servers", "primary=::g"], Server::bare, || {
        json!({ "parameter": "primary", "expected": "ip" })
    }),
    failing("INVALID_PARAMETER type", &["dns", "change_dns_servers", "primary=224.0.0.1"], Server::bare, || {
        json!({ "parameter": "primary", "expected": "ip" })
    }),
    failing("INVALID_PARAMETER type", &["dns", "test_dns_servers", "domain=*.com"], Server::bare, || {
        json!({ "parameter": "domain", "expected": "domain" })
    }),
    failing("INVALID_PARAMETER type", &["dns", "test_dns_servers", "--json", "{\"servers\":1}"], Server::bare, || {
        json!({ "parameter": "servers", "expected": "list" })
    }),
    failing("INVALID_PARAMETER type", &["core", "setup", "interface=1wg"], Server::bare, || {
        json!({ "parameter": "interface", "expected": "name" })
    }),
    failing("INVALID_PARAMETER range", &["core", "latest_clients", "count=0"], Server::bare, || {
        json!({ "parameter": "count", "minimum": 1, "maximum": 1000 })
    }),
    failing("INVALID_PARAMETER range", &["core", "setup", "port=65536"], Server::bare, || {
        json!({ "parameter": "port", "minimum": 1, "maximum": 65535 })
    }),
    failing("INVALID_PARAMETER range", &["core", "service_logs", "lines=many"], Server::bare, || {
        json!({ "parameter": "lines", "minimum": 1, "maximum": 10000 })
    }),
    failing("INVALID_PARAMETER choice", &["core", "setup", "backend=boringtun"], Server::bare, || {
        json!({ "parameter": "backend", "allowed": ["auto", "kernel", "embedded"] })
    }),
    failing("INVALID_PARAMETER choice", &["core", "setup", "--lang", "de"], Server::bare, || {
        json!({ "parameter": "--lang", "allowed": ["en", "tr"] })
    }),
    failing("INVALID_CLIENT_NAME empty", &["core", "add_client", "client_name="], Server::bare, name),
    failing("INVALID_CLIENT_NAME empty", &["core", "remove_client", "client_name="], Server::bare, name),
    failing("INVALID_CLIENT_NAME empty", &["core", "export_client", "client_name="], Server::bare, name),
    failing("INVALID_CLIENT_NAME chars", &["core", "add_client", "client_name=a b"], Server::bare, name),
    failing("INVALID_CLIENT_NAME chars", &["core", "add_client", "client_name=-a"], Server::bare, name),
    failing(
        "INVALID_CLIENT_NAME long",
        &["core", "add_client", "client_name=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeef"],
        Server::bare,
        name,
    ),
    failing("VALIDATION_ERROR cidr", &["core", "validate_subnet_change", "new_subnet=10.0.0.1/24"], Server::bare, subnet),
    failing("VALIDATION_ERROR cidr", &["core", "change_subnet", "new_subnet=fd00::/64"], Server::bare, subnet),
    failing("MISSING_PARAMETER dns", &["dns", "change_dns_servers"], Server::ready, || json!({ "parameter": "primary" })),
];

/// The calls that the present state forbids.
pub(crate) const STATE: &[Failing] = &[
    failing("PERMISSION_DENIED", ADD, without_privilege, || {
        json!({ "reason": "INSUFFICIENT_PRIVILEGES", "required": "root" })
    }),
    failing("NOT_INITIALIZED", ADD, Server::bare, || json!({ "hint": "phantom-api core setup" })),
    failing("MISSING_PARAMETER setup", &["core", "setup"], Server::bare, || json!({ "parameter": "server_ip" })),
    failing("CLIENT_EXISTS", &["core", "add_client", "client_name=John-Laptop"], with_john, || {
        json!({ "client_name": "john-laptop" })
    }),
    failing("CLIENT_NOT_FOUND", &["core", "remove_client", "client_name=John-Laptop"], with_john, || {
        json!({ "client_name": "John-Laptop" })
    }),
    failing("CLIENT_NOT_FOUND", &["core", "export_client", "client_name=../../etc/passwd"], with_john, || {
        json!({ "client_name": "../../etc/passwd" })
    }),
    failing("IP_ALLOCATION_ERROR", ADD, full, || json!({ "subnet": "10.8.0.0/29", "usable_ips": 6, "clients": 5 })),
    failing("VALIDATION_ERROR setting", &["core", "update_tweak_setting", "setting_name=x", "value=1"], Server::ready, || {
        let valid = ["restart_service_after_client_creation", "block_ipv6_leak", "language"];
        json!({ "setting": "x", "valid_settings": valid })
    }),
    failing(
        "INVALID_PARAMETER type",
        &["core", "update_tweak_setting", "setting_name=block_ipv6_leak", "value=2"],
        Server::ready,
        || json!({ "parameter": "value", "expected": "boolean" }),
    ),
    failing(
        "INVALID_PARAMETER choice",
        &["core", "update_tweak_setting", "setting_name=language", "value=de"],
        Server::ready,
        || json!({ "parameter": "value", "allowed": ["en", "tr"] }),
    ),
    failing("VALIDATION_ERROR confirm", &["core", "change_subnet", "new_subnet=192.168.1.0/24"], Server::ready, || {
        json!({ "parameter": "confirm" })
    }),
    failing("VALIDATION_ERROR dns", &["dns", "test_dns_servers", "servers=a,b"], Server::ready, || {
        json!({ "parameter": "servers" })
    }),
    failing("VALIDATION_ERROR setup", &["core", "setup", "subnet=10.9.0.0/24"], Server::ready, || {
        json!({ "parameter": "subnet", "current": "10.8.0.0/24" })
    }),
    failing("VALIDATION_ERROR setup", &["core", "setup", "interface=wg9"], Server::ready, || {
        json!({ "parameter": "interface", "current": "wg_main" })
    }),
    failing("VALIDATION_ERROR setup", &["core", "setup", "port=1"], with_ghost, || {
        json!({ "parameter": "port", "current": "51820" })
    }),
    failing("VALIDATION_ERROR setup", &["core", "setup", "backend=embedded"], with_multihop, || {
        json!({ "parameter": "backend", "current": "kernel" })
    }),
    failing("VALIDATION_ERROR foreign", &["core", "setup", "server_ip=192.0.2.7"], foreign_link, || {
        json!({ "parameter": "interface", "current": "interface wg_main" })
    }),
    failing("VALIDATION_ERROR foreign", &["core", "setup", "server_ip=192.0.2.7"], foreign_file, || {
        json!({ "parameter": "interface", "current": "/etc/wireguard/wg_main.conf" })
    }),
    failing("CONFIG_ERROR ipv6", &["core", "export_client", "client_name=john-laptop", "use_ipv6=true"], no_ipv6, || {
        json!({ "setting": "server.ipv6" })
    }),
    failing("CONFIG_ERROR file", &["core", "list_clients"], garbage, file),
    failing("CONFIG_ERROR file", ADD, garbage, file),
    failing("CONFIG_ERROR file", &["core", "list_clients"], newer, file),
    failing("CONFIG_ERROR file", ADD, newer, file),
    failing("CONFIG_ERROR file", &["core", "setup"], empty, file),
    failing("PORT_IN_USE", &["core", "setup", "server_ip=192.0.2.7"], port_taken, port),
    failing("PORT_IN_USE", &["core", "setup", "port=53"], port_53_taken, || json!({ "port": 53, "protocol": "udp" })),
    failing("PORT_IN_USE", &["core", "start_service"], stopped_port_taken, port),
    failing("PORT_IN_USE", &["core", "restart_service"], stopped_port_taken, port),
];

/// The calls that the host does not follow.
pub(crate) const HOST: &[Failing] = &[
    failing("SERVICE_OPERATION_FAILED", ADD, refusing, || refused("add_client")),
    failing("SERVICE_OPERATION_FAILED", &["core", "remove_client", "client_name=john-laptop"], refusing, || {
        refused("remove_client")
    }),
    failing("SERVICE_OPERATION_FAILED", &["core", "restart_service"], refusing, || refused("restart_service")),
    failing("SERVICE_OPERATION_FAILED", &["core", "stop_service"], refusing, || refused("stop_service")),
    failing("SERVICE_OPERATION_FAILED", &["core", "start_service"], stopped_refusing, || refused("start_service")),
    failing("SERVICE_OPERATION_FAILED", &["core", "setup", "port=1"], refusing, || refused("setup")),
    failing("SERVICE_OPERATION_FAILED", &["core", "setup", "server_ip=192.0.2.7"], bare_refusing, || refused("setup")),
    failing("NETWORK_ERROR subnet", CHANGE, refusing_late, || {
        json!({ "backup_id": "subnet_change_1757380307", "rolled_back": true, "step": "<any>" })
    }),
    failing("NETWORK_ERROR rollback", CHANGE, refusing_all_late, || {
        json!({ "backup_id": "subnet_change_1757380307", "rolled_back": false, "step": "<any>" })
    }),
    failing("INTERNAL_ERROR", ADD, panicking, || Value::Null),
];

fn name() -> Value {
    json!({ "parameter": "client_name" })
}
fn subnet() -> Value {
    json!({ "parameter": "new_subnet" })
}
fn port() -> Value {
    json!({ "port": 51820, "protocol": "udp" })
}
fn file() -> Value {
    json!({ "file": "/opt/phantom-wg/data/phantom.db" })
}
fn refused(operation: &str) -> Value {
    json!({ "operation": operation, "detail": "<any>", "rolled_back": true })
}

fn without_privilege() -> Server {
    let mut server = Server::ready();
    server.host.privileged = false;
    server
}
fn full() -> Server {
    Server::set_up(&["subnet=10.8.0.0/29"]).with(&["a", "b", "c", "d", "e"])
}
fn sql(server: Server, statement: &str) -> Server {
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(statement).unwrap();
    server
}
/// Ghost Mode as its module stores it.
pub(crate) fn with_ghost() -> Server {
    let secret = "x".repeat(64);
    let values = format!("(1, 'vpn.example.com', '{secret}', 'self_signed', 1757380307000000)");
    sql(with_john(), &format!("INSERT INTO ghost (id, domain, secret, certificate_source, activated_at) VALUES {values}"))
}
/// An active exit, as the module of the exits stores it. Its address is in 172.20.0.0/16.
pub(crate) fn with_multihop() -> Server {
    let exit = "INSERT INTO exits VALUES ('nl', zeroblob(32), zeroblob(32), NULL, '192.0.2.9:51820', '172.20.1.2/16', \
                '0.0.0.0/0', 1380, 25, NULL, NULL, 'Unknown Provider', '/tmp/nl.conf', 1757380307000000)";
    sql(with_john(), &format!("{exit}; INSERT INTO multihop VALUES (1, 'nl', 1, 1757380307000000)"))
}
fn foreign_link() -> Server {
    let server = Server::bare();
    server.fake.add_link("wg_main", LinkKind::WireGuard).unwrap();
    server
}
fn foreign_file() -> Server {
    let server = Server::bare();
    server.fake.put_file("/etc/wireguard/wg_main.conf", b"[Interface]\n", 0o600, 0);
    server
}
fn no_ipv6() -> Server {
    let server = Server::bare();
    server.fake.take_address("eth0", "2001:db8::10/64".parse().unwrap()).unwrap();
    server.api(&["core", "setup", "server_ip=192.0.2.7"]).ok();
    server.with(&["john-laptop"])
}
fn database(content: &[u8]) -> Server {
    let server = Server::ready();
    fs::write(server.paths().database(), content).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(server.paths().database().with_extension(format!("db{suffix}")));
    }
    server
}
fn garbage() -> Server {
    database(&[0x5a; 8192])
}
fn empty() -> Server {
    database(b"")
}
fn newer() -> Server {
    sql(Server::ready(), "PRAGMA user_version = 9999")
}
fn bound(server: Server, number: u16) -> Server {
    server.fake.bind(Port { protocol: Protocol::Udp, number });
    server
}
fn port_taken() -> Server {
    bound(Server::bare(), 51820)
}
fn port_53_taken() -> Server {
    bound(Server::ready(), 53)
}
fn stopped_port_taken() -> Server {
    bound(stopped(), 51820)
}
fn refusing() -> Server {
    let server = with_john();
    server.fake.refuse_write(1);
    server
}
fn stopped_refusing() -> Server {
    let server = stopped();
    server.fake.refuse_write(2);
    server
}
fn bare_refusing() -> Server {
    let server = Server::bare();
    server.fake.refuse_write(3);
    server
}
/// After the backup and some steps of the change itself.
fn refusing_late() -> Server {
    let server = with_john();
    server.fake.refuse_write(10);
    server
}
fn refusing_all_late() -> Server {
    let server = with_john();
    server.fake.refuse_from(10);
    server
}
fn panicking() -> Server {
    let server = Server::ready();
    server.fake.on_write(|_, _| panic!("a bug that the test put there"));
    server
}

fn all() -> impl Iterator<Item = &'static Failing> {
    WORDS.iter().chain(STATE).chain(HOST)
}

#[test]
fn every_error_has_its_code_its_data_and_both_texts() {
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
        if !case.words.contains(&"--lang") && !texts.ids_of(&message(&en), &message(&tr)).contains(&case.text) {
            wrong.push(format!("{:?}: not the texts of '{}':\n  {}\n  {}", case.words, case.text, message(&en), message(&tr)));
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

/// The codes of chapter 3 that no action of these modules raises.
const OF_OTHER_MODULES: [&str; 7] = [
    "CERTIFICATE_ERROR",
    "GHOST_MODE_ACTIVE",
    "GHOST_MODE_ERROR",
    "VPN_CONFIG_ERROR",
    "EXIT_NODE_ERROR",
    "MULTIHOP_ERROR",
    // Provoked by a test of its own, since it takes half a minute.
    "STATE_LOCKED",
];

#[test]
fn every_code_of_chapter_3_is_provoked() {
    let provoked: BTreeSet<&str> = all().map(Failing::code).chain(OF_OTHER_MODULES).collect();
    let codes = phantom_tests::read_golden_json("codes.json");
    let expected: BTreeSet<&str> = codes["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(provoked, expected);
}

#[test]
fn a_change_that_finds_the_lock_taken_gives_up_after_half_a_minute() {
    let server = Server::ready();
    let before = server.dump();
    let lock = server.store().lock(std::time::Duration::ZERO).unwrap();
    let (en, tr) = std::thread::scope(|scope| {
        let call = |lang| server.api(&["--lang", lang, "core", "add_client", "client_name=x"]).failed("STATE_LOCKED");
        let other = scope.spawn(|| second(&server));
        (call("en"), other.join().unwrap())
    });
    drop(lock);
    assert_eq!(en["data"], json!({ "waited_seconds": 30, "holder_pid": std::process::id() }));
    assert_eq!(en["data"], tr["data"]);
    let message = |answer: &Value| answer["error"].as_str().unwrap().to_owned();
    assert!(Texts::read().ids_of(&message(&en), &message(&tr)).contains(&"STATE_LOCKED"), "{en} {tr}");
    assert_eq!(server.dump(), before);
    server.api(ADD).ok();
}

fn second(server: &Server) -> Value {
    server.api(&["--lang", "tr", "core", "add_client", "client_name=x"]).failed("STATE_LOCKED")
}

#[test]
fn a_reader_needs_no_lock() {
    let server = with_john();
    let _lock = server.store().lock(std::time::Duration::ZERO).unwrap();
    for action in ["list_clients", "server_status", "get_subnet_info"] {
        server.api(&["core", action]).ok();
    }
    assert_eq!(server.api(&["core", "reconcile", "dry_run=true"]).ok()["in_sync"], true);
}

#[test]
fn reconcile_says_which_step_failed_and_keeps_those_before() {
    for (lang, detail) in [("en", "Add missing address"), ("tr", "Eksik adres ekle")] {
        let server = with_john();
        server.fake.take_address("wg_main", "10.8.0.1/24".parse().unwrap()).unwrap();
        server.fake.set_sysctl("net.ipv4.ip_forward", Some("0"));
        server.fake.refuse_write(2);
        let answer = server.api(&["core", "reconcile", "--lang", lang]).failed("SERVICE_OPERATION_FAILED");
        let data = &answer["data"];
        assert_eq!((&data["operation"], &data["rolled_back"]), (&"reconcile".into(), &false.into()));
        assert!(data["detail"].as_str().is_some_and(|text| !text.is_empty()));
        let steps: Vec<_> = data["steps"].as_array().unwrap().iter().map(|step| (&step["kind"], &step["result"])).collect();
        let of = |kind: &str, result: &str| (json!(kind), json!(result));
        let steps: Vec<_> = steps.into_iter().map(|(kind, result)| (kind.clone(), result.clone())).collect();
        assert_eq!(steps, [of("sysctl", "applied"), of("address", "failed")], "{data:#}");
        assert_eq!(data["steps"][1]["detail"], detail);
        let plan = server.api(&["core", "reconcile"]).ok();
        assert_eq!(plan["steps"].as_array().unwrap().len(), 1, "the first step stayed: {plan:#}");
        server.assert_in_sync();
    }
}
