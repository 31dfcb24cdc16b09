//! The run: five steps, each of which can be taken again.

use std::path::PathBuf;
use std::time::Duration;

use phantom_host::linux::Called;
use phantom_host::reconcile::{ApplyContext, DesiredState};
use phantom_host::{Host, OwnershipTags};
use phantom_store::{Lock, Marker, Paths, Server, State, Store, StoreError};
use phantom_types::{InterfaceName, Said};
use serde_json::Value;

use crate::removal::{self, Leaving, Tell};
use crate::{ResetError, kept, ssh};

/// How long another change may take where nothing else is said.
pub const LOCK_WAIT: Duration = Duration::from_secs(30);

/// A step of the run, as it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Services are stopped; from now on no packet of a client passes.
    Stopping,
    /// What carries our tag is removed.
    Objects,
    /// What is stored beside the database is removed.
    Data,
    /// The new keys take the place of the old state.
    Keys,
    /// The server is started with them.
    Starting,
}

/// What a reset led to.
#[derive(Clone, Debug)]
pub struct Done {
    /// The server that stands there now; `None` where nothing is set up.
    pub server: Option<Server>,
    /// The answer of `core server_status`; empty without a server.
    pub status: String,
}

/// An installation on a host, and the command that starts its server.
pub struct ResetTarget<'a> {
    /// The host.
    pub host: &'a Host,
    /// Where everything is stored.
    pub paths: &'a Paths,
    /// How long another change may take before the run gives up: [`LOCK_WAIT`] for the command.
    pub lock_wait: Duration,
    /// Calls `phantom-api` of this installation with these words; an error where there is no such program.
    pub api: &'a dyn Fn(&[&str]) -> Result<Called, ResetError>,
    /// Told of each step as it begins.
    pub stage: &'a dyn Fn(Stage),
    /// Told of what is removed.
    pub taken: Tell<'a>,
}

/// Resets the server. Cut short anywhere, it is finished by another run, by the next change of the command, or at boot.
///
/// # Errors
/// [`ResetError::Lock`] and [`ResetError::Ssh`] before anything was touched; with any other one it is unfinished.
pub fn reset(place: &ResetTarget<'_>) -> Result<Done, ResetError> {
    let (host, store) = (place.host, Store::new(place.paths.clone()));
    let tags = OwnershipTags::new(place.paths.instance());
    let context = ApplyContext::new(host, &tags, place.paths.run_dir());
    let lock = store.lock(place.lock_wait)?;
    ssh::check(host, &tags)?;
    if !store.reset_pending()? {
        let server = kept::new_server(host, &tags, &store)?;
        store.begin_reset(&lock, server.as_ref(), kept::opens(&store)?)?;
    }
    mark(host, &store)?;
    let server = store.reset_server()?;
    let leaving = if server.is_some() { Leaving::Closed } else { Leaving::Nothing };
    remove(place, &context, &store, server.as_ref().map(|server| server.interface.clone()), leaving)?;
    (place.stage)(Stage::Data);
    removal::clear_run_dir(&context)?;
    store.discard_files(&lock)?;
    (place.stage)(Stage::Keys);
    store.finish_reset(&lock)?;
    if server.is_none() {
        store.clear_marker()?;
        return Ok(Done { server: None, status: String::new() });
    }
    // The command takes the lock; the marker says that the host does not show yet what is stored.
    drop(lock);
    (place.stage)(Stage::Starting);
    let status = start(place)?;
    ssh::check(host, &tags)?;
    Ok(Done { server, status })
}

/// Takes the server off the host and leaves what is stored.
pub fn uninstall(place: &ResetTarget<'_>) -> Result<(), ResetError> {
    let store = Store::new(place.paths.clone());
    let tags = OwnershipTags::new(place.paths.instance());
    let context = ApplyContext::new(place.host, &tags, place.paths.run_dir());
    let _lock: Lock = store.lock(place.lock_wait)?;
    ssh::check(place.host, &tags)?;
    removal::remove_everything(&context, place.taken)?;
    if let Some(server) = store.read::<_, StoreError>(State::server).ok().flatten() {
        removal::unmarked_configuration(&context, &server, place.taken)?;
    }
    // It dies with the next boot at the latest.
    Ok(place.host.files.remove_dir(place.paths.run_dir())?)
}

/// Says that the host does not show what is stored, so that the next change looks at all of it.
fn mark(host: &Host, store: &Store) -> Result<(), ResetError> {
    store.ensure_run_id()?;
    let marker = Marker {
        module: "core".to_owned(),
        action: "factory_reset".to_owned(),
        started_at: host.clock.now(),
        // Older than any state: what is stored when the marker is found is what the host has to show.
        generation: 0,
        pid: std::process::id(),
    };
    Ok(store.set_marker(&marker)?)
}

fn remove(
    place: &ResetTarget<'_>,
    context: &ApplyContext<'_>,
    store: &Store,
    interface: Option<InterfaceName>,
    leaving: Leaving,
) -> Result<(), ResetError> {
    // The present interface may have another name than the one of a reset that began long ago.
    let stored = store.read::<_, StoreError>(State::server).ok().flatten();
    let present = stored.as_ref().map(|server| server.interface.clone());
    let closed = removal::closed(&removal::interfaces(context, interface.into_iter().chain(present))?);
    (place.stage)(Stage::Stopping);
    removal::stop(context, &closed, leaving, place.taken)?;
    (place.stage)(Stage::Objects);
    removal::clear(context, &closed, leaving, place.taken)?;
    if leaving == Leaving::Nothing {
        removal::clear(context, &DesiredState::nothing(), leaving, place.taken)?;
    }
    match &stored {
        Some(server) => removal::unmarked_configuration(context, server, place.taken),
        None => Ok(()),
    }
}

/// Lets the command bring the host to the new state, and looks whether the server runs; gives the answer of
/// `core server_status`.
fn start(place: &ResetTarget<'_>) -> Result<String, ResetError> {
    answer((place.api)(&["--compact", "core", "reconcile"])?)?;
    let (text, status) = answer((place.api)(&["core", "server_status"])?)?;
    let data = &status["data"];
    if data["service"]["running"] == true && data["interface"]["active"] == true {
        return Ok(text);
    }
    Err(ResetError::Start { detail: Said::new("the service is not running", "servis çalışmıyor") })
}

/// The answer of the command as text and as a value; its error if it failed.
fn answer(called: Called) -> Result<(String, Value), ResetError> {
    let text = String::from_utf8_lossy(&called.out).into_owned();
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    if value["success"] == true {
        return Ok((text, value));
    }
    let said = value["error"].as_str().map(str::to_owned).unwrap_or_default();
    let parts = [said, called.errors].into_iter().filter(|part| !part.is_empty());
    // The command has said it in the language that it was called with.
    let detail = parts.collect::<Vec<_>>().join("; ");
    Err(ResetError::Start { detail: Said::new(detail.clone(), detail) })
}

/// Where the command of an installation is, the first of these that is there: beside this program, and where an
/// administrator or a package puts it.
pub(crate) fn programs(this: Option<PathBuf>) -> PathBuf {
    let beside = this.and_then(|this| this.parent().map(PathBuf::from));
    let usual = ["/usr/local/bin", "/usr/bin"].map(PathBuf::from);
    let mut folders = beside.into_iter().chain(usual);
    folders
        .find(|folder| folder.join("phantom-api").is_file())
        .unwrap_or_else(|| PathBuf::from("/usr/local/bin"))
}
