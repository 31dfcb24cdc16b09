//! Copies of the stored state: making one, and putting one back after it was seen what that would change.

use std::path::Path;

use phantom_api::{Lang, Text};
use serde_json::Value;

use super::impact::{self, Cut, HandOut};
use super::{answer, call, say};
use crate::rows::Row;
use crate::screen::{AppContext, ScreenAction};
use crate::screens::{Form, Picker, Report};
use crate::text;
use crate::theme::Tone;
use crate::work::ActionCall;

pub(super) const BACKUP: Text = Text { en: "Back Up", tr: "Yedekle" };
pub(super) const RESTORE: Text = Text { en: "Restore a Backup", tr: "Yedeği Geri Yükle" };
const CHECKED: Text = Text { en: "What it would change", tr: "Neleri değiştirir" };
const GO: Text = Text { en: "Restore", tr: "Geri yükle" };

/// Asks where to, and copies.
pub(super) fn back_up(world: &AppContext) -> Vec<ScreenAction> {
    let Some(spec) = world.spec("core", "backup") else { return Vec::new() };
    let form = Form::of_action(BACKUP, &spec, |values, world| {
        let work = ActionCall { params: values, ..ActionCall::new("core", "backup") };
        vec![call(world, work, |value, world| {
            vec![ScreenAction::Replace(Box::new(Report::new(BACKUP, backup_rows(&value, world.lang))))]
        })]
    });
    vec![ScreenAction::Push(Box::new(form))]
}

fn backup_rows(value: &Value, lang: Lang) -> Vec<Row> {
    let text = |value: &Value| answer::plain(value, lang);
    let mut rows = vec![
        Row::Text(Tone::Good, text(&value["message"])),
        Row::Blank,
        Row::pair(lang.pick("File", "Dosya"), text(&value["path"])),
        Row::pair(text::CLIENTS.get(lang), text(&value["clients"])),
    ];
    let copies = value["copies"].as_array().map_or(&[][..], Vec::as_slice);
    if !copies.is_empty() {
        let title =
            lang.pick("Copies that the server keeps by itself", "Sunucunun kendiliğinden sakladığı kopyalar");
        rows.extend([Row::Blank, Row::Heading(title.to_owned())]);
        rows.extend(copies.iter().map(|copy| Row::pair(&text(&copy["created"]), text(&copy["path"]))));
    }
    rows
}

/// Lets a copy be picked, shows what it would change, asks.
pub(super) fn restore(world: &AppContext) -> Vec<ScreenAction> {
    // On a new machine there are no copies of its own.
    let from = if world.needs_setup { &world.home } else { &world.copies };
    vec![ScreenAction::Push(Box::new(Picker::new(RESTORE, from.clone(), "db", look_into)))]
}

fn look_into(path: &Path, world: &AppContext) -> Vec<ScreenAction> {
    let path = path.display().to_string();
    let theme = ActionCall::new("core", "restore").with("path", &path).with("dry_run", "true");
    vec![call(world, theme, move |value, world| {
        let report = Report::new(CHECKED, changes(&value, world.lang));
        let changes = value["changes"].clone();
        vec![ScreenAction::Push(Box::new(report.with_key('a', GO, move |world| ask(world, &path, &changes))))]
    })]
}

/// The three lists of what is different, with what is said of each.
const LISTS: [(&str, &str, Text, Tone); 3] = [
    ("lost", "lost_total", Text { en: "Clients that are lost", tr: "Kaybolacak istemciler" }, Tone::Bad),
    (
        "returning",
        "returning_total",
        Text { en: "Clients that come back with their access", tr: "Erişimleriyle geri gelecek istemciler" },
        Tone::Attention,
    ),
    (
        "new_file_needed",
        "new_file_needed_total",
        Text { en: "Clients that need a new configuration", tr: "Yeni yapılandırma gereken istemciler" },
        Tone::Attention,
    ),
];

fn changes(value: &Value, lang: Lang) -> Vec<Row> {
    let mut rows = vec![
        Row::Text(Tone::Plain, answer::plain(&value["message"], lang)),
        Row::Blank,
        Row::pair(lang.pick("File", "Dosya"), answer::plain(&value["path"], lang)),
        Row::pair(text::CLIENTS.get(lang), answer::plain(&value["clients"], lang)),
        Row::Blank,
    ];
    let changes = &value["changes"];
    if changes.is_null() {
        let text = lang.pick(
            "The present state cannot be read, so there is nothing to compare with",
            "Şimdiki durum okunamıyor; karşılaştırılacak bir şey yok",
        );
        rows.push(Row::text(text));
        return rows;
    }
    for (list, total, title, mood) in LISTS {
        let mood = if changes[total] == 0 { Tone::Good } else { mood };
        rows.push(Row::mood(title.get(lang), mood, answer::plain(&changes[total], lang)));
        let names = changes[list].as_array().into_iter().flatten().filter_map(Value::as_str);
        rows.extend(names.map(|name| Row::pair("", name)));
    }
    rows
}

fn ask(world: &AppContext, path: &str, changes: &Value) -> Vec<ScreenAction> {
    let lang = world.lang;
    let counted = |(_, total, title, _): &(&str, &str, Text, Tone)| {
        let count = changes[total].as_u64().filter(|count| *count > 0)?;
        Some(format!("{}: {count}", title.get(lang)))
    };
    let mut lines: Vec<String> = LISTS.iter().filter_map(counted).collect();
    lines.push(
        lang.pick(
            "What is stored now is kept in a copy of its own",
            "Şu an kayıtlı olan, ayrı bir kopyada saklanır",
        )
        .to_owned(),
    );
    let restore = ActionCall::new("core", "restore").with("path", path);
    let go = move |world: &AppContext| {
        // The report and the folder are past.
        vec![call(world, restore, |value, _| vec![ScreenAction::Pop, ScreenAction::Pop, say(&value)])]
    };
    if world.needs_setup {
        return super::confirm(RESTORE.get(lang), lines, go);
    }
    let stays = changes["new_file_needed_total"] == 0;
    let hand_out = if stays { HandOut::Nothing } else { HandOut::Listed };
    impact::ask(RESTORE.get(lang), lines, (Cut::Briefly, hand_out), go)
}
