//! The supervisor.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use phantom_host::linux::{BuiltinServices, LinuxClock, ServiceOptions};
use phantom_host::{
    Clock, HostError, OwnershipTags, ServiceManager, ServiceState, ServiceStatus, Services, Unit, UnitKind,
};

use crate::daemons::{command, copy_of_this_program, unit};

const WAIT: Duration = Duration::from_secs(20);

struct Lab {
    dir: tempfile::TempDir,
    services: BuiltinServices,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (run_dir, logs_dir) = (dir.path().join("run/phantom-wg"), dir.path().join("logs"));
        let services =
            BuiltinServices::new(ServiceOptions { run_dir, logs_dir, tags: OwnershipTags::new(None) });
        Self { dir, services }
    }
    fn run_file(&self, name: &str) -> PathBuf {
        self.dir.path().join("run/phantom-wg").join(name)
    }
    fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(format!("{name}.log"))
    }
    fn state(&self, name: &str) -> ServiceState {
        self.services.status(name).unwrap().state
    }
    /// Another process that manages the same services.
    fn again(&self) -> BuiltinServices {
        let (run_dir, logs_dir) = (self.dir.path().join("run/phantom-wg"), self.dir.path().join("logs"));
        BuiltinServices::new(ServiceOptions { run_dir, logs_dir, tags: OwnershipTags::new(None) })
    }
}

fn exists(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn daemon_starts_reports_logs_reloads_and_stops() {
    let lab = Lab::new();
    let (services, unit) = (&lab.services, unit("wg-quick@wg_main", "good"));
    let name = unit.name.as_str();
    assert_eq!(services.manager(), ServiceManager::Builtin);
    let nothing =
        ServiceStatus { state: ServiceState::Inactive, pid: None, started_at: None, enabled: false };
    assert_eq!(services.status(name).unwrap(), nothing);
    assert!(services.installed(&unit).unwrap() && services.ours().unwrap().is_empty());
    assert!(services.logs(name, 10).unwrap().lines.is_empty());
    services.install(&unit).unwrap();
    let before = LinuxClock.now();
    services.start(&unit, WAIT).unwrap();

    let status = services.status(name).unwrap();
    let pid = status.pid.unwrap();
    assert!(exists(pid) && status.state == ServiceState::Active && !status.enabled);
    let age = status.started_at.unwrap().micros() - before.micros();
    // The kernel counts in hundredths, and the boot time in whole seconds.
    assert!((-2_000_000..20_000_000).contains(&age), "{age}");
    assert_eq!(services.ours().unwrap(), [name]);
    for (path, wanted) in [
        (lab.run_file(""), 0o700),
        (lab.run_file("wg-quick@wg_main.pid"), 0o600),
        (lab.log(name), 0o600),
        (lab.dir.path().join("logs"), 0o700),
    ] {
        assert_eq!(mode(&path), wanted, "{}", path.display());
    }
    assert!(!lab.run_file("wg-quick@wg_main.notify").exists());
    // A process group of its own: what ends the terminal's does not end it.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert_eq!(stat.rsplit_once(')').unwrap().1.split_whitespace().nth(2).unwrap(), pid.to_string());
    // Its environment has nothing of ours.
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("CARGO"));

    // Starting what runs changes nothing, for another process too.
    lab.again().start(&unit, WAIT).unwrap();
    assert_eq!(services.status(name).unwrap().pid, Some(pid));

    services.reload(name).unwrap();
    until("no reload", || services.logs(name, 1).unwrap().lines.iter().any(|line| line == "good: reloaded"));
    lab.again().stop(&unit, WAIT).unwrap();
    assert!(!exists(pid));
    assert_eq!(services.status(name).unwrap(), nothing);
    assert!(services.ours().unwrap().is_empty());
    let logs = services.logs(name, 100).unwrap();
    assert!(!logs.journald && logs.lines.iter().any(|line| line == "good: ended"), "{logs:?}");
    assert_eq!(services.logs(name, 2).unwrap().lines.len(), 2);
    services.stop(&unit, WAIT).unwrap();
    assert!(services.reload(name).unwrap_err().is_absent());
    assert!(services.uninstall(name).is_ok());
}

