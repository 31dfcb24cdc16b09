//! The one-shot verbs as programs see them: a request in JSON, an answer in one line of JSON, and an exit code.
//!
//! | verb | request | answer |
//! |---|---|---|
//! | [`issue`] | `domain`, `directory`, `certs_dir`, and if wanted `ca_file`, `control`, `listen` (addresses), `tls_alpn_port` (443), `http01_port` (80), `time_limit` (300, seconds), `renew` (false) | `cert_path`, `key_path`, `expires_at`, `reused`, and `warnings` when there are any |
//! | [`self_sign`] | `domain`, `certs_dir` | the same |
//! | [`inspect`] | `cert_path`, `key_path`, `domain`, and if wanted `at_any_time` (false: it has to be valid now) | `not_before`, `expires_at`, `fingerprint_sha256` |
//!
//! `domain` is a DNS name or an address; times are RFC 3339 in UTC (`2025-12-08T00:41:20Z`). A failure is
//! `{"error":{"kind":…,"detail":…}}` with exit code 1; the detail is a sentence in English without secrets.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use phantom_types::{HostName, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::acme::AcmeError;
use crate::causes::with_causes;
use crate::challenge::{Challenger, Listeners, Split};
use crate::inspect::InspectError;
use crate::issue::{self as issuance, CertificateRequest, Issued};
use crate::self_sign::SelfSignError;
use crate::store::{CertStore, CertStoreError, SELF_SIGNED};

/// What a program prints, and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandReply {
    /// One line of JSON, without its end.
    pub line: String,
    /// 0, or 1 for an error.
    pub exit_code: u8,
}

