//! `phantom-ghost pages`: what a decoy shows to strangers that it keeps for its own machine.

use std::io::Read as _;
use std::process::ExitCode;

use phantom_certs::with_causes;
use phantom_types::HostName;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime;

use super::{say, usage};
use crate::config::WebServer;
use crate::server::private_pages;

const HELP: &str = "\
usage: phantom-ghost pages < REQUEST

Asks a web server, as a stranger who is passed on to it, for the pages that web servers keep for their own machine. The request is
JSON: {\"web_server\":…,\"domain\":…}, with the web server as in the keeper's configuration. Prints {\"pages\":[…]}: the paths that it
shows. If that fails: {\"error\":{\"kind\":…,\"detail\":…}}, exit code 1.
";
/// The longest request, in bytes.
const MAX_REQUEST: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    web_server: WebServer,
    domain: HostName,
}

/// Runs the verb.
pub(super) fn run(arguments: Vec<String>) -> ExitCode {
    match arguments.into_iter().next().as_deref() {
        None => {}
        Some("--help" | "-h") => return say(HELP),
        Some(_) => return usage("pages takes its request as JSON on standard input, and no options"),
    }
    let mut request = Vec::new();
    if let Err(error) = std::io::stdin().take(MAX_REQUEST).read_to_end(&mut request) {
        return usage(&format!("standard input cannot be read: {error}"));
    }
    match answer(&request) {
        Ok(pages) => say(&format!("{}\n", json!({ "pages": pages }))),
        Err((kind, detail)) => {
            say(&format!("{}\n", json!({ "error": { "kind": kind, "detail": detail } })));
            ExitCode::FAILURE
        }
    }
}

fn answer(request: &[u8]) -> Result<Value, (&'static str, String)> {
    let task: Task = serde_json::from_slice(request).map_err(|error| ("request", error.to_string()))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ("internal", with_causes(&error)))?;
    let pages = runtime.block_on(private_pages(&task.web_server, &task.domain));
    pages.map(Value::from).map_err(|error| ("connect", with_causes(&error)))
}
