//! What the program says, against its sources.

use std::path::{Path, PathBuf};

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

/// The sources of the program.
fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
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
            '\\' => text.push(if chars.next() == Some('"') { '"' } else { '\n' }),
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
fn every_program_sentence_has_turkish() {
    let mut found = Vec::new();
    for dir in ["certs/src", "tunnel/src"] {
        sentences(&program().join(dir), &mut found);
    }
    assert!(found.len() > 80, "{found:?}");
    let missing: Vec<String> =
        found.into_iter().filter(|text| text != "NAME" && known(text, &[SENTENCES]).is_none()).collect();
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
    for (en, tr) in SENTENCES.iter().chain(PROBES) {
        assert_eq!(places(en), places(tr), "{en}");
    }
}

/// Where the program says something that is no error, and where it makes the texts of errors that have none of their own.
const SAY: [&str; 13] = [
    "cli.rs",
    "cli/certificates.rs",
    "cli/keep.rs",
    "cli/pages.rs",
    "cli/ports.rs",
    "cli/serve.rs",
    "cli/share.rs",
    "client/args.rs",
    "client/dial.rs",
    "client/verb.rs",
    "keep.rs",
    "privilege.rs",
    "verify.rs",
];
/// The prober.
const PROBER: [&str; 8] = [
    "probe.rs",
    "probe/http.rs",
    "probe/pace.rs",
    "probe/report.rs",
    "probe/shape.rs",
    "probe/tls.rs",
    "probe/web.rs",
    "probe/wire.rs",
];
/// What is no sentence of its own, or is not said to people.
const NO_SENTENCES: [&str; 11] = [
    // What joins two.
    ", then ",
    // What stands around a sentence.
    "phantom-ghost: NAME",
    "phantom-ghost: NAME; NAME `phantom-ghost --help`",
    // What follows in a sentence of its own.
    " by the proxy NAME",
    "a signal",
    "that of NAME",
    // JSON and HTTP.
    "Mann-Whitney U, two-sided, normal approximation with tie correction",
    "v1, authorization.bearer.NAME",
    "v1, authorization.bearer.a.b.c",
    "Invalid request",
    "Invalid protocol request",
];

/// The literals of a source that may be sentences: several words, on one line, in small letters. Its tests, comments and
/// attributes are passed over, and so are tables of both languages.
fn said(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines =
        code.lines().filter(|line| !line.trim_start().starts_with("//") && !line.contains("reason = "));
    let code = lines.collect::<Vec<_>>().join("\n").replace("'\"'", "' '");
    let (mut found, mut rest) = (Vec::new(), code.as_str());
    while let Some(at) = rest.find('"') {
        let (before, literal) = (&rest[..at], &rest[at + 1..]);
        let raw = before.ends_with("r#");
        let end = if raw { literal.find("\"#").unwrap() } else { end_of(literal) };
        // A name in front of it belongs to an attribute or to a text in both languages.
        let both = ["error(", "lang.pick(", "en: ", "tr: "]
            .iter()
            .any(|word| before.trim_end().ends_with(word.trim_end()));
        if !raw && !both {
            found.push(filled(&rest[at + 1..]));
        }
        rest = &literal[end + 1..];
    }
    let is_request = |text: &str| {
        text.starts_with("GET /")
            || text.starts_with("POST /")
            || (text.contains(" HTTP/") && text.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    let sentence = |text: &String| {
        text.trim().contains(' ')
            && text.contains(|c: char| c.is_ascii_lowercase())
            && !text.contains('\n')
            && !is_request(text)
            && !NO_SENTENCES.contains(&text.as_str())
    };
    found.retain(sentence);
    found
}

/// Where a literal ends.
fn end_of(literal: &str) -> usize {
    let mut escaped = false;
    let end = literal.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.expect("a literal ends")
}

fn unknown(files: &[&str], tables: &[&Table], least: usize) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let source = std::fs::read_to_string(program().join("tunnel/src").join(file)).unwrap();
        found.extend(said(&source).into_iter().map(|text| (*file, text)));
    }
    assert!(found.len() >= least, "{found:?}");
    // What is not known is quoted.
    let unknown =
        found.into_iter().filter(|(_, text)| turkish(text, tables).replace("«NAME»", "").contains('«'));
    unknown.map(|(file, text)| format!("{file}: {text}")).collect()
}

