//! What can go wrong between us and a certificate authority.

use std::path::PathBuf;
use std::time::Duration;

use instant_acme::Problem;
use phantom_types::{HostName, Timestamp};

use crate::challenge::ChallengeKind;
use crate::inspect::InspectError;
use crate::schedule::LONGEST_BAR;
use crate::store::CertStoreError;

/// How long an authority is left alone whose limit is used up and that does not say until when.
const LIMITED: Duration = Duration::from_hours(1);
/// Longest text of an authority that is repeated.
const TEXT_MAX: usize = 500;

/// No certificate was obtained. What was in force still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcmeError {
    /// The file with the certificates to trust is not usable.
    #[error("{path}, the certificates to trust for this ACME directory, cannot be used: {detail}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The authority could not be reached or did not answer as ACME has it.
    #[error("the certificate authority could not be used to {step}: {detail}")]
    Protocol {
        /// What was to be done.
        step: &'static str,
        /// What happened.
        detail: String,
    },
    /// The authority answered with a problem document (RFC 8555, section 6.7).
    #[error("the certificate authority refused to {step}: {detail} ({problem})")]
    Refused {
        /// What was to be done.
        step: &'static str,
        /// The last part of the problem's type, such as `rateLimited`.
        problem: String,
        /// The authority's own words, at most 500 characters.
        detail: String,
    },
    /// It failed, and the authority takes no further request for a while: a limit of its own is used up, or it is busy.
    #[error("{cause}; the certificate authority takes requests again from {} UTC", .until.date_and_time())]
    Wait {
        /// What failed.
        #[source]
        cause: Box<AcmeError>,
        /// From when it takes requests again.
        until: Timestamp,
        /// The same as a span from now.
        wait: Duration,
    },
    /// The authority did not see that the name is ours.
    #[error("the certificate authority did not find {name} here: {}", causes(.tried))]
    Validation {
        /// The name.
        name: HostName,
        /// What was tried and what became of it, in the authority's words (at most 500 characters each).
        tried: Vec<(ChallengeKind, String)>,
    },
    /// Everything together took too long.
    #[error("no certificate was issued within {} seconds", .limit.as_secs())]
    TimeLimit {
        /// The limit.
        limit: Duration,
    },
    /// The key or the request for the certificate could not be made.
    #[error("the key or the certificate's request could not be made")]
    Key(#[source] rcgen::Error),
    /// The authority issued what cannot be used.
    #[error("the certificate that was issued cannot be used")]
    Unusable(#[source] InspectError),
    /// The certificate directory could not be used.
    #[error("the certificate directory could not be used")]
    Store(#[from] CertStoreError),
}

impl AcmeError {
    /// A word for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::CaFile { .. } => "ca_file",
            Self::Protocol { .. } => "acme_unavailable",
            Self::Refused { .. } => "acme_refused",
            Self::Wait { .. } => "acme_wait",
            Self::Validation { .. } => "acme_validation",
            Self::TimeLimit { .. } => "acme_time_limit",
            Self::Key(_) => "key",
            Self::Unusable(_) => "acme_unusable",
            Self::Store(error) => error.kind(),
        }
    }

    /// How long the authority is not to be asked again, if it said so.
    pub fn wait(&self) -> Duration {
        if let Self::Wait { wait, .. } = self { *wait } else { Duration::ZERO }
    }

    /// The error with what the authority said about when it can be asked again.
    pub(super) fn with_pause(self, pause: Option<Duration>, now: Timestamp) -> Self {
        let limited = matches!(&self, Self::Refused { problem, .. } if problem == "rateLimited");
        let wait = pause.or_else(|| limited.then_some(LIMITED)).filter(|wait| !wait.is_zero());
        let Some(wait) = wait else { return self };
        // Years are nothing to add to a time.
        let wait = wait.min(LONGEST_BAR);
        let until = now.micros().saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
        Self::Wait { cause: Box::new(self), until: Timestamp::from_micros(until), wait }
    }

    pub(super) fn at_step(step: &'static str, error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem) => {
                Self::Refused { step, problem: kind(&problem).to_owned(), detail: words(&problem) }
            }
            other => Self::Protocol { step, detail: printable(&other.to_string()) },
        }
    }
}

