//! What a client sends while something happens: all kinds of traffic, IPv4 and IPv6.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use super::lab::INTERNET6;
use super::observer::{Observer, Seen};
use crate::ping::Steady;
use crate::world::{At, INTERNET, TestNet, note, on, wait_for};

/// The kinds of traffic, and how the uplink shows each.
pub(super) const KINDS: [(&str, &str); 10] = [
    ("ICMP", "icmp[icmptype] == icmp-echo and dst host 198.18.0.2"),
    ("UDP", "udp port 70 and dst host 198.18.0.2"),
    ("DNS to a public server", "udp port 53 and dst host 8.8.8.8"),
    ("TCP new", "tcp port 80 and dst host 198.18.0.2"),
    ("TCP established", "tcp port 9 and dst host 198.18.0.2"),
    ("ICMP, IPv6", "icmp6 and dst host 2001:db8:6::2"),
    ("UDP, IPv6", "ip6 and udp port 70 and dst host 2001:db8:6::2"),
    ("DNS, IPv6", "ip6 and udp port 53 and dst host 2001:db8:6::2"),
    ("TCP new, IPv6", "ip6 and tcp port 80 and dst host 2001:db8:6::2"),
    ("TCP established, IPv6", "ip6 and tcp port 9 and dst host 2001:db8:6::2"),
];

/// From one datagram of a kind to the next.
const PAUSE: Duration = Duration::from_millis(15);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_millis(60);

/// A host on the Internet that takes connections for as long as they last.
pub(super) fn listen() {
    let (ready, started) = std::sync::mpsc::channel();
    on(At::Internet, move || {
        let listener = TcpListener::bind("[::]:9").unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
        }
    });
    started.recv().unwrap();
}

/// All kinds of traffic, from the first client.
pub(super) struct Flood {
    pub(super) pings: Steady,
    stop: Arc<AtomicBool>,
    sent: Arc<[AtomicU32; KINDS.len()]>,
    threads: Vec<JoinHandle<()>>,
}

/// What a thread of the flood has: whether to stop, and what it counts in.
type Part = (Arc<AtomicBool>, Arc<[AtomicU32; KINDS.len()]>);

impl Flood {
    pub(super) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent: Arc<[AtomicU32; KINDS.len()]> = Arc::default();
        let mut threads = Vec::new();
        let mut spawn = |work: fn(&Part)| {
            let part = (stop.clone(), sent.clone());
            threads.push(on(At::Client1, move || work(&part)));
        };
        spawn(datagrams);
        spawn(|part| connects(part, 3, INTERNET));
        spawn(|part| connects(part, 8, INTERNET6));
        spawn(|part| established(part, 4, INTERNET));
        spawn(|part| established(part, 9, INTERNET6));
        Self { pings: Steady::start(At::Client1, INTERNET, Duration::from_millis(20)), stop, sent, threads }
    }

    /// Waits until so many more pings were sent, and something of every other kind but those that need an answer.
    #[track_caller]
    pub(super) fn go_on(&self, pings: u16) {
        let (then, before) = (self.pings.sent(), self.counts());
        let more = || {
            let now = self.counts();
            let each = [1, 2, 3, 5, 6, 7, 8].into_iter().all(|kind| now[kind] > before[kind]);
            each && self.pings.sent() > then.saturating_add(pings)
        };
        assert!(wait_for(Duration::from_secs(90), more), "the client does not send: {:?}", self.counts());
    }

    fn counts(&self) -> [u32; KINDS.len()] {
        let mut counts = [0; KINDS.len()];
        for (count, sent) in counts.iter_mut().zip(self.sent.iter()) {
            *count = sent.load(Ordering::Relaxed);
        }
        counts[0] = self.pings.sent().into();
        counts
    }

    /// Stops; says how many packets or connections of each kind there were, and how many pings were answered.
    pub(super) fn stop(self) -> ([u32; KINDS.len()], u16) {
        self.stop.store(true, Ordering::Relaxed);
        let mut counts = self.counts();
        for thread in self.threads {
            thread.join().unwrap();
        }
        let (pings, answered) = self.pings.stop();
        counts[0] = pings.into();
        (counts, answered)
    }
}

fn datagrams((stop, sent): &Part) {
    let (four, six) = (UdpSocket::bind("0.0.0.0:0").unwrap(), UdpSocket::bind("[::]:0").unwrap());
    let raw =
        socket(AddressFamily::Inet6, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::IcmpV6).unwrap();
    let echo = UdpSocket::from(raw);
    let dns = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x01\0\x01";
    // An echo request of ICMPv6, whose sum the kernel puts in.
    let request = [128, 0, 0, 0, 9, 9, 0, 1, 7, 7, 7, 7];
    while !stop.load(Ordering::Relaxed) {
        let all: [(usize, &UdpSocket, &[u8], String); 5] = [
            (1, &four, &[7; 1200], format!("{INTERNET}:70")),
            (2, &four, dns, "8.8.8.8:53".to_owned()),
            (5, &echo, &request, format!("[{INTERNET6}]:0")),
            (6, &six, &[7; 1200], format!("[{INTERNET6}]:70")),
            (7, &six, dns, format!("[{INTERNET6}]:53")),
        ];
        for (kind, socket, data, to) in all {
            // Refused and unreachable is what is hoped for half of the time.
            let _ = socket.send_to(data, to);
            sent[kind].fetch_add(1, Ordering::Relaxed);
        }
        sleep(PAUSE);
    }
}

fn connects((stop, sent): &Part, kind: usize, host: &str) {
    let to = SocketAddr::new(host.parse().unwrap(), 80);
    while !stop.load(Ordering::Relaxed) {
        sent[kind].fetch_add(1, Ordering::Relaxed);
        let _ = TcpStream::connect_timeout(&to, CONNECT);
        sleep(PAUSE);
    }
}

/// One connection that is written to for as long as it lives, and then another one.
fn established((stop, sent): &Part, kind: usize, host: &str) {
    let to = SocketAddr::new(host.parse().unwrap(), 9);
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_secs(1)) else {
            sleep(PAUSE);
            continue;
        };
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        while !stop.load(Ordering::Relaxed) {
            match stream.write(&[9; 300]) {
                Ok(_) => drop(sent[kind].fetch_add(1, Ordering::Relaxed)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
            sleep(PAUSE);
        }
    }
}

/// That nothing escapes while something happens to a server whose clients send all they can.
#[track_caller]
pub(super) fn nothing_escapes<T>(world: &TestNet, name: &str, event: impl FnOnce() -> T) -> T {
    let observer = Observer::start(world, name);
    let flood = Flood::start();
    flood.go_on(20);
    let result = event();
    flood.go_on(40);
    let (sent, answered) = flood.stop();
    assert_tight(world, name, &observer.stop());
    let total: u32 = sent.iter().sum();
    note("multihop", &format!("{name}: 0 of {total} escaped; {answered} of {} pings answered", sent[0]));
    result
}

/// That nothing escaped.
#[track_caller]
pub(super) fn assert_tight(world: &TestNet, name: &str, seen: &Seen<'_>) {
    let escaped = seen.escaped();
    let some = &escaped[..escaped.len().min(5)];
    assert!(escaped.is_empty(), "{name}: {} packets escaped: {some:#?}\n{}", escaped.len(), world.picture());
}
