//! `phantom-watch`: the watcher as a program.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use phantom_watch::{Ask, WatchPaths, watch};

const USAGE: &str = "\
Usage: phantom-watch TOLD OWN [-- PROGRAM [ARGUMENT...]]
       phantom-watch --help|--version

Watches what an installation of Phantom-WG has on the host, and asks for its repair when
something of it is removed. It runs until it is ended.

  TOLD      the folder in which the installation says what is meant to be there
  OWN       the watcher's own folder: to ask for a repair it makes the file OWN/repair
  PROGRAM   run for a repair, in place of the file

  --help, -h      this text
  --version, -V   the version
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (folders, command) = match words.iter().position(|word| word == "--") {
        Some(at) => (&words[..at], Ask::Run(words[at + 1..].to_vec())),
        None => (&words[..], Ask::File),
    };
    match folders {
        [word] if word == "--help" || word == "-h" => print(USAGE),
        [word] if word == "--version" || word == "-V" => {
            print(concat!("phantom-watch ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        [told, own] if command != Ask::Run(Vec::new()) => {
            let place = WatchPaths { told: PathBuf::from(told), own: PathBuf::from(own), ask: command };
            match watch(place) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    let _ = writeln!(io::stderr(), "phantom-watch: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        _ => {
            let _ = io::stderr().write_all(USAGE.as_bytes());
            ExitCode::from(2)
        }
    }
}

fn print(text: &str) -> ExitCode {
    if io::stdout().write_all(text.as_bytes()).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
