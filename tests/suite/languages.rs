//! Languages: which one is taken, and that every text of `tests/golden/texts.json` is said.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;

use phantom_api::cli::{self, Environment, Opened, Streams};
use phantom_host::{DnsAnswer, LinkKind, ProbeError};
use phantom_tests::{Said, Server, Texts};
use serde_json::Value;

use crate::cases::{API, connected, through_exit, with_domain, with_exit, with_ghost, with_john};
use crate::doctor;
use crate::errors::{self, with_multihop};
use crate::reads::unresponsive::UnresponsiveHost;

fn message(server: &Server, words: &[&str]) -> String {
    let answer = server.api(words).failed("CLIENT_NOT_FOUND");
    answer["error"].as_str().unwrap().to_owned()
}

const EN: &str = "Client 'x' not found";
const TR: &str = "'x' istemcisi bulunamadı";
const REMOVE: [&str; 3] = ["core", "remove_client", "client_name=x"];

#[test]
fn option_precedes_variable_which_precedes_setting() {
    let mut server = Server::ready();
    assert_eq!(message(&server, &REMOVE), EN);
    server.api(&["core", "update_tweak_setting", "setting_name=language", "value=tr"]).ok();
    assert_eq!(message(&server, &REMOVE), TR);
    server.lang = Some("en".into());
    assert_eq!(message(&server, &REMOVE), EN);
    assert_eq!(message(&server, &["core", "remove_client", "client_name=x", "--lang", "tr"]), TR);
    server.lang = Some("tr".into());
    assert_eq!(message(&server, &["--lang=en", "core", "remove_client", "client_name=x"]), EN);
}

#[test]
fn language_variable_may_be_a_locale() {
    let mut server = Server::ready();
    for name in ["tr", "tr_TR.UTF-8", "TR", "tr_TR", "tr@x", "tr.UTF-8"] {
        server.lang = Some(name.into());
        assert_eq!(message(&server, &REMOVE), TR, "{name}");
    }
    for name in ["en_US.UTF-8", "EN", ""] {
        server.lang = Some(name.into());
        assert_eq!(message(&server, &REMOVE), EN, "{name}");
    }
    for name in ["de", "C", "turkish", "tr-", "\u{1b}[31m"] {
        server.lang = Some(name.into());
        let answer = server.api(&REMOVE);
        let expected = if name == "tr-" { TR } else { EN };
        assert_eq!(answer.json()["error"], expected, "{name}");
        assert_eq!(answer.err.lines().count(), usize::from(name != "tr-"), "{}", answer.err);
        assert!(!answer.err.contains('\u{1b}'), "a control character reaches the terminal: {:?}", answer.err);
    }
}

/// What a call says on standard error where the signals that end a program are not handled.
fn unhandled(server: &Server, words: &[&str], lang: Option<&str>) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = Streams { out: &mut out, err: &mut err };
    let environment = Environment { lang: lang.map(str::to_owned), root: None };
    let words = words.iter().map(OsString::from).collect();
    let signals = Err(io::Error::from_raw_os_error(22));
    cli::main(words, &environment, &mut streams, |_| (), |_| Opened { phantom: server.phantom(), signals });
    String::from_utf8(err).unwrap()
}

#[test]
fn signal_note_follows_the_language_rules() {
    const EN: &str =
        "phantom-api: a signal will end a change in the middle: Invalid argument (os error 22)\n";
    const TR: &str = "phantom-api: bir sinyal değişikliği yarıda kesecek: geçersiz değer (hata 22)\n";
    let server = Server::ready();
    let list = ["core", "list_clients"];
    assert_eq!(unhandled(&server, &list, None), EN);
    assert_eq!(unhandled(&server, &list, Some("tr_TR.UTF-8")), TR);
    assert_eq!(unhandled(&server, &["--lang", "tr", "core", "list_clients"], None), TR);
    assert_eq!(unhandled(&server, &["core", "list_clients", "--lang=tr"], Some("en")), TR);
    server.api(&["core", "update_tweak_setting", "setting_name=language", "value=tr"]).ok();
    assert_eq!(unhandled(&server, &list, None), TR);
    assert_eq!(unhandled(&server, &["--lang=en", "core", "list_clients"], None), EN);
}

