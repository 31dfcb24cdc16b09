//! `phantom-ghost ports`: which tunnels are open under the operator's secrets, by their UDP ports.

use std::path::PathBuf;
use std::process::ExitCode;

use phantom_types::{Lang, Text};
use phantom_words::of_program;
use serde_json::json;
use tokio::runtime;

use super::{say, usage};
use crate::control::{Control, with_causes};

const HELP: Text = Text {
    en: "\
usage: phantom-ghost ports --control PATH

Prints {\"ports\":[…]}: the UDP ports on 127.0.0.1 from which tunnels under the operator's secrets reach WireGuard. A peer whose
end point is one of them is a client that needs such a secret. If that fails: {\"error\":{\"kind\":…,\"detail\":…}}, exit code 1.

  --control PATH   control socket of the server
",
    tr: "\
kullanım: phantom-ghost ports --control YOL

{\"ports\":[…]} yazdırır: operatörün gizli anahtarlarıyla açılan tünellerin WireGuard'a ulaştığı 127.0.0.1 üzerindeki UDP portları.
Uç noktası bunlardan biri olan eş, böyle bir anahtara ihtiyaç duyan bir istemcidir. Başarısız olursa:
{\"error\":{\"kind\":…,\"detail\":…}}, çıkış kodu 1.

  --control YOL   sunucunun denetim soketi
",
};

/// Runs the verb.
pub(super) fn run(arguments: Vec<String>, lang: Lang) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let control = match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (Some("--help" | "-h"), None, None) => return say(HELP.get(lang)),
        (Some("--control"), Some(path), None) => PathBuf::from(path),
        _ => return usage("ports takes --control PATH", lang),
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
            let detail = of_program(&detail, lang);
            say(&format!("{}\n", json!({ "error": { "kind": "control", "detail": detail } })));
            ExitCode::FAILURE
        }
    }
}
