//! What watches over the exit in use: a pure machine that is told what is seen and says what is to be done, and the
//! process that looks and does it.
//!
//! The process changes two things only: where the device of the exit sends to, and the log of the session. It never
//! touches the packet filter, routes or rules, and never the stored choice of exit.

mod machine;
mod notify;
mod run;
mod service;
mod spare;

pub use crate::errand::Errands;
pub use machine::{DeviceCounters, ECHOES, Machine, MonitorTask, Sight, Watch};
pub use run::{Monitor, monitor};
