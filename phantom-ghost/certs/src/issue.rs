//! One certificate from an authority, in force afterwards: used again while it is fresh, else obtained, checked, stored.

use std::path::PathBuf;
use std::time::Duration;

use phantom_types::{HostName, Timestamp};

use crate::acme::{self, AcmeError, Obtained, OrderRequest};
use crate::challenge::Challenger;
use crate::inspect::{Inspected, inspect};
use crate::pair::CertificatePair;
use crate::schedule::Life;
use crate::store::{CertPaths, CertStore};

/// How long an issuance may take when nothing else is said: two validations and the authority's own delays.
pub const TIME_LIMIT: Duration = Duration::from_mins(5);

/// What is wanted.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// A DNS name or an address.
    pub name: HostName,
    /// The URL of the authority's ACME directory.
    pub directory: String,
    /// A PEM file with the certificates to trust when speaking to the authority, in place of the public ones.
    pub ca_file: Option<PathBuf>,
    /// How long everything together may take.
    pub time_limit: Duration,
    /// A new certificate even though the stored one is fresh.
    pub renew: bool,
}

/// A certificate that is in force in the store.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Chain and key.
    pub pair: CertificatePair,
    /// From when until when, and which.
    pub inspected: Inspected,
    /// Its files.
    pub paths: CertPaths,
    /// It was there before.
    pub reused: bool,
    /// What should be looked at although it went well: a kind of challenge that did not do.
    pub warnings: Vec<String>,
}

impl Inspected {
    /// From when until when it is valid.
    pub const fn life(&self) -> Life {
        Life { not_before: self.not_before, not_after: self.not_after }
    }
}

/// The stored certificate for `name` from `origin` (an ACME directory's URL or
/// [`SELF_SIGNED`](crate::store::SELF_SIGNED)), if it is usable and at least a third of its life is left.
pub fn stored(
    store: &CertStore,
    name: &HostName,
    origin: &str,
    now: Timestamp,
) -> Result<Option<Issued>, AcmeError> {
    let Some(stored) = store.read(name)?.filter(|stored| stored.origin == origin) else {
        return Ok(None);
    };
    let fresh = inspect(&stored.pair, name, now).ok().filter(|seen| seen.life().is_fresh(now));
    let issued = |inspected| Issued {
        pair: stored.pair,
        inspected,
        paths: store.paths(name),
        reused: true,
        warnings: Vec::new(),
    };
    Ok(fresh.map(issued))
}

/// Brings a certificate from the authority into force. What is in force stays so until the new one was obtained, checked
/// (see [`inspect`](crate::inspect())) and written.
pub async fn issue(
    request: &CertificateRequest,
    store: &CertStore,
    challenger: &dyn Challenger,
    clock: &(dyn Fn() -> Timestamp + Sync),
) -> Result<Issued, AcmeError> {
    let CertificateRequest { name, directory, .. } = request;
    if !request.renew
        && let Some(issued) = stored(store, name, directory, clock())?
    {
        return Ok(issued);
    }
    let before = store.read(name)?.filter(|stored| stored.origin == *directory);
    let wanted = OrderRequest {
        name,
        directory,
        ca_file: request.ca_file.as_deref(),
        time_limit: request.time_limit,
        replaces: before.as_ref().map(|stored| stored.pair.chain_pem.as_str()),
    };
    let Obtained { pair, by, tried } = acme::obtain(wanted, store, challenger).await?;
    let warnings = tried.into_iter().map(|(kind, cause)| format!("{kind}: {cause}")).collect();
    let inspected = inspect(&pair, name, clock()).map_err(AcmeError::Unusable)?;
    let paths = store.write_obtained(name, &pair, directory, Some(by))?;
    Ok(Issued { pair, inspected, paths, reused: false, warnings })
}
