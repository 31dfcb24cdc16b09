//! Multihop: exits and the way through one of them.

mod shown;

use std::path::Path;

use phantom_api::{Lang, Text};
use serde_json::Value;

use self::shown::{enabled_rows, exit_rows, log_rows, none, status_rows, test_rows};
use super::impact::{self, Cut, HandOut};
use super::{answer, call, confirm, item, more_items, say};
use crate::rows::Row;
use crate::screen::{AppContext, ScreenAction};
use crate::screens::{Form, Item, Live, Menu, Picker, Report};
use crate::text;
use crate::theme::Tone;
use crate::work::ActionCall;

pub(super) const TITLE: Text = Text { en: "Multihop VPN", tr: "Multihop VPN" };
const SHOWN: [&str; 9] = [
    "import_vpn_config",
    "remove_vpn_config",
    "list_exits",
    "enable_multihop",
    "disable_multihop",
    "reset_state",
    "status",
    "test_vpn",
    "get_session_log",
];
const IMPORT: Text = Text { en: "Import", tr: "İçe Aktar" };
const REMOVE: Text = Text { en: "Remove", tr: "Kaldır" };
const EXITS: Text = Text { en: "List Exits", tr: "Çıkışları Listele" };
const ENABLE: Text = Text { en: "Enable", tr: "Etkinleştir" };
const DISABLE: Text = Text { en: "Disable", tr: "Devre Dışı Bırak" };
const RESET: Text = Text { en: "Reset State", tr: "Durumu Sıfırla" };
const STATUS: Text = Text { en: "Status", tr: "Durum" };
const TEST: Text = Text { en: "Test VPN", tr: "VPN'i Test Et" };
const LOG: Text = Text { en: "Session Log", tr: "Oturum Günlüğü" };
/// What it means that no exit is in use any more.
const OPENS: Text = Text {
    en: "The clients' traffic leaves through this server's own uplink then",
    tr: "İstemci trafiği bundan sonra bu sunucunun kendi bağlantısından çıkar",
};

/// What it means that the chosen exit goes while another one has its place.
const STAYS: Text = Text {
    en: "The clients' traffic goes on through",
    tr: "İstemci trafiği şu çıkıştan geçmeye devam eder",
};

