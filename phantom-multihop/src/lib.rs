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
mod barriers;
mod checks;
mod claims;
mod collision;
mod desired;
mod errand;
mod error;
mod failover;
mod hooks;
mod import;
pub mod model;
pub mod monitor;
mod proof;
mod provider;
mod reach;
mod routes;
pub mod rows;
mod session;
mod state;
mod switch;
mod units;
mod unreadable;
mod verify;
mod words;

use std::sync::Arc;

use phantom_engine::{
    Claims, Coverage, DesiredState, DoctorCheck, Engine, Installation, Origin, ServiceHook, SystemModule,
    Veto,
};
use phantom_module::{Entry, Text, TypedModule, entry};
use phantom_store::{ModuleSchema, State, StoreError};

pub use collision::ExitCollision;
pub use error::{MultihopError, MultihopStep};
pub use session::{Level, SessionEvent};
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
    fn desired(
        installation: &Installation,
        state: &State<'_>,
        _: Coverage,
        wanted: &mut DesiredState,
    ) -> Result<(), StoreError> {
        desired::desired(installation, state, wanted)
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
    fn checks() -> &'static [DoctorCheck] {
        checks::CHECKS
    }
    fn hooks() -> &'static [ServiceHook] {
        hooks::HOOKS
    }
}
