//! A form, made from what an action declares of its parameters.

use std::rc::Rc;

use phantom_api::{ErrorCode as _, Lang, Params, Spec, Text};
use phantom_module::{Param, ParameterKind, parameters, read};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::input::Input;
use crate::rows::{Row, lay_out, signed, wrap};
use crate::screen::{AppContext, Hint, Key, Screen, ScreenAction, hint};
use crate::theme::{self, Theme, Tone};
use crate::{spoken, text};

/// What was filled in, by parameter; what was left empty is not there.
pub(crate) type Values = Vec<(String, String)>;
/// What is done with it.
type Continuation = Rc<dyn Fn(Values, &AppContext) -> Vec<ScreenAction>>;

/// A field.
pub(crate) struct Field {
    param: Param,
    entry: Entry,
    /// What it is on the server, where that is said; null where it is not set there.
    now: Option<serde_json::Value>,
}

enum Entry {
    Text(Input),
    /// Words and which of them is taken; an empty word is for "as the action decides".
    Choice(Vec<String>, usize),
}

/// A form.
pub(crate) struct Form {
    title: Text,
    intro: Vec<Row>,
    fields: Vec<Field>,
    at: usize,
    wrong: Option<(usize, String)>,
    then: Continuation,
}

impl Field {
    /// A field of a parameter.
    pub(crate) fn new(param: Param) -> Self {
        let default = param.default.as_ref().map(plain);
        let among = |mut words: Vec<String>| {
            if default.is_none() && !param.required {
                words.insert(0, String::new());
            }
            let at = words.iter().position(|word| Some(word) == default.as_ref()).unwrap_or_default();
            Entry::Choice(words, at)
        };
        let entry = match &param.kind {
            ParameterKind::Boolean => among(vec!["false".to_owned(), "true".to_owned()]),
            ParameterKind::Choice(words) => among(words.clone()),
            _ => Entry::Text(Input::default()),
        };
        Self { param, entry, now: None }
    }

    /// A field of a parameter that has a value on the server, which stays when the field is left alone.
    fn of_change(mut param: Param, now: &serde_json::Value) -> Self {
        param.default = None;
        let mut field = Self::new(param);
        if let Entry::Choice(words, at) = &mut field.entry {
            words.retain(|word| !word.is_empty() || now.is_null());
            *at = words.iter().position(|word| *word == plain(now)).unwrap_or_default();
        }
        field.now = Some(now.clone());
        field
    }

    /// A field that belongs to no parameter.
    pub(crate) fn text(name: &str, label: Text, kind: ParameterKind, value: &str) -> Self {
        let param = Param {
            name: name.to_owned(),
            kind,
            required: true,
            default: None,
            en: label.en.to_owned(),
            tr: label.tr.to_owned(),
        };
        Self { param, entry: Entry::Text(Input::new(value)), now: None }
    }

    fn value(&self) -> String {
        match &self.entry {
            Entry::Text(input) => input.text().trim().to_owned(),
            // What is so anyway is not said: on a system that is set up, only what is said counts.
            Entry::Choice(words, at) => {
                let word = words.get(*at).cloned().unwrap_or_default();
                let usual = self.now.as_ref().or(self.param.default.as_ref()).map(plain);
                if usual.as_ref() == Some(&word) { String::new() } else { word }
            }
        }
    }

