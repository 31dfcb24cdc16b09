//! A box over the screen below: a question whose answer is no unless said otherwise, or something to be read.

use phantom_api::Lang;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};

use super::Plain;
use crate::rows::{Row, lay_out, plain_lines};
use crate::screen::{AppContext, Hint, Key, Screen, ScreenAction, hint};
use crate::text;
use crate::theme::{self, Theme, Tone};

/// What is done when a question is answered with yes.
type Yes = Box<dyn FnOnce(&AppContext) -> Vec<ScreenAction>>;

/// Widest box.
const WIDEST: u16 = 70;

/// A box.
pub(crate) struct Dialog {
    title: String,
    rows: Vec<Row>,
    yes: Option<Yes>,
    is_question: bool,
    is_bad: bool,
    /// What it says may be taken along.
    copies: bool,
    top: u16,
}

impl Dialog {
    /// A question. Only the letter that is shown for yes is one.
    pub(crate) fn confirm(
        title: &str,
        lines: Vec<String>,
        yes: impl FnOnce(&AppContext) -> Vec<ScreenAction> + 'static,
    ) -> Self {
        let rows = lines.into_iter().map(Row::text).collect();
        Self {
            title: title.to_owned(),
            rows,
            yes: Some(Box::new(yes)),
            is_question: true,
            is_bad: false,
            copies: false,
            top: 0,
        }
    }

    /// Something to be read.
    pub(crate) fn notice(title: &str, rows: Vec<Row>) -> Self {
        Self {
            title: title.to_owned(),
            rows,
            yes: None,
            is_question: false,
            is_bad: false,
            copies: false,
            top: 0,
        }
    }

    /// Something that went well, with what to do about it.
    pub(crate) fn advice(title: &str, rows: Vec<Row>) -> Self {
        Self { copies: true, ..Self::notice(title, rows) }
    }

    /// An error.
    pub(crate) fn bad(title: &str, rows: Vec<Row>) -> Self {
        Self { is_bad: true, ..Self::advice(title, rows) }
    }
}

/// The letters for yes and no.
fn letters(lang: Lang) -> (char, char) {
    lang.pick(('y', 'n'), ('e', 'h'))
}

fn cancel(lang: Lang) -> Vec<ScreenAction> {
    vec![ScreenAction::Pop, ScreenAction::Say(Tone::Plain, text::CANCELLED.get(lang).to_owned())]
}

impl Screen for Dialog {
    fn title(&self, _: Lang) -> String {
        self.title.clone()
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, _: Theme, world: &AppContext) {
        let width = WIDEST.min(area.width);
        let mut lines = lay_out(&self.rows, usize::from(width.saturating_sub(4)));
        let (key, last) = if self.is_question {
            ("", text::SURE.get(world.lang))
        } else {
            ("Enter ", text::CONTINUE.get(world.lang))
        };
        let last = Line::from(vec![Span::styled(key, theme::key()), Span::styled(last, theme::key())]);
        let text_height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let height = text_height.saturating_add(4).min(area.height);
        let place = Rect {
            x: area.x + (area.width - width) / 2,
            y: area.y + (area.height - height) / 2,
            width,
            height,
        };
        let (mood, style) = if self.is_bad {
            (Tone::Bad, Tone::Bad.style())
        } else if self.is_question {
            (Tone::Attention, Tone::Attention.style())
        } else {
            (Tone::Plain, theme::heading())
        };
        let title = Line::from(Span::styled(format!(" {}{} ", mood.sign(), self.title), style));
        let block = Block::bordered().border_style(style).title(title);
        let inside = block.inner(place).inner(ratatui::layout::Margin::new(1, 0));
        frame.render_widget(Clear, place);
        frame.render_widget(block, place);
        let room = inside.height.saturating_sub(2);
        self.top = self.top.min(text_height.saturating_sub(room));
        let shown = lines.drain(..).skip(usize::from(self.top)).take(usize::from(room));
        for (line, y) in shown.zip(inside.y..) {
            frame.render_widget(line, Rect { y, height: 1, ..inside });
        }
        let y = inside.bottom().saturating_sub(1);
        frame.render_widget(last, Rect { y, height: inside.height.min(1), ..inside });
    }

    fn hints(&self, lang: Lang) -> Vec<Hint> {
        if self.is_question {
            let (yes, no) = letters(lang);
            return vec![
                hint(&yes.to_string(), text::YES.get(lang)),
                hint(&format!("{no} Enter Esc"), text::NO.get(lang)),
            ];
        }
        let mut hints = vec![hint("Enter", text::CONTINUE.get(lang)), hint("↑↓", text::SCROLL.get(lang))];
        if self.copies {
            hints.push(hint("K", text::COPY.get(lang)));
        }
        hints
    }

    fn key(&mut self, key: Key, world: &AppContext) -> Vec<ScreenAction> {
        let (yes, no) = letters(world.lang);
        match (key, key.letter()) {
            (Key::Up, _) => self.top = self.top.saturating_sub(1),
            (Key::Down, _) => self.top = self.top.saturating_add(1),
            (_, Some(letter)) if self.is_question && letter == yes => {
                let mut acts = vec![ScreenAction::Pop];
                acts.extend(self.yes.take().map(|go_on| go_on(world)).unwrap_or_default());
                return acts;
            }
            (Key::Enter | Key::Esc | Key::Control('c'), _) if self.is_question => return cancel(world.lang),
            (_, Some(letter)) if self.is_question && letter == no => return cancel(world.lang),
            (_, Some('k')) if self.copies => {
                return vec![ScreenAction::Push(Box::new(Plain::new(plain_lines(&self.rows))))];
            }
            (Key::Enter | Key::Esc | Key::Char(_) | Key::Control('c'), _) if !self.is_question => {
                return vec![ScreenAction::Pop];
            }
            _ => {}
        }
        Vec::new()
    }

    fn is_box(&self) -> bool {
        true
    }
}
