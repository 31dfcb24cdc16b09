//! The two hosts that are compared, and how they are prepared.

use std::any::Any;
use std::env;
use std::io::{self, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use ipnetwork::IpNetwork;
use nix::errno::Errno;
use phantom_host::fake::FakeHost;
use phantom_host::linux::LinuxOptions;
use phantom_host::{Host, HostError, LinkChange, LinkKind, Manager, Marks, Port, Protocol, Result, Route, RouteKind};
use phantom_types::InterfaceName;

/// A part of the suite.
pub(crate) type Check = fn(&Bench);

/// A host, and the hands of somebody else on it.
pub(crate) struct Bench {
    pub(crate) host: Host,
    pub(crate) lab: Box<dyn Lab>,
}

/// What the facilities of a host do not offer, but the checks need to have happened on it.
pub(crate) trait Lab {
    /// Makes a TUN device of another program, down.
    fn add_tun(&self, name: &str);
    /// Lets a program listen on the port until the value is dropped.
    fn bind(&self, port: Port) -> Box<dyn Any>;
}

struct FakeLab(FakeHost);

/// A port of the fake that is closed again when this is dropped.
struct FakePort(FakeHost, Port);

impl Drop for FakePort {
    fn drop(&mut self) {
        self.0.unbind(self.1);
    }
}

impl Lab for FakeLab {
    fn add_tun(&self, name: &str) {
        self.0.add_link(name, LinkKind::Tun).unwrap();
    }
    fn bind(&self, port: Port) -> Box<dyn Any> {
        self.0.bind(port);
        Box::new(FakePort(self.0.clone(), port))
    }
}

struct LinuxLab;

impl Lab for LinuxLab {
    fn add_tun(&self, name: &str) {
        let made = Command::new("ip").args(["tuntap", "add", name, "mode", "tun"]).status().unwrap();
        assert!(made.success());
    }
    fn bind(&self, port: Port) -> Box<dyn Any> {
        match port.protocol {
            Protocol::Udp => Box::new(UdpSocket::bind(("0.0.0.0", port.number)).unwrap()),
            Protocol::Tcp => Box::new(TcpListener::bind(("::", port.number)).unwrap()),
        }
    }
}

impl Bench {
    /// A host in memory that looks like the namespaces: only the loopback interface is up, and our own supervisor
    /// runs the services.
    pub(crate) fn fake() -> Self {
        let fake = FakeHost::new(programs());
        fake.change_link("eth0", &LinkChange { up: Some(false), ..LinkChange::default() }).unwrap();
        fake.set_manager(Manager::Builtin);
        fake.set_kernel_wireguard(false);
        Self { host: fake.host(), lab: Box::new(FakeLab(fake)) }
    }
}

impl Bench {
    /// The host of these namespaces.
    fn linux() -> Self {
        let options = LinuxOptions {
            run_dir: "/run/phantom-wg".into(),
            logs_dir: "/run/phantom-wg/logs".into(),
            marks: Marks::new(None),
            programs: programs(),
        };
        Self { host: Host::linux(options), lab: Box::new(LinuxLab) }
    }
}

/// In short what came of a call, so that two hosts can be compared: `ok`, or the kind of the error with the error
/// number where it has one.
pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> String {
    let errno = |error: &io::Error| {
        let number = error.raw_os_error().map(Errno::from_raw);
        number.map_or_else(|| error.to_string(), |errno| format!("{errno:?}"))
    };
    match result {
        Ok(_) => "ok".to_owned(),
        Err(HostError::Kernel { source, .. }) => format!("kernel {}", errno(&source)),
        Err(HostError::Io { source, .. }) => format!("io {}", errno(&source)),
        Err(HostError::Absent { .. }) => "absent".to_owned(),
        Err(HostError::Foreign { .. }) => "foreign".to_owned(),
        Err(HostError::Unsupported { .. }) => "unsupported".to_owned(),
        Err(HostError::Unexpected { .. }) => "unexpected".to_owned(),
        Err(HostError::Command { .. }) => "command".to_owned(),
        Err(HostError::Timeout { .. }) => "timeout".to_owned(),
        Err(HostError::NotInstalled { .. }) => "not installed".to_owned(),
        Err(other) => panic!("{other:?}"),
    }
}

pub(crate) fn name(text: &str) -> InterfaceName {
    text.parse().unwrap()
}

pub(crate) fn network(text: &str) -> IpNetwork {
    text.parse().unwrap()
}

/// A route of ours, directly by an interface.
pub(crate) fn via(interface: &str, destination: &str, table: u32) -> Route {
    Route {
        table,
        destination: network(destination),
        metric: 10,
        kind: RouteKind::Via { interface: interface.to_owned(), gateway: None },
        source: None,
        protocol: Marks::PROTOCOL,
    }
}

/// The routes of the main table by an interface, sorted, each with its preferred source; those of the link itself
/// are left out.
pub(crate) fn main_routes(bench: &Bench, of: &str) -> Vec<String> {
    let routes = bench.host.network.routes(254).unwrap().into_iter();
    let own = routes.filter(|route| matches!(&route.kind, RouteKind::Via { interface, .. } if interface == of));
    let own = own.filter(|route| !route.destination.to_string().starts_with("fe80:"));
    let source = |route: &Route| route.source.map_or_else(|| "-".to_owned(), |source| source.to_string());
    let mut texts: Vec<_> = own.map(|route| format!("{} {}", route.destination, source(&route))).collect();
    texts.sort();
    texts
}

/// The folder with the programs of this build, beside the folder of this test.
fn programs() -> phantom_host::Programs {
    let test = env::current_exe().unwrap();
    let folder = test.parent().and_then(|deps| deps.parent()).unwrap();
    phantom_host::Programs::in_dir(folder)
}

/// Set inside the namespaces.
const INSIDE: &str = "PHANTOM_CONFORMANCE_INSIDE";

/// What is done in fresh namespaces before the test runs there. The shell stays as process 1, which looks after
/// processes whose parents have ended.
const PREPARE: &str = r#"
set -e
mount -t tmpfs tmpfs /run
mkdir /run/.etc
cp -a /etc/. /run/.etc/
mount --bind /run/.etc /etc
ip link set lo up
"$@"
"#;

/// Runs a check against the real host, in namespaces of its own: this test starts itself again in there.
pub(crate) fn on_linux(test: &str, check: Check) {
    if env::var_os(INSIDE).is_some() {
        return check(&Bench::linux());
    }
    let spaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let possible = Command::new("unshare").args(spaces).arg("true").output();
    if !possible.as_ref().is_ok_and(|output| output.status.success()) {
        // Past the capture of the test harness: a skipped test is to be seen.
        return io::stderr().write_all(format!("skipped: {test}: no namespaces here\n").as_bytes()).unwrap();
    }
    let output = Command::new("unshare")
        .args(spaces)
        .args(["sh", "-c", PREPARE, "sh"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ran = text(&output.stdout).contains("1 passed");
    assert!(output.status.success() && ran, "{}\n{}", text(&output.stdout), text(&output.stderr));
    let skipped = text(&output.stderr);
    for line in skipped.lines().filter(|line| line.starts_with("skipped:")) {
        io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
