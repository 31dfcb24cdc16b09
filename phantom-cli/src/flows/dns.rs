//! The DNS servers of the clients.

use phantom_api::Text;
use serde_json::Value;

use super::impact::{self, Cut, HandOut};
use super::{call, item, more_items, told};
use crate::rows::Row;
use crate::screen::{AppContext, ScreenAction};
use crate::screens::{Form, Item, Menu, Report};
use crate::text;
use crate::theme::Tone;
use crate::work::ActionCall;

const SHOWN: [&str; 4] = ["change_dns_servers", "test_dns_servers", "status", "get_dns_servers"];
const CHANGE: Text = Text { en: "Change DNS Servers", tr: "DNS Sunucularını Değiştir" };
const TEST: Text = Text { en: "Test DNS Servers", tr: "DNS Sunucularını Test Et" };
const STATUS: Text = Text { en: "DNS Status", tr: "DNS Durumu" };
const NOW: Text = Text { en: "Current Servers", tr: "Mevcut Sunucular" };

/// Operators and their pairs.
const OPERATORS: [(&str, [&str; 2]); 4] = [
    ("Google", ["8.8.8.8", "8.8.4.4"]),
    ("Cloudflare", ["1.1.1.1", "1.0.0.1"]),
    ("Quad9", ["9.9.9.9", "149.112.112.112"]),
    ("OpenDNS", ["208.67.222.222", "208.67.220.220"]),
];

fn operator(address: &str) -> &'static str {
    OPERATORS.iter().find(|(_, pair)| pair.contains(&address)).map_or("", |(name, _)| name)
}

/// The menu of DNS.
pub(super) fn menu(world: &AppContext) -> Menu {
    let dns = |action| ("dns", action);
    let items = [
        item(world, dns("change_dns_servers"), CHANGE, change),
        item(world, dns("test_dns_servers"), TEST, test),
        item(world, dns("status"), STATUS, |world| {
            Report::for_call(
                world,
                STATUS,
                ActionCall::new("dns", "status"),
                status_rows,
                ScreenAction::Push,
                |report| report,
            )
        }),
        item(world, dns("get_dns_servers"), NOW, |world| {
            Report::for_call(
                world,
                NOW,
                ActionCall::new("dns", "get_dns_servers"),
                now_rows,
                ScreenAction::Push,
                |report| report,
            )
        }),
    ];
    let mut items: Vec<Item> = items.into_iter().flatten().collect();
    items.extend(more_items(world, "dns", &SHOWN));
    Menu::new(Text { en: "DNS", tr: "DNS" }, items)
}

/// The operators, with a word beside the one whose servers are in use.
fn change(world: &AppContext) -> Vec<ScreenAction> {
    const OTHER: Text = Text { en: "Other servers", tr: "Diğer sunucular" };
    vec![call(world, ActionCall::new("dns", "get_dns_servers"), |now, world| {
        let mut items: Vec<Item> =
            OPERATORS.iter().map(|(name, pair)| known(world, &now, name, pair)).collect();
        items.push(Item::new(OTHER, move |world| {
            let Some(spec) = world.spec("dns", "change_dns_servers") else { return Vec::new() };
            let names = ["primary", "secondary"];
            let form = Form::of_changes(OTHER, &spec, &names, &now, |values, world| sure(world, values, 2));
            let about =
                world.lang.pick("What is left empty stays as it is.", "Boş bırakılan olduğu gibi kalır.");
            vec![ScreenAction::Push(Box::new(form.intro(vec![Row::text(about)])))]
        }));
        vec![ScreenAction::Push(Box::new(Menu::new(CHANGE, items)))]
    })]
}

fn known(world: &AppContext, now: &Value, name: &str, [first, second]: &'static [&'static str; 2]) -> Item {
    let label = format!("{name}: {first}, {second}");
    if now["primary"] == **first && now["secondary"] == **second {
        const IN_USE: Text = Text { en: "in use", tr: "kullanılıyor" };
        let say = |world: &AppContext| vec![ScreenAction::Say(Tone::Good, IN_USE.get(world.lang).to_owned())];
        return Item::named(&label, say).saying(IN_USE.get(world.lang));
    }
    Item::named(&label, move |world| {
        let values = [("primary", first), ("secondary", second)];
        sure(world, values.map(|(key, value)| (key.to_owned(), (*value).to_owned())).into(), 1)
    })
}

