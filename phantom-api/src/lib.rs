//! The orchestrator of Phantom-WG: modules registered on one engine, called by name or by type.
//!
//! ```no_run
//! use phantom_api::{Call, Host, Lang, linux_options, Params, Paths, Phantom, Programs, Store, TypedModule as _};
//! use phantom_core::{Core, actions::ListClients};
//!
//! let paths = Paths::new(Paths::DEFAULT_ROOT);
//! let host = Host::linux(linux_options(&paths, Programs::in_dir("/usr/local/bin")));
//! let phantom = Phantom::builder(host, Store::new(paths)).all_modules().build()?;
//!
//! // Typed, with what did not answer on the host:
//! let list = phantom.call(ListClients { page: 1, per_page: 10, search: None, names_first: false }, &Call::new(Lang::En))?;
//! println!("{} clients, unknown: {:?}", list.output.total, list.unknown);
//! // Typed, on the module alone:
//! let core = phantom.module::<Core>().expect("it was registered");
//! let list = core.call(ListClients { page: 1, per_page: 10, search: None, names_first: false }, &Call::new(Lang::En))?;
//! // By name, as the command does it:
//! let answer = phantom.execute("dns", "get_dns_servers", Params::new(), &Call::new(Lang::En)).unwrap();
//! println!("{}", answer.to_value()["primary"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The command `phantom-api` is [`cli::main`] on top of this. A program with modules of its own registers them
//! with [`PhantomBuilder::with`] (`examples/own_module.rs`), or with [`PhantomBuilder::system`] where they take part in the state of the host
//! (`examples/system_module.rs`).

pub mod cli;
pub mod docs;
mod envelope;
mod options;
mod orchestrator;

pub use envelope::Response;
pub use options::linux_options;
pub use orchestrator::{Answered, BuildError, CallError, DispatchError, Phantom, PhantomBuilder};
pub use phantom_engine::{Engine, EngineError, SystemModule, explain};
pub use phantom_host::linux::{ENDING, LinuxOptions, end_as_requested, handle_signals};
pub use phantom_host::{Host, Interrupt, Programs};
pub use phantom_module::{
    Action, Answer, Call, Effect, Entry, ErrorCode, Failure, Lang, Module, ParamError, Params, RawValue,
    Spec, Text, TypedModule, entry,
};
pub use phantom_store::{Paths, Store, close_process};

/// Version of the API that every answer names.
pub const API_VERSION: &str = "core-v1";
