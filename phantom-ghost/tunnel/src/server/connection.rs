//! One connection from its first byte to the tunnel or the visit that it turns out to be.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;

use super::decide::{Request, decide};
use super::proxy::Ends;
use super::registry::Ticket;
use super::site::{Answer, DecoySite, date};
use super::tls::{ACME, H2};
use super::upstream::{self, Link, Stream};
use super::{Active, Shared};
use crate::limits::Permit;
use crate::log;
use crate::pump::{End, ReadAhead, Tunnel, TunnelOptions};
use crate::request::{self, Head, Parsed};
use crate::socket;
use crate::udp::UdpEndpoint;

mod behind;
mod once;

/// What a visitor's unread body may have before the connection is closed on it.
const LINGER: usize = 64 * 1024;
/// A first line that is longer than any target that is served is refused before it ends.
const LONG_LINE: usize = request::MAX_TARGET + 64;
/// For whom those count whose address a web server in front does not tell.
const NAMELESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Bytes of an answer that have to be taken within one time-out.
const PIECE: usize = 64 * 1024;

/// A connection that is past TLS, or came without it.
struct HttpConnection<S> {
    stream: S,
    shared: Arc<Shared>,
    address: Option<IpAddr>,
    /// Both ends of the visitor's connection, where it is ours.
    ends: Option<Ends>,
    /// Whether the address is told by the web server in front.
    forwarded: bool,
    permit: Permit,
    /// Until when the first request has to be there.
    first_request: Instant,
    buffer: Vec<u8>,
}

/// How the wait for a request's head ended.
enum HeadOutcome {
    /// There is something to look at.
    Head,
    /// The visitor left, or took too long.
    Gone,
}

/// A tunnel with its place in the server's books.
struct Running<S> {
    tunnel: Tunnel<S>,
    _ticket: Ticket,
    _permit: Permit,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Running<S> {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        Pin::new(&mut self.tunnel).poll(context)
    }
}

/// Serves a connection to the TLS port.
pub(super) async fn tls(
    shared: Arc<Shared>,
    stream: TcpStream,
    address: IpAddr,
    mut permit: Permit,
) -> io::Result<()> {
    let begin = Instant::now();
    let (deadline, first_request) = (begin + shared.timeouts.handshake, begin + shared.timeouts.header);
    stream.set_nodelay(true)?;
    socket::set_unsent_low_water(&stream)?;
    timeout_at(deadline, stream.readable()).await??;
    permit.spoke();
    let ends = stream.peer_addr().ok().zip(stream.local_addr().ok());
    let ends = ends.map(|(stranger, own)| Ends::new(stranger, own));
    let mut stream = ReadAhead::new(stream);
    stream.begin_records();
    let acceptor = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let mut start = timeout_at(deadline, acceptor).await??;
    start.io.end_records();
    let hello = start.client_hello();
    let validation =
        hello.alpn().is_some_and(|mut offered| offered.next() == Some(ACME) && offered.next().is_none());
    let challenge = hello.server_name().filter(|_| validation).and_then(|name| shared.challenge(name));
    let active = shared.active();
    if challenge.is_none() && active.is_none() {
        return Ok(());
    }
    if timeout_at(deadline, permit.handshake()).await.is_err() {
        shared.counts.turned_away.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    if let Some(config) = challenge {
        let mut stream = timeout_at(deadline, start.into_stream(config)).await??;
        return timeout_at(deadline, stream.shutdown()).await?;
    }
    let Some(active) = active else { return Ok(()) };
    let Some(config) = active.tls() else { return Ok(()) };
    let stream = timeout_at(deadline, start.into_stream(config)).await??;
    shared.counts.handshakes.fetch_add(1, Ordering::Relaxed);
    let h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
    if h2 {
        // Whether it still speaks what was offered in its name.
        active.doubt();
    }
    let server = if h2 { active.upstream.clone() } else { None };
    drop(active);
    let (address, buffer) = (Some(address), Vec::new());
    let visitor =
        HttpConnection { stream, shared, address, ends, forwarded: false, permit, first_request, buffer };
    match server {
        Some(server) => Box::pin(visitor.behind_h2(server)).await,
        None if h2 => Ok(()),
        None => visit(visitor).await,
    }
}

/// Serves a connection from a web server in front, which has terminated TLS.
pub(super) async fn plain(shared: Arc<Shared>, stream: UnixStream, mut permit: Permit) -> io::Result<()> {
    let first_request = Instant::now() + shared.timeouts.header;
    // It connects when it has something to say.
    permit.spoke();
    let (address, ends, buffer) = (None, None, Vec::new());
    visit(HttpConnection { stream, shared, address, ends, forwarded: true, permit, first_request, buffer })
        .await
}

/// Answers requests until the connection ends or becomes a tunnel.
async fn visit<S: Stream + 'static>(mut visit: HttpConnection<S>) -> io::Result<()> {
    let mut deadline = visit.first_request;
    loop {
        let Some(mut active) = visit.shared.active() else { return Ok(()) };
        if active.upstream.is_none() {
            match timeout_at(deadline, visit.arrival()).await {
                Err(_) | Ok(Ok(HeadOutcome::Gone)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(HeadOutcome::Head)) => {}
            }
            // The configuration may have changed while the visitor was thinking.
            let Some(now) = visit.shared.active() else { return Ok(()) };
            active = now;
        }
        if let Some(server) = active.upstream.clone() {
            drop(active);
            if visit.forwarded {
                return Box::pin(visit.once(server, deadline)).await;
            }
            return Box::pin(visit.behind(server, deadline)).await;
        }
        let buffer = std::mem::take(&mut visit.buffer);
        let (answer, size) = match request::parse(&buffer) {
            Parsed::Complete(head, size) => {
                if !visit.note_address(&head) {
                    return Ok(());
                }
                if let Some((request, opening)) = visit.wanted(&active, &head) {
                    let early = buffer[size..].to_vec();
                    return Box::pin(visit.tunnel(&active, &request, early, opening)).await;
                }
                visit.permit.requested();
                // A web server in front uses its connections for one visitor after the other: each gets a decision of its own.
                let last = visit.forwarded;
                (active.site.answer(&head, last, &date()), size)
            }
            Parsed::Fault(fault) => {
                visit.permit.requested();
                (DecoySite::refuse(fault, &date()), buffer.len())
            }
            Parsed::Partial => return Ok(()),
        };
        drop(active);
        visit.buffer = buffer[size..].to_vec();
        visit.send(&answer).await?;
        if answer.close {
            return Box::pin(visit.linger_close()).await;
        }
        deadline = Instant::now() + visit.shared.timeouts.keep_alive;
    }
}

