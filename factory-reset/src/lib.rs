//! The factory reset: a server as it was after its first setup, with new keys, or no server at all.
//!
//! The reset knows no module. It finds objects on the host by their tags alone, so it also removes objects that a module
//! adds later. It replaces the stored state as a whole, and needs neither a readable database nor a network.
//!
//! The order keeps everything closed and everything resumable:
//!
//! 1. The new state is written beside the present one ([`Store::begin_reset`](phantom_store::Store::begin_reset)).
//!    From here on the reset can always be finished: by this program, or by any change of the command, including the one
//!    at boot.
//! 2. The packet filter is replaced by one that lets no client packet through. It stays until the new one replaces it in
//!    one step.
//! 3. Services are removed, then everything else with our tag, then the files below the install directory.
//! 4. The new state replaces the old one, and `phantom-api core reconcile` brings the host there.

pub mod command;
mod error;
mod kept;
mod removal;
mod reset;
mod ssh;
mod text;

pub use error::ResetError;
pub use removal::{Removed, Tell, remove_everything};
pub use reset::{Done, LOCK_WAIT, ResetTarget, Stage, reset, uninstall};
