//! What somebody asks of our device: never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = phantom_device::uapi::parse_set(text);
});
