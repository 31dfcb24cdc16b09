//! What a module brings to the system beside its actions: its part of the desired state, its tables, what it claims, its checks for
//! the doctor, what it has to do at its time, and the hooks that services call.
//!
//! Every method but two has a default, so that a module says only what it has to say. Modules meet here and nowhere else:
//! each asks the engine what all of them claim, and none names another.

use std::cell::OnceCell;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use phantom_host::filter::Filters;
use phantom_host::{HostError, Port};
use phantom_module::{Call, ErrorCode, Lang, Module, Text, chain};
use phantom_store::{ModuleSchema, Server, State, StoreError, Transaction};
use phantom_types::{InterfaceName, PublicKey, Said, Spoken, Timestamp};

use crate::{Coverage, DesiredState, Engine, Installation, PeerChange, explain};

/// A module that takes part in the state of the host.
pub trait SystemModule: Module + Sized {
    /// The module at work on this engine.
    fn new(engine: Arc<Engine>) -> Self;
    /// Adds its part to the desired state: a pure function of what is stored.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn desired(_: &Installation, _: &State<'_>, _: Coverage, _: &mut DesiredState) -> Result<(), StoreError> {
        Ok(())
    }
    /// What it wants of these peers: a pure function of what is stored. A module without clients of its own wants nothing.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn peers(_: &Installation, _: &State<'_>, _: &[PublicKey]) -> Result<Vec<PeerChange>, StoreError> {
        Ok(Vec::new())
    }
    /// What it claims while the state is stored as it is.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn claims(_: &State<'_>) -> Result<Claims, StoreError> {
        Ok(Claims::default())
    }
    /// The tables that it owns. They are brought up to date together with those of the store.
    fn schema() -> Option<ModuleSchema> {
        None
    }
    /// When it wants to be called next although nobody changes anything; `None` for never. At that moment, or as soon as the host
    /// runs again after it, the host is brought to what is stored (single peers apart), and [`Self::when_due`] is called.
    ///
    /// # Errors
    /// The stored state cannot be read.
    fn due(_: &State<'_>) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
    /// Every veto that it may ever claim.
    fn vetoes() -> &'static [Veto] {
        &[]
    }
    /// Does what is due, by changes like any other. No lock is held. After it, [`Self::due`] names a later moment or none; where it
    /// does not, and where this fails, it is called again a minute later.
    ///
    /// # Errors
    /// What was due could not be done.
    fn when_due(_: &Engine, _: &Call) -> Result<(), HookError> {
        Ok(())
    }
    /// Its checks for the doctor.
    fn checks() -> &'static [DoctorCheck] {
        &[]
    }
    /// Settings of the operator's that only it knows.
    fn tweaks() -> &'static [Tweak] {
        &[]
    }
    /// What `phantom-api service VERB ARGUMENT` does for its services.
    fn hooks() -> &'static [ServiceHook] {
        &[]
    }
}

/// A setting of the operator's that is on or off, and that a module brings. The host follows it as it follows everything else that
/// is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tweak {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it is until it is set.
    pub default: bool,
    /// What it does, in a sentence.
    pub description: Text,
}

/// Where the values of all tweaks are stored that modules bring.
const TWEAKS: &str = "tweaks";

impl Tweak {
    /// Its value.
    ///
    /// # Errors
    /// The stored state cannot be read.
    pub fn value(&self, state: &State<'_>) -> Result<bool, StoreError> {
        let stored = state.document(TWEAKS, self.name)?;
        Ok(stored.as_ref().and_then(serde_json::Value::as_bool).unwrap_or(self.default))
    }
    /// Stores its value.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn set(&self, state: &Transaction<'_>, value: bool) -> Result<(), StoreError> {
        state.set_document(TWEAKS, self.name, Some(&value.into()))
    }
}

/// What modules claim while the state is stored as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// WireGuard interfaces beside the server's own. A change of the network waits for none of them that hangs.
    pub interfaces: Vec<InterfaceName>,
    /// Networks that the VPN's subnet must not overlap.
    pub networks: Vec<ClaimedNetwork>,
    /// Changes of the server that they do not allow now: of [their vetoes](SystemModule::vetoes) those that are in force.
    pub vetoes: Vec<Veto>,
    /// The port at which clients come in, where it is not WireGuard's own: that one is closed then.
    pub entrance: Option<Port>,
}

/// A network that a module uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedNetwork {
    /// Whose it is, as people know it: the name of an exit.
    pub owner: String,
    /// The network, or an address in it with the network's prefix length.
    pub network: IpNetwork,
}

/// A setting of the server that other modules build upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSetting {
    /// The subnet of the clients.
    Subnet,
    /// The WireGuard port.
    Port,
    /// Which WireGuard runs: the kernel's or the embedded one.
    Backend,
}

/// A module does not allow some settings to be changed for as long as it is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Veto {
    /// The module.
    pub module: &'static str,
    /// What is active, as people know it.
    pub feature: Text,
    /// The same as what somebody disables: in Turkish the object of the sentence.
    pub disabled: Text,
    /// The settings.
    pub settings: &'static [ServerSetting],
}

