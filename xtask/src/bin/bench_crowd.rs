//! `bench-crowd ADDRESS:PORT NETWORKS EACH BYTES`: strangers that take the places of a server and never ask for anything.
//!
//! From each of so many networks (198.51.1.1, 198.51.2.1 and so on, which have to be addresses of this machine) it keeps so many
//! connections open, and opens another one for each that is closed. A connection sends so many bytes of a TLS client's hello,
//! and nothing after them. It prints a line when the server has closed a connection for the first time, and goes on until it is killed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the bench")]

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::ExitCode;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, bind, connect, recv, send, socket,
};

/// The beginning of a hello: what follows in the record is never sent.
const HELLO: [u8; 11] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
/// Between two looks at the connections of a network.
const PAUSE: Duration = Duration::from_millis(20);

static FULL: Once = Once::new();

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-crowd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let wrong = || io::Error::other("usage: bench-crowd ADDRESS:PORT NETWORKS EACH BYTES");
    let [to, networks, each, bytes] = words.as_slice() else { return Err(wrong()) };
    let to: SocketAddrV4 = to.parse().map_err(|_| wrong())?;
    let networks: u8 = networks.parse().map_err(|_| wrong())?;
    let (each, bytes): (usize, usize) =
        (each.parse().map_err(|_| wrong())?, bytes.parse().map_err(|_| wrong())?);
    let said = HELLO.get(..bytes).ok_or_else(wrong)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let threads = (1..=networks).map(|network| {
        let source = SocketAddrV4::new(Ipv4Addr::new(198, 51, network, 1), 0);
        thread::spawn(move || keep(source, to, each, said))
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    Ok(())
}

/// Keeps a network's connections open. Ends only when this machine has no room for another one.
fn keep(source: SocketAddrV4, to: SocketAddrV4, each: usize, said: &[u8]) -> io::Result<()> {
    let mut held: Vec<OwnedFd> = Vec::new();
    loop {
        let before = held.len();
        held.retain(|connection| !is_closed(connection));
        if held.len() < before {
            FULL.call_once(|| println!("full"));
        }
        while held.len() < each {
            let connection = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            bind(connection.as_raw_fd(), &SockaddrIn::from(source))?;
            match connect(connection.as_raw_fd(), &SockaddrIn::from(to)) {
                // The server may have closed it by now.
                Ok(()) => drop(send(connection.as_raw_fd(), said, MsgFlags::MSG_NOSIGNAL)),
                Err(Errno::ECONNRESET | Errno::ECONNREFUSED | Errno::ETIMEDOUT | Errno::EADDRNOTAVAIL) => {
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            held.push(connection);
        }
        thread::sleep(PAUSE);
    }
}

fn is_closed(connection: &OwnedFd) -> bool {
    !matches!(recv(connection.as_raw_fd(), &mut [0; 1], MsgFlags::MSG_DONTWAIT), Ok(1..) | Err(Errno::EAGAIN))
}