#[test]
fn help_and_usage_follow_the_same_rules() {
    let mut server = Server::ready();
    server.api(&["core", "update_tweak_setting", "setting_name=language", "value=tr"]).ok();
    assert!(server.api(&["--help"]).out.contains("Kullanım:"));
    assert!(server.api(&[]).err.starts_with("Kullanım:"));
    assert!(server.api(&["--help", "--lang", "en"]).out.contains("Usage:"));
    server.lang = Some("en_GB".into());
    assert!(server.api(&["--help"]).out.contains("Usage:"));
}

#[test]
fn language_is_listed_once_it_is_set() {
    let server = Server::ready();
    let settings = || server.api(&["core", "get_tweak_settings"]).ok();
    assert!(settings().get("language").is_none() && settings().get("language_description").is_none());
    server.api(&["core", "update_tweak_setting", "setting_name=language", "value=en"]).ok();
    assert_eq!(
        (&settings()["language"], &settings()["language_description"]),
        (&"en".into(), &"Language of messages (en or tr)".into())
    );
}

/// A call and the server that answers.
type Situation = (&'static [&'static str], fn() -> Server);

/// More situations, for texts that neither a sample nor an error shows.
const MORE: &[Situation] = &[
    (&["core", "start_service"], Server::ready),
    (&["core", "stop_service"], crate::cases::stopped),
    (&["core", "service_logs"], without_journal),
    (&["core", "setup", "port=51820"], Server::ready),
    (&["core", "setup", "port=443"], Server::ready),
    (&["core", "reconcile"], Server::ready),
    (&["core", "reconcile"], sabotaged),
    (&["core", "reconcile", "dry_run=true"], sabotaged),
    (&["core", "reconcile"], with_stale_objects),
    (&["core", "reconcile", "dry_run=true"], with_an_old_watcher),
    (&["core", "get_tweak_settings"], with_language),
    (&["core", "get_subnet_info"], || connected(with_ghost())),
    (&["core", "get_subnet_info"], with_multihop),
    (&["core", "validate_subnet_change", "new_subnet=172.16.0.0/29"], || connected(far_off())),
    (&["core", "validate_subnet_change", "new_subnet=8.8.8.0/30"], with_ghost),
    (&["core", "validate_subnet_change", "new_subnet=8.0.0.0/7"], Server::ready),
    (&["core", "validate_subnet_change", "new_subnet=10.8.0.0/24"], with_multihop),
    (&["core", "validate_subnet_change", "new_subnet=172.20.0.0/16"], with_multihop),
    (&["core", "validate_subnet_change", "new_subnet=10.9.0.0/29"], || crowded().with(&["d", "e", "f", "g"])),
    (&["core", "change_subnet", "new_subnet=10.8.0.0/24", "confirm=true"], with_multihop),
    (&["core", "setup", "server_ip=192.0.2.7", "subnet=8.8.8.0/30"], Server::bare),
    (&["dns", "change_dns_servers", "primary=2001:db8::1", "secondary=2001:db8::2"], Server::ready),
    (&["dns", "test_dns_servers", "servers=192.0.2.1,192.0.2.2,192.0.2.3"], with_bad_dns),
    (&["dns", "status"], with_bad_dns),
    (&["ghost", "enable", "domain=two.example.com", "self_signed=1"], with_foreign_ipv6),
    (&["ghost", "disable"], with_domain),
    (&["multihop", "disable_multihop"], with_exit),
    (&["multihop", "get_session_log"], with_exit),
    (&["multihop", "get_session_log"], with_all_events),
    (&["multihop", "test_vpn"], without_exit_link),
    (&["multihop", "status"], doctor::with_colliding_exit),
    (&["multihop", "list_exits"], doctor::with_colliding_exit),
    (&["multihop", "import_vpn_config", "config_path=/etc/kept.conf"], with_kept_numbers),
    (&["multihop", "import_vpn_config", "config_path=/etc/lowered.conf"], with_lowered_numbers),
    (&["core", "setup", "server_ip=::1"], Server::bare),
    (&["core", "setup", "subnet=10.8.0.0/33"], Server::bare),
];

