//! A request to end in the middle of a change: Ctrl-C, SIGTERM, a terminal that is closed, and a kill.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::world::{TestNet, api, in_world, in_world_with, programs, wait_for};

/// Says that a change is under way.
pub(crate) const MARKER: &str = "/run/phantom-wg/changing";
/// A guard against what hangs; no bound of the product.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);
/// How long an exit has for its handshake: a change that is asked to end does not wait for all of it.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// Starts a call in a process group of its own, as a shell does, and waits until it has begun to change the host.
pub(crate) fn begin(words: &[&str]) -> Child {
    let _ = std::fs::remove_file(MARKER);
    let call = api().args(words).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let call = call.unwrap();
    wait_for_the_marker();
    call
}

/// The marker is there for the time of the change only, so it is looked for without a pause worth mentioning.
#[track_caller]
pub(crate) fn wait_for_the_marker() {
    let end = Instant::now() + LIMIT;
    while !Path::new(MARKER).exists() {
        assert!(Instant::now() < end, "the change has not begun");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Asks the whole group to end, as a terminal does.
fn ask(call: &Child, signal: Signal) {
    killpg(Pid::from_raw(i32::try_from(call.id()).unwrap()), signal).unwrap();
}

/// Waits for the end, and gives what was answered.
#[track_caller]
fn ended_by(mut call: Child, signal: Signal) -> Value {
    let (mut text, mut errors) = (String::new(), String::new());
    call.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    call.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    let status = call.wait().unwrap();
    let answer = serde_json::from_str(&text);
    let answer = answer.unwrap_or_else(|error| panic!("{signal}: {error}: {status}: {text}{errors}"));
    // The change may have been at its end when it was asked.
    assert_eq!(status.signal(), Some(signal as i32), "{answer:#}");
    answer
}

#[track_caller]
fn whole(world: &TestNet, what: &str) {
    assert!(!Path::new(MARKER).exists(), "{what}: the marker is still there");
    world.in_sync();
}

#[test]
fn a_change_ends_before_its_program_does() {
    in_world("signals::a_change_ends_before_its_program_does", |world| {
        world.setup();
        world.add("one");
        let calls: [&[&str]; 3] = [
            &["core", "restart_service"],
            &["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"],
            &["core", "restart_service"],
        ];
        for (words, signal) in calls.iter().zip([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]) {
            let call = begin(words);
            ask(&call, signal);
            let answer = ended_by(call, signal);
            assert_eq!(answer["success"], true, "{words:?}: {answer:#}");
            whole(world, &format!("{words:?} {signal}"));
        }
        assert_eq!(world.ok(&["core", "server_status"])["configuration"]["network"], "10.9.0.0/24");
    });
}

/// Imports an exit that answers nobody.
pub(crate) fn dead_exit(world: &TestNet) {
    let key = world.sh("wg genkey").trim().to_owned();
    let public = world.sh("wg genkey | wg pubkey").trim().to_owned();
    let exit = format!(
        "[Interface]\nPrivateKey = {key}\nAddress = 10.70.0.2/32\n[Peer]\nPublicKey = {public}\n\
         AllowedIPs = 0.0.0.0/0\nEndpoint = 198.18.0.77:51820\n"
    );
    std::fs::write("/etc/dead.conf", exit).unwrap();
    world.ok(&["multihop", "import_vpn_config", "config_path=/etc/dead.conf"]);
}

#[test]
fn a_wait_for_an_exit_gives_up() {
    in_world("signals::a_wait_for_an_exit_gives_up", |world| {
        world.setup();
        dead_exit(world);
        let start = Instant::now();
        let call = begin(&["multihop", "enable_multihop", "exit_name=dead"]);
        ask(&call, Signal::SIGINT);
        let answer = ended_by(call, Signal::SIGINT);
        assert!(start.elapsed() < HANDSHAKE_LIMIT, "it waited for all of the exit's time");
        assert_eq!(
            (&answer["success"], &answer["data"]["step"]),
            (&json!(false), &json!("handshake")),
            "{answer:#}"
        );
        whole(world, "enable_multihop");
        assert_eq!(world.ok(&["multihop", "status"])["enabled"], false);
    });
}

#[test]
fn closed_terminal_does_not_end_a_change() {
    in_world_with("signals::closed_terminal_does_not_end_a_change", &["script"], |world| {
        world.setup();
        world.add("one");
        let line = format!("{}/phantom-api core restart_service", programs().display());
        let quiet = File::create("/dev/null").unwrap();
        let mut terminal = std::process::Command::new("script");
        terminal.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).stdout(quiet);
        let mut terminal = terminal.spawn().unwrap();
        wait_for_the_marker();
        terminal.kill().unwrap(); // the other end of the terminal is closed by that
        terminal.wait().unwrap();
        assert!(wait_for(LIMIT, || !Path::new(MARKER).exists()), "the change was cut short");
        whole(world, "a closed terminal");
    });
}

#[test]
fn killed_change_is_named_until_finished() {
    in_world("signals::killed_change_is_named_until_finished", |world| {
        world.setup();
        let mut call = begin(&["core", "restart_service"]);
        // A change that is being made is not one that was cut short.
        let plan = world.ok(&["core", "reconcile", "dry_run=true"]);
        if Path::new(MARKER).exists() {
            assert_eq!(plan["recovered"], Value::Null, "{plan:#}");
        }
        call.wait().unwrap();

        let call = begin(&["core", "restart_service"]);
        ask(&call, Signal::SIGKILL);
        assert_eq!(call.wait_with_output().unwrap().status.signal(), Some(9));
        let status = world.ok(&["core", "server_status"]);
        let named = &status["unfinished_change"];
        assert_eq!(
            (&named["module"], &named["action"]),
            (&json!("core"), &json!("restart_service")),
            "{status:#}"
        );
        let doctor = world.ok(&["core", "doctor"]);
        let checks = doctor["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == "unfinished_change").unwrap();
        assert_eq!(check["state"], "problem", "{check:#}");
        world.ok(&["core", "reconcile"]);
        assert_eq!(world.ok(&["core", "server_status"])["unfinished_change"], Value::Null);
        whole(world, "after reconcile");
    });
}
