//! Ghost Mode as it is stored.

use std::net::IpAddr;
use std::path::PathBuf;

use phantom_types::{HostName, ProxyVersion, Timestamp, TunnelSecret};

/// Where the tunnel's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// An ACME service; it renews itself.
    Acme,
    /// Files of the operator.
    Operator {
        /// The chain, PEM.
        cert_path: PathBuf,
        /// Its key, PEM.
        key_path: PathBuf,
    },
    /// Made by ourselves, which no client can verify: for tests.
    SelfSigned,
}

impl CertificateSource {
    /// `acme`, `operator` or `self_signed`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::Operator { .. } => "operator",
            Self::SelfSigned => "self_signed",
        }
    }
}

/// Ghost Mode while it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ghost {
    /// The name that clients connect to, or the address.
    pub domain: HostName,
    /// The operator's own secret. Clients have theirs: [`Client::tunnel_secret`](phantom_store::Client::tunnel_secret).
    pub secret: TunnelSecret,
    /// Where the certificate comes from.
    pub certificate: CertificateSource,
    /// What the name led to when it was switched on, by A and AAAA records, this server's own or not: the tunnel's connection
    /// goes to one of them.
    pub addresses: Vec<IpAddr>,
    /// The web server on this machine that strangers are shown, in place of the built-in pages: `http://127.0.0.1:8080`
    /// or `unix:/run/web.sock`.
    pub decoy: Option<String>,
    /// The address of this host that the web server sees connections from; by default the server's own in the VPN.
    pub decoy_source: Option<IpAddr>,
    /// How the web server is told a stranger's own address, if it is.
    pub decoy_proxy: Option<ProxyVersion>,
    /// The web server in front, which has the port of HTTPS and the certificate; `None` where the tunnel server has them itself.
    pub front: Option<Front>,
    /// When it was switched on.
    pub activated_at: Timestamp,
}

/// A web server in front of the tunnel server, which terminates TLS and passes requests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// The socket in the file system at which the tunnel server listens for it.
    pub socket: PathBuf,
    /// The group that may connect to the socket: that of the web server's user.
    pub group: String,
    /// The TCP port at which the web server listens, and to which clients connect.
    pub public_port: u16,
}

/// The TCP port of HTTPS.
const HTTPS: u16 = 443;

impl Ghost {
    /// The TCP port that clients connect to.
    pub fn public_port(&self) -> u16 {
        self.front.as_ref().map_or(HTTPS, |front| front.public_port)
    }
}
