//! The signals by which people and service managers ask a program to end.
//!
//! They are handled, and neither ignored nor blocked: a program that is started inherits what is ignored or blocked, and
//! would then not end either when it is asked.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::Interrupt;

/// What asks a program to end: a closed terminal, Ctrl-C, Ctrl-\\, a service manager.
pub const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// From here on the signals in [`ENDING`] do what [`Interrupt`] says. Call it once, at the start of a program.
///
/// # Errors
/// The kernel refuses a handler, which it does for none of these.
pub fn handle_signals(interrupt: &Interrupt) -> io::Result<()> {
    let (ends_at_once, asked) = interrupt.flags();
    for signal in ENDING {
        // In this order: the first ends the program where nothing is being changed, and the second is not reached then.
        flag::register_conditional_default(signal, ends_at_once.clone())?;
        flag::register_usize(signal, asked.clone(), usize::try_from(signal).unwrap_or_default())?;
    }
    Ok(())
}

/// Ends the program as the signal that asked for it would have: whoever waits for it sees why it ended. Returns where
/// nobody asked.
pub fn end_as_requested(interrupt: &Interrupt) {
    if let Some(signal) = interrupt.signal() {
        let _ = low_level::emulate_default_handler(signal);
    }
}
