//! A web server of the server's own that strangers are shown, with a page for its own machine.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, TcpListener};
use std::sync::mpsc;

use serde_json::{Value, json};

use super::{NAME, PROGRAMS, certificate, enable, named};
use crate::world::{At, SERVER, TestNet, in_world_with, on};

/// A web server at 127.0.0.1:8080 that shows `/server-status` to its own machine, which it knows by loopback and by the public
/// address, and tells everybody else who they are.
fn web_server() {
    let (ready, started) = mpsc::channel();
    on(At::Server, move || {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let from: IpAddr = stream.peer_addr().unwrap().ip();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let local = from.is_loopback() || from.to_string() == SERVER;
            let answer = match (first.as_str(), local) {
                ("GET /server-status HTTP/1.1", true) => "200 OK\r\n\r\nall visitors".to_owned(),
                ("GET /server-status HTTP/1.1", false) => "403 Forbidden\r\n\r\n".to_owned(),
                ("GET / HTTP/1.1", _) => format!("200 OK\r\n\r\nyou are {from}"),
                _ => "404 Not Found\r\n\r\n".to_owned(),
            };
            let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes());
        }
    });
    started.recv().unwrap();
}

/// What a stranger gets.
fn visit(world: &TestNet, path: &str) -> String {
    world.sh_at(
        At::Client2,
        &format!(
            "printf 'GET {path} HTTP/1.1\\r\\nHost: {NAME}\\r\\nConnection: close\\r\\n\\r\\n' |
             timeout 30 openssl s_client -quiet -connect {SERVER}:443 -servername {NAME} 2> /dev/null || true"
        ),
    )
}

#[test]
fn strangers_are_not_local_to_web_server() {
    const TEST: &str = "ghost::decoy::strangers_are_not_local_to_web_server";
    in_world_with(TEST, &PROGRAMS, |world| {
        world.setup();
        certificate(world);
        named(world);
        web_server();
        let enabled = enable(world, &["decoy=http://127.0.0.1:8080"]);
        let lets_in =
            |text: &Value| text.as_str().unwrap().ends_with("lets in 10.8.0.0/24 lets strangers in too");
        let warnings = enabled["warnings"].as_array().unwrap();
        assert!(warnings.len() == 1 && lets_in(&warnings[0]), "{enabled}");
        assert!(visit(world, "/").ends_with("you are 10.8.0.1"), "{}", visit(world, "/"));
        let page = visit(world, "/server-status");
        assert!(page.starts_with("HTTP/1.1 403 "), "{page}");
        // The address goes with the service and comes with it: strangers take no other way meanwhile.
        world.ok(&["core", "stop_service"]);
        for path in ["/", "/server-status"] {
            let page = visit(world, path);
            assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
        }
        let check = |world: &TestNet| {
            let checks = world.ok(&["core", "doctor"])["checks"].take();
            let found = checks.as_array().unwrap().iter().find(|check| check["name"] == "decoy").cloned();
            found.unwrap_or(Value::Null)
        };
        let silent = check(world);
        assert!(
            silent["text"].as_str().unwrap().contains("does not answer connections from 10.8.0.1"),
            "{silent}"
        );
        world.ok(&["core", "start_service"]);
        assert!(visit(world, "/").ends_with("you are 10.8.0.1"));
        let found = check(world);
        assert!(found["state"] == "warning" && lets_in(&found["text"]), "{found}");
        world.ok(&["ghost", "disable"]);
        let source = format!("decoy_source={SERVER}");
        let enabled = enable(world, &["decoy=http://127.0.0.1:8080", &source]);
        let warnings = enabled["warnings"].as_array().unwrap();
        assert!(
            warnings.len() == 1 && warnings[0].as_str().unwrap().ends_with(": /server-status"),
            "{enabled}"
        );
        assert_eq!(check(world)["state"], "warning");
        assert!(visit(world, "/").ends_with(&format!("you are {SERVER}")));
        let decoy = world.ok(&["ghost", "status"])["decoy"].take();
        assert_eq!(decoy, json!({ "web_server": "http://127.0.0.1:8080", "source": SERVER, "proxy": null }));
    });
}
