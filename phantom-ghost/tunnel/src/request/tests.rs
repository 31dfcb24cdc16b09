//! Heads as browsers, tunnels and probes write them.

use proptest::prelude::*;

use super::*;

fn fault(bytes: &[u8]) -> RequestFault {
    match parse(bytes) {
        Parsed::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

fn complete(bytes: &[u8]) -> Head<'_> {
    match parse(bytes) {
        Parsed::Complete(head, _) => head,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_head_and_what_follows_it() {
    let bytes = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nconnection:  Keep-Alive, Upgrade \r\n\r\nrest";
    let Parsed::Complete(head, size) = parse(bytes) else { panic!() };
    assert_eq!(&bytes[size..], b"rest");
    assert_eq!((head.method, head.target, head.path(), head.minor), ("GET", "/a?b=c", "/a", 1));
    assert_eq!(head.single("HOST"), Some("x"));
    assert!(head.has_word("Connection", "upgrade") && !head.has_word("Connection", "up"));
    assert!(head.keeps_alive() && !head.has_body());
}

#[test]
fn every_beginning_of_a_head_is_partial() {
    let bytes = b"\r\nPOST http://h/p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n";
    for end in 0..bytes.len() {
        assert_eq!(parse(&bytes[..end]), Parsed::Partial, "{end}");
    }
    let head = complete(bytes);
    assert_eq!(head.path(), "/p");
    assert!(head.has_body());
}

#[test]
fn what_no_web_server_serves() {
    let bad: [&[u8]; 15] = [
        b"GET  / HTTP/1.1\r\n",
        b"GET /\r\n",
        b"GET / HTTP/1.1 x\r\n",
        b"G\"T / HTTP/1.1\r\n",
        b"GET events HTTP/1.1\r\n",
        b"GET / HTTPS/1.1\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\n\n",
        b"GET / HTTP/1.1\r\nHost: x\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x01b\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ];
    for bytes in bad {
        assert_eq!(fault(bytes), RequestFault::BadRequest, "{}", bytes.escape_ascii());
    }
    assert_eq!(fault(b"GET / HTTP/3.7\r\n"), RequestFault::Version);
    assert_eq!(complete(b"GET / HTTP/1.0\r\n\r\n").minor, 0);
}

#[test]
fn limits() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(MAX_TARGET));
    assert_eq!(fault(long.as_bytes()), RequestFault::TargetTooLong);
    assert_eq!(fault(&vec![b'A'; MAX_TARGET + 100]), RequestFault::TargetTooLong);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
    assert_eq!(fault(many.as_bytes()), RequestFault::TooLarge);
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\na: {}", "b".repeat(MAX_HEAD));
    assert_eq!(fault(large.as_bytes()), RequestFault::TooLarge);
    assert_eq!(fault(format!("{large}\r\n\r\n").as_bytes()), RequestFault::TooLarge);
}

#[test]
fn tunnel_request_is_recognised_by_first_bytes() {
    for bytes in [&b""[..], b"G", b"GET /", b"GET /abc"] {
        assert_eq!(beginning(bytes), Beginning::Open, "{}", bytes.escape_ascii());
    }
    for end in ["/", "/ev", "/events", "/events HTTP/1.1\r", "/events HTTP/1.1\r\n", "/events HTTP/1.1\r\nHo"]
    {
        assert_eq!(beginning(format!("GET /abc{end}").as_bytes()), Beginning::Segment(b"abc"), "{end}");
    }
    let others: [&[u8]; 9] = [
        b"POST",
        b"GET x",
        b"GET / HTTP/1.1\r\n",
        b"GET /s/eventz",
        b"GET /s?/events",
        b"GET /s/events HTTP/1.0\r\n",
        b"GET /\n",
        b"\r\nGET /",
        &[b"GET /", &[b'a'; MAX_TARGET + 1][..]].concat(),
    ];
    for bytes in others {
        assert_eq!(beginning(bytes), Beginning::Other, "{}", bytes.escape_ascii());
    }
}

proptest! {
    #[test]
    fn more_bytes_never_repair_a_fault(bytes in "[A-Z /.:\\r\\n01a-c\u{1}é]{0,120}", end in 0_usize..120) {
        let whole = parse(bytes.as_bytes());
        let start = &bytes.as_bytes()[..end.min(bytes.len())];
        if let Parsed::Fault(fault) = parse(start) {
            prop_assert_eq!(whole, Parsed::Fault(fault));
        }
    }
}
