//! The client's end of a tunnel: a UDP socket for the local WireGuard, and a connection that is kept open.
//!
//! There is one tunnel, whoever sends: what comes from the server goes to the local address that was heard last. One
//! WireGuard has one port; after its restart it may be another, and the tunnel follows without a new connection. For a
//! second WireGuard a second client runs, on a port of its own.
//!
//! The tunnel is opened at once and again whenever it ends, after waits that grow (see [`backoff`]). The server's name is
//! looked up again each time; where that fails, as it does when the resolver is behind this very tunnel, the address that
//! worked last is used. Datagrams that come in the meantime wait for at most a second.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::pump::{End, Options, Tunnel};
use crate::secrets::Secret;
use crate::udp::{Endpoint, HEADROOM};

mod args;
pub mod backoff;
mod dial;
mod trust;
mod upgrade;
mod verb;
mod waiting;

pub use dial::{DialError, Opened, Server, ServerError, Stream};
pub use trust::{KeyPin, KeyPinError, Trust, TrustError};
pub use upgrade::Refusal;
pub(crate) use verb::command;

pub(crate) use args::{Args, ArgsError};
pub(crate) use trust::certificates;
pub(crate) use upgrade::{Request, random, sign};
pub(crate) use verb::read_secret;

use backoff::Backoff;
use waiting::Waiting;

/// How long what has waited may take to be sent.
const FIRST_WRITE: Duration = Duration::from_secs(10);

/// What a client is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The tunnel server.
    pub server: Server,
    /// Where the server is: its name is not looked up then, and only serves TLS.
    pub address: Option<IpAddr>,
    /// What opens the tunnel.
    pub secret: Secret,
    /// The UDP port of the server's WireGuard.
    pub wireguard_port: u16,
    /// Where the local WireGuard sends to: its peer's end point. Port 0 lets the kernel choose.
    pub listen: SocketAddrV4,
    /// Which servers are the right ones.
    pub trust: Trust,
    /// The time between pings, drawn again for each; see [`Options::ping`].
    pub ping: RangeInclusive<Duration>,
}

