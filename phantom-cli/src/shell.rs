//! The thin part: a terminal, threads, signals, time.

mod terminal;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event as Happening};
use phantom_api::{ENDING, Interrupt, Lang, Phantom, explain};
use signal_hook::iterator::Signals;

use crate::app::{App, AppEffect, AppEvent};
use crate::options::{self, CliOptions};
use crate::screen::Key;
use crate::text;
use crate::theme::Theme;
use crate::work::{self, Problem, Work, WorkResult};
use terminal::Terminal;

/// Exit status where it was not clear what to do, or there is no terminal.
const USAGE: u8 = 2;
/// Exit status where something went wrong.
const FAILURE: u8 = 1;
/// How often it is looked whether a change still holds the program.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What is said on standard error after the terminal has been given back: nothing may be written over the screen.
static LATER: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `PHANTOM_LANG`.
    pub lang: Option<String>,
    /// `PHANTOM_ROOT`.
    pub root: Option<PathBuf>,
    /// `HOME`, where it is absolute.
    pub home: Option<PathBuf>,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// The locale is a UTF-8 one.
    pub utf8: bool,
    /// `TERM`.
    pub term: Option<String>,
}

impl Environment {
    /// Of this process.
    pub fn of_process() -> Self {
        let text = |name: &str| std::env::var(name).ok();
        let path = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(text);
        Self {
            lang: text("PHANTOM_LANG").filter(|lang| !lang.is_empty()),
            root: path("PHANTOM_ROOT"),
            home: path("HOME").filter(|home| home.is_absolute()),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            utf8: options::is_utf8(locale.iter().map(Option::as_deref)),
            term: text("TERM"),
        }
    }
}

/// What reaches the thread that draws.
enum Message {
    Terminal(Happening),
    Done(u64, Result<WorkResult, Problem>),
    /// A signal asked the program to end.
    Signal(i32),
    /// The terminal can no longer be read.
    Gone,
}

/// Runs the program and gives its exit status: 0 left, 1 not root or something failed, 2 wrong words or no terminal.
pub fn main(
    words: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    open: impl FnOnce(Option<PathBuf>) -> Phantom,
) -> u8 {
    let parsed = CliOptions::parse(words);
    let phantom = open(environment.root.clone());
    let words = match parsed {
        Ok(words) => words,
        Err(word) => {
            let lang = language(&CliOptions::default(), environment, &phantom);
            let _ = write!(io::stderr(), "phantom-wg: {word}\n{}", options::usage(lang));
            return USAGE;
        }
    };
    let lang = language(&words, environment, &phantom);
    if words.help || words.version {
        let text = if words.help { options::help(lang) } else { options::version() };
        return u8::from(io::stdout().write_all(text.as_bytes()).is_err());
    }
    let dumb = environment.term.as_deref().is_none_or(|term| term.is_empty() || term == "dumb");
    if dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        let _ = writeln!(io::stderr(), "phantom-wg: {}", text::TERMINAL_REQUIRED.get(lang));
        return USAGE;
    }
    if !phantom.engine().host().privileged {
        let _ = writeln!(io::stderr(), "phantom-wg: {}", text::ROOT_REQUIRED.get(lang));
        return FAILURE;
    }
    let theme = Theme { lang, colour: !(words.no_color || environment.no_color), unicode: environment.utf8 };
    let home = environment.home.clone().unwrap_or_else(|| PathBuf::from("/root"));
    let app = App::new(&phantom, theme, home);
    let ended = run(app, &Arc::new(phantom));
    for line in LATER.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = writeln!(io::stderr(), "phantom-wg: {line}");
    }
    match ended {
        Ok(None) => 0,
        // As a shell says it of a program that a signal ended.
        Ok(Some(signal)) => 128_u8.saturating_add(u8::try_from(signal).unwrap_or_default()),
        Err(error) => {
            let _ = writeln!(io::stderr(), "phantom-wg: {}", explain(&error, lang));
            FAILURE
        }
    }
}

/// The language of this run. A locale that is passed over is told of.
fn language(words: &CliOptions, environment: &Environment, phantom: &Phantom) -> Lang {
    let (lang, line) = Lang::of_run(words.lang, environment.lang.as_deref(), || phantom.stored_language());
    if let Some(line) = line {
        let _ = writeln!(io::stderr(), "phantom-wg: {line}");
    }
    lang
}

fn run(mut app: App, phantom: &Arc<Phantom>) -> io::Result<Option<i32>> {
    let (sender, messages) = channel();
    // Handled, and not blocked: the services that a change starts would inherit a mask, and not end when they are asked.
    let signals = Signals::new(ENDING)?;
    let mut terminal = Terminal::enter(say_later)?;
    let interrupt = phantom.engine().host().interrupt.clone();
    spawn("signals", wait_for_signals(signals, interrupt, sender.clone()))?;
    spawn("keys", read_terminal(sender.clone()))?;
    let ended = turn(&mut app, phantom, &mut terminal, &sender, &messages);
    terminal.leave();
    let Some(work) = app.waits_for() else { return ended };
    let _ = writeln!(io::stderr(), "phantom-wg: {}", text::WORKING.get(app.lang()));
    let asked = ended.as_ref().ok().copied().flatten();
    let signal = finish(work, &messages, &phantom.engine().host().interrupt, asked);
    ended.map(|_| signal)
}

