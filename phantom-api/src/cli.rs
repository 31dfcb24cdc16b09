//! The command line: words in, JSON out (`docs/contract.md`, "Command line").

mod args;
mod completions;
mod help;
mod texts;

use std::ffi::OsString;
use std::io::{self, BufWriter, Read as _, Write};
use std::path::PathBuf;

use phantom_engine::HookError;
use phantom_module::{Call, Effect, Failure, Lang, ParamError, Params, Text, codes};
use phantom_types::{InterfaceName, Spoken, explain};
use serde_json::Value;

use crate::{API_VERSION, Phantom, Response};
pub use args::{Invocation, Invoked, JsonSource, parse};
pub use completions::{Shell, completions};
pub use help::{action_help, module_help, program_help, usage};
pub(crate) use help::{errors, example, facts};

/// The install directory when neither `--root` nor `PHANTOM_ROOT` names one.
const DEFAULT_ROOT: &str = phantom_store::Paths::DEFAULT_ROOT;
/// Largest JSON object read from standard input.
const JSON_MAX: u64 = 1 << 20;

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `PHANTOM_LANG`.
    pub lang: Option<String>,
    /// `PHANTOM_ROOT`.
    pub root: Option<PathBuf>,
}

/// How a run of the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The action succeeded, or a text was asked for.
    Success,
    /// The action failed.
    Failure,
    /// It was not clear what to do.
    Usage,
    /// Standard output did not take all of the answer or the text. What was asked for is done, as far as it succeeded.
    Unwritten,
}

impl From<ExitStatus> for u8 {
    fn from(exit: ExitStatus) -> Self {
        match exit {
            ExitStatus::Success => 0,
            ExitStatus::Failure => 1,
            ExitStatus::Usage => 2,
            ExitStatus::Unwritten => 3,
        }
    }
}

/// The orchestrator of an install directory, and whether the signals that ask a program to end are handled for its host.
pub struct Opened {
    /// The orchestrator.
    pub phantom: Phantom,
    /// An error where a signal ends the program at once, in the middle of a change too: that is said.
    pub signals: io::Result<()>,
}

/// One whose signals are somebody else's affair.
impl From<Phantom> for Opened {
    fn from(phantom: Phantom) -> Self {
        Self { phantom, signals: Ok(()) }
    }
}

/// The streams of a run.
pub struct Streams<'a> {
    /// JSON or a text, and nothing else.
    pub out: &'a mut dyn Write,
    /// Diagnostics.
    pub err: &'a mut dyn Write,
}

/// Runs the command: `open` makes the orchestrator of an install directory.
///
/// `note` is told what goes to standard error while an action runs.
pub fn main<O: Into<Opened>>(
    words: Vec<OsString>,
    environment: &Environment,
    streams: &mut Streams<'_>,
    note: fn(&str),
    open: impl FnOnce(PathBuf) -> O,
) -> ExitStatus {
    let invocation = parse(words);
    let root = invocation.root.clone().or_else(|| environment.root.clone());
    let Opened { phantom, signals } = open(root.unwrap_or_else(|| DEFAULT_ROOT.into())).into();
    let lang = language(&invocation, environment, &phantom, streams);
    if let Err(error) = signals {
        let warning = texts::SIGNALS.get(lang);
        let _ = writeln!(streams.err, "phantom-api: {warning}: {}", explain(&error, lang));
    }
    match &invocation.words {
        _ if invocation.version => {
            let text = format!("phantom-api {} ({API_VERSION})\n", env!("CARGO_PKG_VERSION"));
            print(streams, &text, lang)
        }
        Invoked::Help(words) => show_help(&phantom, words, lang, streams),
        Invoked::Completions(shell) => match shell.as_deref().and_then(Shell::of_name) {
            Some(shell) => print(streams, &completions(&phantom, shell), lang),
            None => print_usage(streams, lang),
        },
        Invoked::Service { verb, interface } => service(&phantom, verb, interface, lang, note, streams),
        Invoked::Action { module, action } if is_hook(&phantom, module, action, &invocation.parameters) => {
            service(&phantom, action, &invocation.parameters.join(" "), lang, note, streams)
        }
        Invoked::Action { module, action } => run(&phantom, &invocation, module, action, lang, note, streams),
        Invoked::Incomplete => print_usage(streams, lang),
    }
}