/// The log has an event of every kind.
fn with_all_events() -> Server {
    let server = through_exit();
    let insert =
        "INSERT INTO session_records (at, exit, event, details) VALUES (1757380652611290, 'xeovo-uk', ";
    let events = [
        r#"'handshake_warning', '{"seconds":150}'"#,
        r#"'handshake_lost', '{"seconds":181}'"#,
        r#"'reconnect_attempt', '{"number":1}'"#,
        r#"'endpoint_changed', '{"endpoint":"192.0.2.9:51820"}'"#,
        "'reconnected', NULL",
        r#"'exit_switched', '{"old":"nl","new":"xeovo-uk"}'"#,
        "'session_ended', NULL",
    ];
    let database = rusqlite::Connection::open(server.paths().database()).unwrap();
    for event in events {
        database.execute(&format!("{insert}{event})"), ()).unwrap();
    }
    server
}
fn without_exit_link() -> Server {
    let server = through_exit();
    server.fake.cut_link("wg_vpn").unwrap();
    server
}
/// A file whose lines are not used for one reason or another, whose numbers stay, and which leads to a part only.
fn with_kept_numbers() -> Server {
    let more = "MTU = 1400\nAddress = fd00::2/64\nPostUp = true\nTable = off\n";
    with_file("kept", more, "10.0.0.0/8\nPersistentKeepalive = 25")
}
fn with_lowered_numbers() -> Server {
    with_file("lowered", "", "0.0.0.0/0\nPersistentKeepalive = 300")
}
fn with_file(name: &str, more: &str, allowed: &str) -> Server {
    let server = with_john();
    let key = phantom_types::PrivateKey::from_random([0x55; 32]);
    let text = format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.99.0.2/32\n{more}[Peer]\nPublicKey = {}\n\
         Endpoint = 192.0.2.9:51820\nAllowedIPs = {allowed}\n",
        key.reveal().as_str(),
        key.public_key()
    );
    server.fake.put_file(&format!("/etc/{name}.conf"), text.as_bytes(), 0o600, 0);
    server
}
fn crowded() -> Server {
    Server::ready().with(&["a", "b", "c", "server"])
}
/// Clients with high host numbers only.
fn far_off() -> Server {
    let server = Server::ready().with(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    for name in ["a", "b", "c", "d"] {
        server.api(&["core", "remove_client", &format!("client_name={name}")]).ok();
    }
    server
}
fn without_journal() -> Server {
    let mut server = Server::ready();
    server.host.services = std::sync::Arc::new(UnresponsiveHost);
    server
}
fn with_language() -> Server {
    let server = Server::ready();
    server.api(&["core", "update_tweak_setting", "setting_name=language", "value=en"]).ok();
    server
}
fn sabotaged() -> Server {
    let server = with_john();
    server.fake.cut_link("wg_main").unwrap();
    server.fake.flush_firewall();
    server.fake.set_sysctl("net.ipv4.ip_forward", Some("0"));
    server.fake.crash_service("wg-quick@wg_main");
    server.fake.cut_file("/etc/wireguard/wg_main.conf");
    server
}
/// A policy rule, a route, an address, a peer and a file with our tags that nobody wants.
fn with_stale_objects() -> Server {
    let server = with_john();
    let tags = server.tags();
    let protocol = phantom_host::OwnershipTags::PROTOCOL;
    let (from, table) = (Some("10.8.0.0/24".parse().unwrap()), tags.exit_table());
    let (priority, action) = (tags.exit_priority(), phantom_host::RuleAction::Lookup(table));
    let rule = phantom_host::PolicyRule {
        priority,
        ipv6: false,
        from,
        to: None,
        in_interface: None,
        action,
        protocol,
    };
    server.fake.give_rule(&rule).unwrap();
    let destination = "0.0.0.0/0".parse().unwrap();
    let kind = phantom_host::RouteKind::Unreachable;
    server
        .fake
        .give_route(&phantom_host::Route { table, destination, metric: 9, kind, source: None, protocol })
        .unwrap();
    server.fake.give_address("wg_main", "10.99.0.1/24".parse().unwrap()).unwrap();
    server.fake.add_link("dummy0", LinkKind::Other("dummy".into())).unwrap();
    server
}
/// A name whose IPv4 address is this server's and whose IPv6 address is not.
/// An upgrade has replaced the program of a service that runs.
fn with_an_old_watcher() -> Server {
    let server = Server::ready();
    server.fake.replace_program(&doctor::watcher(&server));
    server
}

fn with_foreign_ipv6() -> Server {
    let server = with_john();
    let addresses = ["157.230.114.231", "2001:db8::99"].map(|address| address.parse().unwrap());
    server.fake.set_lookup("two.example.com".parse().unwrap(), Ok(addresses.to_vec()));
    server
}
fn with_bad_dns() -> Server {
    let server = Server::ready();
    server.api(&["dns", "change_dns_servers", "primary=192.0.2.1", "secondary=192.0.2.2"]).ok();
    let refused =
        ProbeError::NoAddress { rcode: "REFUSED".into(), elapsed: std::time::Duration::from_millis(3) };
    server.fake.set_answer("192.0.2.1".parse().unwrap(), None, Err(refused));
    server.fake.set_answer("192.0.2.2".parse().unwrap(), None, Err(ProbeError::Unreachable));
    let answer = DnsAnswer {
        addresses: vec!["192.0.2.9".parse().unwrap()],
        elapsed: std::time::Duration::from_millis(3),
    };
    server.fake.set_answer("192.0.2.2".parse().unwrap(), Some("cloudflare.com".parse().unwrap()), Ok(answer));
    server
}

/// Texts that this test does not bring about, with the reason.
const UNREACHED: [(&str, &str); 5] = [
    ("collision.own_subnet", "an import says it in other words, and a change of the subnet is refused"),
    ("STATE_LOCKED", "somebody has to hold the lock meanwhile: errors.rs says it"),
    ("doctor.packet_filter.1", "the host in memory always has a packet filter"),
    ("doctor.packet_filter.2", "the same"),
    ("expected.ipv6", "no parameter of Core, DNS and Ghost is IPv6 only"),
];

#[test]
fn every_listed_text_has_both_languages() {
    let texts = Texts::read();
    let mut said = Said::default();
    let samples = API.iter().map(|case| (case.words, case.server));
    let failing =
        [errors::WORDS, errors::STATE, errors::GHOST, errors::MULTIHOP, errors::COLLISIONS, errors::HOST]
            .into_iter()
            .flatten()
            .map(|case| (case.words, case.server));
    let doctor = doctor::CONDITIONS.iter().map(|condition| (doctor::WORDS, condition.server));
    for (words, server) in samples.chain(failing).chain(MORE.iter().copied()).chain(doctor) {
        if words.contains(&"--lang") {
            continue;
        }
        let call = |lang| {
            let server = server();
            let words: Vec<&str> = words.iter().chain(&["--lang", lang]).copied().collect();
            server.plain(&server.api(&words)).json()
        };
        let (en, tr) = (call("en"), call("tr"));
        assert_eq!(without(&en), without(&tr), "{words:?}");
        said.compare(&texts, &en, &tr);
    }
    // The sentences of single objects are held by a test of Core: not every object can be lost, or be left, on every host.
    let missing: BTreeSet<&str> =
        texts.ids().filter(|id| !said.ids().contains(*id) && !id.starts_with("step.")).collect();
    let unreached: BTreeSet<&str> = UNREACHED.iter().map(|(id, _)| *id).collect();
    assert_eq!(missing, unreached, "texts that are never said");
}

/// What no language changes: the shape.
fn without(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::Null,
        Value::Array(list) => list.iter().map(without).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), without(value))).collect(),
        other => other.clone(),
    }
}