    /// Its label and what it takes, on as many lines as that needs.
    fn head(&self, focused: bool, width: usize, lang: Lang) -> Vec<Line<'static>> {
        let label = self.param.help(lang);
        let label = if label.is_empty() { &self.param.name } else { label };
        let sign = |at: usize| if focused && at == 0 { "› " } else { "  " };
        let parts = wrap(label, width.saturating_sub(2)).into_iter().enumerate();
        let mut lines: Vec<Line<'static>> = parts
            .map(|(at, part)| {
                Line::from(vec![Span::styled(sign(at), theme::heading()), Span::styled(part, theme::key())])
            })
            .collect();
        let about = Some(self.about(lang)).filter(|about| !about.is_empty());
        if let (Some(about), Some(last)) = (about, lines.last_mut()) {
            let about = Span::styled(format!("  ({about})"), theme::faint());
            if last.width() + about.width() <= width {
                last.push_span(about);
            } else {
                lines.push(Line::from(about));
            }
        }
        lines
    }

    /// What it takes, in a few words.
    fn about(&self, lang: Lang) -> String {
        let mut parts = Vec::new();
        if self.param.required {
            parts.push(lang.pick("required", "zorunlu").to_owned());
        }
        match &self.param.kind {
            ParameterKind::Integer { minimum, maximum } => parts.push(format!("{minimum}–{maximum}")),
            ParameterKind::Cidr4 => parts.push("10.8.0.0/24".to_owned()),
            ParameterKind::OrNone(_) if self.now.as_ref().is_some_and(|now| !now.is_null()) => {
                parts.push(lang.pick("none: take it away", "none: kaldırır").to_owned());
            }
            _ => {}
        }
        if let (Entry::Text(_), Some(now)) = (&self.entry, &self.now) {
            let none = lang.pick("not set", "ayarlanmamış").to_owned();
            let now = if now.is_null() { none } else { plain(now) };
            parts.push(format!("{}: {now}", lang.pick("now", "şu an")));
        }
        let default = self
            .param
            .default
            .as_ref()
            .filter(|default| default.as_array().is_none_or(|list| !list.is_empty()));
        if let (Entry::Text(_), Some(default)) = (&self.entry, default) {
            parts.push(format!("{}: {}", lang.pick("default", "varsayılan"), plain(default)));
        }
        parts.join(", ")
    }
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A word of a choice as a person reads it.
fn shown(word: &str, lang: Lang) -> String {
    match word {
        "" => "-".to_owned(),
        "true" => text::YES.get(lang).to_owned(),
        "false" => text::NO.get(lang).to_owned(),
        other => spoken::choice(other, lang).to_owned(),
    }
}

impl Form {
    /// With these fields.
    pub(crate) fn new(
        title: Text,
        fields: Vec<Field>,
        then: impl Fn(Values, &AppContext) -> Vec<ScreenAction> + 'static,
    ) -> Self {
        Self { title, intro: Vec::new(), fields, at: 0, wrong: None, then: Rc::new(then) }
    }

    /// With the parameters of an action as fields.
    pub(crate) fn of_action(
        title: Text,
        spec: &Spec,
        then: impl Fn(Values, &AppContext) -> Vec<ScreenAction> + 'static,
    ) -> Self {
        Self::new(title, parameters(spec).into_iter().map(Field::new).collect(), then)
    }

    /// With the parameters of an action that are named, in this order.
    pub(crate) fn of_some(
        title: Text,
        spec: &Spec,
        names: &[&str],
        then: impl Fn(Values, &AppContext) -> Vec<ScreenAction> + 'static,
    ) -> Self {
        let all = parameters(spec);
        let params = names.iter().filter_map(|name| all.iter().find(|param| param.name == *name));
        Self::new(title, params.cloned().map(Field::new).collect(), then)
    }

    /// Where what is left alone stays as it is: defaults are those of a first time. `now`: what is stored, by parameter.
    pub(crate) fn of_changes(
        title: Text,
        spec: &Spec,
        names: &[&str],
        now: &serde_json::Value,
        then: impl Fn(Values, &AppContext) -> Vec<ScreenAction> + 'static,
    ) -> Self {
        let mut form = Self::of_some(title, spec, names, then);
        for field in &mut form.fields {
            *field = Field::of_change(field.param.clone(), &now[field.param.name.as_str()]);
        }
        form
    }

    /// With something to read first.
    pub(crate) fn intro(mut self, rows: Vec<Row>) -> Self {
        self.intro = rows;
        self
    }

