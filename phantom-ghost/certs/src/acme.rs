//! Obtains a certificate from an authority that speaks ACME (RFC 8555; addresses: RFC 8738).

mod advice;
mod error;
mod http;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use phantom_types::HostName;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::causes::with_causes;
use crate::challenge::{ChallengeError, ChallengeKind, ChallengeResponse, Challenger};
use crate::pair::{CertificatePair, KeyPem};
use crate::store::CertStore;
use http::{Https, Pause};

pub use advice::{Advice, RenewalQuery, advice};
pub use error::AcmeError;

/// Let's Encrypt's directory.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// The profile under which authorities certify addresses: six days.
const ADDRESS_PROFILE: &str = "shortlived";
/// How often a request is repeated whose nonce was rejected (RFC 8555, section 6.5). The library itself tries three
/// times: together no rate of rejection that occurs is a reason to fail.
const NONCE_RETRIES: usize = 10;
/// How long an authority may take to validate or to issue.
const POLL: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_mins(1));
/// How long the taking away of an answer may last.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// What to obtain, and from whom.
#[derive(Clone, Copy, Debug)]
pub struct OrderRequest<'a> {
    /// A DNS name or an address.
    pub name: &'a HostName,
    /// The URL of the authority's directory; `https` only.
    pub directory: &'a str,
    /// A PEM file with the certificates to trust when speaking to the authority, in place of the public ones.
    pub ca_file: Option<&'a Path>,
    /// How long everything together may take.
    pub time_limit: Duration,
    /// The chain of the certificate that the new one takes the place of, PEM. Authorities that are told (RFC 9773, section 5) do not
    /// count it against their limits.
    pub replaces: Option<&'a str>,
}

/// A new certificate.
#[derive(Clone, Debug)]
pub struct Obtained {
    /// Chain and key.
    pub pair: CertificatePair,
    /// The kind of challenge that did.
    pub by: ChallengeKind,
    /// The kinds of challenge that were tried in vain before one did, and what became of them.
    pub tried: Vec<(ChallengeKind, String)>,
}

/// Obtains a new certificate with a new P-256 key. `tls-alpn-01` is tried first, then `http-01`; the challenger's answers
/// are taken away again in every case. The account is made at the first use of a directory, kept in the store, and made
/// again when the authority does not know it any more. The certificate itself is neither checked nor stored.
pub async fn obtain(
    wanted: OrderRequest<'_>,
    store: &CertStore,
    challenger: &dyn Challenger,
) -> Result<Obtained, AcmeError> {
    let installed = Installed { challenger, answer: Mutex::new(None) };
    let pause = Pause::default();
    let result = timeout(wanted.time_limit, run(wanted, store, &pause, &installed)).await;
    installed.remove().await;
    let result = result.unwrap_or(Err(AcmeError::TimeLimit { limit: wanted.time_limit }));
    result.map_err(|error| error.with_pause(pause.get(), crate::now()))
}

/// The answer that is visible at the moment.
struct Installed<'c> {
    challenger: &'c dyn Challenger,
    answer: Mutex<Option<ChallengeResponse>>,
}

struct Session<'a> {
    wanted: OrderRequest<'a>,
    store: &'a CertStore,
    pause: &'a Pause,
    account: Account,
    /// The account comes from the store, so that the authority may have forgotten it.
    stored: bool,
}

/// Why one kind of challenge did not lead to a certificate.
enum Failure {
    /// Another kind may.
    Validation(String),
    /// Nothing will at the moment.
    Final(AcmeError),
}

impl Installed<'_> {
    async fn install(&self, answer: ChallengeResponse) -> Result<(), ChallengeError> {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.clone());
        self.challenger.install(&answer).await
    }

    async fn remove(&self) {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(answer) = answer {
            // An answer that stays is useless to anybody else: the token was for this order.
            drop(timeout(CLEAN_UP, self.challenger.remove(&answer)).await);
        }
    }
}

async fn run(
    wanted: OrderRequest<'_>,
    store: &CertStore,
    pause: &Pause,
    installed: &Installed<'_>,
) -> Result<Obtained, AcmeError> {
    let mut session = Session::open(wanted, store, pause).await?;
    let mut tried = Vec::new();
    for kind in [ChallengeKind::TlsAlpn, ChallengeKind::Http] {
        match session.attempt(kind, installed).await {
            Ok(pair) => return Ok(Obtained { pair, by: kind, tried }),
            Err(Failure::Validation(cause)) => {
                tried.push((kind, cause));
                // The other kind would be another request.
                if pause.get().is_some() {
                    break;
                }
            }
            Err(Failure::Final(error)) => return Err(error),
        }
    }
    Err(AcmeError::Validation { name: wanted.name.clone(), tried })
}

