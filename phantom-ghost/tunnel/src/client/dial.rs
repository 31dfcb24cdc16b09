//! From a server's address to an open tunnel: look up, connect, TLS, upgrade.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use phantom_types::{Endpoint, HostName};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::upgrade::{Refusal, Request};
use crate::pump::ReadAhead;
use crate::socket;

/// How long one address may take to answer, then TLS, then the request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a look-up of a name may take.
const LOOK_UP: Duration = Duration::from_secs(5);
/// A connection whose data is not confirmed for so long is broken. Without it a laptop that wakes up in another network
/// would wait for the kernel's fifteen minutes.
const UNCONFIRMED: Duration = Duration::from_secs(20);

/// What a tunnel runs on.
pub type Stream = TlsStream<ReadAhead<TcpStream>>;

/// A tunnel server: `wss://HOST[:PORT]`, the port being 443 if it is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// A domain name or an address. The certificate must be for it.
    pub host: HostName,
    /// The TCP port.
    pub port: u16,
}

/// A text that is no [`Server`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server is given as wss://HOST or wss://HOST:PORT; a tunnel without TLS is not supported")]
pub struct ServerError;

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
    /// How far the attempt came.
    const fn stage(&self) -> u8 {
        match self {
            Self::LookUp { .. } => 0,
            Self::Connect { .. } => 1,
            Self::Tls { .. } => 2,
            Self::Broken { .. } => 3,
            Self::Refused { .. } => 4,
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
    /// The server's address.
    pub address: SocketAddr,
}

impl Server {
    /// The value of the `Host` header: without the port where it is 443.
    pub fn authority(&self) -> String {
        let text = Endpoint::new(self.host.clone(), self.port).to_string();
        text.strip_suffix(":443").map_or_else(|| text.clone(), str::to_owned)
    }

    /// The name for SNI and certificate. Addresses send no SNI.
    pub(crate) fn name(&self) -> ServerName<'static> {
        match &self.host {
            HostName::Ip(address) => ServerName::IpAddress((*address).into()),
            HostName::Domain(domain) => ServerName::try_from(domain.as_str().to_owned())
                .expect("two to 127 labels of letters, digits and hyphens are a name for TLS"),
        }
    }

    /// The addresses to try, in the resolver's order.
    pub(crate) async fn addresses(&self) -> Result<Vec<SocketAddr>, DialError> {
        let name = match &self.host {
            HostName::Ip(address) => return Ok(vec![SocketAddr::new(*address, self.port)]),
            HostName::Domain(domain) => domain.as_str(),
        };
        let failed = |source| DialError::LookUp { host: self.host.clone(), source };
        let found = timeout(LOOK_UP, lookup_host((name, self.port))).await;
        let found: Vec<_> = found.map_err(|_| failed(too_long()))?.map_err(failed)?.collect();
        if found.is_empty() { Err(failed(io::ErrorKind::NotFound.into())) } else { Ok(found) }
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let rest = text.strip_prefix("wss://").ok_or(ServerError)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Ok(Endpoint { host, port }) = rest.parse() {
            return Ok(Self { host, port });
        }
        let bare = match rest.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|inner| inner.contains(':')).ok_or(ServerError)?,
            None if rest.contains(':') => return Err(ServerError),
            None => rest,
        };
        bare.parse().map(|host| Self { host, port: 443 }).map_err(|_| ServerError)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "wss://{}", self.authority())
    }
}

/// Opens a tunnel at the first of `addresses` that opens one; `server` says for which name. A name may lead to several machines,
/// of which one is the tunnel server. The error is that of the address that came furthest.
pub(crate) async fn open(
    server: &Server,
    addresses: &[SocketAddr],
    tls: &Arc<ClientConfig>,
    request: &Request,
) -> Result<Opened, DialError> {
    let mut furthest: Option<DialError> = None;
    for &address in addresses {
        match open_at(server, address, tls, request).await {
            Ok(opened) => return Ok(opened),
            Err(error) if furthest.as_ref().is_none_or(|known| known.stage() <= error.stage()) => {
                furthest = Some(error);
            }
            Err(_) => {}
        }
    }
    let unspecified = SocketAddr::from((IpAddr::from([0; 4]), 0));
    let nowhere = || DialError::Connect { address: unspecified, source: io::ErrorKind::NotFound.into() };
    Err(furthest.unwrap_or_else(nowhere))
}

async fn open_at(
    server: &Server,
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
    request: &Request,
) -> Result<Opened, DialError> {
    let tcp = connect(address).await?;
    let connector = TlsConnector::from(tls.clone());
    let handshake = timeout(PATIENCE, connector.connect(server.name(), ReadAhead::new(tcp))).await;
    let failed = |source| DialError::Tls { address, source };
    let mut stream = handshake.map_err(|_| failed(too_long()))?.map_err(failed)?;
    let broken = |source| DialError::Broken { address, source };
    let upgraded = timeout(PATIENCE, upgrade(&mut stream, request)).await.map_err(|_| broken(too_long()))?;
    match upgraded.map_err(broken)? {
        Ok(early) => Ok(Opened { stream, early, address }),
        Err(source) => Err(DialError::Refused { address, source }),
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, DialError> {
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
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_written() {
        for (text, authority, port) in [
            ("wss://vpn.example.com", "vpn.example.com", 443),
            ("wss://vpn.example.com/", "vpn.example.com", 443),
            ("wss://VPN.example.com:443", "vpn.example.com", 443),
            ("wss://vpn.example.com:8443", "vpn.example.com:8443", 8443),
            ("wss://192.0.2.7", "192.0.2.7", 443),
            ("wss://[2001:db8::7]", "[2001:db8::7]", 443),
            ("wss://[2001:db8::7]:8443", "[2001:db8::7]:8443", 8443),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!((server.authority().as_str(), server.port), (authority, port), "{text}");
            assert_eq!(server.to_string().parse(), Ok(server.clone()));
            server.name();
        }
    }

    #[tokio::test]
    async fn all_addresses_of_a_name_are_tried_to_the_end() {
        // Machines that serve something else than a tunnel: they accept, and hang up at the hello.
        let listen = || async { tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let others = [listen().await, listen().await];
        let free = listen().await.local_addr().unwrap();
        let [first, second] = [0, 1].map(|n: usize| others[n].local_addr().unwrap());
        let server: Server = "wss://vpn.example.com".parse().unwrap();
        let secret = crate::secrets::Secret::generate();
        let request = Request::new(&server.authority(), &secret, 51820, phantom_certs::now());
        let trust = crate::client::Trust::Authorities { ca_file: None, pin: None };
        let tls = Arc::new(trust.client_config().unwrap());
        let addresses = [first, second, free];
        let (failed, ()) = tokio::join!(open(&server, &addresses, &tls, &request), async {
            for other in &others {
                drop(timeout(PATIENCE, other.accept()).await.expect("each is tried").unwrap());
            }
        });
        // What came furthest is told, and not that the last one is not there.
        assert!(matches!(failed, Err(DialError::Tls { address, .. }) if address == second), "{failed:?}");
    }

    #[test]
    fn what_is_no_server() {
        for text in [
            "",
            "vpn.example.com",
            "ws://vpn.example.com",
            "https://vpn.example.com",
            "wss://",
            "wss://vpn.example.com:0",
            "wss://vpn.example.com:70000",
            "wss://vpn.example.com/path",
            "wss://2001:db8::7",
            "wss://[192.0.2.7]",
            "wss://a b.example.com",
        ] {
            assert_eq!(text.parse::<Server>(), Err(ServerError), "{text}");
        }
    }
}
