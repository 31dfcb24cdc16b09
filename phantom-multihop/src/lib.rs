//! The Multihop module: client traffic leaves through another provider's exit, and no other way.
//!
//! An exit is any WireGuard server whose configuration file was imported. The files come in many dialects. The module uses
//! their keys, addresses and endpoint. It never executes anything in them, or applies anything else to this host.
//!
//! ```no_run
//! use phantom_module::{Call, Lang, TypedModule};
//! use phantom_multihop::{Multihop, actions::ImportVpnConfig};
//! # fn with(multihop: &Multihop) -> Result<(), phantom_multihop::MultihopError> {
//! let import = ImportVpnConfig { config_path: "/root/xeovo-uk.conf".to_owned(), custom_name: None };
//! println!("{} is ready", multihop.call(import, &Call::new(Lang::En))?.exit_name);
//! # Ok(())
//! # }
//! ```

pub mod actions;
mod checks;
mod claims;
mod collision;
mod desired;
mod errand;
mod error;
mod hooks;
mod import;
pub mod model;
pub mod monitor;
mod proof;
mod prove;
mod provider;
mod reach;
mod replace;
mod routes;
pub mod rows;
mod session;
mod state;
mod switch;
mod units;
mod unreadable;
mod walls;
mod words;

use std::sync::Arc;

use phantom_engine::{Check, Claims, Depth, Engine, Hook, Origin, Site, SystemModule, Veto, Wanted};
use phantom_module::{Entry, Text, TypedModule, entry};
use phantom_store::{ModuleSchema, State, StoreError};

pub use collision::Collision;
pub use error::{MultihopError, Step};
pub use session::{Event, Level};
pub use unreadable::Unreadable;

/// The Multihop module at work on an engine.
pub struct Multihop {
    engine: Arc<Engine>,
}

impl Multihop {
    /// The engine it works on.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// The origin of a change of this module.
pub(crate) const fn origin(action: &'static str) -> Origin {
    Origin { module: Multihop::NAME, action }
}

impl TypedModule for Multihop {
    const NAME: &'static str = "multihop";
    const SUMMARY: Text = Text {
        en: "Routing through external VPN exits",
        tr: "Harici VPN çıkışları üzerinden yönlendirme",
    };
    const ACTIONS: &'static [Entry<Self>] = &[
        entry::<actions::ImportVpnConfig>(),
        entry::<actions::EnableMultihop>(),
        entry::<actions::DisableMultihop>(),
        entry::<actions::ListExits>(),
        entry::<actions::RemoveVpnConfig>(),
        entry::<actions::Status>(),
        entry::<actions::TestVpn>(),
        entry::<actions::ResetState>(),
        entry::<actions::GetSessionLog>(),
    ];
}

impl SystemModule for Multihop {
    fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
    fn desired(site: &Site, state: &State<'_>, _: Depth, wanted: &mut Wanted) -> Result<(), StoreError> {
        desired::desired(site, state, wanted)
    }
    fn claims(state: &State<'_>) -> Result<Claims, StoreError> {
        claims::claims(state)
    }
    fn schema() -> Option<ModuleSchema> {
        Some(rows::SCHEMA)
    }
    fn vetoes() -> &'static [Veto] {
        &[claims::VETO]
    }
    fn checks() -> &'static [Check] {
        checks::CHECKS
    }
    fn hooks() -> &'static [Hook] {
        hooks::HOOKS
    }
}
