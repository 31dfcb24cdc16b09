//! Changes and reconciling: from the stored state to the host, all or nothing.
//!
//! ```text
//! stored state ──pure──▶ desired(state) ──pure──▶ plan(observe(host), desired) ──▶ apply ──▶ verify
//! ```
//!
//! [`Engine`] connects the store with the host. An action reads through [`Engine::read`] and changes through
//! [`Engine::change`]. A change runs under the lock and in one transaction, the host follows, and everything is rolled
//! back if anything fails. Modules take part through [`SystemModule`]; none knows another.

mod change;
mod contract;
mod converge;
mod copies;
mod due;
mod error;
pub mod filters;
mod foreign;
mod installation;
mod log;
mod peer_changes;
mod reconcile;
mod recover;
mod watch;

use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use phantom_host::{Host, OwnershipTags};
use phantom_module::Call;
use phantom_store::{ModuleSchema, Paths, State, Store, StoreError};
use phantom_types::{PublicKey, Timestamp};

pub use change::{Change, Origin};
pub use contract::{
    ClaimedNetwork, Claims, DoctorCheck, Examination, Finding, HookArguments, HookError, ServerSetting,
    ServiceHook, Severity, SystemModule, Tweak, Veto,
};
pub use error::{ChangeError, EngineError, HostFailure};
pub use foreign::{foreign_name, make_room};
pub use installation::Installation;
pub use peer_changes::{DeviceChange, PeerChange};
pub use phantom_host::reconcile::{Coverage, DesiredState, Foreign, Step, StepAction, StepKind, Withheld};
pub use phantom_types::explain;
pub use reconcile::{Reconciled, Recovered, RecoveryOutcome, StepFailure};

/// How long a change waits for the lock where nothing else is set: [`Engine::set_lock_wait`].
pub const LOCK_WAIT: Duration = Duration::from_secs(30);

/// What systemd-networkd keeps while it runs.
pub const NETWORKD: &str = "/run/systemd/netif/links";

/// What of the host follows a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// These peers of the main interface: the cost of these peers, however many others there are.
    Peers(Vec<PublicKey>),
    /// Everything but the peers.
    WithoutPeers,
    /// Everything.
    Full,
}

