//! The table of clients: ten a page, searched at every letter, refreshed while it is looked at.

mod columns;

use std::collections::BTreeMap;

use phantom_api::Lang;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use serde_json::Value;

use self::columns::{Bytes, Column, age_for, bytes_for, columns, head};
use super::input::Input;
use crate::flows;
use crate::rows::shorten;
use crate::screen::{AppContext, Hint, Key, Screen, ScreenAction, hint};
use crate::status::per_second;
use crate::text;
use crate::theme::{self, Theme, Tone};
use crate::work::{ActionCall, Problem, Work, WorkResult};

/// Clients a page.
const PER_PAGE: u64 = 10;

/// A line that is being typed below the table.
enum Prompt {
    Search(Input),
    Page(Input),
}

/// The table.
pub(crate) struct Clients {
    page: u64,
    search: String,
    data: Value,
    chosen: usize,
    prompt: Option<Prompt>,
    /// Of the answer before: when it came, and what every client had carried.
    before: Option<(i64, BTreeMap<String, Bytes>)>,
    rates: BTreeMap<String, Bytes>,
    seconds: u8,
    /// A key for a client, pressed before there was one to be seen.
    early: Option<Key>,
}

impl Clients {
    pub(crate) fn new() -> Self {
        Self {
            page: 1,
            search: String::new(),
            data: Value::Null,
            chosen: 0,
            prompt: None,
            before: None,
            rates: BTreeMap::new(),
            seconds: 0,
            early: None,
        }
    }

    fn fetch(&mut self) -> Vec<ScreenAction> {
        self.seconds = 0;
        let call = ActionCall::new("core", "list_clients")
            .with("page", self.page.to_string())
            .with("per_page", PER_PAGE.to_string())
            .with("search", &self.search)
            .with("names_first", "true");
        vec![ScreenAction::Fetch(Work::Call(call))]
    }

    fn go(&mut self, page: u64) -> Vec<ScreenAction> {
        self.page = page.clamp(1, self.pages().max(1));
        self.chosen = 0;
        self.fetch()
    }

    fn pages(&self) -> u64 {
        self.data["pagination"]["total_pages"].as_u64().unwrap_or_default()
    }

    fn clients(&self) -> &[Value] {
        self.data["clients"].as_array().map_or(&[], Vec::as_slice)
    }

    /// `at`: when the server was last looked at. Answers come in between, too, and are left out.
    fn measure(&mut self, at: i64) {
        if self.before.as_ref().is_some_and(|(then, _)| *then >= at) {
            return;
        }
        let bytes = |client: &Value| {
            let transfer = &client["connection"]["transfer"];
            let count = |way: &str| transfer[way].as_u64();
            Some((client["name"].as_str()?.to_owned(), (count("rx")?, count("tx")?)))
        };
        let now: BTreeMap<String, Bytes> = self.clients().iter().filter_map(bytes).collect();
        if let Some((then, before)) = &self.before {
            let rate = |(name, now): (&String, &Bytes)| {
                let earlier = before.get(name)?;
                let (rx, tx) =
                    (per_second(now.0, earlier.0, at - then)?, per_second(now.1, earlier.1, at - then)?);
                Some((name.clone(), (rx, tx)))
            };
            self.rates = now.iter().filter_map(rate).collect();
        }
        self.before = Some((at, now));
    }

    fn prompt_key(&mut self, key: Key) -> Vec<ScreenAction> {
        let Some(prompt) = &mut self.prompt else { return Vec::new() };
        match (prompt, key) {
            (_, Key::Esc) => {
                let was_search = matches!(self.prompt.take(), Some(Prompt::Search(_)));
                if was_search && !self.search.is_empty() {
                    self.search.clear();
                    return self.go(1);
                }
            }
            (Prompt::Search(_), Key::Enter) => self.prompt = None,
            (Prompt::Page(input), Key::Enter) => {
                let page = input.text().trim().parse().unwrap_or(self.page);
                self.prompt = None;
                return self.go(page);
            }
            (Prompt::Search(input), key) => {
                if input.key(key) && input.text() != self.search {
                    self.search = input.text();
                    self.page = 1;
                    self.chosen = 0;
                    return self.fetch();
                }
            }
            (Prompt::Page(input), key) => {
                if !matches!(key, Key::Char(letter) if !letter.is_ascii_digit()) {
                    input.key(key);
                }
            }
        }
        Vec::new()
    }

    fn ask_for(&self, action: &'static str, world: &AppContext) -> Vec<ScreenAction> {
        flows::for_client(world, action, self.clients().get(self.chosen))
    }

