//! From a server's address to an open tunnel: look up, connect, pass the proxy, TLS, upgrade.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use phantom_types::{Endpoint, HostName};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::proxy::{self, Login, ProxyRefusal};
use super::server::Server;
use super::upgrade::{Refusal, Request};
use crate::pump::ReadAhead;
use crate::socket;

/// How long one address may take to answer, then TLS, then the request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a look-up of a name may take.
const LOOK_UP: Duration = Duration::from_secs(5);
/// How long an address has before the next one is tried beside it (RFC 8305). Longer than a look at a web page would bear: two
/// connections at once are seen from outside, and a slow line is no dead one.
const BESIDE: Duration = Duration::from_secs(2);
/// At so many addresses one attempt is made at most: a name that leads to more is no tunnel server's.
const ADDRESSES: usize = 16;
/// How long one attempt may take, at all addresses together.
const ATTEMPT: Duration = Duration::from_mins(1);
/// A connection whose data is not confirmed for so long is broken. Without it a laptop that wakes up in another network
/// would wait for the kernel's fifteen minutes.
const UNCONFIRMED: Duration = Duration::from_secs(20);

/// What a tunnel runs on.
pub type Stream = TlsStream<ReadAhead<TcpStream>>;

/// Why no tunnel could be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The name could not be looked up.
    #[error("{host} could not be looked up")]
    LookUp {
        /// The name.
        host: HostName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address does not answer, or refuses.
    #[error("{address} could not be reached")]
    Connect {
        /// Address and port; the last one, where a name has several.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The proxy is there and does not lead to the server.
    #[error("no connection by the proxy {address}")]
    Proxy {
        /// The proxy's address and port.
        address: SocketAddr,
        /// What it says.
        #[source]
        source: ProxyRefusal,
    },
    /// The TLS handshake failed: most often a certificate that is not the right one.
    #[error("no TLS connection to {address}")]
    Tls {
        /// Address and port.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke before the request was answered.
    #[error("the connection to {address} broke before the request was answered")]
    Broken {
        /// Address and port.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server is there and does not open a tunnel.
    #[error("{address} opens no tunnel")]
    Refused {
        /// Address and port.
        address: SocketAddr,
        /// Its answer.
        #[source]
        source: Refusal,
    },
}

impl DialError {
    /// Whether the proxy does not know the user and the password: it may lock out those who insist.
    pub(super) const fn is_login(&self) -> bool {
        matches!(self, Self::Proxy { source: ProxyRefusal::Login(_), .. })
    }

    /// How far the attempt came.
    const fn stage(&self) -> u8 {
        match self {
            Self::LookUp { .. } => 0,
            Self::Connect { .. } => 1,
            Self::Proxy { .. } => 2,
            Self::Tls { .. } => 3,
            Self::Broken { .. } => 4,
            Self::Refused { .. } => 5,
        }
    }
}

/// A stream whose upgrade is done.
#[derive(Debug)]
pub struct Opened {
    /// The stream.
    pub stream: Stream,
    /// What came behind the answer.
    pub early: Vec<u8>,
    /// Where the connection leads to: the server's address, or the proxy's.
    pub address: SocketAddr,
}

/// The addresses of a host, in the resolver's order: at least one, or an error.
pub(super) async fn look_up(host: &HostName, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let name = match host {
        HostName::Ip(address) => return Ok(vec![SocketAddr::new(*address, port)]),
        HostName::Domain(domain) => domain.as_str().to_owned(),
    };
    let found = spawn_blocking(move || phantom_names::addresses(&name, LOOK_UP)).await;
    let found = found.map_err(io::Error::other).flatten();
    let found = found.map_err(|source| DialError::LookUp { host: host.clone(), source })?;
    Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// All that one attempt needs to know, whatever address it is made at.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) server: Server,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) request: Arc<Request>,
    /// What the proxy at that address is asked for, and by whom.
    pub(super) behind: Option<(Endpoint, Option<Login>)>,
}

/// Opens a tunnel at the first address that opens one, and says which were tried. `known` are tried before `look_up` is asked
/// for more: where the resolver is behind the very tunnel that is to be opened, it does not answer.
///
/// An address that fails, or does not open one within two seconds, is followed by the next. A name may lead to several machines,
/// of which one is the tunnel server. The error is that of the address that came furthest. After a
/// minute, after sixteen addresses, and when a proxy has refused the login, no further one is tried.
pub(super) async fn open(
    plan: &Plan,
    known: Vec<SocketAddr>,
    look_up: impl Future<Output = Result<Vec<SocketAddr>, DialError>>,
) -> (Vec<SocketAddr>, Result<Opened, DialError>) {
    let (mut tried, mut waiting) = (Vec::new(), VecDeque::from(known));
    let (mut look_up, mut asked) = (pin!(look_up), Asked::NotYet);
    let mut running = JoinSet::new();
    let mut furthest: Option<DialError> = None;
    let mut next = Instant::now();
    let end = next + ATTEMPT;
    loop {
        if tried.len() >= ADDRESSES {
            waiting.clear();
            asked = Asked::Answered;
        }
        if running.is_empty() || Instant::now() >= next {
            next = Instant::now() + BESIDE;
            match waiting.pop_front() {
                Some(address) if tried.contains(&address) => {
                    next = Instant::now();
                    continue;
                }
                Some(address) => {
                    tried.push(address);
                    let plan = plan.clone();
                    running.spawn(async move { open_at(&plan, address).await });
                }
                None if asked == Asked::NotYet => asked = Asked::Now,
                None => {}
            }
        }
        if running.is_empty() && waiting.is_empty() && asked == Asked::Answered {
            return (tried, Err(furthest.unwrap_or_else(nowhere)));
        }
        let failed = tokio::select! {
            Some(done) = running.join_next(), if !running.is_empty() => match done {
                Ok(Ok(opened)) => return (tried, Ok(opened)),
                Ok(Err(error)) if error.is_login() => return (tried, Err(error)),
                Ok(Err(error)) => error,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            found = &mut look_up, if asked == Asked::Now => {
                asked = Asked::Answered;
                match found {
                    Ok(found) => {
                        waiting.extend(found);
                        next = Instant::now();
                        continue;
                    }
                    Err(error) => error,
                }
            },
            () = sleep_until(end) => {
                let late = || {
                    let address = tried.last().copied().unwrap_or_else(no_address);
                    DialError::Connect { address, source: too_long() }
                };
                return (tried.clone(), Err(furthest.unwrap_or_else(late)));
            }
            () = sleep_until(next), if !waiting.is_empty() || asked == Asked::NotYet => continue,
        };
        if furthest.as_ref().is_none_or(|known| known.stage() <= failed.stage()) {
            furthest = Some(failed);
        }
    }
}

/// Whether the resolver was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    NotYet,
    Now,
    Answered,
}

fn nowhere() -> DialError {
    DialError::Connect { address: no_address(), source: io::ErrorKind::NotFound.into() }
}

fn no_address() -> SocketAddr {
    SocketAddr::from(([0; 4], 0))
}

/// Opens a tunnel at this address alone.
pub(super) async fn open_at(plan: &Plan, address: SocketAddr) -> Result<Opened, DialError> {
    let mut tcp = connect(address).await?;
    let broken = |source| DialError::Broken { address, source };
    if let Some((target, login)) = &plan.behind {
        let passed = timeout(PATIENCE, proxy::connect(&mut tcp, target, login.as_ref())).await;
        let passed = passed.map_err(|_| broken(too_long()))?.map_err(broken)?;
        passed.map_err(|source| DialError::Proxy { address, source })?;
    }
    let mut stream = handshake(&plan.server, &plan.tls, address, tcp).await?;
    let upgraded = timeout(PATIENCE, upgrade(&mut stream, &plan.request)).await;
    match upgraded.map_err(|_| broken(too_long()))?.map_err(broken)? {
        Ok(early) => Ok(Opened { stream, early, address }),
        Err(source) => Err(DialError::Refused { address, source }),
    }
}

/// Begins TLS on a connection to this address.
pub(super) async fn handshake(
    server: &Server,
    tls: &Arc<ClientConfig>,
    address: SocketAddr,
    tcp: TcpStream,
) -> Result<Stream, DialError> {
    let connector = TlsConnector::from(Arc::clone(tls));
    let handshake = timeout(PATIENCE, connector.connect(server.name(), ReadAhead::new(tcp))).await;
    let failed = |source| DialError::Tls { address, source };
    handshake.map_err(|_| failed(too_long()))?.map_err(failed)
}

pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, DialError> {
    let failed = |source| DialError::Connect { address, source };
    let tcp = timeout(PATIENCE, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(too_long()));
    let tcp = tcp.map_err(failed)?;
    prepare(&tcp).map_err(failed)?;
    Ok(tcp)
}

/// The socket's settings: nothing waits to be sent together, and a peer that is gone is noticed.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    socket::set_unsent_low_water(tcp)?;
    setsockopt(tcp, sockopt::KeepAlive, &true)?;
    setsockopt(tcp, sockopt::TcpKeepIdle, &60)?;
    setsockopt(tcp, sockopt::TcpKeepInterval, &10)?;
    setsockopt(tcp, sockopt::TcpKeepCount, &3)?;
    let unconfirmed = u32::try_from(UNCONFIRMED.as_millis()).unwrap_or(u32::MAX);
    setsockopt(tcp, sockopt::TcpUserTimeout, &unconfirmed)?;
    Ok(())
}

/// Sends the request and reads its answer; says what came behind it.
async fn upgrade(stream: &mut Stream, request: &Request) -> io::Result<Result<Vec<u8>, Refusal>> {
    stream.write_all(request.bytes()).await?;
    stream.flush().await?;
    let mut bytes = Vec::with_capacity(1024);
    loop {
        match request.answered(&bytes) {
            Ok(Some(head)) => return Ok(Ok(bytes.split_off(head))),
            Ok(None) => {}
            Err(refusal) => return Ok(Err(refusal)),
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it took too long")
}

#[cfg(test)]
mod tests;
