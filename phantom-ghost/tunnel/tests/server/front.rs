//! Web servers in front, which terminate TLS: real ones, configured as `docs/ghost.md` says, and what is believed of them.

#![expect(clippy::disallowed_methods, reason = "strangers' web servers, with files of their own")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use phantom_tunnel::config::{Decoy, KeyPem, Upstream, WebServer};
use phantom_tunnel::limits::Limits;
use phantom_tunnel::secrets::Secret;
use phantom_tunnel::server::{Listen, Server};
use phantom_types::ProxyVersion;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::nginx::{Nginx, free_port, nginx};
use crate::program::{Program, configuration};
use crate::support::{
    Client, NAME, PATIENCE, Rig, ask, certificate, connect, unlimited, upgrade, without_date,
};

const DOCUMENTATION: &str = include_str!("../../../../docs/ghost.md");
/// What the documentation calls the socket, the name and the port.
const SOCKET: &str = "/run/phantom-web/http";
const DOMAIN: &str = "vpn.example.org";

/// A web server that runs, with a folder of its own.
enum Front {
    Nginx(Nginx),
    Other { child: Child, folder: TempDir },
}

impl Front {
    fn folder(&self) -> &Path {
        match self {
            Self::Nginx(nginx) => nginx.folder.path(),
            Self::Other { folder, .. } => folder.path(),
        }
    }

    /// Everything that it has written down, with what it was configured by left out.
    fn logs(&self) -> String {
        ["access.log", "error.log", "said"]
            .map(|file| fs::read_to_string(self.folder().join(file)).unwrap_or_default())
            .concat()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Self::Other { child, .. } = self {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The program that `variable` names, or in its usual place. Without it, says that `test` is skipped.
fn program(test: &str, variable: &str, place: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let found = named.into_iter().chain([place.into()]).find(|path| path.is_file());
    if found.is_none() {
        let line = format!("\nSKIPPED {test}: there is no such web server: name it in {variable}\n");
        drop(std::io::stderr().write_all(line.as_bytes()));
    }
    found
}

/// The block of the documentation that begins with this line, with the socket and the name of a test.
fn documented(first: &str, socket: &Path) -> String {
    let begin =
        DOCUMENTATION.find(&format!("\n{first}\n")).unwrap_or_else(|| panic!("{first} is not documented"));
    let block = &DOCUMENTATION[begin + 1..];
    let end = block.find("\n\n\n").unwrap_or(block.len()).min(block.find("```").unwrap_or(block.len()));
    let block = &block[..end];
    assert!(block.contains(SOCKET), "{block}");
    block.replace(SOCKET, &socket.display().to_string()).replace(DOMAIN, NAME)
}

async fn start(mut command: Command, folder: TempDir, address: SocketAddr) -> Front {
    let said = fs::File::create(folder.path().join("said")).unwrap();
    let child = command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
    let front = Front::Other { child, folder };
    let begin = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "it does not listen: {}", front.logs());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    front
}

async fn with_nginx(program: &Path, folder: TempDir, address: SocketAddr, socket: &Path) -> Front {
    let at = |file: &str| folder.path().join(file).display().to_string();
    let block = documented("server {", socket);
    let block = block
        .replace("listen 443 ssl", &format!("listen {address} ssl"))
        .replace("    listen [::]:443 ssl;\n", "");
    let block = block.replace(&format!("/etc/ssl/{NAME}.pem"), &at("chain.pem"));
    let block = block.replace(&format!("/etc/ssl/{NAME}.key"), &at("key.pem"));
    assert!(block.contains(&at("key.pem")) && block.contains(&address.to_string()), "{block}");
    // What distributions have: a page for errors, which another `location` answers.
    fs::write(folder.path().join("50x.html"), "an error").unwrap();
    let root = folder.path().display();
    let page = format!("error_page 502 504 /50x.html;\nlocation = /50x.html {{\nroot {root};\n}}\n");
    let server = block.strip_prefix("server {\n").and_then(|block| block.trim_end().strip_suffix('}'));
    let server = format!("{page}{}", server.unwrap());
    Front::Nginx(Nginx::start(program, folder, address, &server).await)
}

async fn with_haproxy(program: &Path, folder: TempDir, address: SocketAddr, socket: &Path) -> Front {
    let at = |file: &str| folder.path().join(file).display().to_string();
    let both = ["chain.pem", "key.pem"].map(|file| fs::read_to_string(folder.path().join(file)).unwrap());
    fs::write(folder.path().join("both.pem"), both.concat()).unwrap();
    let block = documented("frontend https", socket);
    let block = block.replace("bind :443", &format!("bind {address}"));
    let block = block.replace(&format!("/etc/haproxy/certs/{NAME}.pem"), &at("both.pem"));
    assert!(block.contains(&at("both.pem")) && block.contains(&address.to_string()), "{block}");
    let text = format!(
        "global\n    log stdout format raw local0\ndefaults\n    log global\n    option httplog\n    timeout connect 5s\n    \
         timeout client 60s\n    timeout server 60s\n{block}\n"
    );
    fs::write(folder.path().join("haproxy.cfg"), text).unwrap();
    let mut command = Command::new(program);
    command.args(["-db", "-f"]).arg(folder.path().join("haproxy.cfg"));
    start(command, folder, address).await
}

async fn with_caddy(program: &Path, folder: TempDir, address: SocketAddr, socket: &Path) -> Front {
    let block = documented("{", socket);
    let site = format!("{NAME} {{");
    let test = format!(
        "https://{NAME}:{} {{\n    bind {}\n    tls {} {}",
        address.port(),
        address.ip(),
        folder.path().join("chain.pem").display(),
        folder.path().join("key.pem").display()
    );
    assert!(block.starts_with("{\n") && block.contains(&site), "{block}");
    let block = block.replacen("{\n", "{\n    admin off\n    auto_https disable_redirects\n", 1);
    fs::write(folder.path().join("Caddyfile"), block.replace(&site, &test)).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.path().join("Caddyfile"));
    command.env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
    start(command, folder, address).await
}

/// What a web server behind is told by the PROXY protocol of whoever comes.
fn listening_decoy() -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            // A connection that only asks what is spoken here says nothing of anybody.
            let Some(Ok(first)) = lines.next() else { continue };
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let _ = stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\ndecoy");
            if tell.send(first).is_err() {
                return;
            }
        }
    });
    (address, told)
}

