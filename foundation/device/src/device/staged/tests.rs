//! The queues against a plain list of everything that waits.

use proptest::prelude::*;

use super::*;

const SMALL: usize = 20_000;

fn packet(number: usize, length: usize) -> Box<[u8]> {
    let mut packet = vec![0; length.max(4)];
    packet[..4].copy_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
    packet.into()
}

fn number(packet: &[u8]) -> usize {
    u32::from_le_bytes(packet[..4].try_into().unwrap()).try_into().unwrap()
}

#[test]
fn packets_come_out_in_order_and_once() {
    let (mut queues, now) = (Queues::new(SMALL), Instant::now());
    for at in 0..9 {
        queues.push(at % 2, packet(at, 100), now);
    }
    let numbers = |packets: Vec<Box<[u8]>>| packets.iter().map(|packet| number(packet)).collect::<Vec<_>>();
    assert_eq!(numbers(queues.take(&0)), [0, 2, 4, 6, 8]);
    assert_eq!(numbers(queues.take(&1)), [1, 3, 5, 7]);
    assert_eq!((numbers(queues.take(&0)), queues.bytes), (vec![], 0));
    assert!(queues.by_peer.is_empty() && queues.by_size.is_empty());
}

#[test]
fn a_peer_keeps_its_newest_packets() {
    let (mut queues, now) = (Queues::new(ROOM), Instant::now());
    for at in 0..300 {
        queues.push(0, packet(at, 4), now);
    }
    let kept = queues.take(&0);
    assert_eq!((kept.len(), number(&kept[0]), number(&kept[255])), (256, 44, 299));
}

#[test]
fn full_peer_takes_no_room_from_others() {
    let (mut queues, now) = (Queues::new(SMALL), Instant::now());
    for at in 0..5 {
        queues.push(0, packet(at, 1000), now);
    }
    for at in 0..10_000 {
        queues.push(1 + at % 2, packet(at, 1400), now);
        assert!(queues.bytes <= SMALL);
    }
    assert_eq!(queues.take(&0).len(), 5);
    assert_eq!(number(queues.take(&1).last().unwrap()), 9998);
    assert_eq!(number(queues.take(&2).last().unwrap()), 9999);
}

#[test]
fn old_packets_are_dropped_and_free_room() {
    let (mut queues, start) = (Queues::new(SMALL), Instant::now());
    for at in 0..10 {
        queues.push(at % 3, packet(at, 200), start + Duration::from_secs(at as u64));
    }
    queues.expire(start + Duration::from_secs(19));
    assert_eq!(queues.bytes, 10 * (200 + OVERHEAD));
    queues.expire(start + Duration::from_secs(25));
    assert_eq!(queues.bytes, 4 * (200 + OVERHEAD));
    queues.expire(start + Duration::from_secs(29));
    assert_eq!((queues.bytes, queues.by_peer.len(), queues.by_size.len()), (0, 0, 0));
}

#[test]
fn packet_larger_than_the_room_is_dropped() {
    let mut queues = Queues::new(1000);
    queues.push(0, packet(0, 2000), Instant::now());
    assert_eq!((queues.bytes, queues.by_peer.len()), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Push(u8, usize),
    Take(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0u8..8, 4usize..1500).prop_map(|(peer, length)| Step::Push(peer, length)),
        1 => (0u8..8).prop_map(Step::Take),
        1 => (0u64..15).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever comes: the room is never exceeded, nobody loses a packet while it has at most its share, and what is kept
    /// of a peer are its newest packets, in order.
    #[test]
    fn the_room_is_shared(steps in prop::collection::vec(step(), 1..400)) {
        let (mut queues, mut now) = (Queues::new(SMALL), Instant::now());
        let mut model: BTreeMap<u8, VecDeque<usize>> = BTreeMap::new();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(peer, length) => {
                    let before: BTreeMap<_, _> =
                        queues.by_peer.iter().map(|(peer, queue)| (*peer, (queue.bytes, queue.packets.len()))).collect();
                    queues.push(peer, packet(at, length), now);
                    model.entry(peer).or_default().push_back(at);
                    let share = SMALL / queues.by_peer.len().max(1);
                    for (other, (bytes, count)) in before.into_iter().filter(|(other, _)| *other != peer) {
                        let left = queues.by_peer.get(&other).map_or(0, |queue| queue.packets.len());
                        prop_assert!(left == count || bytes > share, "{other} lost a packet");
                    }
                }
                Step::Take(peer) => {
                    let taken: Vec<_> = queues.take(&peer).iter().map(|packet| number(packet)).collect();
                    let sent = model.remove(&peer).unwrap_or_default();
                    prop_assert!(sent.into_iter().collect::<Vec<_>>().ends_with(&taken));
                }
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    queues.expire(now);
                }
            }
            let sum: usize = queues.by_peer.values().map(|queue| queue.bytes).sum();
            prop_assert!(queues.bytes == sum && sum <= SMALL);
            let sizes: BTreeSet<_> = queues.by_peer.iter().map(|(peer, queue)| (queue.bytes, *peer)).collect();
            prop_assert_eq!(&sizes, &queues.by_size);
        }
    }
}
