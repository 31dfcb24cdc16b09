//! Programs that do one thing and end.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::{Command, HostError, Result};

/// A program to run once. It gets an empty environment and nothing but what is said here.
#[derive(Clone)]
pub struct Process {
    /// The program and its arguments, which every user of the host can see.
    pub command: Command,
    /// What it reads on its standard input; secrets go this way.
    pub input: Option<Zeroizing<Vec<u8>>>,
    /// How long it may take until it is killed.
    pub limit: Duration,
    /// Whether it is killed when somebody asks this program to end: only for what may take long and can be taken back.
    pub interruptible: bool,
}

impl Process {
    /// Without an input, and to be waited for.
    pub fn new(command: Command, limit: Duration) -> Self {
        Self { command, input: None, limit, interruptible: false }
    }
    /// With these bytes on its standard input.
    #[must_use]
    pub fn input(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { input: Some(Zeroizing::new(bytes.into())), ..self }
    }
    /// Killed when somebody asks this program to end.
    #[must_use]
    pub fn interruptible(self) -> Self {
        Self { interruptible: true, ..self }
    }
    /// The program and its arguments, as errors show them.
    pub fn argv(&self) -> Vec<String> {
        let program = self.command.program.file_name().unwrap_or(self.command.program.as_os_str());
        std::iter::once(program.to_string_lossy().into_owned())
            .chain(self.command.args.iter().cloned())
            .collect()
    }
}

/// Without the input, which may be secret.
impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("command", &self.command)
            .field("limit", &self.limit)
            .field("interruptible", &self.interruptible)
            .finish_non_exhaustive()
    }
}

/// What a program left that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramOutput {
    /// The program and its arguments, as errors show them.
    pub argv: Vec<String>,
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote on standard error, cut to a readable length.
    pub stderr: String,
}

impl ProgramOutput {
    /// The error that an exit status other than 0 is; `None` for 0.
    pub fn failure(self) -> Option<HostError> {
        let Self { argv, status, stderr, .. } = self;
        (status != Some(0)).then_some(HostError::Command { argv, status, stderr })
    }
}

/// Runs programs that do one thing and end. What a program means is known to whoever asks for it.
pub trait Processes: Send + Sync {
    /// Runs it and gives what it left, whatever its exit status. An error says that it could not be started, or did not end in time.
    fn run(&self, process: &Process) -> Result<ProgramOutput>;
}
