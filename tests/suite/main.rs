//! Tests through the public faces: the command with its words and answers on the host in memory, and the real programs
//! where they change nothing.
#![expect(clippy::disallowed_methods, reason = "tests spoil files and start processes on purpose")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod accepted;
mod actions;
mod cases;
mod clocks;
mod command_line;
mod concurrency;
mod contracts;
mod copies;
mod disk;
mod dns;
mod doctor;
mod documents;
mod due;
mod errors;
mod examples;
mod factory_reset;
mod faults;
mod firewall;
mod ghost;
mod golden;
mod help;
mod hostile;
mod keyless;
mod languages;
mod multihop;
mod obstacles;
mod ownership;
mod parameters;
mod permissions;
mod reach;
mod reads;
mod service_hook;
mod spoken;
mod typed;
mod walks;
