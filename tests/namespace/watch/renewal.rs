//! After an upgrade: services that clients do not notice are started again with the new programs, others are not.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::world::{TestNet, answer_of, backend, in_world, programs, setup_words};

/// Where the programs of this test are: they are replaced.
const FOLDER: &str = "/opt/programs";

fn ok(words: &[&str]) -> Value {
    let mut command = Command::new(format!("{FOLDER}/phantom-api"));
    command.env_remove("PHANTOM_LANG").env_remove("PHANTOM_ROOT").arg("--compact").stdin(Stdio::null());
    let answer = answer_of(words, &command.args(words).output().unwrap());
    assert_eq!(answer["success"], true, "{words:?}: {answer:#}");
    answer["data"].clone()
}

/// Puts a program there, as a package manager does: another file of the same name.
fn put(world: &TestNet, program: &str) {
    world.sh(&format!("install -m 755 {}/{program} {FOLDER}/{program}", programs().display()));
}

fn process(world: &TestNet, service: &str) -> String {
    world.sh(&format!("cut -d ' ' -f 1 /run/phantom-wg/{service}.pid")).trim().to_owned()
}

#[test]
fn reconcile_restarts_old_programs_without_traffic() {
    in_world("watch::renewal::reconcile_restarts_old_programs_without_traffic", |world| {
        let all = ["phantom-api", "phantom-wg-device", "phantom-watch"];
        std::fs::create_dir(FOLDER).unwrap();
        for program in all {
            put(world, program);
        }
        let (ip, backend_word) = setup_words();
        ok(&["core", "setup", &ip, &backend_word]);
        let embedded = backend() == "embedded";
        let device = || if embedded { process(world, "wg-quick@wg_main") } else { String::new() };
        let (watcher, device_before) = (process(world, "phantom-watch"), device());
        assert_eq!(ok(&["core", "reconcile"])["in_sync"], true);

        for program in all {
            put(world, program);
        }
        let plan = ok(&["core", "reconcile", "dry_run=true", "--lang", "tr"]);
        let step = json!({
            "kind": "service", "action": "update", "target": "phantom-watch", "result": "planned",
            "detail": "Hâlâ eski programı çalıştıran servisi yeniden başlat",
        });
        assert_eq!((&plan["steps"], &plan["in_sync"]), (&json!([step]), &json!(false)), "{plan:#}");
        // A change is no upgrade: it leaves the service as it is.
        ok(&["core", "add_client", "client_name=one"]);
        ok(&["core", "restart_service"]);
        assert_eq!(process(world, "phantom-watch"), watcher);
        let device_after = device();
        assert!(!embedded || device_after != device_before, "restart_service brings the new device");

        let done = ok(&["core", "reconcile"]);
        assert_eq!(
            (&done["changed"], done["steps"].as_array().unwrap().len()),
            (&json!(true), 1),
            "{done:#}"
        );
        assert_ne!(process(world, "phantom-watch"), watcher);
        assert_eq!(device(), device_after);
        assert_eq!(ok(&["core", "reconcile"])["in_sync"], true);

        // The device carries packets.
        for program in all {
            put(world, program);
        }
        ok(&["core", "reconcile"]);
        assert_eq!(device(), device_after);
    });
}
