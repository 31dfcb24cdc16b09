//! The packets of a session beside those of a library, one by one, and the window beside a plain list of what came.

use std::collections::BTreeSet;

use phantom_types::PrivateKey;
use proptest::prelude::*;

use super::*;
use crate::noise::Local;
use crate::second::{Made, Second};

/// A session of ours with a library's end, begun by one or by the other.
fn pair(we_begin: bool) -> (Session, Second) {
    let (ours, theirs) = ([1; 32], [2; 32]);
    let public = |key: [u8; 32]| *PrivateKey::from_bytes(key).public_key().as_bytes();
    let (local, now) = (Local::new(ours), Instant::now());
    let shared = local.shared(&public(theirs)).unwrap();
    let mut second = Second::new(theirs, public(ours), None);
    let session = if we_begin {
        let mut stamp = [0; 12];
        stamp[0] = 0x40;
        let (begun, message) = local.initiate(&public(theirs), &shared, 9, stamp, [3; 32]).unwrap();
        let Made::Message(answer) = second.take(&message) else { panic!("no answer") };
        let (remote, keys) = begun.finish(&local, &[0; 32], &answer).unwrap();
        let session = Session::new(&keys, 9, remote, true, now);
        // It uses the session once it has heard something by it.
        assert_eq!(second.take(&seal(&session, &[])), Made::Packet(vec![]));
        session
    } else {
        let genuine = local.hear(&second.initiate()).unwrap().prove(&shared).unwrap();
        let remote = genuine.index();
        let (answer, keys) = genuine.respond(9, &[0; 32], [4; 32]).unwrap();
        let session = Session::new(&keys, 9, remote, false, now);
        let Made::Message(mut empty) = second.take(&answer) else { panic!("the answer is not taken") };
        assert_eq!(session.open(&mut session.window(), &mut empty), Some(0));
        session
    };
    (session, second)
}

fn seal(session: &Session, packet: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0xee; AROUND + packet.len()];
    datagram[HEADER..HEADER + packet.len()].copy_from_slice(packet);
    session.seal(session.reserve(1).unwrap(), &mut datagram);
    datagram
}

fn open(session: &Session, datagram: &[u8]) -> Option<Vec<u8>> {
    let mut datagram = datagram.to_vec();
    let length = session.open(&mut session.window(), &mut datagram)?;
    Some(datagram[HEADER..HEADER + length].to_vec())
}

