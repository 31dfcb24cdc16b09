//! The process of the monitor: looks once a second, and does what the machine says.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use phantom_engine::Engine;
use phantom_host::PingSource;
use phantom_store::{State, StoreError};
use phantom_types::ExitName;

use super::machine::{DeviceCounters, ECHOES, Machine, MonitorTask, Sight, Watch};
use super::notify;
use crate::collision::{choose, judge};
use crate::errand::{Errand, Errands, Turn};
use crate::model::{Exit, Multihop as Stored, SessionRecord};
use crate::proof::{self, Proof, Target};
use crate::rows::{MultihopChange as _, MultihopState as _};
use crate::switch::SwitchContext;
use crate::{SessionEvent, reach, verify};

/// From one look to the next.
const TICK: Duration = Duration::from_secs(1);
/// How long an answer to a question is waited for; a later one is seen in the counters.
const ANSWER: Duration = Duration::from_millis(200);
/// How long the resolvers have: the next look must not wait for long.
const DNS_LIMIT: Duration = Duration::from_secs(3);
/// How long another change is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// The exit in use is held against the host this often.
const JUDGE_EVERY: Duration = Duration::from_secs(10);
/// How long each server has to answer: an exit that dies at that moment must not be noticed later for it.
const PROOF_LIMIT: Duration = Duration::from_secs(1);
/// Records that could not be written yet; the oldest of more are dropped.
const PENDING_MAX: usize = 100;

/// What is watched over.
struct Session {
    machine: Machine,
    place: SwitchContext,
    stored: Stored,
    exit: Exit,
    /// Where the exit was called since it was alive the last time.
    called: BTreeSet<SocketAddr>,
    /// The addresses that its name had when it died, from the first answer since.
    known: Option<Vec<SocketAddr>>,
}

/// The monitor of one installation. It needs no module to take part in the engine: what changes the host is done by
/// `phantom-api`.
pub struct Monitor<'e> {
    engine: &'e Engine,
    errands: Errands,
    session: Option<Session>,
    /// The stored state was read when it had seen so many changes.
    generation: Option<u64>,
    pending: Vec<SessionRecord>,
    /// When the exit in use is held against the host the next time.
    judge_at: Duration,
    /// Why it can watch no longer.
    end: Option<StoreError>,
}

/// Watches until the process is ended, or until it cannot: a newer version has changed what is stored, and whatever this one
/// remembers is out of date. Tells the service manager first that it is ready.
pub fn monitor(engine: &Engine, errands: Errands) -> StoreError {
    notify::ready();
    let mut monitor = Monitor::new(engine).by(errands);
    loop {
        let clock = &engine.host().clock;
        let began = clock.monotonic();
        monitor.tick();
        if let Some(end) = monitor.end.take() {
            return end;
        }
        clock.sleep(TICK.saturating_sub(clock.monotonic().saturating_sub(began)));
    }
}

impl<'e> Monitor<'e> {
    /// A monitor that has not looked yet, and runs the programs that change the host.
    pub fn new(engine: &'e Engine) -> Self {
        Self {
            engine,
            errands: Errands::Run,
            session: None,
            generation: None,
            pending: Vec::new(),
            judge_at: Duration::ZERO,
            end: None,
        }
    }

    /// The same, with errands done in this way.
    #[must_use]
    pub fn by(self, errands: Errands) -> Self {
        Self { errands, ..self }
    }

    /// Why it can watch no longer, if so: it does nothing any more.
    pub fn end(&self) -> Option<&StoreError> {
        self.end.as_ref()
    }

    /// Looks once, and does what has to be done. What fails is tried again: nobody is there to be told.
    pub fn tick(&mut self) {
        // A state that cannot be read now is the old one.
        if let Err(error @ StoreError::Newer { .. }) = self.read() {
            self.session = None;
            self.end = Some(error);
            return;
        }
        let sight = self.look();
        let now = self.engine.host().clock.monotonic();
        let Some(session) = &mut self.session else { return };
        let there = matches!(sight, Sight::Exit(_));
        let tasks = session.machine.tick(now, sight);
        if !session.machine.is_silent() {
            session.called = session.stored.endpoint_address.into_iter().collect();
            session.known = None;
        }
        for task in tasks {
            self.work(task, there);
        }
        if there && now >= self.judge_at {
            self.judge_at = now + JUDGE_EVERY;
            self.take_down();
        }
        self.write();
    }

    fn look(&self) -> Sight {
        let Some(session) = &self.session else { return Sight::Nothing };
        let look = || {
            let peer = verify::peer(self.engine, &session.place, &session.exit)?;
            Some(DeviceCounters {
                rx: peer.rx_bytes,
                tx: peer.tx_bytes,
                handshake: verify::handshake_age(self.engine, Some(&peer)),
            })
        };
        if let Some(counters) = look() {
            return Sight::Exit(counters);
        }
        if self.engine.store().is_locked().unwrap_or(false) {
            return Sight::Change;
        }
        // The change that took it away may have ended between the two questions.
        look().into()
    }

