//! The stored state of Phantom-WG: one SQLite database that every other part derives the host from.
//!
//! [`Store`] is the state below one install directory ([`Paths`]). Reading needs no lock and always sees one committed
//! state, also while somebody writes. A change needs the [`Lock`] that all processes share. It happens in a
//! [`Transaction`], durably and as a whole, or not at all.
//!
//! ```
//! use std::time::Duration;
//! use phantom_store::{NewClient, Paths, State, Store};
//! # use phantom_store::Server;
//! # use phantom_types::{BackendChoice, Backend, ClientSecret, PresharedKey, PrivateKey, Timestamp};
//! # let dir = tempfile::tempdir()?;
//! # let (root, run) = (dir.path().join("root"), dir.path().join("run"));
//! # let server = Server {
//! #     private_key: PrivateKey::from_random([1; 32]), public_key: PrivateKey::from_random([1; 32]).public_key(),
//! #     server_ip: Some("192.0.2.1".parse()?), endpoint: None, ipv6: None, port: 51820, subnet: "10.8.0.0/24".parse()?,
//! #     subnet6: None, interface: "wg_main".parse()?, backend_choice: BackendChoice::Auto,
//! #     backend: Backend::Kernel, stopped_in: None, ip_forward_before: None, created: Timestamp::from_micros(0),
//! # };
//! # let key = PrivateKey::from_random([2; 32]);
//! let store = Store::new(Paths::with_run_dir(root, run));
//! assert!(!store.read(State::initialised)?);
//!
//! let lock = store.lock(Duration::from_secs(30))?;
//! let change = store.begin(&lock)?;
//! change.set_server(&server)?;
//! let client = change.insert_client(NewClient {
//!     name: "john-laptop".parse()?,
//!     address6: None,
//!     extra_ips: Vec::new(),
//!     public_key: key.public_key(),
//!     private_key: Some(key),
//!     preshared_key: Some(PresharedKey::from_bytes([3; 32])),
//!     tunnel_secret: ClientSecret::from_bytes([4; 32]),
//!     created: Timestamp::from_micros(1_757_380_307_076_656),
//! })?;
//! assert_eq!(client.address.to_string(), "10.8.0.2");
//! change.commit()?;
//!
//! let count = store.read(State::client_count)?;
//! assert_eq!(count, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who may see what
//!
//! The database contains private keys. Only their owner can read the database and its directory, from the moment they
//! exist ([`Store::begin`]). A key that is read goes straight into a type that hides and wipes it. No error of this crate
//! contains a stored value.

mod cause;
mod check;
mod copies;
mod database;
mod error;
mod files;
mod lock;
mod model;
mod modules;
mod paths;
mod process;
mod reset;
mod restore;
mod room;
mod row;
mod run;
mod schema;
pub mod sql;
mod state;
mod store;
mod transaction;
mod watch;

pub use cause::StoreCause;
pub use copies::{CopyKind, StateCopy};
pub use error::{InsertError, LockError, StoreError};
pub use files::Repair;
pub use lock::Lock;
pub use model::{
    BackupEntry, Client, ClientInfo, ClientPage, ClientRef, DnsServers, Language, NewClient, Server, Settings,
};
pub use modules::ModuleSchema;
pub use paths::Paths;
pub use process::close_process;
pub use restore::Restoration;
pub use run::Marker;
pub use state::State;
pub use store::Store;
pub use transaction::Transaction;

#[cfg(test)]
mod testing;
