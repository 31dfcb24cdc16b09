//! The Core module: the server's clients, its service, its firewall and its subnet.
//!
//! Every action is a struct in [`actions`], one file each. Embedding programs call them typed:
//!
//! ```no_run
//! use phantom_core::{Core, actions::AddClient};
//! use phantom_module::{Call, Lang, TypedModule};
//! # fn with(core: &Core) -> Result<(), phantom_core::CoreError> {
//! let added = core.call(AddClient { client_name: "john-laptop".parse().expect("a valid name") }, &Call::new(Lang::En))?;
//! println!("{} has {}", added.client.name, added.client.ip);
//! # Ok(())
//! # }
//! ```
//!
//! On the host, the module owns the WireGuard interface `wg_main` with its service, forwarding and source NAT for
//! the subnet, and `/etc/wireguard/wg_main.conf`. [`desired`](phantom_engine::SystemModule::desired) describes them as a
//! value. The module touches only objects with the system's tags, and it contacts nobody.

pub mod actions;
mod clients;
mod desired;
mod doctor;
mod error;
mod own_address;
mod status;
mod subnet_check;
mod values;

use std::sync::Arc;

use phantom_engine::{Coverage, DesiredState, Engine, Installation, Origin, PeerChange, SystemModule};
use phantom_module::{Entry, Text, TypedModule, entry};
use phantom_store::{State, StoreError};
use phantom_types::PublicKey;

pub use clients::{ClientItem, Connection, Transfer};
pub use doctor::{Check, CheckState};
pub use error::CoreError;
pub use own_address::Taken;
pub use phantom_module::SecretText;
pub use subnet_check::{Checks, Conflict, ConflictSource};
pub use values::{Entries, Percent};

/// The Core module at work on an engine.
pub struct Core {
    engine: Arc<Engine>,
}

impl Core {
    /// The engine it works on.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// The origin of a change of this module.
pub(crate) const fn origin(action: &'static str) -> Origin {
    Origin { module: Core::NAME, action }
}

impl TypedModule for Core {
    const NAME: &'static str = "core";
    const SUMMARY: Text = Text { en: "VPN server and clients", tr: "VPN sunucusu ve istemciler" };
    const ACTIONS: &'static [Entry<Self>] = &[
        entry::<actions::AddClient>(),
        entry::<actions::RemoveClient>(),
        entry::<actions::ListClients>(),
        entry::<actions::ExportClient>(),
        entry::<actions::LatestClients>(),
        entry::<actions::ServerStatus>(),
        entry::<actions::ServiceLogs>(),
        entry::<actions::RestartService>(),
        entry::<actions::FirewallStatus>(),
        entry::<actions::TweakSettings>(),
        entry::<actions::UpdateTweakSetting>(),
        entry::<actions::SubnetInfo>(),
        entry::<actions::ValidateSubnetChange>(),
        entry::<actions::ChangeSubnet>(),
        entry::<actions::Setup>(),
        entry::<actions::StartService>(),
        entry::<actions::StopService>(),
        entry::<actions::Reconcile>(),
        entry::<actions::Doctor>(),
        entry::<actions::Backup>(),
        entry::<actions::Restore>(),
    ];
}

impl SystemModule for Core {
    fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
    fn desired(
        installation: &Installation,
        state: &State<'_>,
        coverage: Coverage,
        wanted: &mut DesiredState,
    ) -> Result<(), StoreError> {
        desired::desired(installation, state, coverage, wanted)
    }
    fn peers(
        installation: &Installation,
        state: &State<'_>,
        keys: &[PublicKey],
    ) -> Result<Vec<PeerChange>, StoreError> {
        desired::peers(installation, state, keys)
    }
}