    /// Asks for a proof of service by the exit in use, and lets the machine judge it.
    fn prove(&mut self) {
        let proof = self.ask();
        if let Some(proof) = &proof {
            // One that cannot be stored is stored with the next question.
            let _ = self.store_proof(proof);
        }
        let now = self.engine.host().clock.monotonic();
        if let Some(session) = &mut self.session {
            session.machine.proven(now, proof.map(|proof| proof.passed));
        }
    }

    fn ask(&self) -> Option<Proof> {
        let (session, store) = (self.session.as_ref()?, self.engine.store());
        let place = &session.place;
        let servers = store.read(|state| proof::servers(self.engine, state, place, Target::stored(state)?));
        proof::ask(self.engine, place, &session.exit, &servers.ok()?, PROOF_LIMIT)
    }

    fn store_proof(&self, proof: &Proof) -> Option<()> {
        let store = self.engine.store();
        let lock = store.lock(LOCK_WAIT).ok()?;
        if store.marker().ok()?.is_some() {
            return None; // a change was cut short: whoever finishes it comes first
        }
        let change = store.begin(&lock).ok()?;
        let now = change.multihop().ok()??;
        if now.active_exit == proof.exit {
            Proof::store(Some(proof), &change).ok()?;
            change.commit().ok()?;
        }
        Some(())
    }

    /// Has an exit taken down that collides with the host since it is in use: a network may have come that the server is part
    /// of. From then on it is an exit that is gone.
    fn take_down(&self) {
        let (Some(session), Ok(installation)) = (&self.session, self.engine.installation()) else { return };
        let at = session.stored.endpoint_address;
        let found = self.engine.store().read(|state| judge(&installation, state, &session.exit, at));
        if found.is_ok_and(|found| !found.is_empty()) {
            self.have_done(&Errand::Reconcile);
        }
    }

    /// Reads the stored state, if it has changed.
    fn read(&mut self) -> Result<(), StoreError> {
        let store = self.engine.store();
        let generation = store.read(State::generation)?;
        if self.generation == Some(generation) {
            return Ok(());
        }
        let (server, stored, interface) = store.read(|state| {
            Ok::<_, StoreError>((state.server()?, state.multihop()?, state.exit_interface()?))
        })?;
        let exit = match &stored {
            Some(stored) => store.read(|state| state.exit(&stored.active_exit))?,
            None => None,
        };
        self.generation = Some(generation);
        let (Some(server), Some(stored), Some(interface), Some(exit)) = (server, stored, interface, exit)
        else {
            self.session = None;
            return Ok(());
        };
        // Another address of the same exit is no new session.
        let goes_on = self.session.take().filter(|session| {
            let before = &session.stored;
            (&before.chosen_exit, &before.fallback_exits, &before.active_exit, before.activated_at)
                == (&stored.chosen_exit, &stored.fallback_exits, &stored.active_exit, stored.activated_at)
        });
        let (machine, called, known) = match goes_on {
            Some(session) => (session.machine, session.called, session.known),
            None => (self.watch(&stored, &exit), BTreeSet::new(), None),
        };
        let place = SwitchContext { server, interface };
        self.session = Some(Session { machine, place, stored, exit, called, known });
        Ok(())
    }

    fn watch(&self, stored: &Stored, exit: &Exit) -> Machine {
        let watch = Watch {
            keepalive: Duration::from_secs(exit.keepalive.into()),
            named: exit.endpoint.socket_addr().is_none(),
            in_use: exit.name.clone(),
            exits: [&stored.chosen_exit].into_iter().chain(&stored.fallback_exits).cloned().collect(),
        };
        Machine::new(watch, self.engine.host().clock.monotonic())
    }

    fn work(&mut self, task: MonitorTask, device: bool) {
        let Some(session) = &self.session else { return };
        match task {
            MonitorTask::Probe => {
                let at = session.stored.endpoint_address;
                if let Some(target) = verify::target(&session.exit, at) {
                    let count = u16::try_from(ECHOES).unwrap_or(u16::MAX);
                    // Whether it was answered is seen in the counters.
                    let from = PingSource::Interface(session.place.interface.clone());
                    let _ = self.engine.host().network.echo(&from, target, count, ANSWER);
                }
            }
            MonitorTask::Resolve => self.resolve(),
            MonitorTask::Reconnect if device => {
                // One that cannot be told is called by WireGuard itself.
                let at = session.stored.endpoint_address;
                let _ = at.map(|at| reach::send_to(self.engine, &session.place, &session.exit, at));
            }
            MonitorTask::Reconnect => {
                self.have_done(&Errand::Reconcile);
            }
            MonitorTask::Prove => self.prove(),
            MonitorTask::Log(event) => self.log(&event),
            MonitorTask::Check(exit) => self.check(&exit),
            MonitorTask::Switch(exit) => self.switch(&exit),
        }
    }

