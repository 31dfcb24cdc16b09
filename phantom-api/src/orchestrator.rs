//! Modules on one engine.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use phantom_engine::{Engine, ModuleRegistry, SystemModule};
use phantom_host::Host;
use phantom_module::{
    Action, Answer, Call, Effect, ErrorCode, Failure, Lang, Module, Params, TypedModule, codes,
};
use phantom_store::Store;
use serde_json::{Value, json};

/// The orchestrator: every module, and the engine that those of the system work on.
pub struct Phantom {
    engine: Arc<Engine>,
    modules: Vec<Arc<dyn Module>>,
}

impl std::fmt::Debug for Phantom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.modules.iter().map(|module| module.name()).collect();
        f.debug_struct("Phantom").field("modules", &names).finish_non_exhaustive()
    }
}

/// Collects modules.
pub struct PhantomBuilder {
    engine: Arc<Engine>,
    parts: ModuleRegistry,
    modules: Vec<Arc<dyn Module>>,
}

/// Modules that cannot live together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two modules have the same name.
    #[error("two modules are named '{name}'")]
    Duplicate {
        /// The name.
        name: &'static str,
    },
}

impl PhantomBuilder {
    /// Registers a module of the system, which takes part in the state of the host.
    #[must_use]
    pub fn system<M: SystemModule>(mut self) -> Self {
        self.parts.add::<M>();
        let module = M::new(self.engine.clone());
        self.with(Arc::new(module))
    }

    /// Registers the modules of Phantom-WG itself, each by a line.
    #[cfg(feature = "modules")]
    #[must_use]
    pub fn all_modules(self) -> Self {
        // Those that restrict what Core opens come behind it.
        self.system::<phantom_core::Core>()
            .system::<phantom_dns::Dns>()
            .system::<phantom_ghost::Ghost>()
            .system::<phantom_multihop::Multihop>()
    }

    /// Sets how long a change waits for the lock, once: half a minute where nothing is set.
    #[must_use]
    pub fn lock_wait(self, wait: Duration) -> Self {
        self.engine.set_lock_wait(wait);
        self
    }

    /// Registers any module.
    #[must_use]
    pub fn with(mut self, module: Arc<dyn Module>) -> Self {
        self.modules.push(module);
        self
    }

    /// The orchestrator.
    ///
    /// # Errors
    /// Two modules with one name.
    pub fn build(self) -> Result<Phantom, BuildError> {
        let Self { engine, parts, modules } = self;
        for (at, module) in modules.iter().enumerate() {
            if modules[..at].iter().any(|other| other.name() == module.name()) {
                return Err(BuildError::Duplicate { name: module.name() });
            }
        }
        engine.set_modules(parts);
        Ok(Phantom { engine, modules })
    }
}

impl Phantom {
    /// Begins an orchestrator on this host and store. Nothing is touched before the first call.
    pub fn builder(host: Host, store: Store) -> PhantomBuilder {
        PhantomBuilder {
            engine: Arc::new(Engine::new(host, store)),
            parts: ModuleRegistry::default(),
            modules: Vec::new(),
        }
    }
    /// The modules in the order of their registration.
    pub fn modules(&self) -> &[Arc<dyn Module>] {
        &self.modules
    }
    /// A module by name.
    pub fn find(&self, name: &str) -> Option<&Arc<dyn Module>> {
        self.modules.iter().find(|module| module.name() == name)
    }
    /// A module by type, for typed calls.
    pub fn module<M: Module>(&self) -> Option<&M> {
        self.modules.iter().find_map(|module| (&**module as &dyn Any).downcast_ref())
    }
    /// The engine of the system's modules.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
    /// The language that is stored, where one is and can be read.
    pub fn stored_language(&self) -> Option<Lang> {
        self.engine.store().language()
    }

    /// Runs an action by name. A bug in it is an error of this call and of no other: what it had changed is rolled back
    /// by the next change.
    pub fn execute(
        &self,
        module: &str,
        action: &str,
        params: Params,
        call: &Call,
    ) -> Result<Answer, Failure> {
        let module = self.known(module)?;
        self.check_action(module, action)?;
        let reads = module.specs().iter().any(|spec| spec.name == action && spec.effect == Effect::Read);
        let reading = reads.then(|| self.engine.host().patience.reading());
        let run = AssertUnwindSafe(|| module.execute(action, params, call));
        let answer = catch_unwind(run).unwrap_or_else(|_| Err(Failure::new(DispatchError::Internal)));
        match reading {
            Some(reading) => answer.map(|answer| answer.with_unknown(reading.silent())),
            None => answer,
        }
    }

