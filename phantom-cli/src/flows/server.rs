//! The server: status, logs, service, firewall, repair.

use phantom_api::{Lang, Text};
use phantom_types::bytes_in_words;
use serde_json::Value;

use super::impact::{self, Cut, HandOut};
use super::{answer, call, item, say};
use crate::rows::Row;
use crate::screen::{AppContext, ScreenAction};
use crate::screens::{Form, Menu, Report};
use crate::text;
use crate::theme::Tone;
use crate::work::{ActionCall, Work};

pub(super) const CONTROL: Text = Text { en: "Service Control", tr: "Servis Denetimi" };
pub(super) const FIREWALL: Text = Text { en: "Firewall & Security", tr: "Güvenlik Duvarı" };
pub(super) const REPAIR: Text = Text { en: "Check & Repair", tr: "Denetle ve Onar" };
const STATUS: Text = Text { en: "Server Status", tr: "Sunucu Durumu" };
const LOGS: Text = Text { en: "Service Logs", tr: "Servis Günlükleri" };
const APPLY: Text = Text { en: "Repair", tr: "Onar" };
const DETAILS: Text = Text { en: "Details", tr: "Ayrıntılar" };

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The status in short, kept fresh.
pub(super) fn status(world: &AppContext) -> Vec<ScreenAction> {
    let again = || vec![ScreenAction::Fetch(Work::Call(ActionCall::new("core", "server_status")))];
    Report::for_call(
        world,
        STATUS,
        ActionCall::new("core", "server_status"),
        status_rows,
        ScreenAction::Push,
        move |report| {
            report.with_key('1', DETAILS, details).with_key('2', text::REFRESH, move |_| again()).live()
        },
    )
}

fn status_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let on = |yes: bool, (good, bad): (Text, Text)| if yes { good.get(lang) } else { bad.get(lang) };
    let running = value["service"]["running"] == true;
    let up = value["interface"]["active"] == true;
    let (service, interface) = (&value["service"], &value["interface"]);
    let count = |key: &str| value["clients"][key].as_u64().unwrap_or_default();
    let mut rows = vec![
        Row::Heading(words(&service["service_name"])),
        Row::mood(
            lang.pick("Service", "Servis"),
            Tone::fine(running),
            on(running, (text::RUNNING, text::STOPPED)),
        ),
    ];
    if let Some(since) = service["started_at"].as_str() {
        rows.push(Row::pair(lang.pick("Since", "Başlangıç"), since));
    }
    rows.push(Row::mood(
        lang.pick("Interface", "Arayüz"),
        Tone::fine(up),
        format!("{}  {}", words(&interface["interface"]), on(up, (text::ACTIVE, text::INACTIVE))),
    ));
    rows.push(Row::pair(lang.pick("VPN subnet", "VPN subneti"), words(&value["configuration"]["network"])));
    rows.push(Row::pair("Port", format!("{}/udp", value["configuration"]["port"])));
    let connected = count("active_connections");
    let clients = format!("{connected}/{}", count("total_configured"));
    rows.push(Row::mood(text::CLIENTS.get(lang), Tone::on(connected > 0), clients));
    let bytes = |key: &str| bytes_in_words(interface[key].as_u64().unwrap_or_default());
    let transfer = format!("↓ {}  ↑ {}", bytes("rx_bytes"), bytes("tx_bytes"));
    rows.push(Row::pair(lang.pick("Transfer", "Aktarım"), transfer));
    let rates = world.status.as_ref().and_then(|status| status.rates);
    if let Some((received, sent)) = rates {
        let text = format!("↓ {}/s  ↑ {}/s", bytes_in_words(received), bytes_in_words(sent));
        rows.push(Row::pair(lang.pick("Now", "Şu an"), text));
    }
    let firewall = value["system"]["firewall"]["status"] == "active";
    rows.push(Row::mood(
        lang.pick("Firewall", "Güvenlik duvarı"),
        Tone::fine(firewall),
        on(firewall, (text::ACTIVE, text::INACTIVE)),
    ));
    rows.push(Row::pair("WireGuard", words(&value["system"]["backend"])));
    rows
}

fn details(world: &AppContext) -> Vec<ScreenAction> {
    Report::for_call(
        world,
        DETAILS,
        ActionCall::new("core", "server_status"),
        detail_rows,
        ScreenAction::Push,
        |report| report,
    )
}

