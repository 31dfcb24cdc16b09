//! The command `phantom-casper`.

use std::io;
use std::process::ExitCode;

use phantom_casper::command::{self, Environment};
use phantom_store::close_process;

fn main() -> ExitCode {
    close_process();
    let words = std::env::args_os().skip(1);
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    command::main("phantom-casper", false, words, &Environment::of_process(), &mut out, &mut err).into()
}
