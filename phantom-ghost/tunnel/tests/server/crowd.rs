//! Strangers of many networks that take every place there is and never ask for anything.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use phantom_tunnel::limits::{Limits, Rate};
use phantom_tunnel::secrets::Secret;
use phantom_tunnel::server::Server;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::hostile::Echo;
use crate::program::{Program, configuration};
use crate::support::{Client, NAME, PATIENCE, Rig, ask, client_config, unlimited, upgrade};

/// How far a stranger goes before it falls silent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Nothing,
    OneByte,
    HalfAHello,
    Handshake,
    /// It asks for a page, and keeps the connection for another one.
    Visit,
}

/// Those that never ask for anything.
const SILENT: [Kind; 4] = [Kind::Nothing, Kind::OneByte, Kind::HalfAHello, Kind::Handshake];

/// How many networks the crowd has, and the address of the newcomer.
const NETWORKS: u8 = 32;
const NEWCOMER: Ipv4Addr = Ipv4Addr::new(127, 0, 200, 1);
/// How long a newcomer may take to get a tunnel.
const SOON: Duration = Duration::from_secs(3);

/// A server with few places, which counts addresses of this machine as everybody's.
async fn small() -> Rig {
    let limits = Limits { connections: 256, pending: 128, exempt_loopback: false, ..unlimited() };
    Rig::with(Server::builder().limits(limits), |_| {}).await
}

/// A connection from an address of this machine: 127.0.0.0/8 has 65,536 networks of which nobody has to be asked for one.
async fn connect_from(source: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn tls_from(
    source: Ipv4Addr,
    to: SocketAddr,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, connect_from(source, to).await?).await
}

