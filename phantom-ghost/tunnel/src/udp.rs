//! Datagrams on this machine's loopback interface, many per system call.
//!
//! Receiving takes up to 32 datagrams with one `recvmmsg(2)` into memory of the calling thread, so that a tunnel that waits
//! owns no buffer. Sending joins datagrams of one size into one system call with UDP segmentation (`UDP_SEGMENT`, Linux
//! 4.18) and sends them singly where the kernel refuses that.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd as _;
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, send, sendmsg, sendto, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Room before each received datagram, in bytes: enough for the head of any frame.
pub const HEADROOM: usize = 16;
/// The most datagrams that are received at once.
pub const BATCH: usize = 32;
/// The most datagrams that are joined for one system call. A userspace WireGuard loses packets when more come at a blow.
const SEGMENTS: usize = 16;
/// The most bytes that are joined: UDP's own limit applies to the whole.
const JOINED: usize = 65_000;
/// A slot has room for any datagram, with [`HEADROOM`] before it and space for padding behind it.
const SLOT: usize = HEADROOM + 65_536 + 2048;
/// What is asked of the kernel for received datagrams; it doubles the value. Little, so that a tunnel that is too slow
/// drops packets early instead of delaying them.
const RECEIVE_BUFFER: usize = 512 * 1024;
/// More than this in one batch means large datagrams: the next batch is smaller, so that what a slow tunnel has to keep
/// stays bounded.
const LARGE_BATCH: usize = 128 * 1024;

/// Where a tunnel's datagrams go to and come from.
#[derive(Debug)]
pub struct UdpEndpoint {
    socket: UdpSocket,
    /// Who gets what is sent, on a socket that is not connected: whoever sent last.
    peer: Option<SockaddrIn>,
    connected: bool,
    segmentation: bool,
    batch: usize,
}

/// Datagrams that were received, each in a slot with room around it.
#[derive(Debug)]
pub struct Batch<'a> {
    slots: &'a mut [u8],
    lengths: &'a [usize],
}

impl<'a> Batch<'a> {
    /// Each slot and the length of its datagram, which begins [`HEADROOM`] bytes into it. At least 2048 bytes follow it.
    pub fn into_slots(self) -> impl Iterator<Item = (&'a mut [u8], usize)> {
        self.slots.chunks_exact_mut(SLOT).zip(self.lengths.iter().copied())
    }

    /// How many datagrams there are.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether nothing was received.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }
}

/// What a thread needs to receive. The memory costs only as far as it is touched.
struct Scratch {
    slots: Vec<u8>,
    headers: MultiHeaders<SockaddrIn>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        RefCell::new(Scratch { slots: vec![0; BATCH * SLOT], headers: MultiHeaders::preallocate(BATCH, None) });
}

