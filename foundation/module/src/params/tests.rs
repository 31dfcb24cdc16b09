//! Tests of reading parameters: every kind in `docs/contract.md`, "Kinds of parameters".

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ErrorCode;

fn param(name: &str, kind: ParameterKind, required: bool) -> Param {
    Param { name: name.into(), kind, required, default: None, en: String::new(), tr: String::new() }
}

fn text(kind: ParameterKind, value: &str) -> Result<Value, ParamError> {
    read(&[param("x", kind, true)], Params::from_words([("x", value)])).map(|mut map| map["x"].take())
}

fn jsonv(kind: ParameterKind, value: Value) -> Result<Value, ParamError> {
    let object = Map::from_iter([("x".to_owned(), value)]);
    read(&[param("x", kind, true)], Params::from_json(object)).map(|mut map| map["x"].take())
}

fn code(result: &Result<Value, ParamError>) -> (&'static str, Value) {
    let error = result.as_ref().unwrap_err();
    (error.code(), error.data().unwrap_or_default())
}

#[test]
fn text_is_never_guessed() {
    assert_eq!(text(ParameterKind::ClientName, "123"), Ok(json!("123")));
    assert_eq!(text(ParameterKind::Text, "\"quoted\""), Ok(json!("\"quoted\"")));
    assert_eq!(
        code(&jsonv(ParameterKind::Text, json!(5))),
        ("INVALID_PARAMETER", json!({"parameter": "x", "expected": "text"}))
    );
    assert_eq!(code(&jsonv(ParameterKind::ClientName, json!(true))).0, "INVALID_PARAMETER");
    assert_eq!(code(&text(ParameterKind::Text, "a\nb")).0, "INVALID_PARAMETER");
    assert_eq!(code(&text(ParameterKind::Text, &"ş".repeat(256))).0, "INVALID_PARAMETER");
    assert!(text(ParameterKind::Text, &"ş".repeat(255)).is_ok());
}

#[test]
fn booleans_have_eight_words() {
    for (word, value) in [
        ("true", true),
        ("FALSE", false),
        ("1", true),
        ("0", false),
        ("Yes", true),
        ("no", false),
        ("on", true),
        ("off", false),
    ] {
        assert_eq!(text(ParameterKind::Boolean, word), Ok(json!(value)), "{word}");
        assert_eq!(jsonv(ParameterKind::Boolean, json!(word)), Ok(json!(value)), "{word}");
    }
    assert_eq!(jsonv(ParameterKind::Boolean, json!(1)), Ok(json!(true)));
    for bad in ["2", "ja", " true", "t"] {
        assert_eq!(
            code(&text(ParameterKind::Boolean, bad)),
            ("INVALID_PARAMETER", json!({"parameter": "x", "expected": "boolean"}))
        );
    }
    assert_eq!(code(&jsonv(ParameterKind::Boolean, json!(2))).0, "INVALID_PARAMETER");
}

#[test]
fn integers_are_plain_and_in_range() {
    let kind = || ParameterKind::Integer { minimum: 1, maximum: 1000 };
    assert_eq!(text(kind(), "1000"), Ok(json!(1000)));
    assert_eq!(text(kind(), "0007"), Ok(json!(7)));
    assert_eq!(jsonv(kind(), json!("5")), Ok(json!(5)));
    for bad in ["0", "1001", "abc", "+5", "1.5", "1e2", "0x10", "99999999999999999999999", "-", " 5", "５"] {
        assert_eq!(
            code(&text(kind(), bad)),
            ("INVALID_PARAMETER", json!({"parameter": "x", "minimum": 1, "maximum": 1000})),
            "{bad}"
        );
    }
    for (number, value) in [("2.0", 2), ("2e0", 2), ("1e2", 100), ("20.0E1", 200), ("1000.000", 1000)] {
        let number: Value = serde_json::from_str(number).unwrap();
        assert_eq!(jsonv(kind(), number.clone()), Ok(json!(value)), "{number}");
        let list = ParameterKind::List(Box::new(kind()));
        assert_eq!(text(list, &format!("[{number}]")), Ok(json!([value])), "{number}");
    }
    for bad in ["1.5", "0.0", "-0.0", "1000.5", "1e300", "-1e300", "1e18", "9007199254740993.0", "\"2.0\""] {
        let bad: Value = serde_json::from_str(bad).unwrap();
        assert_eq!(
            code(&jsonv(kind(), bad.clone())),
            ("INVALID_PARAMETER", json!({"parameter": "x", "minimum": 1, "maximum": 1000})),
            "{bad}"
        );
    }
    let whole = ParameterKind::Integer { minimum: i64::MIN, maximum: i64::MAX };
    assert_eq!(jsonv(whole.clone(), json!(i64::MAX)), Ok(json!(i64::MAX)));
    assert_eq!(jsonv(whole, json!(-0.0)), Ok(json!(0)));
    assert_eq!(jsonv(ParameterKind::Boolean, json!(1.0)), Ok(json!(true)));
    assert_eq!(jsonv(ParameterKind::Boolean, json!(0.0)), Ok(json!(false)));
    assert_eq!(code(&jsonv(ParameterKind::Boolean, json!(0.5))).0, "INVALID_PARAMETER");
}