/// A connection that is kept open.
enum Held {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Held {
    /// Whether the server has closed it. What the server said before is thrown away.
    fn is_closed(&self) -> bool {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        loop {
            match stream.try_read(&mut [0; 2048]) {
                Ok(1..) => {}
                Ok(_) => return true,
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }
}

async fn stranger(
    kind: Kind,
    source: Ipv4Addr,
    to: SocketAddr,
    config: &Arc<ClientConfig>,
) -> std::io::Result<Held> {
    if matches!(kind, Kind::Handshake | Kind::Visit) {
        let mut stream = tls_from(source, to, config).await?;
        if kind == Kind::Visit {
            ask(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
        }
        return Ok(Held::Tls(Box::new(stream)));
    }
    let mut stream = connect_from(source, to).await?;
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let said = match kind {
        Kind::Nothing => 0,
        Kind::OneByte => 1,
        _ => hello.len(),
    };
    stream.write_all(&hello[..said]).await?;
    Ok(Held::Plain(stream))
}

/// Opens connections of this kind from every network, and opens another one for each that is closed.
fn crowd(kind: Kind, to: SocketAddr) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let config = Arc::new(client_config());
    for network in 0..NETWORKS {
        let config = Arc::clone(&config);
        tasks.spawn(async move {
            let source = Ipv4Addr::new(127, 0, network + 1, 1);
            let mut held: Vec<Held> = Vec::new();
            loop {
                held.retain(|held| !held.is_closed());
                if held.len() < 64 {
                    let opening = stranger(kind, source, to, &config);
                    held.extend(timeout(PATIENCE, opening).await.ok().and_then(Result::ok));
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
    }
    tasks
}

/// How long the crowd takes to open more connections than there are places, many times over.
const FILLING: Duration = Duration::from_secs(2);

/// A tunnel for a newcomer, which tries again for a while.
async fn newcomer(rig: &Rig, config: &Arc<ClientConfig>) -> Result<Client<TlsStream<TcpStream>>, String> {
    let (begin, mut last) = (Instant::now(), String::new());
    while begin.elapsed() < SOON {
        let opening = async {
            let stream = tls_from(NEWCOMER, rig.address, config).await.map_err(|error| error.to_string())?;
            Client::open(stream, &upgrade(rig.secret(), rig.port())).await
        };
        match timeout(SOON.saturating_sub(begin.elapsed()), opening).await {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(error)) => last = error,
            Err(_) => {}
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newcomer_gets_tunnel_when_all_is_full() {
    let config = Arc::new(client_config());
    for kind in SILENT.into_iter().chain([Kind::Visit]) {
        let rig = small().await;
        let mut tunnel = newcomer(&rig, &config).await.unwrap();
        let crowd = crowd(kind, rig.address);
        sleep(FILLING).await;
        let mut opened = Vec::new();
        let mut failed = Vec::new();
        for _ in 0..20 {
            match newcomer(&rig, &config).await {
                Ok(client) => opened.push(client),
                Err(error) => failed.push(error),
            }
        }
        let state = rig.handle.state();
        println!("{kind:?}: {} of 20 tunnels, {state:?}", opened.len());
        assert!(state.displaced > 0, "there was room for all: {state:?}");
        assert!(failed.is_empty(), "{kind:?}: {} of 20 got no tunnel: {failed:?}", failed.len());
        assert!(tunnel.is_alive().await, "{kind:?}");
        for client in &mut opened {
            assert!(client.is_alive().await, "{kind:?}");
        }
        drop(crowd);
    }
}

/// A connection without a request is closed then, however far it came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_have_ten_seconds_to_send_request() {
    let rig = Rig::start().await;
    let config = Arc::new(client_config());
    let begin = Instant::now();
    let mut open: Vec<(Kind, Held)> = Vec::new();
    for kind in SILENT {
        open.push((kind, stranger(kind, Ipv4Addr::LOCALHOST, rig.address, &config).await.unwrap()));
    }
    for (kind, held) in open {
        let mut byte = [0; 1];
        let end = match held {
            Held::Plain(mut stream) => timeout(PATIENCE, stream.read(&mut byte)).await,
            Held::Tls(mut stream) => timeout(PATIENCE, stream.read(&mut byte)).await,
        };
        assert!(end.is_ok(), "{kind:?} is open after {:?}", begin.elapsed());
    }
    assert!((9..13).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

/// Visitors keep their connections, and tunnels stay, while silent strangers come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_strangers_disturb_nobody() {
    let rig = small().await;
    let config = Arc::new(client_config());
    let mut tunnel = newcomer(&rig, &config).await.unwrap();
    let mut visitor = tls_from(NEWCOMER, rig.address, &config).await.unwrap();
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    ask(&mut visitor, get).await.unwrap();
    let crowd = crowd(Kind::OneByte, rig.address);
    let begin = Instant::now();
    while begin.elapsed() < FILLING {
        assert!(ask(&mut visitor, get).await.unwrap().starts_with("HTTP/1.1 200 "));
        assert!(tunnel.is_alive().await);
        sleep(Duration::from_millis(50)).await;
    }
    assert!(rig.handle.state().displaced > 0, "{:?}", rig.handle.state());
    drop(crowd);
}

/// Handshakes that other networks make leave a newcomer's alone, and so do those that are never finished.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_networks_handshakes_are_not_another_ones() {
    let handshakes_in_all = Rate { burst: 20, per_second: 20 };
    let limits = Limits { handshakes_in_all, exempt_loopback: false, ..unlimited() };
    let rig = Rig::with(Server::builder().limits(limits), |_| {}).await;
    let config = Arc::new(client_config());
    let crowd = crowd(Kind::Handshake, rig.address);
    sleep(FILLING).await;
    let begin = Instant::now();
    // All networks of the crowd want 640 of them in a second, and 33 networks have 20.
    newcomer(&rig, &config).await.unwrap();
    println!("a newcomer's tunnel took {:?}: {:?}", begin.elapsed(), rig.handle.state());
    drop(crowd);
}

/// A process that may open few files still serves while strangers open connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_descriptors_are_enough() {
    let echo = Echo::start();
    let program = Program::start_with_descriptors(128);
    let secret = Secret::generate();
    program.control().await.configure(configuration(&secret, echo.port)).await.unwrap();
    let config = Arc::new(client_config());
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(connect_from(Ipv4Addr::LOCALHOST, program.address).await.unwrap());
    }
    let opening = async {
        let stream = tls_from(Ipv4Addr::LOCALHOST, program.address, &config).await.unwrap();
        Client::open(stream, &upgrade(secret.reveal(), echo.port)).await.unwrap()
    };
    let mut tunnel = timeout(SOON, opening).await.unwrap();
    let state = program.control().await.state().await.unwrap();
    assert!(state.connections <= 40 && state.displaced >= 360, "{state:?}");
    assert!(tunnel.is_alive().await);
}
