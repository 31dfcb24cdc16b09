//! The real programs.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Answer;

/// Whether this process runs as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says that a test cannot run here, and why. It is counted by the line.
pub fn skip(test: &str, why: &str) {
    // At once, on a line of its own: the harness writes its lines in pieces.
    let _ = std::io::stderr().write_all(format!("\nSKIPPED {test}: {why}\n").as_bytes());
}

/// The folder of the programs under test, which `PHANTOM_BIN_DIR` names. Nothing is built here: a test that starts cargo
/// would hold up all others, and test a program of other features.
///
/// # Panics
/// When the variable is missing: programs that happen to lie somewhere may be of an older build.
pub fn programs() -> PathBuf {
    let dir = std::env::var_os("PHANTOM_BIN_DIR");
    let advice = "PHANTOM_BIN_DIR names no folder with the programs under test: run `cargo xtask test --only NAME`, \
                  where NAME is this test or its program";
    dir.map(PathBuf::from).expect(advice)
}

/// A program of this project.
#[derive(Clone, Debug)]
pub struct Program(PathBuf);

/// How a program is run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// What it reads on standard input.
    pub input: Vec<u8>,
    /// Its whole environment.
    pub env: Vec<(String, OsString)>,
    /// It runs as nobody.
    pub as_nobody: bool,
    /// Its working directory.
    pub dir: Option<PathBuf>,
}

impl Program {
    /// `phantom-api`.
    pub fn api() -> Self {
        Self::named("phantom-api")
    }
    /// An example of `phantom-api`.
    pub fn example(name: &str) -> Self {
        Self(programs().join("examples").join(name))
    }
    /// A program of the system.
    pub fn named(name: &str) -> Self {
        Self(programs().join(name))
    }
    /// A copy of a program in a folder, for everybody to start.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn copied_to(&self, dir: &Path) -> Self {
        let copy = dir.join(self.0.file_name().unwrap());
        // By another process: one that a parallel test starts right now would hold open what this one writes, and the
        // kernel starts no program that is open for writing.
        let status = Command::new("install").args(["-m", "755"]).arg(&self.0).arg(&copy).status().unwrap();
        assert!(status.success(), "{}: {status}", copy.display());
        Self(copy)
    }
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// Runs it with an empty environment and nothing to read.
    pub fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Answer {
        self.run_as(words, &Run::default())
    }
    /// Runs it.
    pub fn run_as<S: AsRef<OsStr>>(&self, words: &[S], how: &Run) -> Answer {
        let mut command = if how.as_nobody {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&self.0);
            command
        } else {
            Command::new(&self.0)
        };
        command
            .args(words)
            .env_clear()
            .envs(how.env.iter().cloned())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.current_dir(how.dir.as_deref().unwrap_or(Path::new("/")));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = how.input.clone();
        // A program that reads no more must not stop the test.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let code = output.status.code().unwrap_or_else(|| panic!("ended by a signal: {:?}", output.status));
        let text = |bytes| String::from_utf8(bytes).expect("both streams are UTF-8");
        Answer { exit: u8::try_from(code).unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}
