//! `phantom-wg`: the full-screen interface of Phantom-WG.
//!
//! The core is a value. [`App`] takes events and returns effects, and is drawn from itself; it neither reads nor waits.
//! [`work::run`] performs an effect. [`shell`] is the thin part that knows a terminal and threads.
//!
//! Menus, forms and answers come from the modules' tables of actions. A new action appears by itself, and so does a new
//! module.

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