    /// Tries an exit beside the one in use.
    fn check(&mut self, exit: &ExitName) {
        let answered = self.have_done(&Errand::Try(exit.clone()));
        let now = self.engine.host().clock.monotonic();
        if let Some(session) = &mut self.session {
            session.machine.checked(now, answered);
        }
    }

    /// Lets another exit take the place of the one in use. What the machine knows of all of them stays known.
    fn switch(&mut self, to: &ExitName) {
        // What was seen until now is part of the session, and stands before the switch.
        self.write();
        let Some(session) = &self.session else { return };
        let machine = session.machine.clone();
        let before = (session.stored.active_exit.clone(), session.stored.activated_at);
        let errand = Errand::Turn(Turn { to: to.clone(), from: Some(before.clone()) });
        let turned = self.have_done(&errand);
        let _ = self.read();
        let (now, Some(session)) = (self.engine.host().clock.monotonic(), &mut self.session) else { return };
        let same = (&session.stored.active_exit, session.stored.activated_at) == (&before.0, before.1);
        if turned && session.exit.name == *to {
            session.machine = machine;
            let exit = &session.exit;
            let keepalive = Duration::from_secs(exit.keepalive.into());
            session.machine.switched(now, to.clone(), keepalive, exit.endpoint.socket_addr().is_none());
        } else if same {
            // In another session it was not refused by the exit.
            session.machine.switch_failed(now, to);
        }
    }

    /// Has something done that changes the host, and says whether it was.
    fn have_done(&self, errand: &Errand) -> bool {
        self.errands.have_done(self.engine, errand)
    }

    /// Asks for the name of the exit again. The address in use stays as long as it is one of those that the name has and the exit
    /// answers there; a dead exit is called at the next one. Until another exit takes its place, that is one of the first answer:
    /// a name that has other addresses each time would go on for ever.
    fn resolve(&mut self) {
        let Some(session) = &mut self.session else { return };
        let dead = session.machine.is_silent();
        let known = session.known.clone().filter(|_| session.machine.is_sought_elsewhere());
        let asked = || verify::resolve(self.engine, &session.exit.endpoint, DNS_LIMIT);
        let Ok(all) = known.map_or_else(asked, Ok) else { return };
        if dead {
            session.known = Some(all.clone());
        }
        let Ok(installation) = self.engine.installation() else { return };
        // A name that leads to this server itself leads nowhere.
        let Ok(places) = self.engine.read(|state| choose(&installation, state, &session.exit, all)) else {
            return;
        };
        let now = session.stored.endpoint_address;
        let next = match now {
            Some(at) if !dead && places.all().any(|place| place == at) => at,
            Some(at) => places.behind(at),
            None => places.best,
        };
        if now == Some(next) || self.store_address(next).is_none() {
            return;
        }
        self.log(&SessionEvent::EndpointChanged { endpoint: next });
        let (now, Some(session)) = (self.engine.host().clock.monotonic(), &mut self.session) else { return };
        session.called.insert(next);
        let more = places.all().filter(|place| !session.called.contains(place)).count();
        session.machine.called(now, more);
    }

    /// Stores another address of the exit in use, and lets the device send there.
    fn store_address(&mut self, at: SocketAddr) -> Option<()> {
        let store = self.engine.store();
        let lock = store.lock(LOCK_WAIT).ok()?;
        if store.marker().ok()?.is_some() {
            return None; // a change was cut short: whoever finishes it comes first
        }
        let change = store.begin(&lock).ok()?;
        let session = self.session.as_mut()?;
        let now = change.multihop().ok()??;
        if now != session.stored {
            return None; // read again with the next look
        }
        let stored = Stored { endpoint_address: Some(at), ..now };
        change.set_multihop(Some(&stored)).ok()?;
        change.commit().ok()?;
        session.stored = stored;
        let session = self.session.as_ref()?;
        // Under the lock, so that nobody sets another one meanwhile.
        let _ = reach::call(self.engine, &session.place, &session.exit, at);
        drop(lock);
        Some(())
    }

    fn log(&mut self, event: &SessionEvent) {
        let Some(session) = &self.session else { return };
        let now = self.engine.host().clock.now();
        self.pending.push(event.record(now, session.exit.name.clone()));
        let surplus = self.pending.len().saturating_sub(PENDING_MAX);
        self.pending.drain(..surplus);
    }

    /// Writes the records that are waiting; those that cannot be written wait on.
    fn write(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let store = self.engine.store();
        let Ok(lock) = store.lock(Duration::ZERO) else { return };
        if !matches!(store.marker(), Ok(None)) {
            return;
        }
        let written = store.begin(&lock).and_then(|change| {
            // A session that has ended meanwhile has its last record already.
            if change.multihop_active()? {
                self.pending.iter().try_for_each(|record| change.add_record(record))?;
            }
            change.commit()
        });
        if written.is_ok() {
            self.pending.clear();
        }
    }
}
