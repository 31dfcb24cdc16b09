//! Words of the API that people read on a screen, in their language.
//!
//! The API never translates the words of programs: ages as `wg` writes them, names of backends, states of a test. On a screen
//! they are read by people. Only values that a screen shows and compares with nothing are changed.

use phantom_api::Lang;
use phantom_types::ago_in_turkish;
use serde_json::Value;

/// An answer as a screen shows it.
pub(crate) fn answer(mut value: Value, lang: Lang) -> Value {
    if lang == Lang::Tr {
        walk("", &mut value);
    }
    value
}

/// An age in the words of `wg`, in this language.
pub(crate) fn age(words: String, lang: Lang) -> String {
    match lang {
        Lang::En => words,
        Lang::Tr => ago_in_turkish(&words),
    }
}

/// A word that a parameter takes, as a form shows it.
pub(crate) fn choice(word: &str, lang: Lang) -> &str {
    match (lang, word) {
        (Lang::Tr, "auto") => "otomatik",
        (Lang::Tr, "kernel") => "çekirdek",
        (Lang::Tr, "embedded") => "gömülü",
        _ => word,
    }
}

fn walk(key: &str, value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| walk(key, value)),
        Value::Array(list) => list.iter_mut().for_each(|value| walk(key, value)),
        Value::String(text) => {
            if let Some(turkish) = turkish(key, text) {
                *text = turkish;
            }
        }
        _ => {}
    }
}

fn turkish(key: &str, text: &str) -> Option<String> {
    let word = match (key, text) {
        (_, "N/A") => "yok",
        ("latest_handshake" | "handshake", _) => return Some(ago_in_turkish(text)),
        ("started_at", _) => return without_weekday(text),
        ("backend", "kernel") => "çekirdek",
        ("backend", "embedded") => "gömülü",
        ("provider", "Unknown Provider") => "Bilinmeyen sağlayıcı",
        ("status", "OK") => "TAMAM",
        ("status", "FAILED") => "BAŞARISIZ",
        ("status", "TIMEOUT") => "ZAMAN AŞIMI",
        ("status", "ERROR") => "HATA",
        ("outcome", "completed") => "tamamlandı",
        ("outcome", "undone") => "geri alındı",
        ("outcome", "pending") => "bekliyor",
        ("interface" | "ip" | "network", "unknown") => "bilinmiyor",
        _ => return None,
    };
    Some(word.to_owned())
}

/// A time as systemd writes it, `Tue 2025-09-09 01:11:47 UTC`, without its English weekday.
fn without_weekday(text: &str) -> Option<String> {
    let (day, rest) = text.split_once(' ')?;
    let is_day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&day);
    is_day.then(|| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_turkish_and_identifiers_stay() {
        let value = json!({
            "service": { "started_at": "Tue 2025-09-09 01:11:47 UTC" },
            "peers": [{ "latest_handshake": "1 minute, 4 seconds ago" }, { "latest_handshake": "Now" }],
            "system": { "backend": "kernel" }, "provider": "Unknown Provider", "status": "TIMEOUT",
            "endpoint": "N/A",
            "state": "warning", "message": "kernel",
        });
        let turkish = answer(value.clone(), Lang::Tr);
        assert_eq!(turkish["service"]["started_at"], "2025-09-09 01:11:47 UTC");
        assert_eq!(turkish["peers"][0]["latest_handshake"], "1 dakika, 4 saniye önce");
        assert_eq!(turkish["peers"][1]["latest_handshake"], "Şimdi");
        assert_eq!(turkish["system"]["backend"], "çekirdek");
        assert_eq!(turkish["provider"], "Bilinmeyen sağlayıcı");
        assert_eq!(turkish["status"], "ZAMAN AŞIMI");
        assert_eq!(turkish["endpoint"], "yok");
        assert_eq!((&turkish["state"], &turkish["message"]), (&json!("warning"), &json!("kernel")));
        assert_eq!(answer(value.clone(), Lang::En), value);
    }
}
