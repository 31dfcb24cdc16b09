//! The two hosts that are compared, and how they are prepared.

use std::any::Any;
use std::env;
use std::io::{self, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use phantom_host::fake::{FakeHost, StartFault};
use phantom_host::filter::{FilterProgram, Filters};
use phantom_host::linux::{LinuxFirewall, LinuxOptions, LinuxWireGuard};
use phantom_host::{
    FirewallKind, Host, HostError, LinkChange, LinkKind, OwnershipTags, Patience, Port, Programs, Protocol,
    Result, Route, RouteKind, ServiceManager,
};
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
    /// Takes the guard of a link away by hand.
    fn remove_guard(&self, name: &str);
    /// Lets a program listen on the port until the value is dropped.
    fn bind(&self, port: Port) -> Box<dyn Any>;
    /// Adds rules of somebody else to the packet filter.
    fn add_foreign_filter(&self);
    /// Those rules as text.
    fn foreign_filter(&self) -> String;
    /// Throws our rules away by hand.
    fn flush_filter(&self, tags: &OwnershipTags, kind: FirewallKind);
    /// The same host with iptables for its packet filter.
    fn with_iptables(&self, host: &Host) -> Host;
    /// Switches ufw on; says why not, and that, when there is none.
    fn enable_ufw(&self) -> bool;
    /// The program of a daemon of this name that behaves so.
    fn daemon(&self, name: &str, behaviour: Daemon) -> phantom_host::Command;
    /// Ends the process of a service as a crash does.
    fn kill(&self, host: &Host, service: &str);
    /// Whether the program of the embedded device is there.
    fn has_device_program(&self, programs: &Programs) -> bool;
    /// Gives the kernel WireGuard, where that can be done.
    fn want_kernel_wireguard(&self);
    /// Waits for what happens by itself.
    fn wait_until(&self, happened: &dyn Fn() -> bool);
    /// Says that the rest of a check does not run here.
    fn skip(&self, reason: &str);
}

/// What a daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    /// Says that it is ready, and stays until it is asked to end.
    Good,
    /// Ends at once, with an error.
    Ends,
    /// Never says that it is ready.
    Hangs,
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
    fn remove_guard(&self, name: &str) {
        assert!(self.0.remove_guard(name));
    }
    fn bind(&self, port: Port) -> Box<dyn Any> {
        self.0.bind(port);
        Box::new(FakePort(self.0.clone(), port))
    }
    fn add_foreign_filter(&self) {
        self.0.add_foreign_rule("add rule inet foreign forward tcp dport 25 drop");
        let rules = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --dport 25 -j DROP\nCOMMIT\n";
        self.0.set_filters(Filters::read_iptables(rules, FilterProgram::IptablesLegacy, false));
    }
    fn foreign_filter(&self) -> String {
        self.0.dump().lines().filter(|line| line.starts_with("foreign:")).collect()
    }
    fn flush_filter(&self, _marks: &OwnershipTags, _kind: FirewallKind) {
        self.0.flush_firewall();
    }
    fn with_iptables(&self, host: &Host) -> Host {
        self.0.set_firewall_kind(FirewallKind::Iptables);
        host.clone()
    }
    fn enable_ufw(&self) -> bool {
        self.0.set_ufw(Some(true));
        true
    }
    fn daemon(&self, name: &str, behaviour: Daemon) -> phantom_host::Command {
        let fault = match behaviour {
            Daemon::Good => None,
            Daemon::Ends => Some(StartFault::Exits),
            Daemon::Hangs => Some(StartFault::Hangs),
        };
        self.0.fail_service(name, fault);
        phantom_host::Command { program: "/bin/daemon".into(), args: vec![] }
    }
    fn kill(&self, _host: &Host, service: &str) {
        self.0.crash_service(service);
    }
    fn has_device_program(&self, _programs: &Programs) -> bool {
        true
    }
    fn want_kernel_wireguard(&self) {
        self.0.set_kernel_wireguard(true);
    }
    fn wait_until(&self, happened: &dyn Fn() -> bool) {
        assert!(happened(), "in memory everything happens at once");
    }
    fn skip(&self, reason: &str) {
        panic!("the fake can do everything: {reason}");
    }
}

struct LinuxLab;

