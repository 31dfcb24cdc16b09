//! A log that is followed while it is written.

use std::rc::Rc;

use phantom_api::{Lang, Text};
use ratatui::Frame;
use ratatui::layout::Rect;
use serde_json::Value;

use super::report::{Build, Report};
use crate::flows;
use crate::rows::Row;
use crate::screen::{AppContext, Hint, Key, Screen, ScreenAction, hint};
use crate::text;
use crate::theme::{Theme, Tone};
use crate::work::{ActionCall, Problem, Work, WorkResult};

/// The end of a log, asked for every second. The keys for scrolling hold it; End follows again.
pub(crate) struct Live {
    title: Text,
    call: ActionCall,
    build: Build,
    report: Report,
    holds: bool,
}

impl Live {
    pub(crate) fn new(
        title: Text,
        call: ActionCall,
        build: impl Fn(&Value, &AppContext) -> Vec<Row> + 'static,
    ) -> Self {
        let report = Report::new(title, Vec::new()).end_first();
        Self { title, call, build: Rc::new(build), report, holds: false }
    }

    fn fetch(&self) -> Vec<ScreenAction> {
        vec![ScreenAction::Fetch(Work::Call(self.call.clone()))]
    }
}

impl Screen for Live {
    fn title(&self, lang: Lang) -> String {
        self.title.get(lang).to_owned()
    }
    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, theme: Theme, world: &AppContext) {
        self.report.draw(frame, area, theme, world);
    }
    fn hints(&self, lang: Lang) -> Vec<Hint> {
        let follow = if self.holds {
            hint("End", lang.pick("Follow", "İzle"))
        } else {
            hint("↑↓", lang.pick("Hold and scroll", "Durdur ve kaydır"))
        };
        vec![follow, hint("K", text::COPY.get(lang)), hint("0 Ctrl-C", lang.pick("End", "Bitir"))]
    }
    fn key(&mut self, key: Key, world: &AppContext) -> Vec<ScreenAction> {
        match key {
            Key::Control('c') => return vec![ScreenAction::Pop],
            Key::End => {
                self.holds = false;
                return self.fetch();
            }
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home => self.holds = true,
            _ => {}
        }
        self.report.key(key, world)
    }
    fn shown(&mut self, _: &AppContext) -> Vec<ScreenAction> {
        self.fetch()
    }
    fn second(&mut self, _: &AppContext) -> Vec<ScreenAction> {
        if self.holds { Vec::new() } else { self.fetch() }
    }
    fn fetched(&mut self, reply: Result<WorkResult, Problem>, world: &AppContext) -> Vec<ScreenAction> {
        match reply {
            Ok(WorkResult::Value(value)) if !self.holds => {
                self.report = Report::new(self.title, (self.build)(&value, world)).end_first();
                Vec::new()
            }
            Ok(_) => Vec::new(),
            Err(problem) if problem.code == "STATE_LOCKED" => {
                vec![ScreenAction::Say(Tone::Attention, problem.message)]
            }
            Err(problem) => vec![ScreenAction::Pop, flows::failed(world, &problem)],
        }
    }
}
