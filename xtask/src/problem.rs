//! What can go wrong in a task: a sentence for the person at the terminal.

use std::fmt;

/// Why a task stopped, with what it was doing in front of the cause.
#[derive(Debug)]
pub(crate) struct Problem(String);

pub(crate) type Result<T = (), E = Problem> = std::result::Result<T, E>;

impl Problem {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

/// Names what was being done when an error came up.
pub(crate) trait Context<T> {
    /// Puts `what` and a colon before the error's text.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Problem(format!("{what}: {error}")))
    }
}

impl<T> Context<T> for Option<T> {
    /// The text alone: an absent value has no cause of its own.
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Problem(what.to_string()))
    }
}
