//! Ghost Mode.

use phantom_api::Text;
use serde_json::Value;

use super::impact::{self, Cut, HandOut};
use super::{answer, call, clients, item, more_items, run, say, warnings};
use crate::rows::Row;
use crate::screen::{AppContext, Screen, ScreenAction};
use crate::screens::{Field, Form, Item, Menu, Report, Values};
use crate::status::GhostState;
use crate::text;
use crate::theme::Tone;
use crate::work::{ActionCall, Work, WorkResult};
use phantom_module::{ParameterKind, parameters};

pub(super) const TITLE: Text = Text { en: "Ghost Mode", tr: "Ghost Mode" };
const SHOWN: [&str; 3] = ["enable", "disable", "status"];
const ENABLE: Text = Text { en: "Enable", tr: "Etkinleştir" };
const DISABLE: Text = Text { en: "Disable", tr: "Devre Dışı Bırak" };
const STATUS: Text = Text { en: "Status", tr: "Durum" };
pub(super) const EXPORT: Text = Text { en: "Export for Client", tr: "İstemci İçin Dışa Aktar" };

/// The menu of Ghost Mode.
pub(super) fn menu(world: &AppContext) -> Menu {
    let ghost = |action| ("ghost", action);
    let items = [
        item(world, ghost("enable"), ENABLE, enable).map(|item| item.unless(on)),
        item(world, ghost("disable"), DISABLE, disable).map(|item| item.unless(off)),
        item(world, ghost("status"), STATUS, |world| {
            Report::for_call(
                world,
                STATUS,
                ActionCall::new("ghost", "status"),
                status_rows,
                ScreenAction::Push,
                Report::live,
            )
        }),
        item(world, ghost("status"), EXPORT, export).map(|item| item.unless(off)),
    ];
    let mut items: Vec<Item> = items.into_iter().flatten().collect();
    items.extend(more_items(world, "ghost", &SHOWN));
    Menu::new(TITLE, items)
}

fn state(world: &AppContext) -> Option<GhostState> {
    world.status.as_ref()?.ghost
}

/// Whether clients can connect through the tunnel only.
pub(super) fn is_on(world: &AppContext) -> bool {
    state(world).is_some_and(|state| state != GhostState::Off)
}

/// Why it cannot be turned on.
fn on(world: &AppContext) -> Option<Text> {
    const ON: Text = Text {
        en: "It is on; disable it first to change domain or certificate",
        tr: "Açık; alan adını veya sertifikayı değiştirmek için önce devre dışı bırakın",
    };
    is_on(world).then_some(ON)
}

/// Why nothing that needs it can be done.
fn off(world: &AppContext) -> Option<Text> {
    const OFF: Text = Text { en: "Ghost Mode is off", tr: "Ghost Mode kapalı" };
    (state(world) == Some(GhostState::Off)).then_some(OFF)
}

/// Where the certificate comes from, then the domain.
fn enable(_: &AppContext) -> Vec<ScreenAction> {
    const AUTOMATIC: Text = Text { en: "Automatic certificate", tr: "Otomatik sertifika" };
    const AUTOMATIC_ABOUT: Text = Text {
        en: "From Let's Encrypt; renews itself. The domain must point to this server.",
        tr: "Let's Encrypt'ten alınır, kendini yeniler. Alan adı bu sunucuya işaret etmelidir.",
    };
    const OWN: Text = Text { en: "Own certificate", tr: "Kendi sertifikam" };
    const OWN_ABOUT: Text = Text {
        en: "Files that you keep up to date.",
        tr: "Güncelliğini sizin sağladığınız dosyalar.",
    };
    const SELF: Text = Text { en: "Self-signed certificate", tr: "Kendinden imzalı sertifika" };
    const SELF_ABOUT: Text = Text {
        en: "For tests only: nobody can tell this server from another one.",
        tr: "Yalnızca test için: bu sunucu bir başkasından ayırt edilemez.",
    };
    let items = vec![
        Item::new(AUTOMATIC, |world| ask(world, AUTOMATIC, &["domain", "skip_dns_check"], false))
            .about(AUTOMATIC_ABOUT),
        Item::new(OWN, |world| {
            ask(world, OWN, &["domain", "cert_path", "key_path", "skip_dns_check"], false)
        })
        .about(OWN_ABOUT),
        Item::new(SELF, |world| ask(world, SELF, &["domain", "skip_dns_check"], true)).about(SELF_ABOUT),
    ];
    vec![ScreenAction::Push(Box::new(Menu::new(ENABLE, items)))]
}

fn ask(world: &AppContext, source: Text, names: &[&str], self_signed: bool) -> Vec<ScreenAction> {
    let Some(spec) = world.spec("ghost", "enable") else { return Vec::new() };
    let form = Form::of_some(source, &spec, names, move |mut values, world| {
        if self_signed {
            values.push(("self_signed".to_owned(), "true".to_owned()));
        }
        summary(world, source, values)
    });
    let about = world.lang.pick(
        "Ghost Mode carries WireGuard inside HTTPS: to a stranger this server is an ordinary web site on port 443. \
         While it is on, clients connect through it only, with a configuration of its own. Without a domain, give \
         the server's address.",
        "Ghost Mode, WireGuard'ı HTTPS içinde taşır: dışarıdan bakan için bu sunucu 443 portunda sıradan bir web \
         sitesidir. Açıkken istemciler yalnızca onun üzerinden, ona özel bir yapılandırmayla bağlanır. \
         Alan adınız yoksa sunucunun adresini verin.",
    );
    vec![ScreenAction::Push(Box::new(form.intro(vec![Row::text(about)])))]
}