/// Makes a challenger for `tls-alpn-01` from the control socket of a server that runs on the port.
pub type ByControl<'a> = &'a dyn Fn(&Path) -> Box<dyn Challenger>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IssueRequest {
    domain: HostName,
    directory: String,
    certs_dir: PathBuf,
    ca_file: Option<PathBuf>,
    control: Option<PathBuf>,
    #[serde(default)]
    listen: Vec<IpAddr>,
    #[serde(default = "https")]
    tls_alpn_port: u16,
    #[serde(default = "http")]
    http01_port: u16,
    #[serde(default = "time_limit")]
    time_limit: u64,
    #[serde(default)]
    renew: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SelfSignRequest {
    domain: HostName,
    certs_dir: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InspectRequest {
    cert_path: PathBuf,
    key_path: PathBuf,
    domain: HostName,
    #[serde(default)]
    at_any_time: bool,
}

#[derive(Debug, Serialize)]
struct IssueAnswer {
    cert_path: PathBuf,
    key_path: PathBuf,
    expires_at: String,
    reused: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct InspectAnswer {
    not_before: String,
    expires_at: String,
    fingerprint_sha256: String,
}

#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("the request on standard input is not usable")]
    Request(#[source] serde_json::Error),
    #[error("the runtime could not be started")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Acme(#[from] AcmeError),
    #[error(transparent)]
    Store(#[from] CertStoreError),
    #[error(transparent)]
    SelfSign(#[from] SelfSignError),
    #[error(transparent)]
    Inspect(#[from] InspectError),
}

/// Brings an ACME certificate into force, or says which one already is. With `control` in the request `tls-alpn-01` is
/// answered by the server behind that socket, else by a listener of its own; `http-01` always by a listener.
/// `by_control` is asked for the former. Blocks until done.
pub fn issue(request: &[u8], clock: fn() -> Timestamp, by_control: ByControl<'_>) -> CommandReply {
    reply(run_issue(request, clock, by_control))
}

/// Brings a self-signed certificate into force, or says which one already is.
pub fn self_sign(request: &[u8], clock: fn() -> Timestamp) -> CommandReply {
    reply(run_self_sign(request, clock()))
}

/// Checks a certificate and key in two files.
pub fn inspect(request: &[u8], clock: fn() -> Timestamp) -> CommandReply {
    reply(run_inspect(request, clock()))
}

/// A time as RFC 3339 has it, in UTC and to the second.
pub fn rfc3339(time: Timestamp) -> String {
    let mut text = Timestamp::from_micros(time.seconds().saturating_mul(1_000_000)).to_string();
    text.truncate(text.find('.').unwrap_or(text.len()));
    text + "Z"
}

fn run_issue(
    request: &[u8],
    clock: fn() -> Timestamp,
    by_control: ByControl<'_>,
) -> Result<IssueAnswer, CommandError> {
    let request: IssueRequest = read(request)?;
    let store = CertStore::open(&request.certs_dir)?;
    let listeners = Listeners::new(request.listen, request.tls_alpn_port, request.http01_port);
    let wanted = CertificateRequest {
        name: request.domain,
        directory: request.directory,
        ca_file: request.ca_file,
        time_limit: Duration::from_secs(request.time_limit),
        renew: request.renew,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let issued = runtime.block_on(async {
        match &request.control {
            Some(control) => {
                let split = Split { tls_alpn: by_control(control), http: listeners };
                issuance::issue(&wanted, &store, &split, &clock).await
            }
            None => issuance::issue(&wanted, &store, &listeners, &clock).await,
        }
    });
    // Look-ups of names run on threads that nothing waits for.
    runtime.shutdown_background();
    Ok(issue_answer(issued?))
}

fn run_self_sign(request: &[u8], now: Timestamp) -> Result<IssueAnswer, CommandError> {
    let SelfSignRequest { domain, certs_dir } = read(request)?;
    let store = CertStore::open(&certs_dir)?;
    if let Some(issued) = issuance::stored(&store, &domain, SELF_SIGNED, now)? {
        return Ok(issue_answer(issued));
    }
    let pair = crate::self_sign(&domain, now)?;
    let inspected = crate::inspect(&pair, &domain, now)?;
    let paths = store.write(&domain, &pair, SELF_SIGNED)?;
    Ok(issue_answer(Issued { pair, inspected, paths, reused: false, warnings: Vec::new() }))
}

fn run_inspect(request: &[u8], now: Timestamp) -> Result<InspectAnswer, CommandError> {
    let InspectRequest { cert_path, key_path, domain, at_any_time } = read(request)?;
    let pair = crate::inspect::read(&cert_path, &key_path)?;
    let seen = if at_any_time {
        crate::inspect::inspect_timeless(&pair, &domain)?
    } else {
        crate::inspect(&pair, &domain, now)?
    };
    Ok(InspectAnswer {
        not_before: rfc3339(seen.not_before),
        expires_at: rfc3339(seen.not_after),
        fingerprint_sha256: seen.fingerprint_sha256,
    })
}

fn issue_answer(issued: Issued) -> IssueAnswer {
    IssueAnswer {
        cert_path: issued.paths.chain,
        key_path: issued.paths.key,
        expires_at: rfc3339(issued.inspected.not_after),
        reused: issued.reused,
        warnings: issued.warnings,
    }
}

fn read<T: DeserializeOwned>(request: &[u8]) -> Result<T, CommandError> {
    serde_json::from_slice(request).map_err(CommandError::Request)
}

fn reply<T: Serialize>(result: Result<T, CommandError>) -> CommandReply {
    let (value, exit_code) = match result {
        Ok(answer) => (serde_json::json!(answer), 0),
        Err(error) => {
            (serde_json::json!({ "error": { "kind": error.kind(), "detail": with_causes(&error) } }), 1)
        }
    };
    CommandReply { line: value.to_string(), exit_code }
}

impl CommandError {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Runtime(_) => "internal",
            Self::Acme(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::SelfSign(_) => "self_sign",
            Self::Inspect(error) => error.kind(),
        }
    }
}

const fn https() -> u16 {
    443
}

const fn http() -> u16 {
    80
}

const fn time_limit() -> u64 {
    issuance::TIME_LIMIT.as_secs()
}

#[cfg(test)]
mod tests;
