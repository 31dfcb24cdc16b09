//! The server: a web site to every stranger, and a tunnel to WireGuard for those who know a secret.
//!
//! ```no_run
//! use phantom_tunnel::config::{Configuration, Decoy, KeyPem};
//! use phantom_tunnel::secrets::Secret;
//! use phantom_tunnel::server::{Listen, Server};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().listen(Listen::Tcp("[::]:443".parse()?)).bind()?;
//! let handle = server.handle();
//! handle
//!     .configure(Configuration {
//!         secrets: vec![Secret::generate()],
//!         wireguard_port: 51820,
//!         certificate_pem: std::fs::read_to_string("fullchain.pem")?,
//!         key_pem: KeyPem::new(std::fs::read_to_string("privkey.pem")?),
//!         decoy: Decoy::Builtin,
//!         padding: true,
//!     })
//!     .await?;
//! server.run(std::future::pending()).await;
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use phantom_types::Lang;
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::config::{Configuration, Decoy, MAX_SECRETS, MAX_SITE, WebServer};
use crate::control::Clients;
use crate::limits::{Limits, Table};
use crate::pump::{TrafficCounters, TunnelOptions};

mod connection;
mod decide;
mod h2;
mod listen;
mod pages;
mod proxy;
mod registry;
mod setup;
mod site;
mod tls;
mod upstream;

use listen::Listener;
pub(crate) use listen::bind_unix;
pub use pages::private_pages;
use proxy::Ends;
use registry::{Open, Registry};
pub use setup::{BindError, ConfigureError, Listen, Timeouts};
use site::DecoySite;
use tls::Tls;
pub use tls::TlsError;

/// How long tunnels have to say goodbye when the server ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// What a server has seen since it started, and what is open now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct State {
    /// Whether it has a configuration.
    pub configured: bool,
    /// Tunnels that are open.
    pub tunnels: usize,
    /// Secrets that tunnels are open under.
    pub secrets_in_use: usize,
    /// Clients whose own secrets are accepted.
    #[serde(default)]
    pub clients: usize,
    /// Connections of all kinds that are open.
    pub connections: usize,
    /// Tunnels since the start.
    pub tunnels_opened: u64,
    /// TLS handshakes that were finished since the start.
    pub handshakes: u64,
    /// Answers that were errors since the start.
    pub refusals: u64,
    /// Connections that were not let in since the start.
    pub turned_away: u64,
    /// Connections that were closed in favour of others since the start.
    #[serde(default)]
    pub displaced: u64,
    /// Datagrams from clients to WireGuard since the start.
    pub datagrams_received: u64,
    /// Datagrams from WireGuard to clients since the start.
    pub datagrams_sent: u64,
}

/// Builds a [`Server`].
#[derive(Debug, Default)]
pub struct ServerBuilder {
    listen: Vec<Listen>,
    limits: Limits,
    timeouts: Timeouts,
    ping: Option<(Duration, Duration)>,
    socket_mode: Option<u32>,
    lang: Lang,
}

/// A server that is bound. It accepts connections once [`Server::run`] is polled.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    shared: Arc<Shared>,
}

/// Tells a running server what to do. Clones tell the same server.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

#[derive(Debug, Default)]
struct Counts {
    handshakes: AtomicU64,
    tunnels: AtomicU64,
    refusals: AtomicU64,
    turned_away: AtomicU64,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    tls: Tls,
    timeouts: Timeouts,
    ping: Option<(Duration, Duration)>,
    table: Arc<Table>,
    registry: Arc<Registry>,
    active: RwLock<Option<Arc<Active>>>,
    configured: watch::Sender<bool>,
    challenges: RwLock<BTreeMap<String, Arc<ServerConfig>>>,
    counts: Counts,
    traffic: Arc<TrafficCounters>,
    /// It was said that the web server in front does not tell its visitors' addresses.
    nameless: AtomicBool,
    /// The language of its lines on standard error.
    lang: Lang,
}

/// A configuration in force.
#[derive(Debug)]
struct Active {
    /// None where a web server in front has the certificate.
    tls: Option<RwLock<Arc<ServerConfig>>>,
    /// Whether the web server behind speaks HTTP/2 has to be asked again: it was not there, or may be another one by now.
    in_doubt: AtomicBool,
    wireguard_port: u16,
    site: DecoySite,
    upstream: Option<WebServer>,
    options: TunnelOptions,
}

impl ServerBuilder {
    /// Adds a place to listen at.
    #[must_use]
    pub fn listen(mut self, listen: Listen) -> Self {
        self.listen.push(listen);
        self
    }

