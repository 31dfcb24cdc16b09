//! The tunnel of Ghost Mode.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Secrets and keys come into its memory: no core dump, and no looking in but by root. The kernel refuses nothing but another
    // number (prctl(2)).
    let _ = nix::sys::prctl::set_dumpable(false);
    phantom_tunnel::cli::run(std::env::args_os().skip(1))
}
