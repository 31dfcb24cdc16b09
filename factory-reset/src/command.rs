//! The command `factory-reset`.

use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use phantom_host::linux::{Called, call};
use phantom_host::{Host, OwnershipTags};
use phantom_store::{Language, Paths, Store};
use phantom_types::{Endpoint, HostName, Lang, explain};

use crate::removal::{shared_tables, stuck};
use crate::reset::{self, Done, LOCK_WAIT, ResetTarget};
use crate::text::{self, Texts};
use crate::{Removed, ResetError, Stage};

/// What has to be typed.
const RESET: &str = "RESET";
const UNINSTALL: &str = "UNINSTALL";
/// How long the command may take to start the server.
const API_LIMIT: Duration = Duration::from_mins(2);

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `PHANTOM_LANG`.
    pub lang: Option<String>,
    /// `PHANTOM_ROOT`.
    pub root: Option<PathBuf>,
    /// This program.
    pub this: Option<PathBuf>,
    /// Standard input is a terminal, where somebody can be asked.
    pub terminal: bool,
    /// The run directory, where it is not that of the install directory: for tests, no variable sets it.
    pub run_dir: Option<PathBuf>,
    /// How long another change may take, [`LOCK_WAIT`] as a rule: for tests, no variable sets it.
    pub lock_wait: Duration,
}

impl Default for Environment {
    /// Nothing is said.
    fn default() -> Self {
        Self { lang: None, root: None, this: None, terminal: false, run_dir: None, lock_wait: LOCK_WAIT }
    }
}

impl Environment {
    /// Of this process.
    pub fn of_process() -> Self {
        Self {
            lang: std::env::var("PHANTOM_LANG").ok(),
            root: std::env::var_os("PHANTOM_ROOT").filter(|root| !root.is_empty()).map(PathBuf::from),
            this: std::env::current_exe().ok(),
            terminal: io::stdin().is_terminal(),
            ..Self::default()
        }
    }
}

/// The host of an installation, and whether the signals that ask a program to end are handled on it.
pub struct Opened {
    /// The host.
    pub host: Host,
    /// An error where a signal ends the program at once, in the middle of its work too: that is said.
    pub signals: io::Result<()>,
}

/// A host whose signals are somebody else's affair.
impl From<Host> for Opened {
    fn from(host: Host) -> Self {
        Self { host, signals: Ok(()) }
    }
}

/// The streams of a run.
pub struct Streams<'a> {
    /// Where the answer to the question is read.
    pub input: &'a mut dyn BufRead,
    /// What is done.
    pub out: &'a mut dyn Write,
    /// What went wrong.
    pub err: &'a mut dyn Write,
}

