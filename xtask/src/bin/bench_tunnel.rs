//! `bench-tunnel MODE CLIENT WIREGUARD COUNT SECONDS PID`: loads tunnels with datagrams, and says what the server took.
//!
//! It is both ends: sockets that send to the UDP port CLIENT of 127.0.0.1 (or to ports in turns: FIRST-LAST, or with
//! commas between), where a tunnel's client listens, and one at the port WIREGUARD, where the tunnel leads. A tunnel opens
//! for each of the COUNT sockets. The modes are `up` and `down` (1,400 bytes each, as fast as they are confirmed), `rtt`
//! (128 bytes there and back, one at a time on all tunnels together, in changing order) and `idle` (nothing).
//!
//! It prints a line of JSON: `datagrams` and `seconds` of the measurement, `cpu` (seconds that the process PID took in it),
//! `rss` (KiB that it has at the end), `rtt` (of each tunnel the median, in microseconds), `lost`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the bench")]

use std::collections::HashMap;
use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmsg, setsockopt, sockopt,
};

/// The bytes of a datagram that carries load.
const SIZE: usize = 1400;
/// The bytes of one whose round trip is measured: a ping in WireGuard. (A handshake's size may be padded, which is another
/// thing.)
const SMALL: usize = 128;
/// The most datagrams under way on one tunnel, the least on each of many, and the most in all but for that.
const WINDOW: u32 = 128;
const LEAST: u32 = 16;
const IN_ALL: u32 = 320;
/// So many datagrams are sent, and confirmed, together.
const TOGETHER: u32 = 8;
/// The most that are received together.
const BATCH: usize = 32;
/// Room for one that is received: nobody looks at the rest of what carries load, and copying it would take time.
const ROOM: usize = 256;
/// Nothing for so long: what is under way is lost.
const LOST: Duration = Duration::from_millis(300);
/// How long a tunnel may take to open.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two round trips.
const REST: Duration = Duration::from_millis(1);
/// Before the measurement begins, and before memory is looked at.
const SETTLE: Duration = Duration::from_millis(700);

/// What a datagram is. The first byte is never 0, which a tunnel may drop.
const ECHO: u8 = b'E';
const LOAD: u8 = b'L';
const CONFIRM: u8 = b'C';
const REQUEST: u8 = b'R';

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Up,
    Down,
    RoundTrip,
    Idle,
}

/// What all threads count.
#[derive(Default)]
struct Counts {
    datagrams: AtomicU64,
    lost: AtomicU64,
    ending: AtomicBool,
    /// Of round trips, in nanoseconds, for each tunnel.
    times: Mutex<Vec<Vec<u64>>>,
}

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-tunnel: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let wrong =
        || io::Error::other("usage: bench-tunnel up|down|rtt|idle CLIENT WIREGUARD COUNT SECONDS PID");
    let [mode, client, wireguard, count, seconds, pid] = words.as_slice() else { return Err(wrong()) };
    let mode = match mode.as_str() {
        "up" => Mode::Up,
        "down" => Mode::Down,
        "rtt" => Mode::RoundTrip,
        "idle" => Mode::Idle,
        _ => return Err(wrong()),
    };
    let number = |text: &String| text.parse::<u16>().map_err(|_| wrong());
    let ports = ports(client).ok_or_else(wrong)?;
    let (wireguard, count) = (number(wireguard)?, number(count)?);
    let time = Duration::from_secs(number(seconds)?.into());
    raise_limit()?;
    let sink = socket(wireguard)?;
    thread::spawn(move || serve(&sink));
    let tunnels = ports.into_iter().cycle().take(count.into()).map(open).collect::<io::Result<Vec<_>>>()?;
    let counts = Arc::new(Counts::default());
    let start = Arc::new(Barrier::new(usize::from(count) + 1));
    let window = (IN_ALL / u32::from(count).max(1)).clamp(LEAST, WINDOW);
    let mut threads = Vec::new();
    if mode == Mode::RoundTrip {
        let (tunnels, counts) = (copies(&tunnels)?, Arc::clone(&counts));
        threads.push(thread::spawn(move || round_trips(&tunnels, &counts)));
    } else if mode != Mode::Idle {
        for tunnel in copies(&tunnels)? {
            let (counts, start) = (Arc::clone(&counts), Arc::clone(&start));
            threads.push(thread::spawn(move || {
                start.wait();
                load(mode, &tunnel, window, &counts)
            }));
        }
        start.wait();
    }
    thread::sleep(SETTLE);
    let (began, cpu, before) = (Instant::now(), cpu(pid)?, counts.datagrams.load(Ordering::Relaxed));
    thread::sleep(time);
    let (took, datagrams) = (began.elapsed(), counts.datagrams.load(Ordering::Relaxed) - before);
    let cpu = self::cpu(pid)? - cpu;
    let rss = resident(pid)?;
    counts.ending.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    let times = counts.times.lock().map_err(|_| io::Error::other("poisoned"))?.clone();
    let rtt: Vec<f64> = times.into_iter().map(median).collect();
    let lost = counts.lost.load(Ordering::Relaxed);
    Ok(format!(
        r#"{{"datagrams":{datagrams},"seconds":{},"cpu":{cpu},"rss":{rss},"rtt":{rtt:?},"lost":{lost}}}"#,
        took.as_secs_f64()
    ))
}

