//! Ways to a server that are no plain connection: HTTP proxies, and a web server in front with a path for the tunnel.

#![expect(clippy::disallowed_methods, reason = "other people's programs, with files of their own")]

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use phantom_tunnel::client::{Login, Proxy};
use phantom_tunnel::config::{Configuration, Decoy, KeyPem};
use phantom_tunnel::server::{Listen, Server};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::support::{Local, NAME, OurClient, PATIENCE, TunnelNet, free_tcp};

/// What the proxy wants to hear.
const LOGIN: &str = "john:open-sesame";

/// A program that ends with its owner.
struct Process(Child);

impl Process {
    async fn start(mut command: Command, listens: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let listening = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, listens)).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, listening).await.expect("it listens");
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked politely, they end their workers too.
        let pid = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// Whether a program is there; says that `test` is skipped where it is not.
fn found(test: &str, paths: &[PathBuf]) -> Option<PathBuf> {
    let found = paths.iter().find(|path| path.is_file());
    if found.is_none() {
        drop(
            std::io::stderr().write_all(format!("\nSKIPPED {test}: none of {paths:?} is there\n").as_bytes()),
        );
    }
    found.cloned()
}

/// A real proxy that lets nobody pass but John, and nobody but to one port.
async fn tinyproxy(program: &Path, folder: &TempDir, server: u16) -> (Process, SocketAddr) {
    let port = free_tcp();
    let file = folder.path().join("tinyproxy.conf");
    let (user, password) = LOGIN.split_once(':').unwrap();
    let text = format!(
        "Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 20\nAllow 127.0.0.1\nBasicAuth {user} {password}\n\
         ConnectPort {server}\nLogLevel Critical\n"
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new(program);
    command.arg("-d").arg("-c").arg(&file);
    (Process::start(command, port).await, (Ipv4Addr::LOCALHOST, port).into())
}

fn proxy(address: SocketAddr, login: Option<&str>) -> Proxy {
    let mut proxy: Proxy = format!("http://{address}").parse().unwrap();
    proxy.login = login.map(|text| Login::new(text.to_owned()).unwrap());
    proxy
}

#[tokio::test(flavor = "multi_thread")]
async fn connects_by_a_proxy_with_password() {
    let Some(program) = found("ways::connects_by_a_proxy_with_password", &["/usr/bin/tinyproxy".into()])
    else {
        return;
    };
    let world = TunnelNet::new().await;
    let server = world.server(0).await;
    let folder = tempfile::tempdir().unwrap();
    let (_proxy, address) = tinyproxy(&program, &folder, server.port).await;
    let mut config = world.client(server.port);
    config.proxy = Some(proxy(address, Some(LOGIN)));
    config.memory = Some(folder.path().join("address"));
    let client = OurClient::start(config);
    let local = Local::new(client.local).await;
    local.begin().await;
    local.echo_all().await;
    assert_eq!((server.opened(), client.told()), (1, vec!["opened".to_owned()]));
    // The proxy's address needs nobody to look it up: it is not kept.
    assert!(!folder.path().join("address").exists());
    client.stop().await;

    for (login, port, expected) in [
        (None, server.port, "asks for a user and a password that it knows (status 407)"),
        (Some("john:wrong"), server.port, "asks for a user and a password that it knows"),
        (Some(LOGIN), server.port ^ 1, "does not connect to the server: status 403"),
    ] {
        let mut config = world.client(port);
        config.proxy = Some(proxy(address, login));
        let told = OurClient::start(config).tells("failed").await;
        assert!(told.contains(expected) && !told.contains("sesame") && !told.contains("wrong"), "{told}");
    }
    assert_eq!(server.opened(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_proxy_is_told() {
    let world = TunnelNet::new().await;
    let server = world.server(0).await;
    let mut config = world.client(server.port);
    // The server itself: it hangs up, or answers what is no answer.
    config.proxy = Some(proxy((Ipv4Addr::LOCALHOST, server.port).into(), None));
    let told = OurClient::start(config).tells("failed").await;
    assert!(told.contains("proxy") || told.contains("broke"), "{told}");
    assert_eq!(server.opened(), 0);
}

/// nginx hands on what is below a path, without that path.
#[tokio::test(flavor = "multi_thread")]
async fn connects_below_a_path_of_front_server() {
    let named = std::env::var_os("PHANTOM_NGINX").map(PathBuf::from);
    let paths: Vec<PathBuf> = named.into_iter().chain(["/usr/sbin/nginx".into()]).collect();
    let Some(program) = found("ways::connects_below_a_path_of_front_server", &paths) else { return };
    let world = TunnelNet::new().await;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path().join("tunnel");
    let server = Server::builder().listen(Listen::Unix(socket.clone())).bind().unwrap();
    let handle = server.handle();
    let configuration = Configuration {
        secrets: vec![world.secret.clone()],
        wireguard_port: world.echo.port(),
        certificate_pem: fs::read_to_string(&world.chain).unwrap(),
        key_pem: KeyPem::new(fs::read_to_string(&world.key).unwrap()),
        decoy: Decoy::Builtin,
        padding: true,
    };
    handle.configure(configuration).await.unwrap();
    let (stop, told) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(told.await) }));
    let port = free_tcp();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {};\n", at(what)))
        .concat();
    let text = format!(
        "pid {};\nerror_log stderr crit;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}server {{\n\
         listen 127.0.0.1:{port} ssl;\nssl_certificate {};\nssl_certificate_key {};\n\
         location /hidden/place/ {{\nproxy_pass http://unix:{}:/;\nproxy_http_version 1.1;\n\
         proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection $http_connection;\n\
         proxy_buffering off;\n}}\n}}\n}}\n",
        at("pid"),
        world.chain.display(),
        world.key.display(),
        socket.display()
    );
    fs::write(at("nginx.conf"), text).unwrap();
    let mut command = Command::new(program);
    command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]);
    let _nginx = Process::start(command, port).await;

    let told = OurClient::start(world.client(port)).tells("failed").await;
    assert!(told.contains("status 404"), "without the path: {told}");
    let mut config = world.client(port);
    config.server.path = "/hidden/place".parse().unwrap();
    let client = OurClient::start(config);
    let local = Local::new(client.local).await;
    local.begin().await;
    local.echo_all().await;
    assert_eq!(handle.state().tunnels_opened, 1);
    client.stop().await;
    drop(stop);
    timeout(PATIENCE, running).await.unwrap().unwrap();
}

