//! A certificate authority, a WireGuard that echoes, and our two ends.
#![expect(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use phantom_tunnel::client::{Client, ClientEvent, Config, KeyPin, Server, Trust};
use phantom_tunnel::config::{Configuration, Decoy, KeyPem};
use phantom_tunnel::limits::Limits;
use phantom_tunnel::pump::TunnelOptions;
use phantom_tunnel::secrets::Secret;
use phantom_tunnel::server::{self, Handle, Listen};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// The server's name. Nothing resolves it: clients are told the address.
pub(crate) const NAME: &str = "vpn.example.com";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Every length that is encoded in another way, UDP's largest, and what WireGuard sends.
pub(crate) const SIZES: [usize; 14] =
    [1, 2, 31, 32, 92, 125, 126, 127, 148, 1400, 9000, 16_384, 65_506, 65_507];

/// A free TCP port of loopback that the kernel gives to nobody by itself (it takes 32768 and more), so that a server can
/// come back to it.
pub(crate) fn free_tcp() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 12_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Everything that a test needs besides its two ends.
pub(crate) struct TunnelNet {
    _dir: TempDir,
    /// The authority's certificate.
    pub(crate) ca: PathBuf,
    /// Another authority's, which issued nothing here.
    pub(crate) stranger: PathBuf,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) pin: KeyPin,
    pub(crate) secret: Secret,
    pub(crate) echo: Echo,
}

impl TunnelNet {
    pub(crate) async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            path
        };
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            (pem, Issuer::new(params, key))
        };
        let ((ca, issuer), (stranger, _)) = (authority("Authority"), authority("Stranger"));
        let key = KeyPair::generate().unwrap();
        let names = [NAME, "localhost", "127.0.0.1"].map(str::to_owned);
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        Self {
            ca: write("ca.pem", &ca),
            stranger: write("stranger.pem", &stranger),
            chain: write("fullchain.pem", &(leaf.pem() + &ca)),
            key: write("privkey.pem", &key.serialize_pem()),
            pin: KeyPin::from_certificate(leaf.der()).unwrap(),
            secret: Secret::generate(),
            echo: Echo::start().await,
            _dir: dir,
        }
    }

    /// Trusts this world's authority.
    pub(crate) fn trust(&self) -> Trust {
        Trust::Authorities { ca_file: Some(self.ca.clone()), pin: None }
    }

    /// Our server at `port` (0: any), with the usual limits.
    pub(crate) async fn server(&self, port: u16) -> OurServer {
        OurServer::start(self, server::Server::builder(), port).await
    }

    /// What our client is told about a server at `port` of this machine.
    pub(crate) fn client(&self, port: u16) -> Config {
        Config {
            server: Server::new(NAME.parse().unwrap(), port),
            address: Some(Ipv4Addr::LOCALHOST.into()),
            proxy: None,
            memory: None,
            secret: self.secret.clone(),
            wireguard_port: self.echo.port(),
            listen: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
            trust: self.trust(),
            ping: TunnelOptions::default().ping,
        }
    }
}