/// The menu of Multihop.
pub(super) fn menu(world: &AppContext) -> Menu {
    let multihop = |action| ("multihop", action);
    let items = [
        item(world, multihop("import_vpn_config"), IMPORT, |world| {
            vec![ScreenAction::Push(Box::new(Picker::new(IMPORT, world.home.clone(), "conf", import)))]
        }),
        item(world, multihop("remove_vpn_config"), REMOVE, |world| pick(world, REMOVE, remove)),
        item(world, multihop("list_exits"), EXITS, |world| {
            Report::for_call(
                world,
                EXITS,
                ActionCall::new("multihop", "list_exits"),
                exit_rows,
                ScreenAction::Push,
                |report| report,
            )
        }),
        item(world, multihop("enable_multihop"), ENABLE, |world| pick(world, ENABLE, enable)),
        item(world, multihop("disable_multihop"), DISABLE, |world| change(world, "disable_multihop"))
            .map(|item| item.unless(off)),
        item(world, multihop("reset_state"), RESET, |world| change(world, "reset_state")),
        item(world, multihop("status"), STATUS, |world| {
            Report::for_call(
                world,
                STATUS,
                ActionCall::new("multihop", "status"),
                status_rows,
                ScreenAction::Push,
                Report::live,
            )
        }),
        item(world, multihop("test_vpn"), TEST, |world| {
            Report::for_call(
                world,
                TEST,
                ActionCall::new("multihop", "test_vpn"),
                test_rows,
                ScreenAction::Push,
                |report| report,
            )
        })
        .map(|item| item.unless(off)),
        item(world, multihop("get_session_log"), LOG, |_| {
            let call = ActionCall::new("multihop", "get_session_log").with("lines", "500");
            vec![ScreenAction::Push(Box::new(Live::new(LOG, call, log_rows)))]
        }),
    ];
    let mut items: Vec<Item> = items.into_iter().flatten().collect();
    items.extend(more_items(world, "multihop", &SHOWN));
    Menu::new(TITLE, items)
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A name for the file that was picked, then the import and what of it was not used.
fn import(path: &Path, world: &AppContext) -> Vec<ScreenAction> {
    let Some(spec) = world.spec("multihop", "import_vpn_config") else { return Vec::new() };
    let path = path.display().to_string();
    let about = Row::pair(world.lang.pick("File", "Dosya"), path.clone());
    let form = Form::of_some(IMPORT, &spec, &["custom_name"], move |values, world| {
        let work = ActionCall { params: values, ..ActionCall::new("multihop", "import_vpn_config") };
        vec![call(world, work.with("config_path", &path), |value, world| {
            vec![
                ScreenAction::Pop,
                ScreenAction::Replace(Box::new(Report::new(IMPORT, import_rows(&value, world)))),
            ]
        })]
    });
    vec![ScreenAction::Push(Box::new(form.intro(vec![about])))]
}

fn import_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let mut rows = vec![
        Row::Text(Tone::Good, string(&value["message"])),
        Row::Blank,
        Row::pair(text::NAME.get(lang), string(&value["exit_name"])),
        Row::pair(lang.pick("Provider", "Sağlayıcı"), string(&value["metadata"]["provider"])),
        Row::Blank,
    ];
    let texts = |key: &str| value[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    rows.extend(texts("optimizations").map(|text| Row::Text(Tone::Good, text.to_owned())));
    rows.extend(texts("warnings").map(|text| Row::Text(Tone::Attention, text.to_owned())));
    let ignored = value["ignored"].as_array().map_or(&[][..], Vec::as_slice);
    if !ignored.is_empty() {
        let heads = [
            lang.pick("Line", "Satır"),
            lang.pick("Key", "Anahtar"),
            lang.pick("Not used because", "Kullanılmama nedeni"),
        ];
        let line = |one: &Value| {
            [answer::plain(&one["line"], lang), string(&one["key"]), string(&one["reason"])]
                .map(|cell| (Tone::Plain, cell))
                .into()
        };
        rows.push(Row::Blank);
        rows.push(Row::Table(heads.map(str::to_owned).into(), ignored.iter().map(line).collect()));
    }
    rows
}

/// What an exit is to the clients' traffic.
#[derive(Clone)]
enum ExitRole {
    /// It goes through this one.
    Carries,
    /// This one was chosen, and it goes through another one meanwhile.
    Replaced(String),
    /// Nothing.
    Spare,
}

impl ExitRole {
    fn from_json(exit: &Value, all: &Value) -> Self {
        if exit["active"] == true {
            return Self::Carries;
        }
        if !all["chosen_exit"].is_null() && all["chosen_exit"] == exit["name"] {
            return Self::Replaced(string(&all["active_exit"]));
        }
        Self::Spare
    }

    fn text(&self, world: &AppContext) -> &'static str {
        match self {
            Self::Carries => text::ACTIVE.get(world.lang),
            Self::Replaced(_) => world.lang.pick("replaced", "yerini başkası aldı"),
            Self::Spare => "",
        }
    }
}

/// Lets one of the exits be picked.
fn pick(
    world: &AppContext,
    title: Text,
    then: fn(&AppContext, &str, &ExitRole) -> Vec<ScreenAction>,
) -> Vec<ScreenAction> {
    vec![call(world, ActionCall::new("multihop", "list_exits"), move |value, world| {
        let exits = value["exits"].as_array().map_or(&[][..], Vec::as_slice);
        if exits.is_empty() {
            return vec![ScreenAction::Say(Tone::Attention, none(world))];
        }
        let item = |exit: &Value| {
            let name = string(&exit["name"]);
            let part = ExitRole::from_json(exit, &value);
            let (endpoint, provider) = (string(&exit["endpoint"]), string(&exit["provider"]));
            let about = format!("{endpoint}  {provider}  {}", part.text(world));
            Item::named(&name.clone(), move |world| then(world, &name, &part)).saying(about.trim_end())
        };
        vec![ScreenAction::Push(Box::new(Menu::new(title, exits.iter().map(item).collect())))]
    })]
}

