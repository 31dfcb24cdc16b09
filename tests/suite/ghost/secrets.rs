//! Each client's own secret for the tunnel, and the operator's beside them.

use std::collections::BTreeMap;
use std::fs;

use phantom_ghost::program::fake::FakeTunnel as _;
use phantom_tests::Server;
use phantom_types::PublicKey;
use serde_json::{Value, json};

use super::{DISABLE, LOCAL, configuration};
use crate::cases::{ENABLE, with_ghost, with_john};

/// What the keeper reads of the clients: secrets by keys, behind the line with the mark.
fn listed(server: &Server) -> BTreeMap<String, String> {
    let text = fs::read_to_string(server.paths().run_dir().join("ghost-clients")).unwrap();
    let (mark, lines) = text.split_once('\n').unwrap();
    assert!(mark.starts_with(&format!("# {}:", server.tags().tag())), "{mark}");
    let lines = lines.lines().map(|line| line.split_once(' ').unwrap());
    lines.map(|(key, secret)| (key.to_owned(), secret.to_owned())).collect()
}

fn stored(server: &Server, name: &str) -> (String, String) {
    let client = server.store().read(|state| state.client(&name.parse().unwrap())).unwrap().unwrap();
    (client.public_key.to_string(), client.tunnel_secret.for_tunnel().reveal().to_string())
}

fn tweak(server: &Server, value: &str) -> Value {
    let value = format!("value={value}");
    server.api(&["core", "update_tweak_setting", "setting_name=ghost_operator_secret", &value]).ok()
}

#[test]
fn each_client_keeps_its_own_secret() {
    let server = with_ghost();
    server.api(&["core", "add_client", "client_name=phone"]).ok();
    let expected: BTreeMap<_, _> = ["john-laptop", "phone"].map(|name| stored(&server, name)).into();
    assert_eq!(listed(&server), expected);
    assert!(expected.values().all(|secret| secret.len() == 64), "{expected:?}");
    server.assert_in_sync();
    let operators = configuration(&server)["secrets"].clone();
    assert!(expected.values().all(|secret| operators != json!([secret])));
    // The same after Ghost Mode was off, although the operator's own is another one.
    server.api(&DISABLE).ok();
    assert!(!server.paths().run_dir().join("ghost-clients").exists());
    server.api(ENABLE).ok();
    assert_eq!(listed(&server), expected);
    assert_ne!(configuration(&server)["secrets"], operators);
    // A removed client opens no tunnel any more, and all others go on.
    server.api(&["core", "remove_client", "client_name=phone"]).ok();
    assert_eq!(listed(&server), BTreeMap::from([stored(&server, "john-laptop")]));
    server.assert_in_sync();
    // A client of the same name is another client.
    server.api(&["core", "add_client", "client_name=phone"]).ok();
    let (key, secret) = stored(&server, "phone");
    assert!(!expected.contains_key(&key) && !expected.values().any(|before| *before == secret));
    assert_eq!(listed(&server).get(&key), Some(&secret));
    server.assert_in_sync();
}

#[test]
fn lost_or_changed_list_is_rewritten() {
    let server = with_ghost();
    let path = server.paths().run_dir().join("ghost-clients");
    let whole = listed(&server);
    let mark = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
    for spoilt in [None, Some(format!("{mark}\nnonsense\n"))] {
        match spoilt {
            None => fs::remove_file(&path).unwrap(),
            Some(text) => fs::write(&path, text).unwrap(),
        }
        server.api(&["core", "reconcile"]).ok();
        assert_eq!(listed(&server), whole);
        server.assert_in_sync();
    }
    fs::remove_file(&path).unwrap();
    server.api(&["core", "add_client", "client_name=phone"]).ok();
    assert_eq!(listed(&server).len(), 2);
    server.assert_in_sync();
}

