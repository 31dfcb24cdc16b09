//! Ghost Mode as it is stored: for the module that switches it, and for the export that reads it.
//!
//! ```
//! use phantom_ghost_state::{GhostState as _, SCHEMA};
//! use phantom_store::{Paths, State, Store};
//!
//! # let dir = tempfile::tempdir()?;
//! # let paths = Paths::with_run_dir(dir.path().join("root"), dir.path().join("run"));
//! let store = Store::new(paths);
//! store.set_modules(vec![SCHEMA]);
//! assert_eq!(store.read(State::ghost)?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod model;
mod rows;

pub use model::{CertificateSource, Front, Ghost};
pub use rows::{GhostChange, GhostState, SCHEMA};
