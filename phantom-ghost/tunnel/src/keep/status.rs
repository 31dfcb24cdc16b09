//! What the keeper tells about itself, in a file that `ghost status` reads.

use std::path::Path;
use std::time::Duration;

use phantom_certs::commands::rfc3339;
use phantom_certs::schedule::Schedule;
use phantom_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::file::{KeeperFile, Source};

/// The status file's content. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    /// The server has acknowledged its configuration and the connection to it stands.
    pub(super) serving: bool,
    /// Where the certificate in force comes from; null before there is one, and where a web server in front has it.
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

/// What is written: the status of a keeper that runs, and what a next keeper has to know.
#[derive(Serialize)]
pub(super) struct Written<'s> {
    #[serde(flatten)]
    pub(super) status: Option<&'s Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<Failed>,
}

/// Why an attempt to get a certificate failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) text: String,
    /// How long the authority takes no request.
    pub(super) bar: Duration,
}

impl From<String> for Missed {
    fn from(text: String) -> Self {
        Self { text, bar: Duration::ZERO }
    }
}

impl From<&str> for Missed {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Attempts in a row to get a certificate that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) times: u32,
    /// When the last one did.
    at: String,
    /// Why it did.
    pub(super) why: String,
    /// For how many seconds from then on the authority takes no request.
    #[serde(default)]
    bar: u64,
    /// For which name.
    domain: String,
    /// Which authority was asked.
    directory: String,
}

impl Failed {
    pub(super) fn new(file: &KeeperFile, times: u32, at: Timestamp, missed: &Missed) -> Self {
        let (at, domain, why) = (rfc3339(at), file.domain.to_string(), missed.text.clone());
        // A part of a second counts as a whole one: nobody is asked too early.
        let bar = missed.bar.as_secs() + u64::from(missed.bar.subsec_nanos() > 0);
        Self { times, at, why, bar, domain, directory: directory(file) }
    }

    /// What was missed.
    pub(super) fn missed(&self) -> Missed {
        Missed { text: self.why.clone(), bar: Duration::from_secs(self.bar) }
    }

    /// What the status file at this path says.
    pub(super) fn read(path: &Path) -> Option<Self> {
        #[derive(Deserialize)]
        struct Part {
            failed: Option<Failed>,
        }
        serde_json::from_slice::<Part>(&std::fs::read(path).ok()?).ok()?.failed
    }

    /// Whether it is about the certificate that this configuration wants.
    pub(super) fn is_of(&self, file: &KeeperFile) -> bool {
        (&self.domain, &self.directory) == (&file.domain.to_string(), &directory(file))
    }

    /// When the last attempt failed; 1970 where that cannot be read.
    pub(super) fn at(&self) -> Timestamp {
        self.at.parse().unwrap_or(Timestamp::from_micros(0))
    }
}

fn directory(file: &KeeperFile) -> String {
    file.acme.as_ref().map(|acme| acme.directory.clone()).unwrap_or_default()
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
    schedule.map(|schedule| rfc3339(schedule.next(now)))
}
