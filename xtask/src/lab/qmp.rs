//! The emulator's control socket: just what freezing a machine takes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::problem::{Context as _, Problem, Result};

/// A connection to the emulator.
pub(super) struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects to a socket on which the emulator listens already, and makes it ready for commands.
    pub(super) fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).context(path.display())?;
        stream.set_read_timeout(Some(Duration::from_mins(5))).context(path.display())?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        qmp.message(|message| message["QMP"].is_object())?; // the greeting
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and waits for its answer.
    pub(super) fn execute(&mut self, command: &str, arguments: &Value) -> Result {
        let mut text = json!({ "execute": command, "arguments": arguments }).to_string();
        text.push('\n');
        self.stream.get_mut().write_all(text.as_bytes()).context(command)?;
        let answer = self.message(|message| !message["return"].is_null() || !message["error"].is_null())?;
        if answer["error"].is_null() { Ok(()) } else { Err(Problem::new(format!("{command}: {answer}"))) }
    }

    /// Waits until an event says that the migration has ended well.
    pub(super) fn wait_for_migration(&mut self) -> Result {
        let status = |message: &Value| message["data"]["status"].as_str().unwrap_or_default().to_owned();
        let ends = |message: &Value| {
            message["event"] == "MIGRATION"
                && ["completed", "failed", "cancelled"].contains(&&*status(message))
        };
        let end = self.message(ends)?;
        if status(&end) == "completed" { Ok(()) } else { Err(Problem::new(format!("freezing: {end}"))) }
    }

    fn message(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut line = String::new();
        while self.stream.read_line(&mut line).context("the emulator")? > 0 {
            let message: Value = serde_json::from_str(&line).context("the emulator")?;
            if wanted(&message) {
                return Ok(message);
            }
            line.clear();
        }
        Err(Problem::new("the emulator has ended"))
    }
}