impl<'a> Session<'a> {
    async fn open(
        wanted: OrderRequest<'a>,
        store: &'a CertStore,
        pause: &'a Pause,
    ) -> Result<Self, AcmeError> {
        let stored = store.account(wanted.directory)?;
        // Credentials that do not parse are as good as none: an account costs nothing.
        let credentials = stored.and_then(|text| serde_json::from_str::<AccountCredentials>(&text).ok());
        let Some(credentials) = credentials else {
            let account = register(wanted, store, pause).await?;
            return Ok(Self { wanted, store, pause, account, stored: false });
        };
        let builder = Account::builder_with_http(Box::new(Https::new(wanted.ca_file, pause.clone())?));
        let account = builder.from_credentials(credentials).await;
        let account = account.map_err(|error| AcmeError::at_step("read its directory", error))?;
        Ok(Self { wanted, store, pause, account, stored: true })
    }

    async fn attempt(
        &mut self,
        kind: ChallengeKind,
        installed: &Installed<'_>,
    ) -> Result<CertificatePair, Failure> {
        let mut order = self.order().await?;
        let validated = validate(&mut order, kind, self.wanted.name, installed).await;
        installed.remove().await;
        validated?;
        Ok(finalize(&mut order, self.wanted.name, self.pause).await?)
    }

    async fn order(&mut self) -> Result<Order, AcmeError> {
        match self.new_order().await {
            Err(instant_acme::Error::Api(problem)) if self.stored && forgotten(error::kind(&problem)) => {
                self.account = register(self.wanted, self.store, self.pause).await?;
                self.stored = false;
                self.new_order().await
            }
            other => other,
        }
        .map_err(|error| AcmeError::at_step("take an order", error))
    }

    async fn new_order(&self) -> Result<Order, instant_acme::Error> {
        let identifiers = [match self.wanted.name {
            HostName::Ip(address) => Identifier::Ip(*address),
            HostName::Domain(domain) => Identifier::Dns(domain.to_string()),
        }];
        let profile = self.wanted.name.ip().is_some()
            && self.account.profiles().any(|profile| profile.name == ADDRESS_PROFILE);
        let wish = || {
            let wish = NewOrder::new(&identifiers);
            if profile { wish.profile(ADDRESS_PROFILE) } else { wish }
        };
        if let Some(replaced) = self.wanted.replaces.and_then(advice::identifier) {
            let replacing = wish().replaces(replaced);
            match persist(async || self.account.new_order(&replacing).await).await {
                Err(error) if is_about_replacing(&error) => {}
                other => return other,
            }
        }
        let wish = wish();
        persist(async || self.account.new_order(&wish).await).await
    }
}

/// Whether an order may be taken that replaces nothing: the authority knows no replacing, or another order has replaced the
/// certificate, or another account has it (RFC 9773, section 5).
fn is_about_replacing(error: &instant_acme::Error) -> bool {
    match error {
        instant_acme::Error::Unsupported(_) => true,
        instant_acme::Error::Api(problem) => {
            matches!(error::kind(problem), "alreadyReplaced" | "malformed" | "unauthorized")
        }
        // The library's words for an authority that does not repeat the wish.
        instant_acme::Error::Other(other) => other.to_string().starts_with("replaces field mismatch"),
        _ => false,
    }
}

async fn register(wanted: OrderRequest<'_>, store: &CertStore, pause: &Pause) -> Result<Account, AcmeError> {
    let wish = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let https =
        || Https::new(wanted.ca_file, pause.clone()).map(|https| Account::builder_with_http(Box::new(https)));
    // Checked once here, so that a wrong file is told as such and not as a failed request.
    https()?;
    let made = persist(async || {
        let builder = https().map_err(|error| instant_acme::Error::Other(error.into()))?;
        builder.create(&wish, wanted.directory.to_owned(), None).await
    })
    .await;
    let (account, credentials) = made.map_err(|error| AcmeError::at_step("make an account", error))?;
    let text = serde_json::to_string(&credentials);
    let text =
        text.map_err(|error| AcmeError::Protocol { step: "keep the account", detail: error.to_string() })?;
    store.put_account(wanted.directory, &Zeroizing::new(text))?;
    Ok(account)
}

/// Brings the order to where it can be finalized.
async fn validate(
    order: &mut Order,
    kind: ChallengeKind,
    name: &HostName,
    installed: &Installed<'_>,
) -> Result<(), Failure> {
    // Ready at once when the authority remembers an earlier validation.
    if order.state().status == OrderStatus::Ready {
        return Ok(());
    }
    let answer = persist(async || answer(order, kind, name).await);
    if let Some(answer) = answer.await.map_err(|error| AcmeError::at_step("tell its challenges", error))? {
        if let Err(error) = installed.install(answer?).await {
            return Err(Failure::Validation(with_causes(&error)));
        }
        let ready = persist(async || set_ready(order, kind).await).await;
        ready.map_err(|error| {
            Failure::Validation(AcmeError::at_step("begin the validation", error).to_string())
        })?;
    }
    match persist(async || order.poll_ready(&POLL).await).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => Ok(()),
        Ok(_) | Err(instant_acme::Error::Api(_)) => Err(Failure::Validation(cause(order, kind).await)),
        Err(instant_acme::Error::Timeout(_)) => {
            Err(Failure::Validation("the validation did not end within a minute".to_owned()))
        }
        Err(error) => Err(AcmeError::at_step("validate", error).into()),
    }
}

