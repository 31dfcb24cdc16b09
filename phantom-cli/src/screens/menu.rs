//! A numbered menu.

use std::rc::Rc;

use phantom_api::{Lang, Text};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::rows::wrap;
use crate::screen::{AppContext, Hint, Key, Screen, ScreenAction, hint};
use crate::text;
use crate::theme::{self, Theme, Tone};

/// The keys of the items, in order; 0 goes back.
const KEYS: &str = "123456789abcdefghijklmoqrstuvwxyz";

/// What an item does.
type Handler = Rc<dyn Fn(&AppContext) -> Vec<ScreenAction>>;
/// Why an item cannot be chosen now.
type Why = fn(&AppContext) -> Option<Text>;

/// An item of a menu.
pub(crate) struct Item {
    name: Words,
    about: Option<Words>,
    act: Handler,
    why_not: Why,
}

/// A text in both languages.
#[derive(Clone)]
struct Words {
    en: String,
    tr: String,
}

impl Words {
    fn new(text: Text) -> Self {
        Self { en: text.en.to_owned(), tr: text.tr.to_owned() }
    }
    fn get(&self, lang: Lang) -> &str {
        lang.pick(&self.en, &self.tr)
    }
}

impl Item {
    pub(crate) fn new(name: Text, act: impl Fn(&AppContext) -> Vec<ScreenAction> + 'static) -> Self {
        Self { name: Words::new(name), about: None, act: Rc::new(act), why_not: |_| None }
    }
    /// With a name that is the same in every language.
    pub(crate) fn named(name: &str, act: impl Fn(&AppContext) -> Vec<ScreenAction> + 'static) -> Self {
        let name = Words { en: name.to_owned(), tr: name.to_owned() };
        Self { name, about: None, act: Rc::new(act), why_not: |_| None }
    }
    /// With a few words beside it.
    pub(crate) fn about(mut self, about: Text) -> Self {
        self.about = Some(Words::new(about));
        self
    }
    /// With a sentence that an answer gave in the language of now.
    pub(crate) fn saying(mut self, text: &str) -> Self {
        self.about = Some(Words { en: text.to_owned(), tr: text.to_owned() });
        self
    }

    /// Faint while there is a reason why it makes no sense, which is said beside it.
    pub(crate) fn unless(mut self, why: Why) -> Self {
        self.why_not = why;
        self
    }

    /// Its lines; what is said about it stands beside the name or, where that is too narrow, below.
    fn lines(
        &self,
        key: char,
        wide: usize,
        width: usize,
        world: &AppContext,
        chosen: bool,
    ) -> Vec<Line<'static>> {
        let (lang, why) = (world.lang, (self.why_not)(world));
        let name = self.name.get(lang);
        let gap = " ".repeat(wide.saturating_sub(Span::raw(name).width()));
        let mut first = Line::from(vec![
            Span::styled(format!("  {key}  "), theme::key()),
            Span::styled(format!("{name}{gap} "), if why.is_some() { theme::faint() } else { Style::new() }),
        ]);
        if chosen {
            first = first.style(theme::chosen());
        }
        let about = why.map(|why| why.get(lang)).or_else(|| self.about.as_ref().map(|about| about.get(lang)));
        let Some(about) = about else { return vec![first] };
        if first.width() + Span::raw(about).width() + 3 <= width {
            first.push_span(Span::styled(format!("  {about} "), theme::faint()));
            return vec![first];
        }
        let below = wrap(about, width.saturating_sub(6)).into_iter();
        let below = below.map(|part| Line::styled(format!("     {part}"), theme::faint()));
        std::iter::once(first).chain(below).collect()
    }
}

/// A numbered menu.
pub(crate) struct Menu {
    title: Text,
    items: Vec<Item>,
    chosen: usize,
    is_first: bool,
}

impl Menu {
    pub(crate) fn new(title: Text, items: Vec<Item>) -> Self {
        Self { title, items, chosen: 0, is_first: false }
    }
    /// The one that is left by leaving the program.
    pub(crate) fn first(title: Text, items: Vec<Item>) -> Self {
        Self { is_first: true, ..Self::new(title, items) }
    }

    fn back(&self) -> Vec<ScreenAction> {
        vec![if self.is_first { ScreenAction::AskToLeave } else { ScreenAction::Pop }]
    }

    fn choose(&mut self, at: usize, world: &AppContext) -> Vec<ScreenAction> {
        let Some(item) = self.items.get(at) else {
            return vec![ScreenAction::Say(Tone::Attention, text::INVALID_CHOICE.get(world.lang).to_owned())];
        };
        self.chosen = at;
        match (item.why_not)(world) {
            Some(why) => vec![ScreenAction::Say(Tone::Attention, why.get(world.lang).to_owned())],
            None => (item.act)(world),
        }
    }
}

impl Screen for Menu {
    fn title(&self, lang: Lang) -> String {
        self.title.get(lang).to_owned()
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, _: Theme, world: &AppContext) {
        let (lang, width) = (world.lang, usize::from(area.width));
        let last = Item::new(if self.is_first { text::EXIT } else { text::BACK }, |_| Vec::new());
        let all: Vec<(char, &Item)> = KEYS.chars().zip(&self.items).chain([('0', &last)]).collect();
        let wide = all.iter().map(|(_, item)| Span::raw(item.name.get(lang)).width()).max().unwrap_or(0);
        let mut lines = Vec::new();
        let mut end = 0;
        for (at, (key, item)) in all.iter().enumerate() {
            lines.extend(item.lines(
                *key,
                wide.min(width.saturating_sub(6)),
                width,
                world,
                at == self.chosen,
            ));
            if at == self.chosen {
                end = lines.len();
            }
        }
        let room = usize::from(area.height).max(1);
        if lines.len() < room {
            lines.insert(0, Line::default());
            end += 1;
        }
        // The chosen line is always in sight.
        for (line, place) in lines.into_iter().skip(end.saturating_sub(room)).zip(area.rows()) {
            frame.render_widget(line, place);
        }
    }

    fn hints(&self, lang: Lang) -> Vec<Hint> {
        let last = if self.is_first { text::EXIT } else { text::BACK };
        vec![
            hint("1…", text::SELECT.get(lang)),
            hint("↑↓", lang.pick("Move", "Gez")),
            hint("Enter", text::SELECT.get(lang)),
            hint("0", last.get(lang)),
        ]
    }

    fn key(&mut self, key: Key, world: &AppContext) -> Vec<ScreenAction> {
        let count = self.items.len() + 1;
        match key {
            Key::Up => self.chosen = (self.chosen + count - 1) % count,
            Key::Down => self.chosen = (self.chosen + 1) % count,
            Key::Home => self.chosen = 0,
            Key::End => self.chosen = count - 1,
            Key::Enter if self.chosen + 1 == count => return self.back(),
            Key::Enter => return self.choose(self.chosen, world),
            Key::Char('0') => return self.back(),
            Key::Esc if !self.is_first => return self.back(),
            Key::Char(_) => {
                let at = key.letter().and_then(|letter| KEYS.chars().position(|other| other == letter));
                return self.choose(at.unwrap_or(usize::MAX), world);
            }
            _ => {}
        }
        Vec::new()
    }
}
