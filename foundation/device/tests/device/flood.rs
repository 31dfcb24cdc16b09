//! A flood of handshake messages from invented senders, and clients that get in beside it.

use std::fs;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use phantom_device::cookie::{Checker, HandshakeMessage, MessageKind};

use crate::lab::{Device, at_client, key, key_file, log, ok, public, sandbox, set_up_server, until};
use crate::ping::{answers, ping};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// Where the invented senders are: all of it is at the client, as far as the network knows.
const INVENTED: (&str, Ipv4Addr) = ("198.18.0.0/15", Ipv4Addr::new(198, 18, 0, 0));
/// Messages in a second: more than keep the load up, and less than a program without optimisation can look at.
const RATE: u32 = 2000;
/// How long no cookie comes before the flood takes the device to be idle, and how many messages it then sends at once: as
/// many as are load, and as wait for the device without being lost.
const SILENCE: Duration = Duration::from_millis(300);
const BURST: u32 = 1000;
/// How many cookies have come when the device is through with the burst.
const STEADY: usize = 2000;

/// A flood: what has been received meanwhile, and whether it is to end.
#[derive(Default)]
struct Flood {
    cookies: AtomicUsize,
    done: AtomicBool,
}

impl Flood {
    /// Does something while a flood comes from the client's host and the device is under load.
    fn during<T>(action: impl FnOnce(&Self) -> T) -> T {
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        ok(&format!("ip route add {} via 192.0.2.2", INVENTED.0));
        ok(&format!("ip -n client route add local {} dev lo", INVENTED.0));
        let flood = Self::default();
        thread::scope(|scope| {
            let _end = End(&flood.done);
            scope.spawn(|| at_client(|| flood.run()));
            until("cookie replies", || flood.cookies.load(Ordering::Relaxed) > STEADY);
            action(&flood)
        })
    }

    fn run(&self) {
        let socket = UdpSocket::bind("0.0.0.0:7777").unwrap();
        socket.set_nonblocking(true).unwrap();
        let checker = Checker::new(&key(1).public_key(), [0; 32], Instant::now());
        let messages = forged(&checker);
        // When the device last sent a cookie, or had no time yet to do so.
        let (mut heard, mut paced, mut reply) = (None::<Instant>, None, [0; 2048]);
        let mut numbers = 0..;
        let mut send_next = || {
            let number: u32 = numbers.next().unwrap();
            let from = Ipv4Addr::from(u32::from(INVENTED.1) + 1 + number % 100_000);
            send(&socket, from, &messages[number as usize % messages.len()]);
        };
        while !self.done.load(Ordering::Relaxed) {
            while let Ok(length) = socket.recv(&mut reply) {
                let message = HandshakeMessage::read(&reply[..length]).unwrap();
                assert_eq!(message.kind(), MessageKind::CookieReply, "an answer to a forged message");
                self.cookies.fetch_add(1, Ordering::Relaxed);
                heard = Some(Instant::now());
            }
            if heard.is_none_or(|heard| heard.elapsed() > SILENCE) {
                (0..BURST).for_each(|_| send_next());
                (heard, paced) = (Some(Instant::now()), None);
            }
            let (since, sent) = paced.get_or_insert((Instant::now(), 0));
            while since.elapsed() > Duration::from_secs(1) / RATE * *sent {
                send_next();
                *sent += 1;
            }
            thread::sleep(Duration::from_micros(500));
        }
    }
}

/// Messages whose first mac is right and in which nothing else is.
fn forged(checker: &Checker) -> Vec<[u8; 148]> {
    let forge = |number: u32| {
        let mut message = [0x5a; 148];
        message[..8].copy_from_slice(&[[1, 0, 0, 0], number.to_le_bytes()].concat());
        message[8..12].copy_from_slice(&number.to_le_bytes());
        let mac1 = checker.mac1(&message[..116]);
        message[116..132].copy_from_slice(&mac1);
        message[132..].fill(0);
        message
    };
    (0..500).map(forge).collect()
}

