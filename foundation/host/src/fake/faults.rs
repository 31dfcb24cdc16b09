//! Writes that are counted, watched, refused and forgotten.

use std::collections::BTreeSet;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{MutexGuard, PoisonError};

use super::{FakeHost, State};
use crate::{HostError, Result};

/// Called before each write with its number (from 1) and its name.
pub(super) type WriteHook = Box<dyn FnMut(usize, &str) + Send>;

#[derive(Clone, Default)]
pub(super) struct Faults {
    log: Vec<String>,
    refused: BTreeSet<usize>,
    refused_from: Option<usize>,
    forgotten: BTreeSet<usize>,
    forgotten_from: Option<usize>,
}

impl Faults {
    fn is_refused(&self, number: usize) -> bool {
        self.refused.contains(&number) || self.refused_from.is_some_and(|from| number >= from)
    }
    fn is_forgotten(&self, number: usize) -> bool {
        self.forgotten.contains(&number) || self.forgotten_from.is_some_and(|from| number >= from)
    }
}

/// A write under way: the state to change, which is put back at the end of one that is forgotten.
pub(super) struct Write<'a> {
    state: MutexGuard<'a, State>,
    before: Option<State>,
}

impl Deref for Write<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Write<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            self.state.go_back(before);
        }
    }
}

impl FakeHost {
    /// Makes the `n`-th write from now on fail (1 is the next one), with nothing done: only a change of a WireGuard
    /// device with several peers fails half-way, as it can on a real host. Several writes can be refused.
    ///
    /// A write is every call of a facility that can change the host, also one that finds nothing to do.
    pub fn refuse_write(&self, n: usize) {
        let mut state = self.state();
        let at = state.faults.log.len() + n;
        state.faults.refused.insert(at);
    }
    /// Makes every write fail from the `n`-th from now on.
    pub fn refuse_from(&self, n: usize) {
        let mut state = self.state();
        state.faults.refused_from = Some(state.faults.log.len() + n);
    }
    /// Makes the host accept the `n`-th write from now on and forget it: the answer is what it would be, and nothing is
    /// done. What such a write would have refused by itself it still refuses. Several writes can be forgotten.
    pub fn forget_write(&self, n: usize) {
        let mut state = self.state();
        let at = state.faults.log.len() + n;
        state.faults.forgotten.insert(at);
    }
    /// Makes the host forget every write from the `n`-th from now on.
    pub fn forget_from(&self, n: usize) {
        let mut state = self.state();
        state.faults.forgotten_from = Some(state.faults.log.len() + n);
    }
    /// Whether the last write was forgotten: for somebody who keeps a part of the host elsewhere as well.
    pub fn has_forgotten(&self) -> bool {
        let faults = &self.state().faults;
        faults.is_forgotten(faults.log.len())
    }
    /// Number of writes since the start or the last [`Self::reset_writes`], the refused ones among them.
    pub fn writes(&self) -> usize {
        self.state().faults.log.len()
    }
    /// The names of those writes, in order: the facility, the call and its object, as in
    /// `network.add_address wg_main 10.8.0.1/24`.
    pub fn write_log(&self) -> Vec<String> {
        self.state().faults.log.clone()
    }
    /// Counts from zero again, and refuses and forgets nothing any more.
    pub fn reset_writes(&self) {
        self.state().faults = Faults::default();
    }
    /// Calls this before each write, with its number and its name, also for those that are then refused. It may use
    /// the host; writes that it makes itself are counted but not shown to it.
    pub fn on_write(&self, hook: impl FnMut(usize, &str) + Send + 'static) {
        *self.shared.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
    }
    /// Calls nothing any more before a write.
    pub fn clear_on_write(&self) {
        *self.shared.hook.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Begins a write: counts it, and gives the state to change, or the refusal.
    pub(super) fn write(&self, name: &str) -> Result<Write<'_>> {
        let (number, refused, forgotten) = {
            let faults = &mut self.state().faults;
            faults.log.push(name.to_owned());
            let number = faults.log.len();
            (number, faults.is_refused(number), faults.is_forgotten(number))
        };
        self.show(number, name);
        if refused {
            return Err(HostError::io(name, io::Error::other("refused by the test")));
        }
        let state = self.state();
        let before = forgotten.then(|| state.copy());
        Ok(Write { state, before })
    }

    /// Calls the hook without holding any lock, so that it may use the host.
    fn show(&self, number: usize, name: &str) {
        let lock = || self.shared.hook.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = lock().take();
        if let Some(mut hook) = taken {
            hook(number, name);
            // Unless it put another one in its place.
            lock().get_or_insert(hook);
        }
    }
}
