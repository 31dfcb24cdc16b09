use super::*;

const NEVER: Duration = Duration::ZERO;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn due(clock: &mut Clock, start: Instant, at: u64) -> Due {
    clock.due(NEVER, start + seconds(at))
}

const NOTHING: Due = Due { asking: Asking::Rests, keepalive: false, forget: false };

#[test]
fn an_initiation_without_an_answer_is_sent_again_for_ninety_seconds() {
    let (mut clock, start) = (Clock::default(), Instant::now());
    assert!(clock.may_ask(start));
    clock.asked(Duration::ZERO, NEVER, start);
    assert!(!clock.may_ask(start + seconds(4)) && clock.may_ask(start + seconds(5)));
    let (mut asked, mut gave_up) = (0, None);
    for second in 0..200 {
        let due = due(&mut clock, start, second);
        if due.asking == Asking::Due {
            asked += 1;
            clock.asked(Duration::ZERO, NEVER, start + seconds(second));
        }
        gave_up = gave_up.or((due.asking == Asking::GivesUp).then_some(second));
    }
    assert_eq!((asked, gave_up), (17, Some(90)));
    assert!(clock.is_still());
}

#[test]
fn an_answer_ends_the_asking() {
    let (mut clock, start) = (Clock::default(), Instant::now());
    clock.asked(Duration::ZERO, NEVER, start);
    clock.derived(start);
    clock.completed();
    assert!((0..540).all(|at| due(&mut clock, start, at) == NOTHING));
    assert!(due(&mut clock, start, 540).forget);
}

#[test]
fn who_hears_something_says_something_within_ten_seconds() {
    let (mut clock, start) = (Clock::default(), Instant::now());
    clock.heard_data(start);
    assert_eq!(due(&mut clock, start, 9), NOTHING);
    assert!(due(&mut clock, start, 10).keepalive);
    assert!((11..30).all(|at| due(&mut clock, start, at) == NOTHING));
    // More that came meanwhile wants one more.
    clock.heard_data(start + seconds(30));
    clock.heard_data(start + seconds(35));
    let sent: Vec<_> = (30..70).filter(|at| due(&mut clock, start, *at).keepalive).collect();
    assert_eq!(sent, [40, 50]);
    // A packet of its own is as good.
    clock.heard_data(start + seconds(70));
    clock.sent_data(NEVER, start + seconds(75));
    clock.heard(NEVER, start + seconds(76));
    assert!((70..100).all(|at| due(&mut clock, start, at) == NOTHING));
}

#[test]
fn who_hears_nothing_asks_after_fifteen_seconds() {
    let (mut clock, start) = (Clock::default(), Instant::now());
    clock.sent_data(NEVER, start);
    clock.sent_data(NEVER, start + seconds(14));
    assert_eq!(due(&mut clock, start, 14), NOTHING);
    assert_eq!(due(&mut clock, start, 15).asking, Asking::Due);
    clock.sent_data(NEVER, start + seconds(20));
    clock.heard(NEVER, start + seconds(21));
    assert!((20..60).all(|at| due(&mut clock, start, at) == NOTHING));
}

#[test]
fn persistent_keepalives_come_when_nothing_else_does() {
    let (start, every) = (Instant::now(), seconds(25));
    let mut clock = Clock::new(every, start);
    assert!(clock.due(every, start).keepalive, "the first one at once");
    clock.sent(every, start);
    assert_eq!(clock.due(every, start + seconds(24)), NOTHING);
    clock.heard(every, start + seconds(24));
    assert_eq!(clock.due(every, start + seconds(48)), NOTHING);
    assert!(clock.due(every, start + seconds(49)).keepalive);
    assert!(clock.due(every, start + seconds(74)).keepalive, "also when none could be sent");
    clock.set_keepalive(every, NEVER, start + seconds(75));
    assert!((75..500).all(|at| due(&mut clock, start, at) == NOTHING));
    clock.set_keepalive(NEVER, every, start + seconds(500));
    assert!(clock.due(every, start + seconds(500)).keepalive);
    clock.set_keepalive(every, seconds(10), start + seconds(500));
    assert_eq!(clock.due(seconds(10), start + seconds(509)), NOTHING);
    assert!(clock.due(seconds(10), start + seconds(510)).keepalive);
}