fn send(socket: &UdpSocket, from: Ipv4Addr, message: &[u8]) {
    let address = |ip: Ipv4Addr| libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
    let source = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: address(from),
        ipi_addr: address(Ipv4Addr::UNSPECIFIED),
    };
    let to = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 51820));
    let control = [ControlMessage::Ipv4PacketInfo(&source)];
    match sendmsg(socket.as_raw_fd(), &[IoSlice::new(message)], &control, MsgFlags::empty(), Some(&to)) {
        Ok(_) => {}
        // The network is at its limit, which is what this is about.
        Err(error) if io::Error::from(error).kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => panic!("{error}"),
    }
}

/// A wireguard-go at the client that says what it does.
struct Client {
    process: Child,
    read: usize,
}

impl Client {
    fn start() -> Self {
        let log = fs::File::create("/run/wgb.log").unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", "client", "env", "LOG_LEVEL=verbose", "wireguard-go", "-f", "wgb"]);
        let errors = log.try_clone().unwrap();
        let process = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().unwrap();
        until("wireguard-go", || fs::exists("/run/wireguard/wgb.sock").unwrap());
        configure_client();
        Self { process, read: 0 }
    }

    /// Pings until the client has a session, and returns how often it began a handshake and got a cookie for it.
    fn connect(&mut self) -> (usize, usize) {
        let count = |text: &str, what: &str| text.lines().filter(|line| line.contains(what)).count();
        let news = |read: usize| log("wgb")[read..].to_owned();
        until("a session", || {
            at_client(|| ping(SERVER, Duration::from_secs(1), |sent| sent == 1));
            count(&news(self.read), "Received handshake response") > 0
        });
        let news = news(self.read);
        self.read += news.len();
        let before = news.split("Received handshake response").next().unwrap();
        (count(before, "Sending handshake initiation"), count(before, "Receiving cookie response"))
    }

    /// Ends its session. It keeps its cookie.
    fn end_session() {
        for seed in [8, 2] {
            ok(&format!("ip netns exec client wg set wgb private-key {}", key_file(seed)));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Gives `wgb` at the client its key, its server and its address, and sets it up.
fn configure_client() {
    let (key, server) = (key_file(2), public(1));
    ok(&format!(
        "ip netns exec client wg set wgb private-key {key} peer {server} allowed-ips 10.9.0.1/32 \
         endpoint 192.0.2.1:51820"
    ));
    ok("ip -n client addr add 10.9.0.2/24 dev wgb");
    ok("ip -n client link set wgb mtu 1420 up");
}

#[test]
fn stock_client_gets_in_at_second_message() {
    sandbox("flood::stock_client_gets_in_at_second_message", || {
        let _device = Device::start("wga", "");
        set_up_server();
        let mut client = Client::start();
        Flood::during(|flood| {
            assert_eq!(client.connect(), (2, 1));
            assert!(at_client(|| answers(SERVER)), "data passes beside the flood");
            Client::end_session();
            assert_eq!(client.connect(), (1, 0));
            assert!(at_client(|| answers(SERVER)));
            let before = flood.cookies.load(Ordering::Relaxed);
            until("more cookie replies", || flood.cookies.load(Ordering::Relaxed) > before + 100);
        });
    });
}

#[test]
fn own_client_gets_in_at_second_message() {
    sandbox("flood::own_client_gets_in_at_second_message", || {
        let _device = Device::start("wga", "");
        set_up_server();
        let program = env!("CARGO_BIN_EXE_phantom-wg-device");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", "client", program, "wgb"]).stdin(Stdio::null());
        command.stderr(fs::File::create("/run/wgb.log").unwrap());
        let _client = Device::start_by(&mut command, "wgb");
        configure_client();
        Flood::during(|_| {
            let server = public(1);
            ok(&format!("ip netns exec client wg set wgb peer {server} persistent-keepalive 25"));
            let shown = |what: &str| {
                let text = ok(&format!("ip netns exec client wg show wgb {what}"));
                text.split_whitespace().last().unwrap().parse::<u64>().unwrap()
            };
            until("a session", || shown("latest-handshakes") > 0);
            // Two initiations of 148 bytes, and a keepalive or two.
            let sent = shown("transfer");
            assert!((2 * 148..3 * 148).contains(&sent), "{sent} bytes");
            assert!(at_client(|| answers(SERVER)));
        });
    });
}
