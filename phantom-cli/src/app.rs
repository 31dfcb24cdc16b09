//! The interface as a value: events change it and give effects; it is drawn from itself.

mod draw;

use phantom_api::{Lang, Phantom};
use ratatui::Frame;
use zeroize::Zeroizing;

use crate::flows;
use crate::screen::{AppContext, Continuation, Key, Screen, ScreenAction};
use crate::screens::{Dialog, Help};
use crate::text;
use crate::theme::{SMALLEST, Theme, Tone};
use crate::work::{Problem, Work, WorkResult};

/// Milliseconds between two looks at the figures of the header.
const LOOK_AGAIN: u64 = 2_000;

/// What happened.
pub enum AppEvent {
    /// A key.
    Key(Key),
    /// Text that was pasted.
    Text(String),
    /// Time has passed: milliseconds since the start.
    Time(u64),
    /// Work has ended.
    Done(u64, Result<WorkResult, Problem>),
}

/// What the shell is to do.
pub enum AppEffect {
    /// Work, and the number by which [`AppEvent::Done`] speaks of it.
    Start(u64, Work, Lang),
    /// The end.
    Leave,
}

/// Text that a terminal shows as it is, with its last line.
#[derive(Clone, PartialEq, Eq)]
pub struct Page {
    /// Lines, each as long as it is.
    pub lines: Vec<Zeroizing<String>>,
    /// What stands on the last line of the screen: a message, the keys.
    pub foot: String,
}

/// A screen and the work in the background that it has asked for.
struct Shown {
    screen: Box<dyn Screen>,
    /// The number of the work that runs for it. One at a time: text that is pasted asks at every letter.
    fetching: Option<u64>,
    /// What it has asked for since. Only the last counts, and the answer to what runs is out of date.
    next: Option<Work>,
}

impl Shown {
    fn new(screen: Box<dyn Screen>) -> Self {
        Self { screen, fetching: None, next: None }
    }
}

/// Work that the person waits for.
struct Running {
    id: u64,
    what: String,
    since: u64,
    then: Continuation<Result<WorkResult, Problem>>,
}

/// The interface.
pub struct App {
    world: AppContext,
    theme: Theme,
    stack: Vec<Shown>,
    running: Option<Running>,
    message: Option<(Tone, String)>,
    status_work: Option<u64>,
    status_due: u64,
    second_due: u64,
    now: u64,
    numbers: u64,
    effects: Vec<AppEffect>,
}

impl App {
    /// The interface with its first screen. The effects begin with a look at the server.
    pub fn new(phantom: &Phantom, theme: Theme, home: std::path::PathBuf) -> Self {
        let world = AppContext::new(phantom, theme.lang, home);
        let mut app = Self {
            world,
            theme,
            stack: Vec::new(),
            running: None,
            message: None,
            status_work: None,
            status_due: 0,
            second_due: 1_000,
            now: 0,
            numbers: 0,
            effects: Vec::new(),
        };
        let first = flows::main_menu(&app.world);
        app.push(first);
        app.look_at_status();
        app
    }

    /// Effects since the last time, in order.
    pub fn effects(&mut self) -> Vec<AppEffect> {
        std::mem::take(&mut self.effects)
    }

    /// Milliseconds after which [`AppEvent::Time`] is wanted.
    pub fn patience(&self) -> u64 {
        if self.running.is_some() { 100 } else { 500 }
    }

