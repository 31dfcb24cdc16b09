//! Starting programs: the one place that does.
//!
//! A program is found in a fixed list of folders and started without a shell, with an empty environment but for
//! `PATH` and `LC_ALL=C`, in a process group of its own, so that a Ctrl-C at the terminal does not end it in the
//! middle of a change. Secrets go by standard input; arguments can be seen by every user of the host.
#![expect(clippy::disallowed_methods, reason = "this is where programs are started")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, SigHandler, SigSet, Signal, killpg};
use nix::unistd::Pid;
use zeroize::Zeroizing;

use crate::{HostError, Interrupt, Result};

/// Where programs are looked for, in this order. A `PATH` of the caller is not asked: this process is root.
const FOLDERS: [&str; 6] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
/// The same for what the program starts itself.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin";
/// Most that is kept of a program's standard output: a ruleset of a large container host has a few MiB.
const OUTPUT_MAX: usize = 64 << 20;
/// Most that is kept of its standard error.
const ERRORS_MAX: usize = 16 << 10;
/// Most of it that goes into an error value, in characters.
const ERROR_TEXT_MAX: usize = 2000;
/// What a pipe holds in any case before a writer has to wait (one page).
const PIPE_MIN: usize = 4096;
/// From one question whether somebody wants this program to end to the next.
const INTERRUPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a program may take if nothing else is said.
const LIMIT: Duration = Duration::from_mins(1);

/// The absolute path of a program, if it is installed.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let runs =
        |path: &PathBuf| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(runs)
}

/// A program to be started.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    args: Vec<String>,
    input: Option<Zeroizing<Vec<u8>>>,
    limit: Duration,
    interrupt: Option<Interrupt>,
}

/// Starts a process that stays when this one ends: in a process group of its own, without input, its words in the log
/// file. It says on the socket of this address when it is ready (`sd_notify(3)`). With a user it is told to become that
/// user once it has opened what only root can open: `PHANTOM_RUN_AS`.
pub(super) fn spawn_daemon(
    run: &crate::Command,
    user: Option<u32>,
    log: &File,
    notify: &Path,
) -> Result<Child> {
    let failed = |source| HostError::io(format!("starting {}", run.program.display()), source);
    let (out, errors) = (log.try_clone().map_err(failed)?, log.try_clone().map_err(failed)?);
    let user = user.map(|number| ("PHANTOM_RUN_AS", number.to_string()));
    let mut command = Command::new(&run.program);
    command
        .args(&run.args)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .env("NOTIFY_SOCKET", notify)
        .envs(user)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(errors);
    hear_signals(&mut command);
    command.spawn().map_err(failed)
}

/// What a program that ended left behind.
#[derive(Debug)]
pub(super) struct Output {
    argv: Vec<String>,
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Program {
    /// The program of this name; [`HostError::NotInstalled`] when there is none.
    pub(super) fn named(name: &'static str) -> Result<Self> {
        find(name).map(Self::at).ok_or(HostError::NotInstalled { program: name })
    }
    /// The program with this absolute path.
    pub(super) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), args: Vec::new(), input: None, limit: LIMIT, interrupt: None }
    }
    /// Adds arguments. Never a secret.
    pub(super) fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
    /// Gives it these bytes by standard input, which is closed after them. They are wiped when they are written.
    pub(super) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(Zeroizing::new(bytes.into()));
        self
    }
    /// How long it may take until it is killed (60 s if nothing is said).
    pub(super) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Kills it when somebody asks this program to end. Only for what may take long and can be taken back.
    pub(super) fn unless(mut self, interrupt: &Interrupt) -> Self {
        self.interrupt = Some(interrupt.clone());
        self
    }

    /// Runs it; an end other than exit status 0 is an error. Gives its standard output.
    pub(super) fn run(self) -> Result<Vec<u8>> {
        self.output()?.success()
    }

    /// Runs it and gives what it left, whatever its exit status.
    pub(super) fn output(self) -> Result<Output> {
        let argv = argv(&self.path, &self.args);
        let mut command = Command::new(&self.path);
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .current_dir("/")
            .process_group(0)
            .stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        hear_signals(&mut command);
        end_with_this_process(&mut command);
        let mut child = command
            .spawn()
            .map_err(|source| HostError::io(format!("starting {}", self.path.display()), source))?;
        let deadline = Instant::now() + self.limit;
        let pipes = Pipes::connect(&mut child, self.input);
        let late = |child: &mut Child| {
            kill_group(child);
            HostError::Timeout { argv: argv.clone(), seconds: self.limit.as_secs() }
        };
        let unless = || self.interrupt.as_ref().is_some_and(Interrupt::is_requested);
        let Some((stdout, stderr)) = pipes.read_until(deadline, unless) else {
            if unless() {
                kill_group(&mut child);
                return Err(HostError::Interrupted { argv });
            }
            return Err(late(&mut child));
        };
        match wait_until(&mut child, deadline) {
            Ok(Some(status)) => Ok(Output { argv, status, stdout, stderr }),
            Ok(None) => Err(late(&mut child)),
            Err(source) => Err(HostError::io(format!("waiting for {}", self.path.display()), source)),
        }
    }
}

