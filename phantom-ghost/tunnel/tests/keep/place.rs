//! A server, its keeper and an authority, with their files in one directory.

use std::fs;
use std::io::{self, Write as _};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::tunnel::{Tunnel, connect};
use crate::world::Pebble;

pub(crate) const NAME: &str = "vpn.example.com";

/// Programs that are ended when it is dropped.
pub(crate) struct Place {
    pub(crate) pebble: Arc<Pebble>,
    secret: String,
    wireguard: UdpSocket,
    manager: UnixDatagram,
    server: Option<Child>,
    keeper: Option<Child>,
}

/// What `look` finds, as soon as it finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Place {
    pub(crate) fn new(test: &str, life: Duration) -> Option<Self> {
        let pebble = Arc::new(Pebble::start(test, life)?);
        // In the place of WireGuard: what comes goes back.
        let wireguard = UdpSocket::bind("127.0.0.1:0").unwrap();
        let echo = wireguard.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 2048];
            while let Ok((length, from)) = echo.recv_from(&mut bytes) {
                drop(echo.send_to(&bytes[..length], from));
            }
        });
        let manager = UnixDatagram::bind(pebble.home.path().join("notify")).unwrap();
        manager.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let place =
            Self { pebble, secret: "s3cr3t".repeat(8), wireguard, manager, server: None, keeper: None };
        place.configure(&place.pebble.directory());
        Some(place)
    }

    /// Ends the authority.
    pub(crate) fn end_authority(&mut self) {
        Arc::get_mut(&mut self.pebble).unwrap().end();
    }

    /// Starts the authority again.
    pub(crate) fn run_authority(&mut self) {
        Arc::get_mut(&mut self.pebble).unwrap().run();
    }

    /// Starts server and keeper.
    pub(crate) fn start(&mut self) {
        let listen = format!("127.0.0.1:{}", self.pebble.tls_port);
        let control = self.path("control");
        let server =
            program().arg("serve").arg("--control").arg(&control).args(["--listen", &listen]).spawn();
        self.server = Some(server.unwrap());
        until("the server listens", || control.exists().then_some(()));
        self.start_keeper();
    }

    /// Starts the keeper alone.
    pub(crate) fn start_keeper(&mut self) {
        let (mut keeper, control) = (program(), self.path("control"));
        keeper.arg("keep").arg("--config").arg(self.path("ghost.conf")).arg("--control").arg(&control);
        keeper.arg("--status").arg(self.path("status.json")).env("NOTIFY_SOCKET", self.path("notify"));
        self.keeper = Some(keeper.spawn().unwrap());
    }

    /// Waits until the keeper tells the service manager that it is ready.
    pub(crate) fn ready(&self) {
        let mut text = [0; 64];
        let length =
            self.manager.recv(&mut text).unwrap_or_else(|error| panic!("{error}: {:?}", self.status()));
        assert_eq!(&text[..length], b"READY=1\n");
    }

    /// The verb `issue`, which listens by itself.
    pub(crate) fn issue(&self) -> Value {
        let request = json!({"domain": NAME, "directory": self.pebble.directory(), "ca_file": self.pebble.ca_file(),
            "certs_dir": self.path("certs"), "listen": ["127.0.0.1"], "tls_alpn_port": self.pebble.tls_port,
            "http01_port": self.pebble.http_port});
        let mut child = program().arg("issue").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
    }

    pub(crate) fn status(&self) -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(self.path("status.json")).ok()?).ok()
    }

    /// What is in the certificate directory, verified by others.
    pub(crate) fn verify(&self) {
        self.pebble.verify(&self.path("certs").join(NAME).join("fullchain.pem"), NAME);
    }

    /// The certificate that a new connection gets.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        connect(&self.pebble, None).unwrap().conn.peer_certificates().unwrap()[0].to_vec()
    }

    pub(crate) fn tunnel(&self) -> Tunnel {
        let port = self.wireguard.local_addr().unwrap().port();
        Tunnel::open(connect(&self.pebble, Some(&self.pebble.root())).unwrap(), &self.secret, port)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.keeper.as_ref().unwrap().id();
        kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }

    /// Ends the keeper; it has to end well.
    pub(crate) fn stop(&mut self, with: Signal) {
        self.signal(with);
        let status = self.keeper.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Tells the keeper which authority to ask.
    pub(crate) fn configure(&self, directory: &str) {
        let folder = self.path("certs").join(NAME);
        let text = json!({"domain": NAME, "secrets": [self.secret],
            "wireguard_port": self.wireguard.local_addr().unwrap().port(),
            "certificate": {"source": "acme", "cert_path": folder.join("fullchain.pem"), "key_path": folder.join("privkey.pem")},
            "acme": {"directory": directory, "account_dir": self.path("certs"),
                "ca_file": self.pebble.ca_file(), "listen": ["127.0.0.1"], "tls_alpn_port": self.pebble.tls_port,
                "http01_port": self.pebble.http_port}});
        fs::write(self.path("ghost.conf"), format!("# phantom-wg\n{text}\n")).unwrap();
    }

    fn path(&self, file: &str) -> PathBuf {
        self.pebble.home.path().join(file)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for mut child in [self.keeper.take(), self.server.take()].into_iter().flatten() {
            let ended: io::Result<_> = child.kill().and_then(|()| child.wait());
            drop(ended);
        }
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_phantom-ghost"))
}