/// Adds a module's part to the desired state: a pure function of what is stored and of what the [`Installation`] knows.
pub type Desired = fn(&Installation, &State<'_>, Coverage, &mut DesiredState) -> Result<(), StoreError>;
/// What a module wants of single peers: a pure function of what is stored.
pub type DesiredPeers = fn(&Installation, &State<'_>, &[PublicKey]) -> Result<Vec<PeerChange>, StoreError>;

/// What a module claims: a pure function of what is stored.
type ClaimsOf = fn(&State<'_>) -> Result<Claims, StoreError>;
/// When a module wants to be called next.
type DueOf = fn(&State<'_>) -> Result<Option<Timestamp>, StoreError>;
/// Does what is due.
type WhenDue = fn(&Engine, &Call) -> Result<(), HookError>;

/// One module's share in the system.
#[derive(Clone, Copy)]
struct RegisteredModule {
    desired: Desired,
    peers: DesiredPeers,
    claims: ClaimsOf,
    schema: Option<ModuleSchema>,
    due: DueOf,
    vetoes: &'static [Veto],
    when_due: WhenDue,
    checks: &'static [DoctorCheck],
    tweaks: &'static [Tweak],
    hooks: &'static [ServiceHook],
}

/// The store, the host, and what the modules want of it.
pub struct Engine {
    host: Host,
    store: Store,
    tags: OwnershipTags,
    modules: OnceLock<Vec<RegisteredModule>>,
    lock_wait: OnceLock<Duration>,
    /// Makes the copy of this day.
    copying: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("root", &self.store.paths().root()).finish_non_exhaustive()
    }
}

/// Collects the modules of an engine.
#[derive(Default)]
pub struct ModuleRegistry(Vec<RegisteredModule>);

impl ModuleRegistry {
    /// Adds a module's share.
    pub fn add<M: SystemModule>(&mut self) {
        self.0.push(RegisteredModule {
            desired: M::desired,
            peers: M::peers,
            claims: M::claims,
            schema: M::schema(),
            due: M::due,
            vetoes: M::vetoes(),
            when_due: M::when_due,
            checks: M::checks(),
            tweaks: M::tweaks(),
            hooks: M::hooks(),
        });
    }
}

impl Engine {
    /// An engine on this host and store. [`Self::set_modules`] completes it.
    pub fn new(host: Host, store: Store) -> Self {
        let tags = OwnershipTags::new(store.paths().instance());
        let (modules, lock_wait) = (OnceLock::new(), OnceLock::new());
        Self { host, store, tags, modules, lock_wait, copying: Mutex::default() }
    }
    /// Says which modules take part, once and before the first use; a second call is without effect.
    pub fn set_modules(&self, modules: ModuleRegistry) {
        self.store.set_modules(modules.0.iter().filter_map(|module| module.schema).collect());
        let _ = self.modules.set(modules.0);
    }
    /// Says how long a change waits for the lock, once; a second call is without effect. It is for programs that embed the
    /// engine and have less patience; our own keep to [`LOCK_WAIT`].
    pub fn set_lock_wait(&self, wait: Duration) {
        let _ = self.lock_wait.set(wait);
    }
    /// How long a change waits for the lock before it gives up: [`LOCK_WAIT`] unless something else was set.
    pub fn lock_wait(&self) -> Duration {
        self.lock_wait.get().copied().unwrap_or(LOCK_WAIT)
    }
    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }
    /// The stored state.
    pub fn store(&self) -> &Store {
        &self.store
    }
    /// Where everything is stored.
    pub fn paths(&self) -> &Paths {
        self.store.paths()
    }
    /// The tags of this installation.
    pub fn tags(&self) -> &OwnershipTags {
        &self.tags
    }

    /// Reads the last committed state, in one consistent view, without any lock.
    ///
    /// # Errors
    /// Not privileged, not initialised, or an unreadable database.
    pub fn read<T, E>(&self, work: impl FnOnce(&State<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<EngineError>,
    {
        self.check_privilege()?;
        let read = |state: &State<'_>| {
            if !state.initialised().map_err(EngineError::from)? {
                return Err(EngineError::NotInitialised.into());
            }
            work(state)
        };
        self.store.read(|state| Ok::<_, StoreError>(read(state))).map_err(EngineError::from)?
    }

    /// What the modules want of the host for this state.
    pub fn desired(&self, state: &State<'_>, coverage: Coverage) -> Result<DesiredState, StoreError> {
        let installation = self.installation()?;
        let mut wanted = DesiredState::default();
        for module in self.modules() {
            (module.desired)(&installation, state, coverage, &mut wanted)?;
        }
        Ok(if installation.ipv6 { wanted } else { wanted.without_ipv6() })
    }

    fn desired_peers(&self, state: &State<'_>, keys: &[PublicKey]) -> Result<Vec<PeerChange>, StoreError> {
        let installation = self.installation()?;
        let mut changes = Vec::new();
        for module in self.modules() {
            changes.extend((module.peers)(&installation, state, keys)?);
        }
        Ok(changes)
    }

    /// What all modules claim while the state is stored as it is.
    ///
    /// # Errors
    /// The stored state cannot be read.
    pub fn claims(&self, state: &State<'_>) -> Result<Claims, StoreError> {
        let mut all = Claims::default();
        for module in self.modules() {
            let Claims { interfaces, networks, vetoes, entrance } = (module.claims)(state)?;
            all.interfaces.extend(interfaces);
            all.networks.extend(networks);
            all.vetoes.extend(vetoes);
            all.entrance = all.entrance.or(entrance);
        }
        Ok(all)
    }

    /// Every veto that a module may claim against a change of this setting, in the order of the modules.
    pub fn vetoes(&self, setting: ServerSetting) -> impl Iterator<Item = &'static Veto> {
        self.modules().iter().flat_map(|module| module.vetoes).filter(move |veto| veto.is_against(setting))
    }

    /// The checks of all modules for the doctor, in their order.
    pub fn checks(&self) -> Vec<DoctorCheck> {
        let mut all: Vec<DoctorCheck> =
            self.modules().iter().flat_map(|module| module.checks).copied().collect();
        all.sort_by_key(|check| check.order);
        all
    }

    /// The settings that modules bring.
    pub fn tweaks(&self) -> impl Iterator<Item = &'static Tweak> {
        self.modules().iter().flat_map(|module| module.tweaks)
    }

    /// The verbs of all hooks, in the order of the modules.
    pub fn hook_verbs(&self) -> impl Iterator<Item = &'static str> {
        self.modules().iter().flat_map(|module| module.hooks).map(|hook| hook.verb)
    }

    /// What a module's service calls by this verb.
    pub fn hook(&self, verb: &str) -> Option<ServiceHook> {
        self.modules().iter().flat_map(|module| module.hooks).find(|hook| hook.verb == verb).copied()
    }

    fn modules(&self) -> &[RegisteredModule] {
        self.modules.get().map_or(&[], Vec::as_slice)
    }

    /// What a module has to know of this installation beside the stored state.
    pub fn installation(&self) -> Result<Installation, StoreError> {
        Ok(Installation {
            tags: self.tags.clone(),
            programs: self.host.programs.clone(),
            paths: self.store.paths().clone(),
            run_id: self.store.run_id()?,
            // Where it does not answer, it is not told anything.
            networkd: self.host.files.info(Path::new(NETWORKD)).is_ok_and(|info| info.is_some()),
            ipv6: self.host.has_ipv6().unwrap_or(true),
            host: self.host.clone(),
            addresses: OnceLock::new(),
        })
    }

    fn check_privilege(&self) -> Result<(), EngineError> {
        if self.host.privileged { Ok(()) } else { Err(EngineError::NotPrivileged) }
    }
}
