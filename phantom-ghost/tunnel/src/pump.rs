//! One tunnel: frames on a stream to and from datagrams on a socket.
//!
//! A [`Tunnel`] is one future that moves both directions by turns; neither ever waits for the other, so that two ends
//! whose windows are both full cannot block each other. While it moves, it works in memory of the thread: what came in
//! from the stream is decoded in place and sent, what came in as datagrams is framed in place and written at once, many
//! frames to a TLS record. A tunnel that waits owns little more than its TLS state.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

use crate::codec::{self, FrameEvent, FrameKind, Frames, MAX_FRAME};
use crate::udp::UdpEndpoint;

mod ahead;
mod batch;
mod handshakes;
mod options;
mod padding;
mod rest;

pub use ahead::ReadAhead;
pub use handshakes::Handshakes;
pub use options::{End, TrafficCounters, TunnelOptions};
use padding::Padding;
pub(crate) use padding::between;
pub use rest::rest_while_much_comes;

/// What is read at once, behind what an incomplete frame left over.
const READ: usize = 64 * 1024;
/// Datagrams that are decoded before they are sent together.
const SENT_TOGETHER: usize = 64;
/// Rounds of both directions before other tasks have their turn.
const ROUNDS: usize = 8;
/// Unanswered pings at which a tunnel ends.
const MISSES: u8 = 3;
/// Ticks without a byte written, while there is something to write, at which a tunnel ends.
const STALLS: u8 = 2;
/// The most bytes of answers to pings that wait to be written; later pings are not answered, which RFC 6455 allows.
const ANSWERS: usize = 4096;
/// How long the other end may take for the end of a tunnel.
const GOODBYE: Duration = Duration::from_secs(5);

/// A tunnel that is open. The future resolves when it has ended and the stream is shut down.
#[derive(Debug)]
pub struct Tunnel<S> {
    stream: S,
    endpoint: UdpEndpoint,
    options: TunnelOptions,
    stop: Option<oneshot::Receiver<()>>,
    padding: Padding,
    /// What came with the upgrade, until it is read.
    early: Vec<u8>,
    /// The beginning of a frame whose end has not come yet.
    partial: Vec<u8>,
    /// Frames that the stream did not take yet, from `written` on.
    backlog: Vec<u8>,
    written: usize,
    /// How much of the backlog answers pings.
    answers: usize,
    unflushed: bool,
    timer: Pin<Box<Sleep>>,
    heard: bool,
    misses: u8,
    moved: bool,
    stalls: u8,
    ending: Option<End>,
}