fn summary(world: &AppContext, source: Text, values: Values) -> Vec<ScreenAction> {
    let lang = world.lang;
    let mut lines = vec![source.get(lang).to_owned()];
    let spec = world.spec("ghost", "enable");
    let params = spec.as_ref().map(parameters).unwrap_or_default();
    lines.extend(values.iter().filter(|(name, _)| name != "self_signed").map(|(name, value)| {
        let param = params.iter().find(|param| param.name == *name);
        let label = param.map_or(name.as_str(), |param| param.help(lang));
        let value = match value.as_str() {
            "true" => text::yes(lang, true),
            other => other.to_owned(),
        };
        format!("{label}: {value}")
    }));
    let title = world.summary("ghost", "enable");
    impact::ask(title, lines, (Cut::UntilHandedOut, HandOut::Configurations), move |world| {
        let work = ActionCall { params: values, ..ActionCall::new("ghost", "enable") };
        vec![call(world, work, |value, world| {
            let mut rows = status_rows(&value, world);
            let next = world.lang.pick(
                "Next: Export for Client, and hand each client its new configuration.",
                "Sonraki adım: İstemci İçin Dışa Aktar; her istemciye yeni yapılandırmasını iletin.",
            );
            rows.push(Row::Blank);
            rows.push(Row::Text(Tone::Attention, next.to_owned()));
            // The form and the choice of the certificate are past.
            vec![
                ScreenAction::Pop,
                ScreenAction::Pop,
                ScreenAction::Push(Box::new(Report::new(STATUS, rows))),
            ]
        })]
    })
}

/// The answer of `enable` or of `status`.
fn status_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let string = |value: &Value| answer::plain(value, lang);
    let (mood, state) = match value["status"].as_str() {
        Some("active") => (Tone::Good, text::ACTIVE.get(lang)),
        Some("inactive") => (Tone::Off, text::INACTIVE.get(lang)),
        _ => (Tone::Bad, lang.pick("The tunnel does not serve", "Tünel hizmet vermiyor")),
    };
    let mut rows = vec![Row::mood(text::STATE.get(lang), mood, state)];
    if value["domain"].is_null() {
        return rows;
    }
    let certificate = &value["certificate"];
    let source = match certificate["source"].as_str() {
        Some("acme") => lang.pick("automatic (ACME)", "otomatik (ACME)"),
        Some("operator") => lang.pick("own files", "kendi dosyalarınız"),
        Some("web_server") => lang.pick("the web server in front", "öndeki web sunucusu"),
        _ => lang.pick("self-signed", "kendinden imzalı"),
    };
    rows.extend([
        Row::pair(lang.pick("Domain", "Alan adı"), string(&value["domain"])),
        Row::pair(
            lang.pick("Server", "Sunucu"),
            format!("{}, {}/tcp", string(&value["server_ip"]), value["port"]),
        ),
        Row::pair(lang.pick("Since", "Başlangıç"), string(&value["activated_at"])),
        Row::pair(lang.pick("Secret", "Gizli anahtar"), string(&value["secret"])),
        Row::Blank,
        Row::Heading(lang.pick("Certificate", "Sertifika").to_owned()),
        Row::pair(lang.pick("Source", "Kaynak"), source),
        Row::pair(lang.pick("Valid until", "Geçerlilik sonu"), string(&certificate["expires_at"])),
    ]);
    if let Some(error) = certificate["last_error"].as_str() {
        rows.push(Row::mood(lang.pick("Last error", "Son hata"), Tone::Bad, error));
    }
    rows.extend([
        Row::Blank,
        Row::Heading(lang.pick("Command of the tunnel", "Tünel komutu").to_owned()),
        Row::Verbatim(string(&value["connection_command"])),
    ]);
    rows.extend(warnings(value));
    rows
}

fn disable(world: &AppContext) -> Vec<ScreenAction> {
    let title = world.summary("ghost", "disable");
    impact::ask(title, Vec::new(), (Cut::UntilOrdinary, HandOut::Ordinary), |world| {
        vec![call(world, ActionCall::new("ghost", "disable"), |value, _| vec![say(&value)])]
    })
}

/// Asks which client, and shows what it runs and loads while Ghost Mode is on.
fn export(_: &AppContext) -> Vec<ScreenAction> {
    let field = Field::text("client_name", text::CLIENT_NAME, ParameterKind::ClientLookup, "");
    let form = Form::new(EXPORT, vec![field], |values, _| {
        let client = values.into_iter().next().map(|(_, name)| name).unwrap_or_default();
        vec![export_for(client, ScreenAction::Replace)]
    });
    vec![ScreenAction::Push(Box::new(form))]
}

/// What this client runs and loads, on top of the screen there is or in place of it.
pub(super) fn export_for(client: String, place: fn(Box<dyn Screen>) -> ScreenAction) -> ScreenAction {
    let work = Work::Casper { client: client.clone() };
    run(client.clone(), work, move |reply, _| match reply {
        WorkResult::Casper { text, config, file } => {
            let rows = vec![Row::Verbatim(text.to_string())];
            let report = clients::with_code(EXPORT, rows, client, file, config.to_string());
            vec![place(Box::new(report))]
        }
        _ => Vec::new(),
    })
}