impl UdpEndpoint {
    /// A socket of its own that talks to `port` on 127.0.0.1 and hears nobody else. Needs a tokio runtime.
    pub fn connected(port: u16) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect((Ipv4Addr::LOCALHOST, port))?;
        Self::new(socket, true)
    }

    /// A socket at `local` that answers whoever sent last, for the client's end: a WireGuard that is restarted may come
    /// back from another port. Nothing is sent before something was received. Needs a tokio runtime.
    pub fn roaming(local: SocketAddrV4) -> io::Result<Self> {
        Self::new(std::net::UdpSocket::bind(local)?, false)
    }

    fn new(socket: std::net::UdpSocket, connected: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        let socket = UdpSocket::from_std(socket)?;
        Ok(Self { socket, peer: None, connected, segmentation: true, batch: BATCH })
    }

    /// The socket's own address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Receives what is there, hands it to `take` and says what that returned.
    ///
    /// A refused port (the other end is not there at the moment) is no error. `take` runs while the thread's memory is
    /// borrowed: it must not receive on another endpoint.
    pub fn poll_receive<T>(
        &mut self,
        context: &mut Context<'_>,
        take: impl FnOnce(Batch<'_>) -> T,
    ) -> Poll<io::Result<T>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut lengths = [0; BATCH];
            loop {
                ready!(self.socket.poll_recv_ready(context))?;
                let (socket, batch) = (&self.socket, self.batch);
                let mut last = None;
                let received = socket.try_io(Interest::READABLE, || {
                    let (count, source) = receive(socket, scratch, &mut lengths[..batch])?;
                    if count < batch {
                        // Nothing is left: so it is told to tokio, which else would have to be shown by a call in vain.
                        last = Some((count, source));
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                    Ok((count, source))
                });
                let received = last.map_or(received, Ok);
                match received {
                    Ok((count, source)) => {
                        if !self.connected {
                            self.peer = Some(source);
                        }
                        let lengths = &lengths[..count];
                        let large = lengths.iter().sum::<usize>() > LARGE_BATCH;
                        self.batch = if large { 2 } else { (self.batch * 2).min(BATCH) };
                        return Poll::Ready(Ok(take(Batch { slots: &mut scratch.slots, lengths })));
                    }
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        })
    }

    /// Sends `datagrams` in order, as many per system call as the kernel takes. What cannot be sent is lost, as is UDP's
    /// nature: nothing waits here.
    pub fn send(&mut self, datagrams: &[&[u8]]) {
        if !self.connected && self.peer.is_none() {
            return;
        }
        let mut rest = datagrams;
        while !rest.is_empty() {
            let (run, after) = rest.split_at(if self.segmentation { run_length(rest) } else { 1 });
            rest = after;
            if run.len() > 1 && self.send_joined(run) {
                continue;
            }
            for datagram in run {
                let _ = self.send_one(datagram);
            }
        }
    }

    /// Sends a run as one message that the kernel cuts into pieces; false if it does not do that on this socket.
    fn send_joined(&mut self, run: &[&[u8]]) -> bool {
        let mut slices = [IoSlice::new(&[]); SEGMENTS];
        for (slice, datagram) in slices.iter_mut().zip(run) {
            *slice = IoSlice::new(datagram);
        }
        let Ok(size) = u16::try_from(run[0].len()) else { return false };
        let (slices, control) = (&slices[..run.len()], [ControlMessage::UdpGsoSegments(&size)]);
        match again(|| sendmsg(self.socket.as_raw_fd(), slices, &control, SENDING, self.peer.as_ref())) {
            // No support for it at all, or not with what lies on the way.
            Err(Errno::EINVAL | Errno::EIO | Errno::EOPNOTSUPP | Errno::ENOPROTOOPT | Errno::EMSGSIZE) => {
                self.segmentation = false;
                false
            }
            _ => true,
        }
    }

    fn send_one(&self, datagram: &[u8]) -> nix::Result<usize> {
        let socket = self.socket.as_raw_fd();
        again(|| match &self.peer {
            Some(peer) => sendto(socket, datagram, peer, SENDING),
            None => send(socket, datagram, SENDING),
        })
    }
}

const SENDING: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// Sends, and once more if the refusal of an earlier datagram is reported: this one was not sent then.
fn again(send: impl Fn() -> nix::Result<usize>) -> nix::Result<usize> {
    match send() {
        Err(Errno::ECONNREFUSED | Errno::EINTR) => send(),
        done => done,
    }
}

/// Errors that tell of one moment only: the port was refused, a signal came.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind as FrameKind;
    matches!(
        error.kind(),
        FrameKind::WouldBlock
            | FrameKind::ConnectionRefused
            | FrameKind::Interrupted
            | FrameKind::ConnectionReset
    )
}

/// Fills the slots; says how many datagrams came, and from where the last one.
fn receive(
    socket: &UdpSocket,
    scratch: &mut Scratch,
    lengths: &mut [usize],
) -> nix::Result<(usize, SockaddrIn)> {
    let mut slots: Vec<[IoSliceMut<'_>; 1]> = scratch
        .slots
        .chunks_exact_mut(SLOT)
        .take(lengths.len())
        .map(|slot| [IoSliceMut::new(&mut slot[HEADROOM..HEADROOM + 65_536])])
        .collect();
    let mut source = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
    let flags = MsgFlags::MSG_DONTWAIT;
    let messages = recvmmsg(socket.as_raw_fd(), &mut scratch.headers, slots.iter_mut(), flags, None)?;
    let mut count = 0;
    for (length, message) in lengths.iter_mut().zip(messages) {
        *length = message.bytes;
        source = message.address.unwrap_or(source);
        count += 1;
    }
    Ok((count, source))
}

/// How many of the first datagrams can be joined: all of one size, the last may be shorter.
fn run_length(datagrams: &[&[u8]]) -> usize {
    let Some(size) = datagrams.first().map(|first| first.len()) else { return 0 };
    let (mut count, mut total) = (1, size);
    for datagram in datagrams.iter().skip(1).take(SEGMENTS - 1) {
        total += datagram.len();
        if datagram.len() > size || datagram.is_empty() || total > JOINED {
            break;
        }
        count += 1;
        if datagram.len() < size {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests;