/// Waits for the end of the work that was under way when the interface was left, and for nothing that would follow from it.
/// A change that has begun goes on until it is made or rolled back, whatever is asked. Anything else, such as a wait for
/// another change, is given up at a signal. Gives the last signal that asked.
fn finish(
    work: u64,
    messages: &Receiver<Message>,
    interrupt: &Interrupt,
    mut asked: Option<i32>,
) -> Option<i32> {
    loop {
        if asked.is_some() && !interrupt.is_held() {
            return asked;
        }
        match messages.recv_timeout(LOOK_AGAIN) {
            Ok(Message::Done(done, _)) if done == work => return asked,
            Ok(Message::Signal(signal)) => asked = Some(signal),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return asked,
        }
    }
}

/// Draws and takes what happens, until the end.
fn turn(
    app: &mut App,
    phantom: &Arc<Phantom>,
    terminal: &mut Terminal,
    sender: &Sender<Message>,
    messages: &Receiver<Message>,
) -> io::Result<Option<i32>> {
    let start = Instant::now();
    loop {
        for effect in app.effects() {
            match effect {
                AppEffect::Start(id, work, lang) => {
                    spawn("work", do_work(Arc::clone(phantom), id, work, lang, sender.clone()))?;
                }
                AppEffect::Leave => return Ok(None),
            }
        }
        match app.page(terminal.size()?) {
            Some(page) => terminal.print(page)?,
            None => terminal.draw(|frame| app.draw(frame))?,
        }
        let mut message = match messages.recv_timeout(Duration::from_millis(app.patience())) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        };
        app.take(AppEvent::Time(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)));
        // Everything that has come together is drawn once: a storm of resizes or a key held down.
        while let Some(one) = message {
            match one {
                Message::Terminal(Happening::Key(event)) => {
                    if let Some(key) = Key::of_event(event) {
                        app.take(AppEvent::Key(key));
                    }
                }
                Message::Terminal(Happening::Paste(text)) => app.take(AppEvent::Text(text)),
                // What was on the screen has moved, whatever its size is by now.
                Message::Terminal(Happening::Resize(..)) => terminal.forget(),
                Message::Terminal(_) => {}
                Message::Done(id, reply) => app.take(AppEvent::Done(id, reply)),
                Message::Signal(signal) => return Ok(Some(signal)),
                Message::Gone => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
            message = messages.try_recv().ok();
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// A bug in it is an answer like any other: whoever waits must not wait for ever.
fn do_work(
    phantom: Arc<Phantom>,
    id: u64,
    work: Work,
    lang: Lang,
    sender: Sender<Message>,
) -> impl FnOnce() + Send + 'static {
    move || {
        let done = catch_unwind(AssertUnwindSafe(|| work::run(&phantom, &work, lang, say_later)));
        let reply = done.unwrap_or_else(|_| Err(Problem::bug(lang)));
        let _ = sender.send(Message::Done(id, reply)); // nobody waits any more when the program ends
    }
}

fn read_terminal(sender: Sender<Message>) -> impl FnOnce() + Send + 'static {
    move || {
        loop {
            let (message, last) = match event::read() {
                Ok(happening) => (Message::Terminal(happening), false),
                Err(_) => (Message::Gone, true),
            };
            if sender.send(message).is_err() || last {
                return;
            }
        }
    }
}

fn wait_for_signals(
    mut signals: Signals,
    interrupt: Interrupt,
    sender: Sender<Message>,
) -> impl FnOnce() + Send + 'static {
    move || {
        for signal in signals.forever() {
            // A change in progress gives up what takes long.
            interrupt.request(signal);
            if sender.send(Message::Signal(signal)).is_err() {
                return;
            }
        }
    }
}

fn say_later(text: &str) {
    LATER.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a wait came to.
    #[derive(Debug, PartialEq, Eq)]
    enum Wait {
        GoesOn,
        Ended,
        EndedBy(i32),
    }

    /// Waits as after leaving while work 7 runs, with these messages on their way.
    fn ends(interrupt: &Interrupt, asked: Option<i32>, messages: Vec<Message>) -> Wait {
        let (sender, receiver) = channel();
        let (told, answer) = channel();
        let interrupt = interrupt.clone();
        for message in messages {
            sender.send(message).unwrap();
        }
        thread::spawn(move || told.send(finish(7, &receiver, &interrupt, asked)));
        let ended = answer.recv_timeout(Duration::from_secs(1));
        drop(sender); // ends the thread where it still waits
        ended.map_or(Wait::GoesOn, |signal| signal.map_or(Wait::Ended, Wait::EndedBy))
    }

    fn done(id: u64) -> Message {
        Message::Done(id, Err(Problem::bug(Lang::En)))
    }

    #[test]
    fn only_the_running_work_is_awaited() {
        let interrupt = Interrupt::default();
        assert_eq!(ends(&interrupt, None, vec![done(3), done(7)]), Wait::Ended);
        assert_eq!(ends(&interrupt, None, vec![done(3), done(8)]), Wait::GoesOn, "the work still runs");
    }

    #[test]
    fn signal_ends_a_wait_but_no_change() {
        let interrupt = Interrupt::default();
        assert_eq!(ends(&interrupt, Some(15), vec![]), Wait::EndedBy(15), "nothing has begun");
        assert_eq!(ends(&interrupt, None, vec![Message::Signal(2)]), Wait::EndedBy(2));
        let held = interrupt.hold();
        assert_eq!(
            ends(&interrupt, Some(1), vec![Message::Signal(15)]),
            Wait::GoesOn,
            "a change is being made"
        );
        assert_eq!(ends(&interrupt, Some(1), vec![Message::Signal(15), done(7)]), Wait::EndedBy(15));
        drop(held);
        assert_eq!(ends(&interrupt, Some(1), vec![]), Wait::EndedBy(1));
    }
}
