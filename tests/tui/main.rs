//! The full-screen interface on the host in memory: events go in, screens come out.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod background;
mod copying;
mod driver;
mod flows;
mod made_up;
mod multihop;
mod questions;
mod screens;
mod setup;
mod terminals;
