//! What a token claims: never a panic, from the text itself or from its decoded claims.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phantom_tunnel::token::parse;

/// Base64 of the URL alphabet, without padding.
fn encoded(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(ALPHABET[(word >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

fuzz_target!(|text: &str| {
    let _ = parse(text);
    if let Ok(claims) = parse(&format!("e30.{}.x", encoded(text.as_bytes()))) {
        let _ = claims.is_loopback_udp(51820);
    }
});
