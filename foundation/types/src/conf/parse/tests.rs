//! Tests of the reader: files as providers and programs write them, and everything that is wrong.

use super::*;
use crate::conf::ConfFault;
use crate::{DomainError, EndpointError, HostName};
use ipnetwork::IpNetwork;
use proptest::prelude::*;

use corpus::{CORPUS, FAULTS};

mod corpus;

const PRIVATE: &str = "INPOjXGUqhzPsS4rE65U7Ao6UXdhXNqwDoQz8HgD53s=";
const PUBLIC: &str = "Y/V6vf2w+AWpqz3h6DYAOHuW3ZJ3vZ0jSc8D0edVthw=";
const PRESHARED: &str = "y43/xUvLJBHe7RvsGFoHnURcTzWwrEOcJxx/tT+GQVo=";

/// Puts the keys in place of `{private}`, `{public}` and `{psk}`.
fn with_keys(text: &str) -> String {
    text.replace("{private}", PRIVATE).replace("{public}", PUBLIC).replace("{psk}", PRESHARED)
}

fn read(text: &str) -> Result<Parsed, ConfError> {
    parse(&with_keys(text))
}

/// The facts of a configuration on one line, secrets checked and left out.
fn facts(text: &str) -> String {
    let parsed = read(text).unwrap_or_else(|error| panic!("{error:?} in {text}"));
    assert_eq!(parsed.private_key.reveal().as_str(), PRIVATE);
    assert_eq!(parsed.public_key.to_string(), PUBLIC);
    assert!(parsed.preshared_key.as_ref().is_none_or(|key| key.reveal().as_str() == PRESHARED));
    let list = |items: Vec<String>| items.join(" ");
    format!(
        "{}|{}|{:?}|{}|{}|{}|{:?}|{}",
        list(parsed.address.iter().map(ToString::to_string).collect()),
        list(parsed.address6.iter().map(ToString::to_string).collect()),
        parsed.mtu,
        if parsed.preshared_key.is_some() { "psk" } else { "" },
        parsed.endpoint,
        list(parsed.allowed_ips.iter().map(ToString::to_string).collect()),
        parsed.keepalive,
        list(
            parsed.ignored.iter().map(|line| format!("{}@{}={:?}", line.key, line.line, line.kind)).collect()
        ),
    )
}

#[test]
fn every_dialect_of_the_corpus_is_read() {
    for (text, expected) in CORPUS {
        assert_eq!(facts(text), expected, "{text}");
    }
}

#[test]
fn line_ends_do_not_matter() {
    for (text, expected) in CORPUS {
        let unix = text.replace("\r\n", "\n");
        assert_eq!(facts(&unix), expected);
        assert_eq!(facts(&unix.replace('\n', "\r\n")), expected);
        assert_eq!(facts(&format!("\u{feff}{}", unix.trim_start_matches('\u{feff}'))), expected);
    }
}

#[test]
fn comments_tell_the_provider() {
    let text = "# My ProtonVPN file\n[Interface] ; Hide.me\nPrivateKey = {private} # proton   vpn\nAddress = 10.0.0.2/24\n\
        PostUp = echo ovpn; echo ivpn # Warp\n#PrivateKey = secret\n[Peer]\nPublicKey = {public};azirevpn\n\
        Endpoint = 192.0.2.1:1\nAllowedIPs = 0.0.0.0/0\nX = mullvad\n# Türkçe-Windscribe\n";
    let comments = read(text).unwrap().comments;
    for word in [
        "protonvpn",
        "ProtonVPN",
        "my protonvpn",
        "hide.me",
        "warp",
        "azirevpn",
        "windscribe",
        "türkçe",
        "proton vpn",
        "proton",
    ] {
        assert!(comments.mention(word), "{word}");
    }
    for word in ["", "roton", "my proton", "vp", "ovpn", "ivpn", "mullvad", "scribe", "e.me", "secret word"] {
        assert!(!comments.mention(word), "{word}");
    }
    assert_eq!(format!("{comments:?}"), "(7 hidden)");
}

/// A good file, in which single lines are replaced or added.
const GOOD: [&str; 9] = [
    "[Interface]",
    "PrivateKey = {private}",
    "Address = 10.0.0.2/24",
    "MTU = 1420",
    "[Peer]",
    "PublicKey = {public}",
    "PresharedKey = {psk}",
    "Endpoint = 192.0.2.1:51820",
    "AllowedIPs = 0.0.0.0/0",
];

