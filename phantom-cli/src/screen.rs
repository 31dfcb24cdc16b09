//! What every screen is: drawn from its state, and moved on by keys and answers. Nothing here reads or waits.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use phantom_api::{Lang, Phantom, Spec, Text};
use ratatui::Frame;
use ratatui::layout::Rect;
use zeroize::Zeroizing;

use crate::status::HeaderStatus;
use crate::theme::{Theme, Tone};
use crate::work::{Problem, Work, WorkResult};

/// What is known everywhere.
pub struct AppContext {
    /// The modules with their tables of actions.
    pub modules: Vec<ModuleTable>,
    /// Language of every text.
    pub lang: Lang,
    /// A language was chosen on these screens.
    pub has_chosen: bool,
    /// The server has not been set up.
    pub needs_setup: bool,
    /// The last figures, once known.
    pub status: Option<HeaderStatus>,
    /// Where files are offered to be saved.
    pub home: PathBuf,
    /// Where the server keeps copies of what is stored.
    pub copies: PathBuf,
}

/// A module as its table says.
pub struct ModuleTable {
    /// Its name.
    pub name: &'static str,
    /// One line of help.
    pub summary: Text,
    /// Its actions.
    pub actions: Vec<Spec>,
}

impl AppContext {
    /// The tables of an orchestrator.
    pub fn new(phantom: &Phantom, lang: Lang, home: PathBuf) -> Self {
        let table = |module: &std::sync::Arc<dyn phantom_api::Module>| ModuleTable {
            name: module.name(),
            summary: module.summary(),
            actions: module.specs(),
        };
        Self {
            modules: phantom.modules().iter().map(table).collect(),
            lang,
            has_chosen: false,
            needs_setup: false,
            status: None,
            home,
            copies: phantom.engine().store().paths().copies_dir(),
        }
    }

    /// A module's table.
    pub(crate) fn table(&self, module: &str) -> Option<&ModuleTable> {
        self.modules.iter().find(|table| table.name == module)
    }

    /// An action, where it is there.
    pub(crate) fn spec(&self, module: &str, action: &str) -> Option<Spec> {
        self.table(module)?.actions.iter().find(|spec| spec.name == action).copied()
    }

    /// What an action is called; without it, its name.
    pub(crate) fn summary(&self, module: &'static str, action: &'static str) -> String {
        self.spec(module, action).map_or(action, |spec| spec.summary.get(self.lang)).to_owned()
    }
}

/// Goes on with what came of something.
pub(crate) type Continuation<T> = Box<dyn FnOnce(T, &AppContext) -> Vec<ScreenAction>>;

/// What a screen wants to happen.
pub(crate) enum ScreenAction {
    /// A screen on top.
    Push(Box<dyn Screen>),
    /// The top screen goes.
    Pop,
    /// Another screen in place of the top one.
    Replace(Box<dyn Screen>),
    /// Back to the first screen.
    Home,
    /// The top screen asks again for what it shows.
    Refresh,
    /// Work that the person waits for, with what is said meanwhile.
    Run(Work, String, Continuation<Result<WorkResult, Problem>>),
    /// Work in the background; the reply goes to [`Screen::fetched`].
    Fetch(Work),
    /// A line above the key bar.
    Say(Tone, String),
    /// The texts are in this language from now on.
    Speak(Lang),
    /// Asks whether to leave.
    AskToLeave,
    /// Leaves.
    Leave,
}

/// A key with what it does, for the key bar and the help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) key: String,
    pub(crate) does: String,
}

pub(crate) fn hint(key: &str, does: &str) -> Hint {
    Hint { key: key.to_owned(), does: does.to_owned() }
}

/// A screen.
pub(crate) trait Screen {
    /// Its name.
    fn title(&self, lang: Lang) -> String;
    /// Draws it. What depends on the size only, as how far a text is scrolled, may be put right.
    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, theme: Theme, world: &AppContext);
    /// The keys that work on it.
    fn hints(&self, lang: Lang) -> Vec<Hint>;
    /// A key was pressed.
    fn key(&mut self, key: Key, world: &AppContext) -> Vec<ScreenAction>;
    /// It came on top, at first or again.
    fn shown(&mut self, world: &AppContext) -> Vec<ScreenAction> {
        let _ = world;
        Vec::new()
    }
    /// A second has passed while it is on top.
    fn second(&mut self, world: &AppContext) -> Vec<ScreenAction> {
        let _ = world;
        Vec::new()
    }
    /// The reply to the last [`ScreenAction::Fetch`].
    fn fetched(&mut self, reply: Result<WorkResult, Problem>, world: &AppContext) -> Vec<ScreenAction> {
        let _ = (reply, world);
        Vec::new()
    }
    /// Whether it is a box over the screen below.
    fn is_box(&self) -> bool {
        false
    }
    /// Whether it wants the whole terminal: no header, no border.
    fn is_whole(&self) -> bool {
        false
    }
    /// Whether letters are text: `?` is no call for help then.
    fn is_typing(&self) -> bool {
        false
    }
    /// Whether it does something with text that is pasted.
    fn takes_paste(&self) -> bool {
        self.is_typing()
    }
    /// Lines that the terminal shows as they are, for a screen of so many columns and rows, the keys left out. Its own selection
    /// copies a long one in one piece.
    fn page(&mut self, size: (u16, u16)) -> Option<Vec<Zeroizing<String>>> {
        let _ = size;
        None
    }
    /// Pasted or picked text.
    fn text(&mut self, text: &str, world: &AppContext) -> Vec<ScreenAction> {
        text.chars().flat_map(|letter| self.key(Key::Char(letter), world)).collect()
    }
}

/// A key in the few words that screens know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A letter, a digit, a sign, a blank.
    Char(char),
    /// The enter key.
    Enter,
    /// Back.
    Esc,
    /// Arrows.
    Up,
    /// Arrows.
    Down,
    /// Arrows.
    Left,
    /// Arrows.
    Right,
    /// To the next field.
    Tab,
    /// To the field before.
    BackTab,
    /// Takes the character before the cursor away.
    Backspace,
    /// Takes the character at the cursor away.
    Delete,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// A screen back.
    PageUp,
    /// A screen on.
    PageDown,
    /// Control and a letter.
    Control(char),
}

impl Key {
    /// What a terminal's event is; `None` for keys that nothing here knows.
    pub fn of_event(event: KeyEvent) -> Option<Self> {
        if event.kind == crossterm::event::KeyEventKind::Release {
            return None;
        }
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        Some(match event.code {
            KeyCode::Char(letter) if control => Self::Control(letter.to_ascii_lowercase()),
            KeyCode::Char(letter) => Self::Char(letter),
            KeyCode::Enter => Self::Enter,
            KeyCode::Esc => Self::Esc,
            KeyCode::Up => Self::Up,
            KeyCode::Down => Self::Down,
            KeyCode::Left => Self::Left,
            KeyCode::Right => Self::Right,
            KeyCode::Tab => Self::Tab,
            KeyCode::BackTab => Self::BackTab,
            KeyCode::Backspace => Self::Backspace,
            KeyCode::Delete => Self::Delete,
            KeyCode::Home => Self::Home,
            KeyCode::End => Self::End,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            _ => return None,
        })
    }

    /// The letter of a key, small; Turkish capitals included.
    pub(crate) fn letter(self) -> Option<char> {
        match self {
            Self::Char('İ') => Some('i'),
            Self::Char(letter) => letter.to_lowercase().next(),
            _ => None,
        }
    }
}