/// Lets a program hear signals as if nobody had started it: what the caller blocks or ignores for its own sake would stay
/// blocked or ignored in it, and it could not be asked to end.
#[expect(unsafe_code, reason = "only the child itself can change this, between fork and exec")]
fn hear_signals(command: &mut Command) {
    let reset = || {
        for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP))
        {
            // SAFETY: the default is no handler of anybody's.
            unsafe { signal::signal(signal, SigHandler::SigDfl) }?;
        }
        SigSet::empty().thread_set_mask()?;
        Ok(())
    };
    // SAFETY: signal(2) and pthread_sigmask(3) are async-signal-safe, and nothing here allocates or takes a lock.
    unsafe { command.pre_exec(reset) };
}

/// Lets a program end when this process is killed: its change would otherwise land in the middle of the next one, which
/// takes the lock at once and looks before it.
#[expect(
    unsafe_code,
    reason = "only the child itself can ask the kernel for the signal, between fork and exec"
)]
fn end_with_this_process(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let ask = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // One that was killed before the question has nobody left to end with.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: prctl(2) and getppid(2) are async-signal-safe, and nothing here allocates or takes a lock.
    unsafe { command.pre_exec(ask) };
}

impl Output {
    /// What the `iptables` crate, which starts that program itself, got from it.
    pub(super) fn from_output(argv: Vec<String>, output: std::process::Output) -> Self {
        Self { argv, status: output.status, stdout: output.stdout, stderr: output.stderr }
    }
    /// Its exit status; `None` when a signal ended it.
    pub(super) fn code(&self) -> Option<i32> {
        self.status.code()
    }
    /// Its standard output, whatever its exit status.
    pub(super) fn stdout(&self) -> &[u8] {
        &self.stdout
    }
    /// The same, of an output that is not needed any more.
    pub(super) fn into_stdout(self) -> Vec<u8> {
        self.stdout
    }
    /// What it wrote on standard error.
    pub(super) fn errors(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        text.trim().chars().take(ERROR_TEXT_MAX).collect()
    }
    /// Its standard output, if its exit status is 0.
    pub(super) fn success(self) -> Result<Vec<u8>> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(HostError::Command { stderr: self.errors(), status: self.code(), argv: self.argv })
    }
}

/// The program and its arguments, as errors show them.
fn argv(path: &Path, args: &[String]) -> Vec<String> {
    let program = path.file_name().map_or_else(|| path.as_os_str(), OsStr::new);
    std::iter::once(program.to_string_lossy().into_owned()).chain(args.iter().cloned()).collect()
}

/// The ends of a child's pipes, each served by a thread of its own: a program that fills one pipe while we wait on
/// another would otherwise never end.
struct Pipes {
    outputs: mpsc::Receiver<(usize, Vec<u8>)>,
}

impl Pipes {
    fn connect(child: &mut Child, input: Option<Zeroizing<Vec<u8>>>) -> Self {
        let (send, outputs) = mpsc::channel();
        if let Some(pipe) = child.stdout.take() {
            read_in_thread(pipe, 0, OUTPUT_MAX, send.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            read_in_thread(pipe, 1, ERRORS_MAX, send);
        }
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), input) {
            let fits = bytes.len() <= PIPE_MIN;
            // A program that ends without reading all of it says why by its exit status; the broken pipe says less.
            let mut write = move || drop(pipe.write_all(&bytes));
            if fits { write() } else { drop(thread::spawn(write)) }
        }
        Self { outputs }
    }

    /// Standard output and error once both are closed; `None` when that does not happen in time, or not before `unless`.
    fn read_until(&self, deadline: Instant, unless: impl Fn() -> bool) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut texts = [Vec::new(), Vec::new()];
        let mut missing = texts.len();
        while missing > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.outputs.recv_timeout(left.min(INTERRUPT_PAUSE)) {
                Ok((which, bytes)) => {
                    texts[which] = bytes;
                    missing -= 1;
                }
                Err(RecvTimeoutError::Timeout) if !left.is_zero() && !unless() => {}
                Err(_) => return None,
            }
        }
        let [stdout, stderr] = texts;
        Some((stdout, stderr))
    }
}

fn read_in_thread(
    pipe: impl Read + Send + 'static,
    which: usize,
    max: usize,
    to: mpsc::Sender<(usize, Vec<u8>)>,
) {
    thread::spawn(move || {
        // The receiver is gone when the program was out of time: then nobody wants the text.
        let _ = to.send((which, read_bounded(pipe, max)));
    });
}

/// Reads to the end and keeps the first `max` bytes: a program must be able to write on, or it would hang.
fn read_bounded(mut pipe: impl Read, max: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let _ = (&mut pipe).take(max as u64).read_to_end(&mut kept);
    let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    kept
}

/// Waits for a process whose pipes are closed: it is about to end, so that the pauses are short.
fn wait_until(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_micros(100);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Kills the program and all it started, and takes its exit status, so that no zombie stays.
pub(super) fn kill_group(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It may have ended a moment ago; the wait below works either way.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests;
