//! The command `phantom-multihop`: the monitor of the exit, as a service.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use phantom_engine::Engine;
use phantom_host::linux::LinuxOptions;
use phantom_host::{Host, OwnershipTags, Programs};
use phantom_module::chain;
use phantom_multihop::monitor::{Errands, monitor};
use phantom_multihop::rows::SCHEMA;
use phantom_store::{Paths, Store, close_process};

const USAGE: &str = "\
Usage: phantom-multihop [--root DIR] monitor [--ask]

Watches over the exit of Multihop, as a service, until it is ended.

  --root DIR    the install directory (default /opt/phantom-wg)
  --ask         asks another service for a change of exit, by a file, and makes none itself
  --help, -h    this text
  --version     the version
";

fn main() -> ExitCode {
    close_process();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Said by the unit that may do no more: this program can be newer than the unit that starts it.
    let errands = match words.pop_if(|word| *word == "--ask") {
        Some(_) => Errands::Ask,
        None => Errands::Run,
    };
    let root = match words.as_slice() {
        ["monitor"] => Paths::DEFAULT_ROOT,
        ["--root", root, "monitor"] | ["monitor", "--root", root] => root,
        ["--help" | "-h"] => {
            let _ = io::stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        ["--version"] => {
            let _ = writeln!(io::stdout(), "phantom-multihop {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {
            let _ = io::stderr().write_all(USAGE.as_bytes());
            return ExitCode::from(2);
        }
    };
    let paths = Paths::new(root);
    let options = LinuxOptions {
        run_dir: paths.run_dir().to_path_buf(),
        logs_dir: paths.logs_dir(),
        tags: OwnershipTags::new(paths.instance()),
        programs: programs(),
    };
    let store = Store::new(paths);
    store.set_modules(vec![SCHEMA]);
    let end = monitor(&Engine::new(Host::linux(options), store), errands);
    let _ = writeln!(io::stderr(), "phantom-multihop: {}", chain(&end));
    ExitCode::FAILURE
}

/// The programs lie beside this one.
fn programs() -> Programs {
    let dir = std::env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from));
    Programs::in_dir(dir.unwrap_or_else(|| PathBuf::from("/usr/local/bin")))
}
