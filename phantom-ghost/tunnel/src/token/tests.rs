//! Tokens as real clients send them, and those that are not served.

use proptest::prelude::*;

use super::*;
use crate::request::{Parsed, parse as parse_head};

/// A token with these claims and a signature of nonsense.
fn token(claims: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    format!("{header}.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

const CAPTURED: &str = r#"{"id":"01a1fbf8-0428-7683-8960-bf786a2b7dd0","p":{"Udp":{"timeout":{"secs":5,"nanos":0}}},"r":"127.0.0.1","rp":51820}"#;

#[test]
fn a_captured_token() {
    let claims = parse(&token(CAPTURED)).unwrap();
    assert_eq!((claims.protocol, claims.host.as_str(), claims.port), (Protocol::Udp, "127.0.0.1", 51820));
    assert!(claims.is_loopback_udp(51820) && !claims.is_loopback_udp(51821));
}

#[test]
fn variants_that_are_the_same_request() {
    for claims in [
        r#"{"id":"","p":{"Udp":{"timeout":null}},"r":"localhost","rp":1}"#,
        r#"{"id":"x","p":{"Udp":{}},"r":"127.0.0.1","rp":1,"exp":0,"more":[1]}"#,
    ] {
        assert!(parse(&token(claims)).unwrap().is_loopback_udp(1), "{claims}");
    }
}

#[test]
fn other_destinations_and_protocols() {
    for claims in [
        r#"{"id":"x","p":{"Tcp":{"proxy_protocol":false}},"r":"127.0.0.1","rp":1}"#,
        r#"{"id":"x","p":"ReverseTcp","r":"127.0.0.1","rp":1}"#,
        r#"{"id":"x","p":{"ReverseUdp":{"timeout":null}},"r":"127.0.0.1","rp":1}"#,
        r#"{"id":"x","p":{"Udp":{},"Tcp":{}},"r":"127.0.0.1","rp":1}"#,
        r#"{"id":"x","p":{"Udp":{}},"r":"127.0.0.2","rp":1}"#,
        r#"{"id":"x","p":{"Udp":{}},"r":"[::1]","rp":1}"#,
        r#"{"id":"x","p":{"Udp":{}},"r":"LOCALHOST","rp":1}"#,
        r#"{"id":"x","p":{"Udp":{}},"r":"127.0.0.1 ","rp":1}"#,
        r#"{"id":"x","p":{"Udp":{}},"r":"10.8.0.1","rp":1}"#,
    ] {
        assert!(!parse(&token(claims)).unwrap().is_loopback_udp(1), "{claims}");
    }
}

#[test]
fn claims_of_the_wrong_form() {
    for claims in [
        "",
        "{}",
        "[]",
        r#"{"p":{"Udp":{}},"r":"127.0.0.1","rp":1}"#,
        r#"{"id":1,"p":{"Udp":{}},"r":"127.0.0.1","rp":1}"#,
        r#"{"id":"x","p":{"Udp":{"timeout":5}},"r":"127.0.0.1","rp":1}"#,
        r#"{"id":"x","p":{"Udp":null},"r":"127.0.0.1","rp":1}"#,
        r#"{"id":"x","p":{"Udp":{}},"r":"127.0.0.1","rp":"1"}"#,
        r#"{"id":"x","p":{"Udp":{}},"r":"127.0.0.1","rp":65536}"#,
        r#"{"id":"x","p":7,"r":"127.0.0.1","rp":1}"#,
    ] {
        assert_eq!(parse(&token(claims)), Err(TokenError::Claims), "{claims}");
    }
    let whole = token(CAPTURED);
    let (unsigned, _) = whole.rsplit_once('.').unwrap();
    assert_eq!(parse(unsigned), Err(TokenError::Form));
    assert_eq!(parse(&format!("{whole}.x")), Err(TokenError::Form));
    assert_eq!(parse(&format!("{whole}{}", "x".repeat(MAX_TOKEN))), Err(TokenError::Form));
    assert_eq!(parse(&format!("?{whole}")), Err(TokenError::Claims));
}

#[test]
fn token_is_found_in_every_known_place() {
    let find_in = |headers: &str| {
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let Parsed::Complete(head, _) = parse_head(text.as_bytes()) else { panic!() };
        find(&head).map(str::to_owned)
    };
    assert_eq!(find_in("sec-websocket-protocol: v1, authorization.bearer.a.b.c\r\n").unwrap(), "a.b.c");
    assert_eq!(
        find_in("sec-websocket-protocol: authorization.bearer.a.b.c, v1\r\nCookie: z\r\n").unwrap(),
        "a.b.c"
    );
    assert_eq!(find_in("cookie: a.b.c\r\nsec-websocket-protocol: v1\r\n").unwrap(), "a.b.c");
    assert_eq!(find_in("sec-websocket-protocol: v1\r\n"), None);
}

proptest! {
    #[test]
    fn nothing_panics(text in ".{0,80}", claims in ".{0,80}") {
        let _ = parse(&text);
        let _ = parse(&token(&claims));
    }
}
