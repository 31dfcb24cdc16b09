//! A real nginx behind, as what strangers visit. In front it is in `front`.

#![expect(clippy::disallowed_methods, reason = "a stranger's web server, with files of its own")]

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use phantom_tunnel::config::{Decoy, Upstream, WebServer};
use phantom_tunnel::secrets::Secret;
use phantom_tunnel::server::{Server, private_pages};
use phantom_types::ProxyVersion;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Client, PATIENCE, Rig, ask, unlimited, upgrade, without_date};

/// A running nginx with a folder of its own. Its workers are not root, as usual.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) folder: TempDir,
}

/// The program: `PHANTOM_NGINX`, or in its usual place. Without it, says that `test` is skipped.
pub(crate) fn nginx(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("PHANTOM_NGINX").map(PathBuf::from);
    let found = named.into_iter().chain(["/usr/sbin/nginx".into()]).find(|path| path.is_file());
    if found.is_none() {
        let line = format!("\nSKIPPED {test}: there is no nginx: name it in PHANTOM_NGINX\n");
        drop(std::io::stderr().write_all(line.as_bytes()));
    }
    found
}

/// A port of loopback that was free a moment ago.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl Nginx {
    /// Starts it with a `server` block, and waits until it listens at `address`.
    pub(crate) async fn start(program: &Path, folder: TempDir, address: SocketAddr, server: &str) -> Self {
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {};\n", at(what)))
            .concat();
        let text = format!(
            "pid {};\nerror_log error.log;\nevents {{}}\nhttp {{\naccess_log access.log;\n{temporary}server {{\n{server}}}\n}}\n",
            at("pid")
        );
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(begin.elapsed() < PATIENCE, "nginx does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { child, folder }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked politely it ends its workers too.
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Everything that strangers see is nginx's own, byte for byte, whichever way it listens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_it_answers_every_stranger() {
    let Some(program) = nginx("nginx::behind_it_answers_every_stranger") else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    fs::create_dir(&site).unwrap();
    fs::write(site.join("index.html"), "the operator's own page").unwrap();
    fs::write(site.join("large"), vec![b'x'; 3_000_000]).unwrap();
    let (address, socket) = (free_port(), folder.path().join("socket"));
    let server = format!("listen {address};\nlisten unix:{};\nroot {};\n", socket.display(), site.display());
    let nginx = Nginx::start(&program, folder, address, &server).await;
    for upstream in [Upstream::Tcp(address), Upstream::Unix(nginx.folder.path().join("socket"))] {
        let change = |config: &mut phantom_tunnel::config::Configuration| {
            config.decoy = Decoy::Upstream(upstream.into());
        };
        let rig = Rig::with(Server::builder().limits(unlimited()), change).await;
        let right = upgrade(rig.secret(), rig.port());
        for request in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "GET /large HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "HEAD / HTTP/1.0\r\n\r\n".to_owned(),
            "GET /unknown HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
            "nonsense\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(40_000)),
            upgrade(Secret::generate().reveal(), rig.port()),
            right.replace("websocket-version: 13", "websocket-version: 12"),
        ] {
            let direct = ask(&mut TcpStream::connect(address).await.unwrap(), &request).await.unwrap();
            let through = ask(&mut rig.connect().await, &request).await.unwrap();
            assert!(direct.starts_with("HTTP/1."), "{direct}");
            assert!(without_date(&through) == without_date(&direct), "{request}: {through}\n{direct}");
        }
        let mut client = Client::open(rig.connect().await, &right).await.unwrap();
        client.send(b"hello").await.unwrap();
        assert_eq!(rig.arrived().0, b"hello");
        rig.stop().await;
    }
}

