//! The sandbox, and what is in it: this host with the device, and a client in a namespace of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use phantom_types::PrivateKey;

/// How long anything may take that is not measured. Generous, since other tests run beside.
const PATIENCE: Duration = Duration::from_secs(20);
const MARK: &str = "PHANTOM_DEVICE_LAB";

/// Runs `test`, the body of the test with this full name, in a sandbox.
pub(crate) fn sandbox(name: &str, test: impl FnOnce()) {
    if std::env::var(MARK).is_ok_and(|inside| inside == name) {
        prepare();
        return test();
    }
    if let Some(reason) = missing() {
        return skip(name, &reason);
    }
    let this = std::env::current_exe().unwrap();
    // What hangs fails after five minutes, and takes everything in the sandbox with it.
    let output = Command::new("timeout")
        .args([
            "--signal=KILL",
            "300",
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
        ])
        .arg(this)
        .args([name, "--exact", "--nocapture", "--include-ignored"])
        .env(MARK, name)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let shown = printed(&output.stdout) + &printed(&output.stderr);
    assert!(output.status.success(), "in the sandbox:\n{shown}");
    assert!(shown.contains("1 passed"), "the sandbox has not run {name}:\n{shown}");
}

/// Says that a test is skipped, past the capturing of the test runner, so that it is seen.
pub(crate) fn skip(name: &str, reason: &str) {
    std::io::stderr().write_all(format!("skipped: {name}: {reason}\n").as_bytes()).unwrap();
}

/// What the sandbox wants and this machine has not.
fn missing() -> Option<String> {
    if !Uid::effective().is_root() {
        return Some("not root".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("no /dev/net/tun".to_owned());
    }
    for tool in ["unshare", "ip", "wg", "wireguard-go"] {
        if Command::new("which").arg(tool).output().is_ok_and(|output| !output.status.success()) {
            return Some(format!("no {tool}"));
        }
    }
    let tried = Command::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        _ => Some("no namespaces".to_owned()),
    }
}

/// `/run` again, and a client beside this host: 192.0.2.1 and .3 here, 192.0.2.2 there.
fn prepare() {
    ok("mount -t tmpfs none /run");
    fs::create_dir("/run/netns").unwrap();
    ok("ip link set lo up");
    ok("ip netns add client");
    ok("ip link add v0 type veth peer name v1 netns client");
    ok("ip addr add 192.0.2.1/24 dev v0");
    ok("ip addr add 192.0.2.3/24 dev v0");
    ok("ip -n client addr add 192.0.2.2/24 dev v1");
    ok("ip link set v0 up");
    ok("ip -n client link set v1 up");
}

/// Runs a command, words apart by spaces, and returns what it prints. It has to succeed.
pub(crate) fn ok(command: &str) -> String {
    let output = run(command);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command, words apart by spaces.
pub(crate) fn run(command: &str) -> Output {
    let mut words = command.split_whitespace();
    Command::new(words.next().unwrap()).args(words).stdin(Stdio::null()).output().unwrap()
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Does something in the client's namespace.
pub(crate) fn at_client<T: Send>(action: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let action = scope.spawn(|| {
            let namespace = fs::File::open("/run/netns/client").unwrap();
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            action()
        });
        action.join().unwrap()
    })
}

/// A running `phantom-wg-device`, killed when dropped.
pub(crate) struct Device {
    child: Child,
}

impl Device {
    /// Starts it on this host and waits until it can be asked.
    pub(crate) fn start(name: &str, options: &str) -> Self {
        Self::start_by(&mut Self::command(name, options), name)
    }

    /// The command that starts it, whose words are appended to the log of the device.
    pub(crate) fn command(name: &str, options: &str) -> Command {
        let log = fs::File::options().create(true).append(true).open(format!("/run/{name}.log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_phantom-wg-device"));
        command.args(options.split_whitespace()).arg(name).stdin(Stdio::null()).stderr(log);
        command
    }

    /// Starts it by this command and waits until it can be asked.
    pub(crate) fn start_by(command: &mut Command, name: &str) -> Self {
        let mut device = Self { child: command.spawn().unwrap() };
        until("the socket", || {
            assert_eq!(device.child.try_wait().unwrap(), None, "it has ended: {}", log(name));
            UnixStream::connect(socket(name)).is_ok()
        });
        device
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal and returns how it ended, and how long that took.
    pub(crate) fn end(mut self, signal: Signal) -> (ExitStatus, Duration) {
        let start = Instant::now();
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
        (self.child.wait().unwrap(), start.elapsed())
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        until("its end", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the devices of this name have said so far.
pub(crate) fn log(name: &str) -> String {
    fs::read_to_string(format!("/run/{name}.log")).unwrap()
}

/// The control socket of a device.
pub(crate) fn socket(name: &str) -> String {
    format!("/var/run/wireguard/{name}.sock")
}

/// A request, sent as it is, and its answer.
pub(crate) fn ask(name: &str, request: &str) -> String {
    let mut stream = UnixStream::connect(socket(name)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut part = vec![0; 1 << 16];
    while !answer.ends_with(b"\n\n") {
        match stream.read(&mut part).unwrap() {
            0 => break,
            length => answer.extend_from_slice(&part[..length]),
        }
    }
    String::from_utf8(answer).unwrap()
}

/// The private key number `seed`.
pub(crate) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_random([seed; 32])
}

/// Its public key as `wg` writes it.
pub(crate) fn public(seed: u8) -> String {
    key(seed).public_key().to_string()
}

/// The bytes of a key as the protocol writes them.
pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A file with a private key, for `wg`.
pub(crate) fn key_file(seed: u8) -> String {
    let path = format!("/run/key{seed}");
    fs::write(&path, key(seed).reveal().as_bytes()).unwrap();
    path
}

/// A device `wga` on this host, 10.9.0.1 and `fd09::1`, and at the client a wireguard-go `wgb`, 10.9.0.2 and
/// `fd09::2`, that knows where `wga` is. Keys 1 and 2.
pub(crate) fn pair(options: &str) -> Device {
    let device = Device::start("wga", options);
    set_up_server();
    ok("ip netns exec client wireguard-go wgb");
    let (key, server) = (key_file(2), public(1));
    ok(&format!(
        "ip netns exec client wg set wgb private-key {key} peer {server} allowed-ips 10.9.0.1/32,fd09::1/128 \
         endpoint 192.0.2.1:51820"
    ));
    ok("ip -n client addr add 10.9.0.2/24 dev wgb");
    ok("ip -n client addr add fd09::2/64 dev wgb nodad");
    ok("ip -n client link set wgb mtu 1420 up");
    device
}

/// Gives `wga` its key, its port, the client as peer, and its link addresses.
pub(crate) fn set_up_server() {
    let (key, client) = (key_file(1), public(2));
    ok(&format!(
        "wg set wga private-key {key} listen-port 51820 peer {client} allowed-ips 10.9.0.2/32,fd09::2/128"
    ));
    ok("ip addr add 10.9.0.1/24 dev wga");
    ok("ip addr add fd09::1/64 dev wga nodad");
    ok("ip link set wga up");
}
