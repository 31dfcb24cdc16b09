//! wstunnel's two ends: the real programs.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::support::{PATIENCE, TunnelNet};

/// A wstunnel of some version.
pub(crate) struct Stock {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
}

/// Every wstunnel that `PHANTOM_WSTUNNEL` names, paths with colons between. Without any, says that `test` is skipped.
pub(crate) fn stocks(test: &str) -> Vec<Stock> {
    let named = std::env::var("PHANTOM_WSTUNNEL").unwrap_or_default();
    let paths: Vec<PathBuf> = named.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    if paths.is_empty() {
        let why = "no wstunnel is here: name some in PHANTOM_WSTUNNEL";
        // At once, on a line of its own: the harness writes its lines in pieces.
        drop(std::io::stderr().write_all(format!("\nSKIPPED {test}: {why}\n").as_bytes()));
    }
    let mut stocks: Vec<_> = paths.into_iter().map(Stock::new).collect();
    stocks.sort_by(|one, other| one.name.cmp(&other.name));
    stocks
}

/// Whether tests may take minutes.
pub(crate) fn long() -> bool {
    std::env::var_os("PHANTOM_TEST_LONG").is_some_and(|value| value == "1")
}

impl Stock {
    fn new(path: PathBuf) -> Self {
        let output = command(&path).arg("--version").output().unwrap();
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(name.contains(" 10."), "{}: {name:?}", path.display());
        Self { path, name }
    }

    /// Its client for a server at `port`, with `options`; verifies the server's certificate. Says where it listens.
    pub(crate) fn client(
        &self,
        world: &TunnelNet,
        port: u16,
        secret: &str,
        options: &[&str],
    ) -> (Process, SocketAddr) {
        let local = free_udp();
        let way = format!("udp://{local}:127.0.0.1:{}?timeout_sec=0", world.echo.port());
        let mut child = command(&self.path);
        child.args(["client", "--log-lvl", "OFF", "--tls-verify-certificate", "-P", secret]);
        child.args(options).args(["-L", &way]).arg(format!("wss://127.0.0.1:{port}"));
        child.env("SSL_CERT_FILE", &world.ca).env_remove("SSL_CERT_DIR");
        (Process::start(child), local)
    }

    /// Its server at `port`, with `options`, once it listens.
    pub(crate) async fn server(&self, world: &TunnelNet, port: u16, options: &[&str]) -> Process {
        let mut child = command(&self.path);
        child.args(["server", "--log-lvl", "OFF", "-r", world.secret.reveal()]);
        child.arg("--restrict-to").arg(format!("127.0.0.1:{}", world.echo.port()));
        child.arg("--tls-certificate").arg(&world.chain).arg("--tls-private-key").arg(&world.key);
        child.args(options).arg(format!("wss://127.0.0.1:{port}"));
        let process = Process::start(child);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < end, "{} does not listen", self.name);
            sleep(Duration::from_millis(20)).await;
        }
        process
    }
}

#[expect(clippy::disallowed_methods, reason = "another project's program is run beside ours")]
fn command(path: &Path) -> Command {
    Command::new(path)
}

/// A program that ends with its owner.
pub(crate) struct Process(Child);

impl Process {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free_udp() -> SocketAddr {
    std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
