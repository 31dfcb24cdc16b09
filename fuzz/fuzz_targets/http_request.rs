//! What a stranger asks the server: never a panic, more bytes never change what was decided, and what is said of a whole
//! head holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phantom_tunnel::request::{MAX_HEAD, Parsed, may_ask_for_events, parse};

fuzz_target!(|input: (Vec<u8>, u16)| {
    let (bytes, cut) = input;
    let start = &bytes[..usize::from(cut).min(bytes.len())];
    match (parse(start), parse(&bytes)) {
        (Parsed::Partial, _) => assert!(start.len() < MAX_HEAD),
        (Parsed::Complete(first, size), Parsed::Complete(head, whole)) => {
            assert!(first == head && size == whole && size <= start.len());
        }
        (Parsed::Fault(first), Parsed::Fault(fault)) => assert_eq!(first, fault),
        (first, then) => panic!("{first:?} became {then:?}"),
    }
    if let Parsed::Complete(head, _) = parse(&bytes) {
        let _ = (head.path(), head.keeps_alive(), head.has_body(), head.single("Host"));
        let _ = phantom_tunnel::token::find(&head).map(phantom_tunnel::token::parse);
        if head.method == "GET" && head.minor == 1 && head.target.ends_with("/events") && head.target.starts_with('/') {
            // Only an empty line before the request, which no tunnel client sends, is another matter.
            assert!(may_ask_for_events(&bytes) || bytes.starts_with(b"\r\n"));
        }
    }
});
