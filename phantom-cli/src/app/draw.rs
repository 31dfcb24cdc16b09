//! What stands around every screen: the banner, the server's figures, the path, a message, the keys.

use phantom_api::{API_VERSION, Lang};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};

use super::App;
use crate::rows::shorten;
use crate::screen::{AppContext, Hint, hint};
use crate::status::{GhostState, HeaderStatus};
use crate::text;
use crate::theme::{self, SMALLEST, Theme, Tone};
use phantom_types::bytes_in_words;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>) {
    let area = frame.area();
    let lang = app.world.lang;
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return too_small(frame, lang);
    }
    let first = app.stack.iter().rposition(|shown| !shown.screen.is_box()).unwrap_or_default();
    let whole = app.stack.get(first).is_some_and(|shown| shown.screen.is_whole());
    let hints = app.stack.last().map(|top| top.screen.hints(lang)).unwrap_or_default();
    let most = if whole || area.height < ROOMY { 1 } else { 2 };
    let key_lines = key_lines(hints, usize::from(area.width), most, lang);
    let [banner, body, message, keys] = Layout::vertical([
        Constraint::Length(if whole { 0 } else { 2 }),
        Constraint::Min(0),
        Constraint::Length(u16::from(!whole)),
        Constraint::Length(u16::try_from(key_lines.len()).unwrap_or(1)),
    ])
    .areas(area);
    let inside = if whole {
        body
    } else {
        draw_banner(frame, banner, &app.world);
        draw_message(frame, message, app);
        let block = Block::bordered().border_style(theme::faint()).title(path(app, first, body.width));
        let inside = block.inner(body);
        frame.render_widget(block, body);
        inside.inner(ratatui::layout::Margin::new(1, 0))
    };
    let (theme, world) = (app.theme, &app.world);
    for shown in app.stack.iter_mut().skip(first) {
        shown.screen.draw(frame, inside, theme, world);
    }
    for (line, place) in key_lines.into_iter().zip(keys.rows()) {
        frame.render_widget(line, place);
    }
}

fn too_small(frame: &mut Frame<'_>, lang: Lang) {
    let (width, height) = SMALLEST;
    let text = match lang {
        Lang::En => format!("The terminal is too small: {width}×{height} is needed."),
        Lang::Tr => format!("Terminal çok küçük: {width}×{height} gerekli."),
    };
    let paragraph = Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true });
    frame.render_widget(paragraph, frame.area());
}

/// The names of the screens from the first one; as many of the last ones as there is room for.
fn path(app: &App, last: usize, width: u16) -> Line<'static> {
    let titles: Vec<String> =
        app.stack.iter().take(last + 1).map(|shown| shown.screen.title(app.world.lang)).collect();
    let room = usize::from(width.saturating_sub(6));
    let mut from = 0;
    let text = |from: usize| titles[from..].join(" › ");
    while from + 1 < titles.len() && unicode_width::UnicodeWidthStr::width(text(from).as_str()) > room {
        from += 1;
    }
    let cut = if from > 0 { "… › " } else { "" };
    Line::from(Span::styled(format!(" {cut}{} ", text(from)), theme::heading()))
}

fn draw_banner(frame: &mut Frame<'_>, area: Rect, world: &AppContext) {
    let [first, second] = Layout::vertical([Constraint::Length(1); 2]).areas(area);
    let product = Line::from(vec![
        Span::styled(" PHANTOM-WG", theme::heading()),
        Span::styled(format!("  {API_VERSION}"), theme::faint()),
    ]);
    frame.render_widget(product, first);
    let rates = world.status.as_ref().and_then(|status| status.rates);
    if let Some((received, sent)) = rates {
        let text = format!("↓ {}/s  ↑ {}/s ", bytes_in_words(received), bytes_in_words(sent));
        frame.render_widget(Line::from(text).right_aligned(), first);
    }
    frame.render_widget(figures(world, second.width), second);
}

/// From so many rows on the keys may take two of them.
const ROOMY: u16 = 16;