#[test]
fn causes_and_watcher_reports_are_turkish_too() {
    let server = Server::ready();
    server.fake.fail_service("wg-quick@wg_main", Some(phantom_host::fake::StartFault::Exits));
    let answer = server.api(&["core", "restart_service", "--lang", "tr"]).failed("SERVICE_OPERATION_FAILED");
    let error = answer["error"].as_str().unwrap();
    assert!(
        error.contains("adım başarısız (servis wg-quick@wg_main)") && error.contains("çıkış durumu 1"),
        "{error}"
    );
    let detail = answer["data"]["detail"].as_str().unwrap();
    assert!(error.ends_with(detail) && !detail.contains("step 2"), "{detail}");
    let plain = server.api(&["core", "restart_service"]).failed("SERVICE_OPERATION_FAILED");
    assert!(plain["data"]["detail"].as_str().unwrap().contains("failed (exit status 1)"), "{plain:#}");

    server.fake.put_file("/etc/bad.conf", b"[Interface]\nPrivateKey = nonsense\n", 0o600, 0);
    let words = ["multihop", "import_vpn_config", "config_path=/etc/bad.conf", "--lang", "tr"];
    let answer = server.api(&words).failed("VPN_CONFIG_ERROR");
    assert!(
        answer["error"].as_str().unwrap().contains("anahtar değil: 32 baytın base64 biçimi"),
        "{answer:#}"
    );

    let watched = Server::ready();
    doctor::watcher_fights(&watched);
    let checks = watched.api(&["core", "doctor", "--lang", "tr"]).ok()["checks"].clone();
    let found = checks.as_array().unwrap().iter().find(|check| check["name"] == "watcher").unwrap().clone();
    assert!(found["text"].as_str().unwrap().contains("paket filtresi (7×)"), "{found:#}");
}