fn taken(second: &mut Second, datagram: &[u8]) -> Option<Vec<u8>> {
    if let Made::Packet(packet) = second.take(datagram) { Some(packet) } else { None }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same packets, sealed by one and by the other, are the same bytes but for keys; what the network does to them (loss,
    /// other order, doubling, damage) lets the same ones through.
    #[test]
    fn both_let_the_same_packets_through(
        we_begin in any::<bool>(),
        lengths in prop::collection::vec(0usize..1500, 1..40),
        way in prop::collection::vec((any::<prop::sample::Index>(), prop::option::weighted(0.2, any::<(prop::sample::Index, u8)>())), 0..80),
    ) {
        let (session, mut second) = pair(we_begin);
        let packets: Vec<Vec<u8>> = lengths.iter().map(|length| (0..*length).map(|at| (at % 251).to_le_bytes()[0]).collect()).collect();
        let from_ours: Vec<_> = packets.iter().map(|packet| seal(&session, packet)).collect();
        let from_theirs: Vec<_> = packets.iter().map(|packet| second.seal(packet).unwrap()).collect();
        for (index, damage) in way {
            let at = index.index(packets.len());
            let (mut to_theirs, mut to_ours) = (from_ours[at].clone(), from_theirs[at].clone());
            prop_assert_eq!(to_theirs.len(), to_ours.len());
            if let Some((place, bits)) = damage {
                // The library does not look at the three bytes behind the type, which are zero and which nothing covers.
                let place = Some(place.index(to_ours.len())).filter(|place| !(1..4).contains(place)).unwrap_or(0);
                to_ours[place] ^= bits;
                to_theirs[place] ^= bits;
            }
            let (ours, theirs) = (open(&session, &to_ours), taken(&mut second, &to_theirs));
            prop_assert_eq!(&ours, &theirs, "packet {}, damage {:?}", at, damage);
            prop_assert!(ours.is_none_or(|packet| packet == packets[at]));
        }
    }

    #[test]
    fn the_window_lets_each_packet_through_once_and_none_too_late(
        steps in prop::collection::vec((0u64..300, prop::bool::weighted(0.02)), 1..600),
        backwards in prop::collection::vec(0u64..9000, 600),
    ) {
        let (mut window, mut came, mut newest) = (Window::default(), BTreeSet::new(), 0u64);
        for ((step, leap), back) in steps.into_iter().zip(backwards) {
            newest += if leap { step * 100 } else { step };
            for counter in [newest, newest.saturating_sub(back), newest.saturating_sub(back / 100)] {
                let next = came.last().map_or(0, |last| last + 1);
                let lets = !came.contains(&counter) && counter + WINDOW >= next;
                prop_assert_eq!(window.lets(counter), lets, "{} after {}", counter, next);
                if lets {
                    window.note(counter);
                    came.insert(counter);
                }
            }
        }
    }
}

#[test]
fn a_packet_may_be_as_late_as_in_the_kernel_and_comes_once() {
    let (session, mut second) = pair(true);
    let packets: Vec<_> = (0..=WINDOW + 1).map(|_| second.seal(b"a packet").unwrap()).collect();
    assert!(open(&session, packets.last().unwrap()).is_some());
    assert!(packets[..2].iter().all(|packet| open(&session, packet).is_none()), "too late");
    assert!(open(&session, &packets[2]).is_some());
    let others = packets.iter().filter(|packet| open(&session, packet).is_some()).count();
    assert_eq!(others, packets.len() - 4);
    assert!(packets.iter().all(|packet| open(&session, packet).is_none()));
}

#[test]
fn a_session_seals_no_more_than_it_may() {
    let (session, _) = pair(true);
    assert!(!session.is_worn());
    session.counter.store(REKEY_AFTER_MESSAGES, Ordering::Relaxed);
    assert!(session.is_worn());
    session.counter.store(REJECT_AFTER_MESSAGES - 3, Ordering::Relaxed);
    assert_eq!(session.reserve(4), None);
    assert_eq!(session.reserve(2), Some(REJECT_AFTER_MESSAGES - 3));
    assert_eq!(session.reserve(1), Some(REJECT_AFTER_MESSAGES - 1));
    assert_eq!(session.reserve(1), None);
    session.counter.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(session.reserve(1), None);
}

#[test]
fn a_counter_above_the_limit_is_refused_however_it_is_sealed() {
    let (session, mut second) = pair(true);
    let mut sealed = second.seal(b"a packet").unwrap();
    sealed[8..16].copy_from_slice(&REJECT_AFTER_MESSAGES.to_le_bytes());
    assert_eq!(open(&session, &sealed), None);
    assert!(session.window().lets(0), "nothing was noted");
}

#[test]
fn threads_that_seal_at_once_use_each_counter_once() {
    let (session, mut second) = pair(true);
    let sealed: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let seal = || scope.spawn(|| (0..500).map(|_| seal(&session, b"a packet")).collect::<Vec<_>>());
        let threads = [seal(), seal(), seal()];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(sealed.iter().all(|datagram| taken(&mut second, datagram).is_some()));
}

#[test]
fn a_session_ends_by_its_age() {
    let (session, _) = pair(false);
    assert!(!session.is_initiator() && !session.is_over(session.born + Duration::from_secs(179)));
    assert!(session.is_over(session.born + REJECT_AFTER_TIME));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let (session, _) = pair(false);
        prop_assert_eq!(open(&session, &bytes), None);
        session.seal(0, &mut bytes.clone());
    }
}
