//! When an exit is alive, and what is to be done when it is not: a pure state machine over time.
//!
//! It believes in bytes that come in. Bytes of clients that go out without any coming in are a reason to ask, not a
//! reason to act: the exit is dead when it answers none of several questions either. So a tunnel that loses packets,
//! however slow, is left alone. What only keeps the tunnel open (keepalives and handshakes, known by their sizes) is no
//! traffic of clients; a tunnel without any is asked now and then.
//!
//! An exit that answers and passes nothing is as good as dead where another one can take its place: `service.rs`.

use std::time::Duration;

use phantom_types::ExitName;

use super::service::Service;
use super::spare::Spare;
use crate::SessionEvent;

/// Outgoing bytes without incoming ones for this long are a reason to ask.
const SILENCE: Duration = Duration::from_secs(5);
/// Time between two questions.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// An exit that has not been heard for this long, although it was asked, is dead.
const DEAD_AFTER: Duration = Duration::from_secs(15);
/// It is asked at least so often before that.
const QUESTIONS_MIN: u32 = 3;
/// The last of them has this long to be answered.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// A tunnel without traffic is asked after this long.
const QUIET: Duration = Duration::from_mins(2);
/// Handshakes up to this age are good (`REKEY_AFTER_TIME` of WireGuard).
const GOOD: Duration = Duration::from_mins(2);
/// Older ones than this are of no use (`REJECT_AFTER_TIME` of WireGuard).
const LOST: Duration = Duration::from_mins(3);
/// A handshake comes with the first packet after it is due, and may have to be tried again.
const LEEWAY: Duration = Duration::from_secs(10);
/// An exit that is called at another address has this long to answer: more than a bad line takes.
const CALL_TIME: Duration = Duration::from_secs(3);
/// So many other addresses of a dead exit are called before another exit takes its place, however many its name has: some name
/// servers give other ones with each answer, and clients wait.
const CALLS_MAX: u32 = 3;
/// And no longer than this since it died.
const CALLS_LIMIT: Duration = Duration::from_secs(10);
/// The name of an exit is resolved again this often.
const RESOLVE_EVERY: Duration = Duration::from_hours(1);
/// Seconds from one attempt to reconnect to the next; the last one counts for all that follow.
const PAUSES: [u64; 14] = [5, 5, 5, 10, 10, 10, 15, 15, 15, 30, 60, 120, 300, 300];

/// Bytes of a keepalive, and of the two messages of a handshake (WireGuard, section 5.4).
const KEEPALIVE_BYTES: u64 = 32;
const INITIATION_BYTES: u64 = 148;
const RESPONSE_BYTES: u64 = 92;
/// A handshake that is not answered is begun again after this long (`REKEY_TIMEOUT` of WireGuard).
const BEGUN_AGAIN: Duration = Duration::from_secs(5);

/// Packets that make up one question: a lost packet is no answer.
pub const ECHOES: u32 = 2;

/// What is watched over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Time between keepalives of the exit in use.
    pub keepalive: Duration,
    /// The end point of the exit in use is a name.
    pub named: bool,
    /// The exit in use.
    pub in_use: ExitName,
    /// The chosen exit and then its fallbacks, in their order.
    pub exits: Vec<ExitName>,
}

/// What the device says of the exit at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Bytes received.
    pub rx: u64,
    /// Bytes sent.
    pub tx: u64,
    /// Age of the last handshake.
    pub handshake: Option<Duration>,
}

/// What is seen when somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The device leads to the exit.
    Exit(DeviceCounters),
    /// There is no such device, or it leads elsewhere.
    Nothing,
    /// The same, while a change is being made: it may have taken the device away for a moment.
    Change,
}

impl From<Option<DeviceCounters>> for Sight {
    fn from(counters: Option<DeviceCounters>) -> Self {
        counters.map_or(Self::Nothing, Self::Exit)
    }
}

impl Sight {
    fn counters(self) -> Option<DeviceCounters> {
        match self {
            Self::Exit(counters) => Some(counters),
            Self::Nothing | Self::Change => None,
        }
    }
}

/// Something that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonitorTask {
    /// Ask the exit something through the tunnel, with [`ECHOES`] packets. Its answer is seen in the counters.
    Probe,
    /// Resolve the name of the exit's end point again. A dead exit is to be called at the next address that the name has: say by
    /// [`Machine::called`] that it was, and how many more there are.
    Resolve,
    /// Set the exit's end point again, so that a handshake begins.
    Reconnect,
    /// Ask something of somebody behind the exit, and say by [`Machine::proven`] whether an answer came back.
    Prove,
    /// Add a record to the log of the session.
    Log(SessionEvent),
    /// Try another exit beside the one in use, and say by [`Machine::checked`] how it went.
    Check(ExitName),
    /// Switch to this exit if it is alive, and say by [`Machine::switched`] or [`Machine::switch_failed`] how it went.
    Switch(ExitName),
}

