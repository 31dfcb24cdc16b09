//! Core: its menu, and the setup of a server that has none.

use phantom_api::Text;

use super::{answer, call, clients, item, more_items, server, settings, subnet};
use crate::look::Mood;
use crate::rows::Row;
use crate::screen::{Act, World};
use crate::screens::{Clients, Dialog, Form, Menu};
use crate::work::Call;

/// What the screens of this module show.
const SHOWN: [&str; 18] = [
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
    "setup",
];

const fn text(en: &'static str, tr: &'static str) -> Text {
    Text { en, tr }
}

/// The menu of Core.
pub(super) fn menu(world: &World) -> Menu {
    const SETUP: Text = text("Server Address & Port", "Sunucu Adresi ve Portu");
    let core = |action| ("core", action);
    let clients = |_: &World| vec![Act::Push(Box::new(Clients::new()))];
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
    ];
    let mut items: Vec<_> = items.into_iter().flatten().collect();
    // What is new in the table stands here without anybody having to draw it.
    items.extend(more_items(world, "core", &SHOWN));
    items.extend(item(world, core("setup"), SETUP, |world| address(world, SETUP)));
    Menu::new(text("Core", "Core"), items)
}

/// The form of a server that has not been set up.
pub(crate) fn first_setup(world: &World) -> Vec<Act> {
    let Some(spec) = world.spec("core", "setup") else { return Vec::new() };
    let form = Form::of_action(spec.summary, &spec, |values, world| {
        let work = Call { params: values, ..Call::new("core", "setup") };
        vec![call(world, work, |value, world| {
            let spec = world.spec("core", "setup");
            let rows = spec.map(|spec| answer::rows(&value, &spec, world.lang)).unwrap_or_default();
            let done = world.lang.pick("Set up", "Kurulum");
            vec![Act::Home, Act::Push(Box::new(Dialog::notice(done, rows)))]
        })]
    });
    let intro = world.lang.pick(
        "This server has not been set up. Every field may be left empty; a server without a public IPv4 address of \
         its own needs the first one.",
        "Bu sunucu henüz kurulmamış. Tüm alanlar boş bırakılabilir; kendi genel IPv4 adresi olmayan bir sunucu için \
         ilki gerekir.",
    );
    vec![Act::Push(Box::new(form.intro(vec![Row::Text(Mood::Attention, intro.to_owned())])))]
}

/// What can be changed later.
fn address(world: &World, title: Text) -> Vec<Act> {
    let Some(spec) = world.spec("core", "setup") else { return Vec::new() };
    let names = ["server_ip", "endpoint", "port", "backend"];
    let form = Form::of_changes(title, &spec, &names, |values, world| {
        let work = Call { params: values, ..Call::new("core", "setup") };
        vec![call(world, work, |value, _| vec![Act::Pop, super::say(&value)])]
    });
    let intro = world.lang.pick(
        "What is left empty stays as it is. Clients must fetch their configuration again when address or port change.",
        "Boş bırakılanlar olduğu gibi kalır. Adres veya port değişirse istemciler yapılandırmalarını yeniden almalıdır.",
    );
    vec![Act::Push(Box::new(form.intro(vec![Row::text(intro)])))]
}
