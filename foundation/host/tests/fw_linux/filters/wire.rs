//! Real packets: sent in other namespaces, and heard in this one or in theirs.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, getpeername, socket};
use phantom_host::filter::{FilterVerdict, Packet, PacketPath};

use super::chance::{PORTS, TCP};
use crate::lab::sh;

pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// Another address of the server's.
pub(super) const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// How long packets take at most when nothing is wrong, and when the machine is busy.
const SOON: Duration = Duration::from_millis(8);
const LATE: Duration = Duration::from_millis(40);
const TRIES: usize = 25;
/// The first source port. Above those that rules name but the widest.
const FIRST: u16 = 20_000;

/// A thread in a namespace: what it is given to do is done there.
struct Inside(Sender<Box<dyn FnOnce() + Send>>);

impl Inside {
    fn new(namespace: &str) -> Self {
        let (send, work) = channel::<Box<dyn FnOnce() + Send>>();
        let file = File::open(format!("/run/netns/{namespace}")).unwrap();
        thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            for work in work {
                work();
            }
        });
        Self(send)
    }
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (send, done) = channel();
        self.0.send(Box::new(move || send.send(work()).unwrap())).unwrap();
        done.recv().unwrap()
    }
}

/// Who sends and who listens.
pub(super) struct Wire {
    client: Inside,
    server: Inside,
    /// The host's sockets by port.
    udp: BTreeMap<u16, UdpSocket>,
    tcp: BTreeMap<u16, TcpListener>,
    /// The server's.
    beyond: BTreeMap<u16, UdpSocket>,
    /// The next source port: one that was used a moment ago may belong to a connection that is known.
    next: Cell<u16>,
}

/// A packet that was sent, with what keeps its port.
pub(super) struct Sent {
    pub(super) packet: Packet,
    number: u32,
    from: Socket,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(OwnedFd),
}

fn listening(address: Ipv4Addr) -> BTreeMap<u16, UdpSocket> {
    let socket = |port: &u16| {
        let socket = UdpSocket::bind((address, *port)).unwrap();
        socket.set_nonblocking(true).unwrap();
        (*port, socket)
    };
    PORTS.iter().map(socket).collect()
}

impl Wire {
    pub(super) fn new() -> Self {
        sh(&format!(
            "ip -n fwl-server addr add {STRANGER}/32 dev eth0; ip route add {STRANGER}/32 dev out0
            ping -c 1 -W 2 -I {HOST} {STRANGER} > /dev/null || true; sysctl -qw net.ipv4.icmp_ratelimit=0"
        ));
        // Ports come round again in the long mode: nothing may know them by then.
        sh("nft add table ip known; nft add chain ip known c '{ type filter hook input priority 0; }'; nft add rule ip known c ct state new
            for name in tcp_timeout_established tcp_timeout_fin_wait tcp_timeout_time_wait tcp_timeout_last_ack udp_timeout_stream; do
                sysctl -qw net.netfilter.nf_conntrack_$name=20; done; nft delete table ip known");
        let (client, server) = (Inside::new("fwl-client"), Inside::new("fwl-server"));
        let beyond = server.run(|| listening(SERVER));
        let tcp = |port: &u16| {
            let listener = TcpListener::bind((HOST, *port)).unwrap();
            listener.set_nonblocking(true).unwrap();
            (*port, listener)
        };
        Self {
            client,
            server,
            udp: listening(HOST),
            tcp: PORTS.iter().map(tcp).collect(),
            beyond,
            next: Cell::new(FIRST),
        }
    }

    /// Sends them all, each as the first packet of a connection.
    pub(super) fn send(&self, packets: &[Packet]) -> Vec<Sent> {
        let mut all = Vec::new();
        for (number, packet) in (1..).zip(packets) {
            let inside = if packet.path == PacketPath::Forward { &self.client } else { &self.server };
            let mut packet = packet.clone();
            packet.ports = packet.ports.map(|(_, to)| (self.next.get(), to));
            self.next.set(self.next.get().checked_add(1).unwrap_or(FIRST));
            all.push(inside.run(move || begin(packet, number)));
        }
        all
    }

    /// Answers UDP packets that have arrived, and sends another one from each of their sockets.
    pub(super) fn send_again(&self, arrived: Vec<Sent>) -> Vec<Sent> {
        let of_udp =
            |sent: &Sent| matches!(&sent.from, Socket::Udp(_)) && sent.packet.path == PacketPath::Input;
        let mut known: Vec<Sent> = arrived.into_iter().filter(of_udp).collect();
        for sent in &mut known {
            let Socket::Udp(from) = &sent.from else { continue };
            let to = from.local_addr().unwrap();
            self.udp[&sent.packet.ports.unwrap().1].send_to(b"back", to).unwrap();
            sent.number += 1000;
            from.send_to(&sent.number.to_be_bytes(), (sent.packet.destination, sent.packet.ports.unwrap().1))
                .unwrap();
        }
        known
    }

    /// Which of them have arrived where they were sent to. One that is expected gets time to do so.
    pub(super) fn passed(&self, sent: &[Sent], expected: &[FilterVerdict]) -> Vec<bool> {
        let mut heard = Vec::new();
        let mut passed = vec![false; sent.len()];
        thread::sleep(SOON);
        for _ in 0..TRIES {
            self.hear(&mut heard);
            for (passed, sent) in passed.iter_mut().zip(sent) {
                *passed |= match &sent.from {
                    Socket::Udp(_) => heard.contains(&(sent.packet.ports.unwrap().1, sent.number)),
                    Socket::Tcp(socket) => getpeername::<SockaddrIn>(socket.as_raw_fd()).is_ok(),
                };
            }
            let awaited =
                |(verdict, passed): (&FilterVerdict, &bool)| *verdict == FilterVerdict::Accepted && !passed;
            if !expected.iter().zip(&passed).any(awaited) {
                break;
            }
            thread::sleep(LATE);
        }
        passed
    }

    /// What has come to any socket: the port, and the number of the packet.
    fn hear(&self, heard: &mut Vec<(u16, u32)>) {
        let mut buffer = [0; 16];
        for (port, socket) in self.udp.iter().chain(&self.beyond) {
            while let Ok((4, _)) = socket.recv_from(&mut buffer) {
                heard.push((*port, u32::from_be_bytes(*buffer.first_chunk().unwrap())));
            }
        }
        for listener in self.tcp.values() {
            while let Ok((stream, _)) = listener.accept() {
                drop::<TcpStream>(stream);
            }
        }
    }
}

fn begin(packet: Packet, number: u32) -> Sent {
    let (from, to) = packet.ports.unwrap();
    let SocketAddr::V4(own) = SocketAddr::new(packet.source, from) else { panic!("IPv4 only") };
    let SocketAddr::V4(to) = SocketAddr::new(packet.destination, to) else { panic!("IPv4 only") };
    let from = if packet.protocol == TCP { tcp(own, to) } else { udp(own, to, number) };
    Sent { packet, number, from }
}

fn udp(own: SocketAddrV4, to: SocketAddrV4, number: u32) -> Socket {
    let socket = UdpSocket::bind(own).unwrap();
    // A rule that rejects tells the socket, which does not matter here.
    let _ = socket.send_to(&number.to_be_bytes(), to);
    Socket::Udp(socket)
}

fn tcp(own: SocketAddrV4, to: SocketAddrV4) -> Socket {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::from(own)).unwrap();
    // It goes on by itself; whether it has come through is asked later.
    let _ = connect(socket.as_raw_fd(), &SockaddrIn::from(to));
    Socket::Tcp(socket)
}
