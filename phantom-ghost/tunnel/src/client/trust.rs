//! Which server a client talks to: certificate authorities, a pinned key, or one exact certificate.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Where Linux systems keep the certificates of the authorities that they trust.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Larger files of certificates are not read, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Why no trust could be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file of certificates cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds no certificate in PEM, or is larger than 16 MiB.
    #[error("{path} holds no certificates in PEM")]
    NoCertificate {
        /// Which one.
        path: PathBuf,
    },
    /// The TLS library refuses the settings.
    #[error("TLS could not be set up")]
    Tls(#[from] Error),
}

/// The SHA-256 of a server's public key (its `SubjectPublicKeyInfo` in DER). It outlives renewals that keep the key.
///
/// As text: base64 as curl's `--pinnedpubkey` and RFC 7469 have it, with or without `sha256//`, or 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyPin([u8; 32]);

/// A text that is no [`KeyPin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pin is the SHA-256 of a public key: 44 characters of base64 or 64 hexadecimal digits")]
pub struct KeyPinError;

/// Which servers are the right ones.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those whose certificate is for the name that was asked for, is valid, and was issued by an authority that browsers
    /// trust, that this system trusts, or that `ca_file` holds.
    Authorities {
        /// PEM, one or more certificates; a server's own self-signed certificate is an authority for itself.
        ca_file: Option<PathBuf>,
        /// The key that the server must have, besides all that.
        pin: Option<KeyPin>,
    },
    /// The one that shows this certificate (DER) and owns its key, whoever issued it, for whatever name and time.
    Exactly(CertificateDer<'static>),
    /// Whichever answers, with whatever certificate: for a server that is known by other means. Anybody in between learns what is sent.
    Anybody,
}

impl Trust {
    /// The TLS settings of a client with this trust: TLS 1.2 and 1.3, ALPN `http/1.1`. Reads the files.
    pub fn client_config(&self) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(provider::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::Authorities { ca_file, pin } => {
                let roots = Arc::new(roots(ca_file.as_deref())?);
                let chain = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?;
                match pin {
                    Some(pin) => Arc::new(Pinned { chain, pin: *pin }),
                    None => chain,
                }
            }
            Self::Exactly(leaf) => Arc::new(Exact { leaf: Some(leaf.clone()), provider: provider.clone() }),
            Self::Anybody => Arc::new(Exact { leaf: None, provider: provider.clone() }),
        };
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl KeyPin {
    /// The pin of a certificate's key; `None` if it is no certificate.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        let mut pin = [0; 32];
        pin.copy_from_slice(digest(&SHA256, &parsed.subject_public_key_info()).as_ref());
        Some(Self(pin))
    }
}

impl FromStr for KeyPin {
    type Err = KeyPinError;

    fn from_str(text: &str) -> Result<Self, KeyPinError> {
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let mut pin = [0; 32];
            for (byte, digits) in pin.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                let digits = std::str::from_utf8(digits).map_err(|_| KeyPinError)?;
                *byte = u8::from_str_radix(digits, 16).map_err(|_| KeyPinError)?;
            }
            return Ok(Self(pin));
        }
        let bytes =
            STANDARD.decode(text.strip_prefix("sha256//").unwrap_or(text)).map_err(|_| KeyPinError)?;
        bytes.try_into().map(Self).map_err(|_| KeyPinError)
    }
}

impl fmt::Display for KeyPin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256//{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for KeyPin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The certificates of a PEM file, in order.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let unreadable = |source| TrustError::Unreadable { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    let none = || TrustError::NoCertificate { path: path.to_owned() };
    if size > MAX_FILE {
        return Err(none());
    }
    let text = fs::read(path).map_err(unreadable)?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|_| none())?;
    if all.is_empty() { Err(none()) } else { Ok(all) }
}

/// Mozilla's authorities, the system's, and those of the file.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Ok(system) = certificates(Path::new(SYSTEM_ROOTS)) {
        // Systems hold old ones that no library reads any more.
        roots.add_parsable_certificates(system);
    }
    if let Some(path) = ca_file {
        let (added, _) = roots.add_parsable_certificates(certificates(path)?);
        if added == 0 {
            return Err(TrustError::NoCertificate { path: path.to_owned() });
        }
    }
    Ok(roots)
}

/// What the authorities say, and the right key.
#[derive(Debug)]
struct Pinned {
    chain: Arc<WebPkiServerVerifier>,
    pin: KeyPin,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.chain.verify_server_cert(leaf, intermediates, name, ocsp, now)?;
        if KeyPin::from_certificate(leaf) == Some(self.pin) {
            Ok(verified)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// One certificate and no other, or any.
#[derive(Debug)]
struct Exact {
    leaf: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Exact {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.leaf.as_ref().is_none_or(|wanted| wanted == leaf) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_in_both_forms() {
        let hex = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        let pin: KeyPin = hex.parse().unwrap();
        let text = pin.to_string();
        assert_eq!(text, "sha256//ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=");
        assert_eq!(text.parse(), Ok(pin));
        assert_eq!(text.trim_start_matches("sha256//").parse(), Ok(pin));
        for wrong in ["", "sha256//", &hex[1..], &text[..20], "sha1//AAAA", "not a pin"] {
            assert_eq!(wrong.parse::<KeyPin>(), Err(KeyPinError), "{wrong}");
        }
    }

    #[test]
    fn files_without_certificates_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.pem");
        assert!(matches!(certificates(&path), Err(TrustError::Unreadable { .. })));
        fs::File::create_new(&path).unwrap();
        assert!(matches!(certificates(&path), Err(TrustError::NoCertificate { .. })));
        let trust = Trust::Authorities { ca_file: Some(path), pin: None };
        assert!(matches!(trust.client_config(), Err(TrustError::NoCertificate { .. })));
    }

    #[test]
    fn a_client_offers_what_wstunnel_offers() {
        let config = Trust::Authorities { ca_file: None, pin: None }.client_config().unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
        assert!(config.enable_sni);
    }
}
