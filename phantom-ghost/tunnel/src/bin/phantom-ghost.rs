//! The tunnel of Ghost Mode.

use std::process::ExitCode;

fn main() -> ExitCode {
    phantom_tunnel::cli::run(std::env::args_os().skip(1))
}
