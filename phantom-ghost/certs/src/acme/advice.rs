//! When an authority suggests to renew a certificate (ACME Renewal Information, RFC 9773).

use std::path::Path;
use std::time::Duration;

use instant_acme::{Account, AccountCredentials, CertificateIdentifier};
use phantom_types::Timestamp;
use time::OffsetDateTime;
use tokio::time::timeout;

use super::http::{Https, Pause};
use super::{AcmeError, error};
use crate::inspect::chain;
use crate::schedule::Window;
use crate::store::CertStore;

/// How often an authority is asked at least, and at most (RFC 9773, section 4.3.2).
const ASK_AGAIN: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(24));

/// What an authority says about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// When to renew it.
    pub window: Window,
    /// After how long it is to be asked again: one minute to a day.
    pub again: Duration,
}

/// A question to an authority about a certificate.
#[derive(Clone, Copy, Debug)]
pub struct RenewalQuery<'a> {
    /// The URL of the authority's directory; `https` only.
    pub directory: &'a str,
    /// A PEM file with the certificates to trust when speaking to the authority, in place of the public ones.
    pub ca_file: Option<&'a Path>,
    /// The chain of the certificate, PEM.
    pub chain_pem: &'a str,
    /// How long everything together may take.
    pub time_limit: Duration,
}

/// Asks an authority when to renew a certificate. `None`: it does not say, as many do not, or the certificate is not its own.
pub async fn advice(asked: RenewalQuery<'_>, store: &CertStore) -> Result<Option<Advice>, AcmeError> {
    let pause = Pause::default();
    let asking = timeout(asked.time_limit, ask(asked, store, &pause));
    let answer = asking.await.unwrap_or(Err(AcmeError::TimeLimit { limit: asked.time_limit }));
    answer.map_err(|error| error.with_pause(pause.get(), crate::now()))
}

async fn ask(asked: RenewalQuery<'_>, store: &CertStore, pause: &Pause) -> Result<Option<Advice>, AcmeError> {
    let stored = store.account(asked.directory)?;
    let credentials = stored.and_then(|text| serde_json::from_str::<AccountCredentials>(&text).ok());
    let (Some(credentials), Some(identifier)) = (credentials, identifier(asked.chain_pem)) else {
        return Ok(None);
    };
    let builder = Account::builder_with_http(Box::new(Https::new(asked.ca_file, pause.clone())?));
    let account = builder.from_credentials(credentials).await;
    let account = account.map_err(|error| AcmeError::at_step("read its directory", error))?;
    let (info, again) = match account.renewal_info(&identifier).await {
        Ok(said) => said,
        Err(instant_acme::Error::Unsupported(_)) => return Ok(None),
        Err(error) => return Err(AcmeError::at_step("say when to renew", error)),
    };
    let [start, end] = [info.suggested_window.start, info.suggested_window.end].map(timestamp);
    if start > end {
        let detail = error::printable("its window ends before it begins");
        return Err(AcmeError::Protocol { step: "say when to renew", detail });
    }
    let again = again.clamp(ASK_AGAIN.0, ASK_AGAIN.1);
    Ok(Some(Advice { window: Window { start, end }, again }))
}

/// What an authority knows a certificate by; `None` for one that does not say by which key it was signed.
pub(super) fn identifier(chain_pem: &str) -> Option<CertificateIdentifier<'static>> {
    let chain = chain(chain_pem).ok()?;
    CertificateIdentifier::try_from(chain.first()?).ok().map(CertificateIdentifier::into_owned)
}

fn timestamp(time: OffsetDateTime) -> Timestamp {
    Timestamp::from_micros(i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX))
}