#[test]
fn what_is_stored_can_be_taken_away() {
    let kind = || ParameterKind::OrNone(Box::new(ParameterKind::Host));
    let declared = [param("x", kind(), false)];
    let read = |params| read(&declared, params).map(Value::Object);
    let json = |value: Value| Params::from_json(Map::from_iter([("x".to_owned(), value)]));
    for unset in [json(Value::Null), json("none".into()), Params::from_words([("x", "NONE")])] {
        assert_eq!(read(unset), Ok(json!({"x": "none"})));
    }
    // Nothing given is nothing said.
    for nothing in [Params::new(), json("".into()), Params::from_words([("x", "")])] {
        assert_eq!(read(nothing), Ok(json!({})));
    }
    assert_eq!(read(Params::from_words([("x", "a.example")])), Ok(json!({"x": "a.example"})));
    assert_eq!(
        code(&text(kind(), "null")),
        ("INVALID_PARAMETER", json!({"parameter": "x", "expected": "host"}))
    );
    // Elsewhere null says that nothing is given.
    assert_eq!(super::read(&[param("x", ParameterKind::Host, false)], json(Value::Null)), Ok(Map::new()));
}

#[test]
fn client_name_error_is_the_contract_sentence() {
    let error = text(ParameterKind::ClientName, "çocuk").unwrap_err();
    assert_eq!(
        [Lang::En, Lang::Tr].map(|lang| error.message(lang)),
        [
            "Client name 'çocuk' contains invalid characters: letters, digits, '_' and '-' are allowed, not '-' first",
            "'çocuk' istemci adı geçersiz karakterler içeriyor: harf, rakam, '_' ve '-' kullanılabilir, '-' ile başlayamaz",
        ]
    );
    let hint = ["Write the name without this character: 'ç'", "Adı şu karakter olmadan yazın: 'ç'"];
    for (lang, hint) in [Lang::En, Lang::Tr].into_iter().zip(hint) {
        let data = json!({ "parameter": "x", "character": "'ç'", "hint": hint });
        assert_eq!(error.data_in(lang), Some(data));
    }
}

#[test]
fn invalid_name_is_explained() {
    for (kind, value, en, tr) in [
        (
            ParameterKind::Name,
            "my exit",
            "x must be a name: letters, digits, '_' and '-' are allowed, not '-' first (here: ' ')",
            "(burada: ' ')",
        ),
        (ParameterKind::Interface, "1wg", "a letter first (here: '1')", "harfle başlamalıdır (burada: '1')"),
        (ParameterKind::Name, "a\u{200b}b", "(here: U+200B)", "(burada: U+200B)"),
        (
            ParameterKind::Domain,
            "münchen.de",
            "is written in its ASCII form: xn--mnchen-3ya.de",
            "ASCII biçiminde yazılır: xn--mnchen-3ya.de",
        ),
        (
            ParameterKind::Host,
            "vpn_1.example.com",
            "'_' is no character of a domain name",
            "'_' karakteri alan adlarında kullanılamaz",
        ),
        (ParameterKind::Domain, "https://example.com", "':' is no character", "':' karakteri"),
    ] {
        let error = text(kind, value).unwrap_err();
        let (english, turkish) = (error.message(Lang::En), error.message(Lang::Tr));
        assert!(english.ends_with(en) || english.contains(en), "{english}");
        assert!(turkish.contains(tr), "{turkish}");
    }
}