    /// Replaces the default limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Replaces the default time-outs.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Replaces the default time between a tunnel's pings, 20 to 40 seconds.
    #[must_use]
    pub fn ping(mut self, least: Duration, most: Duration) -> Self {
        self.ping = Some((least, most));
        self
    }

    /// The mode of sockets in the file system, in place of 0666: who may connect to them.
    #[must_use]
    pub fn socket_mode(mut self, mode: u32) -> Self {
        self.socket_mode = Some(mode);
        self
    }

    /// The language of its lines on standard error, in place of English.
    #[must_use]
    pub fn lang(mut self, lang: Lang) -> Self {
        self.lang = lang;
        self
    }

    /// Listens. Needs a tokio runtime.
    pub fn bind(self) -> Result<Server, BindError> {
        if self.listen.is_empty() {
            return Err(BindError::Nowhere);
        }
        let mode = self.socket_mode.unwrap_or(0o666);
        let listeners =
            self.listen.into_iter().map(|listen| Listener::bind(listen, mode)).collect::<Result<_, _>>()?;
        let registry = Registry::new(self.limits.clone());
        let shared = Shared {
            tls: Tls::new().map_err(BindError::Tls)?,
            timeouts: self.timeouts,
            ping: self.ping,
            table: Arc::new(Table::new(self.limits)),
            registry: Arc::new(registry),
            active: RwLock::default(),
            configured: watch::Sender::new(false),
            challenges: RwLock::default(),
            counts: Counts::default(),
            nameless: AtomicBool::new(false),
            lang: self.lang,
            traffic: Arc::default(),
        };
        Ok(Server { listeners, shared: Arc::new(shared) })
    }
}

impl Server {
    /// Begins to build one.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// What tells this server what to do.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// The TCP addresses it listens at, in the order they were given.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::address).collect()
    }

    /// Serves until `shutdown` resolves, then ends all tunnels, with a Close frame for those that take it in time.
    ///
    /// Before the first configuration every connection is closed, except for validations.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let accepting: Vec<_> = self
            .listeners
            .into_iter()
            .map(|listener| tokio::spawn(listener.run(Arc::clone(&self.shared))))
            .collect();
        let table = Arc::clone(&self.shared.table);
        let turns = tokio::spawn(async move { table.give_turns().await });
        let asking = tokio::spawn(ask_again(Arc::clone(&self.shared)));
        shutdown.await;
        for task in accepting.into_iter().chain([turns, asking]) {
            task.abort();
        }
        self.shared.registry.close();
        let _ = timeout(FAREWELL, self.shared.registry.emptied()).await;
    }
}

impl Handle {
    /// Puts `configuration` in force for everything that begins from now on. Open tunnels stay, except those under a secret
    /// of the operator's that is no longer in it.
    ///
    /// With a web server behind it, this asks that one whether it speaks HTTP/2, and takes up to two seconds for it.
    pub async fn configure(&self, configuration: Configuration) -> Result<(), ConfigureError> {
        let shared = &self.0;
        let active = shared.prepare(&configuration).await?;
        *shared.active.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(active));
        shared.registry.accept_shared(configuration.secrets.iter().collect());
        shared.configured.send_replace(true);
        Ok(())
    }

    /// Changes which clients may open tunnels under secrets of their own; see [`Clients`]. Tunnels of a client that is
    /// removed end at once, and no other tunnel is touched.
    pub fn change_clients(&self, clients: &Clients) -> Result<(), ConfigureError> {
        self.0.registry.change_clients(clients).map_err(ConfigureError::Clients)
    }

    /// The UDP ports on 127.0.0.1 from which tunnels under the operator's secrets reach WireGuard: by them it is known
    /// which clients need these secrets.
    pub fn shared_ports(&self) -> Vec<u16> {
        self.0.registry.shared_ports()
    }

    /// Waits for the first configuration.
    pub async fn configured(&self) {
        // The sender lives as long as this handle.
        let _ = self.0.configured.subscribe().wait_for(|configured| *configured).await;
    }

    /// Answers a tls-alpn-01 validation (RFC 8737) of the name `sni` with this certificate, until it is taken away.
    pub fn challenge(&self, sni: &str, certificate_pem: &str, key_pem: &str) -> Result<(), TlsError> {
        let config = self.0.tls.challenge(certificate_pem, key_pem)?;
        let mut challenges = self.0.challenges.write().unwrap_or_else(PoisonError::into_inner);
        challenges.insert(sni.to_ascii_lowercase(), config);
        Ok(())
    }

    /// Answers no validation of `sni` any more. Nothing happens if there was none.
    pub fn unchallenge(&self, sni: &str) {
        let mut challenges = self.0.challenges.write().unwrap_or_else(PoisonError::into_inner);
        challenges.remove(&sni.to_ascii_lowercase());
    }

    /// Connects to the web server behind as for a stranger, and asks it nothing. This process sees what strangers would get: it has
    /// a user and a view of the file system of its own. Without such a web server nothing is done.
    pub async fn visit(&self) -> io::Result<()> {
        let active = self.0.active();
        match active.as_ref().and_then(|active| active.upstream.as_ref()) {
            Some(server) => upstream::connect(server, Some(Ends::of_nobody())).await.map(drop),
            None => Ok(()),
        }
    }

    /// What it has seen, and what is open.
    pub fn state(&self) -> State {
        let shared = &self.0;
        let Open { tunnels, secrets_in_use, clients } = shared.registry.counts();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        State {
            configured: shared.active().is_some(),
            tunnels,
            secrets_in_use,
            clients,
            connections: shared.table.connections(),
            tunnels_opened: count(&shared.counts.tunnels),
            handshakes: count(&shared.counts.handshakes),
            refusals: count(&shared.counts.refusals),
            turned_away: count(&shared.counts.turned_away),
            displaced: shared.table.closed(),
            datagrams_received: count(&shared.traffic.received),
            datagrams_sent: count(&shared.traffic.sent),
        }
    }
}

