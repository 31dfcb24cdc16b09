//! A visit while a web server behind us answers strangers.
//!
//! What strangers see is that one's doing alone, whatever they send and however slowly. A connection to it is made as soon as TLS
//! is done, their bytes go there as they come, and its answers and the end of its patience come back. One thing is held back:
//! half of a tunnel's request under a secret that is accepted. Strangers cannot see that, since they cannot make one.

use std::future::{Future, pending, ready};
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until};

use super::{HttpConnection, Opening};
use crate::config::WebServer;
use crate::request::{self, Beginning, MAX_HEAD, Parsed};
use crate::secrets::SECRET_LENGTH;
use crate::server::decide::Request;
use crate::server::h2;
use crate::server::proxy::Ends;
use crate::server::site::{DecoySite, date};
use crate::server::upstream::{self, Link, Stream};

/// What a web server may say at once before it is asked.
const GREETING: usize = 1024;

/// The connection to the web server, from when it is wanted.
enum Tie {
    Coming(Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>),
    There(Link),
    /// None was made, or it failed.
    Absent,
}

/// How the wait for a visitor's words ended.
enum WaitOutcome {
    /// There are more.
    Came,
    /// There are no more: the visitor said goodbye.
    End,
    /// The web server has ended the connection.
    Over,
    /// They did not come in time.
    Late,
}

/// Whose the bytes are that a visitor has sent.
enum Whose {
    /// The tunnel's that they ask for; what follows the request comes last.
    Tunnels(Box<(Request, Opening, Vec<u8>)>),
    /// The web server's: a request, or what is none.
    Strangers,
    /// The web server's, if it takes half a request.
    Half,
    /// That is not known yet.
    Open,
    /// They are held back, or there are none.
    Held,
    /// Somebody's who has too many connections.
    Unwelcome,
}

impl Tie {
    fn to(server: &WebServer, ends: Option<Ends>) -> Self {
        let server = server.clone();
        Self::Coming(Box::pin(async move { upstream::connect(&server, ends).await }))
    }

    /// The connection, which is made now if there is none. After an error there is none.
    async fn link(&mut self, server: &WebServer, ends: Option<Ends>) -> io::Result<Link> {
        match std::mem::replace(self, Self::Absent) {
            Self::Coming(connecting) => connecting.await,
            Self::There(link) => Ok(link),
            Self::Absent => upstream::connect(server, ends).await,
        }
    }

    /// What the web server says; `None` when it has become clear whether it is there.
    async fn heard(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Coming(connecting) => {
                let connected = connecting.await;
                *self = connected.map_or(Self::Absent, Self::There);
                Ok(None)
            }
            Self::There(link) => link.read(into).await.map(Some),
            Self::Absent => pending().await,
        }
    }

    /// Waits for a visitor's words. For the first of them the visitor has as long as the web server says, if it is there, and else
    /// until `limit`.
    async fn words(
        &mut self,
        visitor: &mut impl Stream,
        buffer: &mut Vec<u8>,
        limit: Instant,
    ) -> io::Result<WaitOutcome> {
        let mut greeting = [0; GREETING];
        buffer.reserve(2048);
        loop {
            let limited = !buffer.is_empty() || matches!(self, Self::Absent);
            tokio::select! {
                biased;
                read = visitor.read_buf(buffer) => {
                    return Ok(if read? == 0 { WaitOutcome::End } else { WaitOutcome::Came });
                }
                heard = self.heard(&mut greeting) => match heard? {
                    None => {}
                    Some(0) => return Ok(WaitOutcome::Over),
                    Some(length) => {
                        visitor.write_all(&greeting[..length]).await?;
                        visitor.flush().await?;
                    }
                },
                () = sleep_until(limit), if limited => return Ok(WaitOutcome::Late),
            }
        }
    }
}