    fn line(
        &self,
        at: usize,
        client: &Value,
        columns: &[(Column, usize)],
        world: &AppContext,
    ) -> Line<'static> {
        let mut line = Line::default();
        for (column, width) in columns {
            let (mood, text) = self.cell((*column, *width), at, client, world);
            let sign = mood.sign();
            let text = shorten(&text, width.saturating_sub(Span::raw(sign).width()));
            let used = Span::raw(sign).width() + Span::raw(&*text).width();
            line.push_span(Span::styled(format!("{sign}{text}"), mood.style()));
            line.push_span(Span::raw(" ".repeat(width.saturating_sub(used) + 1)));
        }
        line
    }

    fn cell(
        &self,
        (column, width): (Column, usize),
        at: usize,
        client: &Value,
        world: &AppContext,
    ) -> (Tone, String) {
        let lang = world.lang;
        let plain = |text: &str| (Tone::Plain, text.to_owned());
        let connected = client["connected"] == true;
        let name = client["name"].as_str().unwrap_or_default();
        let ip = client["ip"].as_str().unwrap_or_default();
        match column {
            Column::Number => {
                let first = self.data["pagination"]["showing_from"].as_u64().unwrap_or(1);
                plain(&(first + at as u64).to_string())
            }
            Column::Name => plain(name),
            Column::Address => plain(ip),
            Column::State if connected => (Tone::Good, text::CONNECTED.get(lang).to_owned()),
            Column::State => (Tone::Off, text::OFFLINE.get(lang).to_owned()),
            Column::Seen => {
                let now = client["connection"]["latest_handshake"].as_str();
                let earlier = world.status.as_ref().and_then(|status| status.heard.get(ip));
                plain(&age_for(now.or(earlier.map(String::as_str)).unwrap_or("-"), width))
            }
            Column::Transfer => {
                let count = |way: &str| client["connection"]["transfer"][way].as_u64();
                plain(&bytes_for(count("rx").zip(count("tx")), "", width))
            }
            Column::Rate => plain(&bytes_for(self.rates.get(name).copied(), "/s", width)),
        }
    }

    fn draw_foot(&self, frame: &mut Frame<'_>, area: Rect, lang: Lang) {
        let total = self.data["total"].as_u64().unwrap_or_default();
        let mut foot = text::total(lang, total);
        if self.pages() > 1 {
            foot = format!("{foot}   {}", text::page(lang, self.page, self.pages()));
        }
        if !self.search.is_empty() && self.prompt.is_none() {
            foot = format!("{foot}   {}: {}", lang.pick("Search", "Ara"), self.search);
        }
        let (label, input) = match &self.prompt {
            None => return frame.render_widget(Line::styled(foot, theme::faint()), area),
            Some(Prompt::Search(input)) => (lang.pick("Search", "Ara"), input),
            Some(Prompt::Page(input)) => (lang.pick("Go to page", "Sayfaya git"), input),
        };
        let label = format!("{label}: ");
        let width = Span::raw(&*label).width();
        let (text, column) = input.window(usize::from(area.width).saturating_sub(width + 1));
        let line = Line::from(vec![
            Span::styled(label, theme::key()),
            Span::raw(text),
            Span::styled(format!("   {foot}"), theme::faint()),
        ]);
        frame.render_widget(line, area);
        let x = area.x + u16::try_from(width).unwrap_or_default() + column;
        frame.set_cursor_position(Position { x: x.min(area.right().saturating_sub(1)), y: area.y });
    }
}

impl Screen for Clients {
    fn title(&self, lang: Lang) -> String {
        lang.pick("Client Operations", "İstemci İşlemleri").to_owned()
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, _: Theme, world: &AppContext) {
        let lang = world.lang;
        let mut places = area.rows();
        let addresses = self.clients().iter().filter_map(|client| client["ip"].as_str());
        let columns = columns(area.width, addresses.map(str::len).max().unwrap_or_default());
        let style = Style::new().add_modifier(Modifier::UNDERLINED);
        let heads = columns.iter().map(|(column, width)| {
            let head = shorten(head(*column, lang), *width);
            let pad = " ".repeat(width.saturating_sub(Span::raw(&*head).width()) + 1);
            format!("{head}{pad}")
        });
        let heads = heads.collect::<String>();
        if let Some(place) = places.next() {
            frame.render_widget(Line::from(Span::styled(heads.trim_end().to_owned(), style)), place);
        }
        // The last line is the foot's; the chosen client stays in sight.
        let room = usize::from(area.height.saturating_sub(2)).max(1);
        let from = (self.chosen + 1).saturating_sub(room);
        for (at, client) in self.clients().iter().enumerate().skip(from).take(room) {
            let Some(place) = places.next() else { break };
            let mut line = self.line(at, client, &columns, world);
            if at == self.chosen {
                line = line.style(theme::chosen());
            }
            frame.render_widget(line, place);
        }
        if self.clients().is_empty()
            && let Some(place) = places.next()
        {
            let text = match &self.data {
                Value::Null => text::WORKING.get(lang),
                _ if self.search.is_empty() => text::NO_CLIENTS.get(lang),
                _ => lang.pick("Nothing found", "Hiçbir şey bulunamadı"),
            };
            frame.render_widget(Line::styled(text, theme::faint()), place);
        }
        let foot = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
        self.draw_foot(frame, foot, lang);
    }