fn detail_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let (interface, configuration) = (&value["interface"], &value["configuration"]);
    let dns = answer::plain(&configuration["dns"], lang);
    let mut rows = vec![
        Row::Heading(lang.pick("Interface", "Arayüz").to_owned()),
        Row::pair(text::NAME.get(lang), words(&interface["interface"])),
        Row::pair(lang.pick("Public key", "Açık anahtar"), answer::plain(&interface["public_key"], lang)),
        Row::Blank,
        Row::Heading(lang.pick("Configuration", "Yapılandırma").to_owned()),
        Row::pair(lang.pick("VPN subnet", "VPN subneti"), words(&configuration["network"])),
        Row::pair("Port", format!("{}/udp", configuration["port"])),
        Row::pair("DNS", dns),
        Row::pair(lang.pick("File", "Dosya"), words(&configuration["config_file"])),
        Row::Blank,
        Row::Heading(lang.pick("Paths", "Yollar").to_owned()),
    ];
    let paths = [
        ("install_dir", lang.pick("Installation", "Kurulum")),
        ("config_dir", lang.pick("Configuration", "Yapılandırma")),
        ("data_dir", lang.pick("Data", "Veri")),
    ];
    rows.extend(paths.map(|(key, name)| Row::pair(name, words(&value["system"][key]))));
    let module = value["system"]["wireguard_module"] == true;
    let kernel = lang.pick("WireGuard in the kernel", "Çekirdekte WireGuard");
    rows.push(Row::pair(kernel, text::yes(lang, module)));
    let peers = interface["peers"].as_array().map_or(&[][..], Vec::as_slice);
    rows.push(Row::Blank);
    rows.push(Row::Heading(lang.pick("Peers", "Eşler").to_owned()));
    for peer in peers {
        let Some(key) = peer["public_key"].as_str() else {
            rows.push(Row::text(words(peer))); // how many more there are
            continue;
        };
        rows.push(Row::pair(key, words(&peer["allowed_ips"])));
        let known =
            [&peer["endpoint"], &peer["latest_handshake"]].map(|fact| fact.as_str().unwrap_or_default());
        if !known[1].is_empty() {
            let carried = |way: &str| peer["transfer"][way].as_str().unwrap_or("0 B").to_owned();
            let text = format!("{}  {}  ↓ {} ↑ {}", known[0], known[1], carried("received"), carried("sent"));
            rows.push(Row::pair("", text));
        }
    }
    rows
}

/// Asks how many lines, and shows the last ones.
pub(super) fn logs(world: &AppContext) -> Vec<ScreenAction> {
    let Some(spec) = world.spec("core", "service_logs") else { return Vec::new() };
    let form = Form::of_action(LOGS, &spec, |values, world| {
        let work = ActionCall { params: values, ..ActionCall::new("core", "service_logs") };
        Report::for_call(world, LOGS, work, log_rows, ScreenAction::Replace, Report::end_first)
    });
    vec![ScreenAction::Push(Box::new(form))]
}

fn log_rows(value: &Value, _: &AppContext) -> Vec<Row> {
    let lines = value["logs"].as_array().map_or(&[][..], Vec::as_slice);
    if lines.is_empty() {
        return vec![Row::text(value["message"].as_str().unwrap_or_default())];
    }
    lines.iter().filter_map(Value::as_str).map(|line| Row::Verbatim(line.to_owned())).collect()
}

/// Restart, start, stop.
pub(super) fn control(world: &AppContext) -> Vec<ScreenAction> {
    let action = |name: &'static str, why: fn(&AppContext) -> Option<Text>, cut: Option<Cut>| {
        let title = world.spec("core", name)?.summary;
        let item = item(world, ("core", name), title, move |world| {
            let go = move |world: &AppContext| {
                vec![call(world, ActionCall::new("core", name), |value, _| vec![say(&value)])]
            };
            match cut {
                None => go(world),
                Some(cut) => impact::ask(title.get(world.lang), Vec::new(), (cut, HandOut::Nothing), go),
            }
        })?;
        Some(item.unless(why))
    };
    let items = [
        action("restart_service", |_| None, Some(Cut::Briefly)),
        action("start_service", runs, None),
        action("stop_service", stands, Some(Cut::UntilStarted)),
    ];
    vec![ScreenAction::Push(Box::new(Menu::new(CONTROL, items.into_iter().flatten().collect())))]
}

/// Why it cannot be started.
fn runs(world: &AppContext) -> Option<Text> {
    const RUNS: Text = Text { en: "It is running", tr: "Zaten çalışıyor" };
    world.status.as_ref()?.running.then_some(RUNS)
}

/// Why it cannot be stopped.
fn stands(world: &AppContext) -> Option<Text> {
    const STANDS: Text = Text { en: "It is stopped", tr: "Zaten durdurulmuş" };
    (!world.status.as_ref()?.running).then_some(STANDS)
}

/// What the packet filter does for the VPN.
pub(super) fn firewall(world: &AppContext) -> Vec<ScreenAction> {
    Report::for_call(
        world,
        FIREWALL,
        ActionCall::new("core", "get_firewall_status"),
        firewall_rows,
        ScreenAction::Push,
        |report| report,
    )
}

