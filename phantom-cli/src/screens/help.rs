//! The keys of the screen below, and those that work everywhere.

use phantom_api::Lang;
use ratatui::Frame;
use ratatui::layout::Rect;

use super::Dialog;
use crate::rows::Row;
use crate::screen::{AppContext, Hint, Key, Screen, ScreenAction, hint};
use crate::text;
use crate::theme::Theme;

/// Help for a screen.
pub(crate) struct Help(Dialog);

impl Help {
    pub(crate) fn new(screen: &dyn Screen, lang: Lang) -> Self {
        let everywhere = [
            hint("?", text::HELP.get(lang)),
            hint("0 Esc", text::BACK.get(lang)),
            hint("Ctrl-C", lang.pick("Leave; asks first", "Çık; önce sorar")),
        ];
        let pair = |hint: &Hint| Row::pair(&hint.key, hint.does.clone());
        let mut rows = vec![Row::Heading(screen.title(lang))];
        rows.extend(screen.hints(lang).iter().map(pair));
        rows.push(Row::Blank);
        rows.push(Row::Heading(lang.pick("Everywhere", "Her yerde").to_owned()));
        rows.extend(everywhere.iter().map(pair));
        rows.push(Row::Blank);
        let signs = lang.pick("● good   ▲ attention   ✖ bad   ○ off", "● iyi   ▲ dikkat   ✖ kötü   ○ kapalı");
        rows.push(Row::text(signs));
        Self(Dialog::notice(text::HELP.get(lang), rows))
    }
}

impl Screen for Help {
    fn title(&self, lang: Lang) -> String {
        self.0.title(lang)
    }
    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, theme: Theme, world: &AppContext) {
        self.0.draw(frame, area, theme, world);
    }
    fn hints(&self, lang: Lang) -> Vec<Hint> {
        self.0.hints(lang)
    }
    fn key(&mut self, key: Key, world: &AppContext) -> Vec<ScreenAction> {
        self.0.key(key, world)
    }
    fn is_box(&self) -> bool {
        true
    }
}
