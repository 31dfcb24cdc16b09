//! `factory-reset` on the real host with a fault: `PHANTOM_FAULT` holds a [`FaultPlan`], such as `kill-before:3`.
//!
//! What was planned happens at that write on the host; with `refuse:0` nothing happens. A run that is not killed says
//! on standard error how many writes it made.
#![expect(clippy::print_stderr, reason = "the tests read it there")]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use phantom_api::{Host, Paths, Programs, linux_options};
use phantom_factory_reset::command::{self, Environment, Streams};
use phantom_host::fake::{FaultPlan, FaultyHost};

/// Counts the writes.
static FAULTY: OnceLock<FaultyHost> = OnceLock::new();

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1);
    let (mut input, mut out, mut err) = (io::stdin().lock(), io::stdout(), io::stderr());
    let mut streams = Streams { input: &mut input, out: &mut out, err: &mut err };
    let exit = command::main(words, &Environment::of_process(), &mut streams, open);
    eprintln!("factory-reset-faulty: writes: {}", FAULTY.get().map_or(0, FaultyHost::writes));
    exit.into()
}

fn open(paths: &Paths, programs: PathBuf) -> Host {
    let plan: FaultPlan =
        std::env::var("PHANTOM_FAULT").expect("PHANTOM_FAULT is set").parse().expect("it is a plan");
    let (host, faulty) =
        FaultyHost::wrap(Host::linux_small(linux_options(paths, Programs::in_dir(programs))), plan);
    FAULTY.get_or_init(|| faulty);
    host
}
