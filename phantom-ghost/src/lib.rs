//! The Ghost module: WireGuard inside HTTPS, for networks that block WireGuard.
//!
//! While Ghost Mode is on, the tunnel server listens on TCP 443. It shows a decoy site to every stranger. It passes tunnels
//! with a known secret to the WireGuard port, which then accepts packets from this host alone. The module stores that Ghost
//! Mode is on and says what follows for the host. The program `phantom-ghost` does the work; other programs can use its
//! crate `phantom-tunnel` as well. A program that only switches Ghost Mode on and off does not link TLS.
//!
//! ```no_run
//! use phantom_ghost::{Ghost, actions::Enable};
//! use phantom_module::{Call, Lang, TypedModule};
//! # fn with(ghost: &Ghost) -> Result<(), phantom_ghost::GhostError> {
//! let enable = Enable::new("vpn.example.org".parse::<phantom_types::Domain>().expect("a domain"));
//! println!("{}", *ghost.call(enable, &Call::new(Lang::En))?.connection_command.0);
//! # Ok(())
//! # }
//! ```

pub mod actions;
mod certificate;
mod checks;
mod decoy;
mod desired;
mod error;
mod front;
mod keeper;
mod name;
pub mod program;
mod validation;
mod verify;
mod way;

use std::sync::Arc;

use phantom_engine::{
    Claims, Coverage, DesiredState, DoctorCheck, Engine, HookError, Installation, PeerChange, ServerSetting,
    ServiceHook, SystemModule, Tweak, Veto,
};
use phantom_ghost_state::{GhostState as _, SCHEMA};
use phantom_host::{Port, Protocol};
use phantom_module::{Call, Entry, Text, TypedModule, entry};
use phantom_store::{ModuleSchema, State, StoreError};
use phantom_types::{PublicKey, Timestamp};

pub use certificate::CertificateInfo;
pub use decoy::DecoyInUse;
pub use error::{AddressFault, GhostError, GhostStep, SourceFault};

/// The TCP port of the tunnel where no web server is in front: that of HTTPS.
pub(crate) const PORT: u16 = 443;
/// The TCP port at which a certificate authority may ask as well: that of HTTP.
pub(crate) const HTTP: u16 = 80;

/// The tunnel leads to the port, and clients that came through it know the subnet by it.
const VETO: Veto = Veto {
    module: <Ghost as TypedModule>::NAME,
    feature: Text { en: "Ghost Mode", tr: "Ghost Mode" },
    disabled: Text { en: "Ghost Mode", tr: "Ghost Mode'u" },
    settings: &[ServerSetting::Subnet, ServerSetting::Port, ServerSetting::Backend],
};

/// Whether the secret opens tunnels that `enable` and `status` show. Each client has one of its own.
pub(crate) const OPERATOR_SECRET: Tweak = Tweak {
    name: "ghost_operator_secret",
    default: true,
    description: Text {
        en: "Let the operator's secret open tunnels in Ghost Mode (each client has a secret of its own)",
        tr: "Ghost Mode'da yönetici gizli anahtarı ile tünel açılmasına izin ver (her istemcinin kendi gizli anahtarı vardır)",
    },
};

/// The Ghost module at work on an engine.
pub struct Ghost {
    engine: Arc<Engine>,
}

impl Ghost {
    /// The engine it works on.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl TypedModule for Ghost {
    const NAME: &'static str = "ghost";
    const SUMMARY: Text = Text { en: "WireGuard inside HTTPS", tr: "HTTPS içinde WireGuard" };
    const ACTIONS: &'static [Entry<Self>] =
        &[entry::<actions::Enable>(), entry::<actions::Disable>(), entry::<actions::Status>()];
}

impl SystemModule for Ghost {
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
    fn schema() -> Option<ModuleSchema> {
        Some(SCHEMA)
    }
    fn tweaks() -> &'static [Tweak] {
        &[OPERATOR_SECRET]
    }
    fn claims(state: &State<'_>) -> Result<Claims, StoreError> {
        let Some(ghost) = state.ghost()? else { return Ok(Claims::default()) };
        let entrance = Some(Port { protocol: Protocol::Tcp, number: ghost.public_port() });
        Ok(Claims { vetoes: vec![VETO], entrance, ..Claims::default() })
    }
    fn due(state: &State<'_>) -> Result<Option<Timestamp>, StoreError> {
        validation::until(state)
    }
    fn vetoes() -> &'static [Veto] {
        &[VETO]
    }
    fn when_due(engine: &Engine, call: &Call) -> Result<(), HookError> {
        validation::close_what_ended(engine, call).map_err(HookError::action)
    }
    fn checks() -> &'static [DoctorCheck] {
        checks::CHECKS
    }
    fn hooks() -> &'static [ServiceHook] {
        way::HOOKS
    }
}
