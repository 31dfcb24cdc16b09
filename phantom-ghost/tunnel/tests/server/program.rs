//! The program as a service manager runs it, and its figures.

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use phantom_tunnel::config::{Configuration, Decoy, KeyPem};
use phantom_tunnel::control::Control;
use phantom_tunnel::secrets::Secret;
use tempfile::TempDir;

use crate::support::{Certificate, Client, PATIENCE, ask, certificate, connect, upgrade};

/// A running `phantom-ghost serve` of its own.
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
    manager: UnixDatagram,
    pub(crate) address: SocketAddr,
}

#[expect(clippy::disallowed_methods, reason = "the test is what starts the program")]
fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_phantom-ghost"))
}

/// A port that was free a moment ago.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

pub(crate) fn output(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

impl Program {
    /// Starts it without a configuration.
    pub(crate) fn start() -> Self {
        let address = free_address();
        Self::start_at(&address.to_string(), address)
    }

    /// Starts it without a configuration, as a process that may open so many files.
    pub(crate) fn start_with_descriptors(most: u32) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the test is what starts the program")]
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {most}; exec \"$@\"");
        shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_phantom-ghost")]);
        let address = free_address();
        Self::start_by(shell, &address.to_string(), address)
    }

    /// Starts it to listen at `place`, which leads to `address`, without a configuration.
    pub(crate) fn start_at(place: &str, address: SocketAddr) -> Self {
        Self::start_by(program(), place, address)
    }

    fn start_by(mut program: Command, place: &str, address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = program
            .args(["serve", "--control"])
            .arg(folder.path().join("control"))
            .args(["--listen", place])
            .env("NOTIFY_SOCKET", folder.path().join("notify"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, folder, manager, address }
    }

    pub(crate) fn control_path(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// Connects to its control socket as soon as it is there.
    pub(crate) async fn control(&self) -> Control {
        let begin = Instant::now();
        loop {
            match Control::connect(&self.control_path()).await {
                Ok(control) => return control,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Starts it and configures it for a WireGuard at `port`.
    pub(crate) async fn configured(port: u16) -> (Self, Secret) {
        let program = Self::start();
        let secret = Secret::generate();
        program.control().await.configure(configuration(&secret, port)).await.unwrap();
        (program, secret)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn told(&self) -> String {
        let mut text = [0; 64];
        let length = self.manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    /// Asks it to end and returns what it logged.
    pub(crate) fn end(mut self) -> (bool, String) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let mut log = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut log).unwrap();
        let status = self.child.wait().unwrap();
        (status.success(), log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn configuration(secret: &Secret, wireguard_port: u16) -> Configuration {
    let Certificate { chain, key } = certificate();
    Configuration {
        secrets: vec![secret.clone()],
        wireguard_port,
        certificate_pem: chain,
        key_pem: KeyPem::new(key),
        decoy: Decoy::Builtin,
        padding: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn program_is_ready_and_ends_when_told() {
    let wireguard = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = wireguard.local_addr().unwrap().port();
    let program = Program::start();
    let secret = Secret::generate();
    let mut control = program.control().await;
    assert!(!control.state().await.unwrap().configured);
    assert_eq!(program.told(), "READY=1\n", "it can be configured");
    control.configure(configuration(&secret, port)).await.unwrap();

    let mut client =
        Client::open(connect(program.address).await, &upgrade(secret.reveal(), port)).await.unwrap();
    assert!(client.is_alive().await);
    let wrong = upgrade(Secret::generate().reveal(), port);
    ask(&mut connect(program.address).await, &wrong).await.unwrap();

    let manager = program.manager.try_clone().unwrap();
    let begin = Instant::now();
    let path = program.control_path();
    let ending = tokio::task::spawn_blocking(move || program.end());
    assert_eq!(client.event().await, Some(('c', Vec::new())));
    drop(client);
    let (success, log) = ending.await.unwrap();
    assert!(success && begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    control.closed().await;
    assert!(!path.exists());
    let mut text = [0; 64];
    let length = manager.recv(&mut text).unwrap();
    assert_eq!(&text[..length], b"STOPPING=1\n");
    assert!(log.contains("listening at 127.0.0.1:") && log.contains("configured"), "{log}");
    assert!(!log.contains(secret.reveal()) && log.matches("127.0.0.1").count() == 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_it_is_configured_nobody_gets_anything() {
    let program = Program::start();
    let _control = program.control().await;
    let stream =
        crate::support::connect_with(program.address, crate::support::client_config(), "x.example").await;
    assert!(stream.is_err());
}

#[test]
fn arguments_are_explained_and_checked() {
    let help = output(&["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("serve"));
    let version = output(&["--version"]);
    assert_eq!(
        String::from_utf8_lossy(&version.stdout),
        format!("phantom-ghost {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(output(&["serve", "--help"]).status.success());
    for arguments in [&[][..], &["dance"], &["serve"], &["serve", "--control"]] {
        let refused = output(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(refused.stdout.is_empty() && !refused.stderr.is_empty());
    }
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let _listener = std::net::TcpListener::bind(taken).unwrap();
    let failed = output(&["serve", "--control", "/nonexistent/control", "--listen", &taken.to_string()]);
    assert_eq!(failed.status.code(), Some(1));
    let text = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(text.contains(&format!("cannot listen at {taken}: ")), "{text}");
}

/// Everybody may open the socket's file here, and still only root and the server's own user are heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_socket_hears_nobody_else() {
    if !nix::unistd::geteuid().is_root() {
        let why = "another user's process is started by root only";
        eprintln!("SKIPPED program::the_control_socket_hears_nobody_else: {why}");
        return;
    }
    let program = Program::start();
    program.control().await.state().await.unwrap();
    let path = program.control_path();
    for (path, mode) in [(path.parent().unwrap(), 0o755), (&path, 0o666)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    // curl sends lines, of which none is a request, and prints the replies as what HTTP/0.9 has in place of an answer.
    let asked = |user: u32| {
        #[expect(clippy::disallowed_methods, reason = "the test is what starts the program")]
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--http0.9", "--max-time", "2", "--unix-socket"]).arg(&path);
        curl.arg("http://x/").uid(user).gid(user).output().unwrap()
    };
    let (root, stranger) = (asked(0), asked(65_534));
    assert!(String::from_utf8_lossy(&root.stdout).contains("not a request"), "{root:?}");
    assert_eq!((&*stranger.stdout, stranger.status.success()), (&b""[..], false), "{stranger:?}");
    program.control().await.state().await.unwrap();
}

/// Resident memory of a process in KiB.
pub(crate) fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
