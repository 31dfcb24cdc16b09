//! Turns, with a time that is only told.

use super::*;

fn line(rate: Rate) -> (Line, Instant) {
    let now = Instant::now();
    (Line::new(rate, now), now)
}

/// A line whose rate is used up.
fn used_up(per_second: u32) -> (Line, Instant) {
    let (mut line, now) = line(Rate { burst: 1, per_second });
    assert!(line.ask([0, 0], now).is_none());
    (line, now)
}

/// Which of these have had their turn.
fn given(waiting: &mut [oneshot::Receiver<()>]) -> Vec<usize> {
    waiting.iter_mut().enumerate().filter_map(|(at, turn)| turn.try_recv().is_ok().then_some(at)).collect()
}

/// The order in which connections of these networks get their turns.
fn order(paths: &[Path]) -> Vec<usize> {
    let (mut line, start) = used_up(10);
    let mut waiting: Vec<_> = paths.iter().map(|path| line.ask(*path, start).unwrap()).collect();
    let mut order = Vec::new();
    for tenth in 1..=paths.len() {
        let now = start + Duration::from_millis(100 * u64::try_from(tenth).unwrap() + 1);
        let pause = line.give(now);
        order.extend(given(&mut waiting));
        assert_eq!(pause.is_none(), tenth == paths.len(), "{tenth}");
    }
    assert_eq!(line.turns.remembered(), 0);
    order
}

#[test]
fn networks_and_their_parts_take_turns() {
    assert_eq!(order(&[[1, 0], [1, 0], [1, 0], [1, 0], [2, 0], [3, 0], [3, 0]]), [0, 4, 5, 1, 6, 2, 3]);
    // A network is one, however many parts it has, and in it each part has its turn.
    assert_eq!(order(&[[1, 1], [1, 2], [1, 3], [1, 1], [2, 9], [2, 9]]), [0, 4, 1, 5, 2, 3]);
    assert_eq!(order(&[[1, 1], [1, 1], [1, 1], [1, 2]]), [0, 3, 1, 2]);
}

#[test]
fn a_connection_that_left_takes_no_turn() {
    let (mut line, start) = line(Rate { burst: 2, per_second: 0 });
    assert!(line.ask([7, 7], start).is_none() && line.ask([7, 7], start).is_none());
    let mut waiting: Vec<_> =
        [1, 1, 1, 2].map(|network| line.ask([network, 0], start).unwrap()).into_iter().collect();
    line.bucket = Bucket::new(line.rate, start);
    drop(waiting.drain(..2));
    assert_eq!(line.give(start), None);
    assert_eq!(given(&mut waiting), [0, 1]);
    let last = line.ask([3, 0], start).unwrap();
    assert!(line.give(start).unwrap() > Duration::from_mins(1), "both are used up");
    drop(last);
    assert_eq!(line.give(start), None);
}

#[test]
fn those_that_left_do_not_pile_up() {
    let (mut line, start) = used_up(0);
    let kept = line.ask([7, 7], start).unwrap();
    for number in 0..100_000 {
        drop(line.ask([number % 100, number % 1000], start));
    }
    assert!(line.turns.remembered() <= 1024, "{}", line.turns.remembered());
    drop(kept);
}

#[tokio::test]
async fn a_turn_comes_by_itself() {
    let queue = std::sync::Arc::new(Queue::new(Rate { burst: 1, per_second: 1000 }, Instant::now()));
    let giving = tokio::spawn({
        let queue = std::sync::Arc::clone(&queue);
        async move { queue.run().await }
    });
    for number in 0..50 {
        queue.turn([number % 3, number % 2]).await;
    }
    giving.abort();
}