/// The error when line `at` of the good file is replaced.
fn replaced(at: usize, line: &str) -> ConfError {
    let mut lines = GOOD;
    lines[at - 1] = line;
    read(&lines.join("\n")).expect_err(line)
}

#[test]
fn unusable_line_is_named_with_key() {
    for (at, line, key, fault) in FAULTS {
        let error = replaced(at, line);
        assert_eq!(error, ConfError::Line { line: at, key, fault }, "{line}");
        assert_eq!((error.line(), error.key()), (Some(at), key));
    }
    let ascii = "xn--mnchen-3ya.de".to_owned();
    let international = ConfFault::Endpoint(EndpointError::Host(DomainError::International { ascii }.into()));
    let error = replaced(8, "Endpoint = münchen.de:51820");
    assert_eq!(error, ConfError::Line { line: 8, key: Some("Endpoint"), fault: international });
}

#[test]
fn file_of_another_kind_is_named() {
    for (text, kind, line) in [
        ("[connection]\nid=wg0\n\n[wireguard]\nprivate-key={private}\n", FileKind::NetworkManager, 1),
        ("config interface 'wg0'\n\toption private_key '{private}'\n", FileKind::Uci, 1),
        ("\u{feff}wireguard://{private}@192.0.2.1:51820", FileKind::WireGuardLink, 1),
        ("{\"private_key\": \"{private}\"}", FileKind::Json, 1),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(error, ConfError::Line { line, key: None, fault: ConfFault::OtherKind(kind) }, "{text}");
    }
    // What can be read is never taken for something else.
    let odd = GOOD.join("\n").replace("MTU = 1420", "# [connection]\n#client");
    assert!(read(&odd).is_ok());
}

#[test]
fn what_is_missing_is_named() {
    let empty = |key| ConfError::Missing { key, line: None };
    assert_eq!(read("").unwrap_err(), empty("[Interface]"));
    assert_eq!(read("# nothing\n").unwrap_err(), empty("[Interface]"));
    assert_eq!(read(&GOOD[..4].join("\n")).unwrap_err(), empty("[Peer]"));
    assert_eq!(read(&GOOD[4..].join("\n")).unwrap_err(), empty("[Interface]"));
    for (at, key, line) in [
        (2, "PrivateKey", 1),
        (3, "Address", 1),
        (6, "PublicKey", 5),
        (8, "Endpoint", 5),
        (9, "AllowedIPs", 5),
    ] {
        let error = replaced(at, "#");
        assert_eq!(error, ConfError::Missing { key, line: Some(line) });
        assert_eq!(error.to_string(), format!("{key} is missing"));
    }
}

/// Every text that an error or the list of ignored lines can show.
fn shown(result: &Result<Parsed, ConfError>) -> String {
    use std::error::Error;
    let mut text = format!("{result:?}");
    if let Err(error) = result {
        let mut cause: Option<&dyn Error> = Some(error);
        while let Some(error) = cause {
            text.push_str(&error.to_string());
            cause = error.source();
        }
    }
    text
}

#[test]
fn errors_never_show_a_secret() {
    let half = PRIVATE.split_at(22);
    for line in [
        format!("PrivateKey = {PRIVATE}"),
        format!("PrivateKey {PRIVATE}"),
        format!("PrivateKey{PRIVATE}"),
        format!("Private_Key = {PRIVATE}"),
        format!("PrivateKey: {PRIVATE}"),
        PRIVATE.to_owned(),
        PRIVATE.trim_end_matches('=').to_owned(),
        format!("PrivateKey = {}\n{}", half.0, half.1),
        format!("PrivateKey = {}\\\n  {}", half.0, half.1),
        format!("PrivateKey =\n{PRIVATE}"),
        half.0.to_owned(),
        half.1.to_owned(),
        format!("Address = {PRIVATE}"),
        format!("MTU = {PRIVATE}"),
        format!("PostUp = wg set wg0 private-key {PRIVATE}"),
        format!("# PrivateKey = {PRIVATE}"),
        format!("[{PRIVATE}]"),
        format!("[Peer]\nEndpoint = {PRIVATE}"),
        format!("[Peer]\nAllowedIPs = {PRIVATE}"),
        format!("[Peer]\nPersistentKeepalive = {PRIVATE}"),
        format!("[Peer]\nPublicKey = {PRIVATE}="),
        format!("[Peer]\nPresharedKey = {PRIVATE}="),
    ] {
        for file in
            [format!("[Interface]\n{line}\n"), GOOD.join("\n").replacen(GOOD[2], &line, 1), line.clone()]
        {
            let text = shown(&parse(&with_keys(&file)));
            assert!(!text.contains(&half.0[..8]) && !text.contains(&half.1[..8]), "{line}: {text}");
        }
    }
}

