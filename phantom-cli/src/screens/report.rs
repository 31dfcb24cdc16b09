//! Content that is read: it scrolls, can be asked for again, and may have keys of its own.

use std::rc::Rc;

use phantom_api::{Lang, Text};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use serde_json::Value;

use super::Plain;
use crate::rows::{Row, lay_out, plain_lines};
use crate::screen::{AppContext, Hint, Key, Screen, ScreenAction, hint};
use crate::text;
use crate::theme::{self, Theme};
use crate::work::{ActionCall, Problem, Work, WorkResult};

/// Makes content of an answer.
pub(crate) type Build = Rc<dyn Fn(&Value, &AppContext) -> Vec<Row>>;
/// What a key of a report does.
type Handler = Rc<dyn Fn(&AppContext) -> Vec<ScreenAction>>;

/// Content that is read.
pub(crate) struct Report {
    title: Text,
    rows: Vec<Row>,
    again: Option<(ActionCall, Build)>,
    keys: Vec<(char, Text, Handler)>,
    lines: Option<(u16, Vec<Line<'static>>)>,
    top: usize,
    height: usize,
    at_end: bool,
    live: bool,
    seconds: u8,
    /// A person has asked for it again. An error is an answer to them, and else no more than a line.
    asked: bool,
}

impl Report {
    pub(crate) fn new(title: Text, rows: Vec<Row>) -> Self {
        let (again, keys, lines) = (None, Vec::new(), None);
        Self {
            title,
            rows,
            again,
            keys,
            lines,
            top: 0,
            height: 1,
            at_end: false,
            live: false,
            seconds: 0,
            asked: false,
        }
    }

    /// The answer of an action, which is asked for first. `place`: on top of the screen there is, or in place of it.
    pub(crate) fn for_call(
        world: &AppContext,
        title: Text,
        call: ActionCall,
        build: impl Fn(&Value, &AppContext) -> Vec<Row> + 'static,
        place: fn(Box<dyn Screen>) -> ScreenAction,
        change: impl FnOnce(Self) -> Self + 'static,
    ) -> Vec<ScreenAction> {
        let build: Build = Rc::new(build);
        let work = call.clone();
        vec![crate::flows::call(world, work, move |value, world| {
            let mut report = Self::new(title, build(&value, world));
            report.again = Some((call, build));
            vec![place(Box::new(change(report)))]
        })]
    }

    /// With a key of its own.
    pub(crate) fn with_key(
        mut self,
        key: char,
        name: Text,
        does: impl Fn(&AppContext) -> Vec<ScreenAction> + 'static,
    ) -> Self {
        self.keys.push((key, name, Rc::new(does)));
        self
    }

    /// Shows its end first.
    pub(crate) fn end_first(mut self) -> Self {
        self.at_end = true;
        self
    }

    /// Asked for again every other second while it is looked at.
    pub(crate) fn live(mut self) -> Self {
        self.live = true;
        self
    }

    fn scroll(&mut self, by: isize) {
        let lines = self.lines.as_ref().map_or(0, |(_, lines)| lines.len());
        let last = lines.saturating_sub(self.height);
        self.top = self.top.min(last).saturating_add_signed(by).min(last);
        self.at_end = false;
    }
}

impl Screen for Report {
    fn title(&self, lang: Lang) -> String {
        self.title.get(lang).to_owned()
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, _: Theme, world: &AppContext) {
        let lines = match &self.lines {
            Some((width, lines)) if *width == area.width => lines,
            _ => &self.lines.insert((area.width, lay_out(&self.rows, usize::from(area.width)))).1,
        };
        let fits = lines.len() <= usize::from(area.height);
        self.height = usize::from(area.height - u16::from(!fits)).max(1);
        let last = lines.len().saturating_sub(self.height);
        self.top = if self.at_end { last } else { self.top.min(last) };
        for (line, y) in lines.iter().skip(self.top).take(self.height).zip(area.y..) {
            frame.render_widget(line, Rect { y, height: 1, ..area });
        }
        if !fits {
            let to = (self.top + self.height).min(lines.len());
            let place =
                format!("↑↓ {}–{to} / {} {}", self.top + 1, lines.len(), world.lang.pick("lines", "satır"));
            let place = Line::styled(place, theme::faint()).right_aligned();
            frame.render_widget(place, Rect { y: area.bottom() - 1, height: 1, ..area });
        }
    }

    fn hints(&self, lang: Lang) -> Vec<Hint> {
        let mut hints: Vec<Hint> = self
            .keys
            .iter()
            .map(|(key, name, _)| hint(&key.to_uppercase().to_string(), name.get(lang)))
            .collect();
        let named = self.keys.iter().any(|(_, name, _)| *name == text::REFRESH);
        if self.again.is_some() && !named {
            hints.push(hint("R", text::REFRESH.get(lang)));
        }
        hints.push(hint("K", text::COPY.get(lang)));
        hints.push(hint("↑↓", text::SCROLL.get(lang)));
        hints.push(hint("0", text::BACK.get(lang)));
        hints
    }

    fn key(&mut self, key: Key, world: &AppContext) -> Vec<ScreenAction> {
        let page = isize::try_from(self.height).unwrap_or(1);
        match key {
            Key::Up => self.scroll(-1),
            Key::Down => self.scroll(1),
            Key::PageUp => self.scroll(-page),
            Key::PageDown | Key::Char(' ') => self.scroll(page),
            Key::Home => self.scroll(isize::MIN),
            Key::End => self.scroll(isize::MAX),
            Key::Esc | Key::Enter | Key::Char('0') => return vec![ScreenAction::Pop],
            _ => {
                let letter = key.letter().unwrap_or_default();
                self.asked = true;
                if let Some((.., does)) = self.keys.iter().find(|(key, ..)| *key == letter) {
                    return does(world);
                }
                match (&self.again, letter) {
                    (Some((call, _)), 'r') => return vec![ScreenAction::Fetch(Work::Call(call.clone()))],
                    (_, 'k') => {
                        return vec![ScreenAction::Push(Box::new(Plain::new(plain_lines(&self.rows))))];
                    }
                    _ => {}
                }
            }
        }
        Vec::new()
    }

    fn second(&mut self, _: &AppContext) -> Vec<ScreenAction> {
        self.seconds = (self.seconds + 1) % 2;
        match &self.again {
            Some((call, _)) if self.live && self.seconds == 0 => {
                self.asked = false;
                vec![ScreenAction::Fetch(Work::Call(call.clone()))]
            }
            _ => Vec::new(),
        }
    }

    fn fetched(&mut self, reply: Result<WorkResult, Problem>, world: &AppContext) -> Vec<ScreenAction> {
        match (reply, &self.again) {
            (Ok(WorkResult::Value(value)), Some((_, build))) => {
                self.rows = build(&value, world);
                self.lines = None;
                Vec::new()
            }
            (Err(problem), _) if self.asked => vec![crate::flows::failed(world, &problem)],
            // It comes back at every look, and a box would do so too.
            (Err(problem), _) => vec![crate::flows::said(&problem)],
            _ => Vec::new(),
        }
    }
}