/// The questions since the exit fell silent.
#[derive(Clone, Copy, Debug)]
struct Asking {
    since: Duration,
    last: Duration,
    count: u32,
}

/// Attempts to reconnect.
#[derive(Clone, Copy, Debug)]
struct Dead {
    since: Duration,
    attempts: u32,
    next: Duration,
    /// Calls at other addresses until now.
    calls: u32,
    /// Calls at other addresses of the same exit, before another exit takes its place.
    elsewhere: Elsewhere,
}

/// Whether a dead exit may be alive at another address that its name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elsewhere {
    /// It is not known.
    Unasked,
    /// Its name was asked for.
    Asked,
    /// It was called at another one, has until then to answer, and there are so many more.
    Called { until: Duration, more: usize },
}

/// What the log says of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Logged {
    Nothing,
    Good,
    Late,
    Lost,
}

/// The state machine. Times are those of a clock that never goes back.
#[derive(Clone, Debug)]
pub struct Machine {
    watch: Watch,
    seen: Option<(Duration, DeviceCounters)>,
    heard: Duration,
    /// Since when something went out that nothing came back for.
    unanswered: Option<Duration>,
    asking: Option<Asking>,
    dead: Option<Dead>,
    logged: Logged,
    resolve_at: Duration,
    spare: Spare,
    service: Service,
    /// What is to be said with the next look.
    news: Vec<SessionEvent>,
}

impl Machine {
    /// Begins to watch; the exit counts as alive.
    pub fn new(watch: Watch, now: Duration) -> Self {
        Self {
            spare: Spare::new(&watch.exits, now),
            watch,
            seen: None,
            heard: now,
            unanswered: None,
            asking: None,
            dead: None,
            logged: Logged::Nothing,
            resolve_at: now + RESOLVE_EVERY,
            service: Service::new(now),
            news: Vec::new(),
        }
    }

    /// What is to be done now, in this order. To be called about once a second; it may be much later where a task took that
    /// long.
    pub fn tick(&mut self, now: Duration, sight: impl Into<Sight>) -> Vec<MonitorTask> {
        let sight = sight.into();
        let mut tasks: Vec<MonitorTask> = self.news.drain(..).map(MonitorTask::Log).collect();
        let counters = sight.counters();
        if sight == Sight::Change {
            self.forget();
        } else {
            self.look(now, counters, &mut tasks);
        }
        let handshake = counters.and_then(|counters| counters.handshake);
        self.log_handshake(handshake, &mut tasks);
        self.ask(now, counters.is_some(), handshake, &mut tasks);
        if self.dead.is_none() && self.is_dead(now, counters.is_some()) {
            self.dead = Some(Dead::new(now));
            self.logged = Logged::Lost;
            let silent = now.saturating_sub(self.heard);
            let seconds = handshake.unwrap_or(silent).as_secs();
            tasks.push(MonitorTask::Log(SessionEvent::HandshakeLost { seconds }));
            self.spare.begin_round(now);
        }
        if self.dead.is_none()
            && let Some(news) = self.service.begins_to_be_lost(now)
        {
            tasks.extend(news.then_some(MonitorTask::Log(SessionEvent::ServiceLost)));
            self.spare.begin_round(now);
        }
        // The change that is being made may be the choice of another exit.
        if sight != Sight::Change {
            self.repair(now, &mut tasks);
        }
        if self.watch.named && now >= self.resolve_at {
            self.resolve_at = now + RESOLVE_EVERY;
            tasks.push(MonitorTask::Resolve);
        }
        if counters.is_some() && !self.is_in_doubt() && self.service.is_due(now) {
            tasks.push(MonitorTask::Prove);
        }
        tasks
    }

    /// Another exit is in use now: of this keepalive, with a name as end point or not.
    pub fn switched(&mut self, now: Duration, to: ExitName, keepalive: Duration, named: bool) {
        self.spare.switched(now, &self.watch.in_use, &to);
        let watch = Watch { keepalive, named, in_use: to, exits: self.watch.exits.clone() };
        *self = Self { spare: self.spare.clone(), ..Self::new(watch, now) };
    }

    /// The exit that was to be switched to did not answer.
    pub fn switch_failed(&mut self, now: Duration, to: &ExitName) {
        self.spare.switch_failed(now, to);
    }