/// Why a client cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The local UDP socket cannot be had.
    #[error("UDP {address} cannot be used")]
    Listen {
        /// The socket's address.
        address: SocketAddrV4,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The trust cannot be set up.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// What happens to a client. Nothing here holds a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A tunnel is open.
    Opened(SocketAddr),
    /// It ended, and how long it was open.
    Ended(&'a End, Duration),
    /// None could be opened.
    Failed(&'a DialError),
    /// The next attempt is made after this time.
    Waits(Duration),
}

/// A client that is ready to run: its socket is bound.
#[derive(Debug)]
pub struct Client {
    config: Config,
    tls: Arc<ClientConfig>,
    local: SocketAddrV4,
    endpoint: Endpoint,
    /// The address of the last tunnel.
    known: Option<SocketAddr>,
    waiting: Waiting,
}

impl Client {
    /// Reads the trusted certificates and binds the local socket. Needs a tokio runtime with network and time.
    pub fn new(config: Config) -> Result<Self, ClientError> {
        let tls = Arc::new(config.trust.client_config()?);
        let endpoint = bind(config.listen)?;
        let local = match endpoint.local_addr() {
            Ok(SocketAddr::V4(local)) => local,
            _ => config.listen,
        };
        Ok(Self { config, tls, local, endpoint, known: None, waiting: Waiting::default() })
    }

    /// Where the local WireGuard has to send to.
    pub fn local_addr(&self) -> SocketAddrV4 {
        self.local
    }

    /// Keeps a tunnel open until `stop` is ready; the last tunnel is closed in good order then. `on` is told what
    /// happens. Returns early only if the local socket is lost.
    pub async fn run(
        mut self,
        stop: impl Future<Output = ()>,
        mut on: impl FnMut(&Event<'_>),
    ) -> Result<(), ClientError> {
        let mut stop = pin!(stop);
        let mut backoff = Backoff::default();
        loop {
            let opened = tokio::select! {
                opened = self.open() => opened?,
                () = &mut stop => return Ok(()),
            };
            match opened {
                Ok(opened) => {
                    on(&Event::Opened(opened.address));
                    let start = Instant::now();
                    let end;
                    (self, end) = self.carry(opened, stop.as_mut()).await;
                    on(&Event::Ended(&end, start.elapsed()));
                    if matches!(end, End::Stopped) {
                        return Ok(());
                    }
                    backoff.was_open(start.elapsed());
                }
                Err(error) => on(&Event::Failed(&error)),
            }
            let wait = backoff.next(chance());
            on(&Event::Waits(wait));
            tokio::select! {
                waited = self.receive_until(sleep(wait)) => waited?,
                () = &mut stop => return Ok(()),
            }
        }
    }

    /// One attempt to open a tunnel.
    async fn open(&mut self) -> Result<Result<Opened, DialError>, ClientError> {
        let (config, tls, known) = (self.config.clone(), self.tls.clone(), self.known);
        let opened = self.receive_until(async move { attempt(&config, known, &tls).await }).await?;
        if let Ok(opened) = &opened {
            self.known = Some(opened.address);
        }
        Ok(opened)
    }

    /// Takes in datagrams until `other` is ready.
    async fn receive_until<T>(&mut self, other: impl Future<Output = T>) -> Result<T, ClientError> {
        let mut other = pin!(other);
        loop {
            let (endpoint, waiting) = (&mut self.endpoint, &mut self.waiting);
            let received = poll_fn(|context| {
                endpoint.poll_receive(context, |batch| {
                    let now = Instant::now();
                    for (slot, length) in batch.into_slots() {
                        waiting.push(&slot[HEADROOM..HEADROOM + length], now);
                    }
                })
            });
            tokio::select! {
                done = &mut other => return Ok(done),
                received = received => received.map_err(|source| self.lost(source))?,
            }
        }
    }

    /// Carries datagrams until the tunnel ends or `stop` is ready.
    async fn carry(mut self, opened: Opened, mut stop: Pin<&mut impl Future<Output = ()>>) -> (Self, End) {
        let Opened { mut stream, early, address: _ } = opened;
        let frames = self.waiting.take(Instant::now(), u16::from_ne_bytes(random()));
        let first = async {
            stream.write_all(&frames).await?;
            stream.flush().await
        };
        match timeout(FIRST_WRITE, first).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return (self, End::Stream(error)),
            Err(_) => return (self, End::Stalled),
        }
        let (stopper, told) = oneshot::channel();
        let ping = self.config.ping.clone();
        let options = Options { masked: true, ping, ..Options::default() };
        let mut tunnel = Tunnel::new(stream, early, self.endpoint, options, Some(told));
        let end = tokio::select! {
            end = &mut tunnel => end,
            () = &mut stop => {
                drop(stopper);
                (&mut tunnel).await
            }
        };
        self.endpoint = tunnel.into_endpoint();
        (self, end)
    }

    fn lost(&self, source: io::Error) -> ClientError {
        ClientError::Listen { address: self.local, source }
    }
}

/// Looks up, connects and asks. The address of the last tunnel is tried first, and if there is no other.
async fn attempt(
    config: &Config,
    known: Option<SocketAddr>,
    tls: &Arc<ClientConfig>,
) -> Result<Opened, DialError> {
    let server = &config.server;
    let addresses = match config.address {
        Some(address) => vec![SocketAddr::new(address, server.port)],
        None => match (server.addresses().await, known) {
            (Ok(mut found), known) => {
                found.sort_by_key(|address| Some(*address) != known);
                found
            }
            (Err(_), Some(known)) => vec![known],
            (Err(error), None) => return Err(error),
        },
    };
    let request =
        Request::new(&server.authority(), &config.secret, config.wireguard_port, phantom_certs::now());
    dial::open(server, &addresses, tls, &request).await
}

/// Opens one tunnel to `address` and carries nothing: for those who only want to know whether it opens. `server` is who
/// is asked for there, by SNI and `Host`.
pub(crate) async fn open_once(
    server: &Server,
    address: SocketAddr,
    tls: ClientConfig,
    request: &Request,
) -> Result<Opened, DialError> {
    dial::open(server, &[address], &Arc::new(tls), request).await
}

fn bind(address: SocketAddrV4) -> Result<Endpoint, ClientError> {
    Endpoint::roaming(address).map_err(|source| ClientError::Listen { address, source })
}

/// A random number from 0 to 1.
fn chance() -> f64 {
    f64::from(u32::from_ne_bytes(random())) / f64::from(u32::MAX)
}
