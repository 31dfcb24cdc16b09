//! What the program says, against its sources.

use std::path::Path;

use super::*;

#[test]
fn an_authoritys_reason_is_told_in_turkish() {
    let refused = "the certificate authority refused to take an order: too many certificates (5) already issued (rateLimited)";
    assert_eq!(
        of_program(refused, Lang::Tr),
        "sertifika otoritesi reddetti (sipariş verilirken): «too many certificates (5) already issued» (rateLimited)"
    );
    assert_eq!(of_program(refused, Lang::En), refused);
    let validation = "the certificate authority did not find vpn.example.com here: tls-alpn-01: Timeout during connect; \
                      http-01: 127.0.0.1:80 cannot be listened on: Address already in use (os error 98)";
    assert_eq!(
        of_program(validation, Lang::Tr),
        "sertifika otoritesi vpn.example.com adını bu sunucuda bulamadı: tls-alpn-01: «Timeout during connect»; \
         http-01: 127.0.0.1:80 adresinde dinlenemiyor: adres kullanımda (hata 98)"
    );
}

#[test]
fn what_the_keeper_says_is_turkish() {
    for (en, tr) in [
        (
            "the certificate expires at 2025-09-15 01:11:47 UTC, in 2 days, and 3 attempts to renew it failed: \
             no answer within 30 seconds",
            "sertifikanın süresi 2025-09-15 01:11:47 UTC'de doluyor (2 gün sonra) ve 3 yenileme denemesi başarısız oldu: \
             30 saniye içinde yanıt yok",
        ),
        (
            "/x/fullchain.pem cannot be read: No such file or directory (os error 2)",
            "/x/fullchain.pem okunamıyor: böyle bir dosya veya dizin yok (hata 2)",
        ),
        (
            "no tunnel server answers at /run/x: Connection refused (os error 111); it was not renewed",
            "/run/x yolunda yanıt veren bir tünel sunucusu yok: bağlantı reddedildi (hata 111); yenilenmedi",
        ),
        ("words of somebody else", "«words of somebody else»"),
        ("", ""),
    ] {
        assert_eq!(of_program(en, Lang::Tr), tr, "{en}");
    }
}

/// The attributes `#[error("…")]` in these sources, with a name in each place.
fn sentences(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sentences(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            for (at, _) in source.match_indices("#[error(") {
                let behind = source[at + "#[error(".len()..].trim_start();
                if let Some(text) = behind.strip_prefix('"') {
                    found.push(filled(text));
                }
            }
        }
    }
}

/// A literal of a source up to its end, with `NAME` where something is filled in.
fn filled(literal: &str) -> String {
    let mut text = String::new();
    let mut chars = literal.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            // A line that goes on: the blanks of the next one are no part of it.
            '\\' if chars.peek() == Some(&'\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
            '{' => {
                while chars.next().is_some_and(|c| c != '}') {}
                text.push_str("NAME");
            }
            other => text.push(other),
        }
    }
    text
}

#[test]
fn every_sentence_of_the_program_has_its_turkish() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for dir in ["certs/src", "tunnel/src"] {
        sentences(&root.join(dir), &mut found);
    }
    assert!(found.len() > 80, "{found:?}");
    let missing: Vec<String> =
        found.into_iter().filter(|text| text != "NAME" && known(text).is_none()).collect();
    assert_eq!(missing, Vec::<String>::new(), "these have no line in sentences.rs");
}

#[test]
fn both_sentences_have_the_same_places() {
    let places = |mut text: &str| {
        let mut places = Vec::new();
        while let Some((_, place, behind)) = next_place(text) {
            places.push(place.to_owned());
            text = behind;
        }
        places.sort();
        places
    };
    for (en, tr) in SENTENCES {
        assert_eq!(places(en), places(tr), "{en}");
    }
}
