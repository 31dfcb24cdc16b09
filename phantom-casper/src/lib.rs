//! What a client needs while Ghost Mode is on: the command of the tunnel and a WireGuard configuration that goes
//! through it (API chapter 9).
//!
//! Reads the stored state, and asks the resolvers of this host where the server's name leads to; the two commands are [`command::main`] with and without `--json`.
//!
//! ```no_run
//! use phantom_casper::{Export, Language};
//! use phantom_store::{Paths, Store};
//! use phantom_types::Timestamp;
//!
//! let export = Export::of(&Store::new(Paths::default()), "john-laptop")?;
//! println!("{}", *export.text(Language::En, Timestamp::from_micros(1_757_382_110_000_000)));
//! # Ok::<(), phantom_casper::CasperError>(())
//! ```

pub mod command;
mod error;
mod export;
mod file;
mod lookup;
mod outside;
mod text;

pub use error::CasperError;
pub use export::Export;
pub use phantom_store::Language;
