//! Reads more of a socket at once than its reader asks for.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const AHEAD: usize = 64 * 1024;

/// A stream whose reads are made with a large buffer of the thread: a TLS session asks for 4 KiB at a time, which would
/// be a system call for every three packets. What is ahead is kept, at most 64 KiB, and its memory freed when the stream
/// has nothing more.
#[derive(Debug)]
pub struct ReadAhead<S> {
    inner: S,
    ahead: Vec<u8>,
    read: usize,
    /// Where in a TLS record it is, while records are handed out singly.
    record: Option<Record>,
}

/// The size of a TLS record's head; its last two bytes are the length of what follows.
const HEAD: usize = 5;

/// A place in a TLS record.
#[derive(Debug, Default)]
struct Record {
    head: [u8; HEAD],
    known: usize,
    left: usize,
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; AHEAD]);
}

impl<S> ReadAhead<S> {
    /// Reads ahead of `inner`.
    pub fn new(inner: S) -> Self {
        Self { inner, ahead: Vec::new(), read: 0, record: None }
    }

    /// From now on no read goes beyond the end of a TLS record, until [`ReadAhead::end_records`].
    ///
    /// For an acceptor that is to see the first message and nothing behind it: what it takes with it would be looked at only
    /// when more arrives, and one who sends all at once would wait in vain for an answer.
    pub fn begin_records(&mut self) {
        self.record = Some(Record::default());
    }

    /// Reads are as long again as their reader asks for.
    pub fn end_records(&mut self) {
        self.record = None;
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S> ReadAhead<S> {
    /// Gives what was read ahead, as much as is wanted.
    fn hand_out(&mut self, buffer: &mut ReadBuf<'_>) {
        let ahead = &self.ahead[self.read..];
        let wanted = buffer.remaining().min(ahead.len());
        let count = match &mut self.record {
            Some(record) => record.advance(&ahead[..wanted]),
            None => wanted,
        };
        buffer.put_slice(&ahead[..count]);
        self.read += count;
    }
}

impl Record {
    /// Goes on in `bytes`, at most to the end of the record; says how far.
    fn advance(&mut self, bytes: &[u8]) -> usize {
        let head = bytes.len().min(HEAD - self.known);
        self.head[self.known..self.known + head].copy_from_slice(&bytes[..head]);
        self.known += head;
        if head > 0 && self.known == HEAD {
            self.left = usize::from(u16::from_be_bytes([self.head[3], self.head[4]]));
        }
        let body = if self.known == HEAD { self.left.min(bytes.len() - head) } else { 0 };
        self.left -= body;
        if self.known == HEAD && self.left == 0 {
            self.known = 0;
        }
        head + body
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.read == this.ahead.len() {
            this.ahead.clear();
            this.read = 0;
            if buffer.remaining() >= AHEAD && this.record.is_none() {
                return Pin::new(&mut this.inner).poll_read(context, buffer);
            }
            let polled = SCRATCH.with_borrow_mut(|scratch| {
                let mut large = ReadBuf::new(scratch);
                ready!(Pin::new(&mut this.inner).poll_read(context, &mut large))?;
                let filled = large.filled();
                let now = if this.record.is_none() { filled.len().min(buffer.remaining()) } else { 0 };
                buffer.put_slice(&filled[..now]);
                this.ahead.extend_from_slice(&filled[now..]);
                Poll::Ready(Ok(()))
            });
            if this.record.is_some() {
                this.hand_out(buffer);
            }
            if polled.is_pending() && this.ahead.capacity() > 0 {
                this.ahead = Vec::new();
            }
            return polled;
        }
        this.hand_out(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn records_are_delivered_one_by_one() {
        let records: [&[u8]; 4] =
            [b"\x16\x03\x01\0\x04abcd", b"\x14\x03\x03\0\0", b"\x17\x03\x03\x00\x01x", b"\x17\x03\x03\x01"];
        let all = records.concat();
        for cut in 0..all.len() {
            let (mut peer, stream) = duplex(1000);
            let mut stream = ReadAhead::new(stream);
            stream.begin_records();
            peer.write_all(&all[..cut]).await.unwrap();
            let (mut seen, mut end, mut rest) = (0, 0, records.iter());
            while seen < all.len() {
                if seen == cut {
                    peer.write_all(&all[cut..]).await.unwrap();
                }
                if seen == end {
                    end += rest.next().unwrap().len();
                }
                let mut buffer = [0; 100];
                let read = stream.read(&mut buffer).await.unwrap();
                assert_eq!(buffer[..read], all[seen..seen + read]);
                seen += read;
                assert!(read > 0 && seen <= end, "{seen} is behind {end}, cut at {cut}");
            }
            peer.write_all(b"after the end").await.unwrap();
            stream.end_records();
            let mut buffer = [0; 5];
            stream.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"after");
        }
    }
}
