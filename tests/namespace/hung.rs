//! A device whose process hangs: it takes questions and answers none.

use std::time::{Duration, Instant};

use phantom_api::{Call, Host, Lang, Paths, Phantom, Programs, Store, linux_options};
use phantom_core::actions::ServerStatus;
use serde_json::{Value, json};

use crate::world::{TestNet, answer_of, api, backend, in_world, note, programs};

/// More than a read and a change may take, and less than what a hung device held them up for without being given up.
const READ: Duration = Duration::from_secs(10);
const CHANGE: Duration = Duration::from_secs(20);
/// What somebody waits at most who stops or restarts it.
const ENDED: Duration = Duration::from_secs(5);

/// Stops the process of a device; gives its number.
pub(crate) fn stop(world: &TestNet, device: &str) -> String {
    let pid = world.sh(&format!("pgrep -f 'phantom-wg-device.* {device}' | head -n 1")).trim().to_owned();
    assert!(!pid.is_empty(), "there is no such process");
    world.sh(&format!("kill -STOP {pid}"));
    pid
}

#[test]
fn a_hung_device_holds_nobody_up() {
    let test = "hung::a_hung_device_holds_nobody_up";
    in_world(test, |world| {
        if backend() == "kernel" {
            note(test, "the kernel's WireGuard has no process");
            return;
        }
        world.setup();
        world.add("one");
        let pid = stop(world, "wg_main");
        let silent = json!([format!("embedded WireGuard device wg_main (process {pid})")]);

        let start = Instant::now();
        let status = world.ok(&["core", "server_status"]);
        assert!(start.elapsed() < READ, "a status took {:?}", start.elapsed());
        assert_eq!(
            (&status["unknown"], &status["interface"]["active"]),
            (&silent, &json!(false)),
            "{status:#}"
        );
        assert_eq!(status["clients"]["active_connections"], 0);
        assert_eq!(
            status.as_object().unwrap().keys().next_back().unwrap(),
            "unknown",
            "it is the last field"
        );
        // A program that embeds the modules learns the same.
        let paths = Paths::default();
        let host = Host::linux(linux_options(&paths, Programs::in_dir(programs())));
        let phantom = Phantom::builder(host, Store::new(paths)).all_modules().build().unwrap();
        let typed = phantom.call(ServerStatus {}, &Call::new(Lang::En)).unwrap();
        assert_eq!((json!(typed.unknown), typed.output.interface.active), (silent.clone(), false));
        let list = world.ok(&["core", "list_clients"]);
        assert_eq!((&list["unknown"], &list["total"]), (&silent, &json!(1)), "{list:#}");

        let start = Instant::now();
        let words = ["core", "add_client", "client_name=two"];
        let output = api().args(words).output().unwrap();
        assert!(start.elapsed() < CHANGE, "a change took {:?}", start.elapsed());
        let answer = answer_of(&words, &output);
        assert_eq!(answer["code"], "SERVICE_OPERATION_FAILED", "{answer:#}");
        assert_eq!(answer["data"]["rolled_back"], true, "{answer:#}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(&format!("(process {pid}) has not answered")), "{errors}");

        // It goes on, and nothing that was rolled back comes after all.
        world.sh(&format!("kill -CONT {pid}"));
        world.in_sync();
        let status = world.ok(&["core", "server_status"]);
        assert_eq!(
            (&status["unknown"], &status["interface"]["active"]),
            (&Value::Null, &json!(true)),
            "{status:#}"
        );
        assert_eq!(world.ok(&["core", "list_clients"])["total"], 1);
    });
}

/// Nothing else brings such a device back, and the port that its process holds is the server's own.
#[test]
fn hung_device_ends_by_restart_and_stop() {
    let test = "hung::hung_device_ends_by_restart_and_stop";
    in_world(test, |world| {
        if backend() == "kernel" {
            note(test, "the kernel's WireGuard has no process");
            return;
        }
        world.setup();
        world.add("one");
        for action in ["restart_service", "stop_service"] {
            let pid = stop(world, "wg_main");
            let doctor = world.ok(&["core", "doctor"]);
            let port =
                doctor["checks"].as_array().unwrap().iter().find(|one| one["name"] == "wireguard_port");
            assert!(port.unwrap()["text"].as_str().unwrap().contains("does not answer"), "{doctor:#}");
            let start = Instant::now();
            world.ok(&["core", action]);
            assert!(start.elapsed() < ENDED, "{action} took {:?}", start.elapsed());
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            assert!(state.is_empty() || state.contains(") Z "), "{action}: it lives on: {state}");
            world.in_sync();
        }
        world.ok(&["core", "start_service"]);
        let status = world.ok(&["core", "server_status"]);
        assert_eq!((&status["unknown"], &status["interface"]["active"]), (&Value::Null, &json!(true)));
        assert_eq!(world.ok(&["core", "list_clients"])["total"], 1);
    });
}
