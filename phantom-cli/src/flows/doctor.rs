//! The check of the host: what is wrong first, each with what to do.

use phantom_api::{Lang, Text};
use serde_json::Value;

use super::server;
use crate::look::Mood;
use crate::rows::Row;
use crate::screen::{Act, World};
use crate::screens::Report;
use crate::work::Call;

pub(super) const TITLE: Text = Text { en: "Health Check", tr: "Sağlık Denetimi" };

/// Looks at everything; asks again by the key of every report.
pub(super) fn start(world: &World) -> Vec<Act> {
    let may_repair = !world.needs_setup;
    Report::of(world, TITLE, Call::new("core", "doctor"), rows, Act::Push, move |report| {
        if may_repair { report.with_key('9', server::REPAIR, server::repair) } else { report }
    })
}

/// How a check went, the worst first.
const STATES: [(&str, Mood); 3] = [("problem", Mood::Bad), ("warning", Mood::Attention), ("ok", Mood::Good)];

fn rows(value: &Value, world: &World) -> Vec<Row> {
    let checks = value["checks"].as_array().map_or(&[][..], Vec::as_slice);
    let mut rows = vec![Row::Text(verdict(value), value["message"].as_str().unwrap_or_default().to_owned())];
    for (state, mood) in STATES {
        let those = checks.iter().filter(|check| check["state"] == state);
        let found: Vec<Row> = those.flat_map(|check| check_rows(check, mood)).collect();
        if !found.is_empty() {
            rows.extend([Row::Blank, Row::Heading(heading(state, world.lang).to_owned())]);
            rows.extend(found);
        }
    }
    rows
}

fn verdict(value: &Value) -> Mood {
    let none = |key: &str| value[key] == 0;
    match (none("problems"), none("warnings")) {
        (true, true) => Mood::Good,
        (true, false) => Mood::Attention,
        _ => Mood::Bad,
    }
}

fn heading(state: &str, lang: Lang) -> &'static str {
    match state {
        "problem" => lang.pick("Problems", "Sorunlar"),
        "warning" => lang.pick("Warnings", "Uyarılar"),
        _ => lang.pick("In order", "Yolunda olanlar"),
    }
}

/// The name is what the manual calls a check by: it is said where somebody may look for it there.
fn check_rows(check: &Value, mood: Mood) -> Vec<Row> {
    let text = |key: &str| check[key].as_str().unwrap_or_default();
    let found = match mood {
        Mood::Good => text("text").to_owned(),
        _ => format!("{} [{}]", text("text"), text("name")),
    };
    let mut rows = vec![Row::Text(mood, found)];
    rows.extend(check["hint"].as_str().map(|hint| Row::Do(hint.to_owned())));
    rows
}
