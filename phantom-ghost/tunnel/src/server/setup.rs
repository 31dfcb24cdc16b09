//! What a server is built from, and why that may fail.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::tls::TlsError;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// TLS on a TCP port. The unspecified IPv6 address stands for IPv4 too.
    Tcp(SocketAddr),
    /// Plain HTTP on a socket in the file system, for a web server in front that terminates TLS. Everybody on the
    /// machine may connect to it, unless [`ServerBuilder::socket_mode`](super::ServerBuilder::socket_mode) says otherwise. What the web server
    /// tells of its visitors' addresses (`X-Forwarded-For`) is believed here and nowhere else. A socket that a dead server left there is replaced.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = std::net::AddrParseError;

    /// Reads `ADDRESS:PORT` or `unix:PATH`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// How long strangers may take. The defaults are those of usual web servers; of those, the ones that are short.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// For the whole TLS handshake, from when the connection was accepted: 10 s.
    pub handshake: Duration,
    /// For the first request's head, from when the connection was accepted: 10 s.
    pub header: Duration,
    /// For every further one: 65 s.
    pub keep_alive: Duration,
    /// For a piece of an answer, and for a web server behind to begin one: 60 s.
    pub send: Duration,
    /// After the last answer, to read it: 5 s.
    pub linger: Duration,
    /// Between two questions to a web server behind, whether it speaks HTTP/2, while that is in doubt: 60 s.
    pub ask_again: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            handshake: seconds(10),
            header: seconds(10),
            keep_alive: seconds(65),
            send: seconds(60),
            linger: seconds(5),
            ask_again: seconds(60),
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Nothing to listen at was given.
    #[error("no address to listen at")]
    Nowhere,
    /// An address is in use, or not this machine's, or its port needs a privilege.
    #[error("cannot listen at {listen}")]
    Listen {
        /// Where.
        listen: Listen,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// TLS cannot be set up on this machine.
    #[error("TLS cannot be set up")]
    Tls(#[source] TlsError),
}

/// Why a configuration is refused. The one before it stays in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigureError {
    /// More than [`MAX_SECRETS`](crate::config::MAX_SECRETS).
    #[error("{0} secrets are too many")]
    Secrets(usize),
    /// More than [`MAX_CLIENTS`](crate::config::MAX_CLIENTS). What is in force stays so.
    #[error("{0} clients are too many")]
    Clients(usize),
    /// The port 0 leads nowhere.
    #[error("no WireGuard port")]
    Port,
    /// The site's files have more than [`MAX_SITE`](crate::config::MAX_SITE) bytes.
    #[error("the site's {0} bytes are too many")]
    Site(usize),
    /// Strangers would come to the web server from an address that the programs of this machine have, or that is nobody's.
    #[error("the decoy's source is a loopback address, or none of a host")]
    Source,
    /// The certificate or its key.
    #[error("the certificate cannot be used")]
    Certificate(#[source] TlsError),
}
