//! The two commands, as real programs on a stored state of their own.
#![expect(clippy::disallowed_methods, reason = "tests spoil files and start processes on purpose")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod command;
mod hosts;
mod output;
mod routes;
mod texts;
mod world;
