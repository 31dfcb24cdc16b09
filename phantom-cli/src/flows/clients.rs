//! Clients: adding, removing, exporting.

use std::rc::Rc;

use phantom_api::{Lang, Text};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{call, confirm, ghost, save_config, say};
use crate::rows::Row;
use crate::screen::{AppContext, ScreenAction};
use crate::screens::{Code, Form, Report};
use crate::text;
use crate::theme::Tone;
use crate::work::ActionCall;

/// Asks the name, adds, and shows what the client needs.
pub(crate) fn add_client(world: &AppContext) -> Vec<ScreenAction> {
    let Some(spec) = world.spec("core", "add_client") else { return Vec::new() };
    let form = Form::of_action(spec.summary, &spec, |values, world| {
        let work = ActionCall { params: values, ..ActionCall::new("core", "add_client") };
        vec![call(world, work, |value, world| {
            let name = value["client"]["name"].as_str().unwrap_or_default().to_owned();
            vec![ScreenAction::Pop, export(world, &name), say(&value)]
        })]
    });
    let about = world.lang.pick(
        "Letters, digits, '_' and '-', at most 50. Keys and address are made for it, and it can connect at once.",
        "Harf, rakam, '_' ve '-', en fazla 50 karakter. Anahtarları ve adresi oluşturulur, hemen bağlanabilir.",
    );
    vec![ScreenAction::Push(Box::new(form.intro(vec![Row::text(about)])))]
}

/// Removes or exports a client of the table.
pub(crate) fn for_client(
    world: &AppContext,
    action: &'static str,
    client: Option<&Value>,
) -> Vec<ScreenAction> {
    let Some((client, name)) = client.and_then(|client| Some((client, client["name"].as_str()?))) else {
        let text = text::NO_CLIENTS.get(world.lang);
        return vec![ScreenAction::Say(Tone::Attention, text.to_owned())];
    };
    match action {
        "remove_client" => remove(world, name, client["connected"] == true),
        _ => vec![export(world, name)],
    }
}

fn remove(world: &AppContext, name: &str, is_connected: bool) -> Vec<ScreenAction> {
    let lang = world.lang;
    let mut lines = vec![match lang {
        Lang::En => format!("Client {name}: its keys are deleted and its access ends at once."),
        Lang::Tr => format!("İstemci {name}: anahtarları silinir ve erişimi hemen sona erer."),
    }];
    if is_connected {
        lines.push(lang.pick("It is connected now.", "Şu anda bağlı.").to_owned());
    }
    lines.push(text::FINAL.get(lang).to_owned());
    let name = name.to_owned();
    confirm(world.summary("core", "remove_client"), lines, move |world| {
        vec![call(
            world,
            ActionCall::new("core", "remove_client").with("client_name", &name),
            |value, world| {
                let (name, ip) = (&value["client_name"], &value["client_ip"]);
                let removed = world.lang.pick("Removed", "Kaldırıldı");
                let text = format!(
                    "{removed}: {} ({})",
                    name.as_str().unwrap_or_default(),
                    ip.as_str().unwrap_or_default()
                );
                vec![ScreenAction::Refresh, ScreenAction::Say(Tone::Good, text)]
            },
        )]
    })
}

const EXPORT: Text = Text { en: "Export", tr: "Dışa Aktar" };
const IN_TUNNEL: Text = Text {
    en: "Ghost Mode is on: with this configuration nobody can connect now. The one for Ghost Mode is behind the key G.",
    tr: "Ghost Mode açık: bu yapılandırmayla şu anda bağlanılamaz. Ghost Mode yapılandırması G tuşundadır.",
};

/// Details, configuration, QR code, file.
fn export(world: &AppContext, name: &str) -> ScreenAction {
    call(world, ActionCall::new("core", "export_client").with("client_name", name), |value, world| {
        let config = value["config"].as_str().unwrap_or_default().to_owned();
        let name = value["client"]["name"].as_str().unwrap_or_default().to_owned();
        let file = value["file_name"].as_str().unwrap_or_default().to_owned();
        let mut rows = details(&value, world.lang);
        rows.push(Row::Blank);
        let needs_tunnel = ghost::is_on(world);
        if needs_tunnel {
            rows.extend([Row::Text(Tone::Attention, IN_TUNNEL.get(world.lang).to_owned()), Row::Blank]);
        }
        rows.push(Row::Heading(world.lang.pick("Configuration", "Yapılandırma").to_owned()));
        rows.push(Row::Verbatim(config.clone()));
        let report = with_code(EXPORT, rows, name.clone(), file, config);
        let for_tunnel = move |_: &AppContext| vec![ghost::export_for(name.clone(), ScreenAction::Push)];
        let report = if needs_tunnel { report.with_key('g', ghost::EXPORT, for_tunnel) } else { report };
        vec![ScreenAction::Push(Box::new(report))]
    })
}

/// A report with a configuration that can be shown as a code and saved.
pub(super) fn with_code(title: Text, rows: Vec<Row>, name: String, file: String, config: String) -> Report {
    let config = Rc::new(Zeroizing::new(config));
    let code = Rc::clone(&config);
    Report::new(title, rows)
        .with_key('q', text::QR_CODE, move |_| vec![ScreenAction::Push(Box::new(Code::new(&name, &code)))])
        .with_key('s', text::SAVE, move |world| save_config(world, &file, Rc::clone(&config)))
}

fn details(value: &Value, lang: Lang) -> Vec<Row> {
    let client = &value["client"];
    let text = |key: &str| client[key].as_str().unwrap_or_default();
    vec![
        Row::pair(text::NAME.get(lang), text("name")),
        Row::pair(text::ADDRESS.get(lang), text("ip")),
        Row::pair(text::CREATED.get(lang), text::moment(text("created"))),
        Row::pair(lang.pick("Public key", "Açık anahtar"), text("public_key")),
    ]
}

/// The clients added last.
pub(super) fn recent(world: &AppContext) -> Vec<ScreenAction> {
    const TITLE: Text = Text { en: "Recent Clients", tr: "Son İstemciler" };
    let Some(spec) = world.spec("core", "latest_clients") else { return Vec::new() };
    let form = Form::of_action(TITLE, &spec, |values, world| {
        let work = ActionCall { params: values, ..ActionCall::new("core", "latest_clients") };
        Report::for_call(world, TITLE, work, recent_rows, ScreenAction::Replace, |report| report)
    });
    vec![ScreenAction::Push(Box::new(form))]
}

fn recent_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let heads = [text::NAME, text::ADDRESS, text::CREATED, text::STATE].map(|head| head.get(lang).to_owned());
    let clients = value["latest_clients"].as_array().map_or(&[][..], Vec::as_slice);
    let line = |client: &Value| {
        let text = |key: &str| (Tone::Plain, client[key].as_str().unwrap_or_default().to_owned());
        let connected = client["connected"] == true;
        let state = if connected { text::CONNECTED } else { text::OFFLINE };
        vec![
            text("name"),
            text("ip"),
            (Tone::Plain, text::moment(client["created"].as_str().unwrap_or_default())),
            (Tone::on(connected), state.get(lang).to_owned()),
        ]
    };
    let total = value["total_clients"].as_u64().unwrap_or_default();
    if clients.is_empty() {
        return vec![Row::text(text::NO_CLIENTS.get(lang))];
    }
    vec![
        Row::Table(heads.into(), clients.iter().map(line).collect()),
        Row::Blank,
        Row::text(format!(
            "{}   {}: {}",
            text::total(lang, total),
            lang.pick("Shown", "Gösterilen"),
            value["count"]
        )),
    ]
}
