//! `ping`, without the program: ICMP echo requests (RFC 792) over a raw socket.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::world::{At, on};

/// Bytes of an echo request's header.
const HEADER: usize = 8;
/// Bytes of payload, as `ping` sends them.
const PAYLOAD: usize = 56;

/// Whether an address answers one of `count` requests, each waited for at most a second.
pub(crate) fn ping(at: At, address: &str, count: u16) -> bool {
    let address: Ipv4Addr = address.parse().unwrap();
    let work = move || {
        let Some(socket) = open(address) else { return false };
        (1..=count).any(|number| {
            let sent = Instant::now();
            let answered = socket.send(&request(number)).is_ok()
                && answer(&socket, number, sent + Duration::from_secs(1));
            if !answered {
                std::thread::sleep(Duration::from_millis(100).saturating_sub(sent.elapsed())); // a route that refuses
            }
            answered
        })
    };
    on(at, work).join().unwrap()
}

/// Sends a request every `pause` until told to stop, and gives the numbers of those sent and those answered.
pub(crate) struct Steady {
    stop: std::sync::mpsc::Sender<()>,
    sent: Arc<AtomicU16>,
    thread: std::thread::JoinHandle<(u16, u16)>,
}

impl Steady {
    /// Begins.
    pub(crate) fn start(at: At, address: &str, pause: Duration) -> Self {
        let address: Ipv4Addr = address.parse().unwrap();
        let (stop, stopped) = std::sync::mpsc::channel();
        let so_far = Arc::new(AtomicU16::new(0));
        let told = so_far.clone();
        let thread = on(at, move || {
            let socket = open(address).unwrap();
            let began = Instant::now();
            let (mut sent, mut open_ones) = (0, BTreeSet::new());
            while sent < u16::MAX && stopped.try_recv().is_err() {
                sent += 1;
                open_ones.insert(sent);
                told.store(sent, Ordering::Relaxed);
                let next = Instant::now() + pause;
                // Whoever has no room for a packet has not lost it.
                while socket.send(&request(sent)).is_err() {
                    std::thread::yield_now();
                }
                // One that comes after the next was sent is a late answer, no lost one.
                drain(&socket, next, &mut open_ones);
            }
            let whole = began.elapsed();
            let end = Instant::now() + Duration::from_secs(20);
            while !open_ones.is_empty() && Instant::now() < end {
                drain(&socket, (Instant::now() + Duration::from_millis(50)).min(end), &mut open_ones);
            }
            if (1..10).contains(&open_ones.len()) {
                eprintln!("{sent} requests in {whole:?}; without an answer: {open_ones:?}");
            }
            (sent, sent - u16::try_from(open_ones.len()).unwrap())
        });
        Self { stop, sent: so_far, thread }
    }

    /// How many requests are on their way or answered by now.
    pub(crate) fn sent(&self) -> u16 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops; gives how many were sent and how many of them answered, the latest within twenty seconds.
    pub(crate) fn stop(self) -> (u16, u16) {
        let _ = self.stop.send(());
        self.thread.join().unwrap()
    }
}

fn open(address: Ipv4Addr) -> Option<UdpSocket> {
    let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp).unwrap();
    let socket = UdpSocket::from(raw);
    // A raw socket knows addresses only; without a route there is nothing to ask.
    socket.connect((address, 0)).ok().map(|()| socket)
}

/// Identifier and number stand where RFC 792 has them; the identifier tells our requests from those of others.
fn request(number: u16) -> Vec<u8> {
    let mut packet = vec![0; HEADER + PAYLOAD];
    packet[0] = 8; // echo request
    packet[4..6].copy_from_slice(&identifier());
    packet[6..8].copy_from_slice(&number.to_be_bytes());
    let sum = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// Of this thread: several may ask at once.
fn identifier() -> [u8; 2] {
    let thread = nix::unistd::gettid().as_raw();
    u16::try_from(thread & 0xffff).unwrap().to_be_bytes()
}

/// The number of an answer to us.
fn number_of(packet: &[u8]) -> Option<u16> {
    let header = usize::from(packet.first()? & 15) * 4;
    let icmp = packet.get(header..header + HEADER)?;
    (icmp[0] == 0 && icmp[4..6] == identifier()).then(|| u16::from_be_bytes([icmp[6], icmp[7]]))
}

fn receive(socket: &UdpSocket, until: Instant) -> Option<u16> {
    let mut packet = [0; 2000];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        socket.set_read_timeout(Some(left)).unwrap();
        match socket.recv(&mut packet) {
            Ok(length) => {
                if let Some(number) = number_of(&packet[..length]) {
                    return Some(number);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
            Err(_) => {} // an ICMP error about an earlier request
        }
    }
}

fn answer(socket: &UdpSocket, number: u16, until: Instant) -> bool {
    std::iter::from_fn(|| receive(socket, until)).any(|found| found == number)
}

/// Takes answers in, until then.
fn drain(socket: &UdpSocket, until: Instant, open_ones: &mut BTreeSet<u16>) {
    for number in std::iter::from_fn(|| receive(socket, until)) {
        open_ones.remove(&number);
    }
}
