//! What the program is asked, and what it answers.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use phantom_types::{HostName, ProxyVersion, Spoken, Timestamp, TunnelSecret, quoted};

/// Where a certificate is to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateRequest {
    /// An ACME service (RFC 8555). One that is stored and fresh is used again.
    Issue {
        /// The name, or an address (RFC 8738).
        domain: HostName,
        /// URL of the service's directory.
        directory: String,
        /// A certificate authority to trust for the directory itself, beside the public ones.
        ca_file: Option<PathBuf>,
        /// The folder of account and certificates.
        certs_dir: PathBuf,
    },
    /// Made here, where none is stored that is fresh.
    SelfSign {
        /// The name, or an address (RFC 8738).
        domain: HostName,
        /// The folder of certificates.
        certs_dir: PathBuf,
    },
    /// Files that are there.
    Inspect {
        /// The name that they must be for.
        domain: HostName,
        /// The chain, PEM.
        cert_path: PathBuf,
        /// Its key, PEM.
        key_path: PathBuf,
        /// It may have expired, or not be valid yet.
        at_any_time: bool,
    },
}

/// A certificate that can be used: it covers the name, matches its key and, where nothing else was asked for, is valid now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, PEM.
    pub cert_path: PathBuf,
    /// Its key, PEM.
    pub key_path: PathBuf,
    /// Until when it is valid.
    pub expires_at: Timestamp,
    /// Ways to it that were tried in vain before one did, in sentences without secrets.
    pub warnings: Vec<String>,
}

/// Why there is no usable certificate, in a sentence without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct CertificateFault {
    /// The sentence.
    pub detail: String,
}

/// The program's own words: what they are in Turkish is known to the module that asked for the certificate.
impl Spoken for CertificateFault {
    fn turkish(&self) -> String {
        quoted(&self.detail)
    }
}

/// What a tunnel server is asked in order to see whether it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelCheck {
    /// Its address.
    pub address: IpAddr,
    /// Its TCP port.
    pub port: u16,
    /// The name that its certificate must have.
    pub domain: HostName,
    /// The secret that it must accept. Without one it is asked for its certificate alone.
    pub secret: Option<TunnelSecret>,
    /// The WireGuard port that tunnels lead to.
    pub wireguard_port: u16,
    /// Which certificate it must show.
    pub shows: Shows,
    /// How long it may take.
    pub limit: Duration,
}

/// Which certificate a server must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The first one of this chain, PEM.
    Exactly(PathBuf),
    /// One that clients accept: valid, for the name, and by an authority that browsers or this system trust.
    Trusted {
        /// Certificates of further authorities, PEM.
        ca_file: Option<PathBuf>,
    },
    /// Whichever it has.
    Any,
}

/// What a server has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Until when its certificate is valid, if that is known.
    pub expires_at: Option<Timestamp>,
    /// That the certificate ends soon and was not renewed, in the program's words; only then.
    pub alarm: Option<String>,
}

/// A web server that strangers are shown, and as whom it sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecoyCheck {
    /// `http://127.0.0.1:PORT`, `http://[::1]:PORT` or `unix:/PATH`.
    pub web_server: String,
    /// The address of this host that strangers come from.
    pub source: Option<IpAddr>,
    /// The header that tells their own addresses.
    pub proxy: Option<ProxyVersion>,
    /// The name that strangers ask for.
    pub domain: HostName,
    /// The control socket of the tunnel server, which passes strangers on and sees less of this host than others do. Where none
    /// answers there, the web server alone is asked.
    pub control: PathBuf,
}
