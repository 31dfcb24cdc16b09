//! The HTTPS client of ACME: its trust anchors are compiled in or an operator's file, never the host's.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Limited;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use super::AcmeError;
use crate::causes::with_causes;

/// How long an authority may take to begin an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer: chains have a few kilobytes, directories less.
const ANSWER_MAX: usize = 1024 * 1024;

pub(super) struct Https(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl Https {
    /// A client that trusts the public authorities, or instead of them the certificates in `ca_file`.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, AcmeError> {
        let roots = match ca_file {
            Some(path) => roots(path)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let config = ClientConfig::builder_with_provider(default_provider().into());
        let config = config.with_safe_default_protocol_versions();
        let config =
            config.map_err(|error| AcmeError::Protocol { step: "begin", detail: error.to_string() })?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let answer = timeout(PATIENCE, self.0.request(request));
        Box::pin(async move {
            let late = |_| instant_acme::Error::Other("no answer within 30 seconds".into());
            let answer = answer.await.map_err(late)?;
            let answer = answer.map_err(|error| instant_acme::Error::Other(with_causes(&error).into()))?;
            Ok(answer.map(|body| Limited::new(body, ANSWER_MAX)).into())
        })
    }
}

fn roots(path: &Path) -> Result<RootCertStore, AcmeError> {
    let failed = |detail: String| AcmeError::CaFile { path: path.to_owned(), detail };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(with_causes(&error)))? {
        let certificate = certificate.map_err(|error| failed(with_causes(&error)))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() { Err(failed("it holds no certificate".to_owned())) } else { Ok(roots) }
}
