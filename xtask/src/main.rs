//! The development tasks of Phantom-WG: `cargo xtask TASK`.
#![expect(
    clippy::disallowed_methods,
    reason = "a development tool runs programs and writes files; it is no part of the product"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person at the terminal")]

mod args;
mod bench;
mod command;
mod contents;
mod dist;
mod generate;
mod lab;
mod lint;
mod packages;
mod pictures;
mod problem;
mod quickstart;
mod test;
mod tool;
mod uninstall;
mod workspace;
mod wstunnel;

use std::process::ExitCode;

use crate::args::Args;
use crate::problem::Result;

const USAGE: &str = "\
Usage: cargo xtask TASK [OPTION...]

For everybody:
  quickstart         install the server on this machine, add a first client, show its
                     configuration, and prove that it works
    --server-ip A      the public IPv4 address of this machine, where it cannot be seen from here
    --no-proof         do not prove it
  uninstall          remove what quickstart installed; the stored state stays
    --purge            the stored state too, and the Debian packages that quickstart installed
  test               prove a change: the sources' checks, all tests of this machine, and Debian servers
                     in containers and virtual machines
    --quick            without the checks and the servers
    --turn N           with the part of another commit's turn
    --only NAME        one part: a test program (namespace, suite), the tests of a crate (tunnel), the tests
                       with NAME in their names, lint, or a server (container:server, vm:repair)
    --long             everything, part by part; what the record has for this commit is not run again.
                       With --only, one of its parts

For developers:
  lint               format, clippy, documentation, generated files, house rules, licences
  generate [--check] make reference, man pages and completions from the action tables; or say what is not up to date
  pictures           take the pictures of the documents again, from programs that run
  bench [--quick]    measure, and write target/bench/results.md and .json
    --only WORD        only the parts whose name contains the word
  dist               make the Debian package and the tarball, in target/dist
    --release          refuse while a part of the long mode has not run for 60 commits
    --out DIR          in another folder
  lab build          build the image of the tests' servers now (otherwise done when first needed)
  lab run -- CMD     run a command in a fresh Debian server
    --in emulator      with Debian's own kernel, in place of a container on this one's
    --suite S          another release of Debian: trixie
    --image bare       a server as delivered, in place of one with the test tools
    --copy DIR         a folder that is to be /job in it
    --output DIR       where /out, the journal and the console's text go
    --time SECONDS     how long it may take (600)
";

fn main() -> ExitCode {
    let mut words = Args::new(std::env::args_os().skip(1));
    let task = words.next_word().unwrap_or_default();
    let result = match task.as_str() {
        "quickstart" => quickstart::run(words),
        "uninstall" => uninstall::run(words),
        "test" => test::run(words),
        "lint" => lint::run(words),
        "generate" => generate::run(words),
        "pictures" => pictures::run(words),
        "bench" => bench::run(words),
        "dist" => dist::run(words),
        "lab" => lab::run(words),
        // The far sides of quickstart's proof and the inside of bench: this program in another namespace.
        quickstart::CLIENT_SIDE => quickstart::client_side(),
        quickstart::INTERNET_SIDE => quickstart::internet_side(words),
        // The part of quickstart that needs root before there is anything to install.
        quickstart::NOTE => quickstart::note_packages(words),
        bench::INSIDE => bench::inside(words),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    finish(&task, result)
}

/// A task says itself how it went by `Ok(false)`: it ran and something was not as it should be.
fn finish(task: &str, result: Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("xtask {task}: {problem}");
            ExitCode::FAILURE
        }
    }
}
