//! The words of a command line: never a panic, and a value is read by its kind or refused with a message.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use libfuzzer_sys::fuzz_target;
use phantom_module::{ErrorCode as _, Kind, Lang, Param, Params, read};

fuzz_target!(|bytes: &[u8]| {
    let words = bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    let invocation = phantom_api::cli::parse(words);
    let kinds = [
        Kind::Text,
        Kind::ClientName,
        Kind::Boolean,
        Kind::Integer { minimum: 1, maximum: 1000 },
        Kind::Cidr4,
        Kind::Host,
        Kind::List(Box::new(Kind::Ip)),
    ];
    for word in &invocation.parameters {
        let Some((_, value)) = word.split_once('=') else { continue };
        for kind in &kinds {
            let (en, tr) = (String::new(), String::new());
            let param = Param { name: "x".into(), kind: kind.clone(), required: true, default: None, en, tr };
            if let Err(error) = read(&[param], Params::from_words([("x", value)])) {
                assert!(!error.message(Lang::En).is_empty() && !error.message(Lang::Tr).is_empty());
            }
        }
    }
});