/// `above`: how many screens go when it is done.
fn sure(world: &AppContext, values: Vec<(String, String)>, above: usize) -> Vec<ScreenAction> {
    let lines = values.iter().map(|(_, address)| address.clone()).collect();
    impact::ask(CHANGE.get(world.lang), lines, (Cut::Nobody, HandOut::Configurations), move |world| {
        let work = ActionCall { params: values, ..ActionCall::new("dns", "change_dns_servers") };
        vec![call(world, work, move |value, _| {
            let mut acts: Vec<ScreenAction> = (0..above).map(|_| ScreenAction::Pop).collect();
            acts.push(told(&value["client_configs_updated"], &value));
            acts
        })]
    })
}

fn test(world: &AppContext) -> Vec<ScreenAction> {
    let Some(spec) = world.spec("dns", "test_dns_servers") else { return Vec::new() };
    let form = Form::of_action(TEST, &spec, |values, world| {
        let work = ActionCall { params: values, ..ActionCall::new("dns", "test_dns_servers") };
        Report::for_call(world, TEST, work, test_rows, ScreenAction::Replace, |report| report)
    });
    let about = world.lang.pick(
        "Without servers the stored ones are tested; several are separated by commas.",
        "Sunucu verilmezse kayıtlı olanlar test edilir; birden fazlası virgülle ayrılır.",
    );
    vec![ScreenAction::Push(Box::new(form.intro(vec![Row::text(about)])))]
}

fn test_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let heads = [
        lang.pick("Server", "Sunucu"),
        text::STATE.get(lang),
        lang.pick("Time", "Süre"),
        lang.pick("Operator", "İşletmeci"),
    ];
    let line = |result: &Value| {
        let server = result["server"].as_str().unwrap_or_default();
        let time =
            result["response_time_ms"].as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        let good = result["success"] == true;
        vec![
            (Tone::Plain, server.to_owned()),
            (Tone::fine(good), result["status"].as_str().unwrap_or_default().to_owned()),
            (Tone::Plain, time),
            (Tone::Plain, operator(server).to_owned()),
        ]
    };
    let results = value["results"].as_array().map_or(&[][..], Vec::as_slice);
    let mut rows = vec![Row::Table(heads.map(str::to_owned).into(), results.iter().map(line).collect())];
    rows.push(Row::Blank);
    for result in results.iter().filter(|result| result["error"].is_string()) {
        let text = format!(
            "{}: {}",
            result["server"].as_str().unwrap_or_default(),
            result["error"].as_str().unwrap_or_default()
        );
        rows.push(Row::Text(Tone::Bad, text));
    }
    for skipped in value["skipped"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let why = lang.pick("not an address", "bir adres değil");
        rows.push(Row::Text(Tone::Attention, format!("{skipped}: {why}")));
    }
    rows
}

fn status_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let (mood, health) = match value["health"]["status"].as_str() {
        Some("healthy") => (Tone::Good, lang.pick("healthy", "sağlıklı")),
        Some("degraded") => (Tone::Attention, lang.pick("degraded", "kısmen çalışıyor")),
        _ => (Tone::Bad, lang.pick("unavailable", "erişilemiyor")),
    };
    let mut rows = vec![Row::mood(text::STATE.get(lang), mood, health), Row::Blank];
    for server in value["health"]["test_results"].as_array().into_iter().flatten() {
        let address = server["server"].as_str().unwrap_or_default();
        rows.push(Row::Heading(format!("{address}  {}", operator(address))));
        for test in server["tests"].as_array().into_iter().flatten() {
            let (mood, text) = match test["response"].as_str() {
                Some(answer) => (Tone::Good, answer),
                None => (Tone::Bad, test["error"].as_str().unwrap_or_default()),
            };
            rows.push(Row::mood(test["domain"].as_str().unwrap_or_default(), mood, text));
        }
        rows.push(Row::Blank);
    }
    rows
}

fn now_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let line = |label: &str, key: &str| {
        let address = value[key].as_str().unwrap_or_default();
        let operator = Some(operator(address)).filter(|name| !name.is_empty());
        let operator = operator.map(|name| format!(" ({name})")).unwrap_or_default();
        Row::pair(label, format!("{address}{operator}"))
    };
    vec![
        line(lang.pick("Primary", "Birincil"), "primary"),
        line(lang.pick("Secondary", "İkincil"), "secondary"),
    ]
}
