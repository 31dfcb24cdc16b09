//! What the keeper has done for it before and after a certificate authority asks: it may change no packet filter itself.
//!
//! Under systemd it asks by a file, and a unit that waits for this file does it. Elsewhere it runs the program. Where it is ended in
//! between, or nobody answers it, the way ends by itself (`validation`).

use std::path::PathBuf;

use phantom_engine::{Engine, HookArguments, HookError, Installation, ServiceHook};
use phantom_ghost_state::{CertificateSource, Ghost};
use phantom_host::{Unit, UnitKind};
use phantom_module::{Call, chain};

use crate::desired::Places as _;
use crate::validation;

/// The verb of `phantom-api service`.
const VERB: &str = "way";
/// How an answer says that it was done.
const DONE: &str = "done";

pub(crate) const HOOKS: &[ServiceHook] = &[ServiceHook {
    verb: VERB,
    arguments: HookArguments::Optional,
    run: |engine, call, word| match word {
        "" => serve(engine, call),
        word => act(engine, call, word),
    },
}];

/// Whether certificates of an authority are renewed here.
pub(crate) fn is_needed(ghost: &Ghost) -> bool {
    ghost.front.is_none() && ghost.certificate == CertificateSource::Acme
}

/// The file by which the keeper asks: a number, and `open` or `close`.
fn request_file(installation: &Installation) -> PathBuf {
    installation.paths.run_dir().join("ghost-way")
}

/// The file with what came of it: the number, and how it ended. The keeper looks for it beside its own.
fn result_file(installation: &Installation) -> PathBuf {
    installation.paths.run_dir().join("ghost-way-done")
}

/// How the keeper is told whom to ask.
pub(crate) fn arguments(installation: &Installation) -> Vec<String> {
    if installation.systemd() {
        return vec!["--ask".to_owned(), request_file(installation).display().to_string()];
    }
    let command = installation.tool(&["service", VERB]);
    let words = std::iter::once(command.program.display().to_string()).chain(command.args);
    words.flat_map(|word| ["--run".to_owned(), word]).collect()
}

/// What does as the file says.
pub(crate) fn unit(installation: &Installation) -> Unit {
    let kind =
        UnitKind::OnFile { file: request_file(installation), run: installation.tool(&["service", VERB]) };
    let description = "Phantom-WG: lets the certificate authority in while it asks".to_owned();
    Unit {
        after_network: false,
        ..installation.tool_unit(installation.named("phantom-ghost-way"), description, kind)
    }
}

/// Does what the keeper asks for, and leaves the answer where the keeper reads it.
fn serve(engine: &Engine, call: &Call) -> Result<(), HookError> {
    let installation = engine.installation().map_err(HookError::failed)?;
    let (files, request) = (&engine.host().files, request_file(&installation));
    let Some(content) = files.read(&request).map_err(HookError::failed)? else { return Ok(()) };
    // First of all: as long as the file is there, this is started again.
    files.remove(&request).map_err(HookError::failed)?;
    let text = String::from_utf8_lossy(&content);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((number, word)) = text.trim_end().split_once(' ').filter(|(number, _)| is_number(number)) else {
        return Err(HookError::Usage);
    };
    let done = act(engine, call, word);
    let how = done.as_ref().map_or_else(|error| format!("failed: {}", chain(error)), |()| DONE.to_owned());
    let told = files.write(&result_file(&installation), format!("{number} {how}\n").as_bytes(), 0o600);
    done.and(told.map_err(HookError::failed))
}

fn act(engine: &Engine, call: &Call, word: &str) -> Result<(), HookError> {
    let done = match word {
        "open" => validation::open_for_renewal(engine, call),
        "close" => validation::close(engine, validation::RENEWAL, call),
        _ => return Err(HookError::Usage),
    };
    done.map_err(HookError::action)
}
