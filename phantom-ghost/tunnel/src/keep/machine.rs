//! What the keeper does next. Pure: it is told what happened and what time it is, and says one step at a time.

use std::time::Duration;

use phantom_certs::acme::Advice;
use phantom_certs::commands::rfc3339;
use phantom_certs::schedule::{LONGEST_SLEEP, Life, Schedule};
use phantom_types::Timestamp;

use super::asking::Asking;
use super::file::Source;
use super::status::{Missed, Renewal, Status, next_attempt};

/// First wait before the server is tried again; it doubles up to one of the following.
const RETRY: Duration = Duration::from_millis(100);
/// Longest wait for a server that is not there.
const RETRY_ABSENT: Duration = Duration::from_secs(2);
/// Longest wait for a server that refused its configuration.
const RETRY_REFUSED: Duration = Duration::from_secs(30);

/// How long a service manager waits at most to hear that we are ready: it kills what is not ready in time, and so a wait for a
/// server that is not there, or for a certificate that cannot be had, must not count as a start.
const READY_AT_LATEST: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeeperTask {
    /// Read configuration and certificate; then [`Machine::loaded`] or [`Machine::unusable`].
    Load,
    /// Connect to the server; then [`Machine::connected`].
    Connect,
    /// Push the configuration; then [`Machine::pushed`].
    Push,
    /// Tell the service manager that we are ready.
    Ready,
    /// Begin to obtain a certificate; when that ends, [`Machine::issued`].
    Issue,
    /// Ask the authority when it suggests to renew; when that ends, [`Machine::advised`].
    Ask,
    /// Write the status.
    Write(Status),
    /// Wait for an event, no longer than this; then [`Machine::woken`].
    Wait(Duration),
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    /// Another one than before means another configuration.
    pub(super) generation: u64,
    /// Nothing where a web server in front has the certificate.
    pub(super) source: Option<Source>,
    pub(super) life: Option<Life>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that is so or not")]
pub(super) struct Machine {
    load: bool,
    loaded_at: Option<Timestamp>,
    bundle: Option<Loaded>,
    load_error: Option<String>,
    up: bool,
    /// After a failure, until something happens.
    hold: bool,
    failures: u32,
    refused: bool,
    link_error: Option<String>,
    acknowledged: Option<u64>,
    schedule: Option<Schedule>,
    issuing: bool,
    asking: Asking,
    started: Option<Timestamp>,
    ready: bool,
    status: Option<Status>,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self { load: true, ..Self::default() }
    }

    /// The next step. Steps that have an outcome are said once; the outcome is told before the next call.
    pub(super) fn step(&mut self, now: Timestamp) -> KeeperTask {
        self.started.get_or_insert(now);
        if std::mem::take(&mut self.load) {
            self.loaded_at = Some(now);
            return KeeperTask::Load;
        }
        if !self.up && !self.hold {
            return KeeperTask::Connect;
        }
        if self.up && self.bundle.is_some_and(|bundle| self.acknowledged != Some(bundle.generation)) {
            return KeeperTask::Push;
        }
        // What is written is in force by then.
        let status = self.status(now);
        if self.status.as_ref() != Some(&status) {
            self.status = Some(status.clone());
            return KeeperTask::Write(status);
        }
        if !self.ready && (self.acknowledged.is_some() || self.until_ready(now).is_zero()) {
            self.ready = true;
            return KeeperTask::Ready;
        }
        if !self.issuing && self.schedule.as_mut().is_some_and(|schedule| schedule.due(now)) {
            self.issuing = true;
            return KeeperTask::Issue;
        }
        // While a certificate is obtained, another one is about to be in force.
        let renewed = self.schedule.as_ref().is_some_and(|schedule| schedule.life().is_some());
        if renewed && !self.issuing && self.asking.begin(now) {
            return KeeperTask::Ask;
        }
        KeeperTask::Wait(self.wait(now))
    }

    /// A file may have changed, or somebody asks for everything to be read again.
    pub(super) fn changed(&mut self) {
        self.load = true;
    }

    /// A wait ended, for whatever reason.
    pub(super) fn woken(&mut self, now: Timestamp) {
        self.hold = false;
        // Not every change is noticed: a file behind a link, a clock that was set.
        let old = |at: Timestamp| at > now || now.since(at) >= LONGEST_SLEEP;
        self.load |= self.loaded_at.is_none_or(old);
    }

    /// How long to wait for the server before we are ready without it. Not at all where there is nothing to tell it.
    fn until_ready(&self, now: Timestamp) -> Duration {
        let hopeless = self.bundle.is_none() && self.load_error.is_some();
        // A clock that was set back ends the wait.
        let started = self.started.filter(|started| *started <= now && !hopeless);
        started.map_or(Duration::ZERO, |started| READY_AT_LATEST.saturating_sub(now.since(started)))
    }

    /// What was read can be put into force; perhaps with a warning.
    pub(super) fn loaded(&mut self, loaded: Loaded, warning: Option<String>, jitter: u32) {
        self.load_error = warning;
        let life = loaded.life.filter(|_| loaded.source == Some(Source::Acme));
        if life.is_none() {
            self.schedule = None;
        } else if self.schedule.as_ref().and_then(Schedule::life) != life {
            self.schedule = Some(Schedule::new(life, jitter));
            self.asking = Asking::default();
        }
        self.bundle = Some(loaded);
    }

    /// What was read cannot be put into force; what is in force stays. `obtain`: the configuration is usable and a
    /// certificate would make it whole.
    pub(super) fn unusable(&mut self, error: String, obtain: bool, jitter: u32) {
        self.load_error = Some(error);
        if obtain && self.schedule.as_ref().is_none_or(|schedule| schedule.life().is_some()) {
            self.schedule = Some(Schedule::new(None, jitter));
        }
    }

    /// Something of what is in force is another one, although the certificate that was read cannot be used.
    pub(super) fn followed(&mut self, generation: u64) {
        if let Some(bundle) = &mut self.bundle {
            bundle.generation = generation;
        }
    }

    /// What a keeper before this one had tried in vain, the last time at `last`.
    pub(super) fn resume(&mut self, failures: u32, last: Timestamp, jitter: u32, missed: Missed) {
        if let Some(schedule) = &mut self.schedule {
            schedule.resume(failures, last, jitter, missed.text, missed.bar);
        }
    }

    /// How many attempts in a row to get a certificate have failed, and when and why the last one did.
    pub(super) fn failed(&self) -> Option<(u32, Timestamp, Missed)> {
        let schedule = self.schedule.as_ref()?;
        let missed = Missed { text: schedule.last_error()?.to_owned(), bar: schedule.bar() };
        Some((schedule.failures(), schedule.last_failure()?, missed))
    }

    pub(super) fn connected(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.up = true,
            Err(error) => self.missed(error, false),
        }
    }

    /// The server's answer to a push, or that there was none.
    pub(super) fn pushed(&mut self, result: Result<(), String>) {
        match (result, self.bundle) {
            (Ok(()), Some(bundle)) => {
                self.acknowledged = Some(bundle.generation);
                (self.failures, self.refused, self.link_error) = (0, false, None);
            }
            (Ok(()), None) => {}
            (Err(error), _) => self.missed(error, true),
        }
    }

    /// The connection to the server ended.
    pub(super) fn disconnected(&mut self) {
        self.missed("the connection to the tunnel server ended".to_owned(), false);
    }

    /// An issuance ended.
    pub(super) fn issued(&mut self, result: Result<(), Missed>, now: Timestamp, jitter: u32) {
        self.issuing = false;
        self.load |= result.is_ok();
        let missed = result.err().unwrap_or_else(|| {
            // Forgotten as soon as a new certificate is read. If none is, authorities are not asked without a pause.
            "a certificate was obtained, but the configuration names other files".into()
        });
        if let Some(schedule) = &mut self.schedule {
            schedule.barred(now, jitter, missed.text, missed.bar);
        }
    }

    /// What the authority suggests. One that does not say, or cannot be asked, leaves the renewal to us: the error is no trouble as long
    /// as the certificate is renewed.
    pub(super) fn advised(&mut self, result: Result<Option<Advice>, Duration>, now: Timestamp, jitter: u32) {
        self.asking.end(now, result.map(|advice| advice.map(|advice| advice.again)));
        if let (Some(schedule), Ok(advice)) = (&mut self.schedule, result) {
            schedule.suggested(advice.map(|advice| advice.window), jitter);
        }
    }

    /// Whether the server has its configuration.
    const fn serving(&self) -> bool {
        self.up && self.acknowledged.is_some()
    }

    fn missed(&mut self, error: String, refused: bool) {
        (self.up, self.acknowledged, self.hold) = (false, None, true);
        self.refused = refused;
        self.failures = self.failures.saturating_add(1);
        self.link_error = Some(error);
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let renewal = self.schedule.as_ref().filter(|_| !self.issuing).map(|schedule| schedule.sleep(now));
        let longest = if self.refused { RETRY_REFUSED } else { RETRY_ABSENT };
        let retry = RETRY.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(longest);
        let retry = (!self.up).then_some(retry);
        let ready = (!self.ready).then(|| self.until_ready(now));
        let asking = self.schedule.as_ref().and_then(|_| self.asking.wait(now));
        [renewal, retry, ready, asking].into_iter().flatten().fold(LONGEST_SLEEP, Duration::min)
    }

    fn status(&self, now: Timestamp) -> Status {
        let source = self.bundle.and_then(|bundle| bundle.source);
        let life = self.bundle.and_then(|bundle| bundle.life);
        let expired = life.filter(|life| now.seconds() > life.not_after.seconds());
        let expired = expired.map(|life| format!("the certificate expired at {}", rfc3339(life.not_after)));
        let renewal = self.schedule.as_ref().and_then(Schedule::last_error).map(ToOwned::to_owned);
        let errors = [expired, self.load_error.clone(), self.link_error.clone(), renewal];
        let errors: Vec<String> = errors.into_iter().flatten().collect();
        Status {
            serving: self.serving(),
            source,
            expires_at: life.map(|life| rfc3339(life.not_after)),
            renewal: if self.schedule.is_some() { Renewal::Automatic } else { source.into() },
            next_attempt: next_attempt(self.schedule.as_ref(), now),
            last_error: (!errors.is_empty()).then(|| errors.join("; ")),
            alarm: match &self.schedule {
                Some(schedule) => schedule.alarm(now),
                None => life.and_then(|life| life.ending(now)),
            },
        }
    }
}

#[cfg(test)]
mod tests;
