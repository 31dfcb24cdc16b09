//! The program `phantom-wg`: the full-screen interface on the real host.

use std::path::PathBuf;
use std::process::ExitCode;

use phantom_api::{Host, Paths, Phantom, Programs, Store, close_process, linux_options};
use phantom_cli::shell::{self, Environment};

fn main() -> ExitCode {
    close_process();
    let words = std::env::args_os().skip(1);
    ExitCode::from(shell::main(words, &Environment::of_process(), open))
}

fn open(root: Option<PathBuf>) -> Phantom {
    let paths = root.map_or_else(Paths::default, Paths::new);
    let host = Host::linux(linux_options(&paths, programs()));
    let builder = Phantom::builder(host, Store::new(paths)).all_modules();
    builder.build().expect("the modules have different names")
}

/// The programs lie beside this one.
fn programs() -> Programs {
    let dir = std::env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from));
    Programs::in_dir(dir.unwrap_or_else(|| PathBuf::from("/usr/local/bin")))
}
