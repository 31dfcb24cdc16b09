//! Bringing the host to what is wanted: `plan(observe(host), wanted)`, then apply.
//!
//! [`DesiredState`] is a value, made by a pure function of the stored state. [`observe()`] reads what it speaks of,
//! [`plan()`] is pure and says which steps are missing, [`apply()`] takes them. An empty plan means that host and
//! state agree. [`DesiredState::nothing`] is the way to remove everything of ours: it needs no stored state, the
//! [`OwnershipTags`] are enough.

mod apply;
mod desired_state;
mod file;
mod last_endpoints;
mod observe;
mod plan;
mod step;
#[cfg(feature = "fake")]
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use apply::{ApplyError, apply, apply_and_tell, busy_dir, busy_file, no_guards_file, stop_interface};
pub use desired_state::{Coverage, DesiredDevice, DesiredInterface, DesiredPeer, DesiredState, Withheld};
pub use file::{DesiredFile, PeerFile, holds_key};
pub use last_endpoints::LastEndpoints;
pub use observe::{Observed, ObservedFile, ObservedInterface, Owner, SAVED_VALUE_PREFIX, observe};
pub use plan::{Foreign, foreign, plan};
pub use step::{Step, StepAction, StepKind};

use crate::{Host, OwnershipTags};

/// Where reconciling takes place: the host, our tags on it, and our folder for what dies with the boot.
#[derive(Clone, Copy, Debug)]
pub struct ApplyContext<'a> {
    /// The host.
    pub host: &'a Host,
    /// The tags of this installation.
    pub tags: &'a OwnershipTags,
    /// The run directory (tmpfs).
    pub run_dir: &'a Path,
    /// This process is part of the start of a service. It waits for no other service, which may be ordered after that one.
    pub in_service: bool,
    /// Services that clients do not notice are started again where their program has been replaced. Not within a change, nor
    /// for a service's own command.
    pub renews: bool,
}

impl<'a> ApplyContext<'a> {
    /// For a process that is no part of a service's start.
    pub const fn new(host: &'a Host, tags: &'a OwnershipTags, run_dir: &'a Path) -> Self {
        Self { host, tags, run_dir, in_service: false, renews: false }
    }

    /// The folder that says that an interface is ours although its alias does not say so yet: between the creation
    /// of a link and the setting of its alias this process can be killed.
    ///
    /// It is removed as soon as the alias stands there.
    fn claim(&self, interface: &str) -> PathBuf {
        self.claims().join(interface)
    }

    /// The folder of the claims.
    fn claims(&self) -> PathBuf {
        self.run_dir.join("claims")
    }
}
