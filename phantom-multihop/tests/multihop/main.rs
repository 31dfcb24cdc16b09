//! The module on the host in memory: imports of many dialects, the list, removal, status, the log of sessions.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod actions;
mod corpus;
mod log;
mod status;
mod world;
