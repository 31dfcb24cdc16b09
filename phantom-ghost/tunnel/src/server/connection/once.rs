//! One request that a web server in front passes on, answered by the web server behind us, and the end of the connection.
//!
//! Web servers in front use their connections to us again, for requests of whomever they serve next. The next one may be a tunnel's,
//! with a secret in its path, which is nothing for the log of the web server behind us. So that one gets the bytes of a single
//! request, and the one in front is told that the connection ends with the answer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::{Instant, timeout, timeout_at};

use super::{HeadOutcome, HttpConnection, throttle_error};
use crate::config::WebServer;
use crate::request::{self, Parsed, RequestFault};
use crate::server::site::{DecoySite, date};
use crate::server::upstream::{self, Stream};

/// The longest head in bytes, of a request or an answer: more than web servers take.
const MAX_HEAD: usize = 64 * 1024;
/// Bytes on the way in each direction.
const BUFFER: usize = 8 * 1024;

impl<S: Stream + 'static> HttpConnection<S> {
    /// Serves the one request of this connection. It has to be there at `limit`.
    pub(super) async fn once(mut self, server: WebServer, limit: Instant) -> io::Result<()> {
        match timeout_at(limit, self.arrival()).await {
            Err(_) | Ok(Ok(HeadOutcome::Gone)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(HeadOutcome::Head)) => {}
        }
        let Some(active) = self.shared.active() else { return Ok(()) };
        let buffer = std::mem::take(&mut self.buffer);
        if let Parsed::Complete(head, size) = request::parse(&buffer) {
            if !self.note_address(&head) {
                return Ok(());
            }
            if let Some((request, opening)) = self.wanted(&active, &head) {
                let early = buffer[size..].to_vec();
                return Box::pin(self.tunnel(&active, &request, early, opening)).await;
            }
        }
        drop(active);
        self.permit.requested();
        self.buffer = buffer;
        let Some(size) = timeout_at(limit, self.head_end()).await.unwrap_or(Ok(None))? else {
            self.send(&DecoySite::refuse(RequestFault::TooLarge, &date())).await?;
            return self.linger_close().await;
        };
        let buffer = std::mem::take(&mut self.buffer);
        let (head, rest) = buffer.split_at(size);
        let Ok(mut link) = upstream::connect(&server, self.ends).await.inspect_err(|_| self.doubt()) else {
            return self.apologise().await;
        };
        let (head, bodiless) = (Lines::from_head(head), head.starts_with(b"HEAD "));
        let (mut body, limit) = (head.body_of_request(), self.shared.timeouts.send);
        let whole = matches!(body, Body::Length(0));
        let length = body.take(rest);
        let first = [head.last_of_its_connection().as_slice(), &rest[..length]].concat();
        {
            let (shared, address) = (&self.shared, self.address);
            let (mut from_front, to_front) = split(&mut self.stream);
            let (mut from_link, mut to_link) = split(&mut link);
            let up = async {
                timeout(limit, to_link.write_all(&first)).await??;
                pass_up(&mut from_front, &mut to_link, body, limit).await
            };
            let down = async {
                let mut answer = Answer { from: &mut from_link, to: to_front, bytes: Vec::new(), limit };
                let begun = answer.head(whole).await?;
                let Some((size, error)) = begun else { return Ok(()) };
                throttle_error(shared, address, error).await;
                answer.rest(size, bodiless).await
            };
            let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
            tokio::select! {
                done = &mut down => done?,
                // The web server in front has gone, or half of it: the answer has a while yet.
                gone = &mut up => {
                    gone?;
                    timeout(limit, down).await.unwrap_or(Ok(()))?;
                }
            }
        }
        drop(link);
        self.linger_close().await
    }

    /// Reads until the head in the buffer has ended; its size, or none where it does not end.
    async fn head_end(&mut self) -> io::Result<Option<usize>> {
        loop {
            if let Some(size) = end_of_head(&self.buffer) {
                return Ok(Some(size));
            }
            if self.buffer.len() >= MAX_HEAD || self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Passes on the rest of a request's body. What comes behind it is dropped. Ends when nothing comes any more.
async fn pass_up(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut body: Body,
    limit: Duration,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        timeout(limit, to.flush()).await??;
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let length = body.take(&buffer[..read]);
        timeout(limit, to.write_all(&buffer[..length])).await??;
    }
}

/// An answer on its way from the web server behind us to the one in front.
struct Answer<'a, F, T> {
    from: &'a mut F,
    to: T,
    bytes: Vec<u8>,
    limit: Duration,
}