/// A tunnel through a web server, what strangers see, whom the server takes them for, and that no secret is written down.
async fn leads_to_the_tunnel(address: SocketAddr, front: impl AsyncFnOnce(TempDir, &Path) -> Front) {
    let wireguard = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    wireguard.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = wireguard.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    // Its folder is made by the tunnel's server, so that the workers of the web server can pass through.
    let socket = folder.path().join("phantom-web/http");
    let tunnel = Program::start_at(&format!("unix:{}", socket.display()), address);
    let (decoy, told) = listening_decoy();
    let secret = Secret::generate();
    let mut configuration = configuration(&secret, port);
    // The web server has the certificate.
    (configuration.certificate_pem, configuration.key_pem) = (String::new(), KeyPem::new(String::new()));
    configuration.decoy =
        Decoy::Upstream(WebServer { proxy: Some(ProxyVersion::V1), ..Upstream::Tcp(decoy).into() });
    tunnel.control().await.configure(configuration).await.unwrap();
    let certificate = certificate();
    fs::write(folder.path().join("chain.pem"), certificate.chain).unwrap();
    fs::write(folder.path().join("key.pem"), certificate.key).unwrap();
    let front = front(folder, &socket).await;

    let mut client = Client::open(connect(address).await, &upgrade(secret.reveal(), port)).await.unwrap();
    let mut buffer = vec![0; 65_536];
    for size in [1, 148, 1400, 9000, 65_507] {
        let datagram = vec![7; size];
        client.send(&datagram).await.unwrap();
        let (length, from) = wireguard.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[..length], datagram);
        wireguard.send_to(&datagram, from).unwrap();
        assert_eq!(client.event().await, Some(('d', datagram)));
    }
    assert!(client.is_alive().await);

    // What strangers say of themselves does not count: the web server says whom it sees.
    let forged = format!("GET /unknown HTTP/1.1\r\nHost: {NAME}\r\nX-Forwarded-For: 203.0.113.77\r\n\r\n");
    while told.try_recv().is_ok() {}
    let unknown = ask(&mut connect(address).await, &forged).await.unwrap();
    assert!(unknown.starts_with("HTTP/1.1 404") && unknown.ends_with("decoy"), "{unknown}");
    let seen = told.recv_timeout(PATIENCE).unwrap();
    assert!(seen.starts_with("PROXY TCP4 127.0.0.1 0.0.0.0 "), "{seen}");
    let wrong = upgrade(Secret::generate().reveal(), port);
    let wrong = ask(&mut connect(address).await, &wrong).await.unwrap();
    assert_eq!(without_date(&wrong), without_date(&unknown));

    // While the tunnel's server is not there, errors are written down. What opens tunnels is in the path, and must not be.
    drop(tunnel);
    let gone = ask(&mut connect(address).await, &upgrade(secret.reveal(), port)).await.unwrap();
    assert!(gone.starts_with("HTTP/1.1 50"), "{gone}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let logs = front.logs();
    assert!(!logs.contains(secret.reveal()), "{logs}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_leads_to_the_tunnel_as_documented() {
    let Some(program) = nginx("front::nginx_leads_to_the_tunnel_as_documented") else { return };
    let address = free_port();
    leads_to_the_tunnel(address, async |folder, socket: &Path| {
        with_nginx(&program, folder, address, socket).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_leads_to_the_tunnel_as_documented() {
    let test = "front::haproxy_leads_to_the_tunnel_as_documented";
    let Some(program) = program(test, "PHANTOM_HAPROXY", "/usr/sbin/haproxy") else { return };
    let address = free_port();
    leads_to_the_tunnel(address, async |folder, socket: &Path| {
        with_haproxy(&program, folder, address, socket).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_leads_to_the_tunnel_as_documented() {
    let test = "front::caddy_leads_to_the_tunnel_as_documented";
    let Some(program) = program(test, "PHANTOM_CADDY", "/usr/bin/caddy") else { return };
    let address = free_port();
    leads_to_the_tunnel(address, async |folder, socket: &Path| {
        with_caddy(&program, folder, address, socket).await
    })
    .await;
}

/// Few connections for each network, and a socket for a web server beside the TLS port.
async fn small(folder: &TempDir) -> (Rig, PathBuf) {
    let socket = folder.path().join("http");
    let limits = Limits { connections_per_network: 2, exempt_loopback: false, ..unlimited() };
    let builder = Server::builder().limits(limits).listen(Listen::Unix(socket.clone()));
    (Rig::with(builder, |_| {}).await, socket)
}

fn page(address: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Forwarded-For: {address}\r\n\r\n")
}

/// Whether the server has closed a connection on which it owes no answer.
async fn is_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> bool {
    let mut byte = [0];
    matches!(timeout(Duration::from_millis(500), stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn limits_use_the_forwarded_address() {
    let folder = tempfile::tempdir().unwrap();
    let (rig, socket) = small(&folder).await;
    for address in ["198.51.100.1", "203.0.113.1", "198.51.100.2, 198.51.100.3", "2001:db8::1"] {
        let mut visit = UnixStream::connect(&socket).await.unwrap();
        let answer = ask(&mut visit, &page(address)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Connection: close"), "{answer}");
        assert!(is_closed(&mut visit).await, "the web server in front would use it for others");
    }

    // Tunnels make no room: further connections of their network are not let in, and others are.
    let tunnel = |address: &str| {
        upgrade(rig.secret(), rig.port()).replacen("\r\n", &format!("\r\nX-Forwarded-For: {address}\r\n"), 1)
    };
    let mut tunnels = Vec::new();
    for _ in 0..2 {
        let stream = UnixStream::connect(&socket).await.unwrap();
        tunnels.push(Client::open(stream, &tunnel("192.0.2.7")).await.unwrap());
    }
    let stream = UnixStream::connect(&socket).await.unwrap();
    assert_eq!(Client::open(stream, &tunnel("192.0.2.8")).await.err().unwrap(), "", "it is closed");
    let stream = UnixStream::connect(&socket).await.unwrap();
    tunnels.push(Client::open(stream, &tunnel("192.0.3.7")).await.unwrap());
    for tunnel in &mut tunnels {
        assert!(tunnel.is_alive().await);
    }
    assert_eq!(rig.handle.state().turned_away, 1);
    rig.stop().await;
}

/// Whatever the web server in front leaves out, nobody is without limits.
#[tokio::test]
async fn unknown_addresses_share_one_network_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (rig, socket) = small(&folder).await;
    let plain = upgrade(rig.secret(), rig.port());
    let told = |header: &str| plain.replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
    let mut tunnels = Vec::new();
    for request in [plain.clone(), told("X-Forwarded-For: unknown")] {
        let stream = UnixStream::connect(&socket).await.unwrap();
        tunnels.push(Client::open(stream, &request).await.unwrap());
    }
    for request in [plain.clone(), told("X-Forwarded-For: 198.51.100.1, 127.0.0.1"), told("X-Forwarded-For:")]
    {
        let stream = UnixStream::connect(&socket).await.unwrap();
        assert_eq!(Client::open(stream, &request).await.err().unwrap(), "", "{request}");
    }
    // Those whose address is told are none of these.
    let stream = UnixStream::connect(&socket).await.unwrap();
    tunnels.push(Client::open(stream, &told("X-Forwarded-For: 192.0.2.7")).await.unwrap());
    for tunnel in &mut tunnels {
        assert!(tunnel.is_alive().await);
    }
    assert_eq!(rig.handle.state().turned_away, 3);
    rig.stop().await;
}

/// A web server behind that keeps its connections, whatever it is asked for, and tells of every request.
fn keeping_decoy(answer: &'static str) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), tell) = (stream, tell.clone()) else { return };
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let mut head = String::new();
                while let Some(Ok(line)) = lines.next() {
                    let ends = line.is_empty();
                    head.push_str(&line);
                    head.push('\n');
                    if ends {
                        let _ = tell.send(std::mem::take(&mut head));
                        let _ = stream.write_all(answer.as_bytes());
                    }
                }
                let _ = tell.send(head);
            });
        }
    });
    (address, told)
}

/// Web servers in front use a connection again: what comes behind a stranger's request is nothing for the web server behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_carries_one_request() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\ndecoy",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndecoy\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\ndecoy",
    ] {
        let (decoy, told) = keeping_decoy(answer);
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("http");
        let builder = Server::builder().limits(unlimited()).listen(Listen::Unix(socket.clone()));
        let rig = Rig::with(builder, |configuration| {
            configuration.decoy = Decoy::Upstream(Upstream::Tcp(decoy).into());
        })
        .await;
        let body =
            "POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-Forwarded-For: 192.0.2.1\r\n\r\nok";
        for first in [page("192.0.2.1").as_str(), body, "GET / HTTP/1.1\r\nHost: x\r\nX: \u{fc}\u{1}\r\n\r\n"]
        {
            while told.try_recv().is_ok() {}
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            let tunnel = upgrade(rig.secret(), rig.port());
            // At once, and when the answer has come.
            stream.write_all(format!("{first}{tunnel}").as_bytes()).await.unwrap();
            let mut seen = Vec::new();
            let end = if answer.contains("\r\n\r\ndecoy") && !answer.contains("Length") {
                Duration::from_millis(300)
            } else {
                PATIENCE
            };
            let read = timeout(end, async {
                let mut sent = false;
                while stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
                    if !sent {
                        sent = true;
                        let _ = stream.write_all(tunnel.as_bytes()).await;
                    }
                }
            });
            assert!(read.await.is_ok() || end < PATIENCE, "it is not closed");
            let seen = String::from_utf8_lossy(&seen).into_owned();
            assert!(seen.contains("Connection: close\r\n") && seen.contains("decoy"), "{seen}");
            assert!(!seen.contains("keep-alive") && !seen.contains("101"), "{seen}");
            drop(stream);
            let mut all = told.recv_timeout(PATIENCE).unwrap();
            while let Ok(more) = told.recv_timeout(Duration::from_millis(200)) {
                all.push_str(&more);
            }
            assert!(all.contains("Connection: close\n") && !all.contains(rig.secret()), "{all}");
        }
        rig.stop().await;
    }
}

#[tokio::test]
async fn on_the_tls_port_nobody_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (rig, _) = small(&folder).await;
    let mut visits = Vec::new();
    for address in ["198.51.100.1", "203.0.113.1", "192.0.2.1"] {
        let mut visit = rig.connect().await;
        assert!(ask(&mut visit, &page(address)).await.unwrap().starts_with("HTTP/1.1 200"));
        visits.push(visit);
    }
    assert!(is_closed(&mut visits[0]).await, "three connections of one address");
    rig.stop().await;
}

#[tokio::test]
async fn without_certificate_tls_port_serves_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("http");
    let builder = Server::builder().listen(Listen::Unix(socket.clone()));
    let rig = Rig::with(builder, |configuration| {
        (configuration.certificate_pem, configuration.key_pem) = (String::new(), KeyPem::new(String::new()));
    })
    .await;
    let refused = crate::support::connect_with(rig.address, crate::support::client_config(), NAME).await;
    assert!(refused.is_err());
    let stream = UnixStream::connect(&socket).await.unwrap();
    let mut tunnel = Client::open(stream, &upgrade(rig.secret(), rig.port())).await.unwrap();
    assert!(tunnel.is_alive().await);
    rig.stop().await;
}
