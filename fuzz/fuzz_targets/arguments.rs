//! The words of a command line: never a panic, and a value is read by its kind or refused with a message.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use libfuzzer_sys::fuzz_target;
use phantom_module::{ErrorCode as _, ParameterKind, Lang, Param, Params, read};

fuzz_target!(|bytes: &[u8]| {
    let words = bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    let invocation = phantom_api::cli::parse(words);
    let kinds = [
        ParameterKind::Text,
        ParameterKind::ClientName,
        ParameterKind::Boolean,
        ParameterKind::Integer { minimum: 1, maximum: 1000 },
        ParameterKind::Cidr4,
        ParameterKind::Host,
        ParameterKind::List(Box::new(ParameterKind::Ip)),
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
