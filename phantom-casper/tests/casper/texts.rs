//! What is printed: the samples of the API in both languages and for programs.

use phantom_ghost_state::CertificateSource;
use serde_json::{Value, json};

use crate::world::{CASPER, CASPER_IOS, CasperFixture, SECRET, Said, golden, is_root};

#[test]
fn text_matches_contract_in_both_languages() {
    if !is_root("text_matches_contract_in_both_languages") {
        return;
    }
    let world = CasperFixture::active();
    assert_eq!(world.text(&["demo-casper"]), golden("export.en.txt"));
    assert_eq!(world.text(&["--lang", "en", "demo-casper"]), golden("export.en.txt"));
    assert_eq!(world.text(&["--lang", "tr", "demo-casper"]), golden("export.tr.txt"));
}

#[test]
fn rules_are_80_columns_without_trailing_blanks() {
    if !is_root("rules_are_80_columns_without_trailing_blanks") {
        return;
    }
    for lang in ["en", "tr"] {
        let text = CasperFixture::active().text(&["--lang", lang, "demo-casper"]);
        let rules = text.lines().filter(|line| line.starts_with("==") || line.starts_with("--"));
        let lengths: Vec<usize> = rules.map(str::len).collect();
        assert_eq!(lengths, [80; 10], "{text}");
        assert!(text.lines().all(|line| line.trim_end() == line) && text.ends_with("=\n"), "{text}");
    }
}

#[test]
fn json_matches_contract_and_other_command() {
    if !is_root("json_matches_contract_and_other_command") {
        return;
    }
    let world = CasperFixture::active();
    let expected: Value = serde_json::from_str(&golden("export.json")).unwrap();
    let text = world.text(&["--json", "demo-casper"]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    assert!(text.ends_with("}\n"), "{text}");
    let ios = |words: &[&str]| Said::from(world.program(CASPER_IOS).args(words).output().unwrap());
    let same = Said { exit: 0, out: text.clone(), err: String::new() };
    assert_eq!(ios(&["demo-casper"]), same);
    assert_eq!(ios(&["--json", "demo-casper"]), same);
    // Nothing in it is a sentence.
    assert_eq!(world.text(&["--json", "--lang=tr", "demo-casper"]), text);
}

#[test]
fn configuration_always_leads_into_the_tunnel() {
    if !is_root("configuration_always_leads_into_the_tunnel") {
        return;
    }
    let world = CasperFixture::active();
    for endpoint in ["vpn.example.com", "2001:db8::9", "198.51.100.7"] {
        world.set_server(|server| {
            (server.endpoint, server.port) = (Some(endpoint.parse().unwrap()), 4500);
            server.ipv6 = Some("2001:db8::10".parse().unwrap());
        });
        assert_eq!(world.line("Endpoint"), "127.0.0.1:4500");
        let text = world.text(&["demo-casper"]);
        let line = "        -L udp://127.0.0.1:4500:127.0.0.1:4500 wss://157-230-114-231.sslip.io:443";
        assert!(text.lines().any(|found| found.starts_with(line)), "{text}");
        let value: Value = serde_json::from_str(&world.text(&["--json", "demo-casper"])).unwrap();
        let tunnel = json!({
            "local_port": 4500, "remote_host": "127.0.0.1", "remote_port": 4500, "secret": SECRET,
            "url": "wss://157-230-114-231.sslip.io:443", "server_addresses": "157.230.114.231"
        });
        assert_eq!((&value["wstunnel"], &value["peer"]["endpoint"]), (&tunnel, &"127.0.0.1:4500".into()));
    }
}

#[test]
fn changes_appear_in_the_next_export() {
    if !is_root("changes_appear_in_the_next_export") {
        return;
    }
    let world = CasperFixture::active();
    world.set_dns("9.9.9.9", "2620:fe::fe");
    assert_eq!(world.line("DNS"), "9.9.9.9, 2620:fe::fe");
    world.set_ghost(|ghost| ghost.domain = "vpn.example.com".parse().unwrap());
    assert!(world.text(&["demo-casper"]).contains("\nServer: vpn.example.com\n"));
    assert_eq!((world.line("MTU"), world.line("PersistentKeepalive")), ("1420".into(), "25".into()));
}

#[test]
fn certificate_is_verified_where_possible() {
    if !is_root("certificate_is_verified_where_possible") {
        return;
    }
    let world = CasperFixture::active();
    let operator = CertificateSource::Operator { cert_path: "/c".into(), key_path: "/k".into() };
    for (source, verified) in
        [(CertificateSource::Acme, true), (operator, true), (CertificateSource::SelfSigned, false)]
    {
        world.set_ghost(|ghost| ghost.certificate = source.clone());
        let text = world.text(&["demo-casper"]);
        assert_eq!(text.contains(":443 --tls-verify-certificate\n"), verified, "{source:?}: {text}");
        assert_eq!(text.contains(":443\n"), !verified);
    }
}

#[test]
fn created_is_the_time_of_printing() {
    if !is_root("created_is_the_time_of_printing") {
        return;
    }
    let world = CasperFixture::active();
    #[expect(clippy::disallowed_methods, reason = "the command asks the machine's clock")]
    let now = || phantom_types::Timestamp::from(std::time::SystemTime::now()).date_and_time();
    for (lang, word) in [("en", "Created: "), ("tr", "Oluşturulma: ")] {
        let before = now();
        let said = world.program(CASPER).args(["--lang", lang, "demo-casper"]).output().unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        let printed = text.lines().find_map(|line| line.strip_prefix(word)).unwrap();
        // The client was added in 2025.
        assert!(before.as_str() <= printed && printed <= now().as_str(), "{printed}");
    }
}

#[test]
fn file_name_is_unique_to_the_client() {
    if !is_root("file_name_is_unique_to_the_client") {
        return;
    }
    let world = CasperFixture::active();
    let long = "sales-department-of-the-northern-region-notebook";
    let file = |name: &str| {
        let value: Value = serde_json::from_str(&world.text(&["--json", name])).unwrap();
        value["file_name"].as_str().unwrap().to_owned()
    };
    for at in 1..=3 {
        world.add_with_key(&format!("{long}-{at}"), at);
    }
    let files = [1, 2, 3].map(|at| file(&format!("{long}-{at}")));
    assert!(files.iter().all(|file| file.len() <= 15 + ".conf".len()), "{files:?}");
    assert!(files[0] != files[1] && files[1] != files[2] && files[0] != files[2], "{files:?}");
    assert_eq!(file("demo-casper"), "demo-casper.t1.conf");
}

#[test]
fn port_is_that_of_the_front_server() {
    if !is_root("port_is_that_of_the_front_server") {
        return;
    }
    let world = CasperFixture::active();
    world.set_ghost(|ghost| {
        let (socket, group) = ("/run/phantom-web/http".into(), "www-data".to_owned());
        ghost.front = Some(phantom_ghost_state::Front { socket, group, public_port: 8443 });
    });
    let text = world.text(&["demo-casper"]);
    assert!(text.contains(" wss://157-230-114-231.sslip.io:8443 --tls-verify-certificate\n"), "{text}");
    let value: Value = serde_json::from_str(&world.text(&["--json", "demo-casper"])).unwrap();
    assert_eq!(value["wstunnel"]["url"], "wss://157-230-114-231.sslip.io:8443");
}