    /// The chosen exit was tried beside the one in use, and answered or did not.
    pub fn checked(&mut self, now: Duration, answered: bool) {
        self.spare.checked(now, answered);
    }

    /// Something was asked of somebody behind the exit, and answered or not; `None` where nobody could be asked.
    pub fn proven(&mut self, now: Duration, answered: Option<bool>) {
        if self.service.answered(now, answered) {
            self.news.push(SessionEvent::ServiceBack);
        }
    }

    /// A dead exit was called at another of its addresses, and has so many more.
    pub fn called(&mut self, now: Duration, more: usize) {
        if let Some(dead) = &mut self.dead
            && dead.attempts == 0
        {
            dead.calls = dead.calls.saturating_add(1);
            let until = (now + CALL_TIME).min(dead.since + CALLS_LIMIT);
            dead.elsewhere = Elsewhere::Called { until, more };
        }
    }

    /// Whether the exit in use is dead and none of the attempts to reconnect has begun: until then it is called at the addresses
    /// that its name had when it died, and at no other ones.
    pub fn is_sought_elsewhere(&self) -> bool {
        self.dead.is_some_and(|dead| dead.attempts == 0)
    }

    /// Whether the exit in use does not answer.
    pub fn is_silent(&self) -> bool {
        self.dead.is_some()
    }

    /// Whether the exit in use counts as alive.
    pub fn is_alive(&self) -> bool {
        self.dead.is_none() && !self.service.is_lost()
    }

    /// Whether something went out that nothing has come back for yet, or the exit is dead.
    fn is_in_doubt(&self) -> bool {
        self.unanswered.is_some() || self.asking.is_some() || self.dead.is_some()
    }

    /// Compares the counters with those before.
    fn look(&mut self, now: Duration, counters: Option<DeviceCounters>, tasks: &mut Vec<MonitorTask>) {
        let before = self.seen.take();
        let Some(counters) = counters else {
            self.unanswered.get_or_insert(now);
            return;
        };
        self.seen = Some((now, counters));
        let Some((then, before)) = before else { return };
        let during = now.saturating_sub(then);
        // Fewer bytes than before: the device is a new one, of which nothing is known yet.
        let Some(received) = counters.rx.checked_sub(before.rx) else { return };
        self.service.receive(received);
        if !is_begun(received, during) {
            self.hear(now, tasks);
            return;
        }
        let sent = counters.tx.saturating_sub(before.tx);
        if sent > 0 && !is_upkeep(sent, during, self.watch.keepalive) {
            self.unanswered.get_or_insert(now);
        }
    }

    /// Somebody is making another device of it: what was seen of the one before says nothing of that one.
    fn forget(&mut self) {
        (self.seen, self.unanswered, self.asking) = (None, None, None);
    }

    fn hear(&mut self, now: Duration, tasks: &mut Vec<MonitorTask>) {
        self.heard = now;
        // Clients sent, and it took a question to hear anything.
        if self.unanswered.is_some() && self.asking.is_some() {
            self.service.doubt(now);
        }
        self.unanswered = None;
        self.asking = None;
        if self.dead.take().is_some() {
            tasks.push(MonitorTask::Log(SessionEvent::Reconnected));
        }
    }

    /// Says in the log how old the handshake is, when that is news. Whether it is lost is not a matter of its age
    /// alone: the clock of the host may have been set.
    fn log_handshake(&mut self, age: Option<Duration>, tasks: &mut Vec<MonitorTask>) {
        let Some(age) = age else { return };
        let overdue = GOOD + self.watch.keepalive + LEEWAY;
        let seconds = age.as_secs();
        if age <= GOOD && self.logged != Logged::Good && self.dead.is_none() {
            self.logged = Logged::Good;
            tasks.push(MonitorTask::Log(SessionEvent::HandshakeGood { seconds }));
        } else if age > overdue && age <= LOST && matches!(self.logged, Logged::Good | Logged::Nothing) {
            self.logged = Logged::Late;
            tasks.push(MonitorTask::Log(SessionEvent::HandshakeWarning { seconds }));
        }
    }

    /// Asks, where there is a reason to.
    fn ask(
        &mut self,
        now: Duration,
        device: bool,
        handshake: Option<Duration>,
        tasks: &mut Vec<MonitorTask>,
    ) {
        let silent = self.unanswered.is_some_and(|since| now >= since + SILENCE);
        let quiet = now >= self.heard + QUIET;
        let reason = silent || quiet || handshake.is_some_and(|age| age > LOST);
        if !device || (self.asking.is_none() && !reason) {
            return;
        }
        match &mut self.asking {
            None => {
                self.asking = Some(Asking { since: now, last: now, count: 1 });
                tasks.push(MonitorTask::Probe);
            }
            Some(asking) if now >= asking.last + ASK_EVERY => {
                asking.last = now;
                asking.count = asking.count.saturating_add(1);
                tasks.push(MonitorTask::Probe);
            }
            Some(_) => {}
        }
    }

