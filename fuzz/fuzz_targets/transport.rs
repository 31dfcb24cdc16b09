//! What strangers and the network do to packets, beside a second implementation: both let the same ones through, and no other.
#![no_main]

use std::sync::Arc;
use std::time::Instant;

use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::noise::{Tunn, TunnResult};
use gotatun::packet::{Packet, WgKind};
use gotatun::x25519;
use libfuzzer_sys::fuzz_target;
use phantom_device::noise::{Keys, Local};
use phantom_device::session::{AROUND, HEADER, Session};

const OURS: [u8; 32] = [1; 32];
const THEIRS: [u8; 32] = [2; 32];
/// How many packets there are.
const PACKETS: u8 = 32;

fn library() -> Tunn {
    let key = x25519::StaticSecret::from(THEIRS);
    let limiter = Arc::new(RateLimiter::new(&x25519::PublicKey::from(&key), u64::MAX));
    let remote = x25519::PublicKey::from(*Local::new(OURS).public());
    Tunn::new(key, remote, None, None, IndexTable::from_os_rng(), limiter)
}

fn take(library: &mut Tunn, message: &[u8]) -> Option<Vec<u8>> {
    let kind = Packet::copy_from(message).try_into_wg().ok()?;
    match library.handle_incoming_packet(kind) {
        TunnResult::WriteToNetwork(message) => Some(Packet::from(message).to_vec()),
        TunnResult::WriteToTunnel(packet) => Some(packet.to_vec()),
        TunnResult::Done | TunnResult::Err(_) => None,
    }
}

/// A session that this end has begun with the library's.
fn session(library: &mut Tunn) -> Session {
    let (local, theirs) = (Local::new(OURS), *Local::new(THEIRS).public());
    let shared = local.shared(&theirs).expect("keys of the test");
    let mut stamp = [0; 12];
    stamp[0] = 0x40;
    let (begun, message) = local.initiate(&theirs, &shared, 9, stamp, [3; 32]).expect("keys of the test");
    let answer = take(library, &message).expect("the library answers");
    let (remote, keys): (u32, Keys) = begun.finish(&local, &[0; 32], &answer).expect("its answer is right");
    Session::new(&keys, 9, remote, true, Instant::now())
}

fn seal(session: &Session, content: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; AROUND + content.len()];
    datagram[HEADER..HEADER + content.len()].copy_from_slice(content);
    session.seal(session.reserve(1).expect("they are few"), &mut datagram);
    datagram
}

fn open(session: &Session, datagram: &[u8]) -> Option<Vec<u8>> {
    let mut datagram = datagram.to_vec();
    let length = session.open(&mut session.window(), &mut datagram)?;
    Some(datagram[HEADER..HEADER + length].to_vec())
}

// Each step is a packet, a place in it and the bits that are changed there; what is left over is a packet of a stranger.
fuzz_target!(|bytes: &[u8]| {
    let mut library = library();
    let session = session(&mut library);
    assert_eq!(take(&mut library, &seal(&session, &[])), Some(vec![]));
    let contents: Vec<Vec<u8>> = (0..PACKETS).map(|number| vec![number; usize::from(number) * 7]).collect();
    let to_theirs: Vec<_> = contents.iter().map(|content| seal(&session, content)).collect();
    let to_ours: Vec<Vec<u8>> = contents
        .iter()
        .map(|content| {
            let sealed = library.encapsulate_with_session(Packet::copy_from(&content[..]));
            Packet::from(WgKind::from(sealed.expect("there is a session"))).to_vec()
        })
        .collect();
    let (steps, rest) = bytes.as_chunks::<4>();
    for [number, high, low, bits] in steps {
        let at = usize::from(number % PACKETS);
        let (mut ours, mut theirs) = (to_ours[at].clone(), to_theirs[at].clone());
        assert_eq!(ours.len(), theirs.len());
        let place = usize::from(u16::from_be_bytes([*high, *low])) % ours.len();
        // The library does not look at the three bytes behind the type.
        if !(1..4).contains(&place) {
            ours[place] ^= bits;
            theirs[place] ^= bits;
        }
        let (by_ours, by_theirs) = (open(&session, &ours), take(&mut library, &theirs));
        assert_eq!(by_ours, by_theirs, "packet {at}, byte {place} changed by {bits}");
        assert!(by_ours.is_none_or(|content| content == contents[at]));
    }
    assert_eq!(open(&session, rest), None);
    assert_eq!(open(&session, bytes), None);
});
