//! A web server on this machine that answers strangers: it gets their bytes as they are, and they get its.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::proxy::{self, Ends};
use crate::config::{Upstream, WebServer};
use crate::socket;

/// Bytes on the way in each direction of a splice.
const BUFFER: usize = 8 * 1024;
/// How long the web server may take to accept a connection, or to say whether it speaks HTTP/2.
const PATIENCE: Duration = Duration::from_secs(2);
/// How a client of HTTP/2 begins (RFC 9113 section 3.4), with an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A connection to it.
pub(super) type Link = Box<dyn Stream>;

/// What a splice needs of both sides.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects for the stranger whose connection has these ends; without them, for nobody but ourselves.
pub(super) async fn connect(server: &WebServer, ends: Option<Ends>) -> io::Result<Link> {
    let connecting = async {
        let mut link: Link = match &server.at {
            Upstream::Tcp(address) => {
                let stream = socket::connect(server.source, *address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Upstream::Unix(path) => Box::new(UnixStream::connect(Path::new(path)).await?),
        };
        if let Some(version) = server.proxy {
            link.write_all(&proxy::header(version, ends)).await?;
        }
        Ok(link)
    };
    timeout(PATIENCE, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Whether `server` speaks HTTP/2 without TLS on the socket it speaks HTTP/1.1 on; `None` if it is not there. This is our own
/// question and carries nothing of a stranger, so that it comes from this machine: the strangers' source may be an address that
/// comes up later.
pub(super) async fn speaks_h2(server: &WebServer) -> Option<bool> {
    let mut link = connect(&WebServer { source: None, ..server.clone() }, None).await.ok()?;
    let asking = async {
        link.write_all(PREFACE).await?;
        let mut head = [0; 9];
        link.read_exact(&mut head).await?;
        // A server's first frame is SETTINGS, on stream 0.
        Ok::<bool, io::Error>(head[3] == 4 && head[5..] == [0; 4])
    };
    Some(matches!(timeout(PATIENCE, asking).await, Ok(Ok(true))))
}

/// Passes bytes both ways until both sides have ended; `first` are bytes of the stranger that were read already. When one side has
/// ended, the other is left as soon as nothing has come from it for as long as `rest`.
pub(super) async fn splice(
    stranger: impl Stream,
    mut link: Link,
    first: &[u8],
    rest: Duration,
) -> io::Result<()> {
    link.write_all(first).await?;
    let moved = AtomicU64::new(0);
    let (from_stranger, to_stranger) = split(stranger);
    let (from_link, to_link) = split(link);
    let (mut up, mut down) =
        (pin!(pass(from_stranger, to_link, &moved)), pin!(pass(from_link, to_stranger, &moved)));
    let stranger_ended = tokio::select! {
        done = &mut up => done.map(|()| true)?,
        done = &mut down => done.map(|()| false)?,
    };
    loop {
        let before = moved.load(Ordering::Relaxed);
        let other = async { if stranger_ended { down.as_mut().await } else { up.as_mut().await } };
        match timeout(rest, other).await {
            Ok(done) => return done,
            Err(_) if moved.load(Ordering::Relaxed) == before => return Ok(()),
            Err(_) => {}
        }
    }
}

/// Passes bytes one way until there are none, and counts them.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    moved: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
        to.flush().await?;
        moved.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// The beginning of an answer.
pub(super) struct FirstAnswer {
    /// Its first bytes; none at the web server's end.
    pub(super) bytes: Vec<u8>,
    /// Whether they tell of an error.
    pub(super) error: bool,
    /// What the stranger sent meanwhile.
    pub(super) more: Vec<u8>,
}

/// Sends `request`, which has no body, and waits for the first bytes of the answer, for as long as `limit`. A stranger who
/// says goodbye meanwhile is heard: the web server has as long as that from there on, as in [`splice`].
pub(super) async fn first_answer(
    stranger: &mut impl Stream,
    link: &mut Link,
    request: &[u8],
    limit: Duration,
) -> io::Result<FirstAnswer> {
    let mut deadline = Instant::now() + limit;
    timeout_at(deadline, link.write_all(request)).await??;
    let (mut bytes, mut more, mut listens) = (Vec::with_capacity(BUFFER), Vec::new(), true);
    loop {
        let room = listens && more.len() < BUFFER;
        let mut part = [0; 1024];
        tokio::select! {
            read = timeout_at(deadline, link.read_buf(&mut bytes)) => {
                read??;
                break;
            }
            read = stranger.read(&mut part), if room => match read? {
                0 => {
                    listens = false;
                    deadline = Instant::now() + limit;
                }
                length => more.extend_from_slice(&part[..length]),
            },
        }
    }
    let error = bytes.strip_prefix(b"HTTP/1.1 ").or(bytes.strip_prefix(b"HTTP/1.0 "));
    let error = error.is_some_and(|status| status.starts_with(b"4"));
    Ok(FirstAnswer { bytes, error, more })
}
