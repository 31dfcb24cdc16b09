//! Content that scrolls: headings, pairs, tables, text; laid out for a width.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr};

use crate::theme::{self, Theme, Tone};

/// Widest column of labels.
const LABEL_MAX: usize = 44;
/// A value that has fewer columns than this beside its label stands below it.
const VALUE_MIN: usize = 10;

/// A piece of content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Row {
    /// A heading over what follows.
    Heading(String),
    /// A label and what it says.
    Pair(String, Tone, String),
    /// A table: the heads, and per line its cells.
    Table(Vec<String>, Vec<Vec<(Tone, String)>>),
    /// Text, wrapped between words.
    Text(Tone, String),
    /// What to do about the text before it.
    Do(String),
    /// Text for machines, wrapped between words where that is possible.
    Verbatim(String),
    /// An empty line.
    Blank,
}

impl Row {
    pub(crate) fn pair(label: &str, text: impl Into<String>) -> Self {
        Self::Pair(label.to_owned(), Tone::Plain, text.into())
    }
    pub(crate) fn mood(label: &str, mood: Tone, text: impl Into<String>) -> Self {
        Self::Pair(label.to_owned(), mood, text.into())
    }
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(Tone::Plain, text.into())
    }
}

/// Lays content out for a width in columns.
pub(crate) fn lay_out(rows: &[Row], width: usize) -> Vec<Line<'static>> {
    let width = width.max(10);
    let mut lines = Vec::new();
    let mut at = 0;
    while at < rows.len() {
        match &rows[at] {
            Row::Heading(text) => {
                let wrapped = wrap(text, width).into_iter();
                lines.extend(wrapped.map(|part| Line::from(Span::styled(part, theme::heading()))));
            }
            Row::Pair(..) => {
                let block = rows[at..].iter().take_while(|row| matches!(row, Row::Pair(..))).count();
                pairs(&rows[at..at + block], width, &mut lines);
                at += block;
                continue;
            }
            Row::Table(heads, cells) => table(heads, cells, width, &mut lines),
            Row::Text(mood, text) => signed(*mood, text, width, 0, &mut lines),
            Row::Do(text) => todo(text, width, &mut lines),
            Row::Verbatim(text) => {
                for part in text.lines().map(|line| rule(line, width)) {
                    lines.extend(fold(part, width).into_iter().map(Line::from));
                }
            }
            Row::Blank => lines.push(Line::default()),
        }
        at += 1;
    }
    lines
}

/// A line across the page is as long as the page is wide.
fn rule(line: &str, width: usize) -> &str {
    let is_rule =
        line.len() > width && ["=", "-"].iter().any(|sign| line.trim_start_matches(sign).is_empty());
    if is_rule { line.get(..width).unwrap_or(line) } else { line }
}

/// Labels in one column, what they say in another; below each other where that would be too narrow.
fn pairs(rows: &[Row], width: usize, lines: &mut Vec<Line<'static>>) {
    let of = |row: &Row| match row {
        Row::Pair(label, mood, text) => Some((label.clone(), *mood, text.clone())),
        _ => None,
    };
    let pairs: Vec<_> = rows.iter().filter_map(of).collect();
    let column = pairs.iter().map(|(label, ..)| label.width()).max().unwrap_or_default();
    let column = column.min(LABEL_MAX).min(width / 2);
    let stacked = column + 2 + VALUE_MIN > width;
    let room = width.saturating_sub(column + 2);
    for (label, mood, text) in pairs {
        if stacked || is_cut(mood, &text, room, width) {
            let labels = wrap(&label, width).into_iter();
            lines.extend(labels.map(|part| Line::from(Span::styled(part, theme::faint()))));
            signed(mood, &text, width, 0, lines);
            continue;
        }
        let labels = wrap(&label, column);
        let mut right = Vec::new();
        signed(mood, &text, room, 0, &mut right);
        for at in 0..labels.len().max(right.len()) {
            let left = labels.get(at).map_or("", String::as_str);
            let pad = " ".repeat(column.saturating_sub(left.width()) + 2);
            let mut line = Line::from(Span::styled(format!("{left}{pad}"), theme::faint()));
            line.spans.extend(right.get(at).cloned().unwrap_or_default().spans);
            lines.push(line);
        }
    }
}

/// Whether a word, such as a secret, would be cut in the narrow place and stays whole in the wide one.
fn is_cut(mood: Tone, text: &str, narrow: usize, wide: usize) -> bool {
    let longest = text.split_whitespace().map(UnicodeWidthStr::width).max().unwrap_or_default();
    let needed = longest + mood.sign().width();
    narrow < needed && needed <= wide
}

/// Text behind its sign, wrapped and moved in.
pub(crate) fn signed(mood: Tone, text: &str, width: usize, indent: usize, lines: &mut Vec<Line<'static>>) {
    let lead = mood.sign().width() + indent;
    let parts = text.lines().flat_map(|line| wrap(line, width.saturating_sub(lead)));
    for (at, part) in parts.enumerate() {
        let sign = if at == 0 { mood.sign().to_owned() } else { " ".repeat(mood.sign().width()) };
        let sign = format!("{}{sign}", " ".repeat(indent));
        lines.push(Line::from(vec![Span::styled(sign, mood.style()), Span::raw(part)]));
    }
}

/// What to do, behind an arrow below what it is about.
fn todo(text: &str, width: usize, lines: &mut Vec<Line<'static>>) {
    for (at, part) in wrap(text, width.saturating_sub(4)).into_iter().enumerate() {
        let lead = if at == 0 { "  → " } else { "    " };
        lines.push(Line::from(vec![Span::styled(lead, theme::key()), Span::raw(part)]));
    }
}