impl Lab for LinuxLab {
    fn add_tun(&self, name: &str) {
        let made = Command::new("ip").args(["tuntap", "add", name, "mode", "tun"]).status().unwrap();
        assert!(made.success());
    }
    fn remove_guard(&self, name: &str) {
        let removed = Command::new("tc").args(["qdisc", "del", "dev", name, "clsact"]).status().unwrap();
        assert!(removed.success());
    }
    fn bind(&self, port: Port) -> Box<dyn Any> {
        match port.protocol {
            Protocol::Udp => Box::new(UdpSocket::bind(("0.0.0.0", port.number)).unwrap()),
            Protocol::Tcp => Box::new(TcpListener::bind(("::", port.number)).unwrap()),
        }
    }
    fn add_foreign_filter(&self) {
        nft(&["add", "table", "inet", "foreign"]);
        nft(&["add", "chain", "inet", "foreign", "forward", "{ type filter hook forward priority 0; }"]);
        nft(&["add", "rule", "inet", "foreign", "forward", "tcp", "dport", "25", "drop"]);
    }
    fn foreign_filter(&self) -> String {
        nft(&["list", "table", "inet", "foreign"])
    }
    fn flush_filter(&self, tags: &OwnershipTags, kind: FirewallKind) {
        if kind == FirewallKind::Nftables {
            nft(&["delete", "table", "inet", &tags.nft_table()]);
            return;
        }
        // Nothing else is in the tables of this namespace: they are emptied, and chains that are empty deleted.
        for (program, table, action) in ["iptables", "ip6tables"].iter().flat_map(|program| {
            let tables = ["filter", "nat", "mangle"];
            tables.into_iter().flat_map(move |table| ["-F", "-X"].map(|action| (program, table, action)))
        }) {
            let done = Command::new(program).args(["-w", "-t", table, action]).status().unwrap();
            assert!(done.success());
        }
    }
    fn with_iptables(&self, host: &Host) -> Host {
        let firewall = LinuxFirewall::with_kind(FirewallKind::Iptables);
        Host { firewall: Arc::new(firewall), ..host.clone() }
    }
    fn enable_ufw(&self) -> bool {
        let enabled = Command::new("ufw").args(["--force", "enable"]).output();
        let on = enabled.as_ref().is_ok_and(|output| output.status.success());
        if !on {
            self.skip(&format!("ufw cannot be switched on: {enabled:?}"));
        }
        on
    }
    fn daemon(&self, _name: &str, behaviour: Daemon) -> phantom_host::Command {
        // This program again, with one of its tests that are none.
        let test = match behaviour {
            Daemon::Good => "daemon::good",
            Daemon::Ends => "daemon::ends",
            Daemon::Hangs => "daemon::hangs",
        };
        let args = ["--exact", test, "--ignored", "--nocapture"].map(str::to_owned).to_vec();
        phantom_host::Command { program: env::current_exe().unwrap(), args }
    }
    fn kill(&self, host: &Host, service: &str) {
        let pid = host.services.status(service).unwrap().pid.unwrap();
        kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
        self.wait_until(&|| host.services.status(service).unwrap().pid.is_none());
    }
    fn has_device_program(&self, programs: &Programs) -> bool {
        programs.device.exists()
    }
    fn want_kernel_wireguard(&self) {}
    fn wait_until(&self, happened: &dyn Fn() -> bool) {
        let start = Instant::now();
        while !happened() {
            assert!(start.elapsed() < Duration::from_secs(10), "it did not happen");
            thread::sleep(Duration::from_millis(5));
        }
    }
    fn skip(&self, reason: &str) {
        let test = thread::current().name().unwrap_or_default().to_owned();
        io::stderr().write_all(format!("skipped: {test}: {reason}\n").as_bytes()).unwrap();
    }
}

/// Runs nft and gives what it prints.
fn nft(arguments: &[&str]) -> String {
    let output = Command::new("nft").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

impl Bench {
    /// A host in memory that looks like the namespaces: only the loopback interface is up, and our own supervisor
    /// runs the services.
    pub(crate) fn fake() -> Self {
        let fake = FakeHost::new(programs());
        fake.change_link("eth0", &LinkChange { up: Some(false), ..LinkChange::default() }).unwrap();
        fake.set_manager(ServiceManager::Builtin);
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
            tags: OwnershipTags::new(None),
            programs: programs(),
        };
        // An emulated machine beside another one does not always answer within the few seconds of an ordinary one.
        let patience = Patience::of_changes(Duration::from_secs(30));
        let wireguard = Arc::new(LinuxWireGuard::with_patience(patience.clone()));
        let host = Host { wireguard, patience, ..Host::linux(options) };
        Self { host, lab: Box::new(LinuxLab) }
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
        protocol: OwnershipTags::PROTOCOL,
    }
}

/// The routes of the main table by an interface, sorted, each with its preferred source; those of the link itself
/// are left out.
pub(crate) fn main_routes(bench: &Bench, of: &str) -> Vec<String> {
    let routes = bench.host.network.routes(254).unwrap().into_iter();
    let own =
        routes.filter(|route| matches!(&route.kind, RouteKind::Via { interface, .. } if interface == of));
    let own = own.filter(|route| !route.destination.to_string().starts_with("fe80:"));
    let source = |route: &Route| route.source.map_or_else(|| "-".to_owned(), |source| source.to_string());
    let mut texts: Vec<_> = own.map(|route| format!("{} {}", route.destination, source(&route))).collect();
    texts.sort();
    texts
}

/// The programs of this build, in the folder above the one of this test; the device program is `PHANTOM_DEVICE` where
/// that is set.
fn programs() -> Programs {
    let test = env::current_exe().unwrap();
    let folder = test.parent().and_then(|deps| deps.parent()).unwrap();
    let programs = Programs::in_dir(folder);
    let device = env::var_os("PHANTOM_DEVICE").map_or(programs.device, Into::into);
    Programs { device, ..programs }
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
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{errors}");
    for line in errors.lines().filter(|line| line.starts_with("skipped:")) {
        io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