    /// The number of the work that a person waits for, while there is any.
    pub fn waits_for(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.id)
    }

    /// Language of every text.
    pub fn lang(&self) -> Lang {
        self.world.lang
    }

    /// Takes one event.
    pub fn take(&mut self, event: AppEvent) {
        match event {
            AppEvent::Key(key) => self.key(key),
            AppEvent::Text(text) if self.running.is_none() => {
                if let Some(top) = self.stack.last_mut().filter(|top| top.screen.takes_paste()) {
                    let acts = top.screen.text(&text, &self.world);
                    self.act(acts);
                }
            }
            AppEvent::Text(_) => {}
            AppEvent::Time(now) => self.time(now),
            AppEvent::Done(id, reply) => self.done(id, reply),
        }
    }

    /// What the top screen wants to be shown as it is on a terminal of so many columns and rows, in place of a drawing.
    pub fn page(&mut self, (width, height): (u16, u16)) -> Option<Page> {
        let lang = self.world.lang;
        let top = self.stack.last_mut().filter(|_| width >= SMALLEST.0 && height >= SMALLEST.1)?;
        let lines = top.screen.page((width, height - 1))?;
        let foot = draw::foot(self.message.as_ref(), top.screen.hints(lang), usize::from(width), lang);
        let plain = |line: &Zeroizing<String>| Zeroizing::new(self.theme.text(line));
        Some(Page { lines: lines.iter().map(plain).collect(), foot: self.theme.text(&foot) })
    }

    /// Draws everything.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        draw::draw(self, frame);
        self.theme.settle(frame.buffer_mut());
    }

    fn key(&mut self, key: Key) {
        let asking = self.stack.last().is_some_and(|top| top.screen.is_box());
        if key == Key::Control('c') && !asking {
            let mut acts = self.top(|screen, world| screen.key(key, world));
            if acts.is_empty() {
                acts.push(ScreenAction::AskToLeave);
            }
            return self.act(acts);
        }
        // While something is done, only leaving and waiting are possible.
        if self.running.is_some() && !asking {
            return;
        }
        self.message = None;
        let typing = self.stack.last().is_some_and(|top| top.screen.is_typing());
        if key == Key::Char('?') && !typing && !asking {
            let help = self.stack.last().map(|top| Help::new(&*top.screen, self.world.lang));
            return self.act(help.map(|help| ScreenAction::Push(Box::new(help))).into_iter().collect());
        }
        let acts = self.top(|screen, world| screen.key(key, world));
        self.act(acts);
    }

    fn top(
        &mut self,
        ask: impl FnOnce(&mut dyn Screen, &AppContext) -> Vec<ScreenAction>,
    ) -> Vec<ScreenAction> {
        let world = &self.world;
        self.stack.last_mut().map(|top| ask(&mut *top.screen, world)).unwrap_or_default()
    }

    fn time(&mut self, now: u64) {
        self.now = now;
        if now >= self.status_due && self.status_work.is_none() {
            self.look_at_status();
        }
        if now >= self.second_due {
            self.second_due = now + 1_000;
            let waits = self.stack.last().is_some_and(|top| top.fetching.is_some());
            if !waits && self.running.is_none() {
                let acts = self.top(|screen, world| screen.second(world));
                self.act(acts);
            }
        }
    }

    fn done(&mut self, id: u64, reply: Result<WorkResult, Problem>) {
        if self.status_work == Some(id) {
            self.status_work = None;
            self.status_due = self.now + LOOK_AGAIN;
            return self.status(reply);
        }
        if let Some(running) = self.running.take_if(|running| running.id == id) {
            // Boxes that came meanwhile (whether to leave, an error in the background) stay over the screen that goes on: the key
            // that answers one of them may be on its way, and must not answer the next question in its place.
            let boxes = self.stack.iter().rev().take_while(|shown| shown.screen.is_box()).count();
            let at = self.stack.len().saturating_sub(boxes + 1);
            let acts = (running.then)(reply, &self.world);
            self.act_at(at, acts);
            if self.status_work.is_none() {
                self.look_at_status(); // what was done may show there
            }
            return;
        }
        self.fetched(id, reply);
    }

    /// The end of work in the background. The answer is for the screen that asked, wherever on the stack it is by now.
    fn fetched(&mut self, id: u64, reply: Result<WorkResult, Problem>) {
        let Some(at) = self.stack.iter().position(|shown| shown.fetching == Some(id)) else { return };
        let shown = &mut self.stack[at];
        shown.fetching = None;
        if let Some(work) = shown.next.take() {
            return self.fetch(at, work);
        }
        let acts = shown.screen.fetched(reply, &self.world);
        self.act_at(at, acts);
    }

    /// Starts work in the background for a screen, or keeps it until what runs for that screen has ended.
    fn fetch(&mut self, at: usize, work: Work) {
        if self.stack[at].fetching.is_some() {
            self.stack[at].next = Some(work);
        } else {
            self.stack[at].fetching = Some(self.start(work));
        }
    }

    fn status(&mut self, reply: Result<WorkResult, Problem>) {
        match reply {
            Ok(WorkResult::Status(status)) => {
                if self.world.needs_setup {
                    self.world.needs_setup = false;
                    self.stack[0] = Shown::new(flows::main_menu(&self.world));
                }
                self.world.status = Some(status.since(self.world.status.as_ref()));
            }
            Ok(_) => {}
            Err(problem) if problem.code == "NOT_INITIALIZED" => {
                self.world.status = None;
                if !self.world.needs_setup && self.running.is_none() {
                    self.world.needs_setup = true;
                    self.stack = vec![Shown::new(flows::setup_menu(&self.world))];
                    let acts = flows::first_setup(&self.world);
                    self.act(acts);
                }
            }
            Err(problem) => {
                self.world.status = None;
                self.message = Some((Tone::Bad, format!("{} [{}]", problem.message, problem.code)));
            }
        }
    }

    fn look_at_status(&mut self) {
        self.status_work = Some(self.start(Work::Status));
    }

    fn start(&mut self, work: Work) -> u64 {
        self.numbers += 1;
        self.effects.push(AppEffect::Start(self.numbers, work, self.world.lang));
        self.numbers
    }

    fn push(&mut self, screen: Box<dyn Screen>) {
        self.stack.push(Shown::new(screen));
        self.shown();
    }

    fn shown(&mut self) {
        let acts = self.top(|screen, world| screen.shown(world));
        self.act(acts);
    }

    /// A screen below others comes to be shown again, as far as those leave it to be seen.
    fn shown_at(&mut self, at: usize) {
        let acts = self.stack[at].screen.shown(&self.world);
        self.act_at(at, acts);
    }

    /// What a screen wants that may have others over it by now: those stay, and it changes below them.
    fn act_at(&mut self, mut at: usize, acts: Vec<ScreenAction>) {
        for act in acts {
            let is_top = at + 1 == self.stack.len();
            match act {
                ScreenAction::Push(screen) if !is_top => {
                    at += 1;
                    self.stack.insert(at, Shown::new(screen));
                    self.shown_at(at);
                }
                ScreenAction::Pop if !is_top && at > 0 => {
                    self.stack.remove(at);
                    at -= 1;
                    self.shown_at(at);
                }
                ScreenAction::Replace(screen) if !is_top => {
                    self.stack[at] = Shown::new(screen);
                    self.shown_at(at);
                }
                ScreenAction::Home if !is_top => {
                    self.stack.drain(1..=at);
                    at = 0;
                    self.shown_at(at);
                }
                ScreenAction::Refresh if !is_top => self.shown_at(at),
                ScreenAction::Fetch(work) if !is_top => self.fetch(at, work),
                other => {
                    self.act(vec![other]);
                    if is_top {
                        at = self.stack.len() - 1;
                    }
                }
            }
        }
    }

    fn act(&mut self, acts: Vec<ScreenAction>) {
        for act in acts {
            match act {
                ScreenAction::Push(screen) => self.push(screen),
                ScreenAction::Pop => self.pop(),
                ScreenAction::Replace(screen) => {
                    self.stack.pop();
                    self.push(screen);
                }
                ScreenAction::Home => {
                    self.stack.truncate(1);
                    self.shown();
                }
                ScreenAction::Refresh => self.shown(),
                ScreenAction::Run(work, what, then) => {
                    let id = self.start(work);
                    self.running = Some(Running { id, what, since: self.now, then });
                }
                ScreenAction::Fetch(work) => {
                    if let Some(top) = self.stack.len().checked_sub(1) {
                        self.fetch(top, work);
                    }
                }
                ScreenAction::Say(mood, text) => self.message = Some((mood, text)),
                ScreenAction::Speak(lang) => {
                    self.world.lang = lang;
                    self.world.has_chosen = true;
                    self.theme.lang = lang;
                }
                ScreenAction::AskToLeave => {
                    let lang = self.world.lang;
                    let mut lines = vec![text::SERVER_RUNS_ON.get(lang).to_owned()];
                    lines.extend(self.running.as_ref().map(|running| {
                        let first = lang.pick("First this is finished", "Önce bu tamamlanır");
                        format!("{first}: {}", running.what)
                    }));
                    let ask = Dialog::confirm(text::LEAVE.get(lang), lines, |_| vec![ScreenAction::Leave]);
                    self.push(Box::new(ask));
                }
                ScreenAction::Leave => self.effects.push(AppEffect::Leave),
            }
        }
    }

    /// The first screen stays.
    fn pop(&mut self) {
        if self.stack.len() > 1 {
            self.stack.pop();
            self.shown();
        }
    }
}