#[test]
fn messages_read_well() {
    let chain = |error: &ConfError| {
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        format!("{error}: {cause}")
    };
    assert_eq!(
        chain(&replaced(2, "PrivateKey = x")),
        "line 2, PrivateKey: not a key: the base64 of 32 bytes (44 characters)"
    );
    assert_eq!(chain(&replaced(2, "x")), "line 2: neither a section nor 'Key = value'");
    assert_eq!(
        chain(&replaced(8, "Endpoint = 192.0.2.1")),
        "line 8, Endpoint: an end point ends in ':' and a port of 1 to 65535"
    );
}

/// Lines that mean something and lines that nearly do.
fn line() -> impl Strategy<Value = String> {
    let keys = "(PrivateKey|address|MTU|PublicKey|PresharedKey|Endpoint|allowedips|PersistentKeepalive|DNS|PostUp|X)";
    let values = "[-0-9a-fA-F:./, =+#;\\[\\]x]{0,30}";
    prop_oneof![
        Just("[Interface]".to_owned()),
        Just("[Peer]".to_owned()),
        prop::sample::select(GOOD.to_vec()).prop_map(with_keys),
        (keys, values).prop_map(|(key, value)| format!("{key} = {value}")),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn any_lines_parse_without_panic(lines in prop::collection::vec(line(), 0..20)) {
        let text = lines.join("\n");
        match parse(&text) {
            Ok(parsed) => {
                prop_assert!(!parsed.address.is_empty() && !parsed.allowed_ips.is_empty() && parsed.endpoint.port > 0);
                prop_assert!(parsed.allowed_ips.iter().all(|net| net.ip() == net.network()));
            }
            Err(error) => {
                let count = text.lines().count();
                prop_assert!(error.line().is_none_or(|line| (1..=count).contains(&line)));
            }
        }
    }

    /// A good file stays good when its lines are moved within their sections and decorated with noise.
    #[test]
    fn order_and_noise_do_not_matter(
        interface in Just(GOOD[1..4].to_vec()).prop_shuffle(), peer in Just(GOOD[5..].to_vec()).prop_shuffle(),
        peer_first: bool, blank in "[ \t]{0,3}", comment in "([#;][a-z #;=\\[\\]]{0,9})?", upper: bool,
    ) {
        let mut sections = [(GOOD[0], interface), (GOOD[4], peer)];
        if peer_first {
            sections.reverse();
        }
        let mut text = String::new();
        for line in sections.into_iter().flat_map(|(head, lines)| std::iter::once(head).chain(lines)) {
            let (name, value) = line.split_once('=').map_or((line, String::new()), |(name, value)| (name, format!("={value}")));
            let name = if upper { name.to_uppercase() } else { name.to_lowercase() };
            let noisy = format!("{blank}{name}{blank}{value}{blank}{comment}\n{comment}\n");
            text.push_str(&noisy);
        }
        let parsed = read(&text).unwrap();
        let plain = read(&GOOD.join("\n")).unwrap();
        prop_assert_eq!(Parsed { comments: Comments::default(), ..parsed }, plain);
    }

    #[test]
    fn every_end_point_that_exists_is_read(host in "[a-z]{1,9}\\.[a-z]{2,9}", port in 1u16.., v6: u128) {
        for endpoint in [
            Endpoint::new(HostName::Domain(host.parse().unwrap()), port),
            Endpoint::new(HostName::Ip(IpNetwork::from(std::net::IpAddr::V6(v6.into())).ip()), port),
        ] {
            let text = GOOD.join("\n").replace("192.0.2.1:51820", &endpoint.to_string());
            prop_assert_eq!(read(&text).unwrap().endpoint, endpoint);
        }
    }
}
