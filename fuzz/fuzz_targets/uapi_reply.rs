//! What a device in userspace answers: never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = phantom_host::linux::fuzz::parse_device_reply(bytes);
});
