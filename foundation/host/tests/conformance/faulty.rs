//! The fault injector, before the real files: at the chosen write it refuses, or this process dies.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use phantom_host::Host;
use phantom_host::fake::{FaultPlan, FaultyHost, InjectedFault};
use phantom_host::linux::LinuxOptions;
use phantom_host::{OwnershipTags, Programs};

/// For the process that is to die: the plan and the folder.
const VICTIM: &str = "PHANTOM_FAULTY_VICTIM";

fn host() -> Host {
    Host::linux(LinuxOptions {
        run_dir: "/nonexistent".into(),
        logs_dir: "/nonexistent".into(),
        tags: OwnershipTags::new(Some("faulty")),
        programs: Programs::in_dir("/nonexistent"),
    })
}

/// Three writes with reads between them.
fn work(host: &Host, dir: &Path) -> Vec<bool> {
    let write = |number: usize| {
        let file = dir.join(number.to_string());
        let done = host.files.write(&file, b"x", 0o600).is_ok();
        assert_eq!(host.files.read(&file).unwrap().is_some(), done);
        done
    };
    (1..=3).map(write).collect()
}

fn plan(fault: InjectedFault, at: usize) -> FaultPlan {
    FaultPlan { fault, at }
}

#[test]
fn writes_are_counted_and_refused() {
    let cases = [
        (plan(InjectedFault::Refuse, 0), [true, true, true]),
        (plan(InjectedFault::Refuse, 2), [true, false, true]),
        (plan(InjectedFault::RefuseFrom, 2), [true, false, false]),
        (plan(InjectedFault::RefuseFrom, 0), [true, true, true]),
        (plan(InjectedFault::KillBefore, 4), [true, true, true]),
    ];
    for (plan, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let (host, faulty) = FaultyHost::wrap(host(), plan);
        assert_eq!(work(&host, dir.path()), expected, "{plan:?}");
        assert_eq!(faulty.writes(), 3, "refused ones count, reads do not");
    }
    let error =
        FaultyHost::wrap(host(), plan(InjectedFault::Refuse, 1)).0.files.remove(Path::new("/nonexistent"));
    assert_eq!(error.unwrap_err().chain(), "files.remove: refused by the test");
}

#[test]
fn plans_are_text_for_a_child_process() {
    for (text, expected) in [
        ("refuse:3", plan(InjectedFault::Refuse, 3)),
        ("refuse-from:1", plan(InjectedFault::RefuseFrom, 1)),
        ("kill-before:12", plan(InjectedFault::KillBefore, 12)),
        ("kill-after:0", plan(InjectedFault::KillAfter, 0)),
    ] {
        assert_eq!(text.parse(), Ok(expected));
    }
    for text in ["", "refuse", "refuse:", "kill:1", "refuse:-1", "refuse:1:2"] {
        assert!(text.parse::<FaultPlan>().is_err(), "{text}");
    }
}

#[test]
fn process_dies_before_or_after_a_write() {
    if let Ok(text) = env::var(VICTIM) {
        let (plan, dir) = text.split_once(' ').unwrap();
        let (host, _) = FaultyHost::wrap(host(), plan.parse().unwrap());
        work(&host, Path::new(dir));
        return;
    }
    for (plan, files) in [("kill-before:2", 1), ("kill-after:2", 2)] {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", "faulty::process_dies_before_or_after_a_write"])
            .env(VICTIM, format!("{plan} {}", dir.path().display()))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(9), "{plan}");
        assert_eq!(dir.path().read_dir().unwrap().count(), files, "{plan}");
    }
}
