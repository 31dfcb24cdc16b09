//! Running programs: a thin layer over `std::process` whose errors name the whole command.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::problem::{Context as _, Problem, Result};

/// A program to be run, in the words that a person would type.
#[derive(Clone, Debug)]
pub(crate) struct Cmd {
    words: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    input: Option<Vec<u8>>,
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self { words: vec![program.as_ref().to_owned()], envs: Vec::new(), dir: None, input: None }
    }

    /// A command given as one line, split at blanks; nothing in it is quoted.
    pub(crate) fn line(line: &str) -> Self {
        let mut words = line.split_whitespace();
        Self::new(words.next().unwrap_or_default()).args(words)
    }

    /// A command that needs root: through `sudo` where this process is not root itself.
    pub(crate) fn root(program: impl AsRef<OsStr>) -> Self {
        if is_root() { Self::new(program) } else { Self::new("sudo").arg(program) }
    }

    pub(crate) fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.words.push(word.as_ref().to_owned());
        self
    }

    pub(crate) fn args<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Text for its standard input, which is empty otherwise. Small texts only: it is written before anything is read.
    pub(crate) fn input(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Runs it on this terminal; a status other than 0 is an error.
    pub(crate) fn run(&self) -> Result {
        let status = self.command().status().context(self)?;
        self.check(status, "")
    }

    /// Runs it and returns what it wrote to standard output, without the line feed at the end. Standard error is part of
    /// the error.
    pub(crate) fn read(&self) -> Result<String> {
        let output = self.capture()?;
        self.check(output.status, &String::from_utf8_lossy(&output.stderr))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Runs it without a word; a status other than 0 is an error with what it wrote.
    pub(crate) fn quiet(&self) -> Result {
        self.read().map(drop)
    }

    /// Whether it runs and ends with 0, whatever it writes.
    pub(crate) fn succeeds(&self) -> bool {
        self.capture().is_ok_and(|output| output.status.success())
    }

    /// Status, standard output and standard error.
    pub(crate) fn capture(&self) -> Result<std::process::Output> {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().context(self)?;
        if let (Some(text), Some(mut stdin)) = (&self.input, child.stdin.take()) {
            let _ = stdin.write_all(text); // a program that does not read says why by its status
        }
        child.wait_with_output().context(self)
    }

    /// Runs it and hands over every line of standard output and standard error as it comes, in the order in which they
    /// were written.
    pub(crate) fn stream(&self, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
        let (reader, writer) = std::io::pipe().context("pipe")?;
        let mut command = self.command();
        command.stderr(writer.try_clone().context("pipe")?).stdout(writer);
        let mut child = command.spawn().context(self)?;
        drop(command); // it holds the writing end
        lines(reader, &mut line);
        child.wait().context(self)
    }

    /// Starts it with these streams.
    pub(crate) fn spawn(&self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Child> {
        self.command().stdin(stdin).stdout(stdout).stderr(stderr).spawn().context(self)
    }

    /// The command of the standard library.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).envs(self.envs.iter().map(|(key, value)| (key, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.stdin(Stdio::null());
        command
    }

    fn check(&self, status: ExitStatus, error: &str) -> Result {
        if status.success() {
            return Ok(());
        }
        let error = error.trim();
        let colon = if error.is_empty() { "" } else { ": " };
        Err(Problem::new(format!("{self}: {status}{colon}{error}")))
    }
}

impl std::fmt::Display for Cmd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        f.write_str(&words.join(" "))
    }
}

/// Hands over each line of a stream; bytes that are no UTF-8 are replaced.
pub(crate) fn lines(stream: impl Read, line: &mut impl FnMut(&str)) {
    let mut stream = BufReader::new(stream);
    let mut bytes = Vec::new();
    while stream.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        line(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']));
        bytes.clear();
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|info| info.uid() == 0)
}

/// Where a program is: in `PATH`, or where Debian keeps the administrator's programs.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let admin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut candidates = std::env::split_paths(&path).chain(admin).map(|dir| dir.join(name));
    candidates.find(|file| is_program(file))
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|info| info.is_file() && info.mode() & 0o111 != 0)
}
