//! A thread that carries packets both ways. Whatever it takes it brings to its end before it takes more: no packet is handed to
//! another thread, and what comes faster than it can work waits in the kernel, whose queues have an end.

use std::io::PipeReader;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Device;
use super::handshakes::Front;
use super::inbound::Inbound;
use super::outbound;
use super::outbox::Outbox;
use crate::tun::{Gone, LARGEST};
use crate::udp::{Receiver, Sockets};

/// How long buffers are kept without a packet, in milliseconds. They grow with what the kernel gives and is given at once.
const IDLE: u16 = 10_000;
/// How long to wait after the network has refused to give packets, so that a lasting error is no busy loop.
const PAUSE: Duration = Duration::from_millis(20);
/// How many bytes are read of the TUN before the network gets its turn, and what a read counts at least.
const TURN: usize = 256 << 10;
const LEAST: usize = 2048;

/// One of those that carry packets.
pub(crate) struct Worker {
    device: Arc<Device>,
    number: usize,
    front: Arc<Front>,
    /// Becomes readable when something has changed, and ends with the device.
    bell: PipeReader,
    /// The sockets, and which they are of all there have been.
    sockets: Option<Arc<Sockets>>,
    generation: Option<usize>,
    buffers: Buffers,
}

/// What it works in. Between two turns nothing of it is used but what waits to be sent with what the TUN has yet to give.
struct Buffers {
    raw: Vec<u8>,
    receiver: Receiver,
    inbound: Inbound,
    outbox: Outbox,
}

impl Buffers {
    fn new(device: &Device) -> Self {
        Self {
            raw: Vec::new(),
            receiver: Receiver::default(),
            inbound: Inbound::new(device.tun.joiner()),
            outbox: Outbox::default(),
        }
    }

    const fn are_used(&self) -> bool {
        !self.raw.is_empty() || self.receiver.is_used()
    }
}

/// What there is to do.
struct Ready {
    tun: bool,
    socket: bool,
    /// The device goes on.
    on: bool,
}

impl Worker {
    /// The worker with this number, which hears of changes by `bell`.
    pub(crate) fn new(device: Arc<Device>, number: usize, front: Arc<Front>, bell: PipeReader) -> Self {
        let buffers = Buffers::new(&device);
        Self { device, number, front, bell, sockets: None, generation: None, buffers }
    }

    /// Carries packets until the TUN is gone or the device is told to end.
    pub(crate) fn run(mut self) -> Option<Gone> {
        loop {
            self.look();
            let ready = self.wait();
            if !ready.on {
                return None;
            }
            if ready.socket {
                self.receive();
            }
            if (ready.tun || !self.buffers.outbox.is_empty()) && self.send().is_err() {
                return Some(Gone);
            }
        }
    }

    /// Takes other sockets if there are others.
    fn look(&mut self) {
        let newest = self.device.generation.load(Ordering::Acquire);
        if self.generation != Some(newest) {
            self.generation = Some(newest);
            self.sockets = self.device.sockets();
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self) -> Ready {
        let queue = self.device.tun.queue(self.number);
        let socket = self.sockets.as_ref().map(|sockets| sockets.of(self.number).descriptor());
        let wanted = |is: bool| if is { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut waits = vec![PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
        waits.push(PollFd::new(queue.descriptor(), wanted(queue.reads)));
        waits.extend(socket.map(|socket| PollFd::new(socket, PollFlags::POLLIN)));
        let timeout = match &self.buffers {
            buffers if !buffers.outbox.is_empty() => PollTimeout::ZERO,
            buffers if buffers.are_used() => PollTimeout::from(IDLE),
            _ => PollTimeout::NONE,
        };
        let count = poll(&mut waits, timeout);
        let is_ready = |at: usize| waits.get(at).and_then(PollFd::any).unwrap_or(false);
        let (bell, tun, socket) = (is_ready(0), is_ready(1), is_ready(2));
        match count {
            Ok(0) if self.buffers.outbox.is_empty() => {
                self.buffers = Buffers::new(&self.device);
                self.device.table.freed.say();
            }
            Err(Errno::EINTR) | Ok(_) => {}
            Err(_) => std::thread::sleep(PAUSE),
        }
        let on = !bell || self.hear();
        Ready { tun: tun && queue.reads, socket, on }
    }

    /// Takes what the bell has said. `false` at the end of the device.
    fn hear(&self) -> bool {
        let mut said = [0; 16];
        !matches!(nix::unistd::read(&self.bell, &mut said), Ok(0))
    }

    /// Takes what the network has, and gives it to the TUN.
    fn receive(&mut self) {
        let Some(sockets) = &self.sockets else { return };
        let socket = sockets.of(self.number);
        let Buffers { receiver, inbound, outbox, .. } = &mut self.buffers;
        match socket.receive(receiver) {
            Ok(()) => {}
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Err(error) => {
                self.device.log().line(format_args!("cannot receive: {error}"));
                return std::thread::sleep(PAUSE);
            }
        }
        let queue = self.device.tun.queue(self.number);
        let (messages, buffer) = receiver.split();
        for (from, datagrams) in messages {
            inbound.open(&self.device.table, &self.front, buffer, datagrams, from, outbox);
            inbound.joiner.take(buffer, false, |parts| queue.write(parts));
        }
        inbound.joiner.take(buffer, true, |parts| queue.write(parts));
        socket.send_all(outbox);
    }

    /// Takes what the TUN has, and sends it.
    fn send(&mut self) -> Result<(), Gone> {
        let Buffers { raw, outbox, .. } = &mut self.buffers;
        if raw.is_empty() {
            *raw = vec![0; LARGEST];
        }
        let queue = self.device.tun.queue(self.number);
        let now = Instant::now();
        let mut bytes = 0;
        while bytes < TURN {
            let Some(given) = queue.read(raw)? else {
                let all = outbox.pieces().len();
                transmit(self.sockets.as_deref(), self.number, outbox, all);
                break;
            };
            bytes += given.length().max(LEAST);
            if let Some(packets) = given.packets() {
                outbound::seal(&self.device.table, &packets, now, outbox);
            }
            // The other end begins with what is sent while more is sealed here.
            let complete = outbox.complete();
            if complete > 0 {
                transmit(self.sockets.as_deref(), self.number, outbox, complete);
            }
        }
        // If there is more, it comes with the next turn, and so does what it can be sent with.
        Ok(())
    }
}

/// Sends the first pieces, if there is anything to send them by.
fn transmit(sockets: Option<&Sockets>, number: usize, outbox: &mut Outbox, count: usize) {
    match sockets {
        Some(sockets) => sockets.of(number).send_first(outbox, count),
        None => outbox.clear(),
    }
}