impl<F: AsyncRead + Unpin, T: AsyncWrite + Unpin> Answer<'_, F, T> {
    /// Waits for the head of the final answer, and passes on those of interim ones (RFC 9110 section 15.2). Its size, and whether it
    /// tells of an error; none where the web server ends before. Where the request is `whole`, it has to begin within the limit.
    async fn head(&mut self, whole: bool) -> io::Result<Option<(usize, bool)>> {
        loop {
            while let Some(size) = end_of_head(&self.bytes) {
                let status = Lines::from_head(&self.bytes[..size]).status();
                if !matches!(status, 100 | 102..200) {
                    return Ok(Some((size, (400..500).contains(&status))));
                }
                let interim: Vec<u8> = self.bytes.drain(..size).collect();
                self.write(&interim).await?;
            }
            let read = self.from.read_buf(&mut self.bytes);
            let read = if whole { timeout(self.limit, read).await?? } else { read.await? };
            if read == 0 || self.bytes.len() > MAX_HEAD {
                return Ok(None);
            }
        }
    }

    /// Passes on the answer, whose head has this size. `bodiless`: it was asked for by HEAD.
    async fn rest(mut self, size: usize, bodiless: bool) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        let (head, rest) = bytes.split_at(size);
        let head = Lines::from_head(head);
        let mut body = head.body_of_answer(bodiless);
        let length = body.take(rest);
        self.write(&[head.last_of_its_connection().as_slice(), &rest[..length]].concat()).await?;
        let mut buffer = vec![0; BUFFER];
        while !body.is_over() {
            let read = self.from.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            let length = body.take(&buffer[..read]);
            self.write(&buffer[..length]).await?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let writing = async {
            self.to.write_all(bytes).await?;
            self.to.flush().await
        };
        timeout(self.limit, writing).await?
    }
}

/// The size of the head that `bytes` begin with, if it has ended.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    // Empty lines before a request are let pass (RFC 9112 section 2.2).
    let start = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    bytes[start..].windows(4).position(|end| end == b"\r\n\r\n").map(|at| start + at + 4)
}

/// The lines of a head, whatever is in them: what we would refuse is the web server's to judge.
struct Lines<'a>(Vec<&'a [u8]>);

impl<'a> Lines<'a> {
    fn from_head(head: &'a [u8]) -> Self {
        let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        Self(lines.filter(|line| !line.is_empty()).collect())
    }