impl Veto {
    /// Whether it is against a change of this setting.
    pub fn is_against(&self, setting: ServerSetting) -> bool {
        self.settings.contains(&setting)
    }
}

impl Claims {
    /// The vetoes against a change of this setting.
    pub fn against(&self, setting: ServerSetting) -> impl Iterator<Item = &Veto> {
        self.vetoes.iter().filter(move |veto| veto.is_against(setting))
    }
}

/// A check of the doctor.
#[derive(Clone, Copy, Debug)]
pub struct DoctorCheck {
    /// Its name in the answer.
    pub name: &'static str,
    /// Its place among all checks: lowest first. Core's own are at the hundreds.
    pub order: u16,
    /// Finds out. It changes nothing, and a part of the host that does not answer is a warning, not an error.
    pub run: fn(&Examination<'_>) -> Finding,
}

/// What a check works on.
#[derive(Clone, Copy, Debug)]
pub struct Examination<'a> {
    /// The engine, for its host and its store.
    pub engine: &'a Engine,
    /// The language of the finding.
    pub lang: Lang,
    /// The server that is stored; `None` before the first setup and where the state cannot be read.
    pub server: Option<&'a Server>,
    /// All packet filters of the host, read when the first check asks for them.
    pub filters: &'a OnceCell<Result<Filters, HostError>>,
    /// What all modules want of the host; `None` before the first setup and where the state cannot be read.
    pub wanted: Option<&'a DesiredState>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// All is as it should be.
    Ok,
    /// It works, and somebody should see to it.
    Warning,
    /// Something cannot work like this.
    Problem,
}

/// What a check found, in the language that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// The same with what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl Examination<'_> {
    /// The one of two texts that is in the language of the finding.
    pub fn pick(&self, en: impl Into<String>, tr: impl Into<String>) -> String {
        match self.lang {
            Lang::En => en.into(),
            Lang::Tr => tr.into(),
        }
    }
    /// All is as it should be.
    pub fn ok(&self, en: impl Into<String>, tr: impl Into<String>) -> Finding {
        self.finding(Severity::Ok, en, tr)
    }
    /// It works, and somebody should see to it.
    pub fn warning(&self, en: impl Into<String>, tr: impl Into<String>) -> Finding {
        self.finding(Severity::Warning, en, tr)
    }
    /// Something cannot work like this.
    pub fn problem(&self, en: impl Into<String>, tr: impl Into<String>) -> Finding {
        self.finding(Severity::Problem, en, tr)
    }
    /// A part of the host, or the stored state, that does not answer.
    pub fn silent(&self, error: &dyn Spoken) -> Finding {
        let cause = explain(error, self.lang);
        self.warning(format!("This could not be checked: {cause}"), format!("Bu denetlenemedi: {cause}"))
    }
    /// The command that lets the host follow what is stored.
    pub fn reconcile(&self) -> String {
        self.pick("Run: phantom-api core reconcile", "Çalıştırın: phantom-api core reconcile")
    }

    fn finding(&self, severity: Severity, en: impl Into<String>, tr: impl Into<String>) -> Finding {
        Finding { severity, text: self.pick(en, tr), hint: None }
    }
}

/// What may follow the verb of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookArguments {
    /// Nothing.
    None,
    /// One argument or more.
    Required,
    /// Nothing, or arguments.
    Optional,
}

impl HookArguments {
    /// Whether these are such arguments.
    pub fn fit(self, arguments: &[String]) -> bool {
        match self {
            Self::None => arguments.is_empty(),
            Self::Required => !arguments.is_empty(),
            Self::Optional => true,
        }
    }
}

/// What a service of a module calls: only the whole program knows what all modules want of the host.
#[derive(Clone, Copy, Debug)]
pub struct ServiceHook {
    /// The word behind `service`.
    pub verb: &'static str,
    /// What may follow the verb.
    pub arguments: HookArguments,
    /// Does it, for these arguments.
    pub run: fn(&Engine, &Call, &str) -> Result<(), HookError>,
}

/// Why a hook did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The argument is not one that it takes.
    #[error("the argument is not one that this verb takes")]
    Usage,
    /// The work failed.
    #[error("{}", .0.en)]
    Failed(Said),
}

impl Spoken for HookError {
    fn turkish(&self) -> String {
        match self {
            Self::Usage => "bu komut böyle bir argüman almıyor".to_owned(),
            Self::Failed(said) => said.tr.clone(),
        }
    }
}

impl HookError {
    /// The failure of the work.
    #[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
    pub fn failed(error: impl Spoken) -> Self {
        Self::Failed(Said::from_error(&error))
    }
    /// An error of an action that the work consists of.
    #[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
    pub fn action(error: impl ErrorCode) -> Self {
        Self::Failed(Said::new(chain(&error), error.message(Lang::Tr)))
    }
}
