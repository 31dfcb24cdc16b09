//! The request of a real client, and everything that may be wrong with it.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::request::{Parsed, parse};
use crate::secrets::{Secret, SecretSet};

const SECRET: &str = "Ui1RVMCxicaByr7C5XrgqS5yCilLmkCAXMcF8oZP4ZcVkQAvZhRCht3hsHeJENac";

/// A request as wstunnel writes it, with its lines changed by `change`.
fn request(change: impl Fn(&mut Vec<String>)) -> String {
    let claims = r#"{"id":"x","p":{"Udp":{"timeout":null}},"r":"127.0.0.1","rp":51820}"#;
    let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
    let mut lines = vec![
        format!("GET /{SECRET}/events HTTP/1.1"),
        "host: vpn.example".to_owned(),
        "upgrade: websocket".to_owned(),
        "connection: upgrade".to_owned(),
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
        "sec-websocket-version: 13".to_owned(),
        format!("sec-websocket-protocol: v1, authorization.bearer.{token}"),
    ];
    change(&mut lines);
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

fn decided(text: &str) -> Option<Request> {
    let Parsed::Complete(head, _) = parse(text.as_bytes()) else { panic!("{text}") };
    let secrets: SecretSet = [&Secret::new(SECRET.into()).unwrap()].into_iter().collect();
    decide(&head, |candidate| secrets.find(candidate), 51820)
}

#[test]
fn the_real_request_is_served() {
    let request = decided(&request(|_| {})).unwrap();
    let answer = request.answer("Sun, 06 Nov 1994 08:49:37 GMT");
    assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
    assert!(answer.ends_with("\r\nSec-WebSocket-Protocol: v1\r\n\r\n"), "{answer}");
}

#[test]
fn cookie_token_is_served_without_subprotocol() {
    let text = request(|lines| {
        lines[6] = lines[6].replace("sec-websocket-protocol: v1, authorization.bearer.", "cookie: ");
    });
    assert!(!decided(&text).unwrap().answer("").contains("Protocol:"));
}

#[test]
fn whatever_is_wrong_the_answer_is_none() {
    let start = format!("/{SECRET}/events");
    let changes: Vec<(usize, &str, String)> = vec![
        (0, &start, "/events".into()),
        (0, &start, format!("/{SECRET}/events/")),
        (0, &start, format!("/{SECRET}/x/events")),
        (0, &start, format!("/{SECRET}/xevents")),
        (0, &start, format!("/{SECRET}//events")),
        (0, &start, format!("//{SECRET}/events")),
        (0, &start, format!("/{SECRET}/events?a")),
        (0, &start, format!("/{SECRET}x/events")),
        (0, &start, format!("/{}/events", &SECRET[1..])),
        (0, &start, format!("/{}/events", SECRET.to_lowercase())),
        (0, &start, format!("http://vpn.example/{SECRET}/events")),
        (0, "GET", "POST".into()),
        (0, "GET", "get".into()),
        (0, "1.1", "1.0".into()),
        (2, "websocket", "h2c".into()),
        (3, "upgrade", "keep-alive".into()),
        (4, "dGhl", "dGh".into()),
        (4, "dGhl", "!!!!".into()),
        (4, "25jZQ==", "25jZQ".into()),
        (5, "13", "8".into()),
        (5, "13", "13\r\nsec-websocket-version: 13".into()),
        (5, "13", "13\r\ncontent-length: 1".into()),
        (5, "13", "13\r\ntransfer-encoding: chunked".into()),
        (6, "authorization", "authorisation".into()),
        (6, "v1, ", "v1, authorization.bearer.a.b.c, ".into()),
    ];
    for (line, from, to) in changes {
        let text = request(|lines| lines[line] = lines[line].replacen(from, &to, 1));
        assert_ne!(text, request(|_| {}), "{from}");
        assert_eq!(decided(&text), None, "{text}");
    }
    for line in 2..7 {
        assert_eq!(decided(&request(|lines| drop(lines.remove(line)))), None, "{line}");
    }
}
