//! systemd itself. These tests install units, so that they run only where `PHANTOM_TEST_DISPOSABLE` says that the
//! machine is there to be thrown away, and systemd is process 1.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command as Program;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phantom_host::linux::{LinuxClock, SystemdServices};
use phantom_host::{
    Clock, Command, HostError, OwnershipTags, Restart, ServiceManager, ServiceState, Services, Unit, UnitKind,
};

use crate::daemons::{copy_of_this_program, unit};

const WAIT: Duration = Duration::from_mins(2);

/// One at a time; `None`, with a word about it, where they cannot run.
fn machine(test: &str) -> Option<MutexGuard<'static, ()>> {
    static ONE: Mutex<()> = Mutex::new(());
    let why = if !Path::new("/run/systemd/system").is_dir() {
        "systemd is not process 1"
    } else if std::env::var_os("PHANTOM_TEST_DISPOSABLE").is_none() {
        "PHANTOM_TEST_DISPOSABLE is not set: this machine may be somebody's"
    } else {
        return Some(ONE.lock().unwrap_or_else(PoisonError::into_inner));
    };
    // Past the capture of the test harness: a skipped test is to be seen.
    std::io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes()).unwrap();
    None
}

fn services() -> SystemdServices {
    SystemdServices::new(OwnershipTags::new(None))
}

fn sh(script: &str) -> String {
    let output = Program::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Puts the program of the tests where a unit can see it: homes and folders for temporary files are hidden from units.
fn program() -> String {
    let path = "/usr/local/lib/phantom-test-services";
    // Running daemons of an earlier test hold the file open.
    let _ = fs::remove_file(path);
    copy_of_this_program(path.as_ref());
    path.to_owned()
}

fn daemon(name: &str, which: &str) -> Unit {
    let mut unit = unit(name, which);
    if let UnitKind::Daemon { run, .. } = &mut unit.kind {
        run.program = program().into();
    }
    unit
}

fn shell(script: &str) -> Command {
    Command { program: "/bin/sh".into(), args: vec!["-ec".into(), script.into()] }
}

fn one_shot(name: &str, script: &str) -> Unit {
    let mut unit = unit(name, "good");
    unit.kind = UnitKind::OneShot { start: shell(script), stop: None };
    unit
}

fn verify(name: &str) {
    let output = Program::new("systemd-analyze")
        .args(["verify", &format!("/etc/systemd/system/{name}.service")])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = errors.lines().filter(|line| line.contains(name)).collect();
    assert!(output.status.success() && ours.is_empty(), "{errors}");
}

#[test]
fn a_daemon_from_installing_to_removing() {
    let Some(_one) = machine("systemd::a_daemon_from_installing_to_removing") else { return };
    let services = services();
    let mut unit = daemon("wg-quick@wg_main", "good");
    unit.wanted_at_boot = true;
    unit.after_network = true;
    unit.restart = Restart::OnFailure;
    unit.capabilities = vec!["NET_ADMIN".into()];
    unit.devices = vec!["/dev/net/tun".into()];
    unit.writable = vec!["/run/phantom-wg".into(), "/run/wireguard".into()];
    let name = unit.name.as_str();
    assert_eq!(services.manager(), ServiceManager::Systemd);
    assert_eq!(services.status(name).unwrap().state, ServiceState::Inactive);
    assert!(!services.installed(&unit).unwrap() && services.ours().unwrap().is_empty());

    services.install(&unit).unwrap();
    assert!(services.installed(&unit).unwrap() && !services.foreign(name).unwrap());
    assert_eq!(services.ours().unwrap(), [name]);
    verify(name);
    let status = services.status(name).unwrap();
    assert_eq!((status.state, status.enabled, status.pid), (ServiceState::Inactive, true, None));

    let before = LinuxClock.now();
    services.start(&unit, WAIT).unwrap();
    let status = services.status(name).unwrap();
    let pid = status.pid.unwrap();
    assert_eq!((status.state, status.enabled), (ServiceState::Active, true));
    let since = status.started_at.unwrap();
    assert!(since >= before && since <= LinuxClock.now());
    services.start(&unit, WAIT).unwrap();
    assert_eq!(services.status(name).unwrap().pid, Some(pid));
    // Confined: no new privileges, one capability, the system read-only.
    let confined = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field =
        |key: &str| confined.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    assert_eq!(
        (field("NoNewPrivs:"), field("Seccomp:"), field("CapBnd:")),
        ("1".into(), "2".into(), "0000000000001000".into())
    );
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().starts_with("ro"), "{root}");
    assert_eq!(sh("stat -c %a /run/phantom-wg /run/wireguard"), "700\n700\n");

    services.reload(name).unwrap();
    until_logged(&services, name, "good: reloaded");
    let logs = services.logs(name, 1000).unwrap();
    assert!(logs.journald && logs.lines.iter().any(|line| line.contains("good: started")), "{logs:?}");
    assert!(!logs.lines.iter().any(|line| line.starts_with("--")));
    assert_eq!(services.logs(name, 1).unwrap().lines.len(), 1);

    services.stop(&unit, WAIT).unwrap();
    let status = services.status(name).unwrap();
    assert_eq!((status.state, status.pid, status.started_at), (ServiceState::Inactive, None, None));
    services.stop(&unit, WAIT).unwrap();
    assert!(services.reload(name).unwrap_err().is_absent());
    assert!(Path::new("/run/phantom-wg").is_dir(), "it outlives the unit");

    // Another wish is another file, and another enablement.
    unit.wanted_at_boot = false;
    assert!(!services.installed(&unit).unwrap());
    services.install(&unit).unwrap();
    assert!(services.installed(&unit).unwrap() && !services.status(&unit.name).unwrap().enabled);

    services.start(&unit, WAIT).unwrap();
    services.uninstall(&unit.name).unwrap();
    assert!(
        services.ours().unwrap().is_empty()
            && !Path::new("/etc/systemd/system/wg-quick@wg_main.service").exists()
    );
    assert_eq!(sh("systemctl list-units --all --plain --no-legend 'wg-quick@*'"), "");
    services.uninstall(&unit.name).unwrap();
}

