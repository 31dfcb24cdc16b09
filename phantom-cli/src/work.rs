//! Work: what the interface asks for, done away from the thread that draws.

use std::path::{Path, PathBuf};
use std::time::Duration;

use phantom_api::{EngineError, ErrorCode as _, Failure, Lang, Params, Phantom, explain};
use phantom_casper::{CasperError, Export, Language};
use phantom_host::{HostError, Viewpoint};
use phantom_types::Domain;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::bounded;
use crate::connected::Connected;
use crate::spoken;
use crate::status::HeaderStatus;

/// Mode of a file with a client's keys.
const SECRET_MODE: u32 = 0o600;
/// Code of a file that cannot be read or written (`docs/contract.md`, "Error codes").
const CONFIG_ERROR: &str = "CONFIG_ERROR";
/// How long the resolvers have to say where the server's name leads to.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);
/// Code of a bug.
const INTERNAL_ERROR: &str = phantom_module::codes::INTERNAL_ERROR;

/// A call of an action, with parameters as texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionCall {
    /// The module.
    pub module: &'static str,
    /// The action.
    pub action: &'static str,
    /// Names and values; an empty value is one that is not given.
    pub params: Vec<(String, String)>,
}

impl ActionCall {
    /// Without parameters.
    pub fn new(module: &'static str, action: &'static str) -> Self {
        Self { module, action, params: Vec::new() }
    }
    /// With one more parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.params.push((name.to_owned(), value.into()));
        self
    }
}

/// What is to be done.
#[derive(Clone)]
pub enum Work {
    /// An action.
    Call(ActionCall),
    /// The figures of the header.
    Status,
    /// The clients that are connected now.
    Connected,
    /// How clients reach the server, as it is stored.
    Address,
    /// A file for its owner alone.
    Save {
        /// Where.
        path: PathBuf,
        /// What.
        content: Zeroizing<String>,
        /// Also over a file that is there.
        overwrite: bool,
    },
    /// What is in a folder.
    List(PathBuf),
    /// A client's export while Ghost Mode is on.
    Casper {
        /// The client.
        client: String,
    },
}

/// How work ended well.
pub enum WorkResult {
    /// The answer of an action; long lists in it are cut.
    Value(Value),
    /// The figures of the header.
    Status(HeaderStatus),
    /// The clients that are connected now.
    Connected(Connected),
    /// The file is written.
    Saved(PathBuf),
    /// There is such a file already; nothing was written.
    Exists(PathBuf),
    /// The folder and what is in it: name, and whether it is a folder.
    Entries(PathBuf, Vec<(String, bool)>),
    /// The whole text, and the WireGuard configuration in it.
    Casper {
        /// The text.
        text: Zeroizing<String>,
        /// The configuration.
        config: Zeroizing<String>,
        /// A name for the file of the configuration.
        file: String,
    },
}

/// How work failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// An error code of the contract.
    pub code: String,
    /// What a person is told.
    pub message: String,
    /// The facts.
    pub data: Option<Value>,
}

impl Problem {
    fn from_failure(failure: &Failure, lang: Lang) -> Self {
        Self { code: failure.code().to_owned(), message: failure.message(lang), data: failure.data_in(lang) }
    }

    /// A bug of ours.
    pub(crate) fn bug(lang: Lang) -> Self {
        let message = lang.pick("An unexpected error occurred", "Beklenmeyen bir hata oluştu").to_owned();
        Self { code: INTERNAL_ERROR.to_owned(), message, data: None }
    }

    fn of_file(error: &HostError, lang: Lang) -> Self {
        Self { code: CONFIG_ERROR.to_owned(), message: explain(error, lang), data: None }
    }
}

/// Does work and waits for its end.
///
/// # Errors
/// What the action or the host says.
pub fn run(phantom: &Phantom, work: &Work, lang: Lang, note: fn(&str)) -> Result<WorkResult, Problem> {
    let call = phantom_api::Call { lang, note };
    match work {
        Work::Call(asked) => value(phantom, asked, &call).map(WorkResult::Value),
        Work::Status => HeaderStatus::read(phantom, &call).map(WorkResult::Status),
        Work::Connected => Connected::read(phantom, &call).map(WorkResult::Connected),
        Work::Address => address(phantom, lang).map(WorkResult::Value),
        Work::Save { path, content, overwrite } => save(phantom, path, content, *overwrite, lang),
        Work::List(dir) => list(phantom, dir, lang),
        Work::Casper { client } => casper(phantom, client, lang),
    }
}