/// Whatever fails on the way, the list is that of the stored clients afterwards.
#[test]
fn failed_removal_keeps_the_client_secret() {
    let server = with_ghost();
    let before = listed(&server);
    for words in
        [["core", "add_client", "client_name=phone"], ["core", "remove_client", "client_name=john-laptop"]]
    {
        for write in 1.. {
            server.fake.reset_writes();
            server.fake.refuse_write(write);
            let answer = server.api(&words);
            server.fake.reset_writes();
            if answer.success() {
                assert!(write > 2, "nothing was refused");
                break;
            }
            assert_eq!(listed(&server), before, "{words:?} {write}");
            server.assert_in_sync();
        }
        let undo: &[&str] = match words[1] {
            "add_client" => &["core", "remove_client", "client_name=phone"],
            _ => &["core", "add_client", "client_name=john-laptop"],
        };
        server.api(undo).ok();
    }
}

#[test]
fn the_operators_secret_can_be_ended() {
    let server = with_ghost();
    let settings = || server.api(&["core", "get_tweak_settings"]).ok();
    let status = || server.api(&["ghost", "status"]).ok();
    let (before, secret) = (status(), configuration(&server)["secrets"][0].clone());
    assert_eq!(settings()["ghost_operator_secret"], true);
    let updated = tweak(&server, "false");
    assert_eq!((&updated["old_value"], &updated["new_value"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&settings()["ghost_operator_secret"], &configuration(&server)["secrets"]),
        (&json!(false), &json!([]))
    );
    server.assert_in_sync();
    // Answers show it as before.
    assert_eq!((&status()["secret"], &status()["status"]), (&before["secret"], &json!("active")));
    assert_eq!(status()["connection_command"], before["connection_command"]);
    // The tunnel is still tried when Ghost Mode is enabled, and then it is ended again.
    server.api(&DISABLE).ok();
    server.fake.deafen_tunnel(Some("it says no"));
    server.api(&LOCAL).failed("GHOST_MODE_ERROR");
    assert_eq!(settings()["ghost_operator_secret"], false);
    server.fake.deafen_tunnel(None);
    server.api(ENABLE).ok();
    assert_eq!(
        (&settings()["ghost_operator_secret"], &configuration(&server)["secrets"]),
        (&json!(false), &json!([]))
    );
    server.assert_in_sync();
    // And it begins again where it was.
    tweak(&server, "true");
    assert_ne!(configuration(&server)["secrets"][0], secret);
    assert_eq!(configuration(&server)["secrets"].as_array().unwrap().len(), 1);
    server
        .api(&["core", "update_tweak_setting", "setting_name=ghost_operator_secret", "value=maybe"])
        .failed("INVALID_PARAMETER");
}

#[test]
fn setting_is_kept_while_ghost_is_off() {
    let server = with_john();
    tweak(&server, "false");
    server.assert_in_sync();
    assert_eq!(server.api(&["core", "get_tweak_settings"]).ok()["ghost_operator_secret"], false);
}

#[test]
fn doctor_names_clients_with_operator_secret() {
    let server = with_ghost();
    server.api(&["core", "add_client", "client_name=phone"]).ok();
    let check = || {
        let report = server.api(&["core", "doctor"]).ok();
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == "tunnel_secrets").unwrap().clone()
    };
    let from = |name: &str, endpoint: &str| {
        let key: PublicKey = stored(&server, name).0.parse().unwrap();
        let interface = "wg_main";
        assert!(server.fake.set_peer_traffic(interface, &key, endpoint.parse().ok(), None, (1, 1)));
    };
    from("john-laptop", "127.0.0.1:40001");
    from("phone", "127.0.0.1:40002");
    assert_eq!(check()["state"], "ok", "both come by their own");
    server.fake.open_shared_tunnels(&[40_000, 40_002]);
    let found = check();
    assert_eq!(found["state"], "warning");
    assert_eq!(found["text"], "Connected by the operator's secret in place of their own (1): phone");
    // The same port elsewhere is another one.
    from("phone", "192.0.2.1:40002");
    assert_eq!(check()["state"], "ok");
    tweak(&server, "false");
    assert_eq!(check()["text"], "Only the clients' own secrets open a tunnel");
}
