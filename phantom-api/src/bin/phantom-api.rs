//! The command `phantom-api`: the four modules on the real host.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use phantom_api::cli::{self, Environment, Opened, Streams};
use phantom_api::{
    Host, Interrupt, Paths, Phantom, Programs, Store, close_process, end_as_requested, handle_signals,
    linux_options,
};

fn main() -> ExitCode {
    close_process();
    let words = std::env::args_os().skip(1).collect();
    let environment = Environment {
        lang: std::env::var("PHANTOM_LANG").ok(),
        root: std::env::var_os("PHANTOM_ROOT").filter(|root| !root.is_empty()).map(PathBuf::from),
    };
    let mut out = io::stdout().lock();
    let mut err = io::stderr();
    let mut streams = Streams { out: &mut out, err: &mut err };
    let mut interrupt = Interrupt::default();
    let exit = cli::main(words, &environment, &mut streams, note, |root| {
        let phantom = open(root);
        interrupt = phantom.engine().host().interrupt.clone();
        Opened { signals: handle_signals(&interrupt), phantom }
    });
    // The answer has been given; whoever waits for this process sees that a signal asked it to end.
    end_as_requested(&interrupt);
    ExitCode::from(u8::from(exit))
}

fn open(root: PathBuf) -> Phantom {
    let paths = Paths::new(root);
    let host = Host::linux(linux_options(&paths, programs()));
    let builder = Phantom::builder(host, Store::new(paths)).all_modules();
    builder.build().expect("the modules have different names")
}

/// The programs lie beside this one.
fn programs() -> Programs {
    let dir = std::env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from));
    Programs::in_dir(dir.unwrap_or_else(|| PathBuf::from("/usr/local/bin")))
}

fn note(text: &str) {
    let _ = writeln!(io::stderr(), "phantom-api: {text}");
}
