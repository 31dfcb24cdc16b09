//! The client's end of a tunnel: a UDP socket for the local WireGuard, and a connection that is kept open.
//!
//! There is one tunnel, whoever sends: what comes from the server goes to the local address that was heard last. One
//! WireGuard has one port; after its restart it may be another, and the tunnel follows without a new connection. For a
//! second WireGuard a second client runs, on a port of its own.
//!
//! The tunnel is opened at once and again whenever it ends, after waits that grow (see [`backoff`]); at once where the way to the
//! server has changed, of which the kernel tells (`network`). The address that worked last is tried first, and kept in a
//! file for the next start (`memory`): a resolver that is behind this very tunnel does not answer. Datagrams that come in
//! the meantime wait for at most a second.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use phantom_types::{Endpoint as Place, HostName};
use rustls::ClientConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::pump::{End, Tunnel, TunnelOptions};
use crate::secrets::Secret;
use crate::udp::{HEADROOM, UdpEndpoint};

mod answer;
mod args;
pub mod backoff;
mod dial;
mod memory;
mod network;
mod proxy;
mod server;
mod trust;
mod upgrade;
mod verb;
mod waiting;

pub use dial::{DialError, Opened, Stream};
pub use proxy::{Login, LoginError, Proxy, ProxyError, ProxyRefusal};
pub use server::{BasePath, BasePathError, Server, ServerError};
pub use trust::{KeyPin, KeyPinError, Trust, TrustError};
pub use upgrade::Refusal;
pub(crate) use verb::command;

pub(crate) use args::{Args, ArgsError};
pub(crate) use trust::certificates;
pub(crate) use upgrade::{Request, random, sign};
pub(crate) use verb::read_secret;

use backoff::{Backoff, SHORTEST};
use dial::Plan;
use network::{Network, Ways};
use waiting::Waiting;

/// How long what has waited may take to be sent.
const FIRST_WRITE: Duration = Duration::from_secs(10);

/// How long a proxy is left alone that refused the user and the password: many lock out those who insist.
const AFTER_LOGIN: Duration = Duration::from_mins(1);