    /// Runs an action by its type. As by name, a part of the host that does not answer is given up after a moment while an
    /// action reads, and a bug is an error of this call and of no other.
    ///
    /// [`TypedModule::call`] on the module itself does without both: it waits for a silent part of the host as long as a
    /// change would, and does not say which was silent.
    ///
    /// # Errors
    /// What the action says, its module is not registered, or a bug.
    pub fn call<A>(&self, action: A, call: &Call) -> Result<Answered<A::Output>, CallError<A::Error>>
    where
        A: Action,
        A::Module: TypedModule,
    {
        let module = self.module::<A::Module>().ok_or_else(|| {
            let known = self.modules.iter().map(|module| module.name()).collect();
            DispatchError::Module { module: <A::Module as TypedModule>::NAME.to_owned(), known }
        })?;
        let reading = (A::EFFECT == Effect::Read).then(|| self.engine.host().patience.reading());
        let run = AssertUnwindSafe(|| module.call(action, call));
        let output = catch_unwind(run).map_err(|_| DispatchError::Internal)?.map_err(CallError::Action)?;
        Ok(Answered { output, unknown: reading.map(|reading| reading.silent()).unwrap_or_default() })
    }

    /// That module and action exist.
    pub fn check(&self, module: &str, action: &str) -> Result<(), Failure> {
        let module = self.known(module)?;
        self.check_action(module, action)
    }

    fn known(&self, name: &str) -> Result<&Arc<dyn Module>, Failure> {
        self.find(name).ok_or_else(|| {
            let known = self.modules.iter().map(|module| module.name()).collect();
            Failure::new(DispatchError::Module { module: name.to_owned(), known })
        })
    }

    #[expect(clippy::unused_self, reason = "part of the orchestrator's checks, in their order")]
    fn check_action(&self, module: &Arc<dyn Module>, action: &str) -> Result<(), Failure> {
        let known: Vec<&'static str> = module.specs().iter().map(|spec| spec.name).collect();
        if known.contains(&action) {
            return Ok(());
        }
        let module = module.name();
        Err(Failure::new(DispatchError::Action { module, action: action.to_owned(), known }))
    }
}

/// The answer of a typed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<T> {
    /// What the action answered.
    pub output: T,
    /// The parts of the host that did not answer, by the names that the field `unknown` of an answer has for them. What the
    /// output says of these is not known. Always empty for a change, which fails instead.
    pub unknown: Vec<String>,
}

/// Why a typed call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError<E: ErrorCode> {
    /// Its module is not registered, or there is a bug in the action.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// What the action says.
    #[error(transparent)]
    Action(E),
}

impl<E: ErrorCode> ErrorCode for CallError<E> {
    fn code(&self) -> &'static str {
        match self {
            Self::Dispatch(error) => error.code(),
            Self::Action(error) => error.code(),
        }
    }
    fn message(&self, lang: Lang) -> String {
        match self {
            Self::Dispatch(error) => error.message(lang),
            Self::Action(error) => error.message(lang),
        }
    }
    fn data(&self) -> Option<Value> {
        match self {
            Self::Dispatch(error) => error.data(),
            Self::Action(error) => error.data(),
        }
    }
    fn data_in(&self, lang: Lang) -> Option<Value> {
        match self {
            Self::Dispatch(error) => error.data_in(lang),
            Self::Action(error) => error.data_in(lang),
        }
    }
}

/// What can go wrong before an action runs, and a bug in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// No such module.
    #[error("module '{module}' not found")]
    Module {
        /// What was asked for.
        module: String,
        /// The modules there are.
        known: Vec<&'static str>,
    },
    /// No such action.
    #[error("action '{action}' not found in module '{module}'")]
    Action {
        /// The module.
        module: &'static str,
        /// What was asked for.
        action: String,
        /// The actions there are.
        known: Vec<&'static str>,
    },
    /// A bug: the action panicked. The panic's own text went to standard error.
    #[error("an unexpected error occurred")]
    Internal,
}

impl ErrorCode for DispatchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Module { .. } => codes::MODULE_NOT_FOUND,
            Self::Action { .. } => codes::ACTION_NOT_FOUND,
            Self::Internal => codes::INTERNAL_ERROR,
        }
    }

    fn message(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Module { module, known }, Lang::En) => {
                format!("Module '{module}' not found. Available modules: {}", known.join(", "))
            }
            (Self::Module { module, known }, Lang::Tr) => {
                format!("'{module}' modülü bulunamadı. Mevcut modüller: {}", known.join(", "))
            }
            (Self::Action { module, action, known }, Lang::En) => {
                format!(
                    "Action '{action}' not found in module '{module}'. Available actions: {}",
                    known.join(", ")
                )
            }
            (Self::Action { module, action, known }, Lang::Tr) => {
                format!(
                    "'{action}' eylemi '{module}' modülünde bulunamadı. Mevcut eylemler: {}",
                    known.join(", ")
                )
            }
            (Self::Internal, lang) => {
                lang.pick("An unexpected error occurred", "Beklenmeyen bir hata oluştu").to_owned()
            }
        }
    }

    fn data(&self) -> Option<Value> {
        match self {
            Self::Module { known, .. } => Some(json!({ "available_modules": known })),
            Self::Action { known, .. } => Some(json!({ "available_actions": known })),
            Self::Internal => None,
        }
    }
}