thread_local! {
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_FRAME + READ]);
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tunnel<S> {
    /// A tunnel on `stream`, whose upgrade is done. `early` is what was read of it behind the upgrade's head; `stop` ends
    /// the tunnel when it is used or dropped. Needs a tokio runtime with time.
    pub fn new(
        stream: S,
        early: Vec<u8>,
        endpoint: UdpEndpoint,
        options: TunnelOptions,
        stop: Option<oneshot::Receiver<()>>,
    ) -> Self {
        let timer = Box::pin(sleep(between(&options.ping)));
        let padding = Padding::new(options.padding);
        Self {
            stream,
            endpoint,
            options,
            stop,
            padding,
            early,
            partial: Vec::new(),
            backlog: Vec::new(),
            written: 0,
            answers: 0,
            unflushed: false,
            timer,
            heard: false,
            misses: 0,
            moved: true,
            stalls: 0,
            ending: None,
        }
    }

    /// The datagram socket of a tunnel that has ended, for the next one.
    pub fn into_endpoint(self) -> UdpEndpoint {
        self.endpoint
    }

    /// One turn of both directions; true if something moved.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        if self.ending.is_none() {
            match self.read(context) {
                Ok(read) => moved |= read,
                Err(end) => self.end(end),
            }
        }
        if self.ending.is_none() && self.backlog.is_empty() {
            match self.receive(context) {
                Ok(received) => moved |= received,
                Err(end) => self.end(end),
            }
        }
        match self.write(context) {
            Ok(written) => moved |= written,
            Err(error) => self.fail(error),
        }
        moved
    }

    /// From the stream to the socket.
    fn read(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        if !self.early.is_empty() {
            let mut early = std::mem::take(&mut self.early);
            let left = self.decode(&mut early)?;
            self.keep(&early[early.len() - left..]);
            return Ok(true);
        }
        INPUT.with_borrow_mut(|input| {
            let before = self.partial.len();
            let mut buffer = ReadBuf::new(&mut input[before..before + READ]);
            let end = self.fill(context, &mut buffer);
            let read = buffer.filled().len();
            if read > 0 {
                self.heard = true;
                input[..before].copy_from_slice(&self.partial);
                let left = self.decode(&mut input[..before + read])?;
                self.keep(&input[before + read - left..before + read]);
            }
            end.map_or(Ok(read > 0), Err)
        })
    }

    /// Reads until the stream has nothing more or the buffer is full: a TLS session gives what two or three packets held at
    /// a time, and what is read together is sent together. With an end if that came, behind whatever was read.
    fn fill(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Option<End> {
        while buffer.remaining() > 0 {
            let before = buffer.filled().len();
            match Pin::new(&mut self.stream).poll_read(context, buffer) {
                Poll::Ready(Ok(())) if buffer.filled().len() == before => return Some(End::Closed),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Some(End::Stream(error)),
                Poll::Pending => break,
            }
        }
        None
    }

    /// Keeps `left` for the next read, and gives memory back that is not needed.
    fn keep(&mut self, left: &[u8]) {
        if left.is_empty() {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
            self.partial.extend_from_slice(left);
        }
    }

    /// Sends on what whole frames hold; says how many bytes at the end are none.
    fn decode(&mut self, bytes: &mut [u8]) -> Result<usize, End> {
        let mut frames = Frames::new(bytes);
        let mut datagrams: Vec<&[u8]> = Vec::new();
        let mut count = 0;
        let end = loop {
            match frames.next() {
                Ok(Some(FrameEvent::Datagram([0, ..]))) if self.options.discard_junk => {}
                Ok(Some(FrameEvent::Datagram(datagram))) if !self.options.lets_pass(datagram) => {}
                Ok(Some(FrameEvent::Datagram(datagram))) => {
                    datagrams.push(datagram);
                    count += 1;
                    if datagrams.len() == SENT_TOGETHER {
                        self.endpoint.send(&datagrams);
                        datagrams.clear();
                    }
                }
                Ok(Some(FrameEvent::Ping(payload))) => {
                    if self.answers < ANSWERS {
                        let before = self.backlog.len();
                        codec::encode(&mut self.backlog, FrameKind::Pong, payload, self.options.masked);
                        self.answers += self.backlog.len() - before;
                    }
                }
                Ok(Some(FrameEvent::Pong(_))) => {}
                Ok(Some(FrameEvent::Close)) => break Err(End::Closed),
                Ok(None) => break Ok(frames.left()),
                Err(violation) => break Err(End::Protocol(violation)),
            }
        };
        self.endpoint.send(&datagrams);
        self.options.counters.received.fetch_add(count.into(), Ordering::Relaxed);
        rest::count(count);
        end
    }

    /// From the socket to the stream.
    fn receive(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let (stream, padding, masked) = (&mut self.stream, &mut self.padding, self.options.masked);
        let (backlog, counters) = (&mut self.backlog, &self.options.counters);
        let mut inner = Context::from_waker(context.waker());
        let written = self.endpoint.poll_receive(context, |received| {
            counters.sent.fetch_add(received.len() as u64, Ordering::Relaxed);
            batch::write(stream, &mut inner, received, padding, masked, backlog)
        });
        match written {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(Ok(()))) => {
                self.unflushed = true;
                self.moved = true;
                Ok(true)
            }
            Poll::Ready(Ok(Err(error))) => Err(End::Stream(error)),
            Poll::Ready(Err(error)) => Err(End::Socket(error)),
        }
    }

    /// Writes what waits; true if something was written.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while self.written < self.backlog.len() {
            let rest = &self.backlog[self.written..];
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.written += count;
                    self.unflushed = true;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if self.written == self.backlog.len() && self.backlog.capacity() > 0 {
            self.backlog = Vec::new();
            self.written = 0;
            self.answers = 0;
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
        }
        self.moved |= moved;
        Ok(moved)
    }

    /// Begins to end the tunnel: a Close frame is written, then the stream is shut down.
    fn end(&mut self, end: End) {
        if self.ending.is_some() {
            return;
        }
        if matches!(end, End::Stream(_) | End::Stalled) {
            // Nothing more can be written.
            self.backlog = Vec::new();
            self.written = 0;
            self.unflushed = false;
        } else {
            codec::encode_close(&mut self.backlog, self.options.masked);
        }
        self.ending = Some(end);
        self.timer.as_mut().reset(Instant::now() + GOODBYE);
    }

    /// The stream cannot be written: whatever the end was to be, nothing more waits.
    fn fail(&mut self, error: io::Error) {
        self.backlog = Vec::new();
        self.written = 0;
        self.unflushed = false;
        if self.ending.is_none() {
            self.end(End::Stream(error));
        }
    }

    /// Looks at what may end the tunnel and at the time between pings; true if there was something to do.
    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        let mut due = false;
        if let Some(stop) = &mut self.stop
            && Pin::new(stop).poll(context).is_ready()
        {
            self.stop = None;
            self.end(End::Stopped);
            due = true;
        }
        while self.ending.is_none() && self.timer.as_mut().poll(context).is_ready() {
            self.tick();
            due = true;
        }
        due
    }

    /// The time between pings is over.
    fn tick(&mut self) {
        let waiting = self.unflushed || !self.backlog.is_empty();
        self.stalls = if waiting && !self.moved { self.stalls + 1 } else { 0 };
        self.moved = false;
        if self.stalls == STALLS {
            return self.end(End::Stalled);
        }
        if self.heard {
            self.misses = 0;
        } else if self.misses == MISSES {
            return self.end(End::Silent);
        } else {
            self.misses += 1;
            let payload = padding::ping_payload();
            codec::encode(&mut self.backlog, FrameKind::Ping, &payload, self.options.masked);
        }
        self.heard = false;
        let next = between(&self.options.ping);
        self.timer.as_mut().reset(Instant::now() + next);
    }

    /// What is left to do once the tunnel is ending: write the rest and shut the stream down.
    fn finish(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let failed = matches!(self.ending, Some(End::Stream(_) | End::Stalled));
        if failed || self.timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if self.unflushed || !self.backlog.is_empty() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_shutdown(context).map(drop)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Tunnel<S> {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        let this = &mut *self;
        let mut rounds = 0;
        while rounds < ROUNDS && this.turn(context) {
            rounds += 1;
        }
        // What came has gone on: it does not wait for these.
        if this.is_due(context) || rounds == ROUNDS {
            context.waker().wake_by_ref();
        }
        if this.ending.is_some() && this.finish(context).is_ready() {
            return Poll::Ready(this.ending.take().unwrap_or(End::Closed));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
