//! A reset that is killed anywhere is finished by the next run, by the command at boot, or by any change.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{PROGRAMS, an_exit, assert_new, host_of_others, others, run, start, text, used};
use crate::look::assert_same_lines;
use crate::ping::ping;
use crate::world::{At, INTERNET, SERVER, TestNet, in_world_with, long, note, programs};

/// Runs it with a fault; whether it was killed.
fn faulty(fault: &str) -> (bool, String) {
    let mut command = Command::new(programs().join("factory-reset-faulty"));
    let output = start(command.env("PHANTOM_FAULT", fault), &["--yes"], "");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.signal() == Some(9), errors)
}

/// Calls of the kernel that change files, and those that wait for the disk.
const CALLS: &str = "openat,mkdir,rename,renameat2,unlink,unlinkat,rmdir,fsync,fdatasync,pwrite64";

#[test]
fn reset_killed_at_any_step_is_finished() {
    let test = "factory_reset::cut_short::reset_killed_at_any_step_is_finished";
    in_world_with(test, &PROGRAMS, |world| {
        others(world);
        let before = host_of_others(world);
        used(world);
        let (killed, errors) = faulty("refuse:0");
        assert!(!killed);
        let writes = errors.lines().find_map(|line| line.strip_prefix("factory-reset-faulty: writes: "));
        let writes: usize = writes.unwrap_or_else(|| panic!("{errors}")).parse().unwrap();
        let before_each = (1..=writes).map(|at| format!("kill-before:{at}"));
        let behind = (if long() { 1 } else { writes }..=writes).map(|at| format!("kill-after:{at}"));
        let mut closed = 0;
        for (number, fault) in before_each.chain(behind).enumerate() {
            let old = used_again(world);
            world.connect(At::Client1, &world.export("anna").replace("vpn.example.org", SERVER));
            world.reaches(At::Client1, INTERNET);
            an_exit(world);
            let (killed, errors) = faulty(&fault);
            assert!(killed, "{fault}: {errors}");
            // From the closing of the packet filter on nothing of a client gets out, whatever stands or not.
            if world.sh("nft list table inet phantom_wg 2>&1 || true").contains("masquerade") {
                assert_eq!(closed, 0, "{fault}: the filter is open again");
            } else {
                closed += 1;
                assert!(!ping(At::Client1, INTERNET, 1), "{fault}: a packet got out");
            }
            world.disconnect(At::Client1);
            finish(world, number, &fault);
            assert_new(world, &old);
            assert_same_lines(&before, &host_of_others(world), &fault);
        }
        assert!(closed > 3, "the packet filter was hardly ever closed");
        note(
            test,
            &format!("{writes} writes, each run killed and finished, {closed} looks behind a closed filter"),
        );
    });
}

/// Whether a reset was written down that is not finished.
fn begun() -> bool {
    ["/opt/phantom-wg/data/reset.db", "/run/phantom-wg/changing"].iter().any(|file| Path::new(file).exists())
}

/// Lets somebody else finish.
fn finish(world: &TestNet, number: usize, fault: &str) {
    match number % 3 {
        0 => drop(text(&run(&["--yes"], ""), 0)),
        1 => {
            let report = world.ok(&["core", "reconcile"]);
            let recovered = (&report["recovered"]["action"], &report["recovered"]["outcome"]);
            assert_eq!(recovered, (&json!("factory_reset"), &json!("completed")), "{fault}: {report:#}");
        }
        _ => {
            world.ok(&["core", "add_client", "client_name=next"]);
            world.ok(&["core", "remove_client", "client_name=next"]);
        }
    }
}

/// Brings a server that was reset to where it is worth resetting.
fn used_again(world: &TestNet) -> Value {
    for name in ["anna", "bert"] {
        world.call(&["core", "add_client", &format!("client_name={name}")]);
    }
    world.ok(&["dns", "change_dns_servers", "primary=9.9.9.9"]);
    world.ok(&["core", "update_tweak_setting", "setting_name=block_ipv6_leak", "value=false"]);
    world.sh("mkdir -p /opt/phantom-wg/config/decoy; echo page > /opt/phantom-wg/config/decoy/index.html");
    world.ok(&["core", "setup"])
}

/// Runs it, and kills it behind one of its calls of the kernel; whether it came so far.
fn killed_behind(call: usize) -> bool {
    let mut command = Command::new("strace");
    let inject = format!("inject={CALLS}:signal=SIGKILL:when={call}");
    command.args([
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={CALLS}"),
        "-e",
        &inject,
        "-e",
        "signal=none",
    ]);
    let output = start(command.arg(programs().join("factory-reset")), &["--yes"], "");
    output.status.signal() == Some(9) || output.status.code() == Some(128 + 9)
}

#[test]
fn reset_killed_at_any_file_is_finished() {
    let test = "factory_reset::cut_short::reset_killed_at_any_file_is_finished";
    in_world_with(test, &["openssl", "strace"], |world| {
        others(world);
        let before = host_of_others(world);
        used(world);
        text(&run(&["--yes"], ""), 0);
        let stride = if long() { 1 } else { 7 };
        let (mut number, mut untouched) = (0, 0);
        for call in (1..).step_by(stride) {
            let old = used_again(world);
            an_exit(world);
            if !killed_behind(call) {
                break;
            }
            let what = format!("call {call}");
            number += 1;
            if begun() {
                finish(world, number, &what);
            } else if world.ok(&["core", "setup"])["public_key"] == old["public_key"] {
                // Killed before anything was written down: the server is the old one.
                assert_eq!(world.ok(&["core", "list_clients"])["total"], 2, "{what}");
                text(&run(&["--yes"], ""), 0);
                untouched += 1;
            }
            assert_new(world, &old);
            assert_same_lines(&before, &host_of_others(world), &what);
        }
        assert!(number - untouched > 10, "{number} runs were killed, {untouched} before they began");
        note(
            test,
            &format!(
                "{number} runs killed at a file and finished, {untouched} of them before they had begun"
            ),
        );
    });
}
