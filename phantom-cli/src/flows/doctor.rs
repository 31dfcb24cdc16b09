//! The check of the host: what is wrong first, each with what to do.

use phantom_api::{Lang, Text};
use serde_json::Value;

use super::server;
use crate::rows::Row;
use crate::screen::{AppContext, ScreenAction};
use crate::screens::Report;
use crate::theme::Tone;
use crate::work::ActionCall;

pub(super) const TITLE: Text = Text { en: "Health Check", tr: "Sağlık Denetimi" };

/// Looks at everything; asks again by the key of every report.
pub(super) fn start(world: &AppContext) -> Vec<ScreenAction> {
    let may_repair = !world.needs_setup;
    Report::for_call(
        world,
        TITLE,
        ActionCall::new("core", "doctor"),
        rows,
        ScreenAction::Push,
        move |report| {
            if may_repair { report.with_key('9', server::REPAIR, server::repair) } else { report }
        },
    )
}

/// How a check went, the worst first.
const STATES: [(&str, Tone); 3] = [("problem", Tone::Bad), ("warning", Tone::Attention), ("ok", Tone::Good)];

fn rows(value: &Value, world: &AppContext) -> Vec<Row> {
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

fn verdict(value: &Value) -> Tone {
    let none = |key: &str| value[key] == 0;
    match (none("problems"), none("warnings")) {
        (true, true) => Tone::Good,
        (true, false) => Tone::Attention,
        _ => Tone::Bad,
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
fn check_rows(check: &Value, mood: Tone) -> Vec<Row> {
    let text = |key: &str| check[key].as_str().unwrap_or_default();
    let found = match mood {
        Tone::Good => text("text").to_owned(),
        _ => format!("{} [{}]", text("text"), text("name")),
    };
    let mut rows = vec![Row::Text(mood, found)];
    rows.extend(check["hint"].as_str().map(|hint| Row::Do(hint.to_owned())));
    rows
}
