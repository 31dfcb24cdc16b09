//! A module of one's own beside those of Phantom-WG: `phantom-api` with one more module.
//!
//! `cargo run -p phantom-api --example own_module -- notes count`

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use phantom_api::cli::{self, Environment, Streams};
use phantom_api::{
    Action, Call, Effect, Entry, ErrorCode, Host, Lang, Paths, Phantom, Programs, Store, Text, TypedModule,
    entry, linux_options,
};
use phantom_core::Core;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts letters.
struct Notes;

/// Counts the letters of a text.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Count {
    /// The text
    #[schemars(extend("x-tr" = "Metin"))]
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Counted {
    /// How many letters it has
    letters: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("the text has no letters")]
struct NoLetters;

impl ErrorCode for NoLetters {
    fn code(&self) -> &'static str {
        "NO_LETTERS"
    }
    fn message(&self, lang: Lang) -> String {
        lang.pick("The text has no letters", "Metinde harf yok").to_owned()
    }
    fn data(&self) -> Option<serde_json::Value> {
        None
    }
}

impl Action for Count {
    type Module = Notes;
    type Output = Counted;
    type Error = NoLetters;
    const NAME: &'static str = "count";
    const SUMMARY: Text = Text { en: "Count letters", tr: "Harfleri say" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "text=hello";
    const ERRORS: &'static [&'static str] = &["NO_LETTERS"];
    fn run(self, _: &Notes, _: &Call) -> Result<Counted, NoLetters> {
        match self.text.chars().filter(|letter| letter.is_alphabetic()).count() {
            0 => Err(NoLetters),
            letters => Ok(Counted { letters }),
        }
    }
}

impl TypedModule for Notes {
    const NAME: &'static str = "notes";
    const SUMMARY: Text = Text { en: "Notes", tr: "Notlar" };
    const ACTIONS: &'static [Entry<Self>] = &[entry::<Count>()];
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut streams = Streams { out: &mut io::stdout(), err: &mut io::stderr() };
    let exit = cli::main(
        words,
        &Environment::default(),
        &mut streams,
        |_| (),
        |root| {
            let paths = Paths::new(root);
            let host = Host::linux(linux_options(&paths, Programs::in_dir("/usr/local/bin")));
            let builder = Phantom::builder(host, Store::new(paths)).system::<Core>().with(Arc::new(Notes));
            builder.build().expect("the names differ")
        },
    );
    ExitCode::from(u8::from(exit))
}
