//! The command `factory-reset`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use phantom_factory_reset::command::{self, Environment, Streams};
use phantom_host::linux::LinuxOptions;
use phantom_host::{Host, Marks, Programs};
use phantom_store::Paths;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1);
    let (mut input, mut out, mut err) = (io::stdin().lock(), io::stdout(), io::stderr());
    let mut streams = Streams { input: &mut input, out: &mut out, err: &mut err };
    command::main(words, &Environment::of_process(), &mut streams, open).into()
}

fn open(paths: &Paths, programs: PathBuf) -> Host {
    Host::linux_small(LinuxOptions {
        run_dir: paths.run_dir().to_path_buf(),
        logs_dir: paths.logs_dir(),
        marks: Marks::new(paths.instance()),
        programs: Programs::in_dir(programs),
    })
}
