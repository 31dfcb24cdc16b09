//! TLS of the server: certificates from PEM, the choice between the site's and a validation's.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::server::{ProducesTickets, WantsServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ConfigBuilder, ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The protocol of a tls-alpn-01 validation (RFC 8737).
pub(super) const ACME: &[u8] = b"acme-tls/1";
/// HTTP/2, which only a web server behind us speaks.
pub(super) const H2: &[u8] = b"h2";
const HTTP: &[u8] = b"http/1.1";
const VERSIONS: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// Why a certificate and key are not used. Never quotes either.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No certificate, or one that is not PEM.
    #[error("the certificate chain is not PEM")]
    Chain(#[source] Option<rustls_pki_types::pem::Error>),
    /// No private key in a form that is known.
    #[error("the private key is not PEM")]
    Key(#[source] rustls_pki_types::pem::Error),
    /// The key is of a kind that is not supported, or belongs to another certificate.
    #[error("the certificate and its key cannot be used")]
    Pair(#[source] rustls::Error),
    /// The machine cannot make session tickets.
    #[error("session tickets cannot be made")]
    Tickets(#[source] rustls::Error),
}

/// What stays the same over all certificates.
#[derive(Debug)]
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
}

impl Tls {
    pub(super) fn new() -> Result<Self, TlsError> {
        let groups =
            vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
        let provider = CryptoProvider { kx_groups: groups, ..aws_lc_rs::default_provider() };
        let tickets = aws_lc_rs::Ticketer::new().map_err(TlsError::Tickets)?;
        Ok(Self { provider: Arc::new(provider), tickets })
    }

    /// The configuration for visitors and tunnels, which offers no HTTP/2.
    pub(super) fn site(&self, chain: &str, key: &str) -> Result<Arc<ServerConfig>, TlsError> {
        let (chain, key) = read(chain, key)?;
        let mut config = self.builder()?.with_single_cert(chain, key).map_err(TlsError::Pair)?;
        config.alpn_protocols = protocols(false);
        config.ticketer = Arc::clone(&self.tickets);
        Ok(Arc::new(config))
    }

    /// The same configuration of the site, but for whether it offers HTTP/2.
    pub(super) fn offering(site: &ServerConfig, h2: bool) -> Arc<ServerConfig> {
        let mut config = site.clone();
        config.alpn_protocols = protocols(h2);
        Arc::new(config)
    }

    /// The configuration for one validation.
    ///
    /// Its certificate is not compared with its key: it has a critical extension (RFC 8737 section 3) that the library
    /// which would compare them refuses.
    pub(super) fn challenge(&self, chain: &str, key: &str) -> Result<Arc<ServerConfig>, TlsError> {
        let (chain, key) = read(chain, key)?;
        let key = self.provider.key_provider.load_private_key(key).map_err(TlsError::Pair)?;
        let only = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let mut config = self.builder()?.with_cert_resolver(Arc::new(only));
        config.alpn_protocols = vec![ACME.to_vec()];
        Ok(Arc::new(config))
    }

    fn builder(&self) -> Result<ConfigBuilder<ServerConfig, WantsServerCert>, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        Ok(builder.with_protocol_versions(VERSIONS).map_err(TlsError::Pair)?.with_no_client_auth())
    }
}

fn protocols(h2: bool) -> Vec<Vec<u8>> {
    if h2 { vec![H2.to_vec(), HTTP.to_vec()] } else { vec![HTTP.to_vec()] }
}

/// Reads a chain and its key.
fn read(chain: &str, key: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Chain(Some(error)))?;
    if chain.is_empty() {
        return Err(TlsError::Chain(None));
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(TlsError::Key)?;
    Ok((chain, key))
}