fn remove(world: &AppContext, exit: &str, part: &ExitRole) -> Vec<ScreenAction> {
    let mut lines = vec![exit.to_owned(), text::FINAL.get(world.lang).to_owned()];
    match part {
        ExitRole::Carries => lines.push(OPENS.get(world.lang).to_owned()),
        ExitRole::Replaced(by) => lines.push(format!("{}: {by}", STAYS.get(world.lang))),
        ExitRole::Spare => {}
    }
    let work = ActionCall::new("multihop", "remove_vpn_config").with("exit_name", exit);
    let go = |world: &AppContext| vec![call(world, work, |value, _| vec![ScreenAction::Pop, say(&value)])];
    let title = world.summary("multihop", "remove_vpn_config");
    match part {
        ExitRole::Carries => impact::ask(title, lines, (Cut::OpenConnections, HandOut::Nothing), go),
        ExitRole::Replaced(_) | ExitRole::Spare => confirm(title, lines, go),
    }
}

/// Asks about the kill switch, says what that means, then switches; the handshake with the exit may take half a minute.
fn enable(world: &AppContext, exit: &str, _: &ExitRole) -> Vec<ScreenAction> {
    let Some(spec) = world.spec("multihop", "enable_multihop") else { return Vec::new() };
    let exit = exit.to_owned();
    let about = vec![Row::pair(world.lang.pick("Exit", "Çıkış"), exit.clone())];
    let form = Form::of_some(ENABLE, &spec, &["kill_switch", "fallback_exits"], move |values, world| {
        let lines = vec![match world.lang {
            Lang::En => format!("From then on the clients' traffic leaves through {exit}"),
            Lang::Tr => format!("İstemci trafiği bundan sonra {exit} üzerinden çıkar"),
        }];
        let work = ActionCall { params: values, ..ActionCall::new("multihop", "enable_multihop") };
        let work = work.with("exit_name", &exit);
        let title = world.summary("multihop", "enable_multihop");
        impact::ask(title, lines, (Cut::OpenConnections, HandOut::Nothing), |world| {
            vec![call(world, work, |value, world| {
                vec![
                    ScreenAction::Pop,
                    ScreenAction::Replace(Box::new(Report::new(ENABLE, enabled_rows(&value, world)))),
                ]
            })]
        })
    });
    vec![ScreenAction::Push(Box::new(form.intro(about)))]
}

/// An action without parameters that changes where the clients' traffic goes.
fn change(world: &AppContext, action: &'static str) -> Vec<ScreenAction> {
    let is_off = off(world).is_some();
    let title = world.summary("multihop", action);
    let go = move |world: &AppContext| {
        vec![call(world, ActionCall::new("multihop", action), |value, _| vec![say(&value)])]
    };
    if is_off {
        return confirm(title, vec![OFF.get(world.lang).to_owned()], go);
    }
    impact::ask(title, vec![OPENS.get(world.lang).to_owned()], (Cut::OpenConnections, HandOut::Nothing), go)
}

const OFF: Text = Text { en: "Multihop is off", tr: "Multihop kapalı" };

/// Whether the clients' traffic goes through an exit.
pub(super) fn is_on(world: &AppContext) -> bool {
    world.status.as_ref().is_some_and(|status| status.multihop == Some(true))
}

/// Why nothing that needs an exit in use can be done.
fn off(world: &AppContext) -> Option<Text> {
    (world.status.as_ref()?.multihop == Some(false)).then_some(OFF)
}
