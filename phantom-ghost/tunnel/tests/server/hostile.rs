//! What strangers and bad clients may do, while another tunnel goes on and memory stays bounded.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use phantom_tunnel::codec::{self, FrameKind};
use phantom_tunnel::limits::{Limits, Rate};
use phantom_tunnel::server::{Server, Timeouts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::program::{Program, resident};
use crate::support::{
    Client, NAME, PATIENCE, Rig, ask, client_config, connect, connect_with, unlimited, upgrade,
};

/// A WireGuard that sends everything back, until it is dropped.
pub(crate) struct Echo {
    pub(crate) port: u16,
    stop: Arc<AtomicBool>,
}

impl Echo {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20));
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..length], from);
                }
            }
        });
        Self { port, stop }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A tunnel that is used as it should be, through a server of its own process, and how many datagrams it has sent.
struct Good {
    program: Program,
    client: Client<tokio_rustls::client::TlsStream<TcpStream>>,
    sent: u64,
}

impl Good {
    /// The tunnel, and the request that opened it.
    async fn open(port: u16) -> (Self, String) {
        let (program, secret) = Program::configured(port).await;
        let request = upgrade(secret.reveal(), port);
        let client = Client::open(connect(program.address).await, &request).await.unwrap();
        (Self { program, client, sent: 0 }, request)
    }

    /// How long a datagram takes there and back; one that is not back soon is sent again, and the first of them counts.
    async fn echo(&mut self) -> Duration {
        let begin = Instant::now();
        self.sent += 1;
        let mut datagram = [7; 1400];
        datagram[1392..].copy_from_slice(&self.sent.to_be_bytes());
        loop {
            self.client.send(&datagram).await.unwrap();
            // A datagram may be lost where the echo's own buffer is full.
            if timeout(PAUSE, self.back(&datagram)).await.is_ok() {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < PATIENCE, "the tunnel is starved");
        }
    }