/// Content as lines for a file or another program: no line is cut or padded but those of tables.
pub(crate) fn plain_lines(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        match row {
            Row::Heading(text) | Row::Do(text) | Row::Verbatim(text) => {
                lines.extend(text.lines().map(str::to_owned));
            }
            Row::Pair(label, mood, text) => {
                let lead = if label.is_empty() { String::new() } else { format!("{label}: ") };
                lines.push(format!("{lead}{}{text}", mood.sign()));
            }
            Row::Text(mood, text) => lines.push(format!("{}{text}", mood.sign())),
            Row::Table(heads, cells) => {
                let mut table = Vec::new();
                self::table(heads, cells, usize::MAX, &mut table);
                lines.extend(table.iter().map(|line| line.to_string().trim_end().to_owned()));
            }
            Row::Blank => lines.push(String::new()),
        }
    }
    lines
}

/// A table where it fits; else every line as a block of pairs.
fn table(heads: &[String], rows: &[Vec<(Tone, String)>], width: usize, lines: &mut Vec<Line<'static>>) {
    let cell_width = |(mood, text): &(Tone, String)| mood.sign().width() + text.width();
    let column = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(cell_width);
        cells.chain([heads[at].width()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heads.len()).map(column).collect();
    let whole: usize = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    if whole > width {
        for row in rows {
            let block: Vec<Row> = heads
                .iter()
                .zip(row)
                .map(|(head, (mood, text))| Row::Pair(head.clone(), *mood, text.clone()))
                .collect();
            pairs(&block, width, lines);
            lines.push(Line::default());
        }
        return;
    }
    let pad = |text: &str, to: usize| " ".repeat(to.saturating_sub(text.width()) + 2);
    let head = heads.iter().zip(&widths).map(|(text, to)| format!("{text}{}", pad(text, *to)));
    let style = Style::new().add_modifier(Modifier::UNDERLINED);
    lines.push(Line::from(Span::styled(head.collect::<String>().trim_end().to_owned(), style)));
    for row in rows {
        let mut line = Line::default();
        for ((mood, text), to) in row.iter().zip(&widths) {
            line.push_span(Theme::word(*mood, text.clone()));
            line.push_span(Span::raw(" ".repeat(to.saturating_sub(cell_width(&(*mood, text.clone()))) + 2)));
        }
        lines.push(line);
    }
}

/// Wraps between words; a word that is wider than the line is cut.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let indent = text.len() - text.trim_start_matches(' ').len();
    let mut lines = Vec::new();
    let mut line = " ".repeat(indent.min(width / 2));
    let mut has_word = false;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if has_word && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
            has_word = false;
        }
        if has_word {
            line.push(' ');
        }
        for part in chop(word, width) {
            if line.width() + part.width() > width && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(&part);
        }
        has_word = true;
    }
    if has_word || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Cuts a text into pieces of at most this many columns, before a word where there is one. Blanks stay but at the end of a
/// piece.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in text.split_inclusive(' ') {
        for part in chop(word, width) {
            let used = pieces.last().map_or(0, |piece| piece.width());
            if used > 0 && used + part.trim_end().width() > width {
                pieces.push(String::new());
            }
            if let Some(piece) = pieces.last_mut() {
                piece.push_str(&part);
            }
        }
    }
    pieces.iter().map(|piece| piece.trim_end().to_owned()).collect()
}

/// Cuts a text into pieces of at most this many columns.
pub(crate) fn chop(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        let columns = letter.width().unwrap_or_default();
        if used + columns > width.max(1) {
            pieces.push(String::new());
            used = 0;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(letter);
        }
        used += columns;
    }
    pieces
}

/// Cuts a text to at most this many columns, with a sign that something is missing.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = chop(text, width.saturating_sub(1)).into_iter().next().unwrap_or_default();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_long_ones_cut() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("şğı İıü", 3), ["şğı", "İıü"]);
        assert_eq!(shorten("abcdef", 4), "abc…");
    }

    #[test]
    fn secret_stays_whole_if_it_fits() {
        assert_eq!(fold("run  --key ABCDEFGH -L x", 12), ["run  --key", "ABCDEFGH -L", "x"]);
        assert_eq!(fold("ABCDEFGHIJ", 4), ["ABCD", "EFGH", "IJ"]);
        assert_eq!(fold("", 4), [""]);
        let texts = |width| {
            lay_out(&[Row::pair("Key", "ABCDEFGH")], width).iter().map(Line::to_string).collect::<Vec<_>>()
        };
        assert_eq!(texts(20), ["Key  ABCDEFGH"]);
        assert_eq!(texts(16), ["Key  ABCDEFGH"]);
    }

    #[test]
    fn plain_lines_are_whole() {
        let key = "k".repeat(200);
        let rows = [
            Row::pair("Key", key.clone()),
            Row::Verbatim(format!("a = {key}\nb")),
            Row::Text(Tone::Bad, "broken".to_owned()),
            Row::Do("repair it".to_owned()),
        ];
        let lines =
            [format!("Key: {key}"), format!("a = {key}"), "b".into(), "✖ broken".into(), "repair it".into()];
        assert_eq!(plain_lines(&rows), lines);
    }

    #[test]
    fn nothing_is_wider_than_the_screen() {
        let rows = [
            Row::pair("A label that is quite long, longer than half", "a value that is long, too, really"),
            Row::Table(
                vec!["Name".into(), "Address".into()],
                vec![vec![(Tone::Good, "a-name-of-a-client".into()), (Tone::Plain, "10.8.0.255".into())]],
            ),
            Row::Text(Tone::Bad, "something is wrong with a thing".into()),
            Row::Verbatim(format!("a {} b", "x".repeat(99))),
            Row::Do("do something about it, and soon".into()),
        ];
        for width in [10, 17, 30, 80] {
            for line in lay_out(&rows, width) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }
}
