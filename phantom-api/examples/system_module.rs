//! A fifth module of the system, in one file: a table of its own, a veto, a check for the doctor and a hook for its services.
//!
//! It freezes the server for the time of somebody's maintenance: the subnet and the port stay as they are until the freeze ends. No
//! other module knows it. It runs on the in-memory host: `cargo run -p phantom-api --example system_module --features fake`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::io;
use std::sync::Arc;

use phantom_api::cli::{self, Environment, Streams};
use phantom_api::{
    Action, Call, Effect, Engine, EngineError, Entry, ErrorCode, Host, Lang, ParamError, Paths, Phantom,
    Store, SystemModule, Text, TypedModule, entry,
};
use phantom_core::actions::{ChangeSubnet, Doctor, Setup};
use phantom_engine::{
    ChangeError, Claims, DoctorCheck, Examination, Finding, HookArguments, HookError, Origin, ServerSetting,
    ServiceHook, Veto,
};
use phantom_store::sql::{params, time};
use phantom_store::{ModuleSchema, State, StoreError};
use phantom_types::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The module at work on an engine.
struct Freeze {
    engine: Arc<Engine>,
}

/// Its table. A later version appends a step, and changes none.
const SCHEMA: ModuleSchema = ModuleSchema {
    module: Freeze::NAME,
    steps: &["CREATE TABLE freezes (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        reason TEXT NOT NULL,
        since INTEGER NOT NULL
    ) STRICT"],
};

/// What Core asks about before it changes the server.
const VETO: Veto = Veto {
    module: Freeze::NAME,
    feature: Text { en: "The freeze", tr: "Dondurma" },
    disabled: Text { en: "the freeze", tr: "dondurmayı" },
    settings: &[ServerSetting::Subnet, ServerSetting::Port],
};

/// What the doctor looks at, after Core's own checks.
const CHECK: DoctorCheck = DoctorCheck { name: "freeze", order: 1900, run: examine };

/// What a timer of an administrator calls: `phantom-api service thaw`.
const HOOK: ServiceHook = ServiceHook { verb: "thaw", arguments: HookArguments::None, run: thaw };

/// The row: why the server is frozen, and since when.
fn stored(state: &State<'_>) -> Result<Option<(String, Timestamp)>, StoreError> {
    state.first("SELECT reason, since FROM freezes", (), |row| Ok((row.get(0)?, time(row, 1)?)))
}

fn examine(case: &Examination<'_>) -> Finding {
    match case.engine.store().read(stored) {
        Err(error) => case.silent(&error),
        Ok(None) => case.ok("The server is not frozen", "Sunucu dondurulmuş değil"),
        Ok(Some((reason, since))) => {
            let found = case.warning(
                format!("The server has been frozen since {since}: {reason}"),
                format!("Sunucu {since} tarihinden beri dondurulmuş: {reason}"),
            );
            found.hint(case.pick("End it: phantom-api service thaw", "Bitirin: phantom-api service thaw"))
        }
    }
}

fn thaw(engine: &Engine, call: &Call, _: &str) -> Result<(), HookError> {
    let origin = Origin { module: Freeze::NAME, action: HOOK.verb };
    let thawed = engine.change(origin, call, |change| {
        change.execute("DELETE FROM freezes", ())?;
        Ok::<_, FreezeError>(())
    });
    thawed.map_err(HookError::action)
}

/// Freezes the server.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Begin {
    /// Why
    #[schemars(extend("x-tr" = "Neden"))]
    reason: String,
}

/// The server is frozen.
#[derive(Serialize, JsonSchema)]
struct Frozen {
    /// Since when
    #[schemars(with = "String", extend("x-tr" = "Ne zamandan beri"))]
    since: Timestamp,
}

impl Action for Begin {
    type Module = Freeze;
    type Output = Frozen;
    type Error = FreezeError;
    const NAME: &'static str = "begin";
    const SUMMARY: Text = Text { en: "Freeze the server", tr: "Sunucuyu dondur" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "reason=maintenance";
    const ERRORS: &'static [&'static str] = &["ALREADY_FROZEN"];

