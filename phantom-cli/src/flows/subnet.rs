//! The subnet: what it is, what a new one would mean, and two questions before it is changed.

use phantom_api::Text;
use serde_json::Value;

use super::impact::{self, Cut, HandOut};
use super::{answer, call, confirm};
use crate::rows::Row;
use crate::screen::{AppContext, ScreenAction};
use crate::screens::{Form, Report};
use crate::text;
use crate::theme::Tone;
use crate::work::ActionCall;

pub(super) const TITLE: Text = Text { en: "Change Default Subnet", tr: "Varsayılan Subnet'i Değiştir" };
const NEW: Text = Text { en: "New subnet", tr: "Yeni subnet" };
const CHANGE: Text = Text { en: "Change", tr: "Değiştir" };
/// Warnings that every answer contains.
const IMPACTS: usize = 3;
const CHECK: Text = Text { en: "Check of the new subnet", tr: "Yeni subnet denetimi" };

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    value[key].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn string(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The subnet now.
pub(super) fn start(world: &AppContext) -> Vec<ScreenAction> {
    vec![call(world, ActionCall::new("core", "get_subnet_info"), |value, world| {
        let report = Report::new(TITLE, now_rows(&value, world));
        let report = if value["can_change"] == true { report.with_key('c', CHANGE, ask) } else { report };
        vec![ScreenAction::Push(Box::new(report))]
    })]
}

fn now_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let clients = &value["clients"];
    let used = format!("{} ({} %)", clients["total"], clients["ip_usage_percentage"]);
    let uplink = &value["main_interface"];
    let mut rows = vec![
        Row::pair(lang.pick("Subnet", "Subnet"), string(&value["current_subnet"])),
        Row::pair(lang.pick("Usable addresses", "Kullanılabilir adres"), string(&value["usable_ips"])),
        Row::pair(lang.pick("Server", "Sunucu"), string(&value["server_ip"])),
        Row::pair(text::CLIENTS.get(lang), used),
        Row::pair(text::CONNECTED.get(lang), string(&clients["active"])),
        Row::pair(
            lang.pick("Uplink", "Dış bağlantı"),
            format!("{}  {}", string(&uplink["interface"]), string(&uplink["network"])),
        ),
        Row::Blank,
    ];
    if value["can_change"] == true {
        rows.push(Row::Heading(lang.pick("What a change means", "Değişikliğin anlamı").to_owned()));
    } else {
        let no = lang.pick("The subnet cannot be changed now:", "Subnet şu anda değiştirilemez:");
        rows.push(Row::Text(Tone::Bad, no.to_owned()));
    }
    // What a change means comes first in the list; what is in its way, behind.
    let from = if value["can_change"] == true { 0 } else { IMPACTS };
    let warnings = list(value, "warnings").skip(from);
    rows.extend(warnings.map(|text| Row::Text(Tone::Attention, text.to_owned())));
    rows
}

fn ask(world: &AppContext) -> Vec<ScreenAction> {
    let Some(spec) = world.spec("core", "validate_subnet_change") else { return Vec::new() };
    let form = Form::of_action(NEW, &spec, |values, world| {
        let work = ActionCall { params: values, ..ActionCall::new("core", "validate_subnet_change") };
        vec![call(world, work, |value, world| {
            let report = Report::new(CHECK, check_rows(&value, world));
            if value["valid"] != true {
                return vec![ScreenAction::Push(Box::new(report))];
            }
            let subnet = string(&value["new_subnet"]);
            let report = report.with_key('c', CHANGE, move |world| first_question(world, &value, &subnet));
            vec![ScreenAction::Push(Box::new(report))]
        })]
    });
    vec![ScreenAction::Push(Box::new(form))]
}

fn check_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let valid = value["valid"] == true;
    let verdict = if valid {
        lang.pick("The subnet can be changed.", "Subnet değiştirilebilir.")
    } else {
        lang.pick("The subnet cannot be changed to this one.", "Subnet bununla değiştirilemez.")
    };
    let mut rows = vec![
        Row::Text(Tone::fine(valid), verdict.to_owned()),
        Row::pair(
            lang.pick("Subnet", "Subnet"),
            format!("{} → {}", string(&value["current_subnet"]), string(&value["new_subnet"])),
        ),
        Row::Blank,
    ];
    rows.extend(list(value, "errors").map(|text| Row::Text(Tone::Bad, text.to_owned())));
    rows.extend(list(value, "warnings").map(|text| Row::Text(Tone::Attention, text.to_owned())));
    let names = [
        ("subnet_size", lang.pick("Size", "Boyut")),
        ("private_subnet", lang.pick("Private range", "Özel aralık")),
        ("network_conflicts", lang.pick("No conflicts", "Çakışma yok")),
        ("capacity", lang.pick("Room for all clients", "Tüm istemcilere yer var")),
    ];
    for (key, name) in names {
        let good = value["checks"][key]["valid"] == true;
        rows.push(Row::mood(name, Tone::fine(good), text::yes(lang, good)));
    }
    let mappings = value["ip_mapping_preview"]["mappings"].as_object();
    if let Some(mappings) = mappings {
        let heads = [text::NAME.get(lang), lang.pick("Old", "Eski"), lang.pick("New", "Yeni")];
        let line = |(name, to): (&String, &Value)| {
            [name.clone(), string(&to["old"]), string(&to["new"])].map(|cell| (Tone::Plain, cell)).into()
        };
        rows.push(Row::Blank);
        rows.push(Row::Table(heads.map(str::to_owned).into(), mappings.iter().map(line).collect()));
    }
    rows
}

fn first_question(world: &AppContext, value: &Value, subnet: &str) -> Vec<ScreenAction> {
    let mut lines = vec![format!("{} → {subnet}", string(&value["current_subnet"]))];
    lines.extend(list(value, "warnings").map(str::to_owned));
    let subnet = subnet.to_owned();
    impact::ask(TITLE.get(world.lang), lines, (Cut::UntilHandedOut, HandOut::Configurations), move |world| {
        let lines =
            vec![text::FETCH_AGAIN.get(world.lang).to_owned(), text::FINAL.get(world.lang).to_owned()];
        confirm(TITLE.get(world.lang), lines, move |world| change(world, &subnet))
    })
}

fn change(world: &AppContext, subnet: &str) -> Vec<ScreenAction> {
    let work = ActionCall::new("core", "change_subnet").with("new_subnet", subnet).with("confirm", "true");
    vec![call(world, work, |value, world| {
        // The check, the form and the report about the old subnet are past.
        vec![
            ScreenAction::Pop,
            ScreenAction::Pop,
            ScreenAction::Pop,
            ScreenAction::Push(Box::new(Report::new(TITLE, done_rows(&value, world)))),
        ]
    })]
}

fn done_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let updated = answer::plain(&value["clients_updated"], lang);
    let next = lang.pick(
        "Export every client's configuration again (Client Operations, 3) and hand it over.",
        "Her istemcinin yapılandırmasını yeniden dışa aktarın (İstemci İşlemleri, 3) ve iletin.",
    );
    vec![
        Row::Text(Tone::Good, string(&value["message"])),
        Row::Blank,
        Row::pair(lang.pick("Clients moved", "Taşınan istemci"), updated),
        Row::pair(lang.pick("Backup", "Yedek"), string(&value["backup_id"])),
        Row::Blank,
        Row::Heading(lang.pick("Next steps", "Sonraki adımlar").to_owned()),
        Row::Text(Tone::Attention, text::FETCH_AGAIN.get(lang).to_owned()),
        Row::text(next),
    ]
}