/// A server that answers as some proxies do, and then keeps the connection.
async fn answer_with(
    world: &TunnelNet,
    listener: &TcpListener,
    before: &'static str,
    connection: &'static str,
) {
    let chain: Vec<_> = CertificateDer::pem_file_iter(&world.chain).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&world.key).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (tcp, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(acceptor.accept(tcp).await.unwrap());
    let (mut key, mut line) = (String::new(), String::new());
    while stream.read_line(&mut line).await.unwrap() > 2 {
        if let Some(value) = line.strip_prefix("sec-websocket-key: ") {
            value.trim().clone_into(&mut key);
        }
        line.clear();
    }
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let head = format!(
        "{before}HTTP/1.1 101 Switching Protocols\r\n{connection}\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    // Byte by byte at first: an interim answer may come in pieces.
    for byte in head.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    sleep(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_answers_of_other_servers_are_accepted() {
    for (before, connection) in [
        ("", "Connection: keep-alive, Upgrade"),
        ("", "Connection: Upgrade, keep-alive\r\nVia: 1.1 a"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "Connection: upgrade"),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",
            "Connection: keep-alive\r\nConnection: Upgrade",
        ),
    ] {
        let world = TunnelNet::new().await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let config = world.client(listener.local_addr().unwrap().port());
        let client = OurClient::start(config);
        tokio::select! {
            () = answer_with(&world, &listener, before, connection) => panic!("{NAME}: {:?}", client.told()),
            told = client.tells("") => assert_eq!(told, "opened", "{before}{connection}"),
        }
    }
}

/// A client that is started again knows where the last tunnel led, whatever the resolver says.
#[tokio::test(flavor = "multi_thread")]
async fn last_address_is_tried_first_after_restart() {
    let world = TunnelNet::new().await;
    let server = world.server(0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state/address");
    let mut config = world.client(server.port);
    config.address = None;
    config.memory = Some(file.clone());
    // Nothing resolves this name.
    let failed = OurClient::start(config.clone()).tells("failed").await;
    assert!(failed.contains("could not be looked up"), "{failed}");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, format!("{NAME}:{} 127.0.0.1\n", server.port)).unwrap();
    let client = OurClient::start(config.clone());
    assert_eq!(client.tells("").await, "opened");
    client.stop().await;
    // An address that leads elsewhere is no way in: the certificate decides, and the name is looked up.
    let mut elsewhere = config.clone();
    elsewhere.trust = phantom_tunnel::client::Trust::Authorities { ca_file: None, pin: None };
    let told = OurClient::start(elsewhere).tells("failed").await;
    assert!(told.contains("UnknownIssuer"), "{told}");
}
