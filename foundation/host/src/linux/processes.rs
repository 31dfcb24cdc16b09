//! Programs that do one thing and end.

use super::command::Program;
use crate::{Interrupt, Process, Processes, ProgramOutput, Result};

/// Runs programs, without a shell.
#[derive(Clone, Debug)]
pub struct LinuxProcesses {
    interrupt: Interrupt,
}

impl LinuxProcesses {
    /// Programs that may be interrupted are given up when `interrupt` says so.
    pub fn new(interrupt: Interrupt) -> Self {
        Self { interrupt }
    }
}

impl Processes for LinuxProcesses {
    fn run(&self, process: &Process) -> Result<ProgramOutput> {
        let args = process.command.args.iter().cloned();
        let mut program = Program::at(&process.command.program).args(args).limit(process.limit);
        if let Some(input) = &process.input {
            program = program.input(input.as_slice());
        }
        if process.interruptible {
            program = program.unless(&self.interrupt);
        }
        let output = program.output()?;
        let (status, stderr) = (output.code(), output.errors());
        Ok(ProgramOutput { argv: process.argv(), status, stdout: output.into_stdout(), stderr })
    }
}
