//! The checks of `doctor`: what the server needs of this host, one after the other.
//!
//! Core's own checks are in [`CHECKS`]; other modules bring theirs by the engine's contract. None changes anything, and one
//! whose part of the host does not answer is a warning, not an error.

mod clocks;
mod collisions;
mod filters;
mod firewall;
mod machine;
mod names;
mod server;
mod watcher;

use std::cell::OnceCell;

use phantom_engine::{DesiredState, Engine, EngineError, Examination, Finding, Severity};
use phantom_host::Port;
use phantom_module::Lang;
use phantom_store::{DnsServers, Server, StoreError};
use phantom_types::Said;
use schemars::JsonSchema;
use serde::Serialize;

use crate::CoreError;
use crate::subnet_check::{Conflict, conflicts};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// It works, but somebody should look at it.
    Warning,
    /// Something cannot work like this.
    Problem,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// What was looked at
    #[schemars(extend("x-tr" = "Neye bakıldığı"))]
    pub name: &'static str,
    /// `ok`, `warning` or `problem`
    #[schemars(extend("x-tr" = "`ok`, `warning` veya `problem`"))]
    pub state: CheckState,
    /// What was found
    #[schemars(extend("x-tr" = "Ne bulunduğu"))]
    pub text: String,
    /// What to do, where something should be done
    #[schemars(extend("x-tr" = "Bir şey yapılması gerekiyorsa ne yapılacağı"))]
    pub hint: Option<String>,
}

/// What is stored, as far as checks need it.
pub(super) struct Stored {
    pub server: Server,
    pub dns: DnsServers,
    /// What the modules want of the host.
    pub wanted: DesiredState,
    /// What the stored state contradicts itself in.
    pub contradictions: Vec<Said>,
    /// Networks that overlap the VPN's own subnet.
    pub conflicts: Vec<Conflict>,
}

/// What the checks work on.
pub(super) struct Case<'a> {
    examination: Examination<'a>,
    /// `Ok(None)` before the first setup.
    pub stored: &'a Result<Option<Stored>, EngineError>,
    /// A factory reset was cut short.
    pub reset_pending: bool,
}

impl<'a> std::ops::Deref for Case<'a> {
    type Target = Examination<'a>;
    fn deref(&self) -> &Examination<'a> {
        &self.examination
    }
}

type Look = fn(&Case<'_>) -> Finding;

/// Core's own checks. Those of other modules come between them, by their place.
const CHECKS: [(u16, &str, Look); 20] = [
    (100, "permissions", server::permissions),
    (200, "stored_state", server::stored_state),
    (300, "wireguard", machine::wireguard),
    (400, "tun_device", machine::tun_device),
    (500, "packet_filter", firewall::packet_filter),
    (600, "forwarding", machine::forwarding),
    (700, "service", server::service),
    (800, "wireguard_port", server::wireguard_port),
    (900, "uplink", machine::uplink),
    (1000, "ufw", firewall::ufw),
    (1100, "docker", firewall::docker),
    (1200, "firewalld", firewall::firewalld),
    (1400, "host_in_sync", server::host_in_sync),
    (1450, "unfinished_change", server::unfinished_change),
    (1475, "watcher", watcher::watcher),
    (1500, "clock", machine::clock),
    (1550, "client_clocks", clocks::client_clocks),
    (1600, "resolver", names::resolver),
    (1700, "dns_servers", names::dns_servers),
    (1800, "collisions", collisions::collisions),
];

/// Makes all checks.
pub(crate) fn examine(engine: &Engine, lang: Lang) -> Result<Vec<Check>, CoreError> {
    if !engine.host().privileged {
        return Err(EngineError::NotPrivileged.into());
    }
    let reset_pending = engine.store().reset_pending().unwrap_or(false);
    let stored = stored(engine);
    let wanted = stored.as_ref().ok().and_then(Option::as_ref).map(|stored| &stored.wanted);
    let server = stored.as_ref().ok().and_then(Option::as_ref).map(|stored| &stored.server);
    let filters = OnceCell::new();
    let examination = Examination { engine, lang, server, filters: &filters, wanted };
    let case = Case { examination, stored: &stored, reset_pending };
    let own = CHECKS.into_iter().map(|(order, name, look)| (order, Check::from_finding(name, look(&case))));
    let others = engine.checks().into_iter();
    let mut all: Vec<_> = own
        .chain(others.map(|check| (check.order, Check::from_finding(check.name, (check.run)(&case)))))
        .collect();
    all.sort_by_key(|(order, _)| *order);
    Ok(all.into_iter().map(|(_, check)| check).collect())
}

impl Check {
    fn from_finding(name: &'static str, finding: Finding) -> Self {
        let state = match finding.severity {
            Severity::Ok => CheckState::Ok,
            Severity::Warning => CheckState::Warning,
            Severity::Problem => CheckState::Problem,
        };
        Self { name, state, text: finding.text, hint: finding.hint }
    }
}

fn stored(engine: &Engine) -> Result<Option<Stored>, EngineError> {
    let read = engine.store().read(|state| {
        let Some(server) = state.server()? else { return Ok(None) };
        Ok::<_, StoreError>(Some(Stored {
            conflicts: conflicts(engine, state, server.subnet, Some(server.interface.as_str()))?,
            server,
            dns: state.dns()?,
            wanted: engine.desired(state, phantom_engine::Coverage::Full)?,
            contradictions: state.contradictions()?,
        }))
    });
    read.map_err(EngineError::from)
}

impl Case<'_> {
    /// What is stored, on an initialised system whose state can be read.
    fn stored(&self) -> Option<&Stored> {
        self.stored.as_ref().ok().and_then(Option::as_ref)
    }
    /// The port at which clients come in, where it is not WireGuard's own.
    fn entrance(&self) -> Option<Port> {
        self.engine.store().read(|state| self.engine.claims(state)).ok()?.entrance
    }
    /// The server that is stored.
    fn server(&self) -> Option<&Server> {
        self.stored().map(|stored| &stored.server)
    }
}
