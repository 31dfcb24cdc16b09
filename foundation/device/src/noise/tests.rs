//! Each message beside a library's.

use std::time::Instant;

use phantom_types::{PrivateKey, PublicKey};
use proptest::prelude::*;

use super::*;
use crate::cookie::{Checker, HandshakeMessage, Macs, Sealer};
use crate::second::{Made, Second};

const OURS: [u8; 32] = [1; 32];
const THEIRS: [u8; 32] = [2; 32];

fn public(private: [u8; 32]) -> [u8; 32] {
    *PrivateKey::from_bytes(private).public_key().as_bytes()
}

/// This end, the library's, and what they share.
fn ends(preshared: Option<[u8; 32]>) -> (Local, Second, Secret) {
    let local = Local::new(OURS);
    let shared = local.shared(&public(THEIRS)).unwrap();
    (local, Second::new(THEIRS, public(OURS), preshared), shared)
}

fn stamp(number: u8) -> [u8; STAMP] {
    let mut stamp = [0; STAMP];
    (stamp[0], stamp[11]) = (0x40, number);
    stamp
}

/// Whether the first mac of a message to this public key is right.
fn has_mac(message: &[u8], to: [u8; 32]) -> bool {
    let checker = Checker::new(&PublicKey::from_bytes(to), [9; 32], Instant::now());
    let from = "192.0.2.1:1".parse().unwrap();
    checker.check(&HandshakeMessage::read(message).unwrap(), from, Instant::now()) == Macs::First
}

#[test]
fn a_library_answers_an_initiation_of_ours() {
    for preshared in [None, Some([7; 32])] {
        let (local, mut second, shared) = ends(preshared);
        let (begun, mut message) = local.initiate(&public(THEIRS), &shared, 77, stamp(1), [3; 32]).unwrap();
        Sealer::new(&PublicKey::from_bytes(public(THEIRS))).seal(&mut message, Instant::now());
        assert!(has_mac(&message, public(THEIRS)));
        let Made::Message(answer) = second.take(&message) else { panic!("it is not answered") };
        assert!(has_mac(&answer, public(OURS)));
        assert_eq!(HandshakeMessage::read(&answer).unwrap().receiver(), Some(77));
        let preshared = preshared.unwrap_or_default();
        assert!(begun.finish(&local, &preshared, &answer).is_some());
        // Another secret, another end, and every byte that means something.
        assert!(begun.finish(&local, &[8; 32], &answer).is_none());
        assert!(begun.finish(&Local::new([5; 32]), &preshared, &answer).is_none());
        for at in 12..60 {
            let mut damaged = answer.clone();
            damaged[at] ^= 1;
            assert!(begun.finish(&local, &preshared, &damaged).is_none(), "byte {at}");
        }
        assert!(begun.finish(&local, &preshared, &answer[1..]).is_none());
    }
}

#[test]
fn an_initiation_of_a_library_is_answered() {
    for preshared in [None, Some([7; 32])] {
        let (local, mut second, shared) = ends(preshared);
        let message = second.initiate();
        let heard = local.hear(&message).unwrap();
        assert_eq!(heard.remote(), &public(THEIRS));
        let genuine = heard.prove(&shared).unwrap();
        assert_eq!(genuine.stamp()[0], 0x40, "2^62 seconds and some");
        let preshared = preshared.unwrap_or_default();
        let (answer, _) = genuine.respond(5, &preshared, [4; 32]).unwrap();
        let Made::Message(empty) = second.take(&answer) else { panic!("the answer is not taken") };
        assert_eq!(empty[..8], [4, 0, 0, 0, 5, 0, 0, 0]);
    }
}

#[test]
fn an_initiation_that_was_damaged_or_is_for_another_is_not_heard() {
    let (local, mut second, shared) = ends(None);
    let message = second.initiate();
    assert!(Local::new([5; 32]).hear(&message).is_none());
    for at in 8..88 {
        let mut damaged = message.clone();
        damaged[at] ^= 1;
        assert!(local.hear(&damaged).is_none(), "byte {at}");
    }
    for at in 88..116 {
        let mut damaged = message.clone();
        damaged[at] ^= 1;
        assert!(local.hear(&damaged).unwrap().prove(&shared).is_none(), "byte {at}");
    }
    // Somebody who knows both public keys, and the secret of neither.
    assert!(local.hear(&message).unwrap().prove(&Zeroizing::new([6; 32])).is_none());
}

#[test]
fn keys_with_which_nothing_is_secret_are_refused() {
    assert!(Local::new(OURS).shared(&[0; 32]).is_none());
    let mut message = [0; INITIATION];
    message[0] = 1;
    assert!(Local::new(OURS).hear(&message).is_none());
}

/// RFC 5869 with BLAKE2s has no vectors of its own; these are of a description that is independent of the code: HMAC by its
/// definition over a hash that the crate's own tests hold against the RFC.
#[test]
fn the_construction_has_the_hashes_that_the_paper_gives() {
    // The first chaining key and hash, which every implementation has as constants.
    let state = State { chain: Zeroizing::new(hash(&[CONSTRUCTION])), hash: [0; 32] };
    assert_eq!(state.chain[..8], [0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0]);
    assert_eq!(hash(&[&*state.chain, IDENTIFIER])[..8], [0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let local = Local::new(OURS);
        prop_assert!(local.hear(&bytes).is_none());
        let shared = local.shared(&public(THEIRS)).unwrap();
        let (begun, _) = local.initiate(&public(THEIRS), &shared, 1, stamp(1), [3; 32]).unwrap();
        prop_assert!(begun.finish(&local, &[0; 32], &bytes).is_none());
    }
}
