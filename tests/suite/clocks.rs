//! Clients whose clock was set back, as the doctor and the log name them.

use phantom_tests::{SERVER_IP, Server};

/// A server with the embedded device and the client `john`.
pub(crate) fn embedded() -> Server {
    let server = Server::bare();
    server.fake.set_kernel_wireguard(false);
    server.api(&["core", "setup", &format!("server_ip={SERVER_IP}")]).ok();
    server.api(&["core", "add_client", "client_name=john"]).ok();
    server
}

/// The clock of `john` is set back.
pub(crate) fn set_back(server: &Server) {
    let john = server.store().read(|state| state.client(&"john".parse().unwrap())).unwrap().unwrap();
    server.fake.set_back_clock(&john.public_key, true);
}

#[test]
fn client_with_clock_set_back_is_named() {
    let server = embedded();
    set_back(&server);
    let check = |lang: &str| {
        let answer = server.api(&["core", "doctor", "--lang", lang]).ok();
        let checks = answer["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == "client_clocks").unwrap().clone()
    };
    for (lang, begins) in [("en", "The clocks of these"), ("tr", "Şu istemcilerin saati")] {
        let found = check(lang);
        let text = found["text"].as_str().unwrap();
        assert!(
            found["state"] == "warning" && text.starts_with(begins) && text.ends_with(": john"),
            "{found}"
        );
        assert!(found["hint"].as_str().unwrap().contains("phantom-api core restart_service"), "{found}");
    }
    let john = server.store().read(|state| state.client(&"john".parse().unwrap())).unwrap().unwrap();
    server.fake.set_back_clock(&john.public_key, false);
    assert_eq!(check("en")["state"], "ok");
    // The log of the device has the network only; who reads it by the API is told the name.
    let line =
        "wg_main: the peer 10.8.0.2/32 is refused: its handshakes are older than one that it began before";
    server.fake.put_log(
        "wg-quick@wg_main",
        &[
            line,
            "wg_main: ended",
            "x the peer 10.8.9.9/32 is refused: y",
            // A network behind the client comes first.
            "x the peer 10.1.0.0/24, 10.8.0.2/32 is refused: y",
        ],
    );
    let logs = server.api(&["core", "service_logs"]).ok()["logs"].clone();
    assert_eq!(
        logs[0],
        "wg_main: the client john (10.8.0.2/32) is refused: its handshakes are older than one that it began before"
    );
    assert_eq!(
        (&logs[1], &logs[2]),
        (&"wg_main: ended".into(), &"x the peer 10.8.9.9/32 is refused: y".into())
    );
    assert_eq!(logs[3], "x the client john (10.1.0.0/24, 10.8.0.2/32) is refused: y");
}
