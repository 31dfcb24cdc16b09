//! `phantom-pictures LANG FOLDER`: takes the pictures of the documents from running programs, in a world that
//! `lab/pictures.sh` has made.
//!
//! What is seen is what the programs write to a terminal, cell by cell. Called as `phantom-api` or `phantom-wg` this is that
//! program on the same host, with one difference: its randomness is known, so that the keys in a picture are the same
//! in every run and nobody's.
#![expect(
    clippy::disallowed_methods,
    reason = "a development tool runs programs and writes files; it is no part of the product"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person at the terminal")]

mod dice;
mod scenes;
mod svg;
mod terminal;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use phantom_api::cli::{self, Streams};
use phantom_api::{Host, Paths, Phantom, Programs, Store, linux_options};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    match Path::new(&name).file_name().and_then(|name| name.to_str()) {
        Some("phantom-api") => {
            let environment =
                cli::Environment { lang: std::env::var("PHANTOM_LANG").ok(), ..Default::default() };
            let mut streams = Streams { out: &mut io::stdout().lock(), err: &mut io::stderr() };
            let note = |text: &str| eprintln!("phantom-api: {text}");
            let exit = cli::main(words.collect(), &environment, &mut streams, note, |root| open(Some(root)));
            ExitCode::from(u8::from(exit))
        }
        Some("phantom-wg") => {
            let environment = phantom_cli::shell::Environment::of_process();
            ExitCode::from(phantom_cli::shell::main(words, &environment, open))
        }
        _ => match scenes::take(words) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("phantom-pictures: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// The server with the known randomness; its other programs lie where `PHANTOM_PICTURES_PROGRAMS` says.
fn open(root: Option<PathBuf>) -> Phantom {
    let paths = root.map_or_else(Paths::default, Paths::new);
    let programs = std::env::var_os("PHANTOM_PICTURES_PROGRAMS").unwrap_or_default();
    let mut host = Host::linux(linux_options(&paths, Programs::in_dir(PathBuf::from(programs))));
    host.random = Arc::new(dice::Dice);
    let builder = Phantom::builder(host, Store::new(paths)).all_modules();
    builder.build().expect("the modules have different names")
}
