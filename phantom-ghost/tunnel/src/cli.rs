//! The program's verbs. Each is a function of this library; the binary only calls [`run`].

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use crate::{client, probe, verify};

mod certificates;
pub mod keep;
mod pages;
mod ports;
pub mod serve;
mod share;

/// A verb: its name, one line about it, and what it does with the arguments behind its name.
struct Verb {
    name: &'static str,
    about: &'static str,
    run: fn(Vec<String>) -> ExitCode,
}

/// All verbs, in the order of the help text.
const VERBS: &[Verb] = &[
    Verb { name: "serve", about: "the tunnel server", run: serve::run },
    Verb { name: "share", about: "lets a web server's group in at the server's socket", run: share::run },
    Verb { name: "keep", about: "keeps a server configured and its certificate new", run: keep::run },
    Verb { name: "ports", about: "who uses the operator's secrets", run: ports::run },
    Verb { name: "pages", about: "what a decoy shows that it should not", run: pages::run },
    Verb { name: "issue", about: "obtains a certificate", run: certificates::issue },
    Verb { name: "inspect", about: "checks a certificate and key", run: certificates::inspect },
    Verb { name: "self-sign", about: "makes a certificate for tests", run: certificates::self_sign },
    Verb { name: "connect", about: "the client's end of a tunnel", run: client::command },
    Verb { name: "verify", about: "checks that a server opens a tunnel", run: verify::run },
    Verb { name: "probe", about: "attacks a server as a censor would", run: probe::command },
];

/// Exit code of wrong arguments.
pub const USAGE: u8 = 2;

/// Runs the program with the arguments behind its name and says with what it exits: 0 done, 1 failed, 2 wrong arguments.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut texts = Vec::new();
    for argument in arguments {
        match argument.into_string() {
            Ok(text) => texts.push(text),
            Err(_) => return usage("an argument is not text"),
        }
    }
    match texts.first().map(String::as_str) {
        None => usage("no verb"),
        Some("--help" | "-h" | "help") => say(&help()),
        Some("--version" | "-V") => say(&format!("phantom-ghost {}\n", env!("CARGO_PKG_VERSION"))),
        Some(name) => match VERBS.iter().find(|verb| verb.name == name) {
            Some(verb) => (verb.run)(texts.split_off(1)),
            None => usage(&format!("unknown verb {name:?}")),
        },
    }
}

fn help() -> String {
    let mut text = "usage: phantom-ghost VERB [OPTIONS]\n\nverbs:\n".to_owned();
    for verb in VERBS {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {:<10} {}", verb.name, verb.about);
    }
    text.push_str(
        "\n  VERB --help, -h     explains a verb\n  --help, -h, help    this text\n  --version, -V       which program this is\n",
    );
    text
}

/// Writes `text` to standard output.
pub(crate) fn say(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says on standard error what is wrong with the arguments.
pub(crate) fn usage(problem: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "phantom-ghost: {problem}; see `phantom-ghost --help`");
    ExitCode::from(USAGE)
}
