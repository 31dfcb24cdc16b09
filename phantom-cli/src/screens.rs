//! The kinds of screens.

mod clients;
mod code;
mod dialog;
mod form;
mod help;
mod input;
mod live;
mod menu;
mod picker;
mod plain;
mod report;

pub(crate) use clients::Clients;
pub(crate) use code::Code;
pub(crate) use dialog::Dialog;
pub(crate) use form::{Field, Form, Values};
pub(crate) use help::Help;
pub(crate) use live::Live;
pub(crate) use menu::{Item, Menu};
pub(crate) use picker::Picker;
pub(crate) use plain::Plain;
pub(crate) use report::Report;