impl Active {
    /// The configuration of TLS for visitors and tunnels, if there is a certificate.
    fn tls(&self) -> Option<Arc<ServerConfig>> {
        let tls = self.tls.as_ref()?;
        Some(Arc::clone(&tls.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// What is known of the web server behind may not hold any more.
    fn doubt(&self) {
        self.in_doubt.store(true, Ordering::Relaxed);
    }

    /// Asks the web server behind whether it speaks HTTP/2, and offers that from now on as it says.
    async fn ask(&self) {
        let Some(server) = self.upstream.as_ref().filter(|_| self.in_doubt.load(Ordering::Relaxed)) else {
            return;
        };
        let Some(h2) = upstream::speaks_h2(server).await else { return };
        self.in_doubt.store(false, Ordering::Relaxed);
        let Some(tls) = &self.tls else { return };
        let mut tls = tls.write().unwrap_or_else(PoisonError::into_inner);
        *tls = Tls::offering(&tls, h2);
    }
}

/// Asks the web server behind again, while what it speaks is in doubt.
async fn ask_again(shared: Arc<Shared>) {
    loop {
        sleep(shared.timeouts.ask_again).await;
        if let Some(active) = shared.active() {
            active.ask().await;
        }
    }
}

impl Shared {
    fn active(&self) -> Option<Arc<Active>> {
        self.active.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn challenge(&self, sni: &str) -> Option<Arc<ServerConfig>> {
        let challenges = self.challenges.read().unwrap_or_else(PoisonError::into_inner);
        challenges.get(&sni.to_ascii_lowercase()).cloned()
    }

    async fn prepare(&self, configuration: &Configuration) -> Result<Active, ConfigureError> {
        if configuration.secrets.len() > MAX_SECRETS {
            return Err(ConfigureError::Secrets(configuration.secrets.len()));
        }
        if configuration.wireguard_port == 0 {
            return Err(ConfigureError::Port);
        }
        let upstream = match &configuration.decoy {
            Decoy::Upstream(server) if !server.tells_strangers_apart() => return Err(ConfigureError::Source),
            Decoy::Upstream(server) => Some(server.clone()),
            Decoy::Files(files) => {
                let size = files.values().map(|file| file.0.len()).sum();
                if size > MAX_SITE {
                    return Err(ConfigureError::Site(size));
                }
                None
            }
            Decoy::Builtin => None,
        };
        let (chain, key) = (&configuration.certificate_pem, configuration.key_pem.reveal());
        let without = chain.is_empty() && key.is_empty();
        // Looked at before the web server is asked, which takes time.
        let tls = (!without).then(|| self.tls.site(chain, key)).transpose();
        let mut tls = tls.map_err(ConfigureError::Certificate)?;
        let mut in_doubt = false;
        if let Some(upstream) = &upstream {
            match upstream::speaks_h2(upstream).await {
                Some(h2) => tls = tls.map(|tls| Tls::offering(&tls, h2)),
                None => in_doubt = true,
            }
        }
        let mut options = TunnelOptions { padding: configuration.padding, ..TunnelOptions::default() };
        options.counters = Arc::clone(&self.traffic);
        if let Some((least, most)) = self.ping {
            options.ping = least..=most;
        }
        Ok(Active {
            tls: tls.map(RwLock::new),
            in_doubt: in_doubt.into(),
            wireguard_port: configuration.wireguard_port,
            site: DecoySite::new(&configuration.decoy),
            upstream,
            options,
        })
    }
}
