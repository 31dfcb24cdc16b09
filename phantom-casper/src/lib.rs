//! What a client needs while Ghost Mode is on: the command of the tunnel and a WireGuard configuration that goes
//! through it (`docs/contract.md`, "Export for Ghost Mode clients").
//!
//! The export reads the stored state, and asks this host's resolvers for the addresses of the server's name. The two
//! commands are [`command::main`] with and without `--json`.
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
mod outside;
mod text;

pub use error::CasperError;
pub use export::Export;
pub use phantom_store::Language;