fn until_logged(services: &SystemdServices, name: &str, text: &str) {
    let deadline = std::time::Instant::now() + WAIT;
    while !services.logs(name, 100).unwrap().lines.iter().any(|line| line.contains(text)) {
        assert!(std::time::Instant::now() < deadline, "{text} was never logged");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn start_and_stop_commands_are_not_confined() {
    let Some(_one) = machine("systemd::start_and_stop_commands_are_not_confined") else { return };
    let services = services();
    let mut unit = daemon("phantom-test-after", "good");
    if let UnitKind::Daemon { after_start, after_stop, .. } = &mut unit.kind {
        *after_start = Some(shell("echo started > /etc/phantom-test-after; nft add table inet phantom_test"));
        *after_stop = Some(shell("rm /etc/phantom-test-after; nft delete table inet phantom_test"));
    }
    services.install(&unit).unwrap();
    verify(&unit.name);
    services.start(&unit, WAIT).unwrap();
    assert!(Path::new("/etc/phantom-test-after").exists());
    services.stop(&unit, WAIT).unwrap();
    assert!(!Path::new("/etc/phantom-test-after").exists());
    services.uninstall(&unit.name).unwrap();
}

#[test]
fn service_may_request_one_ordered_after_it() {
    let Some(_one) = machine("systemd::service_may_request_one_ordered_after_it") else {
        return;
    };
    let services = services();
    // The first starts for as long as a file is there, which says that it is in the middle of it.
    let gate = "/run/phantom-test-gate";
    let mut first = one_shot("phantom-test-first", &format!("while test -e {gate}; do sleep 0.05; done"));
    first.writable = vec!["/run".into()];
    let mut second = one_shot("phantom-test-second", "true");
    second.after = vec![first.name.clone()];
    for unit in [&first, &second] {
        services.install(unit).unwrap();
        verify(&unit.name);
    }
    fs::write(gate, "").unwrap();
    services.request(&first).unwrap();
    let state = |unit: &Unit| services.status(&unit.name).unwrap().state;
    assert_eq!(state(&first), ServiceState::Starting);
    // Who waited for it now would wait for ever; who only asks goes on, and sees that its turn comes.
    let waited = services.start(&second, Duration::from_secs(1)).unwrap_err();
    assert!(waited.to_string().contains("did not end within 1 s"), "{waited}");
    services.request(&second).unwrap();
    assert_eq!(state(&second), ServiceState::Starting);
    fs::remove_file(gate).unwrap();
    let deadline = std::time::Instant::now() + WAIT;
    while [state(&first), state(&second)] != [ServiceState::Active; 2] {
        assert!(std::time::Instant::now() < deadline, "{:?} {:?}", state(&first), state(&second));
        std::thread::sleep(Duration::from_millis(20));
    }
    for unit in [&first, &second] {
        services.uninstall(&unit.name).unwrap();
    }
}

#[test]
fn what_ends_by_itself_is_started_again() {
    let Some(_one) = machine("systemd::what_ends_by_itself_is_started_again") else { return };
    let services = services();
    let mut unit = daemon("phantom-test-again", "good");
    unit.restart = Restart::OnFailure;
    services.install(&unit).unwrap();
    verify(&unit.name);
    services.start(&unit, WAIT).unwrap();
    let first = services.status(&unit.name).unwrap().pid.unwrap();
    sh(&format!("kill -9 {first}"));
    let deadline = std::time::Instant::now() + WAIT;
    loop {
        let status = services.status(&unit.name).unwrap();
        if status.state == ServiceState::Active && status.pid.is_some_and(|pid| pid != first) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{status:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    services.uninstall(&unit.name).unwrap();
}

#[test]
fn failures_say_why() {
    let Some(_one) = machine("systemd::failures_say_why") else { return };
    let services = services();
    let unit = daemon("phantom-test-dying", "dying");
    services.install(&unit).unwrap();
    let error = services.start(&unit, WAIT).unwrap_err();
    assert!(error.to_string().contains("cannot bind port 51820"), "{error}");
    assert_eq!(services.status(&unit.name).unwrap().state, ServiceState::Failed);
    services.uninstall(&unit.name).unwrap();
    assert_eq!(services.status(&unit.name).unwrap().state, ServiceState::Inactive);
    let unit = daemon("phantom-test-silent", "silent");
    services.install(&unit).unwrap();
    let error = services.start(&unit, Duration::from_secs(2)).unwrap_err();
    assert!(error.to_string().contains("did not end within 2 s"), "{error}");
    assert!(error.to_string().contains("Starting phantom-test-silent.service"), "{error}");
    assert_eq!(services.status(&unit.name).unwrap().state, ServiceState::Starting);
    services.stop(&unit, WAIT).unwrap();
    services.uninstall(&unit.name).unwrap();
    let unit = daemon("phantom-test-stubborn", "stubborn");
    services.install(&unit).unwrap();
    services.start(&unit, WAIT).unwrap();
    services.stop(&unit, Duration::from_secs(2)).unwrap();
    assert_eq!(services.status(&unit.name).unwrap().pid, None);
    services.uninstall(&unit.name).unwrap();
}

#[test]
fn one_shot_may_only_what_it_declares() {
    let Some(_one) = machine("systemd::one_shot_may_only_what_it_declares") else {
        return;
    };
    let services = services();
    // What phantom-api does to a host at boot.
    let work = "nft add table inet phantom_test; nft delete table inet phantom_test
        iptables -w 5 -N PHANTOM-TEST; iptables -w 5 -X PHANTOM-TEST
        ip link add phantom0 type veth peer name phantom1; ip link del phantom0
        ip rule add pref 30000 table 300; ip rule del pref 30000
        cat /proc/sys/net/ipv4/ip_forward > /run/phantom-test-one/old; cat /run/phantom-test-one/old > /proc/sys/net/ipv4/ip_forward
        echo key > /etc/phantom-test/wg.conf; ufw status; conntrack -L > /dev/null; systemctl is-system-running || true";
    sh("mkdir -p /etc/phantom-test");
    let mut unit = one_shot("phantom-test-one", work);
    unit.capabilities = ["NET_ADMIN", "NET_RAW", "DAC_OVERRIDE"].map(str::to_owned).to_vec();
    unit.writable =
        ["/run/phantom-test-one", "/run", "/etc/phantom-test", "/proc/sys"].map(Into::into).to_vec();
    services.install(&unit).unwrap();
    verify(&unit.name);
    services.start(&unit, WAIT).unwrap();
    let status = services.status(&unit.name).unwrap();
    assert_eq!((status.state, status.pid), (ServiceState::Active, None));
    assert!(status.started_at.is_some());
    assert_eq!(sh("stat -c %a /etc/phantom-test/wg.conf"), "600\n");
    services.uninstall(&unit.name).unwrap();
    // What it was not allowed. Each script succeeds if the deed fails.
    for forbidden in [
        "echo x > /etc/phantom-test-elsewhere",
        "echo 0 > /proc/sys/kernel/panic",
        "mount -t tmpfs x /mnt",
        "unshare --net true",
        "ls /root/.",
        "dmesg",
        "test -w /dev/kmsg && echo > /dev/kmsg",
        "nft add table inet phantom_test",
    ] {
        let mut unit = one_shot("phantom-test-none", &format!("if {forbidden}; then exit 1; fi"));
        unit.writable = vec!["/etc/phantom-test".into()];
        services.install(&unit).unwrap();
        services.start(&unit, WAIT).unwrap_or_else(|error| panic!("{forbidden}: {error}"));
        services.uninstall(&unit.name).unwrap();
    }
}

#[test]
fn one_with_a_user_of_its_own() {
    let Some(_one) = machine("systemd::one_with_a_user_of_its_own") else { return };
    let services = services();
    let mut unit = daemon("phantom-test-user", "good");
    unit.dynamic_user = true;
    unit.capabilities = vec!["NET_BIND_SERVICE".into()];
    services.install(&unit).unwrap();
    verify(&unit.name);
    services.start(&unit, WAIT).unwrap();
    let pid = services.status(&unit.name).unwrap().pid.unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    assert!(!field("Uid:").starts_with('0'));
    assert_eq!(field("CapEff:"), "0000000000000400");
    services.uninstall(&unit.name).unwrap();
}

#[test]
fn units_of_others_are_not_touched() {
    let Some(_one) = machine("systemd::units_of_others_are_not_touched") else { return };
    let services = services();
    let unit = one_shot("phantom-test-foreign", "true");
    let path = "/etc/systemd/system/phantom-test-foreign.service";
    for content in [
        "[Service]\nExecStart=/bin/true\n",
        "# phantom-wg-test: written by another\n[Service]\nExecStart=/bin/true\n",
    ] {
        fs::write(path, content).unwrap();
        assert!(matches!(services.install(&unit), Err(HostError::Foreign { .. })));
        services.uninstall(&unit.name).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), content);
        assert!(!services.installed(&unit).unwrap() && !services.ours().unwrap().contains(&unit.name));
        assert!(services.foreign(&unit.name).unwrap());
    }
    fs::remove_file(path).unwrap();
    assert!(!services.foreign(&unit.name).unwrap());
    // Masked by the operator.
    std::os::unix::fs::symlink("/dev/null", path).unwrap();
    assert!(services.foreign(&unit.name).unwrap());
    assert!(matches!(services.install(&unit), Err(HostError::Foreign { .. })));
    fs::remove_file(path).unwrap();
}

#[test]
fn one_before_the_network_starts_at_boot() {
    let Some(_one) = machine("systemd::one_before_the_network_starts_at_boot") else { return };
    let services = services();
    let mut unit = one_shot("phantom-test-boot", "true");
    unit.before_network = true;
    unit.wanted_at_boot = true;
    services.install(&unit).unwrap();
    verify(&unit.name);
    let cycles = sh("systemd-analyze verify default.target 2>&1 | grep -i cycle || true");
    assert_eq!(cycles, "");
    services.start(&unit, WAIT).unwrap();
    services.uninstall(&unit.name).unwrap();
}