    /// The name and the value of a line, if it has both.
    fn field(line: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let at = line.iter().position(|byte| *byte == b':')?;
        Some((line[..at].trim_ascii(), line[at + 1..].trim_ascii()))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.0.iter().skip(1).filter_map(|line| Self::field(line));
        fields.filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The status of an answer; 0 where it tells none.
    fn status(&self) -> u16 {
        let line = self.0.first().copied().unwrap_or_default();
        let word = line.split(|byte| *byte == b' ').nth(1).and_then(|word| std::str::from_utf8(word).ok());
        word.and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// The same head for a connection that ends after the message, and stays HTTP.
    fn last_of_its_connection(&self) -> Vec<u8> {
        const OF_THE_CONNECTION: [&[u8]; 4] = [b"connection", b"keep-alive", b"proxy-connection", b"upgrade"];
        let mut head = Vec::new();
        let mut left_out = false;
        for (at, line) in self.0.iter().enumerate() {
            // A folded line belongs to the one before it.
            if at > 0 && !line[0].is_ascii_whitespace() {
                let name = Self::field(line).map(|(name, _)| name.to_ascii_lowercase());
                left_out = name.is_some_and(|name| OF_THE_CONNECTION.contains(&name.as_slice()));
            }
            if !left_out {
                head.extend_from_slice(line);
                head.extend_from_slice(b"\r\n");
            }
        }
        head.extend_from_slice(b"Connection: close\r\n\r\n");
        head
    }

    /// The body that a transfer coding or a length tells of (RFC 9112 section 6.3).
    fn told_body(&self) -> Option<Body> {
        if let Some(coding) = self.values("transfer-encoding").last() {
            let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
            return Some(if last.eq_ignore_ascii_case(b"chunked") {
                Body::Size { size: 0, ended: false }
            } else {
                Body::UntilEnd
            });
        }
        let length = std::str::from_utf8(self.values("content-length").next()?).ok()?;
        Some(Body::Length(length.parse().ok()?))
    }

    fn body_of_request(&self) -> Body {
        match self.told_body() {
            // A request never lasts until the end of its connection.
            None | Some(Body::UntilEnd) => Body::Length(0),
            Some(body) => body,
        }
    }

    fn body_of_answer(&self, bodiless: bool) -> Body {
        if bodiless || matches!(self.status(), 100..200 | 204 | 304) {
            return Body::Length(0);
        }
        self.told_body().unwrap_or(Body::UntilEnd)
    }
}

/// What is still to come of a message's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// So many bytes.
    Length(u64),
    /// All that comes.
    UntilEnd,
    /// The line with a chunk's size (RFC 9112 section 7.1); what comes behind the number does not count.
    Size { size: u64, ended: bool },
    /// So many bytes of a chunk, with the end of its line.
    Chunk(u64),
    /// The lines behind the last chunk; whether there is anything in this one.
    Trailer { filled: bool },
}

impl Body {
    const fn is_over(self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// How many of `bytes` belong to the body.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.is_over() {
            let here = (bytes.len() - at) as u64;
            let byte = bytes[at];
            let mut taken = 1;
            *self = match *self {
                Self::UntilEnd => return bytes.len(),
                Self::Length(left) => {
                    taken = left.min(here);
                    Self::Length(left - taken)
                }
                Self::Chunk(left) => {
                    taken = left.min(here);
                    if taken == left {
                        Self::Size { size: 0, ended: false }
                    } else {
                        Self::Chunk(left - taken)
                    }
                }
                Self::Size { size: 0, .. } if byte == b'\n' => Self::Trailer { filled: false },
                Self::Size { size, .. } if byte == b'\n' => Self::Chunk(size.saturating_add(2)),
                Self::Size { size, ended } => match char::from(byte).to_digit(16).filter(|_| !ended) {
                    Some(digit) => {
                        Self::Size { size: size.saturating_mul(16).saturating_add(digit.into()), ended }
                    }
                    None => Self::Size { size, ended: true },
                },
                Self::Trailer { filled } if byte == b'\n' => {
                    if filled {
                        Self::Trailer { filled: false }
                    } else {
                        Self::Length(0)
                    }
                }
                Self::Trailer { filled } => Self::Trailer { filled: filled || byte != b'\r' },
            };
            at += usize::try_from(taken).unwrap_or(bytes.len());
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_ends_at_its_declared_length() {
        let next = b"GET /secret/events HTTP/1.1\r\n\r\n";
        for (head, body) in [
            ("GET / HTTP/1.1", &b""[..]),
            ("POST / HTTP/1.1\r\nContent-Length: 5", b"12345"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked", b"a;x=1\r\n0123456789\r\n1\r\n\n\r\n0\r\n\r\n"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked", b"0\r\nTrailer: x\r\n\r\n"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip", b""),
        ] {
            let head = format!("{head}\r\nHost: x\r\n\r\n");
            let all = [body, next].concat();
            for piece in [1, 3, all.len()] {
                let mut told = Lines::from_head(head.as_bytes()).body_of_request();
                let taken: usize = all.chunks(piece).map(|bytes| told.take(bytes)).sum();
                assert_eq!((taken, told.is_over()), (body.len(), true), "{head}");
            }
        }
    }

    #[test]
    fn a_connection_is_told_to_end() {
        let head = b"GET / HTTP/1.1\r\nHost: x\r\nconnection: keep-alive,\r\n upgrade\r\nUpgrade: websocket\r\nX: \xe9\r\n\r\n";
        let last = Lines::from_head(head).last_of_its_connection();
        assert_eq!(last, b"GET / HTTP/1.1\r\nHost: x\r\nX: \xe9\r\nConnection: close\r\n\r\n");
        let head = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\n";
        let answer = Lines::from_head(head);
        assert_eq!((answer.status(), answer.body_of_answer(false)), (200, Body::Length(2)));
        assert!(answer.body_of_answer(true).is_over());
        assert_eq!(
            answer.last_of_its_connection(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(Lines::from_head(b"HTTP/1.0 200 OK\r\n\r\n").body_of_answer(false), Body::UntilEnd);
    }
}
