//! A web server on this machine that answers strangers: it gets their bytes as they are, and they get its.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional_with_sizes,
};
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

/// Whether `server` speaks HTTP/2 without TLS on the socket it speaks HTTP/1.1 on. This is our own question and carries nothing
/// of a stranger, so that it comes from this machine: the strangers' source may be an address that comes up later.
pub(super) async fn speaks_h2(server: &WebServer) -> bool {
    let asking = async {
        let mut link = connect(&WebServer { source: None, ..server.clone() }, None).await?;
        link.write_all(PREFACE).await?;
        let mut head = [0; 9];
        link.read_exact(&mut head).await?;
        // A server's first frame is SETTINGS, on stream 0.
        Ok::<bool, io::Error>(head[3] == 4 && head[5..] == [0; 4])
    };
    matches!(timeout(PATIENCE, asking).await, Ok(Ok(true)))
}

/// Passes bytes both ways until both sides have ended; `first` are bytes of the stranger that were read already.
pub(super) async fn splice(mut stranger: impl Stream, mut link: Link, first: &[u8]) -> io::Result<()> {
    link.write_all(first).await?;
    copy_bidirectional_with_sizes(&mut stranger, &mut link, BUFFER, BUFFER).await.map(drop)
}

/// Passes bytes both ways as [`splice`] does, if the stranger says something before the deadline. `spoke` is called when it
/// does.
pub(super) async fn splice_if_spoken(
    mut stranger: impl Stream,
    mut link: Link,
    deadline: Instant,
    spoke: impl FnOnce(),
) -> io::Result<()> {
    let (mut first, mut greeting) = (vec![0; BUFFER], vec![0; BUFFER]);
    let waiting = async {
        loop {
            tokio::select! {
                read = stranger.read(&mut first) => return read,
                read = link.read(&mut greeting) => match read? {
                    0 => return Ok(0),
                    length => stranger.write_all(&greeting[..length]).await?,
                },
            }
            stranger.flush().await?;
        }
    };
    let Ok(length) = timeout_at(deadline, waiting).await else { return Ok(()) };
    let length = length?;
    if length == 0 {
        return stranger.shutdown().await;
    }
    spoke();
    first.truncate(length);
    splice(stranger, link, &first).await
}

/// Sends `request`, which has no body, and waits for the first bytes of the answer; whether they tell of an error.
pub(super) async fn first_answer(link: &mut Link, request: &[u8]) -> io::Result<(Vec<u8>, bool)> {
    link.write_all(request).await?;
    let mut answer = Vec::with_capacity(BUFFER);
    link.read_buf(&mut answer).await?;
    let error = answer.strip_prefix(b"HTTP/1.1 ").or(answer.strip_prefix(b"HTTP/1.0 "));
    let error = error.is_some_and(|status| status.starts_with(b"4"));
    Ok((answer, error))
}
