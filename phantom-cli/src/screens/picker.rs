//! A file that is picked from its folder.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use phantom_api::{Lang, Text};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::flows;
use crate::rows::shorten;
use crate::screen::{AppContext, Hint, Key, Screen, ScreenAction, hint};
use crate::text;
use crate::theme::{self, Theme};
use crate::work::{Problem, Work, WorkResult};

/// What is done with the file.
type Continuation = Rc<dyn Fn(&Path, &AppContext) -> Vec<ScreenAction>>;

/// A folder and what is in it.
pub(crate) struct Picker {
    title: Text,
    dir: PathBuf,
    /// Names, and whether they are folders; those with another ending than the wanted one are left out.
    entries: Vec<(String, bool)>,
    ending: &'static str,
    chosen: usize,
    then: Continuation,
}

impl Picker {
    pub(crate) fn new(
        title: Text,
        dir: PathBuf,
        ending: &'static str,
        then: impl Fn(&Path, &AppContext) -> Vec<ScreenAction> + 'static,
    ) -> Self {
        Self { title, dir, entries: Vec::new(), ending, chosen: 0, then: Rc::new(then) }
    }

    fn up(&self) -> Vec<ScreenAction> {
        let above = self.dir.parent().map(Path::to_owned);
        above.map(open).unwrap_or_default()
    }

    /// Asks for the path, with a proposal.
    fn ask(&self, start: &str) -> Vec<ScreenAction> {
        let label = match self.ending {
            "conf" => Text { en: "Path of the configuration file", tr: "Yapılandırma dosyasının yolu" },
            _ => Text { en: "Path of the file", tr: "Dosyanın yolu" },
        };
        let then = Rc::clone(&self.then);
        let then = move |path: &Path, world: &AppContext| then(path, world);
        vec![flows::ask_path(self.title, label, (&self.dir, start), then)]
    }

    fn take(&self, world: &AppContext) -> Vec<ScreenAction> {
        match self.entries.get(self.chosen).cloned() {
            None => Vec::new(),
            Some((name, _)) if name == ".." => self.up(),
            Some((name, true)) => {
                let dir = self.dir.join(name);
                open(dir)
            }
            Some((name, false)) => (self.then)(&self.dir.join(name), world),
        }
    }
}

fn open(dir: PathBuf) -> Vec<ScreenAction> {
    vec![ScreenAction::Fetch(Work::List(dir))]
}

impl Screen for Picker {
    fn title(&self, lang: Lang) -> String {
        self.title.get(lang).to_owned()
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, _: Theme, world: &AppContext) {
        let width = usize::from(area.width);
        let mut places = area.rows();
        if let Some(place) = places.next() {
            let dir = shorten(&self.dir.display().to_string(), width);
            frame.render_widget(Line::styled(dir, theme::heading()), place);
        }
        let room = usize::from(area.height.saturating_sub(1)).max(1);
        let from = (self.chosen + 1).saturating_sub(room);
        let only_up = self.entries.iter().all(|(name, _)| name == "..");
        for (at, (name, folder)) in self.entries.iter().enumerate().skip(from).take(room) {
            let Some(place) = places.next() else { break };
            let name = if *folder { format!("{name}/") } else { name.clone() };
            let line = Line::from(Span::raw(format!("  {} ", shorten(&name, width.saturating_sub(4)))));
            frame.render_widget(if at == self.chosen { line.style(theme::chosen()) } else { line }, place);
        }
        if only_up && let Some(place) = places.next() {
            let text = match world.lang {
                Lang::En => format!("No *.{} file and no folder here", self.ending),
                Lang::Tr => format!("Burada *.{} dosyası veya klasör yok", self.ending),
            };
            frame.render_widget(Line::styled(format!("  {text}"), theme::faint()), place);
        }
    }

    fn hints(&self, lang: Lang) -> Vec<Hint> {
        vec![
            hint("↑↓", lang.pick("Move", "Gez")),
            hint("Enter", text::SELECT.get(lang)),
            hint("←", lang.pick("Folder above", "Üst klasör")),
            hint("T", lang.pick("Type the path", "Yolu yaz")),
            hint("0", text::BACK.get(lang)),
        ]
    }

    fn key(&mut self, key: Key, world: &AppContext) -> Vec<ScreenAction> {
        match (key, key.letter()) {
            (Key::Up, _) => self.chosen = self.chosen.saturating_sub(1),
            (Key::Down, _) => self.chosen = (self.chosen + 1).min(self.entries.len().saturating_sub(1)),
            (Key::PageUp | Key::Home, _) => self.chosen = 0,
            (Key::PageDown | Key::End, _) => self.chosen = self.entries.len().saturating_sub(1),
            (Key::Left | Key::Backspace, _) => return self.up(),
            (Key::Enter | Key::Right, _) => return self.take(world),
            (Key::Esc, _) | (_, Some('0')) => return vec![ScreenAction::Pop],
            (_, Some('t')) => {
                let start = format!("{}/", self.dir.display().to_string().trim_end_matches('/'));
                return self.ask(&start);
            }
            _ => {}
        }
        Vec::new()
    }

    fn shown(&mut self, _: &AppContext) -> Vec<ScreenAction> {
        let dir = self.dir.clone();
        open(dir)
    }

    fn takes_paste(&self) -> bool {
        true
    }

    /// A path that is pasted is the one that is meant.
    fn text(&mut self, text: &str, _: &AppContext) -> Vec<ScreenAction> {
        self.ask(text.trim())
    }

    fn fetched(&mut self, reply: Result<WorkResult, Problem>, _: &AppContext) -> Vec<ScreenAction> {
        match reply {
            Ok(WorkResult::Entries(dir, entries)) => {
                if dir != self.dir {
                    self.chosen = 0;
                }
                let wanted = |(name, folder): &(String, bool)| {
                    *folder || Path::new(name).extension().is_some_and(|ending| ending == self.ending)
                };
                let above = dir.parent().map(|_| ("..".to_owned(), true));
                self.entries = above.into_iter().chain(entries.into_iter().filter(wanted)).collect();
                self.chosen = self.chosen.min(self.entries.len().saturating_sub(1));
                self.dir = dir;
                Vec::new()
            }
            Ok(_) => Vec::new(),
            // No box: the folder is asked for again when a box closes, and with it the error would come again.
            Err(problem) => vec![flows::said(&problem)],
        }
    }
}
