//! Turns, with a time that is only told.

use super::*;
use crate::limits::network::Networks;

fn network(number: u32) -> Network {
    Networks::of(std::net::Ipv4Addr::from(number << 8).into()).site
}

fn queue(rate: Rate) -> (Queue, Instant) {
    let now = Instant::now();
    (Queue::new(rate, now), now)
}

/// Which of these have had their turn.
fn given(waiting: &mut [oneshot::Receiver<()>]) -> Vec<usize> {
    waiting.iter_mut().enumerate().filter_map(|(at, turn)| turn.try_recv().is_ok().then_some(at)).collect()
}

#[test]
fn networks_take_turns() {
    let (queue, start) = queue(Rate { burst: 1, per_second: 10 });
    let of = [1, 1, 1, 1, 2, 3, 3];
    let mut waiting = of.map(|number| queue.lock().add(network(number)));
    let mut order = Vec::new();
    for tenth in 0..8 {
        let pause = queue.give(start + Duration::from_millis(100 * tenth));
        order.extend(given(&mut waiting));
        assert_eq!(pause.is_none(), tenth >= 6, "{tenth}");
    }
    assert_eq!(order, [0, 4, 5, 1, 6, 2, 3]);
    let inner = queue.lock();
    assert_eq!((inner.len, inner.waiting.len(), inner.turns.len()), (0, 0, 0));
}

#[test]
fn a_connection_that_left_takes_no_turn() {
    let (queue, start) = queue(Rate { burst: 2, per_second: 0 });
    let mut waiting: Vec<_> = [1, 1, 1, 2].map(|number| queue.lock().add(network(number))).into();
    drop(waiting.drain(..2));
    assert_eq!(queue.give(start), None);
    assert_eq!(given(&mut waiting), [0, 1]);
    let last = queue.lock().add(network(3));
    assert!(queue.give(start).unwrap() > Duration::from_mins(1), "both are used up");
    drop(last);
    assert_eq!(queue.give(start), None);
}

#[test]
fn those_that_left_do_not_pile_up() {
    let (queue, _) = queue(Rate { burst: 0, per_second: 0 });
    let kept = queue.lock().add(network(7));
    for number in 0..100_000 {
        drop(queue.lock().add(network(number % 1000)));
    }
    let inner = queue.lock();
    assert!(
        inner.len <= PRUNE && inner.waiting.len() <= PRUNE && inner.turns.len() <= PRUNE,
        "{}",
        inner.len
    );
    drop((inner, kept));
}

#[tokio::test]
async fn a_turn_comes_by_itself() {
    let queue = std::sync::Arc::new(Queue::new(Rate { burst: 1, per_second: 1000 }, Instant::now()));
    let giving = tokio::spawn({
        let queue = std::sync::Arc::clone(&queue);
        async move { queue.run().await }
    });
    for number in 0..50 {
        queue.turn(network(number % 3)).await;
    }
    giving.abort();
}