    fn run(self, module: &Freeze, call: &Call) -> Result<Frozen, FreezeError> {
        let origin = Origin { module: Freeze::NAME, action: Self::NAME };
        module.engine.change(origin, call, |change| {
            if let Some((reason, _)) = stored(change)? {
                return Err(FreezeError::Already { reason });
            }
            let since = module.engine.host().clock.now();
            let sql = "INSERT INTO freezes (id, reason, since) VALUES (1, ?1, ?2)";
            change.execute(sql, params![self.reason, since.micros()])?;
            Ok(Frozen { since })
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum FreezeError {
    /// What can go wrong with any action.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A parameter is beyond its limits.
    #[error(transparent)]
    Parameter(#[from] ParamError),
    #[error("the server is frozen already: {reason}")]
    Already { reason: String },
}

impl From<StoreError> for FreezeError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl ChangeError for FreezeError {
    fn set_rolled_back(&mut self, complete: bool) {
        if let Self::Engine(error) = self {
            error.set_rolled_back(complete);
        }
    }
}

impl ErrorCode for FreezeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.code(),
            Self::Parameter(error) => error.code(),
            Self::Already { .. } => "ALREADY_FROZEN",
        }
    }
    fn message(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Engine(error), lang) => error.message(lang),
            (Self::Parameter(error), lang) => error.message(lang),
            (Self::Already { reason }, Lang::En) => format!("The server is frozen already: {reason}"),
            (Self::Already { reason }, Lang::Tr) => format!("Sunucu zaten dondurulmuş: {reason}"),
        }
    }
    fn data(&self) -> Option<serde_json::Value> {
        match self {
            Self::Engine(error) => error.data(),
            Self::Parameter(error) => error.data(),
            Self::Already { .. } => None,
        }
    }
}

impl TypedModule for Freeze {
    const NAME: &'static str = "freeze";
    const SUMMARY: Text = Text { en: "Keeps the server as it is", tr: "Sunucuyu olduğu gibi tutar" };
    const ACTIONS: &'static [Entry<Self>] = &[entry::<Begin>()];
}

impl SystemModule for Freeze {
    fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
    fn schema() -> Option<ModuleSchema> {
        Some(SCHEMA)
    }
    fn claims(state: &State<'_>) -> Result<Claims, StoreError> {
        let vetoes = stored(state)?.map(|_| VETO).into_iter().collect();
        Ok(Claims { vetoes, ..Claims::default() })
    }
    fn vetoes() -> &'static [Veto] {
        &[VETO]
    }
    fn checks() -> &'static [DoctorCheck] {
        &[CHECK]
    }
    fn hooks() -> &'static [ServiceHook] {
        &[HOOK]
    }
}

/// The house with one more module: a line.
fn open(host: Host, paths: Paths) -> Phantom {
    let builder = Phantom::builder(host, Store::new(paths)).all_modules().system::<Freeze>();
    builder.build().expect("the names differ")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (host, _) = Host::fake();
    let paths = Paths::with_run_dir(dir.path().join("phantom"), dir.path().join("run"));
    let phantom = open(host.clone(), paths.clone());
    let call = Call::new(Lang::En);
    phantom.call(Setup { server_ip: Some("203.0.113.5".parse()?), ..Setup::default() }, &call)?;

    let begin = || Begin { reason: "new switches".to_owned() };
    phantom.call(begin(), &call)?;
    if let Err(refused) = phantom.call(begin(), &call) {
        println!("a second time: {}", refused.message(Lang::En));
    }
    // Core asks all modules before it moves the clients, and before setup gives the server another port.
    let moved = ChangeSubnet { new_subnet: "10.9.0.0/24".parse()?, confirm: true };
    if let Err(refused) = phantom.call(moved, &call) {
        println!("change_subnet: {}", refused.data_in(Lang::En).unwrap_or_default()["errors"]);
    }
    let port = Setup { port: Some(4500), ..Setup::default() };
    if let Err(refused) = phantom.call(port, &call) {
        println!("setup: {}", refused.message(Lang::En));
    }
    show_check(&phantom, &call)?;

    // As a service calls it.
    let words = ["service", "thaw"].map(Into::into).to_vec();
    let mut streams = Streams { out: &mut io::stdout(), err: &mut io::sink() };
    let exit = cli::main(words, &Environment::default(), &mut streams, |_| (), |_| open(host, paths));
    println!("service thaw: {}", u8::from(exit));
    show_check(&phantom, &call)
}

/// What the doctor says of the freeze.
fn show_check(phantom: &Phantom, call: &Call) -> Result<(), Box<dyn std::error::Error>> {
    let report = phantom.call(Doctor {}, call)?.output;
    let check = report.checks.iter().find(|check| check.name == CHECK.name).ok_or("the doctor knows it")?;
    println!("doctor: {}", check.text);
    Ok(())
}
