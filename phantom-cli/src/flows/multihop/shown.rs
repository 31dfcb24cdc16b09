//! What the screens of Multihop show.

use phantom_types::{ago, bytes_in_words};
use serde_json::Value;

use super::super::answer;
use super::string;
use crate::rows::Row;
use crate::screen::AppContext;
use crate::spoken;
use crate::text;
use crate::theme::Tone;

/// That the way through an exit is open, and what that means.
pub(super) fn enabled_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let mut rows = vec![
        Row::Text(Tone::Good, string(&value["message"])),
        Row::Blank,
        Row::pair(lang.pick("Exit", "Çıkış"), string(&value["exit_name"])),
        Row::pair(lang.pick("Traffic", "Trafik"), string(&value["traffic_flow"])),
        kill_switch(value, world),
    ];
    if let Some(before) = value["previous_exit"].as_str() {
        rows.push(Row::pair(lang.pick("Exit before", "Önceki çıkış"), before));
    }
    rows.push(Row::pair(lang.pick("Between clients", "İstemciler arası"), string(&value["peer_access"])));
    rows
}

fn kill_switch(value: &Value, world: &AppContext) -> Row {
    let lang = world.lang;
    let closed = value["kill_switch"] == true;
    let mood = if closed { Tone::Good } else { Tone::Attention };
    let without = lang.pick(
        "Off: without the exit traffic leaves through this server",
        "Kapalı: çıkış yoksa trafik bu sunucudan çıkar",
    );
    let with = lang.pick("On: without the exit nothing leaves", "Açık: çıkış yoksa hiçbir şey çıkmaz");
    Row::mood("Kill switch", mood, if closed { with } else { without })
}

/// Whether the last question that went through the exit was answered.
fn proof(value: &Value, world: &AppContext) -> Option<Row> {
    let (lang, proof) = (world.lang, value["service_proof"].as_object()?);
    let (asked, age) = (proof["asked"].as_str()?, ago(proof["age_seconds"].as_u64()?));
    let age = spoken::age(age, lang);
    let passed = proof["passed"] == true;
    let mood = if passed { Tone::Good } else { Tone::Bad };
    let said =
        if passed { lang.pick("answered", "yanıt verdi") } else { lang.pick("no answer", "yanıt yok") };
    Some(Row::mood(lang.pick("Last proof", "Son kanıt"), mood, format!("{asked}: {said} ({age})")))
}

/// Where the traffic goes, the exit's interface, and who watches it.
pub(super) fn status_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let on = value["enabled"] == true;
    let state = if on { text::ACTIVE } else { text::INACTIVE };
    let mut rows = vec![Row::mood("Multihop", Tone::on(on), state.get(lang))];
    rows.push(Row::pair(lang.pick("Traffic", "Trafik"), string(&value["traffic_flow"])));
    if !on {
        rows.push(Row::pair(
            lang.pick("Imported exits", "İçe aktarılmış çıkışlar"),
            answer::plain(&value["available_configs"], lang),
        ));
        return rows;
    }
    rows.push(Row::pair(lang.pick("Exit", "Çıkış"), string(&value["active_exit"])));
    if let Some(chosen) = value["chosen_exit"].as_str() {
        let label = lang.pick("Takes the place of", "Yerine geçtiği");
        rows.push(Row::mood(label, Tone::Attention, chosen));
    }
    if !value["fallback_exits"].is_null() {
        let label = lang.pick("May be replaced by", "Yerine geçebilecekler");
        rows.push(Row::pair(label, answer::plain(&value["fallback_exits"], lang)));
    }
    rows.push(kill_switch(value, world));
    for missing in value["missing_walls"].as_array().into_iter().flatten() {
        rows.push(Row::mood(lang.pick("Not in force", "Yürürlükte değil"), Tone::Bad, string(missing)));
    }
    rows.extend(proof(value, world));
    rows.push(Row::Blank);
    rows.extend(interface_rows(&value["vpn_interface"], world));
    let watched = value["monitor_status"]["monitoring"] == true;
    let running = if watched { text::RUNNING } else { text::STOPPED };
    rows.push(Row::mood(lang.pick("Monitor", "İzleyici"), Tone::fine(watched), running.get(lang)));
    rows
}