    /// Waits for this datagram. Others were sent once more than needed.
    async fn back(&mut self, datagram: &[u8]) {
        loop {
            match self.client.event().await {
                Some(('d', bytes)) if bytes == datagram => return,
                Some(('d', bytes)) => assert_eq!(bytes[..1392], datagram[..1392]),
                Some(('i', payload)) => self.client.send_kind(FrameKind::Pong, &payload).await.unwrap(),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Datagrams that go there and back through both in turn.
struct Turns {
    count: u32,
    /// What they took through either, all together.
    times: [Duration; 2],
}

impl Turns {
    /// For at least so long, and for longer until there are [`LEAST`] through either.
    async fn take(pair: &mut [Good; 2], time: Duration) -> Self {
        let begin = Instant::now();
        let mut turns = Self { count: 0, times: [Duration::ZERO; 2] };
        while begin.elapsed() < time || (turns.count < LEAST && begin.elapsed() < time * 4) {
            for (good, time) in pair.iter_mut().zip(&mut turns.times) {
                *time += good.echo().await;
            }
            turns.count += 1;
        }
        turns
    }
}

impl std::fmt::Display for Turns {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [attacked, beside] = self.times.map(|time| time / self.count);
        write!(formatter, "{} echoes of {attacked:.1?}, {beside:.1?} beside", self.count)
    }
}

/// A mean of fewer times than these says little on a machine that does other things.
const LEAST: u32 = 100;

/// Between the rounds of an attack that is not a flood, and before a datagram is sent again.
const PAUSE: Duration = Duration::from_millis(10);

/// One attack at a time: each takes all of the machine that it gets.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Runs `attack` against a server in a process of its own while a tunnel is used.
///
/// The attackers, and whatever else runs on the machine, take time from everybody. So the tunnel is compared, datagram
/// for datagram, with one through a server beside it that nobody attacks.
async fn under<F: Future<Output = ()> + Send + 'static>(
    name: &str,
    attack: impl Fn(std::net::SocketAddr, String, u16) -> F,
) {
    const TIME: Duration = Duration::from_millis(1500);
    let _alone = ALONE.lock().await;
    let echo = Echo::start();
    let ((attacked, right), (beside, _)) = (Good::open(echo.port).await, Good::open(echo.port).await);
    let (address, pid) = (attacked.program.address, attacked.program.pid());
    let mut pair = [attacked, beside];
    let before = resident(pid);
    let attacks: Vec<_> = (0..4).map(|_| tokio::spawn(attack(address, right.clone(), echo.port))).collect();
    let busy = Turns::take(&mut pair, TIME).await;
    let during = resident(pid);
    for attack in &attacks {
        attack.abort();
    }
    for attack in attacks {
        if let Err(error) = attack.await {
            assert!(error.is_cancelled(), "{name}: {error}");
        }
    }
    let after = Turns::take(&mut pair, TIME).await;
    println!("{name}: {busy} under attack; {after} after; memory {before} then {during} KiB");
    // The attacked server has more to do: what is asked is that the tunnel is not starved.
    assert!(busy.times[0] < busy.times[1] * 20, "{name}: {busy}");
    assert!(after.times[0] < after.times[1] * 4, "{name}: {after}");
    assert!(during < before + 64 * 1024, "{name}: {before} then {during} KiB");
    for good in pair {
        let (success, log) = good.program.end();
        assert!(success && !log.contains("panicked"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_headers() {
    under("slow headers", |address, _, _| async move {
        let mut streams = Vec::new();
        for _ in 0..50 {
            streams.push(connect(address).await);
        }
        for byte in b"GET /x/events HTTP/1.1\r\nHost: a\r\nX-Padding: ".iter().cycle() {
            for stream in &mut streams {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_tls() {
    under("half-open TLS", |address, _, _| async move {
        let mut streams = Vec::new();
        for at in 0..400 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
            let _ = stream.write_all(&hello[..at % 12]).await;
            streams.push(stream);
        }
        std::future::pending::<()>().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refused_upgrades() {
    under("refused upgrades", |address, right, _| async move {
        let wrong = right.replace("GET /", "GET /x");
        loop {
            let mut stream = connect(address).await;
            let _ = ask(&mut stream, &wrong).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_frames_and_garbage_after_the_upgrade() {
    under("bad frames", |address, right, _| async move {
        let bad: [&[u8]; 4] = [
            &[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0],
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            &[0x93; 4000],
        ];
        for bytes in bad.iter().cycle() {
            let mut client = Client::open(connect(address).await, &right).await.unwrap();
            client.stream.write_all(bytes).await.unwrap();
            assert!(matches!(client.event().await, Some(('c', _)) | None));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read() {
    under("never reading", |address, right, _| async move {
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(Client::open(connect(address).await, &right).await.unwrap());
        }
        let mut bytes = Vec::new();
        codec::encode_batch(&mut bytes, [&[1; 1400][..]; 10], false);
        codec::encode(&mut bytes, FrameKind::Ping, &[2; 125], false);
        loop {
            for client in &mut clients {
                // The server goes on reading; what it has no room for is dropped, as datagrams may be.
                if client.stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_network_has_so_many_connections() {
    let limits = Limits { connections_per_network: 5, exempt_loopback: false, ..unlimited() };
    let rig = Rig::with(Server::builder().limits(limits), |_| {}).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(rig.tunnel().await);
    }
    let mut sixth = TcpStream::connect(rig.address).await.unwrap();
    assert_eq!(sixth.read(&mut [0; 9]).await.unwrap_or(0), 0, "closed without a word");
    assert_eq!(rig.handle.state().turned_away, 1);
    drop(open.pop());
    let begin = Instant::now();
    while rig.handle.state().connections > 4 {
        assert!(begin.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    rig.tunnel().await;
    assert!(open[0].is_alive().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_and_tunnels_are_limited() {
    let limits = Limits {
        handshakes: Rate { burst: 4, per_second: 0 },
        tunnels_per_secret: 2,
        exempt_loopback: false,
        ..unlimited()
    };
    let timeouts = Timeouts { handshake: Duration::from_secs(2), ..Timeouts::default() };
    let rig = Rig::with(Server::builder().limits(limits).timeouts(timeouts), |_| {}).await;
    let (_first, _second) = (rig.tunnel().await, rig.tunnel().await);
    let request = upgrade(rig.secret(), rig.port());
    let third = Client::open(rig.connect().await, &request).await.err().unwrap();
    assert!(third.starts_with("HTTP/1.1 404 "), "{third}");
    rig.connect().await;
    assert_eq!(rig.handle.state().turned_away, 0);
    // What is counted is handshakes: the fifth waits in vain for its turn, and a connection that makes none is let in.
    assert!(connect_with(rig.address, client_config(), NAME).await.is_err());
    assert_eq!(rig.handle.state().turned_away, 1);
    let mut fifth = TcpStream::connect(rig.address).await.unwrap();
    assert!(timeout(PAUSE, fifth.read(&mut [0; 9])).await.is_err(), "closed for a handshake of another one");
}
