//! Services, by our own supervisor. Which processes they run is for the bench to know.

use std::time::Duration;

use phantom_host::{Command, Restart, ServiceManager, ServiceState, ServiceStatus, Unit, UnitKind};

use crate::bench::{Bench, Daemon, kind};

const WAIT: Duration = Duration::from_secs(20);

pub(crate) fn unit(name: &str, kind: UnitKind) -> Unit {
    Unit {
        name: name.into(),
        description: "a service of the conformance suite".into(),
        kind,
        restart: Restart::No,
        capabilities: vec![],
        writable: vec![],
        readable: Vec::new(),
        devices: vec![],
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

fn daemon(name: &str, run: Command) -> Unit {
    unit(name, UnitKind::Daemon { run, after_start: None, after_stop: None })
}

pub(crate) fn check(bench: &Bench) {
    let services = &bench.host.services;
    assert_eq!(services.manager(), ServiceManager::Builtin);
    let nothing =
        ServiceStatus { state: ServiceState::Inactive, pid: None, started_at: None, enabled: false };
    let good = daemon("cf-good", bench.lab.daemon("cf-good", Daemon::Good));

    // Nobody knows it.
    assert_eq!(services.status("cf-good").unwrap(), nothing);
    assert_eq!(services.ours().unwrap(), <[String; 0]>::default());
    assert_eq!(kind(services.stop(&good, WAIT)), "ok");
    assert_eq!(kind(services.uninstall("cf-good")), "ok");
    assert_eq!(kind(services.reload("cf-good")), "absent");
    assert!(services.logs("cf-good", 5).unwrap().lines.is_empty());
    assert!(services.installed(&good).unwrap(), "our own supervisor keeps no units");
    assert!(!services.foreign("cf-good").unwrap());
    assert_eq!(kind(services.foreign("../x")), "unexpected");
    services.install(&good).unwrap();
    assert_eq!(services.status("cf-good").unwrap(), nothing, "installing starts nothing");

    // It runs, and starting it again changes nothing.
    let before = bench.host.clock.now();
    services.start(&good, WAIT).unwrap();
    let status = services.status("cf-good").unwrap();
    assert_eq!((status.state, status.enabled), (ServiceState::Active, false));
    assert!(status.pid.is_some());
    // The kernel counts from the boot in hundredths of a second, and the boot in whole seconds.
    let since = status.started_at.unwrap();
    assert!(since.since(before).as_secs() < 60 && before.since(since).as_secs() < 60, "{since} {before}");
    services.start(&good, WAIT).unwrap();
    assert_eq!(services.status("cf-good").unwrap(), status);
    assert_eq!(services.ours().unwrap(), ["cf-good"]);
    services.reload("cf-good").unwrap();
    assert_eq!(services.status("cf-good").unwrap(), status, "it survives a reload");
    let logs = services.logs("cf-good", 1).unwrap();
    assert_eq!((logs.lines.len(), logs.journald), (1, false));

    services.stop(&good, WAIT).unwrap();
    assert_eq!(services.status("cf-good").unwrap(), nothing);
    assert_eq!(services.ours().unwrap(), <[String; 0]>::default());
    assert!(!services.logs("cf-good", 5).unwrap().lines.is_empty(), "its log outlives it");

    // One that dies leaves its name, and can be started again.
    services.start(&good, WAIT).unwrap();
    bench.lab.kill(&bench.host, "cf-good");
    assert_eq!(services.status("cf-good").unwrap(), nothing);
    assert_eq!(services.ours().unwrap(), ["cf-good"]);
    assert_eq!(kind(services.reload("cf-good")), "absent");
    services.start(&good, WAIT).unwrap();
    services.uninstall("cf-good").unwrap();
    assert_eq!(services.ours().unwrap(), <[String; 0]>::default());

    bad_ones(bench, &nothing);
    one_shots(bench, &nothing);
    for name in ["", "../x", "-x", "a b"] {
        let other = Unit { name: name.into(), ..good.clone() };
        assert_eq!(kind(services.status(name)), "unexpected");
        assert_eq!(kind(services.start(&other, WAIT)), "unexpected");
        assert_eq!(kind(services.install(&other)), "unexpected");
        assert_eq!(kind(services.uninstall(name)), "unexpected");
    }
}

/// One that ends at once, and one that never says that it is ready.
fn bad_ones(bench: &Bench, nothing: &ServiceStatus) {
    let services = &bench.host.services;
    let ends = daemon("cf-ends", bench.lab.daemon("cf-ends", Daemon::Ends));
    assert_eq!(kind(services.start(&ends, WAIT)), "command");
    let hangs = daemon("cf-hangs", bench.lab.daemon("cf-hangs", Daemon::Hangs));
    assert_eq!(kind(services.start(&hangs, Duration::from_secs(1))), "timeout");
    for name in ["cf-ends", "cf-hangs"] {
        assert_eq!(services.status(name).unwrap(), *nothing);
    }
    assert_eq!(services.ours().unwrap(), <[String; 0]>::default());
}

fn one_shots(bench: &Bench, nothing: &ServiceStatus) {
    let services = &bench.host.services;
    let start = Command { program: "/bin/false".into(), args: vec![] };
    let once = unit("cf-once", UnitKind::OneShot { start, stop: None });
    services.start(&once, WAIT).unwrap();
    let status = services.status("cf-once").unwrap();
    assert_eq!((status.state, status.pid), (ServiceState::Active, None), "nothing stays behind");
    assert!(status.started_at.is_some());
    services.start(&once, WAIT).unwrap();
    assert_eq!(services.status("cf-once").unwrap(), status);
    assert_eq!(services.ours().unwrap(), ["cf-once"]);
    assert_eq!(kind(services.reload("cf-once")), "absent");
    services.stop(&once, WAIT).unwrap();
    assert_eq!(services.status("cf-once").unwrap(), *nothing);
    assert_eq!(services.ours().unwrap(), <[String; 0]>::default());
}