    fn is_dead(&self, now: Duration, device: bool) -> bool {
        if !device {
            return self.unanswered.is_some_and(|since| now >= since + SILENCE);
        }
        let Some(asking) = self.asking else { return false };
        let since = self.unanswered.map_or(asking.since, |since| since.min(asking.since));
        now >= since + DEAD_AFTER && asking.count >= QUESTIONS_MIN && now >= asking.last + ANSWER_TIME
    }

    /// A dead exit is replaced, else called again and again; an exit in the place of another is not for ever.
    fn repair(&mut self, now: Duration, tasks: &mut Vec<MonitorTask>) {
        let Some(dead) = &mut self.dead else {
            if self.service.is_lost() {
                if let Some(next) = self.spare.replacement(&self.watch.in_use) {
                    tasks.push(MonitorTask::Switch(next));
                    return;
                }
                self.service.give_up(now);
            }
            tasks.extend(self.spare.way_back(now, &self.watch.in_use));
            return;
        };
        if let Some(next) = self.spare.replacement(&self.watch.in_use) {
            tasks.extend(dead.elsewhere(now, self.watch.named, next));
            return;
        }
        if now < dead.next {
            return;
        }
        dead.attempts = dead.attempts.saturating_add(1);
        let pause = PAUSES.get(dead.attempts as usize - 1).unwrap_or(&PAUSES[PAUSES.len() - 1]);
        dead.next = now + Duration::from_secs(*pause);
        tasks.push(MonitorTask::Log(SessionEvent::ReconnectAttempt { attempt: dead.attempts }));
        if self.watch.named {
            self.resolve_at = now + RESOLVE_EVERY;
            tasks.push(MonitorTask::Resolve);
        }
        tasks.push(MonitorTask::Reconnect);
        self.spare.next_round(now);
    }
}

impl Dead {
    fn new(now: Duration) -> Self {
        Self { since: now, attempts: 0, next: now, calls: 0, elsewhere: Elsewhere::Unasked }
    }

    /// What comes before another exit, or is this other exit: a name with several addresses may lead to one that lives. There is
    /// a bound to it.
    fn elsewhere(&mut self, now: Duration, named: bool, other: ExitName) -> Option<MonitorTask> {
        let may_go_on = named && self.calls < CALLS_MAX && now < self.since + CALLS_LIMIT;
        match self.elsewhere {
            Elsewhere::Called { until, .. } if now < until => None,
            Elsewhere::Unasked | Elsewhere::Called { more: 1.., .. } if may_go_on => {
                self.elsewhere = Elsewhere::Asked;
                Some(MonitorTask::Resolve)
            }
            _ => Some(MonitorTask::Switch(other)),
        }
    }
}

/// So many messages of each kind of a handshake can come together in this time. What took long itself, such as a switch that
/// failed, must not be taken for a sign of life: a look that comes late sees several.
fn handshakes(during: Duration) -> u64 {
    1 + during.as_secs() / BEGUN_AGAIN.as_secs()
}

/// Whether so many bytes can be nothing, or nothing but handshakes that the exit begins. One that nothing reaches begins them
/// again and again: their arrival tells only of the way here. Messages of data are multiples of 16, which up to three of these
/// are not together.
fn is_begun(received: u64, during: Duration) -> bool {
    received.is_multiple_of(INITIATION_BYTES) && received / INITIATION_BYTES <= handshakes(during)
}

/// Whether so many bytes can be nothing but keepalives and messages of handshakes.
fn is_upkeep(sent: u64, during: Duration, keepalive: Duration) -> bool {
    let keepalives = 1 + during.as_secs() / keepalive.as_secs().max(1);
    let most = handshakes(during);
    let begun_and_answered = (0..=most).flat_map(|begun| (0..=most - begun).map(move |more| (begun, more)));
    begun_and_answered.into_iter().any(|(begun, answered)| {
        let rest = sent.checked_sub(begun * INITIATION_BYTES + answered * RESPONSE_BYTES);
        rest.is_some_and(|rest| rest % KEEPALIVE_BYTES == 0 && rest / KEEPALIVE_BYTES <= keepalives)
    })
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod tests;
