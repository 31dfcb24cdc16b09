//! Services on the real host: our own supervisor everywhere, systemd where it runs and the machine may be changed.
//!
//! The daemons of these tests are this program itself: see [`daemons`].
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod builtin;
mod daemons;
mod systemd;
