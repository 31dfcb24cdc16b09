//! What strangers send to a device that looks like a handshake: never a panic, and macs that nobody made are wrong.
#![no_main]

use std::net::SocketAddr;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use phantom_device::cookie::{Checker, HandshakeMessage, Macs};
use phantom_types::PublicKey;

fuzz_target!(|bytes: &[u8]| {
    let Some(message) = HandshakeMessage::read(bytes) else { return };
    let now = Instant::now();
    let checker = Checker::new(&PublicKey::from_bytes([1; 32]), [2; 32], now);
    let from = SocketAddr::from(([192, 0, 2, 1], 1));
    assert_eq!(checker.check(&message, from, now), Macs::Wrong);
    let _ = message.receiver();
    let Some(request) = message.request() else { return };
    let reply = checker.reply(&request, from, now, [3; 24]);
    let reply = HandshakeMessage::read(&reply).expect("it has the form of a cookie reply");
    assert_eq!(reply.receiver().map(u32::to_le_bytes).as_ref().map(|index| &index[..]), bytes.get(4..8));
    // With the first mac made right, the second one is still nobody's.
    let mut genuine = bytes.to_vec();
    let at = genuine.len() - 32;
    let mac1 = checker.mac1(&bytes[..at]);
    genuine[at..at + 16].copy_from_slice(&mac1);
    let message = HandshakeMessage::read(&genuine).expect("only a mac is another one");
    assert_eq!(checker.check(&message, from, now), Macs::First);
});
