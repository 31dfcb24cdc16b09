//! `phantom-api` on the real host with a fault: `PHANTOM_FAULT` holds a [`FaultPlan`], such as `kill-before:3`.
//!
//! What was planned happens at that write on the host; with `refuse:0` nothing happens. A run that is not killed says
//! on standard error which writes it made.
#![expect(clippy::print_stderr, reason = "the tests read it there")]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use phantom_api::cli::{self, Environment, Streams};
use phantom_api::{Host, Paths, Phantom, Programs, Store, linux_options};
use phantom_host::fake::{FaultPlan, FaultyHost};

/// Counts the writes.
static FAULTY: OnceLock<FaultyHost> = OnceLock::new();

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).collect();
    let mut out = io::stdout().lock();
    let mut err = io::stderr();
    let mut streams = Streams { out: &mut out, err: &mut err };
    let exit = cli::main(
        words,
        &Environment::default(),
        &mut streams,
        |text| eprintln!("phantom-api: {text}"),
        open,
    );
    eprintln!(
        "phantom-api-faulty: writes: {}",
        FAULTY.get().map(FaultyHost::names).unwrap_or_default().join(" ")
    );
    ExitCode::from(u8::from(exit))
}

fn open(root: PathBuf) -> Phantom {
    let paths = Paths::new(root);
    let exe = std::env::current_exe().expect("procfs is mounted");
    let programs = Programs::in_dir(exe.parent().expect("a program is in a directory"));
    let plan: FaultPlan =
        std::env::var("PHANTOM_FAULT").expect("PHANTOM_FAULT is set").parse().expect("it is a plan");
    let (host, faulty) = FaultyHost::wrap(Host::linux(linux_options(&paths, programs)), plan);
    FAULTY.get_or_init(|| faulty);
    let builder = Phantom::builder(host, Store::new(paths)).all_modules();
    builder.build().expect("the modules have different names")
}
