//! The development tasks of Phantom-WG: `cargo xtask TASK`.
#![expect(
    clippy::disallowed_methods,
    reason = "a development tool runs programs and writes files; it is no part of the product"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person at the terminal")]

mod bench;
mod command;
mod contents;
mod dist;
mod generate;
mod lint;
mod packages;
mod pictures;
mod problem;
mod quickstart;
mod test;
mod uninstall;
mod vm;
mod words;
mod workspace;

use std::process::ExitCode;

use crate::problem::Result;
use crate::words::Words;

const USAGE: &str = "\
Usage: cargo xtask TASK [OPTION...]

For everybody:
  quickstart         install the server on this machine, add a first client, show its
                     configuration, and prove that it works
    --server-ip A      the public IPv4 address of this machine, where it cannot be seen from here
    --no-proof         do not prove it
  uninstall          remove what quickstart installed; the stored state stays
    --purge            the stored state too, and the Debian packages that quickstart installed
  test               run every test
    --vm               also in a virtual machine, on Debian's kernel with its own WireGuard and systemd
    --vm-only          nowhere else
    --quick | --long   leave out what takes long | add what takes minutes
    --suite S          release in the virtual machine: bookworm (default), trixie
    --only PART        only fuzz or source (which --long adds), or this part of the virtual machine's, as in
                       server, quickstart, newcomer, package, package-ufw, namespace-repair,
                       namespace (all parts of it)

For developers:
  lint               format, clippy, documentation, generated files, house rules, licences
  generate [--check] make reference, man pages and completions from the action tables; or say what is not up to date
  pictures           take the pictures of the documents anew, from programs that run
  bench [--quick]    measure, and write target/bench/results.md and .json
    --only WORD        only the parts whose name contains the word
  dist               make the Debian package and the tarball, in target/dist
    --out DIR          in another folder
  vm build           build the virtual machine's image now (otherwise done when first needed)
  vm run -- CMD      run a command in a fresh virtual machine
    --suite S          as above
    --image bare       a server as delivered, in place of one with the test tools
    --copy DIR         a folder that is to be /job in it
";

fn main() -> ExitCode {
    let mut words = Words::new(std::env::args_os().skip(1));
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
        "vm" => vm::run(words),
        // The far sides of quickstart's proof and the inside of bench: this program in another namespace.
        quickstart::CLIENT_SIDE => quickstart::client_side(),
        quickstart::INTERNET_SIDE => quickstart::internet_side(words),
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
