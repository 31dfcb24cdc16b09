//! Daemons for the tests to run, as ignored tests of this program: `services_linux --exact daemons::good --ignored`.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use phantom_host::{Command, Restart, Unit, UnitKind};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// The command that runs one of the daemons.
pub(crate) fn command(daemon: &str) -> Command {
    let args = ["--exact", &format!("daemons::{daemon}"), "--ignored", "--nocapture", "--test-threads=1"];
    Command { program: std::env::current_exe().unwrap(), args: args.map(str::to_owned).to_vec() }
}

/// Copies this program to where it is to be started from. Another process writes the copy. A file that this one had open for
/// writing could not be started for as long as a child has it open too, which another test starts at that moment: a child
/// has all open files of its parent until it becomes another program.
pub(crate) fn copy_of_this_program(place: &Path) {
    let copied = std::process::Command::new("cp").arg(std::env::current_exe().unwrap()).arg(place).status();
    assert!(copied.unwrap().success(), "{}", place.display());
}

/// A unit that runs one of them, with nothing allowed.
pub(crate) fn unit(name: &str, daemon: &str) -> Unit {
    Unit {
        name: name.to_owned(),
        description: format!("Test daemon {daemon}"),
        kind: UnitKind::Daemon { run: command(daemon), after_start: None, after_stop: None },
        restart: Restart::No,
        capabilities: Vec::new(),
        writable: Vec::new(),
        readable: Vec::new(),
        devices: Vec::new(),
        dynamic_user: false,
        socket: None,
        bounds: None,
        renewable: false,
        before_network: false,
        after_network: false,
        after: Vec::new(),
        wanted_at_boot: false,
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    // The harness has begun a line of its own.
    writeln!(out, "\n{text}").unwrap();
    out.flush().unwrap();
}

fn ready() {
    // Started by hand, there is nobody to tell.
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return };
    UnixDatagram::unbound().unwrap().send_to(b"STATUS=here\nREADY=1", PathBuf::from(address)).unwrap();
}

/// Waits for signals from here on; the harness has a thread that would take them with the default effect.
fn with_signals(act: impl AsyncFnOnce(Signals, Signals)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        act(signal(SignalKind::hangup()).unwrap(), signal(SignalKind::terminate()).unwrap()).await;
    });
}

/// Says that it is ready, notes a reload, and ends when it is asked to.
#[test]
#[ignore = "a daemon for the other tests"]
fn good() {
    with_signals(async |mut hangup, mut terminate| {
        say("good: started");
        ready();
        loop {
            tokio::select! {
                _ = hangup.recv() => say("good: reloaded"),
                _ = terminate.recv() => return say("good: ended"),
            }
        }
    });
}

/// Never says that it is ready.
#[test]
#[ignore = "a daemon for the other tests"]
fn silent() {
    say("silent: started");
    std::thread::sleep(Duration::from_mins(10));
}

/// Ends with an error at once.
#[test]
#[ignore = "a daemon for the other tests"]
fn dying() {
    say("dying: cannot bind port 51820");
    std::process::exit(7);
}

/// Is ready, starts a child, and does not end when it is asked to.
#[test]
#[ignore = "a daemon for the other tests"]
fn stubborn() {
    with_signals(async |_hangup, _terminate| {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        say(&format!("stubborn: child {}", child.id()));
        ready();
        child.wait().unwrap();
    });
}