#[test]
fn names_addresses_and_subnets_have_own_errors() {
    assert_eq!(
        code(&text(ParameterKind::ClientName, "")),
        ("INVALID_CLIENT_NAME", json!({"parameter": "x"}))
    );
    assert_eq!(code(&text(ParameterKind::ClientLookup, "")).0, "INVALID_CLIENT_NAME");
    assert_eq!(code(&text(ParameterKind::ClientName, "-a")).0, "INVALID_CLIENT_NAME");
    assert_eq!(code(&text(ParameterKind::ClientName, &"a".repeat(51))).0, "INVALID_CLIENT_NAME");
    assert!(text(ParameterKind::ClientLookup, "no such / client").is_ok());
    assert_eq!(
        code(&text(ParameterKind::Cidr4, "10.8.0.1/24")),
        ("VALIDATION_ERROR", json!({"parameter": "x"}))
    );
    for (kind, good, bad) in [
        (ParameterKind::Ip, "2001:db8::1", "1.2.3.04"),
        (ParameterKind::Ipv4, "8.8.8.8", "::1"),
        (ParameterKind::Ipv6, "::1", "8.8.8.8"),
        (ParameterKind::Domain, "Example.com", "example"),
        (ParameterKind::Host, "10.0.0.1", "a b"),
        (ParameterKind::Name, "x", "-x"),
        (ParameterKind::Interface, "wg0", "0wg"),
    ] {
        assert!(text(kind.clone(), good).is_ok(), "{good}");
        assert_eq!(
            code(&text(kind.clone(), bad)),
            ("INVALID_PARAMETER", json!({"parameter": "x", "expected": kind.expected()})),
            "{bad}"
        );
    }
    let choice = ParameterKind::Choice(vec!["auto".into(), "kernel".into()]);
    assert_eq!(
        code(&text(choice, "AUTO")),
        ("INVALID_PARAMETER", json!({"parameter": "x", "allowed": ["auto", "kernel"]}))
    );
}

#[test]
fn lists_come_as_json_or_with_commas() {
    let list = || ParameterKind::List(Box::new(ParameterKind::Ip));
    assert_eq!(text(list(), "[\"8.8.8.8\",\"1.1.1.1\"]"), Ok(json!(["8.8.8.8", "1.1.1.1"])));
    assert_eq!(text(list(), "8.8.8.8 , 1.1.1.1"), Ok(json!(["8.8.8.8", "1.1.1.1"])));
    assert_eq!(jsonv(list(), json!(["8.8.8.8"])), Ok(json!(["8.8.8.8"])));
    for bad in ["[\"8.8.8.8\"", "8.8.8.8,x", "[8]", "{}"] {
        assert_eq!(code(&text(list(), bad)).0, "INVALID_PARAMETER", "{bad}");
    }
    let many = vec!["8.8.8.8"; 65].join(",");
    assert_eq!(
        code(&text(list(), &many)),
        ("INVALID_PARAMETER", json!({"parameter": "x", "expected": "list"}))
    );
}

#[test]
fn unknown_names_precede_missing_ones_and_kinds() {
    let declared = [
        param("a", ParameterKind::Boolean, true),
        param("b", ParameterKind::Text, true),
        param("c", ParameterKind::Text, false),
    ];
    let given = |words: &[(&str, &str)]| read(&declared, Params::from_words(words.iter().copied()));
    assert_eq!(
        given(&[("z", "1")]),
        Err(ParamError::Unknown { parameter: "z".into(), known: vec!["a".into(), "b".into(), "c".into()] })
    );
    assert_eq!(given(&[("a", "x"), ("a", "x")]), Err(ParamError::Repeated { parameter: "a".into() }));
    assert_eq!(given(&[("a", "nonsense")]), Err(ParamError::Missing { parameter: "b".into() }));
    assert_eq!(given(&[("a", "nonsense"), ("b", "")]), Err(ParamError::Missing { parameter: "b".into() }));
    assert_eq!(given(&[("a", "nonsense"), ("b", "x")]).unwrap_err().code(), "INVALID_PARAMETER");
    assert_eq!(
        Value::Object(given(&[("a", "on"), ("b", "x"), ("c", "")]).unwrap()),
        json!({"a": true, "b": "x"})
    );
}

proptest! {
    #[test]
    fn no_input_makes_reading_panic(value in ".*", kind in 0usize..17) {
        let kinds = [
            ParameterKind::Text, ParameterKind::ClientName, ParameterKind::ClientLookup, ParameterKind::Name, ParameterKind::Interface, ParameterKind::Boolean,
            ParameterKind::Integer { minimum: 1, maximum: 5 }, ParameterKind::Ip, ParameterKind::Ipv4, ParameterKind::Ipv6, ParameterKind::Cidr4, ParameterKind::Domain,
            ParameterKind::Host, ParameterKind::Path, ParameterKind::Choice(vec!["a".into()]), ParameterKind::List(Box::new(ParameterKind::Text)), ParameterKind::Any,
        ];
        if let Err(error) = text(kinds[kind].clone(), &value) {
            prop_assert!(!error.message(Lang::En).is_empty() && !error.message(Lang::Tr).is_empty());
        }
    }
}