    fn submit(&mut self, world: &AppContext) -> Vec<ScreenAction> {
        let values: Values = self
            .fields
            .iter()
            .map(|field| (field.param.name.clone(), field.value()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        // Field by field, so that the one that is wrong is known.
        for (at, field) in self.fields.iter().enumerate() {
            let given = values.iter().filter(|(name, _)| *name == field.param.name).cloned();
            if let Err(error) = read(std::slice::from_ref(&field.param), Params::from_words(given)) {
                self.wrong = Some((at, error.message(world.lang)));
                self.at = at;
                return Vec::new();
            }
        }
        self.wrong = None;
        (self.then)(values, world)
    }

    fn turn(&mut self, by: isize) {
        if let Some(Field { entry: Entry::Choice(words, at), .. }) = self.fields.get_mut(self.at) {
            let count = words.len();
            *at = at.saturating_add(count).saturating_add_signed(by) % count.max(1);
        }
    }

    fn go(&mut self, by: isize) {
        let count = self.fields.len();
        self.at = (self.at + count).saturating_add_signed(by) % count.max(1);
    }

    /// The lines of a field and, where it is typed in, the place of the cursor on them: column and row.
    fn lines_of(&self, at: usize, width: usize, lang: Lang) -> (Vec<Line<'static>>, Option<(u16, usize)>) {
        let field = &self.fields[at];
        let focused = at == self.at;
        let mut lines = field.head(focused, width, lang);
        let mut cursor = None;
        match &field.entry {
            Entry::Text(input) => {
                let room = width.saturating_sub(5).min(64);
                let (mut text, column) = input.window(room);
                text.push_str(&" ".repeat(room.saturating_sub(Span::raw(&*text).width())));
                let style = theme::faint().remove_modifier(Modifier::DIM).add_modifier(Modifier::UNDERLINED);
                cursor = focused.then_some((column + 4, lines.len()));
                lines.push(Line::from(vec![Span::raw("    "), Span::styled(text, style)]));
            }
            Entry::Choice(words, taken) => {
                let mut line = Line::from("    ");
                for (at, word) in words.iter().enumerate() {
                    let word = format!(" {} ", shown(word, lang));
                    let style = if at == *taken { theme::chosen() } else { theme::faint() };
                    line.push_span(Span::styled(word, style));
                    line.push_span(Span::raw(" "));
                }
                lines.push(line);
            }
        }
        if let Some((_, error)) = self.wrong.as_ref().filter(|(wrong, _)| *wrong == at) {
            let mut below = Vec::new();
            signed(Tone::Bad, error, width, 4, &mut below);
            lines.extend(below);
        }
        (lines, cursor)
    }
}

impl Screen for Form {
    fn title(&self, lang: Lang) -> String {
        self.title.get(lang).to_owned()
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, _: Theme, world: &AppContext) {
        let width = usize::from(area.width);
        let mut lines = lay_out(&self.intro, width);
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        let airy = usize::from(area.height) >= lines.len() + self.fields.len() * 3;
        let (mut focus, mut cursor) = (0..0, None);
        for at in 0..self.fields.len() {
            let from = lines.len();
            let (field, place) = self.lines_of(at, width, world.lang);
            cursor = cursor.or(place.map(|(column, row)| (column, from + row)));
            lines.extend(field);
            if at == self.at {
                focus = from..lines.len();
            }
            if airy {
                lines.push(Line::default());
            }
        }
        let top = focus.end.saturating_sub(usize::from(area.height));
        for (line, y) in lines.into_iter().skip(top).zip(area.rows()) {
            frame.render_widget(line, y);
        }
        if let Some((column, row)) = cursor {
            let y = area.y + u16::try_from(row.saturating_sub(top)).unwrap_or_default();
            frame.set_cursor_position(Position { x: area.x + column, y });
        }
    }

    fn hints(&self, lang: Lang) -> Vec<Hint> {
        let mut hints = vec![hint("Enter", text::CONTINUE.get(lang))];
        if self.fields.len() > 1 {
            hints.push(hint("↑↓ Tab", lang.pick("Field", "Alan")));
        }
        if self.fields.iter().any(|field| matches!(field.entry, Entry::Choice(..))) {
            hints.push(hint("←→", lang.pick("Change", "Değiştir")));
        }
        hints.push(hint("Esc", text::BACK.get(lang)));
        hints
    }

    fn key(&mut self, key: Key, world: &AppContext) -> Vec<ScreenAction> {
        let is_path = self.fields.get(self.at).is_some_and(|field| field.param.kind == ParameterKind::Path);
        match key {
            Key::Enter => return self.submit(world),
            Key::Esc => return vec![ScreenAction::Pop],
            Key::Tab | Key::Down => self.go(1),
            Key::BackTab | Key::Up => self.go(-1),
            _ => match self.fields.get_mut(self.at).map(|field| &mut field.entry) {
                Some(Entry::Text(input)) => {
                    let was_typed = if is_path { input.path_key(key) } else { input.key(key) };
                    self.wrong = self.wrong.take().filter(|_| !was_typed);
                }
                Some(Entry::Choice(..)) if matches!(key, Key::Right | Key::Char(' ')) => self.turn(1),
                Some(Entry::Choice(..)) if key == Key::Left => self.turn(-1),
                _ => {}
            },
        }
        Vec::new()
    }

    fn is_typing(&self) -> bool {
        self.fields.get(self.at).is_some_and(|field| matches!(field.entry, Entry::Text(_)))
    }

    fn text(&mut self, text: &str, _: &AppContext) -> Vec<ScreenAction> {
        if let Some(Field { entry: Entry::Text(input), .. }) = self.fields.get_mut(self.at) {
            input.paste(text);
            self.wrong = None;
        }
        Vec::new()
    }
}
