//! A clock that only goes when it is told to.

use std::time::Duration;

use phantom_types::Timestamp;

use super::FakeHost;
use crate::{Clock, Result};

/// Something that is to happen at a time.
type Event = Box<dyn FnOnce(&FakeHost) + Send>;

pub(super) struct Time {
    now: Timestamp,
    monotonic: Duration,
    synchronised: bool,
    events: Vec<(Duration, Event)>,
}

impl Default for Time {
    fn default() -> Self {
        Self {
            now: Timestamp::from_micros(1_757_380_307_000_000),
            monotonic: Duration::ZERO,
            synchronised: true,
            events: Vec::new(),
        }
    }
}

impl Time {
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    fn go_to(&mut self, monotonic: Duration) {
        let step = monotonic.saturating_sub(self.monotonic);
        let micros = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        self.now = Timestamp::from_micros(self.now.micros().saturating_add(micros));
        self.monotonic += step;
    }

    /// Goes to the next event that is due until then and takes it.
    fn next_event(&mut self, until: Duration) -> Option<Event> {
        let due = self.events.iter().enumerate().filter(|(_, (at, _))| *at <= until);
        let (first, _) = due.min_by_key(|(_, (at, _))| *at)?;
        let (at, event) = self.events.remove(first);
        self.go_to(at);
        Some(event)
    }
}

impl Time {
    /// The same time; `None` while something is still to happen, which can happen once only.
    pub(super) fn kept(&self) -> Option<Self> {
        let Self { now, monotonic, synchronised, ref events } = *self;
        events.is_empty().then_some(Self { now, monotonic, synchronised, events: Vec::new() })
    }
}

impl Clock for FakeHost {
    fn now(&self) -> Timestamp {
        self.state().time.now
    }
    fn monotonic(&self) -> Duration {
        self.state().time.monotonic
    }
    fn synchronised(&self) -> Result<bool> {
        Ok(self.state().time.synchronised)
    }
    fn sleep(&self, time: Duration) {
        self.advance(time);
    }
}

impl FakeHost {
    /// Lets time go by, for both clocks; what is due on the way happens at its time.
    pub fn advance(&self, time: Duration) {
        let until = self.state().time.monotonic + time;
        loop {
            let event = self.state().time.next_event(until);
            match event {
                Some(event) => event(self),
                None => break,
            }
        }
        self.state().time.go_to(until);
    }
    /// Sets the wall clock. The monotonic one is not touched.
    pub fn set_now(&self, now: Timestamp) {
        self.state().time.now = now;
    }
    /// Says whether a time service keeps the wall clock right.
    pub fn set_synchronised(&self, synchronised: bool) {
        self.state().time.synchronised = synchronised;
    }
    /// Lets something happen after this time has gone by, by [`Self::advance`] or a sleep of the program: a
    /// handshake, a process that dies.
    pub fn after(&self, time: Duration, event: impl FnOnce(&Self) + Send + 'static) {
        let mut state = self.state();
        let at = state.time.monotonic + time;
        state.time.events.push((at, Box::new(event)));
    }
}
