//! Calls of a program of this installation by another one.

use std::path::Path;
use std::time::Duration;

use super::command::Program;
use crate::Result;

/// What a program that was called left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Its standard output.
    pub out: Vec<u8>,
    /// What it wrote on standard error, cut to a length that fits into an error.
    pub errors: String,
}

/// Runs the program at this absolute path with an empty environment and nothing to read, and waits until it has ended;
/// after `limit` it is killed, which is an error, as is a program that cannot be started. Never a secret among the
/// arguments.
pub fn call(program: &Path, args: &[String], limit: Duration) -> Result<Called> {
    let output = Program::at(program).args(args.iter().cloned()).limit(limit).output()?;
    Ok(Called { status: output.code(), errors: output.errors(), out: output.stdout().to_vec() })
}
