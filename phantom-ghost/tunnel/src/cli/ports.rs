//! `phantom-ghost ports`: which tunnels are open under the operator's secrets, by their UDP ports.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use tokio::runtime;

use super::{say, usage};
use crate::control::{Control, with_causes};

const HELP: &str = "\
usage: phantom-ghost ports --control PATH

Prints {\"ports\":[…]}: the UDP ports on 127.0.0.1 from which tunnels under the operator's secrets reach WireGuard. A peer whose
end point is one of them is a client that needs such a secret. If that fails: {\"error\":{\"kind\":…,\"detail\":…}}, exit code 1.

  --control PATH   control socket of the server
";

/// Runs the verb.
pub(super) fn run(arguments: Vec<String>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let control = match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (Some("--help" | "-h"), None, None) => return say(HELP),
        (Some("--control"), Some(path), None) => PathBuf::from(path),
        _ => return usage("ports takes --control PATH"),
    };
    let asked =
        runtime::Builder::new_current_thread().enable_all().build().map_err(|error| with_causes(&error));
    let asked = asked.and_then(|runtime| {
        let ports = async { Control::connect(&control).await?.shared_ports().await };
        runtime.block_on(ports).map_err(|error| with_causes(&error))
    });
    match asked {
        Ok(ports) => say(&format!("{}\n", json!({ "ports": ports }))),
        Err(detail) => {
            say(&format!("{}\n", json!({ "error": { "kind": "control", "detail": detail } })));
            ExitCode::FAILURE
        }
    }
}
