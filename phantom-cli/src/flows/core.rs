//! Core: its menu, and the setup of a server that has none.

use phantom_api::{Lang, Text};
use phantom_module::{ParameterKind, parameters};
use serde_json::Value;

use super::impact::{self, Cut, HandOut};
use super::{
    answer, call, clients, copies, doctor, ghost, item, more_items, multihop, run, say, server, settings,
    subnet, warnings,
};
use crate::rows::Row;
use crate::screen::{AppContext, Screen, ScreenAction};
use crate::screens::{Clients, Form, Item, Menu, Report, Values};
use crate::spoken;
use crate::text::NOT_SET_UP;
use crate::theme::Tone;
use crate::work::{ActionCall, Work, WorkResult};

/// What the screens of this module show.
const SHOWN: [&str; 21] = [
    "add_client",
    "remove_client",
    "list_clients",
    "export_client",
    "latest_clients",
    "server_status",
    "service_logs",
    "restart_service",
    "start_service",
    "stop_service",
    "get_firewall_status",
    "get_tweak_settings",
    "update_tweak_setting",
    "get_subnet_info",
    "validate_subnet_change",
    "change_subnet",
    "reconcile",
    "doctor",
    "backup",
    "restore",
    "setup",
];

const fn text(en: &'static str, tr: &'static str) -> Text {
    Text { en, tr }
}

const SETUP: Text = text("Server Address & Port", "Sunucu Adresi ve Portu");
const FIRST: Text = text("Set Up This Server", "Bu Sunucuyu Kur");
const DONE: Text = text("Set up", "Kurulum");

/// The menu of Core.
pub(super) fn menu(world: &AppContext) -> Menu {
    let core = |action| ("core", action);
    let clients = |_: &AppContext| vec![ScreenAction::Push(Box::new(Clients::new()))];
    let items = [
        item(world, core("list_clients"), text("Client Operations", "İstemci İşlemleri"), clients),
        item(world, core("latest_clients"), text("Recent Clients", "Son İstemciler"), clients::recent),
        item(world, core("server_status"), text("Server Status", "Sunucu Durumu"), server::status),
        item(world, core("service_logs"), text("Service Logs", "Servis Günlükleri"), server::logs),
        item(world, core("restart_service"), server::CONTROL, server::control),
        item(world, core("get_firewall_status"), server::FIREWALL, server::firewall),
        item(world, core("get_tweak_settings"), settings::TITLE, settings::list),
        item(world, core("change_subnet"), subnet::TITLE, subnet::start),
        item(world, core("reconcile"), server::REPAIR, server::repair),
        item(world, core("doctor"), doctor::TITLE, doctor::start),
        item(world, core("backup"), copies::BACKUP, copies::back_up),
        item(world, core("restore"), copies::RESTORE, copies::restore),
    ];
    let mut items: Vec<_> = items.into_iter().flatten().collect();
    // What is new in the table stands here without anybody having to draw it.
    items.extend(more_items(world, "core", &SHOWN));
    items.extend(item(world, core("setup"), SETUP, address));
    Menu::new(text("Core", "Core"), items)
}

/// The first screen of a server that has not been set up: nothing but what works there.
pub(crate) fn setup_menu(world: &AppContext) -> Box<dyn Screen> {
    let core = |action| ("core", action);
    let about = text("Makes keys and starts WireGuard", "Anahtarları oluşturur ve WireGuard'ı başlatır");
    let items = [
        item(world, core("setup"), FIRST, first_setup).map(|item| item.about(about)),
        item(world, core("doctor"), doctor::TITLE, doctor::start),
        item(world, core("restore"), copies::RESTORE, copies::restore),
        Some(Item::new(settings::LANGUAGE, settings::language)),
    ];
    Box::new(Menu::first(NOT_SET_UP, items.into_iter().flatten().collect()))
}

/// The form of a server that has not been set up.
pub(crate) fn first_setup(world: &AppContext) -> Vec<ScreenAction> {
    let Some(spec) = world.spec("core", "setup") else { return Vec::new() };
    let form = Form::of_action(FIRST, &spec, |values, world| {
        let work = ActionCall { params: values, ..ActionCall::new("core", "setup") };
        vec![call(world, work, |value, world| {
            let mut acts = vec![
                ScreenAction::Home,
                ScreenAction::Push(Box::new(Report::new(DONE, done_rows(&value, world.lang)))),
            ];
            acts.extend(world.has_chosen.then(|| settings::keep_language(world)));
            acts
        })]
    });
    let intro = world.lang.pick(
        "This server has not been set up. Every field may be left empty; a server without a public IPv4 address of \
         its own needs the first one.",
        "Bu sunucu henüz kurulmamış. Tüm alanlar boş bırakılabilir; kendi genel IPv4 adresi olmayan bir sunucu için \
         ilki gerekir.",
    );
    vec![ScreenAction::Push(Box::new(form.intro(vec![Row::Text(Tone::Attention, intro.to_owned())])))]
}

