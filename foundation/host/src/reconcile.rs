//! Bringing the host to what is wanted: `plan(observe(host), wanted)`, then apply.
//!
//! [`Wanted`] is a value, made by a pure function of the stored state. [`observe()`] reads what it speaks of,
//! [`plan()`] is pure and says which steps are missing, [`apply()`] takes them. An empty plan means that host and
//! state agree. [`Wanted::nothing`] is the way to remove everything of ours: it needs no stored state, the
//! [`Marks`] are enough.

mod apply;
mod file;
mod observe;
mod plan;
mod step;
#[cfg(feature = "fake")]
#[cfg(test)]
mod tests;
mod told;
mod wanted;

use std::path::{Path, PathBuf};

pub use apply::{ApplyError, apply, apply_and_tell, busy_dir, busy_file, no_guards_file, stop_interface};
pub use file::{PeerFile, WantedFile, holds_key};
pub use observe::{BEFORE, Observed, ObservedFile, ObservedInterface, Owner, observe};
pub use plan::{Foreign, foreign, plan};
pub use step::{Step, StepAction, StepKind};
pub use told::Told;
pub use wanted::{Depth, Wanted, WantedDevice, WantedInterface, WantedPeer, Withheld};

use crate::{Host, Marks};

/// Where reconciling takes place: the host, our marks on it, and our folder for what dies with the boot.
#[derive(Clone, Copy, Debug)]
pub struct ApplyContext<'a> {
    /// The host.
    pub host: &'a Host,
    /// The marks of this installation.
    pub marks: &'a Marks,
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
    pub const fn new(host: &'a Host, marks: &'a Marks, run_dir: &'a Path) -> Self {
        Self { host, marks, run_dir, in_service: false, renews: false }
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
