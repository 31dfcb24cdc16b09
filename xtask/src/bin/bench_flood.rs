//! `bench-flood MODE …`: what strangers and clients do to a WireGuard device.
//!
//! * `flood PUBLIC_KEY ADDRESS RATE`: until standard input ends, sends the device at ADDRESS so many initiations a second
//!   that are right in their first mac alone, each from another address below 198.18.0.0/15, which has to be local here.
//!   Prints a line of JSON: `rate` that was reached, and `cookies` that were received.
//! * `echo PORT`: sends every datagram back.
//! * `clients COUNT PORT`: client N sends from 10.98.N.2 to 10.98.N.1 until it is answered. Prints a list of
//!   milliseconds, null for one that was not answered in 20 s.
//! * `absent COUNT SECONDS`: sends datagrams to 10.77.0.0 and the addresses after it in turns.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the bench")]

use std::error::Error;
use std::io::{self, IoSlice, Read as _};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use blake2::digest::Mac as _;
use blake2::digest::consts::U16;
use blake2::{Blake2s256, Blake2sMac, Digest as _};
use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg, setsockopt, sockopt};
use phantom_types::PublicKey;

/// The bytes of an initiation, and where its first mac is (WireGuard's paper, 5.4.2).
const INITIATION: usize = 148;
const MAC1: usize = 116;
/// How many different initiations are sent in turns.
const DIFFERENT: u32 = 4096;
/// The first and the number of the senders.
const SENDERS: (u32, u32) = (0xc612_0001, 130_000);
/// How often a client asks, and how long.
const ASK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(20);

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["flood", key, address, rate] => flood(key, address, rate),
        ["echo", port] => echo(port),
        ["clients", count, port] => clients(count, port),
        ["absent", count, seconds] => absent(count, seconds),
        _ => Err("usage: see the first lines of this program".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-flood: {error}");
            ExitCode::FAILURE
        }
    }
}

fn flood(key: &str, address: &str, rate: &str) -> Result<()> {
    let (to, rate): (SocketAddrV4, u32) = (address.parse()?, rate.parse()?);
    let (messages, to) = (forge(&key.parse()?), SockaddrIn::from(to));
    let socket = UdpSocket::bind("0.0.0.0:7777")?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20))?;
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::stdin().read_to_end(&mut Vec::new()); // however it ends, it is the end
            ended.store(true, Ordering::Relaxed);
        });
        let (start, mut sent, mut cookies) = (Instant::now(), 0, 0);
        let mut reply = [0; 2048];
        while !ended.load(Ordering::Relaxed) {
            // In small groups: no timer is finer than that.
            let due = start.elapsed().as_secs_f64() * f64::from(rate);
            while f64::from(sent) < due {
                send(&socket, sent, &messages, &to)?;
                sent += 1;
            }
            while socket.recv(&mut reply).is_ok_and(|length| length == 64 && reply[0] == 3) {
                cookies += 1;
            }
            thread::sleep(Duration::from_micros(500));
        }
        println!(r#"{{"rate":{},"cookies":{cookies}}}"#, f64::from(sent) / start.elapsed().as_secs_f64());
        Ok(())
    })
}

/// Initiations with the right first mac, and the same bytes elsewhere but for a number.
fn forge(key: &PublicKey) -> Vec<[u8; INITIATION]> {
    let mac1_key = Blake2s256::new().chain_update(b"mac1----").chain_update(key.as_bytes()).finalize();
    let forge = |number: u32| {
        let mut message = [0x5a; INITIATION];
        message[..4].copy_from_slice(&[1, 0, 0, 0]);
        // The sender's index, and the first bytes of the key that the device has to multiply with.
        message[4..8].copy_from_slice(&number.to_le_bytes());
        message[8..12].copy_from_slice(&number.to_le_bytes());
        let (front, macs) = message.split_at_mut(MAC1);
        macs.fill(0);
        if let Ok(mac) = Blake2sMac::<U16>::new_from_slice(&mac1_key) {
            macs[..16].copy_from_slice(&mac.chain_update(front).finalize().into_bytes());
        }
        message
    };
    (0..DIFFERENT).map(forge).collect()
}

fn send(socket: &UdpSocket, number: u32, messages: &[[u8; INITIATION]], to: &SockaddrIn) -> io::Result<()> {
    let from = Ipv4Addr::from(SENDERS.0 + number % SENDERS.1);
    let address = |ip: Ipv4Addr| libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
    let source = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: address(from),
        ipi_addr: address(Ipv4Addr::UNSPECIFIED),
    };
    let control = [ControlMessage::Ipv4PacketInfo(&source)];
    let bytes = [IoSlice::new(&messages[number as usize % messages.len()])];
    match sendmsg(socket.as_raw_fd(), &bytes, &control, MsgFlags::empty(), Some(to)) {
        Ok(_) => Ok(()),
        Err(error) => match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            error => Err(error),
        },
    }
}

fn echo(port: &str) -> Result<()> {
    // An answer comes from the address that was asked only if there is a socket for it: a client takes any.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port.parse()?))?;
    let mut bytes = [0; 2048];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..length], from); // a client that is gone is its own affair
        }
    }
}

fn clients(count: &str, port: &str) -> Result<()> {
    let (count, port): (u8, u16) = (count.parse()?, port.parse()?);
    let threads: Vec<_> = (1..=count).map(|number| thread::spawn(move || client(number, port))).collect();
    let mut times = Vec::new();
    for thread in threads {
        let took = thread.join().map_err(|_| "a client panicked")??;
        times.push(took.map_or_else(|| "null".to_owned(), |took| (took.as_secs_f64() * 1e3).to_string()));
    }
    println!("[{}]", times.join(","));
    Ok(())
}

/// How long a client takes to be answered. Clients begin one after the other.
fn client(number: u8, port: u16) -> io::Result<Option<Duration>> {
    let socket = UdpSocket::bind((Ipv4Addr::new(10, 98, number, 2), 0))?;
    socket.set_read_timeout(Some(ASK))?;
    thread::sleep(Duration::from_millis(97) * number.into());
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let _ = socket.send_to(b"hello", (Ipv4Addr::new(10, 98, number, 1), port)); // it asks again
        if socket.recv(&mut [0; 16]).is_ok() {
            return Ok(Some(start.elapsed()));
        }
    }
    Ok(None)
}

fn absent(count: &str, seconds: &str) -> Result<()> {
    let (count, seconds): (u32, u64) = (count.parse()?, seconds.parse()?);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let first = u32::from(Ipv4Addr::new(10, 77, 0, 0));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        for number in 0..count {
            let _ = socket.send_to(&[0; 1392], (Ipv4Addr::from(first + number), 9)); // what is lost is lost
        }
    }
    Ok(())
}
