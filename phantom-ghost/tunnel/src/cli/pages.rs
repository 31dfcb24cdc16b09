//! `phantom-ghost pages`: what a decoy shows to strangers that it keeps for its own machine.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use phantom_certs::with_causes;
use phantom_types::{HostName, Lang, Text};
use phantom_words::of_program;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime;
use tokio::time::timeout;

use super::{say, usage};
use crate::config::WebServer;
use crate::control::{Control, ControlError};
use crate::server::private_pages;

const HELP: Text = Text {
    en: "\
usage: phantom-ghost pages < REQUEST

Asks a web server, as a stranger who is passed on to it, for the pages that web servers keep for their own machine. The request is
JSON: {\"web_server\":…,\"domain\":…}, with the web server as in the keeper's configuration, and if wanted \"control\", the control
socket of a tunnel server that has to reach it as well. Prints {\"pages\":[…]}: the paths that it shows.
If that fails: {\"error\":{\"kind\":…,\"detail\":…}}, exit code 1.
",
    tr: "\
kullanım: phantom-ghost pages < İSTEK

Bir web sunucusuna, kendisine yönlendirilen bir yabancı olarak, web sunucularının kendi makinelerine sakladığı sayfaları sorar.
İstek JSON'dur: {\"web_server\":…,\"domain\":…}; web sunucusu, sertifika bekçisinin yapılandırmasındaki gibi yazılır. İstenirse
\"control\" da verilir: web sunucusuna ulaşması gereken tünel sunucusunun denetim soketi. {\"pages\":[…]} yazdırır: gösterdiği yollar.
Başarısız olursa: {\"error\":{\"kind\":…,\"detail\":…}}, çıkış kodu 1.
",
};
/// How long a tunnel server may take to reach the web server: a little more than it gives itself.
const PATIENCE: Duration = Duration::from_millis(2200);
/// The longest request, in bytes.
const MAX_REQUEST: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    web_server: WebServer,
    domain: HostName,
    #[serde(default)]
    control: Option<PathBuf>,
}

/// Runs the verb.
pub(super) fn run(arguments: Vec<String>, lang: Lang) -> ExitCode {
    match arguments.into_iter().next().as_deref() {
        None => {}
        Some("--help" | "-h") => return say(HELP.get(lang)),
        Some(_) => {
            return usage("pages takes its request as JSON on standard input, and no options", lang);
        }
    }
    let mut request = Vec::new();
    if let Err(error) = std::io::stdin().take(MAX_REQUEST).read_to_end(&mut request) {
        return usage(format_args!("standard input cannot be read: {error}"), lang);
    }
    match answer(&request) {
        Ok(pages) => say(&format!("{}\n", json!({ "pages": pages }))),
        Err((kind, detail)) => {
            let detail = of_program(&detail, lang);
            say(&format!("{}\n", json!({ "error": { "kind": kind, "detail": detail } })));
            ExitCode::FAILURE
        }
    }
}

fn answer(request: &[u8]) -> Result<Value, (&'static str, String)> {
    let task: Task = serde_json::from_slice(request).map_err(|error| ("request", error.to_string()))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ("internal", with_causes(&error)))?;
    runtime.block_on(async {
        if let Some(control) = &task.control {
            visited(control).await.map_err(|why| ("connect", why))?;
        }
        let pages = private_pages(&task.web_server, &task.domain).await;
        pages.map(Value::from).map_err(|error| ("connect", with_causes(&error)))
    })
}

/// Whether the tunnel server at this socket reaches the web server behind it. One that cannot be asked has nothing against it.
async fn visited(control: &Path) -> Result<(), String> {
    let asking = async { Control::connect(control).await?.visit().await };
    match timeout(PATIENCE, asking).await {
        Ok(Err(ControlError::Refused(why))) => Err(why),
        _ => Ok(()),
    }
}
