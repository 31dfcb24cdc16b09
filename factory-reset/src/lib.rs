//! The factory reset: a server as it was after its first setup, with new keys, or no server at all.
//!
//! It knows no module. What is on the host is found by its marks alone, so that what a module adds later goes too; what is
//! stored is replaced as a whole. It needs neither a readable database nor a network.
//!
//! The order keeps everything closed and everything resumable:
//!
//! 1. What will be stored is written beside what is stored ([`Store::begin_reset`](phantom_store::Store::begin_reset)).
//!    From here on whoever comes next can finish: this program, or any change of the command, the one at boot among them.
//! 2. The packet filter is exchanged for one that lets nothing of clients through, and stays until the new one is put in
//!    its place in one step.
//! 3. Services, then everything else with our mark, then the files below the install directory are removed.
//! 4. The new state takes the place of the old one, and `phantom-api core reconcile` brings the host there.

pub mod command;
mod error;
mod kept;
mod removal;
mod reset;
mod ssh;
mod text;

pub use error::ResetError;
pub use removal::{Removed, Tell, remove_everything};
pub use reset::{Done, LOCK_WAIT, Place, Stage, reset, uninstall};