/// A WireGuard that sends everything back.
pub(crate) struct Echo {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Echo {
    async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self { address: socket.local_addr().unwrap(), task: tokio::spawn(echo(socket)) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// As a WireGuard that is being restarted: the port is closed.
    pub(crate) async fn close(&mut self) {
        self.task.abort();
        assert!((&mut self.task).await.unwrap_err().is_cancelled());
    }

    /// It is back, at the same port.
    pub(crate) async fn open(&mut self) {
        self.task = tokio::spawn(echo(UdpSocket::bind(self.address).await.unwrap()));
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn echo(socket: UdpSocket) {
    let mut buffer = vec![0; 65_536];
    loop {
        // An answer to a port that is closed by now is reported here.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        drop(socket.send_to(&buffer[..length], from).await);
    }
}

/// Our server, in this process.
pub(crate) struct OurServer {
    pub(crate) handle: Handle,
    pub(crate) port: u16,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl OurServer {
    pub(crate) async fn start(world: &TunnelNet, builder: server::ServerBuilder, port: u16) -> Self {
        let listen = Listen::Tcp((Ipv4Addr::LOCALHOST, port).into());
        let server = builder.listen(listen).bind().unwrap();
        let (handle, port) = (server.handle(), server.addresses()[0].port());
        let configuration = Configuration {
            secrets: vec![world.secret.clone()],
            wireguard_port: world.echo.port(),
            certificate_pem: std::fs::read_to_string(&world.chain).unwrap(),
            key_pem: KeyPem::new(std::fs::read_to_string(&world.key).unwrap()),
            decoy: Decoy::Builtin,
            padding: true,
        };
        handle.configure(configuration).await.unwrap();
        let (stop, told) = oneshot::channel();
        let task = tokio::spawn(server.run(async { drop(told.await) }));
        Self { handle, port, stop, task }
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    pub(crate) fn opened(&self) -> u64 {
        self.handle.state().tunnels_opened
    }
}

/// Limits as for strangers from elsewhere.
pub(crate) fn strict() -> Limits {
    Limits { exempt_loopback: false, ..Limits::default() }
}

/// Our client, in this process, and what it told.
pub(crate) struct OurClient {
    pub(crate) local: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl OurClient {
    pub(crate) fn start(config: Config) -> Self {
        let client = Client::new(config).unwrap();
        let local = client.local_addr().into();
        let told = Arc::new(Mutex::new(Vec::new()));
        let (stop, wanted) = oneshot::channel();
        let events = Arc::clone(&told);
        let task = tokio::spawn(async move {
            let tell = |event: &ClientEvent<'_>| events.lock().unwrap().push(text(event));
            client.run(async { drop(wanted.await) }, tell).await.unwrap();
        });
        Self { local, told, stop, task }
    }

    /// What it told so far.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    /// Waits until it told something that begins so.
    pub(crate) async fn tells(&self, start: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(told) = self.told().into_iter().find(|told| told.starts_with(start)) {
                return told;
            }
            assert!(Instant::now() < end, "{:?}", self.told());
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

fn text(event: &ClientEvent<'_>) -> String {
    match event {
        ClientEvent::Opened(_) => "opened".to_owned(),
        ClientEvent::Ended(end, _) => format!("ended: {end}"),
        ClientEvent::Failed(error) => format!("failed: {}", phantom_certs::with_causes(*error)),
        other => format!("{other:?}"),
    }
}

/// The local WireGuard of a client.
pub(crate) struct Local(pub(crate) UdpSocket);

impl Local {
    pub(crate) async fn new(client: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.connect(client).await.unwrap();
        Self(socket)
    }

    /// Sends until an answer comes, as WireGuard does with its handshake, and reads all answers.
    pub(crate) async fn begin(&self) {
        assert!(self.try_begin(PATIENCE).await, "nothing comes back");
    }

    pub(crate) async fn try_begin(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            // The client may not listen yet.
            drop(self.0.send(b"\x01begin").await);
            if self.answer(Duration::from_millis(200)).await.is_some() {
                while self.answer(Duration::from_millis(300)).await.is_some() {}
                return true;
            }
        }
        false
    }

    /// The next datagram that is not junk.
    pub(crate) async fn answer(&self, patience: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + patience;
        let mut buffer = vec![0; 65_536];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match timeout(left, self.0.recv(&mut buffer)).await {
                Ok(Ok(length)) if buffer[0] != 0 => return Some(buffer[..length].to_vec()),
                Ok(Ok(_)) => {}
                // The client does not listen yet.
                Ok(Err(_)) => sleep(Duration::from_millis(20)).await,
                Err(_) => return None,
            }
        }
    }

    /// A datagram there and back.
    pub(crate) async fn echo(&self, datagram: &[u8]) {
        self.0.send(datagram).await.unwrap();
        let answer = self.answer(PATIENCE).await.unwrap();
        assert!(answer == datagram, "{} bytes instead of {}", answer.len(), datagram.len());
    }

    /// Datagrams of all sizes there and back.
    pub(crate) async fn echo_all(&self) {
        for (number, size) in (1..).zip(SIZES) {
            let datagram: Vec<u8> =
                (0..size).map(|at| u8::try_from((at * 7 + number) % 255).unwrap() | 1).collect();
            self.echo(&datagram).await;
        }
    }
}