/// What nginx shows to its own machine alone stays its own, and the header of a proxy tells it who comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_pages_stay_hidden_from_strangers() {
    const TEST: &str = "nginx::local_pages_stay_hidden_from_strangers";
    let (Some(program), Some(own)) = (nginx(TEST), crate::source::own_address(TEST)) else { return };
    let (address, told) = (free_port(), free_port());
    let private = "location /nginx_status { allow 127.0.0.0/8; deny all; stub_status; }\n\
                   location /who { return 200 $remote_addr; }\n";
    let by_header = format!(
        "listen {address};\n{private}}}\nserver {{\nlisten {told} proxy_protocol;\nset_real_ip_from {own};\n\
         real_ip_header proxy_protocol;\n{private}"
    );
    let _nginx = Nginx::start(&program, tempfile::tempdir().unwrap(), address, &by_header).await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let domain = "vpn.example".parse().unwrap();
    for (at, source, proxy, status, who) in [
        // As it was: strangers are this machine.
        (address, None, None, "200", "127.0.0.1".to_owned()),
        (address, Some(own), None, "403", own.to_string()),
        // The strangers of this test do come from 127.0.0.1, and the header says so.
        (told, Some(own), Some(ProxyVersion::V1), "200", "127.0.0.1".to_owned()),
        (told, Some(own), Some(ProxyVersion::V2), "200", "127.0.0.1".to_owned()),
    ] {
        let server = WebServer { at: Upstream::Tcp(at), source, proxy };
        let shown = private_pages(&server, &domain).await.unwrap();
        let expected: &[&str] = if source.is_none() { &["/nginx_status"] } else { &[] };
        assert_eq!(shown, expected, "{server:?}: somebody from 192.0.2.1, or from the source");
        let change =
            |config: &mut phantom_tunnel::config::Configuration| config.decoy = Decoy::Upstream(server);
        let rig = Rig::with(Server::builder().limits(unlimited()), change).await;
        let page = ask(&mut rig.connect().await, &request("/nginx_status")).await.unwrap();
        assert!(page.starts_with(&format!("HTTP/1.1 {status} ")), "{page}");
        let page = ask(&mut rig.connect().await, &request("/who")).await.unwrap();
        assert!(page.ends_with(&who), "{page}");
    }
}

/// The bytes that come back for half a request until the end, and when that came.
async fn half(mut stream: impl AsyncRead + AsyncWrite + Unpin, words: &str) -> (String, Duration) {
    let begin = Instant::now();
    stream.write_all(words.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut got = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut got)).await.unwrap();
    (without_date(&String::from_utf8_lossy(&got)), begin.elapsed())
}

/// It waits for the end of a head as long as it does for visitors of its own, and refuses what it can refuse before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_requests_end_like_its_own() {
    let Some(program) = nginx("nginx::half_requests_end_like_its_own") else { return };
    let address = free_port();
    let server = format!("listen {address};\nclient_header_timeout 2s;\n");
    let _nginx = Nginx::start(&program, tempfile::tempdir().unwrap(), address, &server).await;
    let change = |config: &mut phantom_tunnel::config::Configuration| {
        config.decoy = Decoy::Upstream(Upstream::Tcp(address).into());
    };
    let rig = Rig::with(Server::builder().limits(unlimited()), change).await;
    let secret = Secret::generate();
    let shaped = upgrade(secret.reveal(), rig.port());
    for words in [
        "",
        "G",
        "GET /abc",
        "GET /abc/events HTTP/1.1\r\n",
        "GET /abc/eventz HTTP/1.1\r\n",
        "POST /abc/events HTTP/1.1\r\n",
        "GET /abc/events HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        "GET /abc/events HTTP/1.1\r\nHost: a/b\r\n",
        "get /abc/events HTTP/1.1\r\n",
        shaped.split_at(shaped.len() - 9).0,
    ] {
        let (direct, through) =
            tokio::join!(async { half(TcpStream::connect(address).await.unwrap(), words).await }, async {
                half(rig.connect().await, words).await
            });
        println!("{words:?}: {:?} and {:?}", direct.1, through.1);
        assert_eq!(through.0, direct.0, "{words:?}");
        assert!(
            through.1.abs_diff(direct.1) < Duration::from_secs(1),
            "{words:?}: {through:?}, not {direct:?}"
        );
    }
}
