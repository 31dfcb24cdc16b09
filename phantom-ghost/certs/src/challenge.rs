//! How a certificate authority is shown that a name is ours: `tls-alpn-01` (RFC 8737) and `http-01` (RFC 8555,
//! section 8.3).
//!
//! Whoever answers on the ports of the name implements [`Challenger`]: [`Listeners`] binds them itself for the time of
//! the validation; a server that runs on port 443 installs the challenge's certificate, and [`Split`] adds listeners
//! for what it does not serve.

mod listen;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use phantom_types::HostName;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::pair::{CertificatePair, KeyPem};

pub use listen::Listeners;

/// The protocol that a validation by `tls-alpn-01` negotiates (RFC 8737, section 6.2).
pub const ACME_ALPN: &[u8] = b"acme-tls/1";

/// Work that a [`Challenger`] does.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes the answers to challenges visible to the authority.
pub trait Challenger: Send + Sync {
    /// Makes `answer` visible; when this returns, the authority may come.
    fn install<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, Result<(), ChallengeError>>;

    /// Takes `answer` away again. Called for every answer that [`install`](Self::install) was called with, also when
    /// that failed.
    fn remove<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, ()>;
}

/// What the authority has to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChallengeResponse {
    /// `tls-alpn-01`: a TLS client that offers [`ACME_ALPN`] alone and asks for `sni` gets this certificate.
    TlsAlpn {
        /// The server name in the authority's hello, in lower case: the name itself, or for an address the name of its
        /// reverse entry (RFC 8738, section 6).
        sni: String,
        /// The certificate with the digest, and its key.
        pair: CertificatePair,
    },
    /// `http-01`: `GET /.well-known/acme-challenge/<token>` on port 80 gets this body.
    Http {
        /// The path's last part.
        token: String,
        /// The key authorization.
        body: String,
    },
}

/// An answer could not be made visible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// No port of this machine could be bound.
    #[error("{address} cannot be listened on")]
    Bind {
        /// The first that failed.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// This challenger does not answer this kind of challenge.
    #[error("nothing here answers {0}")]
    NotOffered(ChallengeKind),
    /// The challenge's certificate could not be made or used.
    #[error("the certificate for {0} could not be made")]
    Certificate(ChallengeKind),
    /// The server that should answer did not take the answer.
    #[error("the running server did not take the answer: {0}")]
    Refused(String),
}

/// A kind of challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// A TLS handshake on port 443.
    TlsAlpn,
    /// An HTTP request on port 80.
    Http,
}

/// `tls-alpn-01` by one challenger, `http-01` by another.
#[derive(Clone, Debug)]
pub struct Split<T, H> {
    /// Answers on port 443.
    pub tls_alpn: T,
    /// Answers on port 80.
    pub http: H,
}

impl ChallengeResponse {
    /// The kind of challenge that it answers.
    pub const fn kind(&self) -> ChallengeKind {
        match self {
            Self::TlsAlpn { .. } => ChallengeKind::TlsAlpn,
            Self::Http { .. } => ChallengeKind::Http,
        }
    }

    /// The answer to `tls-alpn-01` for `name`: a certificate with the SHA-256 of the key authorization in the
    /// extension `acmeIdentifier` (RFC 8737, section 3).
    pub fn tls_alpn(name: &HostName, digest: &[u8; 32]) -> Result<Self, ChallengeError> {
        let failed = |_| ChallengeError::Certificate(ChallengeKind::TlsAlpn);
        let mut params = CertificateParams::new(vec![name.to_string()]).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let chain_pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self::TlsAlpn {
            sni: server_name(name),
            pair: CertificatePair { chain_pem, key_pem: KeyPem::new(key.serialize_pem()) },
        })
    }
}

impl ChallengeKind {
    /// The challenge's name in ACME.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn => "tls-alpn-01",
            Self::Http => "http-01",
        }
    }
}

impl<T: Challenger, H: Challenger> Challenger for Split<T, H> {
    fn install<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, Result<(), ChallengeError>> {
        match answer.kind() {
            ChallengeKind::TlsAlpn => self.tls_alpn.install(answer),
            ChallengeKind::Http => self.http.install(answer),
        }
    }

    fn remove<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, ()> {
        match answer.kind() {
            ChallengeKind::TlsAlpn => self.tls_alpn.remove(answer),
            ChallengeKind::Http => self.http.remove(answer),
        }
    }
}

impl<C: Challenger + ?Sized> Challenger for &C {
    fn install<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, Result<(), ChallengeError>> {
        (**self).install(answer)
    }

    fn remove<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, ()> {
        (**self).remove(answer)
    }
}

impl<C: Challenger + ?Sized> Challenger for Box<C> {
    fn install<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, Result<(), ChallengeError>> {
        (**self).install(answer)
    }

    fn remove<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, ()> {
        (**self).remove(answer)
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name that an authority asks for in its TLS hello (RFC 8737, section 3; RFC 8738, section 6: an address is asked
/// for by the name of its reverse entry, RFC 1035, section 3.5, and RFC 3596, section 2.5).
pub fn server_name(name: &HostName) -> String {
    match name {
        HostName::Domain(domain) => domain.to_string(),
        HostName::Ip(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        HostName::Ip(IpAddr::V6(address)) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).chain(["ip6.arpa".to_owned()]).collect()
        }
    }
}

#[cfg(test)]
mod tests;
