//! The whole host, kept to come back to.

use super::{FakeHost, State};

/// A host as it was at a moment: [`FakeHost::snapshot`].
pub struct Snapshot(State);

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl State {
    fn kept(&self) -> Option<Self> {
        Some(Self { faults: self.faults.clone(), time: self.time.kept()?, ..self.copy() })
    }
}

impl FakeHost {
    /// Keeps everything that this host is, its clock, its randomness and the writes that are to be refused among it; but
    /// not who watches the writes ([`Self::on_write`]).
    ///
    /// # Panics
    /// While something is still to happen ([`Self::after`]): it cannot happen twice.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state().kept().expect("nothing is to happen any more when a host is kept"))
    }
    /// Makes the host what it was, as often as one likes. What was to happen since then does not happen.
    pub fn restore(&self, snapshot: &Snapshot) {
        // There is one: nothing is to happen in a state that was kept.
        if let Some(state) = snapshot.0.kept() {
            *self.state() = state;
        }
    }
}