fn value(phantom: &Phantom, asked: &ActionCall, call: &phantom_api::Call) -> Result<Value, Problem> {
    let params = Params::from_words(asked.params.iter().cloned());
    let answer = phantom.execute(asked.module, asked.action, params, call);
    let answer = answer.map_err(|failure| Problem::from_failure(&failure, call.lang))?;
    Ok(spoken::answer(bounded::value(&answer), call.lang))
}

/// What `core setup` can change later, by the names of its parameters, and the backend in use.
fn address(phantom: &Phantom, lang: Lang) -> Result<Value, Problem> {
    let stored = phantom.engine().read(|state| {
        let address = state.server()?.map(|server| {
            json!({
                "server_ip": server.server_ip,
                "endpoint": server.endpoint,
                "port": server.port,
                "backend": server.backend_choice,
                "backend_in_use": server.backend,
            })
        });
        Ok::<_, EngineError>(address.unwrap_or_default())
    });
    stored.map_err(|error| Problem {
        code: error.code().to_owned(),
        message: error.message(lang),
        data: error.data_in(lang),
    })
}

/// An answer of which only some fields are wanted.
pub(crate) fn fields<T: serde::de::DeserializeOwned>(
    phantom: &Phantom,
    asked: &ActionCall,
    call: &phantom_api::Call,
) -> Result<T, Problem> {
    let params = Params::from_words(asked.params.iter().cloned());
    let answer = phantom.execute(asked.module, asked.action, params, call);
    let answer = answer.map_err(|failure| Problem::from_failure(&failure, call.lang))?;
    bounded::fields(&answer).ok_or_else(|| Problem::bug(call.lang))
}

fn save(
    phantom: &Phantom,
    path: &Path,
    content: &str,
    overwrite: bool,
    lang: Lang,
) -> Result<WorkResult, Problem> {
    let files = &phantom.engine().host().files;
    let failed = |error: HostError| Problem::of_file(&error, lang);
    if !overwrite && files.info(path).map_err(failed)?.is_some() {
        return Ok(WorkResult::Exists(path.to_owned()));
    }
    let mut text = Zeroizing::new(content.to_owned());
    if !text.ends_with('\n') {
        text.push('\n');
    }
    files.write(path, text.as_bytes(), SECRET_MODE).map_err(failed)?;
    Ok(WorkResult::Saved(path.to_owned()))
}

/// Folders first, each by name.
fn list(phantom: &Phantom, dir: &Path, lang: Lang) -> Result<WorkResult, Problem> {
    let files = &phantom.engine().host().files;
    let names = files.list(dir).map_err(|error| Problem::of_file(&error, lang))?;
    let mut entries: Vec<(String, bool)> = names
        .into_iter()
        .map(|name| {
            let folder = files.info(&dir.join(&name)).ok().flatten().is_some_and(|info| info.dir);
            (name.to_string_lossy().into_owned(), folder)
        })
        .filter(|(name, _)| !name.starts_with('.'))
        .collect();
    entries.sort_by_key(|(name, folder)| (!folder, name.clone()));
    Ok(WorkResult::Entries(dir.to_owned(), entries))
}

fn casper(phantom: &Phantom, client: &str, lang: Lang) -> Result<WorkResult, Problem> {
    let language = lang.pick(Language::En, Language::Tr);
    let engine = phantom.engine();
    let lookup = |domain: &Domain| {
        let answer = engine.host().resolver.lookup(domain, Viewpoint::Outside, LOOKUP_LIMIT);
        answer.ok().and_then(Result::ok).unwrap_or_default()
    };
    let export =
        Export::asking(engine.store(), client, lookup).map_err(|error| of_casper(&error, language))?;
    let now = engine.host().clock.now();
    let (text, file) = (export.text(language, now), export.file_name.to_string());
    Ok(WorkResult::Casper { text, config: export.config.render(), file })
}

fn of_casper(error: &CasperError, language: Language) -> Problem {
    let code = match error {
        CasperError::NotFound { .. } => "CLIENT_NOT_FOUND",
        CasperError::Inactive => "VALIDATION_ERROR",
        CasperError::NotInitialised => "NOT_INITIALIZED",
        CasperError::NotPrivileged => "PERMISSION_DENIED",
        _ => CONFIG_ERROR,
    };
    // The line begins with the word for an error, which the dialog says in its own way.
    let line = error.line(language);
    let message = line.split_once(": ").map_or(line.as_str(), |(_, rest)| rest).to_owned();
    Problem { code: code.to_owned(), message, data: None }
}
