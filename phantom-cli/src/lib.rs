//! `phantom-wg`: the full-screen interface of Phantom-WG (API chapter 10).
//!
//! The core is a value: [`App`] takes events and gives effects, and is drawn from itself; it neither reads nor waits.
//! [`work::run`] does what an effect asks for. [`shell`] is the thin part that knows a terminal and threads.
//!
//! Menus, forms and answers come from the modules' tables of actions: one that is added to a module appears by
//! itself, as does a module.

mod app;
mod bounded;
mod connected;
mod flows;
mod look;
pub mod options;
mod qr;
mod rows;
mod screen;
mod screens;
pub mod shell;
mod spoken;
mod status;
mod text;
pub mod work;

pub use app::{App, Effect, Event, Page};
pub use connected::Connected;
pub use look::Look;
pub use qr::Qr;
pub use screen::{Key, Table, World};
pub use status::{Status, Tunnel};
