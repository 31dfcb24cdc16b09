//! `bench-peak PROGRAM WORD...`: runs a program, throws away what it prints, and prints the most memory that it had at
//! any time, in KiB.
//!
//! A program of its own, because the kernel counts what the starting process had before the start, too: this one is
//! small.
#![expect(
    clippy::disallowed_methods,
    reason = "a development tool runs programs; it is no part of the product"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the bench")]

use std::process::{Command, ExitCode, Stdio};

use nix::sys::resource::{UsageWho, getrusage};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: bench-peak PROGRAM WORD...");
        return ExitCode::from(2);
    };
    match Command::new(&program).args(words).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => {}
        Ok(status) => {
            eprintln!("bench-peak: {status}");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("bench-peak: {}: {error}", program.display());
            return ExitCode::FAILURE;
        }
    }
    match getrusage(UsageWho::RUSAGE_CHILDREN) {
        Ok(usage) => {
            println!("{}", usage.max_rss());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-peak: {error}");
            ExitCode::FAILURE
        }
    }
}