fn interface_rows(link: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let label = lang.pick("Interface", "Arayüz");
    if link["active"] != true {
        return vec![Row::mood(label, Tone::Bad, string(&link["error"]))];
    }
    let bytes = |key: &str| bytes_in_words(link[key].as_u64().unwrap_or_default());
    let mut rows = vec![
        Row::mood(label, Tone::Good, string(&link["interface"])),
        Row::pair(lang.pick("Endpoint", "Uç nokta"), string(&link["endpoint"])),
    ];
    let handshake = lang.pick("Last handshake", "Son el sıkışma");
    rows.push(match link["handshake"].as_str() {
        Some(age) => Row::pair(handshake, age),
        None => Row::mood(handshake, Tone::Bad, lang.pick("None yet", "Henüz yok")),
    });
    let transfer = format!("↓ {}  ↑ {}", bytes("rx_bytes"), bytes("tx_bytes"));
    rows.push(Row::pair(lang.pick("Transfer", "Aktarım"), transfer));
    rows
}

pub(super) fn exit_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let exits = value["exits"].as_array().map_or(&[][..], Vec::as_slice);
    if exits.is_empty() {
        return vec![Row::text(none(world))];
    }
    let heads = [
        text::NAME.get(lang),
        text::STATE.get(lang),
        lang.pick("Endpoint", "Uç nokta"),
        lang.pick("Provider", "Sağlayıcı"),
    ];
    let line = |exit: &Value| {
        let active = exit["active"] == true;
        let state = if active { text::ACTIVE } else { text::INACTIVE };
        vec![
            (Tone::Plain, string(&exit["name"])),
            (Tone::on(active), state.get(lang).to_owned()),
            (Tone::Plain, string(&exit["endpoint"])),
            (Tone::Plain, string(&exit["provider"])),
        ]
    };
    vec![Row::Table(heads.map(str::to_owned).into(), exits.iter().map(line).collect())]
}

pub(super) fn test_rows(value: &Value, world: &AppContext) -> Vec<Row> {
    let lang = world.lang;
    let passed = value["all_tests_passed"] == true;
    let mut rows = vec![
        Row::Text(Tone::fine(passed), string(&value["message"])),
        Row::Blank,
        Row::pair(lang.pick("Exit", "Çıkış"), string(&value["exit_name"])),
        Row::pair(lang.pick("Endpoint", "Uç nokta"), string(&value["endpoint"])),
        Row::Blank,
    ];
    // Two of the six stand for the same thing under an older name.
    let names = [
        ("network_connectivity", lang.pick("Exit reachable", "Çıkışa ulaşılıyor")),
        ("vpn_interface", lang.pick("Interface", "Arayüz")),
        ("wireguard_handshake", lang.pick("Handshake", "El sıkışma")),
        ("ip_check", lang.pick("Clients' packets leave through it", "İstemci paketleri buradan çıkıyor")),
    ];
    for (key, name) in names {
        let good = value["tests"][key]["passed"] == true;
        rows.push(Row::mood(name, Tone::fine(good), text::yes(lang, good)));
    }
    rows
}

pub(super) fn none(world: &AppContext) -> String {
    world.lang.pick("No exit has been imported", "İçe aktarılmış çıkış yok").to_owned()
}

pub(super) fn log_rows(value: &Value, _: &AppContext) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(message) = value["message"].as_str() {
        rows.extend([Row::Text(Tone::Off, message.to_owned()), Row::Blank]);
    }
    for line in value["log_lines"].as_array().into_iter().flatten() {
        let mood = match line["level"].as_str() {
            Some("SUCCESS") => Tone::Good,
            Some("WARNING") => Tone::Attention,
            Some("ERROR") => Tone::Bad,
            _ => Tone::Off,
        };
        let text = format!("{}  {}", string(&line["timestamp"]), string(&line["message"]));
        rows.push(Row::Text(mood, text));
    }
    rows
}
