//! A log that is followed while it is written.

use std::rc::Rc;

use phantom_api::{Lang, Text};
use ratatui::Frame;
use ratatui::layout::Rect;
use serde_json::Value;

use super::report::{Build, Report};
use crate::flows;
use crate::look::{Look, Mood};
use crate::rows::Row;
use crate::screen::{Act, Hint, Key, Screen, World, hint};
use crate::text;
use crate::work::{Call, Problem, Reply, Work};

/// The end of a log, asked for every second. The keys for scrolling hold it; End follows again.
pub(crate) struct Live {
    title: Text,
    call: Call,
    build: Build,
    report: Report,
    holds: bool,
}

impl Live {
    pub(crate) fn new(title: Text, call: Call, build: impl Fn(&Value, &World) -> Vec<Row> + 'static) -> Self {
        let report = Report::new(title, Vec::new()).end_first();
        Self { title, call, build: Rc::new(build), report, holds: false }
    }

    fn fetch(&self) -> Vec<Act> {
        vec![Act::Fetch(Work::Call(self.call.clone()))]
    }
}

impl Screen for Live {
    fn title(&self, lang: Lang) -> String {
        self.title.get(lang).to_owned()
    }
    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, look: Look, world: &World) {
        self.report.draw(frame, area, look, world);
    }
    fn hints(&self, lang: Lang) -> Vec<Hint> {
        let follow = if self.holds {
            hint("End", lang.pick("Follow", "İzle"))
        } else {
            hint("↑↓", lang.pick("Hold and scroll", "Durdur ve kaydır"))
        };
        vec![follow, hint("K", text::COPY.get(lang)), hint("0 Ctrl-C", lang.pick("End", "Bitir"))]
    }
    fn key(&mut self, key: Key, world: &World) -> Vec<Act> {
        match key {
            Key::Control('c') => return vec![Act::Pop],
            Key::End => {
                self.holds = false;
                return self.fetch();
            }
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home => self.holds = true,
            _ => {}
        }
        self.report.key(key, world)
    }
    fn shown(&mut self, _: &World) -> Vec<Act> {
        self.fetch()
    }
    fn second(&mut self, _: &World) -> Vec<Act> {
        if self.holds { Vec::new() } else { self.fetch() }
    }
    fn fetched(&mut self, reply: Result<Reply, Problem>, world: &World) -> Vec<Act> {
        match reply {
            Ok(Reply::Value(value)) if !self.holds => {
                self.report = Report::new(self.title, (self.build)(&value, world)).end_first();
                Vec::new()
            }
            Ok(_) => Vec::new(),
            Err(problem) if problem.code == "STATE_LOCKED" => {
                vec![Act::Say(Mood::Attention, problem.message)]
            }
            Err(problem) => vec![Act::Pop, flows::failed(world, &problem)],
        }
    }
}