#[test]
fn a_program_that_was_replaced_is_noticed() {
    let lab = Lab::new();
    let mut unit = unit("phantom-helper", "good");
    let program = lab.dir.path().join("program");
    copy_of_this_program(&program);
    if let UnitKind::Daemon { run, .. } = &mut unit.kind {
        run.program.clone_from(&program);
    }
    assert!(!lab.services.outdated(&unit).unwrap(), "nothing runs");
    lab.services.start(&unit, WAIT).unwrap();
    assert!(!lab.services.outdated(&unit).unwrap());
    let new = lab.dir.path().join("new");
    copy_of_this_program(&new);
    fs::rename(&new, &program).unwrap();
    assert!(lab.again().outdated(&unit).unwrap());
    lab.services.stop(&unit, WAIT).unwrap();
    lab.services.start(&unit, WAIT).unwrap();
    assert!(!lab.services.outdated(&unit).unwrap());
    fs::remove_file(&program).unwrap();
    assert!(!lab.services.outdated(&unit).unwrap(), "there is nothing newer");
    lab.services.stop(&unit, WAIT).unwrap();
}

#[test]
fn one_that_dies_says_why() {
    let lab = Lab::new();
    let unit = unit("dying", "dying");
    fs::create_dir_all(lab.dir.path().join("logs")).unwrap();
    fs::write(lab.log("dying"), "of an earlier start\n").unwrap();
    let error = lab.services.start(&unit, WAIT).unwrap_err();
    let HostError::Command { status, stderr, .. } = &error else { panic!("{error}") };
    assert_eq!(*status, Some(7));
    assert!(stderr.contains("cannot bind port 51820") && !stderr.contains("earlier"), "{stderr}");
    assert_eq!(lab.state("dying"), ServiceState::Inactive);
    assert!(lab.services.ours().unwrap().is_empty());
    let mut missing = unit;
    missing.kind = UnitKind::Daemon {
        run: phantom_host::Command { program: "/nonexistent/x".into(), args: vec![] },
        after_start: None,
        after_stop: None,
    };
    assert!(lab.services.start(&missing, WAIT).unwrap_err().to_string().contains("/nonexistent/x"));
}

#[test]
fn one_that_is_never_ready_is_ended() {
    let lab = Lab::new();
    let error = lab.services.start(&unit("silent", "silent"), Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, HostError::Timeout { .. }), "{error}");
    assert_eq!(lab.state("silent"), ServiceState::Inactive);
    assert!(fs::read_dir(lab.run_file("")).unwrap().next().is_none());
}

#[test]
fn stubborn_daemon_is_killed_with_children() {
    let lab = Lab::new();
    let unit = unit("stubborn", "stubborn");
    lab.services.start(&unit, WAIT).unwrap();
    let pid = lab.services.status("stubborn").unwrap().pid.unwrap();
    let lines = lab.services.logs("stubborn", 50).unwrap().lines;
    let child: u32 =
        lines.iter().find_map(|line| line.strip_prefix("stubborn: child ")).unwrap().parse().unwrap();
    assert!(exists(pid) && exists(child));
    lab.services.stop(&unit, Duration::from_millis(200)).unwrap();
    assert!(!exists(pid));
    until("the child lives on", || !exists(child));
}

#[test]
fn stale_process_file_is_ignored_safely() {
    let lab = Lab::new();
    let unit = unit("good", "good");
    lab.services.start(&unit, WAIT).unwrap();
    let pid = lab.services.status("good").unwrap().pid.unwrap();
    // Killed from outside.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    until("still there", || lab.state("good") == ServiceState::Inactive);
    // A file that names a process that is another's: of this number, but started at another time.
    let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    for content in
        [format!("{} 1 ready\n", other.id()), "garbage".to_owned(), "1 0 ready\n".to_owned(), String::new()]
    {
        fs::write(lab.run_file("good.pid"), &content).unwrap();
        assert_eq!(lab.state("good"), ServiceState::Inactive, "{content}");
        lab.services.stop(&unit, WAIT).unwrap();
        assert!(other.try_wait().unwrap().is_none());
        assert!(!lab.run_file("good.pid").exists());
    }
    other.kill().unwrap();
    other.wait().unwrap();
    // And does not keep it from starting.
    fs::write(lab.run_file("good.pid"), "1 1 ready\n").unwrap();
    fs::write(lab.run_file("good.notify"), "in the way").unwrap();
    lab.services.start(&unit, WAIT).unwrap();
    assert_eq!(lab.state("good"), ServiceState::Active);
    lab.services.uninstall("good").unwrap();
}

