//! A backup that is restored: clients keep or get back their access, and a restore that fails or is killed leaves the state of
//! before.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::crashes::{self, Victim};
use crate::faults::{self, Refused};
use crate::ping::Steady;
use crate::world::{At, TestNet, in_world, wait_for};

const BACKUP: &str = "path=/run/backup.db";

/// A client more than there is in the backup.
fn one_more(world: &TestNet) {
    if !Path::new("/run/backup.db").exists() {
        world.ok(&["core", "backup", BACKUP]);
    }
    world.call(&["core", "add_client", "client_name=extra"]);
}

#[test]
fn removed_client_returns_unnoticed_by_others() {
    in_world("copies::removed_client_returns_unnoticed_by_others", |world| {
        world.setup();
        world.connect(At::Client1, &world.add("one"));
        world.connect(At::Client2, &world.add("two"));
        for at in [At::Client1, At::Client2] {
            world.reaches(at, "10.8.0.1");
        }
        world.ok(&["core", "backup", BACKUP]);
        world.ok(&["core", "remove_client", "client_name=two"]);
        world.ok(&["core", "add_client", "client_name=three"]);
        world.does_not_reach(At::Client2, "10.8.0.1");
        let shown = world.ok(&["core", "restore", BACKUP, "dry_run=true"]);
        let lists = (&shown["changes"]["returning"], &shown["changes"]["lost"]);
        assert_eq!(lists, (&json!(["two"]), &json!(["three"])), "{shown:#}");
        let ping = Steady::start(At::Client1, "10.8.0.1", Duration::from_millis(20));
        assert!(wait_for(Duration::from_secs(10), || ping.sent() > 5));
        let restored = world.ok(&["core", "restore", BACKUP]);
        let (sent, answered) = ping.stop();
        assert_eq!(sent - answered, 0, "{restored:#}");
        world.begin_anew(At::Client2);
        world.reaches(At::Client2, "10.8.0.1");
        world.in_sync();
        let mode = |path: &str| world.sh(&format!("stat -c '%a %U' {path}"));
        assert_eq!(mode("/run/backup.db"), "600 root\n");
        assert_eq!(mode(restored["kept"].as_str().unwrap()), "600 root\n");
        assert_eq!(mode("/opt/phantom-wg/backups/state"), "700 root\n");
    });
}

#[test]
fn restore_refused() {
    let words = &["core", "restore", BACKUP];
    let refused = Refused { words, code: "SERVICE_OPERATION_FAILED", prepare: one_more };
    faults::refuse("copies::restore_refused", &refused);
}

#[test]
fn restore_killed() {
    let words = |_| ["core", "restore", BACKUP].map(str::to_owned).to_vec();
    crashes::kill("copies::restore_killed", &Victim { words, prepare: one_more });
}
