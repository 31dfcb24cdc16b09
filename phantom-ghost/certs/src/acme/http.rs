//! The HTTPS client of ACME: its trust anchors are compiled in or an operator's file, never the host's.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use bytes::Bytes;
use http::StatusCode;
use http::header::RETRY_AFTER;
use http_body_util::Limited;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use phantom_types::Timestamp;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tower_service::Service;

use super::AcmeError;
use crate::causes::with_causes;

/// How long an authority may take to begin an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the look-up of its name may take: the first of several resolvers may be silent.
const LOOK_UP: Duration = Duration::from_secs(15);
/// Largest answer: chains have a few kilobytes, directories less.
const ANSWER_MAX: usize = 1024 * 1024;

pub(super) struct Https {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, BodyWrapper<Bytes>>,
    pause: Pause,
}

/// How long the authority takes no request, as its last answer said (RFC 9110, section 10.2.3; RFC 8555, section 6.6).
#[derive(Clone, Debug, Default)]
pub(super) struct Pause(Arc<Mutex<Option<Duration>>>);

impl Pause {
    pub(super) fn set(&self, pause: Option<Duration>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pause;
    }

    pub(super) fn get(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause that an answer wants. Only of a refusal: that of other answers is about the polling of an order.
fn wanted<B>(answer: &http::Response<B>) -> Option<Duration> {
    let refused = matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let value = answer.headers().get(RETRY_AFTER).filter(|_| refused)?.to_str().ok()?.trim();
    let seconds = || value.parse().ok().map(Duration::from_secs);
    seconds().or_else(|| Some(http_date(value)?.since(crate::now())))
}

/// A time as HTTP has it since 1989: `Fri, 31 Dec 1999 23:59:59 GMT`. Nobody sends the older forms.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = text.strip_suffix(" GMT")?.split_once(", ")?;
    let [day, month, year, time] = date.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

impl Https {
    /// A client that trusts the public authorities, or instead of them the certificates in `ca_file`. It notes in `pause` how long
    /// no further request is wanted.
    pub(super) fn new(ca_file: Option<&Path>, pause: Pause) -> Result<Self, AcmeError> {
        let roots = match ca_file {
            Some(path) => roots(path)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let config = ClientConfig::builder_with_provider(default_provider().into());
        let config = config.with_safe_default_protocol_versions();
        let config =
            config.map_err(|error| AcmeError::Protocol { step: "begin", detail: error.to_string() })?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let mut tcp = HttpConnector::new_with_resolver(Resolver);
        // The layer above refuses what is not HTTPS.
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), pause })
    }
}

/// Finds the authority's address. The library's own resolver calls the C library, which a static program must not.
#[derive(Clone, Copy, Debug)]
struct Resolver;

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = spawn_blocking(move || phantom_names::addresses(name.as_str(), LOOK_UP)).await;
            let found = found.map_err(io::Error::other).flatten()?;
            // The connector knows the port.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(found.collect::<Vec<_>>().into_iter())
        })
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let (answer, pause) = (timeout(PATIENCE, self.client.request(request)), self.pause.clone());
        pause.set(None);
        Box::pin(async move {
            let late = |_| instant_acme::Error::Other("no answer within 30 seconds".into());
            let answer = answer.await.map_err(late)?;
            let answer = answer.map_err(|error| instant_acme::Error::Other(with_causes(&error).into()))?;
            pause.set(wanted(&answer));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, value: &str) -> http::Response<()> {
        http::Response::builder().status(status).header("Retry-After", value).body(()).unwrap()
    }

    #[tokio::test]
    async fn the_authoritys_name_is_looked_up() {
        let localhost = Resolver.call("localhost".parse().unwrap()).await.unwrap();
        assert!(localhost.map(|found| found.ip()).all(|address| address.is_loopback()));
        let error = Resolver.call("nobody.invalid".parse().unwrap()).await.unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::TimedOut), "{error}");
    }

    #[test]
    fn refusal_may_say_when_to_retry() {
        assert_eq!(wanted(&answer(429, "122400")), Some(Duration::from_hours(34)));
        assert_eq!(wanted(&answer(503, " 5 ")), Some(Duration::from_secs(5)));
        // An order that is not ready yet is no refusal.
        assert_eq!(wanted(&answer(200, "5")), None);
        for nonsense in ["", "soon", "-5", "5.5", "Fri, 31 Foo 1999 23:59:59 GMT", "Fri 31 Dec 1999", "GMT"] {
            assert_eq!(wanted(&answer(429, nonsense)), None, "{nonsense}");
        }
        assert_eq!(wanted(&answer(429, "Fri, 31 Dec 1999 23:59:59 GMT")), Some(Duration::ZERO), "it is past");
    }

    #[test]
    fn the_date_of_http_is_read() {
        let date = http_date("Tue, 09 Sep 2025 01:11:47 GMT").unwrap();
        assert_eq!(crate::commands::rfc3339(date), "2025-09-09T01:11:47Z");
    }
}
