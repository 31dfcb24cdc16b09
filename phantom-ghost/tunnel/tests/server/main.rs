//! The server on loopback: tunnels, visits, hostility and load.

#![expect(clippy::print_stdout, reason = "figures are part of what a test shows")]
#![expect(clippy::unwrap_used, reason = "a test ends where something it needs is not there")]

mod clients;
mod crowd;
mod decoy;
mod front;
mod hostile;
mod load;
mod nginx;
mod patience;
mod program;
mod source;
mod support;
mod tunnel;
