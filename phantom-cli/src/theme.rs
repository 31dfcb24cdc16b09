//! How things look: colours with a sign beside them, and what becomes of both where a terminal has neither.

use phantom_api::Lang;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

/// Smallest screen on which anything can be shown.
pub(crate) const SMALLEST: (u16, u16) = (40, 10);

/// What the terminal can do, and the language on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Language of every text.
    pub lang: Lang,
    /// Whether colours may be used. Reversed, bold and underlined text are no colours.
    pub colour: bool,
    /// Whether the locale is a UTF-8 one.
    pub unicode: bool,
}

/// How good a thing is. A colour never says it alone: there is a sign for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Good,
    Attention,
    Bad,
    /// Neither good nor bad: switched off, offline.
    Off,
}

impl Tone {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "● ",
            Self::Attention => "▲ ",
            Self::Bad => "✖ ",
            Self::Off => "○ ",
        }
    }

    pub(crate) fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => Style::new().fg(Color::Green),
            Self::Attention => Style::new().fg(Color::Yellow),
            Self::Bad => Style::new().fg(Color::Red),
            Self::Off => faint(),
        }
    }

    /// Good or off.
    pub(crate) fn on(yes: bool) -> Self {
        if yes { Self::Good } else { Self::Off }
    }

    /// Good or bad.
    pub(crate) fn fine(yes: bool) -> Self {
        if yes { Self::Good } else { Self::Bad }
    }
}

/// The product's name and headings.
pub(crate) fn heading() -> Style {
    Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD)
}

/// What is not looked at first.
pub(crate) fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// The line that a key would act upon.
pub(crate) fn chosen() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

/// A key in a text.
pub(crate) fn key() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

impl Theme {
    /// Takes away what the terminal cannot show.
    pub(crate) fn settle(self, buffer: &mut Buffer) {
        if self.colour && self.unicode {
            return;
        }
        let area: Rect = buffer.area;
        for row in area.rows() {
            for place in row.positions() {
                let Some(cell) = buffer.cell_mut(place) else { continue };
                if !self.colour {
                    cell.fg = Color::Reset;
                    cell.bg = Color::Reset;
                }
                if !self.unicode && !cell.symbol().is_ascii() {
                    let plain = plain(cell.symbol());
                    cell.set_symbol(plain);
                }
            }
        }
    }
}

impl Theme {
    /// A text as the terminal can show it.
    pub(crate) fn text(self, text: &str) -> String {
        let letter = |letter: char| match letter {
            letter if self.unicode || letter.is_ascii() => letter.to_string(),
            other => plain(other.encode_utf8(&mut [0; 4])).to_owned(),
        };
        text.chars().map(letter).collect()
    }
}

/// One column of ASCII that comes nearest.
fn plain(symbol: &str) -> &'static str {
    match symbol {
        "─" | "═" | "–" | "—" | "-" => "-",
        "│" | "┃" | "║" | "█" => "|",
        "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" => "+",
        "●" => "*",
        "▲" => "!",
        "✖" | "×" => "x",
        "›" | "→" | "▶" => ">",
        "←" => "<",
        "↑" => "^",
        "↓" => "v",
        "…" | "·" => ".",
        "“" | "”" => "\"",
        "’" | "‘" => "'",
        "ç" => "c",
        "Ç" => "C",
        "ğ" => "g",
        "Ğ" => "G",
        "ı" => "i",
        "İ" => "I",
        "ö" | "○" => "o",
        "Ö" => "O",
        "ş" => "s",
        "Ş" => "S",
        "ü" => "u",
        "Ü" => "U",
        _ => "?",
    }
}

/// The frames of the spinner.
pub(crate) fn spinner(unicode: bool, at: u64) -> &'static str {
    const ROUND: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
    const PLAIN: [&str; 4] = ["|", "/", "-", "\\"];
    let frames: &[&str] = if unicode { &ROUND } else { &PLAIN };
    let at = usize::try_from(at / 100).unwrap_or_default();
    frames[at % frames.len()]
}