/// `A-B` or `A,B,C`.
fn ports(text: &str) -> Option<Vec<u16>> {
    match text.split_once('-') {
        Some((first, last)) => Some((first.parse().ok()?..=last.parse().ok()?).collect()),
        None => text.split(',').map(|port| port.parse().ok()).collect(),
    }
}

fn copies(sockets: &[UdpSocket]) -> io::Result<Vec<UdpSocket>> {
    sockets.iter().map(UdpSocket::try_clone).collect()
}

fn raise_limit() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// A socket with a large buffer: what is measured is the tunnel, not what does not fit behind it.
fn socket(port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20))?;
    Ok(socket)
}

/// A socket whose tunnel is open.
fn open(client: u16) -> io::Result<UdpSocket> {
    let socket = socket(0)?;
    socket.connect((Ipv4Addr::LOCALHOST, client))?;
    socket.set_read_timeout(Some(LOST))?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        // The client may not listen yet.
        if socket.send(&[ECHO; 16]).is_ok() && receive(&socket, &mut [0; 64], ECHO).is_some() {
            return Ok(socket);
        }
        thread::sleep(REST);
    }
    Err(io::Error::other("no tunnel opens"))
}

/// The next datagram of this kind: its length. Whatever else comes is passed over.
fn receive(socket: &UdpSocket, buffer: &mut [u8], kind: u8) -> Option<usize> {
    loop {
        let length = socket.recv(buffer).ok()?;
        if length > 0 && buffer[0] == kind {
            return Some(length);
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.get(1..5).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn datagram(kind: u8, number: u32, size: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; size];
    bytes[0] = kind;
    bytes[1..5].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// [`TOGETHER`] datagrams of load, sent in one piece that the kernel cuts up (`UDP_SEGMENT`): what is measured is the
/// tunnel, and the bench shares its processors.
struct Load(Vec<u8>);

impl Load {
    fn new() -> Self {
        Self(datagram(LOAD, 0, SIZE).repeat(TOGETHER as usize))
    }

    /// Sends those that follow `number`.
    fn send(&mut self, socket: &UdpSocket, number: u32, to: Option<&SockaddrIn>) -> io::Result<()> {
        for (datagram, at) in self.0.chunks_exact_mut(SIZE).zip(number + 1..) {
            datagram[1..5].copy_from_slice(&at.to_le_bytes());
        }
        let size = u16::try_from(SIZE).map_err(io::Error::other)?;
        let cut = [ControlMessage::UdpGsoSegments(&size)];
        sendmsg(socket.as_raw_fd(), &[IoSlice::new(&self.0)], &cut, MsgFlags::empty(), to)?;
        Ok(())
    }
}

/// Memory for many datagrams at once.
struct Batch {
    bytes: Vec<u8>,
    headers: MultiHeaders<SockaddrIn>,
}

impl Batch {
    fn new() -> Self {
        Self { bytes: vec![0; BATCH * ROOM], headers: MultiHeaders::preallocate(BATCH, None) }
    }

    /// Waits for at least one datagram and takes what there is: to each its length, its first bytes and its source.
    fn receive(
        &mut self,
        socket: &UdpSocket,
        mut take: impl FnMut(usize, &[u8], Option<SockaddrIn>),
    ) -> io::Result<()> {
        let mut found = Vec::with_capacity(BATCH);
        let mut slots: Vec<[IoSliceMut<'_>; 1]> =
            self.bytes.chunks_exact_mut(ROOM).map(|slot| [IoSliceMut::new(slot)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE | MsgFlags::MSG_TRUNC;
        let messages = recvmmsg(socket.as_raw_fd(), &mut self.headers, slots.iter_mut(), flags, None)?;
        found.extend(messages.map(|message| (message.bytes, message.address)));
        for ((length, from), slot) in found.into_iter().zip(self.bytes.chunks_exact(ROOM)) {
            take(length, &slot[..length.min(ROOM)], from);
        }
        Ok(())
    }
}

/// The end behind the tunnels.
fn serve(sink: &UdpSocket) {
    #[derive(Default)]
    struct Peer {
        received: u32,
        sent: u32,
    }
    let mut peers: HashMap<SocketAddr, Peer> = HashMap::new();
    let (mut batch, mut load) = (Batch::new(), Load::new());
    loop {
        // An answer to a socket that is closed by now is reported here.
        let _ = batch.receive(sink, |_, bytes, from| {
            let (Some(first), Some(source)) = (bytes.first(), from) else { return };
            let from = SocketAddr::from((source.ip(), source.port()));
            let peer = peers.entry(from).or_default();
            match *first {
                ECHO => drop(sink.send_to(bytes, from)),
                LOAD => {
                    peer.received = peer.received.wrapping_add(1);
                    if peer.received.is_multiple_of(TOGETHER) {
                        drop(sink.send_to(&datagram(CONFIRM, peer.received, 16), from));
                    }
                }
                REQUEST => {
                    while peer.sent < number(bytes) {
                        drop(load.send(sink, peer.sent, Some(&source)));
                        peer.sent += TOGETHER;
                    }
                }
                _ => {}
            }
        });
    }
}

fn load(mode: Mode, tunnel: &UdpSocket, window: u32, counts: &Counts) -> io::Result<()> {
    match mode {
        Mode::Up => up(tunnel, window, counts),
        Mode::Down => down(tunnel, window, counts),
        // Not for one tunnel alone, and nothing.
        Mode::RoundTrip | Mode::Idle => Ok(()),
    }
}

fn up(tunnel: &UdpSocket, window: u32, counts: &Counts) -> io::Result<()> {
    let (mut buffer, mut load) = ([0; ROOM], Load::new());
    // What is lost is never confirmed: it is written off, so that the window is free again.
    let (mut sent, mut confirmed, mut lost) = (0_u32, 0, 0);
    while !counts.ending.load(Ordering::Relaxed) {
        while sent - confirmed - lost + TOGETHER <= window {
            load.send(tunnel, sent, None)?;
            sent += TOGETHER;
        }
        if receive(tunnel, &mut buffer, CONFIRM).is_some() {
            let now = number(&buffer).max(confirmed);
            counts.datagrams.fetch_add(u64::from(now - confirmed), Ordering::Relaxed);
            confirmed = now;
            lost = lost.min(sent - confirmed);
        } else {
            counts.lost.fetch_add(u64::from(sent - confirmed - lost), Ordering::Relaxed);
            lost = sent - confirmed;
        }
    }
    Ok(())
}

fn down(tunnel: &UdpSocket, window: u32, counts: &Counts) -> io::Result<()> {
    let (mut batch, mut wanted, mut last) = (Batch::new(), 0, 0);
    while !counts.ending.load(Ordering::Relaxed) {
        // As rarely as the other way confirms.
        if wanted + TOGETHER <= last + window {
            wanted = last + window;
            tunnel.send(&datagram(REQUEST, wanted, 16))?;
        }
        let received = batch.receive(tunnel, |length, bytes, _| {
            if length == SIZE && bytes[0] == LOAD {
                counts.datagrams.fetch_add(1, Ordering::Relaxed);
                last = number(bytes).max(last);
            }
        });
        if received.is_err() {
            counts.lost.fetch_add(u64::from(wanted.saturating_sub(last)), Ordering::Relaxed);
            last = wanted;
        }
    }
    Ok(())
}

fn round_trips(tunnels: &[UdpSocket], counts: &Counts) -> io::Result<()> {
    let (mut buffer, mut times) = ([0; ROOM], vec![Vec::new(); tunnels.len()]);
    let mut order: Vec<usize> = (0..tunnels.len()).collect();
    for round in 1_u32.. {
        // So each comes behind each other one.
        order.rotate_left(1);
        if (round as usize).is_multiple_of(order.len()) {
            order.reverse();
        }
        for &at in &order {
            if counts.ending.load(Ordering::Relaxed) {
                counts.times.lock().map_err(|_| io::Error::other("poisoned"))?.extend(times);
                return Ok(());
            }
            let bytes = datagram(ECHO, round, SMALL);
            let start = Instant::now();
            tunnels[at].send(&bytes)?;
            if answered(&tunnels[at], &mut buffer, round) {
                times[at].push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
                counts.datagrams.fetch_add(1, Ordering::Relaxed);
            } else {
                counts.lost.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(REST);
        }
    }
    Ok(())
}

/// Waits for the answer with this number; those to earlier questions, which were taken for lost, are passed over.
fn answered(tunnel: &UdpSocket, buffer: &mut [u8], wanted: u32) -> bool {
    while receive(tunnel, buffer, ECHO).is_some() {
        if number(buffer) == wanted {
            return true;
        }
    }
    false
}

/// The middle of times in nanoseconds, in microseconds.
fn median(mut times: Vec<u64>) -> f64 {
    times.sort_unstable();
    let nanos = times.get(times.len() / 2).copied().unwrap_or_default();
    f64::from(u32::try_from(nanos).unwrap_or(u32::MAX)) / 1e3
}

/// Seconds that a process has spent on processors, all its threads together: the first number of `schedstat`, in
/// nanoseconds (Linux, Documentation/scheduler/sched-stats.rst).
fn cpu(pid: &str) -> io::Result<f64> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        nanos += text.split(' ').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(Duration::from_nanos(nanos).as_secs_f64())
}

/// KiB of memory that a process has.
fn resident(pid: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("no VmRSS"))
}
