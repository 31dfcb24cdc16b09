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
pub mod options;
mod qr;
mod rows;
mod screen;
mod screens;
pub mod shell;
mod spoken;
mod status;
mod text;
mod theme;
pub mod work;

pub use app::{App, AppEffect, AppEvent, Page};
pub use connected::Connected;
pub use qr::Qr;
pub use screen::{AppContext, Key, ModuleTable};
pub use status::{GhostState, HeaderStatus};
pub use theme::Theme;
