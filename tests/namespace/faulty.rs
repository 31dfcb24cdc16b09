//! Calls of the command with a fault at one of its writes on the host.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;

use serde_json::Value;

use crate::world::{answer_of, program};

/// How a call with a fault ended.
pub(crate) enum Ended {
    /// It was killed.
    Killed,
    /// It went to its end.
    Answered {
        /// What it answered.
        answer: Value,
        /// The kinds of its writes on the host, in order, refused ones included.
        writes: Vec<String>,
    },
}

/// Calls `phantom-api` with a fault (`kill-before:3`, `refuse:1`, …).
#[track_caller]
pub(crate) fn call(fault: &str, words: &[&str]) -> Ended {
    ended(words, &program("phantom-api-faulty").args(words).env("PHANTOM_FAULT", fault).output().unwrap())
}

/// Calls it without a fault, and gives the number of its writes. It must succeed.
#[track_caller]
pub(crate) fn count(words: &[&str]) -> usize {
    writes(words).len()
}

/// Calls it without a fault, and gives the kinds of its writes, as in `network.add_route`. It must succeed.
#[track_caller]
pub(crate) fn writes(words: &[&str]) -> Vec<String> {
    match call("refuse:0", words) {
        Ended::Answered { answer, writes } => {
            assert_eq!(answer["success"], true, "{words:?}: {answer:#}");
            writes
        }
        Ended::Killed => panic!("{words:?} was killed without a fault"),
    }
}

#[track_caller]
fn ended(words: &[&str], output: &Output) -> Ended {
    if output.status.signal() == Some(9) {
        assert!(output.stdout.is_empty(), "{words:?}: it had answered already");
        return Ended::Killed;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let writes = errors.lines().find_map(|line| line.strip_prefix("phantom-api-faulty: writes: "));
    let writes = writes.unwrap_or_else(|| panic!("{words:?}: it does not say its writes: {errors}"));
    let writes = writes.split_whitespace().map(str::to_owned).collect();
    Ended::Answered { answer: answer_of(words, output), writes }
}