/// The last part of a problem's type: `urn:ietf:params:acme:error:badNonce` is `badNonce`.
pub(super) fn kind(problem: &Problem) -> &str {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind.rsplit(':').next().unwrap_or_default();
    let word = (1..=64).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if word { kind } else { "unknown problem" }
}

/// What a problem document says, without its type.
pub(super) fn words(problem: &Problem) -> String {
    let mut texts: Vec<&str> = problem.detail.as_deref().into_iter().collect();
    texts.extend(problem.subproblems.iter().filter_map(|sub| sub.detail.as_deref()));
    if texts.is_empty() { "it gives no reason".to_owned() } else { printable(&texts.join("; ")) }
}

/// Text of strangers, fit to be shown on a terminal.
pub(super) fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) { ' ' } else { c };
    let mut short: String = text.chars().map(clean).take(TEXT_MAX).collect();
    if text.chars().count() > TEXT_MAX {
        short.extend(["…"]);
    }
    short
}

fn causes(tried: &[(ChallengeKind, String)]) -> String {
    tried.iter().map(|(kind, cause)| format!("{kind}: {cause}")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authoritys_words_are_bounded_and_printable() {
        let problem: Problem = serde_json::from_value(serde_json::json!({
            "type": "urn:ietf:params:acme:error:rateLimited", "status": 429,
            "detail": format!("too many\u{1b}[31m\n{}", "x".repeat(10_000)),
        }))
        .unwrap();
        let error = AcmeError::at_step("order a certificate", instant_acme::Error::Api(problem));
        let text = error.to_string();
        assert!(
            text.starts_with("the certificate authority refused to order a certificate: too many [31m xxx"),
            "{text}"
        );
        assert!(text.ends_with("x… (rateLimited)"), "{text}");
        assert!(text.chars().count() < 600 && !text.contains(char::is_control));
    }

    #[test]
    fn odd_problems_have_texts_too() {
        let problem = |value| serde_json::from_value::<Problem>(value).unwrap();
        let empty = problem(serde_json::json!({}));
        assert_eq!((kind(&empty), words(&empty).as_str()), ("unknown problem", "it gives no reason"));
        let odd = problem(
            serde_json::json!({"type": "<script>", "subproblems": [{"detail": "one"}, {"detail": "two"}]}),
        );
        assert_eq!((kind(&odd), words(&odd).as_str()), ("unknown problem", "one; two"));
    }

    #[test]
    fn rate_limit_says_when_to_retry() {
        let now = Timestamp::from_micros(1_757_380_307_000_000);
        let refused = |problem: &str| AcmeError::Refused {
            step: "take an order",
            problem: problem.to_owned(),
            detail: "too many certificates (5) already issued".to_owned(),
        };
        let error = refused("rateLimited").with_pause(Some(Duration::from_hours(34)), now);
        assert_eq!((error.kind(), error.wait()), ("acme_wait", Duration::from_hours(34)));
        assert_eq!(
            error.to_string(),
            "the certificate authority refused to take an order: too many certificates (5) already issued (rateLimited); \
             the certificate authority takes requests again from 2025-09-10 11:11:47 UTC"
        );
        assert_eq!(refused("rateLimited").with_pause(None, now).wait(), LIMITED);
        assert_eq!(refused("malformed").with_pause(None, now).wait(), Duration::ZERO);
        assert_eq!(refused("malformed").with_pause(None, now).kind(), "acme_refused");
        assert_eq!(refused("serverInternal").with_pause(Some(Duration::MAX), now).wait(), LONGEST_BAR);
    }

    #[test]
    fn what_was_tried_is_told() {
        let tried = vec![
            (ChallengeKind::TlsAlpn, "timeout".to_owned()),
            (ChallengeKind::Http, "connection refused".to_owned()),
        ];
        let error = AcmeError::Validation { name: "vpn.example.com".parse().unwrap(), tried };
        assert_eq!(
            error.to_string(),
            "the certificate authority did not find vpn.example.com here: \
             tls-alpn-01: timeout; http-01: connection refused"
        );
    }
}
