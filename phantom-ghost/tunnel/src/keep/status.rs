//! What the keeper tells about itself, in a file that `ghost status` reads.

use phantom_certs::schedule::Schedule;
use phantom_types::Timestamp;
use serde::Serialize;

use super::file::Source;

/// The status file's content. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    /// The server has acknowledged its configuration and the connection to it stands.
    pub(super) serving: bool,
    /// Where the certificate in force comes from; null before there is one.
    pub(super) source: Option<Source>,
    pub(super) expires_at: Option<String>,
    pub(super) renewal: Renewal,
    /// When the next renewal is attempted; null when nothing is renewed here.
    pub(super) next_attempt: Option<String>,
    /// The newest error that still holds.
    pub(super) last_error: Option<String>,
    /// What the operator has to do something about soon.
    pub(super) alarm: Option<String>,
}

/// Who renews the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Renewal {
    Automatic,
    Operator,
    None,
}

impl From<Option<Source>> for Renewal {
    fn from(source: Option<Source>) -> Self {
        match source {
            Some(Source::Acme) => Self::Automatic,
            Some(Source::Operator) => Self::Operator,
            Some(Source::SelfSigned) | None => Self::None,
        }
    }
}

/// The next attempt, to the second: a status that changed all the time would be written all the time.
pub(super) fn next_attempt(schedule: Option<&Schedule>, now: Timestamp) -> Option<String> {
    schedule.map(|schedule| phantom_certs::commands::rfc3339(schedule.next(now)))
}