#[test]
fn interrupted_start_is_begun_again() {
    let lab = Lab::new();
    let unit = unit("good", "good");
    lab.services.start(&unit, WAIT).unwrap();
    let pid = lab.services.status("good").unwrap().pid.unwrap();
    // As if whoever started it had been killed before it was ready.
    let file = lab.run_file("good.pid");
    let record = fs::read_to_string(&file).unwrap();
    fs::write(&file, record.replace("ready", "starting")).unwrap();
    assert_eq!(lab.state("good"), ServiceState::Starting);
    assert_eq!(lab.services.status("good").unwrap().started_at, None);
    lab.services.start(&unit, WAIT).unwrap();
    assert!(!exists(pid));
    assert_eq!(lab.state("good"), ServiceState::Active);
    lab.services.stop(&unit, WAIT).unwrap();
}

#[test]
fn a_one_shot_is_a_note() {
    let lab = Lab::new();
    let mut unit = unit("wg-quick@wg_main", "good");
    unit.kind = UnitKind::OneShot { start: command("dying"), stop: Some(command("dying")) };
    let name = unit.name.as_str();
    lab.services.start(&unit, WAIT).unwrap();
    let status = lab.services.status(name).unwrap();
    assert_eq!((status.state, status.pid, status.enabled), (ServiceState::Active, None, false));
    let since = status.started_at.unwrap();
    assert!(LinuxClock.now().since(since) < WAIT);
    lab.services.start(&unit, WAIT).unwrap();
    assert_eq!(lab.services.status(name).unwrap().started_at, Some(since));
    assert_eq!(lab.services.ours().unwrap(), [name]);
    // Of an earlier boot.
    let file = lab.run_file("wg-quick@wg_main.started");
    assert_eq!(mode(&file), 0o600);
    let note = fs::read_to_string(&file).unwrap();
    fs::write(&file, note.replace('-', "0")).unwrap();
    assert_eq!(lab.state(name), ServiceState::Inactive);
    fs::write(&file, "garbage").unwrap();
    assert_eq!(lab.state(name), ServiceState::Inactive);
    // A daemon of that name takes its place.
    fs::write(&file, note).unwrap();
    let daemon = crate::daemons::unit(name, "good");
    lab.services.start(&daemon, WAIT).unwrap();
    assert!(!file.exists() && lab.services.status(name).unwrap().pid.is_some());
    lab.services.stop(&daemon, WAIT).unwrap();
    lab.services.start(&unit, WAIT).unwrap();
    lab.services.stop(&unit, WAIT).unwrap();
    assert_eq!(lab.state(name), ServiceState::Inactive);
}

#[test]
fn names_stay_inside() {
    let lab = Lab::new();
    for name in ["../x", "a/b", "", "-x"] {
        let unit: Unit = unit(name, "good");
        assert!(lab.services.start(&unit, WAIT).is_err() && lab.services.stop(&unit, WAIT).is_err());
        assert!(
            lab.services.status(name).is_err()
                && lab.services.logs(name, 1).is_err()
                && lab.services.uninstall(name).is_err()
        );
    }
    assert!(!lab.run_file("").exists());
}

#[test]
fn daemon_without_process_file_is_ended() {
    type End = fn(&Lab, &Unit);
    let ends: [End; 3] = [
        |lab, unit| lab.services.stop(unit, WAIT).unwrap(),
        |lab, unit| lab.services.uninstall(&unit.name).unwrap(),
        |lab, unit| lab.services.start(unit, WAIT).unwrap(),
    ];
    for end in ends {
        let lab = Lab::new();
        let (unit, other) = (unit("good", "good"), unit("goods", "good"));
        lab.services.start(&unit, WAIT).unwrap();
        lab.services.start(&other, WAIT).unwrap();
        let pid = |unit: &Unit| lab.services.status(&unit.name).unwrap().pid;
        let (lost, kept) = (pid(&unit).unwrap(), pid(&other).unwrap());
        fs::remove_file(lab.run_file("good.pid")).unwrap();
        assert_eq!(lab.services.ours().unwrap(), ["good", "goods"]);
        end(&lab, &unit);
        assert!(!exists(lost) && exists(kept) && pid(&unit) != Some(lost));
        for unit in [&unit, &other] {
            lab.services.stop(unit, WAIT).unwrap();
        }
        assert!(lab.services.ours().unwrap().is_empty());
    }
}
