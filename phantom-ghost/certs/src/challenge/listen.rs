//! Listeners of our own, bound for the time of a validation.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{ACME_ALPN, ChallengeError, ChallengeKind, ChallengeResponse, Challenger, Pending};
use crate::inspect;

/// How long one visitor may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Visitors at the same time, per listener; more wait in the kernel's queue.
const VISITORS: usize = 64;
/// Longest head of an HTTP request.
const HEAD_MAX: usize = 4096;
const PREFIX: &str = "/.well-known/acme-challenge/";

/// Answers on ports of its own. A port is bound while an answer for it is installed.
pub struct Listeners {
    addresses: Vec<IpAddr>,
    tls_alpn_port: u16,
    http_port: u16,
    tls_alpn: Mutex<Service<Arc<CertifiedKey>>>,
    http: Mutex<Service<String>>,
}

/// The answers on one port, by server name or token, and who serves them.
struct Service<A> {
    answers: Shared<A>,
    tasks: JoinSet<()>,
}

type Shared<A> = Arc<Mutex<BTreeMap<String, A>>>;

struct Resolver(Shared<Arc<CertifiedKey>>);

impl Listeners {
    /// Listens on these addresses when there is something to answer; with none given, on all of IPv6 and IPv4. The
    /// ports are those on which the authority's visits arrive: 443 and 80.
    pub fn new(addresses: Vec<IpAddr>, tls_alpn_port: u16, http_port: u16) -> Self {
        let (tls_alpn, http) = (Mutex::new(Service::new()), Mutex::new(Service::new()));
        Self { addresses, tls_alpn_port, http_port, tls_alpn, http }
    }

    fn begin(&self, answer: &ChallengeResponse) -> Result<(), ChallengeError> {
        match answer {
            ChallengeResponse::TlsAlpn { sni, pair } => {
                let failed = |_| ChallengeError::Certificate(ChallengeKind::TlsAlpn);
                let chain = inspect::chain(&pair.chain_pem).map_err(failed)?;
                let key = Arc::new(inspect::certified(chain, &pair.key_pem).map_err(failed)?);
                let mut service = lock(&self.tls_alpn);
                let acceptor = acceptor(Arc::clone(&service.answers))?;
                service.add(
                    sni.to_ascii_lowercase(),
                    key,
                    || self.bind(self.tls_alpn_port),
                    move |stream| {
                        let acceptor = acceptor.clone();
                        async move { shake_hands(&acceptor, stream).await }
                    },
                )
            }
            ChallengeResponse::Http { token, body } => {
                let mut service = lock(&self.http);
                let answers = Arc::clone(&service.answers);
                service.add(
                    token.clone(),
                    body.clone(),
                    || self.bind(self.http_port),
                    move |stream| {
                        let answers = Arc::clone(&answers);
                        async move { drop(serve_http(&answers, stream).await) }
                    },
                )
            }
        }
    }

    /// Binds `port`: at least one address has to work, since a machine need not have both families.
    fn bind(&self, port: u16) -> Result<Vec<TcpListener>, ChallengeError> {
        let all = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
        let addresses = if self.addresses.is_empty() { &all[..] } else { &self.addresses };
        let (mut listeners, mut first) = (Vec::new(), None);
        for address in addresses {
            let address = SocketAddr::new(*address, port);
            match listen(address) {
                Ok(listener) => listeners.push(listener),
                Err(source) => drop(first.get_or_insert(ChallengeError::Bind { address, source })),
            }
        }
        match first {
            Some(error) if listeners.is_empty() => Err(error),
            _ => Ok(listeners),
        }
    }
}

impl Challenger for Listeners {
    fn install<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, Result<(), ChallengeError>> {
        Box::pin(async move { self.begin(answer) })
    }

    fn remove<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, ()> {
        Box::pin(async move {
            let mut tasks = match answer {
                ChallengeResponse::TlsAlpn { sni, .. } => {
                    lock(&self.tls_alpn).take(&sni.to_ascii_lowercase())
                }
                ChallengeResponse::Http { token, .. } => lock(&self.http).take(token),
            };
            // Awaited, so that the port is free when this returns.
            tasks.shutdown().await;
        })
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addresses, tls_alpn_port, http_port, .. } = self;
        write!(f, "Listeners({addresses:?}, {tls_alpn_port}, {http_port})")
    }
}

impl<A> Service<A> {
    fn new() -> Self {
        Self { answers: Shared::default(), tasks: JoinSet::new() }
    }

    /// Adds an answer; the first one binds the port and starts to serve.
    fn add<S, F>(
        &mut self,
        name: String,
        answer: A,
        bind: impl FnOnce() -> Result<Vec<TcpListener>, ChallengeError>,
        serve: S,
    ) -> Result<(), ChallengeError>
    where
        S: Fn(TcpStream) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        if self.tasks.is_empty() {
            for listener in bind()? {
                self.tasks.spawn(accept(listener, serve.clone()));
            }
        }
        lock(&self.answers).insert(name, answer);
        Ok(())
    }

    /// Takes an answer away; with the last one go the tasks, which the caller ends.
    fn take(&mut self, name: &str) -> JoinSet<()> {
        let mut answers = lock(&self.answers);
        answers.remove(name);
        if answers.is_empty() { std::mem::take(&mut self.tasks) } else { JoinSet::new() }
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        lock(&self.0).get(&name).cloned()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

fn acceptor(answers: Shared<Arc<CertifiedKey>>) -> Result<TlsAcceptor, ChallengeError> {
    let config = ServerConfig::builder_with_provider(default_provider().into());
    let config = config.with_safe_default_protocol_versions();
    let config =
        config.map_err(|_| ChallengeError::Certificate(ChallengeKind::TlsAlpn))?.with_no_client_auth();
    let mut config = config.with_cert_resolver(Arc::new(Resolver(answers)));
    // Clients that do not offer it are refused, as RFC 8737, section 3, has it.
    config.alpn_protocols = vec![ACME_ALPN.to_vec()];
    Ok(Arc::new(config).into())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    // SO_REUSEADDR is set by this: connections of an earlier validation that are still closing do no harm.
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept<S, F>(listener: TcpListener, serve: S)
where
    S: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(VISITORS));
    let mut visitors = JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while visitors.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let visit = timeout(PATIENCE, serve(stream));
                visitors.spawn(async move {
                    drop(visit.await);
                    drop(place);
                });
            }
            // Usually too many open files: the next moment may be better.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn shake_hands(acceptor: &TlsAcceptor, stream: TcpStream) {
    // The handshake is the whole visit: the authority reads the certificate and closes.
    if let Ok(mut stream) = acceptor.accept(stream).await {
        drop(stream.shutdown().await);
    }
}

async fn serve_http(answers: &Shared<String>, mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::with_capacity(HEAD_MAX);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= HEAD_MAX || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head);
    let mut words = text.split(' ');
    let path = words.next().filter(|method| *method == "GET").and_then(|_| words.next());
    let body =
        path.and_then(|path| path.strip_prefix(PREFIX)).and_then(|token| lock(answers).get(token).cloned());
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

/// No holder of these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
