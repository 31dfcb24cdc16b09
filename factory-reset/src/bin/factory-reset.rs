//! The command `factory-reset`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use phantom_factory_reset::command::{self, Environment, Opened, Streams};
use phantom_host::linux::{LinuxOptions, end_as_requested, handle_signals};
use phantom_host::{Host, Interrupt, OwnershipTags, Programs};
use phantom_store::{Paths, close_process};

fn main() -> ExitCode {
    close_process();
    let words = std::env::args_os().skip(1);
    let (mut input, mut out, mut err) = (io::stdin().lock(), io::stdout(), io::stderr());
    let mut streams = Streams { input: &mut input, out: &mut out, err: &mut err };
    let mut interrupt = Interrupt::default();
    let status = command::main(words, &Environment::of_process(), &mut streams, |paths, programs| {
        let host = open(paths, programs);
        interrupt = host.interrupt.clone();
        Opened { signals: handle_signals(&interrupt), host }
    });
    end_as_requested(&interrupt);
    status.into()
}

fn open(paths: &Paths, programs: PathBuf) -> Host {
    Host::linux_small(LinuxOptions {
        run_dir: paths.run_dir().to_path_buf(),
        logs_dir: paths.logs_dir(),
        tags: OwnershipTags::new(paths.instance()),
        programs: Programs::in_dir(programs),
    })
}
