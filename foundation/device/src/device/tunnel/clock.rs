//! When a tunnel has to do something without a packet (WireGuard's paper, 6.1 to 6.5).
//!
//! Pure: what has happened goes in with the time, and what is due comes out.

use std::time::{Duration, Instant};

use crate::session::{REJECT_AFTER_TIME, Session};

/// After this time the end that began a session begins another one, when it sends.
const REKEY_AFTER_TIME: Duration = Duration::from_mins(2);
/// How long an answer to an initiation is waited for.
const REKEY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long initiations are sent again.
const REKEY_ATTEMPT_TIME: Duration = Duration::from_secs(90);
/// How long after a packet one is sent back at the latest.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// After this time without a new session nothing of the old ones is kept.
const FORGET_TIME: Duration = Duration::from_secs(3 * REJECT_AFTER_TIME.as_secs());
/// When the end that began a session begins another one because it hears something: its answers would soon be too late.
const LAST_MINUTE: Duration =
    Duration::from_secs(REJECT_AFTER_TIME.as_secs() - KEEPALIVE_TIMEOUT.as_secs() - REKEY_TIMEOUT.as_secs());

/// The timers of a tunnel.
#[derive(Default)]
pub(super) struct Clock {
    /// The last initiation of this end.
    asked: Option<Instant>,
    /// The first of those that have had no answer.
    asking_since: Option<Instant>,
    /// When to ask again.
    retry: Option<Instant>,
    /// When to send something back, and whether once more after that.
    keepalive: Option<Instant>,
    another: bool,
    /// When something should have come back.
    silence: Option<Instant>,
    /// When all keys are to be forgotten.
    forget: Option<Instant>,
    /// When the next persistent keepalive is due.
    persistent: Option<Instant>,
    /// It has begun another session at the last minute of this one.
    last_minute: bool,
}

/// What becomes of an initiation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asking {
    #[default]
    Rests,
    /// One is due. If it is not the first, the way there may be another one.
    Due,
    /// Nobody has answered for as long as is tried.
    GivesUp,
}

/// What is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) asking: Asking,
    pub(super) keepalive: bool,
    /// The keys are to be forgotten.
    pub(super) forget: bool,
}

impl Clock {
    /// The timers of a tunnel that is made now.
    pub(super) fn new(keepalive: Duration, now: Instant) -> Self {
        Self { persistent: (!keepalive.is_zero()).then_some(now), ..Self::default() }
    }

    /// Persistent keepalives are sent so often from now on.
    pub(super) fn set_keepalive(&mut self, before: Duration, keepalive: Duration, now: Instant) {
        let first = if before.is_zero() { now } else { now + keepalive };
        self.persistent = (!keepalive.is_zero()).then_some(first);
    }

    /// Whether an initiation may be sent: none has been of late.
    pub(super) fn may_ask(&self, now: Instant) -> bool {
        self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= REKEY_TIMEOUT)
    }

    /// An initiation is sent. `jitter` keeps two ends that ask each other from doing so in step.
    pub(super) fn asked(&mut self, jitter: Duration, keepalive: Duration, now: Instant) {
        self.asked = Some(now);
        self.asking_since.get_or_insert(now);
        self.retry = Some(now + REKEY_TIMEOUT + jitter);
        self.sent(keepalive, now);
    }

    /// Something genuine is sent.
    pub(super) fn sent(&mut self, keepalive: Duration, now: Instant) {
        self.keepalive = None;
        self.another = false;
        self.passed(keepalive, now);
    }

    /// A packet with content is sent.
    pub(super) fn sent_data(&mut self, keepalive: Duration, now: Instant) {
        self.sent(keepalive, now);
        self.silence.get_or_insert(now + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT);
    }

    /// Something genuine came.
    pub(super) fn heard(&mut self, keepalive: Duration, now: Instant) {
        self.silence = None;
        self.passed(keepalive, now);
    }

    /// A packet with content came.
    pub(super) fn heard_data(&mut self, now: Instant) {
        if self.keepalive.is_some() {
            self.another = true;
        } else {
            self.keepalive = Some(now + KEEPALIVE_TIMEOUT);
        }
    }

    fn passed(&mut self, keepalive: Duration, now: Instant) {
        self.persistent = (!keepalive.is_zero()).then(|| now + keepalive);
    }

    /// Keys of a new session are there.
    pub(super) fn derived(&mut self, now: Instant) {
        self.forget = Some(now + FORGET_TIME);
        self.last_minute = false;
    }

    /// The handshake is complete.
    pub(super) fn completed(&mut self) {
        self.retry = None;
        self.asking_since = None;
        self.last_minute = false;
    }

    /// Whether another session is to be begun because a packet is sent by this one.
    pub(super) fn wants_another(session: &Session, now: Instant) -> bool {
        session.is_worn() || (session.is_initiator() && session.age(now) >= REKEY_AFTER_TIME)
    }

    /// The same, because a packet came by this one. Once for each session.
    pub(super) fn wants_another_at_last(&mut self, session: &Session, now: Instant) -> bool {
        let wants = !self.last_minute && session.is_initiator() && session.age(now) >= LAST_MINUTE;
        self.last_minute |= wants;
        wants
    }

    /// What is due now. `keepalive` is how often persistent keepalives are sent.
    pub(super) fn due(&mut self, keepalive: Duration, now: Instant) -> Due {
        let passed = |timer: &mut Option<Instant>| timer.take_if(|at| *at <= now).is_some();
        let mut due = Due::default();
        if passed(&mut self.retry) {
            let tried = self
                .asking_since
                .is_some_and(|since| now.saturating_duration_since(since) >= REKEY_ATTEMPT_TIME);
            due.asking = if tried { Asking::GivesUp } else { Asking::Due };
        }
        if due.asking == Asking::GivesUp {
            self.asking_since = None;
            self.keepalive = None;
            self.another = false;
            self.silence = None;
            self.forget.get_or_insert(now + FORGET_TIME);
        }
        if passed(&mut self.keepalive) {
            due.keepalive = true;
            if std::mem::take(&mut self.another) {
                self.keepalive = Some(now + KEEPALIVE_TIMEOUT);
            }
        }
        if passed(&mut self.silence) {
            due.asking = Asking::Due;
        }
        due.forget = passed(&mut self.forget);
        if passed(&mut self.persistent) {
            due.keepalive = true;
            self.persistent = (!keepalive.is_zero()).then(|| now + keepalive);
        }
        due
    }

    /// Whether nothing will be due any more.
    pub(super) const fn is_still(&self) -> bool {
        self.retry.is_none()
            && self.keepalive.is_none()
            && self.silence.is_none()
            && self.persistent.is_none()
    }
}

#[cfg(test)]
mod tests;