/// The answer that the order's one authorization wants; nothing when it is valid already, and an inner error when this
/// kind of challenge will not do.
async fn answer(
    order: &mut Order,
    kind: ChallengeKind,
    name: &HostName,
) -> Result<Option<Result<ChallengeResponse, Failure>>, instant_acme::Error> {
    let mut authorizations = order.authorizations();
    let Some(authorization) = authorizations.next().await else {
        return Ok(None);
    };
    let mut authorization = authorization?;
    if authorization.status == AuthorizationStatus::Valid {
        return Ok(None);
    }
    let Some(challenge) = authorization.challenge(kind.into()) else {
        return Ok(Some(Err(Failure::Validation("the authority does not offer it".to_owned()))));
    };
    let key_authorization = challenge.key_authorization();
    Ok(Some(match kind {
        ChallengeKind::Http => Ok(ChallengeResponse::Http {
            token: challenge.token.clone(),
            body: key_authorization.as_str().to_owned(),
        }),
        ChallengeKind::TlsAlpn => {
            let mut digest = [0; 32];
            digest.copy_from_slice(key_authorization.digest().as_ref());
            ChallengeResponse::tls_alpn(name, &digest).map_err(|error| Failure::Validation(error.to_string()))
        }
    }))
}

async fn set_ready(order: &mut Order, kind: ChallengeKind) -> Result<(), instant_acme::Error> {
    let mut authorizations = order.authorizations();
    if let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if let Some(mut challenge) = authorization.challenge(kind.into()) {
            challenge.set_ready().await?;
        }
    }
    Ok(())
}

/// Why a validation failed, in the authority's words.
async fn cause(order: &mut Order, kind: ChallengeKind) -> String {
    let refreshed = persist(async || {
        let mut authorizations = order.authorizations();
        let Some(authorization) = authorizations.next().await else {
            return Ok(None);
        };
        let mut authorization = authorization?;
        let state = authorization.refresh().await?;
        let challenge = state.challenges.iter().find(|challenge| challenge.r#type == kind.into());
        Ok(challenge
            .and_then(|challenge| challenge.error.as_ref())
            .map(|problem| format!("{} ({})", error::words(problem), error::kind(problem))))
    });
    refreshed.await.ok().flatten().unwrap_or_else(|| "the authority gives no reason".to_owned())
}

async fn finalize(order: &mut Order, name: &HostName, pause: &Pause) -> Result<CertificatePair, AcmeError> {
    let mut params = CertificateParams::new(vec![name.to_string()]).map_err(AcmeError::Key)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AcmeError::Key)?;
    let request = params.serialize_request(&key).map_err(AcmeError::Key)?;
    let issued = persist(async || order.finalize_csr(request.der()).await);
    issued.await.map_err(|error| AcmeError::at_step("issue the certificate", error))?;
    let chain = persist(async || order.poll_certificate(&POLL).await).await;
    let chain_pem = chain.map_err(|error| {
        // It wants to be asked later than we wait here.
        if let instant_acme::Error::Timeout(Some(next)) = &error {
            pause.set(Some(next.saturating_duration_since(std::time::Instant::now())));
        }
        AcmeError::at_step("hand the certificate over", error)
    })?;
    Ok(CertificatePair { chain_pem, key_pem: KeyPem::new(key.serialize_pem()) })
}

/// Repeats a step while its nonce is rejected.
async fn persist<T>(
    mut step: impl AsyncFnMut() -> Result<T, instant_acme::Error>,
) -> Result<T, instant_acme::Error> {
    for _ in 1..NONCE_RETRIES {
        match step().await {
            Err(instant_acme::Error::Api(problem)) if error::kind(&problem) == "badNonce" => {}
            other => return other,
        }
    }
    step().await
}

/// Whether an authority that says this about an order does not know or want the account (RFC 8555, section 6.7;
/// `unauthorized` is what a deactivated one gets).
fn forgotten(problem: &str) -> bool {
    matches!(problem, "accountDoesNotExist" | "unauthorized")
}

impl From<ChallengeKind> for ChallengeType {
    fn from(kind: ChallengeKind) -> Self {
        match kind {
            ChallengeKind::TlsAlpn => Self::TlsAlpn01,
            ChallengeKind::Http => Self::Http01,
        }
    }
}

impl From<AcmeError> for Failure {
    fn from(error: AcmeError) -> Self {
        Self::Final(error)
    }
}
