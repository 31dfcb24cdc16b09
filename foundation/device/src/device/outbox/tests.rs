use phantom_types::PublicKey;
use proptest::prelude::*;

use super::*;

fn peer() -> Arc<Peer> {
    Arc::new(Peer::new(PublicKey::from_bytes([1; 32])))
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::new(([192, 0, 2, 1], port).into(), None)
}

proptest! {
    /// A piece is never empty, and cut at the length of its first datagram it is the same datagrams again.
    #[test]
    fn pieces_are_what_the_kernel_can_cut(
        datagrams in prop::collection::vec((1usize..4, 0usize..2, 1u16..3), 1..200),
        large in any::<bool>(),
    ) {
        let (peers, mut outbox) = ([peer(), peer()], Outbox::default());
        let mut added = Vec::new();
        for (number, (length, who, port)) in datagrams.into_iter().enumerate() {
            let length = if large { length * 10_000 } else { length };
            let byte = number.to_le_bytes()[0];
            outbox.add(&peers[who], &endpoint(port), length, |datagram| datagram.fill(byte));
            added.push((who, port, vec![byte; length]));
        }
        let mut cut = Vec::new();
        for piece in outbox.pieces() {
            let bytes = outbox.bytes(piece);
            prop_assert!((1..=64).contains(&piece.count()) && bytes.len() <= PIECE);
            let who = peers.iter().position(|peer| piece.peer.as_ref().is_some_and(|known| Arc::ptr_eq(known, peer)));
            let before = cut.len();
            cut.extend(bytes.chunks(piece.segment()).map(|datagram| (who.unwrap(), piece.to.address.port(), datagram.to_vec())));
            prop_assert_eq!(cut.len() - before, piece.count());
        }
        prop_assert_eq!(cut, added);
    }
}

#[test]
fn it_is_used_again() {
    let (peer, mut outbox) = (peer(), Outbox::default());
    for round in 0..3u8 {
        outbox.add(&peer, &endpoint(1), 100, |datagram| datagram.fill(round));
        outbox.add_for(&endpoint(1), &[round; 100]);
        assert_eq!((outbox.pieces().len(), outbox.waiting()), (2, 200), "others are by themselves");
        assert!(outbox.datagrams().all(|datagram| datagram == [round; 100]));
        outbox.clear();
        assert!(outbox.is_empty() && outbox.waiting() == 0);
    }
}
