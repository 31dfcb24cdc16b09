//! The checks of `doctor`: what the server needs of this host, one after the other.
//!
//! Each check is a function of what was found to a [`Check`], in the order of [`CHECKS`]. None changes anything, and one
//! whose part of the host does not answer is a warning, not an error.

mod firewall;
mod machine;
mod names;
mod server;

use phantom_engine::{Engine, EngineError, Wanted};
use phantom_host::HostError;
use phantom_module::Lang;
use phantom_store::{DnsServers, Ghost, Server, StoreError};
use schemars::JsonSchema;
use serde::Serialize;

use crate::CoreError;

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
    pub ghost: Option<Ghost>,
    /// What the modules want of the host.
    pub wanted: Wanted,
    /// What the stored state contradicts itself in.
    pub contradictions: Vec<String>,
}

/// What the checks work on.
pub(super) struct Case<'a> {
    pub engine: &'a Engine,
    pub lang: Lang,
    /// `Ok(None)` before the first setup.
    pub stored: Result<Option<Stored>, EngineError>,
    /// A factory reset was cut short.
    pub reset_pending: bool,
}

/// A result of a check, still without its name.
pub(super) struct Finding {
    state: CheckState,
    text: String,
    hint: Option<String>,
}

type Look = fn(&Case<'_>) -> Finding;

const CHECKS: [(&str, Look); 18] = [
    ("permissions", server::permissions),
    ("stored_state", server::stored_state),
    ("wireguard", machine::wireguard),
    ("tun_device", machine::tun_device),
    ("packet_filter", firewall::packet_filter),
    ("forwarding", machine::forwarding),
    ("service", server::service),
    ("wireguard_port", server::wireguard_port),
    ("https_port", server::https_port),
    ("uplink", machine::uplink),
    ("ufw", firewall::ufw),
    ("docker", firewall::docker),
    ("firewalld", firewall::firewalld),
    ("networkd", machine::networkd),
    ("host_in_sync", server::host_in_sync),
    ("clock", machine::clock),
    ("resolver", names::resolver),
    ("dns_servers", names::dns_servers),
];

/// Makes all checks.
pub(crate) fn examine(engine: &Engine, lang: Lang) -> Result<Vec<Check>, CoreError> {
    if !engine.host().privileged {
        return Err(EngineError::NotPrivileged.into());
    }
    let reset_pending = engine.store().reset_pending().unwrap_or(false);
    let case = Case { engine, lang, stored: stored(engine), reset_pending };
    let check = |(name, look): (&'static str, Look)| {
        let Finding { state, text, hint } = look(&case);
        Check { name, state, text, hint }
    };
    Ok(CHECKS.into_iter().map(check).collect())
}

fn stored(engine: &Engine) -> Result<Option<Stored>, EngineError> {
    let read = engine.store().read(|state| {
        let Some(server) = state.server()? else { return Ok(None) };
        Ok::<_, StoreError>(Some(Stored {
            server,
            dns: state.dns()?,
            ghost: state.ghost()?,
            wanted: engine.desired(state, phantom_engine::Depth::Full)?,
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
    /// The server that is stored.
    fn server(&self) -> Option<&Server> {
        self.stored().map(|stored| &stored.server)
    }
    fn pick(&self, en: impl Into<String>, tr: impl Into<String>) -> String {
        match self.lang {
            Lang::En => en.into(),
            Lang::Tr => tr.into(),
        }
    }
    fn ok(&self, en: impl Into<String>, tr: impl Into<String>) -> Finding {
        Finding { state: CheckState::Ok, text: self.pick(en, tr), hint: None }
    }
    fn warning(&self, en: impl Into<String>, tr: impl Into<String>) -> Finding {
        Finding { state: CheckState::Warning, text: self.pick(en, tr), hint: None }
    }
    fn problem(&self, en: impl Into<String>, tr: impl Into<String>) -> Finding {
        Finding { state: CheckState::Problem, text: self.pick(en, tr), hint: None }
    }
    /// A part of the host that does not answer.
    fn silent(&self, error: &HostError) -> Finding {
        let cause = error.chain();
        self.warning(format!("This could not be checked: {cause}"), format!("Bu denetlenemedi: {cause}"))
    }
    /// The way to let the host follow what is stored.
    fn reconcile(&self) -> String {
        self.pick("Run: phantom-api core reconcile", "Çalıştırın: phantom-api core reconcile")
    }
}

impl Finding {
    /// The same with what to do.
    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
