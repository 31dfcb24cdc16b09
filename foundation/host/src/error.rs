//! What can go wrong on a host.

use std::io;
use std::time::Duration;

use phantom_types::Said;

/// A host that did not do what was asked. No variant holds a secret: programs get those by standard input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// A program ended with an error, or was ended by a signal (`status` is then `None`).
    #[error("{} failed ({}): {}", .argv.join(" "), status_text(*.status), .stderr.trim())]
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
        /// Its exit status.
        status: Option<i32>,
        /// What it wrote on standard error, cut to a readable length.
        stderr: String,
    },
    /// A program did not end in time and was killed.
    #[error("{} did not end within {seconds} s", .argv.join(" "))]
    Timeout {
        /// The program and its arguments, or what was waited for.
        argv: Vec<String>,
        /// How long it had.
        seconds: u64,
    },
    /// A process that serves a device says nothing: it hangs, or it is stopped.
    #[error("{object} has not answered for {:.1} s", .limit.as_secs_f64())]
    Silent {
        /// What it is, with its process.
        object: String,
        /// How long it had.
        limit: Duration,
    },
    /// Somebody asked this program to end while it waited for another one, which was killed.
    #[error("{} was given up: this program was asked to end", .argv.join(" "))]
    Interrupted {
        /// The program and its arguments.
        argv: Vec<String>,
    },
    /// A program that is needed is not installed.
    #[error("{program} is not installed")]
    NotInstalled {
        /// Its name.
        program: &'static str,
    },
    /// The kernel refused a netlink request.
    #[error("{what}")]
    Kernel {
        /// What was asked.
        what: String,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// A file, socket or directory could not be used.
    #[error("{what}")]
    Io {
        /// What was being done, naming the path.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Something that is not ours is in the place of something of ours. It is never overwritten or removed.
    #[error("{object} exists and does not belong to this system")]
    Foreign {
        /// What it is, by name.
        object: String,
    },
    /// The object that was to be used is not there.
    #[error("{object} does not exist")]
    Absent {
        /// What it is, by name.
        object: String,
    },
    /// The host cannot do this at all (a facility of the kernel or a program is missing).
    #[error("this host cannot {what}")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// What was used beside the host says this.
    #[error("{}", .0.en)]
    Told(Said),
    /// The host said something that was not understood, or does not show what it was told a moment ago.
    #[error("{what}")]
    Unexpected {
        /// What was seen and what was expected.
        what: String,
    },
}

fn status_text(status: Option<i32>) -> String {
    status.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit status {code}"))
}

impl HostError {
    /// An [`HostError::Io`].
    pub fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
    /// An [`HostError::Unexpected`].
    pub fn unexpected(what: impl Into<String>) -> Self {
        Self::Unexpected { what: what.into() }
    }
    /// Whether the object was not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }
    /// The message with all its causes, each once: `creating /x: Permission denied`.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