/// The words of a command line.
#[derive(Debug, Default)]
struct Args {
    language: Option<Language>,
    root: Option<PathBuf>,
    command: ResetCommand,
    yes: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ResetCommand {
    #[default]
    Reset,
    Uninstall,
    Help,
    Version,
}

/// Runs the command and gives its exit status: 0 done, 1 refused or unfinished, 2 wrong words.
///
/// `open` makes the host of an installation, whose programs are in the given directory.
pub fn main<O: Into<Opened>>(
    words: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    streams: &mut Streams<'_>,
    open: impl FnOnce(&Paths, PathBuf) -> O,
) -> u8 {
    let args = match Args::read(words) {
        Ok(args) => args,
        Err(word) => {
            let paths = paths(&Args::default(), environment);
            let texts = text::texts(language(None, environment, &paths, streams));
            let _ = writeln!(streams.err, "factory-reset: {word}\n{}", texts.usage);
            return 2;
        }
    };
    let paths = paths(&args, environment);
    let language = language(args.language, environment, &paths, streams);
    let texts = text::texts(language);
    let shown = match args.command {
        ResetCommand::Help => Some(format!("{}\n\n{}", texts.usage, texts.help)),
        ResetCommand::Version => Some(format!("factory-reset {}", env!("CARGO_PKG_VERSION"))),
        ResetCommand::Reset | ResetCommand::Uninstall => None,
    };
    if let Some(shown) = shown {
        return u8::from(writeln!(streams.out, "{shown}").is_err());
    }
    let programs = reset::programs(environment.this.clone());
    let Opened { host, signals } = open(&paths, programs.clone()).into();
    if let Err(error) = signals {
        let _ =
            writeln!(streams.err, "factory-reset: {}: {}", texts.signals, explain(&error, language.into()));
    }
    if !host.privileged {
        let _ = writeln!(streams.err, "{}: {}", texts.error, texts.root);
        return 1;
    }
    if !args.yes && !agreed(args.command, environment.terminal, texts, streams) {
        let _ = writeln!(streams.out, "{}", texts.cancelled);
        return 1;
    }
    // The terminal may hang on the very tunnel that goes down now, and half of a reset is no state to leave a server in.
    let _held = host.interrupt.hold();
    run(&args, &host, &paths, &programs, environment.lock_wait, language, streams)
}

fn run(
    args: &Args,
    host: &Host,
    paths: &Paths,
    programs: &std::path::Path,
    lock_wait: Duration,
    language: Language,
    streams: &mut Streams<'_>,
) -> u8 {
    let (texts, command) = (text::texts(language), args.command);
    let (out, touched) = (RefCell::new(&mut *streams.out), Cell::new(false));
    // Nothing that is said stops the run: who was to read it may be gone.
    let place = ResetTarget {
        host,
        paths,
        lock_wait,
        api: &|words| api(programs, paths, language, words),
        stage: &|stage: Stage| {
            let mut out = out.borrow_mut();
            let _ = writeln!(out, "{}", text::stage(stage, language)).and_then(|()| out.flush());
        },
        taken: &|one: Option<&Removed>| {
            touched.set(true);
            let Some(one) = one else { return };
            let word = if one.gone { texts.removed } else { texts.restored };
            let _ = writeln!(out.borrow_mut(), "  {}: {word}", one.target);
        },
    };
    let tags = OwnershipTags::new(paths.instance());
    let shared = shared_tables(host, &tags);
    let result = match command {
        ResetCommand::Uninstall => reset::uninstall(&place).map(|()| None),
        _ => reset::reset(&place).map(Some),
    };
    match result {
        Ok(None) => {
            let stuck = text::stuck(&stuck(host, &tags), language);
            let args = text::saved_copies(&shared, &tags.tag(), language) + &stuck;
            let _ = streams.out.write_all(args.as_bytes());
            0
        }
        Ok(Some(done)) => {
            let _ =
                streams.out.write_all(summary(&done, texts).as_bytes()).and_then(|()| streams.out.flush());
            0
        }
        Err(error) => {
            let _ = writeln!(streams.err, "{}: {}", texts.error, text::error(&error, language));
            let refused = matches!(error, ResetError::Lock(_) | ResetError::Ssh { .. });
            let hint = match command {
                _ if !touched.get() && (refused || command == ResetCommand::Uninstall || !begun(paths)) => {
                    texts.cancelled.to_owned()
                }
                ResetCommand::Uninstall => {
                    text::removal_interrupted(args.root.as_deref(), args.yes, language)
                }
                _ => texts.interrupted.to_owned(),
            };
            let _ = writeln!(streams.err, "{hint}");
            1
        }
    }
}

/// Whether a reset has left anything to finish, as far as that can be told.
fn begun(paths: &Paths) -> bool {
    let store = Store::new(paths.clone());
    store.reset_pending().unwrap_or(true) || store.marker().map_or(true, |marker| marker.is_some())
}

/// Whether somebody agrees. A removal by a script that has not said so is refused: there is nobody to ask.
fn agreed(command: ResetCommand, terminal: bool, texts: &Texts, streams: &mut Streams<'_>) -> bool {
    match command {
        ResetCommand::Uninstall if !terminal => {
            let _ = writeln!(streams.err, "{}: {}", texts.error, texts.needs_yes);
            false
        }
        ResetCommand::Uninstall => confirmed(texts.removal, texts.removal_prompt, UNINSTALL, streams),
        _ => confirmed(texts.explanation, texts.prompt, RESET, streams),
    }
}

/// Explains, asks, and says whether the answer was the word.
fn confirmed(explanation: &str, prompt: &str, word: &str, streams: &mut Streams<'_>) -> bool {
    let _ = write!(streams.out, "{explanation}\n{prompt} ").and_then(|()| streams.out.flush());
    let mut answer = Vec::new();
    // Whatever is longer than the word cannot be it.
    let read = io::Read::take(&mut *streams.input, 64).read_until(b'\n', &mut answer);
    read.is_ok() && answer.strip_suffix(b"\n").unwrap_or(&answer) == word.as_bytes()
}

fn summary(done: &Done, texts: &Texts) -> String {
    let Some(server) = &done.server else { return format!("{}\n{}\n", texts.completed, texts.not_set_up) };
    let address = server.server_ip.map(IpAddr::V4).or(server.ipv6.map(IpAddr::V6));
    let host = server.endpoint.clone().or(address.map(HostName::Ip));
    let endpoint = host.map(|host| Endpoint { host, port: server.port }.to_string());
    format!(
        "{}\n{} {} udp {} {}\n{}",
        texts.completed,
        server.interface,
        server.subnet,
        endpoint.unwrap_or_default(),
        server.public_key,
        done.status
    )
}

/// Calls `phantom-api` of this installation.
fn api(
    programs: &std::path::Path,
    paths: &Paths,
    language: Language,
    words: &[&str],
) -> Result<Called, ResetError> {
    let program = programs.join("phantom-api");
    if !program.is_file() {
        return Err(ResetError::NoCommand { program });
    }
    let mut args = vec!["--lang".to_owned(), language.as_str().to_owned()];
    if paths.instance().is_some() {
        args.extend(["--root".to_owned(), paths.root().display().to_string()]);
    }
    args.extend(words.iter().map(|word| (*word).to_owned()));
    Ok(call(&program, &args, API_LIMIT)?)
}

fn paths(args: &Args, environment: &Environment) -> Paths {
    let root = args.root.clone().or_else(|| environment.root.clone());
    let root = root.unwrap_or_else(|| Paths::DEFAULT_ROOT.into());
    match &environment.run_dir {
        Some(run_dir) => Paths::with_run_dir(root, run_dir),
        None => Paths::new(root),
    }
}

impl Args {
    /// Reads the words; gives one that is not understood.
    fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut args = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let shown =
                || word.to_string_lossy().chars().filter(|c| !c.is_control()).take(64).collect::<String>();
            let bytes = word.as_bytes();
            let equals = bytes.iter().position(|byte| *byte == b'=');
            let (option, joined) = match equals {
                Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
                None => (bytes, None),
            };
            match std::str::from_utf8(option).unwrap_or_default() {
                "--yes" if joined.is_none() => args.yes = true,
                "--uninstall" if joined.is_none() => args.command = ResetCommand::Uninstall,
                "--help" | "-h" if joined.is_none() => args.command = ResetCommand::Help,
                "--version" if joined.is_none() => args.command = ResetCommand::Version,
                "--root" => {
                    let root = joined.or_else(|| words.next()).filter(|root| !root.is_empty());
                    args.root = Some(root.ok_or_else(shown)?.into());
                }
                "--lang" => {
                    let code = joined.or_else(|| words.next()).ok_or_else(shown)?;
                    args.language = Some(code.to_str().and_then(Language::from_code).ok_or_else(shown)?);
                }
                _ => return Err(shown()),
            }
        }
        Ok(args)
    }
}

/// The language of this run. A locale that is passed over is told of.
fn language(
    option: Option<Language>,
    environment: &Environment,
    paths: &Paths,
    streams: &mut Streams<'_>,
) -> Language {
    let stored = || Store::new(paths.clone()).language();
    let (lang, line) = Lang::of_run(option.map(Lang::from), environment.lang.as_deref(), stored);
    if let Some(line) = line {
        let _ = writeln!(streams.err, "factory-reset: {line}");
    }
    lang.into()
}