/// A tunnel's place, its socket, and what tells it to end.
type Opening = (Ticket, UdpEndpoint, oneshot::Receiver<()>);

impl<S: Stream + 'static> HttpConnection<S> {
    /// Reads until there is a whole head, or one that is refused.
    async fn arrival(&mut self) -> io::Result<HeadOutcome> {
        let mut looked = 0;
        loop {
            // A head is looked at when a line of it has ended, or when it becomes too long: not at every byte.
            let length = self.buffer.len();
            let long = length >= request::MAX_HEAD || (looked < LONG_LINE && length >= LONG_LINE);
            let look = looked == 0 || long || self.buffer[looked..].contains(&b'\n');
            if look && request::parse(&self.buffer) != Parsed::Partial {
                return Ok(HeadOutcome::Head);
            }
            looked = length;
            self.buffer.reserve(2048);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(HeadOutcome::Gone);
            }
        }
    }

    /// Whose request it is, where a web server in front tells: it appends the address that it saw. All whose address it does not tell
    /// share what one network may have. Says whether that one may have another connection.
    fn note_address(&mut self, head: &Head<'_>) -> bool {
        if !self.forwarded {
            return true;
        }
        let last = head.values("X-Forwarded-For").last().and_then(|value| value.rsplit(',').next());
        let told = last.and_then(told_address);
        let visitor = told.filter(is_visitors);
        if visitor.is_none() && !self.shared.nameless.swap(true, Ordering::Relaxed) {
            log::line(
                self.shared.lang,
                "the web server in front does not tell its visitors' addresses in X-Forwarded-For: all of them share the limits of one network",
            );
        }
        self.ends = told.map(Ends::for_stranger);
        self.address = Some(visitor.unwrap_or(NAMELESS));
        let welcome = self.permit.comes_from(self.address);
        if !welcome {
            self.shared.counts.turned_away.fetch_add(1, Ordering::Relaxed);
        }
        welcome
    }

    /// What the tunnel needs that `head` asks for, if it is served.
    fn wanted(&mut self, active: &Active, head: &Head<'_>) -> Option<(Request, Opening)> {
        let registry = &self.shared.registry;
        let request = decide(head, |candidate| registry.find(candidate), active.wireguard_port)?;
        let endpoint = UdpEndpoint::connected(active.wireguard_port).ok()?;
        let port = endpoint.local_addr().ok()?.port();
        let (ticket, stop) = registry.open(request.secret, port)?;
        self.permit.becomes_tunnel().then_some((request, (ticket, endpoint, stop)))
    }

    /// Answers the upgrade and lets the tunnel go its own way, so that this task's memory is free again.
    async fn tunnel(
        mut self,
        active: &Active,
        request: &Request,
        early: Vec<u8>,
        opening: Opening,
    ) -> io::Result<()> {
        let (ticket, endpoint, stop) = opening;
        let answer = request.answer(&date());
        timeout(self.shared.timeouts.send, self.write(answer.as_bytes())).await??;
        self.shared.counts.tunnels.fetch_add(1, Ordering::Relaxed);
        let options = TunnelOptions { handshakes: Some(ticket.handshakes()), ..active.options.clone() };
        let tunnel = Tunnel::new(self.stream, early, endpoint, options, Some(stop));
        tokio::spawn(Running { tunnel, _ticket: ticket, _permit: self.permit });
        Ok(())
    }

    /// Hands the visitor and what was read to the web server behind us. The answer to a request that is whole is waited
    /// for, to see whether it is an error.
    async fn pass_on(mut self, mut link: Link) -> io::Result<()> {
        let request = std::mem::take(&mut self.buffer);
        let limit = self.shared.timeouts.send;
        if !is_simple(&request) {
            return upstream::splice(self.stream, link, &request, limit).await;
        }
        let first = upstream::first_answer(&mut self.stream, &mut link, &request, limit).await?;
        self.throttle_error(first.error).await;
        timeout(limit, self.write(&first.bytes)).await??;
        upstream::splice(self.stream, link, &first.more, limit).await
    }

    /// Waits a little before an error, if this network had many.
    async fn throttle_error(&self, error: bool) {
        throttle_error(&self.shared, self.address, error).await;
    }

    async fn send(&mut self, answer: &Answer) -> io::Result<()> {
        self.throttle_error(answer.error).await;
        let limit = self.shared.timeouts.send;
        // One write for what is small, so that it is one TLS record.
        let mut whole = Vec::with_capacity(answer.head.len() + answer.body.len().min(PIECE));
        whole.extend_from_slice(answer.head.as_bytes());
        let (first, rest) = answer.body.split_at(answer.body.len().min(PIECE));
        whole.extend_from_slice(first);
        timeout(limit, self.write(&whole)).await??;
        for piece in rest.chunks(PIECE) {
            timeout(limit, self.write(piece)).await??;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Closes, but not before the visitor had the chance to read the answer: what it still sends is read and dropped.
    async fn linger_close(mut self) -> io::Result<()> {
        let leaving = async {
            self.stream.shutdown().await?;
            let (mut sink, mut left) = ([0; 2048], LINGER);
            while left > 0 {
                match self.stream.read(&mut sink).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            Ok(())
        };
        timeout(self.shared.timeouts.linger, leaving).await.unwrap_or(Ok(()))
    }
}

/// An address as a web server in front tells it, perhaps with a port.
fn told_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// Whether it can be a visitor's. With an address of this machine's own it would be exempt from all limits.
fn is_visitors(address: &IpAddr) -> bool {
    !address.is_loopback() && !address.is_unspecified()
}

/// Waits a little before an error, if the network of this address had many.
async fn throttle_error(shared: &Shared, address: Option<IpAddr>, error: bool) {
    if !error {
        return;
    }
    shared.counts.refusals.fetch_add(1, Ordering::Relaxed);
    if shared.table.error_is_held(address) {
        let (least, most) = shared.table.limits().hold;
        sleep(crate::pump::between(&(least..=most))).await;
    }
}

/// Whether `bytes` are one whole request without a body, whose answer can be waited for.
fn is_simple(bytes: &[u8]) -> bool {
    match request::parse(bytes) {
        Parsed::Complete(head, size) => {
            size == bytes.len() && matches!(head.method, "GET" | "HEAD") && !head.has_body()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_visitors, told_address};

    #[test]
    fn addresses_are_read_in_web_server_forms() {
        let told = |text: &str| told_address(text).map(|address| address.to_string());
        for (text, address) in [
            (" 192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:51234", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
        ] {
            assert_eq!(told(text).as_deref(), Some(address), "{text}");
        }
        for nobody in ["", "unknown", "_hidden", "192.0.2"] {
            assert_eq!(told(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn own_addresses_are_not_visitors() {
        let visitor = |text: &str| told_address(text).as_ref().is_some_and(is_visitors);
        for own in ["127.0.0.1", "127.9.9.9:80", "::1", "[::1]:80", "0.0.0.0", "::", "::ffff:127.0.0.1"] {
            assert!(!visitor(own), "{own}");
        }
        assert!(visitor("192.0.2.7") && visitor("::ffff:192.0.2.7"));
    }
}