/// What a person needs to know of a server that is new, and what comes next.
fn done_rows(value: &Value, lang: Lang) -> Vec<Row> {
    let host = [&value["endpoint"], &value["server_ip"]].into_iter().find(|host| host.is_string());
    let mut rows = vec![
        Row::Text(Tone::Good, answer::plain(&value["message"], lang)),
        Row::Blank,
        Row::pair(
            lang.pick("Clients connect to", "İstemcilerin bağlanacağı adres"),
            format!("{}, {}/udp", answer::plain(host.unwrap_or(&Value::Null), lang), value["port"]),
        ),
        Row::pair(lang.pick("VPN subnet", "VPN subneti"), answer::plain(&value["subnet"], lang)),
        Row::pair("WireGuard", answer::plain(&value["backend"], lang)),
        Row::pair(lang.pick("Public key", "Açık anahtar"), answer::plain(&value["public_key"], lang)),
        Row::Blank,
    ];
    rows.extend(warnings(value));
    rows.push(Row::Heading(lang.pick("Next steps", "Sonraki adımlar").to_owned()));
    rows.push(Row::Do(match lang {
        Lang::En => {
            format!("If your provider has a firewall of its own, open UDP port {} there", value["port"])
        }
        Lang::Tr => {
            format!(
                "Sağlayıcınızın ayrı bir güvenlik duvarı varsa orada {} numaralı UDP portunu açın",
                value["port"]
            )
        }
    }));
    rows.push(Row::Do(
        lang.pick(
            "Add your first client by the keys 1 1 1: Core Management, Client Operations, Add",
            "İlk istemcinizi 1 1 1 tuşlarıyla ekleyin: Core Yönetimi, İstemci İşlemleri, Ekle",
        )
        .to_owned(),
    ));
    rows
}

/// What can be changed later, with what it is now.
fn address(world: &AppContext) -> Vec<ScreenAction> {
    vec![run(SETUP.get(world.lang).to_owned(), Work::Address, |reply, world| match reply {
        WorkResult::Value(now) => address_form(world, now),
        _ => Vec::new(),
    })]
}

fn address_form(world: &AppContext, now: Value) -> Vec<ScreenAction> {
    let Some(spec) = world.spec("core", "setup") else { return Vec::new() };
    let is_fixed = ghost::is_on(world) || multihop::is_on(world);
    let names: &[&str] =
        if is_fixed { &["server_ip", "endpoint"] } else { &["server_ip", "endpoint", "port", "backend"] };
    let stored = now.clone();
    let form =
        Form::of_changes(SETUP, &spec, names, &stored, move |values, world| change(world, &now, values));
    let mut intro = vec![Row::text(world.lang.pick(
        "What you leave empty stays as it is. Before anything is changed, you see what it means for the clients.",
        "Boş bıraktıklarınız olduğu gibi kalır. Bir şey değiştirilmeden önce istemciler için ne anlama geldiğini \
         görürsünüz.",
    ))];
    if is_fixed {
        let fixed = world.lang.pick(
            "Port and WireGuard implementation can be changed while neither Ghost Mode nor Multihop is on.",
            "Port ve WireGuard gerçeklemesi, Ghost Mode ve Multihop kapalıyken değiştirilebilir.",
        );
        intro.push(Row::Text(Tone::Attention, fixed.to_owned()));
    }
    vec![ScreenAction::Push(Box::new(form.intro(intro)))]
}

/// Says what is different and for whom, asks, and changes it.
fn change(world: &AppContext, now: &Value, values: Values) -> Vec<ScreenAction> {
    let lang = world.lang;
    let old = |name: &str| answer::plain(&now[name], lang);
    let spec = world.spec("core", "setup");
    let params = spec.as_ref().map(parameters).unwrap_or_default();
    let unsets = |name: &str, value: &str| {
        let param = params.iter().find(|param| param.name == name);
        param.is_some_and(|param| matches!(param.kind, ParameterKind::OrNone(_)))
            && value.eq_ignore_ascii_case("none")
    };
    let is_same = |name: &str, value: &str| {
        old(name) == value || (unsets(name, value) && now.get(name).is_none_or(Value::is_null))
    };
    let values: Values = values.into_iter().filter(|(name, value)| !is_same(name, value)).collect();
    if values.is_empty() {
        let same = lang.pick("Nothing is different", "Değişen bir şey yok");
        return vec![ScreenAction::Say(Tone::Attention, same.to_owned())];
    }
    let label =
        |name: &str| params.iter().find(|param| param.name == name).map_or("", |param| param.help(lang));
    let lines = values.iter().map(|(name, new)| {
        let new = if unsets(name, new) { "-" } else { spoken::choice(new, lang) };
        format!("{}: {} → {new}", label(name), spoken::choice(&old(name), lang))
    });
    let lines = lines.collect();
    let impact = impact_of(now, &values);
    let work = ActionCall { params: values, ..ActionCall::new("core", "setup") };
    impact::ask(SETUP.get(lang), lines, impact, move |world| {
        vec![call(world, work, |value, _| vec![ScreenAction::Pop, say(&value)])]
    })
}

/// A client knows the host and the port, and nothing else of this. Where there is an endpoint, the address is in no
/// configuration.
fn impact_of(now: &Value, values: &[(String, String)]) -> (Cut, HandOut) {
    let new =
        |name: &str| values.iter().find(|(changed, _)| changed == name).map(|(_, value)| value.as_str());
    let host = new("endpoint").is_some() || (new("server_ip").is_some() && now["endpoint"].is_null());
    let cut = match (new("port"), new("backend")) {
        (Some(_), _) => Cut::AtNextConnect,
        (None, Some("auto")) => Cut::Perhaps,
        (None, Some(backend)) if now["backend_in_use"] != backend => Cut::Briefly,
        _ if host => Cut::WhileItLeadsHere,
        _ => Cut::Nobody,
    };
    let is_known = host || new("port").is_some();
    (cut, if is_known { HandOut::Configurations } else { HandOut::Nothing })
}