fn firewall_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let state = |yes: bool| if yes { text::ACTIVE } else { text::INACTIVE }.get(lang).to_owned();
    let yes = |pointer: &str| value.pointer(pointer) == Some(&Value::Bool(true));
    let active = value["status"] == "active";
    let (nat, ufw) = (yes("/nat/enabled"), yes("/ufw/enabled"));
    let loaded = yes("/nftables/loaded");
    let listening = yes("/ports/listening");
    let table = value["nftables"]["table"].as_str().unwrap_or_default();
    let heads = [lang.pick("What", "Öğe"), text::STATE.get(lang), lang.pick("Detail", "Ayrıntı")];
    let line = |what: &str, mood: Tone, state: String, detail: String| {
        vec![(Tone::Plain, what.to_owned()), (mood, state), (Tone::Plain, detail)]
    };
    let table_state = if loaded { Tone::Good } else { Tone::Off };
    let forwarding = yes("/iptables/has_rules");
    let port = format!("{}/udp", value["ports"]["wireguard_port"]);
    let listens = if listening { ("open", "dinleniyor") } else { ("nobody listens", "dinleyen yok") };
    let mut rows = vec![
        Row::Table(
            heads.map(str::to_owned).into(),
            vec![
                line(
                    lang.pick("Firewall", "Güvenlik duvarı"),
                    Tone::fine(active),
                    state(active),
                    String::new(),
                ),
                line(
                    lang.pick("Forwarding", "Yönlendirme"),
                    Tone::fine(forwarding),
                    state(forwarding),
                    String::new(),
                ),
                line("NAT", Tone::fine(nat), state(nat), String::new()),
                line("nftables", table_state, state(loaded), table.to_owned()),
                line("ufw", Tone::on(ufw), state(ufw), String::new()),
                line("WireGuard", Tone::fine(listening), lang.pick(listens.0, listens.1).to_owned(), port),
            ],
        ),
        Row::Blank,
    ];
    for (pointer, title) in [
        ("/nat/rules", "NAT"),
        ("/iptables/nat_rules", "iptables nat"),
        ("/iptables/filter_rules", "iptables filter"),
        ("/ufw/rules", "ufw"),
    ] {
        let rules = value.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if !rules.is_empty() {
            rows.push(Row::Heading(title.to_owned()));
            rows.extend(rules.iter().filter_map(Value::as_str).map(|rule| Row::Verbatim(rule.to_owned())));
            rows.push(Row::Blank);
        }
    }
    rows
}

/// The plan, then what it takes.
pub(super) fn repair(world: &AppContext) -> Vec<ScreenAction> {
    vec![call(world, ActionCall::new("core", "reconcile").with("dry_run", "true"), |value, world| {
        let report = Report::new(REPAIR, plan_rows(&value, world.lang));
        if value["in_sync"] == true {
            return vec![ScreenAction::Push(Box::new(report))];
        }
        let sure = |world: &AppContext| {
            impact::ask(REPAIR.get(world.lang), Vec::new(), (Cut::Perhaps, HandOut::Nothing), |world| {
                vec![call(world, ActionCall::new("core", "reconcile"), |value, world| {
                    vec![
                        ScreenAction::Replace(Box::new(Report::new(REPAIR, plan_rows(&value, world.lang)))),
                        say(&value),
                    ]
                })]
            })
        };
        vec![ScreenAction::Push(Box::new(report.with_key('a', APPLY, sure)))]
    })]
}

fn plan_rows(value: &Value, lang: Lang) -> Vec<Row> {
    let in_sync = value["in_sync"] == true;
    let mood = if in_sync || value["dry_run"] == false { Tone::Good } else { Tone::Attention };
    let mut rows = vec![Row::Text(mood, words(&value["message"])), Row::Blank];
    if let Some(recovered) = value["recovered"].as_object() {
        let name = lang.pick("Interrupted change", "Yarıda kalan değişiklik");
        let what = |key: &str| recovered.get(key).and_then(Value::as_str).unwrap_or_default();
        let text = format!("{} {}: {}", what("module"), what("action"), what("outcome"));
        rows.push(Row::mood(name, Tone::Attention, text));
        rows.push(Row::Blank);
    }
    let steps = value["steps"].as_array().map_or(&[][..], Vec::as_slice);
    for step in steps {
        let Some(target) = step["target"].as_str() else {
            rows.push(Row::text(words(step)));
            continue;
        };
        let mood = match step["result"].as_str() {
            Some("applied") => Tone::Good,
            Some("failed") => Tone::Bad,
            _ => Tone::Attention,
        };
        rows.push(Row::Text(mood, format!("{}: {target}", words(&step["detail"]))));
    }
    rows
}