#[test]
fn all_program_output_has_turkish() {
    assert_eq!(unknown(&SAY, &[SENTENCES], 30), Vec::<String>::new(), "these have no line in sentences.rs");
    assert_eq!(
        unknown(&PROBER, &[PROBES, SENTENCES], 80),
        Vec::<String>::new(),
        "these have no line in probes.rs"
    );
}

#[test]
fn client_reports_tunnel_events_in_turkish() {
    for (en, tr) in [
        (
            "UDP 127.0.0.1:51820 leads to wss://vpn.example.com",
            "UDP 127.0.0.1:51820, wss://vpn.example.com sunucusuna çıkıyor",
        ),
        (
            "UDP 127.0.0.1:51820 leads to wss://vpn.example.com by the proxy http://192.0.2.1:3128",
            "UDP 127.0.0.1:51820, wss://vpn.example.com sunucusuna çıkıyor (http://192.0.2.1:3128 vekil sunucusu üzerinden)",
        ),
        (
            "tunnel to wss://vpn.example.com (192.0.2.7:443) is open",
            "wss://vpn.example.com sunucusuna tünel açık (192.0.2.7:443)",
        ),
        (
            "tunnel to wss://vpn.example.com ended after 7 s: the connection failed: Connection reset by peer (os error 104)",
            "wss://vpn.example.com sunucusuna tünel 7 saniye sonra sona erdi: bağlantı koptu: bağlantı karşı uçtan kesildi (hata 104)",
        ),
        ("next attempt in 1.5 s", "sonraki deneme 1.5 saniye sonra"),
        (
            "vpn.example.com could not be looked up: no address was found for it",
            "vpn.example.com çözümlenemedi: ona ait bir adres bulunamadı",
        ),
        ("--server is missing", "--server eksik"),
        (
            "--listen: invalid IPv4 socket address syntax",
            "--listen: IPv4 adresi ve port beklenir (ADRES:PORT)",
        ),
        (
            "--secret-file /x: No such file or directory (os error 2)",
            "--secret-file /x: böyle bir dosya veya dizin yok (hata 2)",
        ),
        ("unknown option \"--x\"", "bilinmeyen seçenek \"--x\""),
        (
            "standard input cannot be read: Is a directory (os error 21)",
            "standart girdi okunamıyor: bu bir dizin (hata 21)",
        ),
    ] {
        assert_eq!(of_program(en, Lang::Tr), tr, "{en}");
    }
}

#[test]
fn what_the_prober_sees_is_turkish() {
    for (en, tr) in [
        ("404, 5 bytes, then 200, 30 bytes", "404, 5 bayt, ardından 200, 30 bayt"),
        ("the same: 404, 5 bytes, then 200, 30 bytes", "aynı: 404, 5 bayt, ardından 200, 30 bayt"),
        (
            "404, 5 bytes, but an unknown URL 200, 3 bytes",
            "404, 5 bayt, ama bilinmeyen bir URL'de 200, 3 bayt",
        ),
        ("nothing, then the end", "yanıt yok, ardından bağlantı kapandı"),
        ("alert 70, then the end", "TLS uyarısı 70, ardından bağlantı kapandı"),
        ("404, 5 bytes: there is no Date", "404, 5 bayt: Date alanı yok"),
        (
            "HTTP/1.1 408 Request Timeout, closed after 10 s, and still open after 180 s",
            "HTTP/1.1 408 Request Timeout, 10 saniye sonra kapandı ve 180 saniye sonra hâlâ açık",
        ),
        ("Connection refused (os error 111)", "bağlantı reddedildi (hata 111)"),
        ("received fatal alert: HandshakeFailure", "«received fatal alert: HandshakeFailure»"),
    ] {
        assert_eq!(of_prober(en, Lang::Tr), tr, "{en}");
    }
    // Of others' words it is not said as if they were ours.
    assert_eq!(of_program("busy, then the end", Lang::Tr), "«busy, then the end»");
}