/// Whether these words call a hook of a module: the verb with the arguments that the hook takes.
fn is_hook(phantom: &Phantom, module: &str, verb: &str, words: &[String]) -> bool {
    let hook = phantom.engine().hook(verb).filter(|_| module == "service");
    hook.is_some_and(|hook| hook.arguments.fit(words))
}

/// The language of this run. A locale that is passed over is told of.
fn language(
    invocation: &Invocation,
    environment: &Environment,
    phantom: &Phantom,
    streams: &mut Streams<'_>,
) -> Lang {
    let (lang, line) =
        Lang::of_run(invocation.lang, environment.lang.as_deref(), || phantom.stored_language());
    if let Some(line) = line {
        let _ = writeln!(streams.err, "phantom-api: {line}");
    }
    lang
}

fn print(streams: &mut Streams<'_>, text: &str, lang: Lang) -> ExitStatus {
    let written = streams.out.write_all(text.as_bytes()).and_then(|()| streams.out.flush());
    if delivered(written, texts::TEXT_LOST, lang, streams) {
        ExitStatus::Success
    } else {
        ExitStatus::Unwritten
    }
}

/// Whether what was written has arrived, as far as anybody waits for it: a reader that went away wants no more. What is
/// lost is said on standard error.
fn delivered(written: io::Result<()>, lost: Text, lang: Lang, streams: &mut Streams<'_>) -> bool {
    let lost = lost.get(lang);
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(streams.err, "phantom-api: {lost}: {}", explain(&error, lang));
            false
        }
        _ => true,
    }
}

fn print_usage(streams: &mut Streams<'_>, lang: Lang) -> ExitStatus {
    let _ = streams.err.write_all(usage(lang).as_bytes());
    ExitStatus::Usage
}

fn show_help(phantom: &Phantom, words: &[String], lang: Lang, streams: &mut Streams<'_>) -> ExitStatus {
    let text = match words {
        [] => Some(program_help(phantom, lang)),
        [module] => phantom.find(module).map(|module| module_help(&**module, lang)),
        [module, action] => phantom.find(module).and_then(|module| {
            let spec = module.specs().into_iter().find(|spec| spec.name == action)?;
            Some(action_help(module.name(), &spec, lang))
        }),
        _ => None,
    };
    match text {
        Some(text) => print(streams, &text, lang),
        None => print_usage(streams, lang),
    }
}

fn run(
    phantom: &Phantom,
    invocation: &Invocation,
    module: &str,
    action: &str,
    lang: Lang,
    note: fn(&str),
    streams: &mut Streams<'_>,
) -> ExitStatus {
    let call = Call { lang, note };
    let result = phantom.check(module, action).and_then(|()| {
        let params = parameters(phantom, invocation, module, action).map_err(Failure::new)?;
        phantom.execute(module, action, params, &call)
    });
    if let Err(failure) = &result
        && tells_more(failure)
    {
        let _ = writeln!(streams.err, "phantom-api: {}: {}", failure.code(), failure.explain(lang));
    }
    let at = phantom.engine().host().clock.now();
    let response = Response { result, module, action, at, lang };
    let mut out = BufWriter::with_capacity(1 << 16, &mut *streams.out);
    let written = response.write(&mut out, invocation.compact).and_then(|()| out.flush());
    drop(out);
    let changed = response.success() && !reads(phantom, module, action);
    let lost = if changed { texts::DONE_ANSWER_LOST } else { texts::ANSWER_LOST };
    let arrived = delivered(written, lost, lang, streams);
    match (response.success(), arrived) {
        (false, _) => ExitStatus::Failure,
        (true, true) => ExitStatus::Success,
        (true, false) => ExitStatus::Unwritten,
    }
}