impl<S: Stream + 'static> HttpConnection<S> {
    /// Serves a visitor. `limit` bounds the rest of a tunnel's request that has begun, and any request while the web server is not
    /// there.
    pub(super) async fn behind(mut self, server: WebServer, limit: Instant) -> io::Result<()> {
        let mut tie = Tie::to(&server, self.ends);
        let (mut looked, mut ended) = (0, false);
        loop {
            let whose = self.whose(looked).await?;
            let theirs = match whose {
                Whose::Tunnels(tunnel) => {
                    drop(tie);
                    let Some(active) = self.shared.active() else { return Ok(()) };
                    let (request, opening, early) = *tunnel;
                    return Box::pin(self.tunnel(&active, &request, early, opening)).await;
                }
                Whose::Unwelcome => return Ok(()),
                Whose::Strangers => true,
                Whose::Half | Whose::Open => ended || !matches!(tie, Tie::Absent),
                // A secret that is accepted is nothing for another program's log.
                Whose::Held if ended && !self.buffer.is_empty() => return Ok(()),
                Whose::Held => ended && !matches!(tie, Tie::Absent),
            };
            if ended && !theirs {
                return Ok(());
            }
            if theirs {
                if matches!(whose, Whose::Strangers) {
                    self.permit.requested();
                }
                match tie.link(&server, self.ends).await.inspect_err(|_| self.doubt()) {
                    Ok(link) => return self.pass_on(link).await,
                    Err(_) if ended => return Ok(()),
                    Err(_) if matches!(whose, Whose::Strangers) => return self.apologise().await,
                    // The rest is waited for, as by any server.
                    Err(_) => {}
                }
            }
            looked = self.buffer.len();
            match tie.words(&mut self.stream, &mut self.buffer, limit).await? {
                WaitOutcome::Came => {}
                WaitOutcome::End => ended = true,
                WaitOutcome::Over => return self.stream.shutdown().await,
                WaitOutcome::Late => return Ok(()),
            }
        }
    }

    /// The same for a visitor that speaks HTTP/2, which no tunnel does.
    pub(super) async fn behind_h2(mut self, server: WebServer) -> io::Result<()> {
        let mut tie = Tie::to(&server, self.ends);
        let limit = self.first_request;
        match tie.words(&mut self.stream, &mut self.buffer, limit).await? {
            WaitOutcome::Came => self.permit.requested(),
            WaitOutcome::End => {}
            WaitOutcome::Over => return self.stream.shutdown().await,
            WaitOutcome::Late => return Ok(()),
        }
        if let Ok(link) = tie.link(&server, self.ends).await {
            return self.pass_on(link).await;
        }
        self.doubt();
        let answer = DecoySite::unreachable(&date());
        self.throttle_error(answer.error).await;
        h2::apologise(&mut self.stream, std::mem::take(&mut self.buffer), &answer, limit).await?;
        self.linger_close().await
    }

    /// What is known of the web server may not hold any more.
    pub(super) fn doubt(&self) {
        if let Some(active) = self.shared.active() {
            active.doubt();
        }
    }

    /// Says that the web server is not there.
    pub(super) async fn apologise(mut self) -> io::Result<()> {
        let answer = DecoySite::unreachable(&date());
        self.send(&answer).await?;
        self.linger_close().await
    }

    /// Whose the bytes are that have come. So many of them were looked at before, and more had to come.
    async fn whose(&mut self, looked: usize) -> io::Result<Whose> {
        let length = self.buffer.len();
        // Not at every byte.
        let line = looked == 0 || length >= MAX_HEAD || self.buffer[looked..].contains(&b'\n');
        if length == 0 || !line {
            return Ok(Whose::Held);
        }
        loop {
            let buffer = std::mem::take(&mut self.buffer);
            let whose = self.judge(&buffer);
            self.buffer = buffer;
            // The rest may be here already, in another record. It is not waited for: the web server's patience goes on.
            if !(matches!(whose, Whose::Open) && self.more_is_here().await?) {
                return Ok(whose);
            }
        }
    }

    fn judge(&mut self, bytes: &[u8]) -> Whose {
        let Some(active) = self.shared.active() else { return Whose::Strangers };
        match request::parse(bytes) {
            Parsed::Complete(head, size) => {
                if !self.note_address(&head) {
                    return Whose::Unwelcome;
                }
                match self.wanted(&active, &head) {
                    Some((request, opening)) => {
                        Whose::Tunnels(Box::new((request, opening, bytes[size..].to_vec())))
                    }
                    None => Whose::Strangers,
                }
            }
            Parsed::Fault(_) => Whose::Strangers,
            Parsed::Partial => {
                let beginning = request::beginning(bytes);
                // Something is looked up whatever it is, so that the web server gets all halves after the same time.
                let candidate = match beginning {
                    Beginning::Segment(segment) => segment,
                    Beginning::Open | Beginning::Other => &bytes[..bytes.len().min(SECRET_LENGTH)],
                };
                let is_known = self.shared.registry.find(candidate).is_some();
                match beginning {
                    Beginning::Open => Whose::Open,
                    Beginning::Segment(_) if is_known => Whose::Held,
                    Beginning::Segment(_) | Beginning::Other => Whose::Half,
                }
            }
        }
    }

    /// Reads what is here already; whether there was anything.
    async fn more_is_here(&mut self) -> io::Result<bool> {
        self.buffer.reserve(2048);
        tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.buffer) => Ok(read? > 0),
            () = ready(()) => Ok(false),
        }
    }
}
