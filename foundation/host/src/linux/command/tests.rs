//! Tests of starting programs, with the programs every Debian has.

use std::time::{Duration, Instant};

use nix::sys::signal::{self, SigHandler, SigSet, Signal};

use super::{Program, find, read_bounded, spawn_daemon};
use crate::HostError;

fn shell(script: &str) -> Program {
    Program::named("sh").unwrap().args(["-c", script])
}

#[test]
fn finds_programs_in_the_fixed_folders_only() {
    assert!(find("sh").unwrap().is_absolute());
    assert_eq!(find("no-such-program-of-ours"), None);
    assert_eq!(find("../../bin/sh/x"), None);
    let missing = Program::named("no-such-program-of-ours").unwrap_err();
    assert_eq!(missing.to_string(), "no-such-program-of-ours is not installed");
}

#[test]
fn gives_the_output_and_a_bare_environment() {
    // The shell itself adds PWD, and some add `_`, OLDPWD and SHLVL.
    let env =
        String::from_utf8(shell("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=; pwd").run().unwrap())
            .unwrap();
    let mut lines: Vec<_> = env.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["/", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"]);
}

#[test]
fn an_error_names_arguments_status_and_errors() {
    let error = shell("echo out; echo 'bad thing' >&2; exit 3").run().unwrap_err();
    assert_eq!(
        error.to_string(),
        "sh -c echo out; echo 'bad thing' >&2; exit 3 failed (exit status 3): bad thing"
    );
    let error = shell("kill -9 $$").run().unwrap_err();
    assert!(matches!(error, HostError::Command { status: None, .. }), "{error}");
    let output = shell("echo x >&2; exit 1").output().unwrap();
    assert_eq!((output.code(), output.errors().as_str()), (Some(1), "x"));
}

#[test]
fn input_is_written_and_not_an_argument() {
    assert_eq!(Program::named("cat").unwrap().input("key").run().unwrap(), b"key");
    // More than any pipe holds, both ways at once.
    let big = vec![b'x'; 3 << 20];
    assert_eq!(Program::named("cat").unwrap().input(big.clone()).run().unwrap(), big);
    // One that does not read it is judged by its exit status.
    assert_eq!(Program::named("true").unwrap().input(big).run().unwrap(), b"");
    let debug = format!("{:?}", Program::named("cat").unwrap().args(["-"]));
    assert!(debug.contains("cat"));
}

#[test]
fn hanging_program_is_killed_with_its_children() {
    let started = Instant::now();
    let error = shell("sleep 300 & echo $!; wait").limit(Duration::from_millis(200)).run().unwrap_err();
    assert!(matches!(error, HostError::Timeout { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    // One that closes its output and stays is out of time as well.
    let error = shell("exec >&- 2>&-; sleep 300").limit(Duration::from_millis(200)).run().unwrap_err();
    assert!(matches!(error, HostError::Timeout { .. }), "{error}");
}

#[test]
fn text_beyond_the_limit_is_dropped() {
    assert_eq!(read_bounded(&b"abcdef"[..], 4), b"abcd");
    // 1 MiB of errors does not stop the program, and does not come back.
    let error = shell("head -c 1048576 /dev/zero | tr '\\0' e >&2; exit 1").run().unwrap_err();
    let HostError::Command { stderr, .. } = error else { panic!("{error}") };
    assert_eq!(stderr.len(), 2000);
}

/// Neither a program nor a daemon hears less than if nobody had started it.
#[test]
#[expect(unsafe_code, reason = "a signal is ignored as an embedding program may do it")]
fn children_receive_signals_that_caller_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = std::fs::File::create(&path).unwrap();
    let signals = "grep -E 'SigBlk|SigIgn' /proc/self/status";
    // SAFETY: nobody in this process waits for that signal.
    let before = unsafe { signal::signal(Signal::SIGWINCH, SigHandler::SigIgn) }.unwrap();
    let said = std::thread::spawn(move || {
        SigSet::all().thread_block().unwrap();
        let said = shell(signals).run().unwrap();
        let run =
            crate::Command { program: find("sh").unwrap(), args: vec!["-c".to_owned(), signals.to_owned()] };
        let mut daemon = spawn_daemon(&run, None, &log, std::path::Path::new("/nowhere")).unwrap();
        daemon.wait().unwrap();
        String::from_utf8(said).unwrap()
    });
    let said = said.join().unwrap() + &std::fs::read_to_string(path).unwrap();
    // SAFETY: as it was.
    unsafe { signal::signal(Signal::SIGWINCH, before) }.unwrap();
    // 32 and 33 are the C library's own: no program can set them, and some environments leave them ignored.
    let of_library = 0x1_8000_0000_u64;
    let set = |line: &str| {
        let mask = line.split('\t').nth(1).and_then(|mask| u64::from_str_radix(mask, 16).ok());
        mask.map(|mask| mask & !of_library)
    };
    assert_eq!(said.lines().map(set).collect::<Vec<_>>(), [Some(0); 4], "{said}");
}