/// Service, clients, ghost, multihop: from the most important one, as many as there is room for.
fn figures(world: &AppContext, width: u16) -> Line<'static> {
    let lang = world.lang;
    if world.needs_setup {
        return Line::from(vec![Span::raw(" "), Theme::word(Tone::Attention, text::NOT_SET_UP.get(lang))]);
    }
    let Some(status) = &world.status else {
        return Line::from(Span::styled(format!(" {}", text::WORKING.get(lang)), theme::faint()));
    };
    let mut line = Line::from(" ");
    for (mood, text) in parts(status, lang) {
        let part = vec![Span::styled(mood.sign(), mood.style()), Span::raw(text)];
        let more: usize = part.iter().map(Span::width).sum();
        if line.width() + more + 3 > usize::from(width) {
            break;
        }
        if line.spans.len() > 1 {
            line.push_span(Span::styled("  ", theme::faint()));
        }
        line.spans.extend(part);
    }
    line
}

fn parts(status: &HeaderStatus, lang: Lang) -> Vec<(Tone, String)> {
    let service = if status.running { text::RUNNING } else { text::STOPPED };
    let connected = if status.is_known { status.connected.to_string() } else { "?".to_owned() };
    let clients = format!("{} {connected}/{}", text::CLIENTS.get(lang), status.total);
    let mut parts = vec![
        (Tone::fine(status.running), format!("{} {}", lang.pick("Service", "Servis"), service.get(lang))),
        (Tone::on(status.connected > 0), clients),
    ];
    let active = |yes: bool| if yes { text::ACTIVE } else { text::INACTIVE }.get(lang);
    if let Some(ghost) = status.ghost {
        let mood = match ghost {
            GhostState::Off => Tone::Off,
            GhostState::Serving => Tone::Good,
            GhostState::Broken => Tone::Bad,
        };
        let word = match ghost {
            GhostState::Broken => lang.pick("not serving", "hizmet vermiyor"),
            other => active(other == GhostState::Serving),
        };
        parts.push((mood, format!("Ghost {word}")));
    }
    if let Some(multihop) = status.multihop {
        parts.push((Tone::on(multihop), format!("Multihop {}", active(multihop))));
    }
    parts
}

fn draw_message(frame: &mut Frame<'_>, area: Rect, app: &App) {
    if let Some(running) = &app.running {
        let seconds = (app.now - running.since) / 1_000;
        let sign = theme::spinner(app.theme.unicode, app.now);
        let lang = app.world.lang;
        let mut text = format!(" {} {}", text::WORKING.get(lang), running.what);
        if seconds > 0 {
            text = format!("{text} ({seconds} {})", lang.pick("s", "sn"));
        }
        let line = Line::from(vec![Span::styled(format!(" {sign}"), theme::heading()), Span::raw(text)]);
        frame.render_widget(line, area);
    } else if let Some((mood, text)) = &app.message {
        let line = Line::from(vec![
            Span::raw(" "),
            Span::styled(mood.sign(), mood.style()),
            Span::raw(text.as_str()),
        ]);
        frame.render_widget(line, area);
    }
}

/// The keys in as many lines as they need, at most so many: the last ones are left out then. `?` and Ctrl-C never are.
fn key_lines(mut hints: Vec<Hint>, width: usize, most: usize, lang: Lang) -> Vec<Line<'static>> {
    let last = [hint("?", text::HELP.get(lang)), hint("Ctrl-C", text::EXIT.get(lang))];
    loop {
        let mut lines = vec![Line::default()];
        for Hint { key, does } in hints.iter().chain(&last) {
            let key = Span::styled(format!(" {key}"), theme::key());
            let does = Span::raw(format!(" {does} "));
            let is_full = |line: &Line<'_>| line.width() + key.width() + does.width() > width;
            if lines.last().is_some_and(|line| line.width() > 0 && is_full(line)) {
                lines.push(Line::default());
            }
            if let Some(line) = lines.last_mut() {
                line.spans.extend([key, does]);
            }
        }
        if lines.len() <= most || hints.pop().is_none() {
            return lines;
        }
    }
}

/// The last line of a page: what was said last, or the keys.
pub(super) fn foot(message: Option<&(Tone, String)>, hints: Vec<Hint>, width: usize, lang: Lang) -> String {
    let text = match message {
        Some((mood, text)) => format!(" {}{text}", mood.sign()),
        None => key_lines(hints, width, 1, lang).iter().map(Line::to_string).collect(),
    };
    shorten(text.trim_end(), width)
}

/// The look, for screens that draw by themselves.
impl Theme {
    /// A sign with a word, coloured.
    pub(crate) fn word(mood: Tone, text: impl Into<String>) -> Span<'static> {
        Span::styled(format!("{}{}", mood.sign(), text.into()), mood.style())
    }
}
