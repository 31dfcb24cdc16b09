//! WireGuard configurations that others wrote: never a panic, and removing a block leaves no trace of its key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phantom_types::{PublicKey, conf};

fuzz_target!(|text: &str| {
    if let Ok(parsed) = conf::parse(text) {
        let rest = conf::remove_peer_block(text, &parsed.public_key);
        assert!(rest.is_none_or(|rest| conf::remove_peer_block(&rest, &parsed.public_key).is_none()));
    }
    let _ = conf::remove_peer_block(text, &PublicKey::from_bytes([7; 32]));
});
