//! Text without a frame: the terminal's own selection takes exactly what belongs to it.

use phantom_api::Lang;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr as _;
use zeroize::Zeroizing;

use crate::flows;
use crate::rows::chop;
use crate::screen::{AppContext, Hint, Key, Screen, ScreenAction, hint};
use crate::text;
use crate::theme::Theme;

/// Text that is copied or saved.
pub(crate) struct Plain {
    lines: Vec<Zeroizing<String>>,
    top: usize,
    /// Lines that had room the last time.
    shown: usize,
}

impl Plain {
    /// With these lines. Characters that would do something to a terminal are left out.
    pub(crate) fn new(lines: Vec<String>) -> Self {
        let clean = |line: Zeroizing<String>| line.chars().filter(|letter| !letter.is_control()).collect();
        let lines = lines.into_iter().map(|line| Zeroizing::new(clean(Zeroizing::new(line)))).collect();
        Self { lines, top: 0, shown: 1 }
    }

    /// Notes how many lines have room from the first one that is shown; a long one takes several rows.
    fn fit(&mut self, (width, height): (u16, u16)) -> &[Zeroizing<String>] {
        let mut room = usize::from(height);
        let rest = self.lines.iter().skip(self.top);
        let fits = rest.take_while(|line| {
            let rows = line.width().div_ceil(usize::from(width).max(1)).max(1);
            let fits = rows <= room;
            room = room.saturating_sub(rows);
            fits
        });
        self.shown = fits.count().max(1);
        self.lines.get(self.top..).and_then(|rest| rest.get(..self.shown)).unwrap_or_default()
    }

    fn go(&mut self, to: usize) {
        let sees_end = self.top + self.shown >= self.lines.len();
        if to < self.top || !sees_end {
            self.top = to.min(self.lines.len().saturating_sub(1));
        }
    }
}

impl Screen for Plain {
    fn title(&self, lang: Lang) -> String {
        text::COPY.get(lang).to_owned()
    }

    /// For a screen that is drawn cell by cell; a terminal gets [`Screen::page`].
    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, _: Theme, _: &AppContext) {
        let lines = self.fit((area.width, area.height));
        let rows = lines.iter().flat_map(|line| chop(line, usize::from(area.width)));
        for (row, place) in rows.zip(area.rows()) {
            frame.render_widget(Line::from(row), place);
        }
    }

    fn page(&mut self, size: (u16, u16)) -> Option<Vec<Zeroizing<String>>> {
        Some(self.fit(size).to_vec())
    }

    fn hints(&self, lang: Lang) -> Vec<Hint> {
        vec![
            hint("S", text::SAVE.get(lang)),
            hint("↑↓", text::SCROLL.get(lang)),
            hint("0", text::BACK.get(lang)),
            hint(lang.pick("Mouse", "Fare"), text::SELECT.get(lang)),
        ]
    }

    fn key(&mut self, key: Key, world: &AppContext) -> Vec<ScreenAction> {
        match (key, key.letter()) {
            (Key::Up, _) => self.go(self.top.saturating_sub(1)),
            (Key::Down, _) => self.go(self.top + 1),
            (Key::PageUp, _) => self.go(self.top.saturating_sub(self.shown)),
            (Key::PageDown | Key::Char(' '), _) => self.go(self.top + self.shown),
            (Key::Home, _) => self.go(0),
            (Key::Esc | Key::Enter | Key::Char('0'), _) => return vec![ScreenAction::Pop],
            (_, Some('s')) => {
                let lines: Vec<&str> = self.lines.iter().map(|line| line.as_str()).collect();
                return flows::save_text(world, Zeroizing::new(lines.join("\n")));
            }
            _ => {}
        }
        Vec::new()
    }

    fn is_whole(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let plain = Plain::new(vec!["a\u{1b}[31mb\u{7}\tc\u{9b}".to_owned()]);
        assert_eq!(plain.lines[0].as_str(), "a[31mbc");
    }

    #[test]
    fn long_line_takes_several_rows() {
        let mut plain = Plain::new(vec!["x".repeat(25), "y".to_owned(), "z".repeat(11), "end".to_owned()]);
        let shown = |plain: &mut Plain, size| plain.page(size).unwrap().len();
        assert_eq!(
            [(10, 3), (10, 4), (10, 6), (10, 7), (30, 4)].map(|size| shown(&mut plain, size)),
            [1, 2, 3, 4, 4]
        );
        assert_eq!(shown(&mut plain, (10, 4)), 2);
        plain.go(2);
        assert_eq!((plain.top, shown(&mut plain, (10, 4))), (2, 2));
        // The end is in sight: there is nothing to go on to.
        plain.go(3);
        assert_eq!(plain.top, 2);
    }
}
