//! Adds a module of your own: `phantom-api` with one more module.
//!
//! `cargo run -p phantom-api --example own_module -- notes count`

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use phantom_api::cli::{self, Environment, Streams};
use phantom_api::{
    Action, Call, Effect, Entry, ErrorCode, Host, Lang, ParamError, Paths, Phantom, Programs, Store, Text,
    TypedModule, entry, linux_options,
};
use phantom_core::Core;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts letters.
struct Notes;

/// Counts the letters of a text.
#[derive(Serialize, Deserialize, JsonSchema)]
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
enum CountError {
    /// A parameter is beyond its limits.
    #[error(transparent)]
    Parameter(#[from] ParamError),
    #[error("the text has no letters")]
    NoLetters,
}

impl ErrorCode for CountError {
    fn code(&self) -> &'static str {
        match self {
            Self::Parameter(error) => error.code(),
            Self::NoLetters => "NO_LETTERS",
        }
    }
    fn message(&self, lang: Lang) -> String {
        match self {
            Self::Parameter(error) => error.message(lang),
            Self::NoLetters => lang.pick("The text has no letters", "Metinde harf yok").to_owned(),
        }
    }
    fn data(&self) -> Option<serde_json::Value> {
        match self {
            Self::Parameter(error) => error.data(),
            Self::NoLetters => None,
        }
    }
}

impl Action for Count {
    type Module = Notes;
    type Output = Counted;
    type Error = CountError;
    const NAME: &'static str = "count";
    const SUMMARY: Text = Text { en: "Count letters", tr: "Harfleri say" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "text=hello";
    const ERRORS: &'static [&'static str] = &["NO_LETTERS"];
    fn run(self, _: &Notes, _: &Call) -> Result<Counted, CountError> {
        match self.text.chars().filter(|letter| letter.is_alphabetic()).count() {
            0 => Err(CountError::NoLetters),
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
