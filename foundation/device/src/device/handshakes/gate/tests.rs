//! The gate alone, and in a device of the simplest kind over simulated seconds.

use std::collections::VecDeque;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

fn source(number: u32) -> Source {
    Source::from(SocketAddr::from((number.to_be_bytes(), 1)))
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn wrong_macs_are_dropped_whatever_the_load() {
    let (mut gate, now) = (Gate::default(), Instant::now());
    for waiting in [0, QUEUE] {
        assert_eq!(gate.judge(Macs::Wrong, source(1), waiting, now), Admission::Drop);
    }
}

#[test]
fn without_load_all_handshakes_are_answered() {
    let (mut gate, now) = (Gate::default(), Instant::now());
    for _ in 0..100 {
        assert_eq!(gate.judge(Macs::First, source(1), LOAD - 1, now), Admission::Unproven);
    }
    for number in 0..100 {
        let expected = if number < 5 { Admission::Proven } else { Admission::Unproven };
        assert_eq!(gate.judge(Macs::Both, source(1), 0, now), expected);
    }
}

#[test]
fn eighth_of_queue_is_load_briefly() {
    let (mut gate, now) = (Gate::default(), Instant::now());
    let mut first = |waiting, after| gate.judge(Macs::First, source(1), waiting, now + ms(after));
    assert_eq!(first(LOAD - 1, 0), Admission::Unproven);
    assert_eq!(first(LOAD, 1), Admission::Cookie);
    assert_eq!(first(0, 1000), Admission::Cookie);
    assert_eq!(first(0, 1001), Admission::Unproven);
}

#[test]
fn proven_sources_pass_under_load_rate_limited() {
    let (mut gate, now) = (Gate::default(), Instant::now());
    let passed = |gate: &mut Gate, number, now| {
        (0..50).filter(|_| gate.judge(Macs::Both, source(number), QUEUE, now) == Admission::Proven).count()
    };
    assert_eq!(passed(&mut gate, 1, now), 5);
    assert_eq!(gate.judge(Macs::Both, source(1), QUEUE, now), Admission::Drop);
    assert_eq!(passed(&mut gate, 2, now), 5);
}

#[test]
fn only_a_steady_flood_keeps_load_up() {
    for (each_ms, lasts) in [(1, true), (4, false)] {
        let (mut gate, start) = (Gate::default(), Instant::now());
        gate.judge(Macs::First, source(1), LOAD, start);
        let mut verdicts = (1..10_000u64)
            .filter(|at| at.is_multiple_of(each_ms))
            .map(|at| gate.judge(Macs::First, source(1), 0, start + ms(at)));
        assert_eq!(verdicts.all(|verdict| verdict == Admission::Cookie), lasts);
    }
}

/// A client as stock ones are: it sends again 5 s after the last time and up to a third of a second more, with a cookie
/// if it has one.
#[derive(Clone, Copy, Debug, Default)]
struct Client {
    next: u64,
    sent: u32,
    cookie: bool,
    session: Option<u64>,
}

/// Runs clients beside a flood of so many forged messages each millisecond. The device answers `speed` handshakes in that
/// time.
fn run(clients: &mut [Client], flood: u64, speed: usize, duration: u64) {
    let (mut gate, start) = (Gate::default(), Instant::now());
    let (mut proven, mut unproven) = (VecDeque::new(), VecDeque::new());
    for at in 0..duration {
        let now = start + ms(at);
        let forged =
            (0..flood).map(|number| (None, Macs::First, source(u32::try_from(at * flood + number).unwrap())));
        let due = (0..clients.len()).filter(|client| clients[*client].next == at);
        let genuine = due.map(|client| {
            let macs = if clients[client].cookie { Macs::Both } else { Macs::First };
            (Some(client), macs, source(u32::MAX - u32::try_from(client).unwrap()))
        });
        for (client, macs, from) in forged.chain(genuine).collect::<Vec<_>>() {
            if let Some(client) = client {
                clients[client].sent += 1;
                clients[client].next = at + 5000 + (client as u64 * 37) % 334;
            }
            match gate.judge(macs, from, proven.len() + unproven.len(), now) {
                Admission::Proven if proven.len() < QUEUE => proven.push_back(client),
                Admission::Unproven if unproven.len() < QUEUE => unproven.push_back(client),
                Admission::Cookie => client.into_iter().for_each(|client| clients[client].cookie = true),
                _ => {}
            }
        }
        for _ in 0..speed {
            let Some(client) = proven.pop_front().or_else(|| unproven.pop_front()) else { break };
            let Some(client) = client else { continue };
            clients[client].session.get_or_insert(at);
            clients[client].next = u64::MAX;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// 20,000 forged messages a second, and devices that answer between 1,000 and 15,000 in that time.
    #[test]
    fn second_message_gets_session_under_load(
        speed in 1usize..=15,
        starts in prop::collection::vec((1000u64..3000, any::<bool>()), 20),
    ) {
        let mut clients: Vec<_> = starts
            .iter()
            .map(|(next, cookie)| Client { next: *next, cookie: *cookie, ..Client::default() })
            .collect();
        run(&mut clients, 20, speed, 9500);
        for (client, (start, cookie)) in clients.iter().zip(&starts) {
            let took = client.session.map(|at| at - start);
            let (messages, limit) = if *cookie { (1, 1000) } else { (2, 6000) };
            prop_assert!(client.sent <= messages && took.is_some_and(|took| took <= limit), "{client:?}");
        }
    }
}