/// What a client is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The tunnel server.
    pub server: Server,
    /// Where the server is: its name is not looked up then, and only serves TLS.
    pub address: Option<IpAddr>,
    /// The proxy by which the server is reached.
    pub proxy: Option<Proxy>,
    /// The file that keeps where the last tunnel led: the server's address, or the proxy's. It is made with mode 0600.
    pub memory: Option<PathBuf>,
    /// What opens the tunnel.
    pub secret: Secret,
    /// The UDP port of the server's WireGuard.
    pub wireguard_port: u16,
    /// Where the local WireGuard sends to: its peer's end point. Port 0 lets the kernel choose.
    pub listen: SocketAddrV4,
    /// Which servers are the right ones.
    pub trust: Trust,
    /// The time between pings, drawn again for each; see [`TunnelOptions::ping`].
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
pub enum ClientEvent<'a> {
    /// A tunnel is open.
    Opened(SocketAddr),
    /// It ended, and how long it was open.
    Ended(&'a End, Duration),
    /// None could be opened.
    Failed(&'a DialError),
    /// The next attempt is made after this time, or when the way to the server has changed.
    Waits(Duration),
    /// The address could not be kept: the file, and why.
    NotKept(&'a Path, &'a io::Error),
    /// The kernel does not tell of changes of the network: what they break is noticed later.
    Deaf(&'a io::Error),
}

/// A client that is ready to run: its socket is bound.
#[derive(Debug)]
pub struct Client {
    config: Config,
    tls: Arc<ClientConfig>,
    local: SocketAddrV4,
    endpoint: UdpEndpoint,
    /// The address of the last tunnel.
    known: Option<SocketAddr>,
    /// The address that the file keeps.
    kept: Option<SocketAddr>,
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
        let known = config.memory.as_ref().and_then(|file| memory::read(file, &config.first_hop()));
        Ok(Self { config, tls, local, endpoint, known, kept: known, waiting: Waiting::default() })
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
        mut on: impl FnMut(&ClientEvent<'_>),
    ) -> Result<(), ClientError> {
        let mut stop = pin!(stop);
        let mut backoff = Backoff::default();
        let mut network = Network::listen().unwrap_or_else(|error| {
            on(&ClientEvent::Deaf(&error));
            Network::deaf()
        });
        loop {
            let begin = Instant::now();
            let (ways, opened) = tokio::select! {
                opened = self.open(&mut network) => opened?,
                () = &mut stop => return Ok(()),
            };
            let (mut wait, mut least) = (Duration::ZERO, SHORTEST);
            match opened {
                Ok(opened) => {
                    self.keep(opened.address, &mut on);
                    on(&ClientEvent::Opened(opened.address));
                    let start = Instant::now();
                    let end;
                    (self, end) = self.carry(opened, stop.as_mut(), network.moved(&ways)).await;
                    on(&ClientEvent::Ended(&end, start.elapsed()));
                    match end {
                        End::Stopped => return Ok(()),
                        // The server is as well as before.
                        End::Moved => {}
                        _ => {
                            backoff.was_open(start.elapsed());
                            wait = backoff.next(chance());
                        }
                    }
                }
                Err(error) => {
                    on(&ClientEvent::Failed(&error));
                    wait = backoff.next(chance());
                    if error.is_login() {
                        least = AFTER_LOGIN;
                        wait = wait.max(least);
                    }
                }
            }
            if !wait.is_zero() {
                on(&ClientEvent::Waits(wait));
            }
            tokio::select! {
                waited = self.receive_until(pause(begin + least, wait, &mut network, &ways)) => waited?,
                () = &mut stop => return Ok(()),
            }
        }
    }

    /// One attempt to open a tunnel, made again whenever the way that it takes changes; and the ways that it took.
    async fn open(
        &mut self,
        network: &mut Network,
    ) -> Result<(Ways, Result<Opened, DialError>), ClientError> {
        loop {
            let begin = Instant::now();
            let (config, tls) = (self.config.clone(), Arc::clone(&self.tls));
            let known: Vec<SocketAddr> = match config.fixed_address() {
                Some(address) => vec![address],
                None => self.known.into_iter().collect(),
            };
            let before = Ways::to(known.iter().map(SocketAddr::ip));
            // Where nothing is known there is no way yet that could change.
            let (all, lasts) = (before.clone(), !before.is_empty());
            let attempt = async {
                tokio::select! {
                    done = attempt(&config, known, tls) => Some(done),
                    () = network.moved(&all), if lasts => None,
                }
            };
            if let Some((tried, opened)) = self.receive_until(attempt).await? {
                let taken = opened.as_ref().map_or(tried, |opened| vec![opened.address]);
                let ways = Ways::to(taken.iter().map(SocketAddr::ip)).or_before(&before);
                return Ok((ways, opened));
            }
            // A route that flaps would make a flood of attempts.
            self.receive_until(sleep_until(begin + SHORTEST)).await?;
        }
    }

    /// Keeps the address of a tunnel for the next attempt and the next start.
    fn keep(&mut self, address: SocketAddr, on: &mut impl FnMut(&ClientEvent<'_>)) {
        self.known = Some(address);
        let is_new = self.kept != Some(address);
        let Some(file) =
            self.config.memory.as_ref().filter(|_| is_new && self.config.fixed_address().is_none())
        else {
            return;
        };
        match memory::write(file, &self.config.first_hop(), address) {
            Ok(()) => self.kept = Some(address),
            // The next tunnel's address is written again.
            Err(error) => on(&ClientEvent::NotKept(file, &error)),
        }
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

    /// Carries datagrams until the tunnel ends, its way has `moved` or `stop` is ready.
    async fn carry(
        mut self,
        opened: Opened,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        moved: impl Future<Output = ()>,
    ) -> (Self, End) {
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
        let options = TunnelOptions { masked: true, ping, ..TunnelOptions::default() };
        let mut tunnel = Tunnel::new(stream, early, self.endpoint, options, Some(told));
        let end = tokio::select! {
            end = &mut tunnel => end,
            // Nothing is said on a connection that leads nowhere: it would take its time.
            () = moved => End::Moved,
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

impl Config {
    /// What is connected to first: the proxy, or the server.
    fn first_hop(&self) -> Place {
        let server = || Place::new(self.server.host.clone(), self.server.port);
        self.proxy.as_ref().map_or_else(server, |proxy| proxy.place.clone())
    }

    /// The address of the first hop, where nobody needs to look it up.
    fn fixed_address(&self) -> Option<SocketAddr> {
        let hop = self.first_hop();
        let told =
            self.address.filter(|_| self.proxy.is_none()).map(|address| SocketAddr::new(address, hop.port));
        told.or_else(|| hop.socket_addr())
    }

    /// What the proxy is asked for: by the address, if that is told, for a proxy may not know every name.
    fn behind_the_proxy(&self) -> Option<(Place, Option<Login>)> {
        let host = self.address.map_or_else(|| self.server.host.clone(), HostName::Ip);
        self.proxy.as_ref().map(|proxy| (Place::new(host, self.server.port), proxy.login.clone()))
    }
}

/// Connects and asks, at the addresses that are known and then at those of the name; says which were tried.
async fn attempt(
    config: &Config,
    known: Vec<SocketAddr>,
    tls: Arc<ClientConfig>,
) -> (Vec<SocketAddr>, Result<Opened, DialError>) {
    let server = config.server.clone();
    let request = Request::new(&server, &config.secret, config.wireguard_port, phantom_certs::now());
    let plan = Plan { server, tls, request: Arc::new(request), behind: config.behind_the_proxy() };
    let hop = config.first_hop();
    let look_up = async {
        match config.fixed_address() {
            Some(_) => Ok(Vec::new()),
            None => dial::look_up(&hop.host, hop.port).await,
        }
    };
    dial::open(&plan, known, look_up).await
}

/// Waits for the next attempt: for `wait`, less where the way changes, and not before `soonest`, so that attempts begin at least a
/// second apart.
async fn pause(soonest: Instant, wait: Duration, network: &mut Network, ways: &Ways) {
    let moved = async {
        sleep_until(soonest).await;
        network.moved(ways).await;
    };
    tokio::select! {
        () = sleep_until((Instant::now() + wait).max(soonest)) => {}
        () = moved => {}
    }
}

/// Makes a TLS connection to `address` and asks for nothing.
pub(crate) async fn handshake_once(
    server: &Server,
    address: SocketAddr,
    tls: ClientConfig,
) -> Result<Stream, DialError> {
    dial::handshake(server, &Arc::new(tls), address, dial::connect(address).await?).await
}

/// Opens one tunnel to `address` and carries nothing: for those who only want to know whether it opens. `server` is who
/// is asked for there, by SNI and `Host`.
pub(crate) async fn open_once(
    server: &Server,
    address: SocketAddr,
    tls: ClientConfig,
    request: Request,
) -> Result<Opened, DialError> {
    let plan = Plan { server: server.clone(), tls: Arc::new(tls), request: Arc::new(request), behind: None };
    dial::open_at(&plan, address).await
}

fn bind(address: SocketAddrV4) -> Result<UdpEndpoint, ClientError> {
    UdpEndpoint::roaming(address).map_err(|source| ClientError::Listen { address, source })
}

/// A random number from 0 to 1.
fn chance() -> f64 {
    f64::from(u32::from_ne_bytes(random())) / f64::from(u32::MAX)
}
