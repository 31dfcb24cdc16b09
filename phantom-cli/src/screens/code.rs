//! A QR code on the whole terminal. One that does not fit is not drawn.

use phantom_api::{Lang, Text};
use ratatui::Frame;
use ratatui::layout::Rect;
use zeroize::Zeroizing;

use crate::qr::Qr;
use crate::rows::{Row, lay_out};
use crate::screen::{AppContext, Hint, Key, Screen, ScreenAction, hint};
use crate::text;
use crate::theme::{Theme, Tone};

/// A QR code.
pub(crate) struct Code {
    name: String,
    qr: Option<Qr>,
    invert: bool,
}

impl Code {
    pub(crate) fn new(name: &str, content: &Zeroizing<String>) -> Self {
        Self { name: name.to_owned(), qr: Qr::new(content), invert: false }
    }
}

impl Screen for Code {
    fn title(&self, lang: Lang) -> String {
        format!("{}: {}", text::QR_CODE.get(lang), self.name)
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, theme: Theme, world: &AppContext) {
        let lang = world.lang;
        let (needed, rows) = match &self.qr {
            None => {
                let text = lang.pick(
                    "The configuration is too long for a QR code. Save it to a file instead.",
                    "Yapılandırma bir QR kodu için çok uzun. Bunun yerine dosyaya kaydedin.",
                );
                ((0, 0), vec![Row::Text(Tone::Attention, text.to_owned())])
            }
            Some(qr) => {
                let needed = qr.size(theme);
                if needed.0 <= area.width && needed.1 <= area.height {
                    return qr.draw(frame.buffer_mut(), area, theme, self.invert);
                }
                // With the line of the keys.
                ((needed.0, needed.1 + 1), Vec::new())
            }
        };
        let rows =
            if rows.is_empty() { too_small(lang, needed, (area.width, area.height + 1)) } else { rows };
        for (line, place) in lay_out(&rows, usize::from(area.width)).into_iter().zip(area.rows()) {
            frame.render_widget(line, place);
        }
    }

    fn hints(&self, lang: Lang) -> Vec<Hint> {
        const INVERT: Text = Text { en: "Invert (light terminal)", tr: "Ters çevir (açık renk terminal)" };
        vec![hint("0", text::BACK.get(lang)), hint("I", INVERT.get(lang))]
    }

    fn key(&mut self, key: Key, _: &AppContext) -> Vec<ScreenAction> {
        match (key, key.letter()) {
            (Key::Esc | Key::Enter | Key::Char('0'), _) => return vec![ScreenAction::Pop],
            (_, Some('i' | 'ı')) => self.invert = !self.invert,
            _ => {}
        }
        Vec::new()
    }

    fn is_whole(&self) -> bool {
        true
    }
}

fn too_small(lang: Lang, needed: (u16, u16), now: (u16, u16)) -> Vec<Row> {
    let (need, have) = (format!("{}×{}", needed.0, needed.1), format!("{}×{}", now.0, now.1));
    let (first, then) = match lang {
        Lang::En => (
            format!("The QR code needs a terminal of {need}; this one has {have}."),
            "Enlarge the window or make the letters smaller (often Ctrl and -): the code appears by itself. \
             Or go back and save the configuration to a file.",
        ),
        Lang::Tr => (
            format!("QR kodu {need} boyutunda bir terminal gerektirir; bu terminal {have}."),
            "Pencereyi büyütün veya yazıyı küçültün (çoğunlukla Ctrl ve -): kod kendiliğinden görünür. Veya geri \
             dönüp yapılandırmayı dosyaya kaydedin.",
        ),
    };
    vec![Row::Text(Tone::Attention, first), Row::Blank, Row::text(then)]
}
