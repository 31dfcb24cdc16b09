//! The full-screen interface is left while something is done: what has begun is finished or rolled back, nothing follows from
//! it, and the process ends.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::signals::{LIMIT, MARKER, dead_exit, wait_for_the_marker};
use crate::terminal::Terminal;
use crate::world::{At, TestNet, in_world_with, wait_for};

const PROGRAMS: [&str; 4] = ["tmux", "stty", "pgrep", "flock"];

fn open<'w>(world: &'w TestNet, name: &str) -> Terminal<'w> {
    Terminal::open(world, name, (100, 30), "LC_ALL=C.UTF-8", "phantom-wg")
}

fn clients(world: &TestNet) -> serde_json::Value {
    world.ok(&["core", "list_clients"])["total"].clone()
}

/// A call of `add_client` that waits for the lock; gives the process that has that.
fn waits_for_the_lock(world: &TestNet, screen: &Terminal<'_>) -> Pid {
    let holder = world.spawn(At::Server, "flock", &["-F", "/run/phantom-wg/lock", "sleep", "600"]);
    screen.sees("Core Management").press("1").sees("Client Operations").press("1").sees("No clients yet");
    screen.press("1").sees("Name of the client").types("phone").press("Enter").sees("Working");
    Pid::from_raw(i32::try_from(holder).unwrap())
}

/// Whether a process has ended, although nobody may have asked how.
fn has_ended(process: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

#[test]
fn closed_terminal_leaves_no_half_change() {
    in_world_with("leaving::closed_terminal_leaves_no_half_change", &PROGRAMS, |world| {
        world.setup();
        dead_exit(world);
        let screen = open(world, "closed");
        screen.picks("Multihop VPN").sees("Session Log").press("4").sees("dead").press("Enter");
        screen.sees("Drop client traffic").press("Enter").sees("Are you sure").press("y");
        wait_for_the_marker();
        let process = screen.process();
        screen.close();
        assert!(wait_for(LIMIT, || has_ended(process)), "the program goes on for ever");
        assert!(!Path::new(MARKER).exists(), "the change was cut in the middle");
        world.in_sync();
        assert_eq!(world.ok(&["multihop", "status"])["enabled"], false);
    });
}

#[test]
fn pending_work_does_not_delay_leaving() {
    in_world_with("leaving::pending_work_does_not_delay_leaving", &PROGRAMS, |world| {
        world.setup();
        let screen = open(world, "follow");
        let holder = waits_for_the_lock(world, &screen);
        // A client that was added is shown next, which is more work.
        screen.press("C-c").sees("Are you sure").press("y").sees("phantom-wg: Working");
        kill(holder, Signal::SIGTERM).unwrap();
        screen.is_left(0);
        assert_eq!(clients(world), json!(1));
        world.in_sync();
    });
}

#[test]
fn signal_ends_a_wait_for_lock() {
    in_world_with("leaving::signal_ends_a_wait_for_lock", &PROGRAMS, |world| {
        world.setup();
        let screen = open(world, "signal");
        let holder = waits_for_the_lock(world, &screen);
        screen.press("C-c").sees("Are you sure").press("y").sees("phantom-wg: Working");
        std::thread::sleep(Duration::from_millis(200));
        kill(Pid::from_raw(screen.process()), Signal::SIGTERM).unwrap();
        screen.is_left(128 + Signal::SIGTERM as i32);
        kill(holder, Signal::SIGTERM).unwrap();
        assert_eq!(clients(world), json!(0));
        world.in_sync();
    });
}