    fn hints(&self, lang: Lang) -> Vec<Hint> {
        if self.prompt.is_some() {
            let cancel = lang.pick("Cancel", "Vazgeç");
            return vec![hint("Enter", text::CONTINUE.get(lang)), hint("Esc", cancel)];
        }
        vec![
            hint("1", lang.pick("Add", "Ekle")),
            hint("2", lang.pick("Remove", "Kaldır")),
            hint("3", lang.pick("Export", "Dışa Aktar")),
            hint("P N", lang.pick("Previous, next", "Önceki, sonraki")),
            hint("G", lang.pick("Go to page", "Sayfaya git")),
            hint("0", text::BACK.get(lang)),
            hint("S", lang.pick("Search", "Ara")),
            hint("C", lang.pick("Clear", "Temizle")),
            hint("R", text::REFRESH.get(lang)),
        ]
    }

    fn key(&mut self, key: Key, world: &AppContext) -> Vec<ScreenAction> {
        if self.prompt.is_some() {
            return self.prompt_key(key);
        }
        let count = self.clients().len();
        match (key, key.letter()) {
            (Key::Enter, _) | (_, Some('2' | '3')) if self.data.is_null() => self.early = Some(key),
            (Key::Up, _) if self.chosen > 0 => self.chosen -= 1,
            (Key::Down, _) if self.chosen + 1 < count => self.chosen += 1,
            (Key::PageUp | Key::Left, _) | (_, Some('p')) if self.page > 1 => return self.go(self.page - 1),
            (Key::PageDown | Key::Right, _) | (_, Some('n')) if self.page < self.pages() => {
                return self.go(self.page + 1);
            }
            (Key::Home, _) => return self.go(1),
            (Key::End, _) => return self.go(self.pages()),
            (_, Some('g')) => self.prompt = Some(Prompt::Page(Input::default())),
            (_, Some('s' | '/')) => self.prompt = Some(Prompt::Search(Input::new(&self.search))),
            (_, Some('c')) => {
                self.search.clear();
                return self.go(1);
            }
            (_, Some('r')) => return self.fetch(),
            (_, Some('1')) => return flows::add_client(world),
            (Key::Delete, _) | (_, Some('2')) => return self.ask_for("remove_client", world),
            (Key::Enter, _) | (_, Some('3')) => return self.ask_for("export_client", world),
            (Key::Esc, _) | (_, Some('0')) => return vec![ScreenAction::Pop],
            (Key::Char(letter), _) if !"pnPN".contains(letter) => {
                return vec![ScreenAction::Say(
                    Tone::Attention,
                    text::INVALID_CHOICE.get(world.lang).to_owned(),
                )];
            }
            _ => {}
        }
        Vec::new()
    }

    fn shown(&mut self, _: &AppContext) -> Vec<ScreenAction> {
        self.fetch()
    }

    fn second(&mut self, _: &AppContext) -> Vec<ScreenAction> {
        self.seconds += 1;
        if self.seconds >= 2 { self.fetch() } else { Vec::new() }
    }

    fn fetched(&mut self, reply: Result<WorkResult, Problem>, world: &AppContext) -> Vec<ScreenAction> {
        match reply {
            Ok(WorkResult::Value(data)) => {
                self.data = data;
                self.page = self.data["pagination"]["page"].as_u64().unwrap_or(1);
                self.chosen = self.chosen.min(self.clients().len().saturating_sub(1));
                self.measure(world.status.as_ref().map_or(0, |status| status.at));
                self.early.take().map(|key| self.key(key, world)).unwrap_or_default()
            }
            Ok(_) => Vec::new(),
            Err(problem) => vec![flows::said(&problem)],
        }
    }

    fn is_typing(&self) -> bool {
        self.prompt.is_some()
    }
}