/// What goes to standard error is for the person who called.
#[test]
fn notes_and_causes_on_stderr_are_turkish() {
    let server = Server::ready();
    server.fake.fail_service("wg-quick@wg_main", Some(phantom_host::fake::StartFault::Exits));
    let answer = server.api(&["core", "restart_service", "--lang", "tr"]);
    assert!(
        answer.err.contains("SERVICE_OPERATION_FAILED: 'restart_service' servis işlemi başarısız"),
        "{}",
        answer.err
    );
    let left = |text: &str| text.lines().flat_map(phantom_tests::english).collect::<Vec<_>>();
    assert_eq!(left(&answer.err), Vec::<String>::new(), "{}", answer.err);
    assert_eq!(server.api(&["core", "start_service", "--lang", "tr"]).json()["success"], false);

    // A change that was killed is noted by the next one.
    let server = with_john();
    let marker = phantom_store::Marker {
        module: "core".into(),
        action: "add_client".into(),
        started_at: phantom_types::Timestamp::from_micros(1_757_380_307_000_000),
        generation: 0,
        pid: 1,
    };
    phantom_store::Store::new(server.paths().clone()).set_marker(&marker).unwrap();
    let answer = server.api(&["core", "add_client", "client_name=ada", "--lang", "tr"]);
    assert!(answer.err.contains("core add_client yarıda kalmıştı ve tamamlandı"), "{}", answer.err);
    assert_eq!(left(&answer.err), Vec::<String>::new(), "{}", answer.err);
}

#[test]
fn help_has_no_english_left() {
    let mut server = Server::ready();
    server.lang = Some("tr".into());
    let mut pages = vec![server.api(&["--help"]).out, server.api(&[]).err];
    for module in ["core", "dns", "ghost", "multihop"] {
        let help = server.api(&[module, "--help"]).out;
        let names = help.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
        let names: Vec<String> =
            names.filter(|name| name.contains(char::is_lowercase)).map(str::to_owned).collect();
        assert!(names.len() > 2, "{help}");
        pages.extend(names.iter().map(|name| server.api(&[module, name, "--help"]).out));
        pages.push(help);
    }
    for page in pages {
        for line in page.lines() {
            assert_eq!(phantom_tests::english(line), Vec::<String>::new(), "{line}");
        }
    }
}