/// Whether an action only reads.
fn reads(phantom: &Phantom, module: &str, action: &str) -> bool {
    let specs = phantom.find(module).map(|module| module.specs()).unwrap_or_default();
    specs.iter().any(|spec| spec.name == action && spec.effect == Effect::Read)
}

/// Whether the causes of a failure say more than its message: those of the host and of the stored state do.
fn tells_more(failure: &Failure) -> bool {
    ["SERVICE_OPERATION_FAILED", "NETWORK_ERROR", "CONFIG_ERROR", codes::INTERNAL_ERROR]
        .contains(&failure.code())
}

/// The parameters of the call: `key=value` words and the JSON object, in the order of the checks.
fn parameters(
    phantom: &Phantom,
    invocation: &Invocation,
    module: &str,
    action: &str,
) -> Result<Params, ParamError> {
    if let Some(error) = &invocation.error {
        return Err(error.clone());
    }
    let mut params = Params::new();
    for word in &invocation.parameters {
        let Some((key, value)) = word.split_once('=') else {
            let specs = phantom.find(module).map(|module| module.specs()).unwrap_or_default();
            let declared = specs.iter().find(|spec| spec.name == action).map(phantom_module::parameters);
            let known = declared.into_iter().flatten().map(|param| param.name).collect();
            return Err(ParamError::Form { argument: word.clone(), known });
        };
        params.extend(Params::from_words([(key, value)]));
    }
    if let Some(source) = &invocation.json {
        params.extend(read_json(source)?);
    }
    Ok(params)
}

fn read_json(source: &JsonSource) -> Result<Params, ParamError> {
    let refused = || ParamError::Type { parameter: "--json".to_owned(), expected: "object" };
    let text = match source {
        JsonSource::Inline(text) => text.clone(),
        JsonSource::StandardInput => {
            let mut text = String::new();
            let read = io::stdin().lock().take(JSON_MAX + 1).read_to_string(&mut text);
            read.ok().filter(|length| *length as u64 <= JSON_MAX).ok_or_else(refused)?;
            text
        }
    };
    args::check_repeated_keys(&text)?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => Ok(Params::from_json(object)),
        Ok(_) | Err(_) => Err(refused()),
    }
}

/// What the service of an interface runs when it starts and stops, and what is run before there is a network.
fn service(
    phantom: &Phantom,
    verb: &str,
    interface: &str,
    lang: Lang,
    note: fn(&str),
    streams: &mut Streams<'_>,
) -> ExitStatus {
    let engine = phantom.engine();
    if verb == "block" {
        return said(engine.install_boot_guard(), verb, lang, streams);
    }
    let call = Call { lang, note };
    if verb == "repair" {
        return said(engine.repair(&call).map(drop), verb, lang, streams);
    }
    if let Some(hook) = engine.hook(verb) {
        return match (hook.run)(engine, &call, interface) {
            Err(HookError::Usage) => print_usage(streams, lang),
            done if interface.is_empty() => said(done, verb, lang, streams),
            done => said(done, &format!("{interface}: {verb}"), lang, streams),
        };
    }
    let Ok(name) = interface.parse::<InterfaceName>() else { return print_usage(streams, lang) };
    let done = match verb {
        "up" => engine.service_started(&name, &call),
        // After a crash the link stays, so that the next start finds it with its addresses and routes.
        "down" if std::env::var("SERVICE_RESULT").is_ok_and(|result| result != "success") => Ok(()),
        "down" => engine.service_stopped(&name),
        _ => return print_usage(streams, lang),
    };
    said(done, &format!("{name}: {verb}"), lang, streams)
}

/// Says on standard error, which a service's log holds, how a hook ended.
fn said<E: Spoken>(done: Result<(), E>, what: &str, lang: Lang, streams: &mut Streams<'_>) -> ExitStatus {
    let (exit, line) = match done {
        Ok(()) => (ExitStatus::Success, what.to_owned()),
        Err(error) => (ExitStatus::Failure, format!("{what}: {}", explain(&error, lang))),
    };
    let _ = writeln!(streams.err, "phantom-api: {line}");
    exit
}
