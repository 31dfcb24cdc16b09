//! The process of the monitor: looks once a second, and does what the machine says.

use std::net::SocketAddr;
use std::time::Duration;

use phantom_engine::Engine;
use phantom_host::{DeviceUpdate, HostError, PeerConfig, PeerUpdate};
use phantom_store::{Exit, Multihop as Stored, Server, SessionRecord, State, StoreError};
use phantom_types::InterfaceName;

use super::machine::{Counters, ECHOES, Machine, Task, Watch};
use super::notify;
use crate::desired::exit_unit;
use crate::{Event, prove};

/// From one look to the next.
const TICK: Duration = Duration::from_secs(1);
/// How long an answer to a question is waited for; a later one is seen in the counters.
const ANSWER: Duration = Duration::from_millis(200);
/// How long the resolvers have: the next look must not wait for long.
const DNS_LIMIT: Duration = Duration::from_secs(3);
/// How long another change is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// How long the service of the interface has to stop or to start.
const SERVICE_WAIT: Duration = Duration::from_secs(15);
/// Records that could not be written yet; the oldest of more are dropped.
const PENDING_MAX: usize = 100;

/// What is watched over.
struct Session {
    machine: Machine,
    server: Server,
    stored: Stored,
    interface: InterfaceName,
    exit: Exit,
}

/// The monitor of one installation. It needs no module to take part in the engine: it reconciles nothing.
pub struct Monitor<'e> {
    engine: &'e Engine,
    session: Option<Session>,
    /// The stored state was read when it had seen so many changes.
    generation: Option<u64>,
    pending: Vec<SessionRecord>,
}

/// Watches until the process is ended. Tells the service manager first that it is ready.
pub fn monitor(engine: &Engine) -> ! {
    notify::ready();
    let mut monitor = Monitor::new(engine);
    loop {
        let clock = &engine.host().clock;
        let began = clock.monotonic();
        monitor.tick();
        clock.sleep(TICK.saturating_sub(clock.monotonic().saturating_sub(began)));
    }
}

impl<'e> Monitor<'e> {
    /// A monitor that has not looked yet.
    pub fn new(engine: &'e Engine) -> Self {
        Self { engine, session: None, generation: None, pending: Vec::new() }
    }

    /// Looks once, and does what has to be done. What fails is tried again: nobody is there to be told.
    pub fn tick(&mut self) {
        // A state that cannot be read now is the old one.
        let _ = self.read();
        let Some(session) = &mut self.session else { return };
        let peer = prove::peer(self.engine, &session.server, &session.interface, &session.exit);
        let counters = peer.as_ref().map(|peer| Counters {
            rx: peer.rx_bytes,
            tx: peer.tx_bytes,
            handshake: prove::handshake_age(self.engine, Some(peer)),
        });
        let now = self.engine.host().clock.monotonic();
        for task in session.machine.tick(now, counters) {
            self.work(task, counters.is_some());
        }
        self.write();
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
            Some(stored) => store.read(|state| state.exit(&stored.exit_in_use))?,
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
            (&session.stored.exit_in_use, session.stored.activated_at)
                == (&stored.exit_in_use, stored.activated_at)
        });
        let machine = goes_on.map_or_else(|| self.watch(&exit), |session| session.machine);
        self.session = Some(Session { machine, server, stored, interface, exit });
        Ok(())
    }

    fn watch(&self, exit: &Exit) -> Machine {
        let watch = Watch {
            keepalive: Duration::from_secs(exit.keepalive.into()),
            named: exit.endpoint.socket_addr().is_none(),
            in_use: exit.name.clone(),
            exits: vec![exit.name.clone()],
        };
        Machine::new(watch, self.engine.host().clock.monotonic())
    }

    fn work(&mut self, task: Task, device: bool) {
        let Some(session) = &self.session else { return };
        match task {
            Task::Probe => {
                let at = session.stored.endpoint_address;
                if let Some(target) = prove::target(&session.exit, at) {
                    let count = u16::try_from(ECHOES).unwrap_or(u16::MAX);
                    // Whether it was answered is seen in the counters.
                    let _ = self.engine.host().network.echo(&session.interface, target, count, ANSWER);
                }
            }
            Task::Resolve => self.resolve(),
            Task::Reconnect if device => {
                // One that cannot be told is called by WireGuard itself.
                let _ = session.stored.endpoint_address.map(|at| self.send_to(session, at));
            }
            Task::Reconnect => {
                let _ = self.restart(session);
            }
            Task::Log(event) => self.log(&event),
            // There is one exit only to turn to.
            Task::Check(_) | Task::Switch(_) => {}
        }
    }

    /// Asks for the name of the exit again. The address in use stays as long as it is one of those that the name has.
    fn resolve(&mut self) {
        let Some(session) = &self.session else { return };
        let Some(all) = prove::resolve(self.engine, &session.exit.endpoint, DNS_LIMIT) else { return };
        let Some(first) = all.first().copied() else { return };
        if session.stored.endpoint_address.is_some_and(|at| all.contains(&at)) {
            return;
        }
        if self.store_address(first).is_some() {
            self.log(&Event::EndpointChanged { endpoint: first });
        }
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
        let _ = self.send_to(session, at);
        drop(lock);
        Some(())
    }

    fn send_to(&self, session: &Session, at: SocketAddr) -> Result<(), HostError> {
        let exit = &session.exit;
        let config = PeerConfig {
            public_key: exit.public_key,
            preshared_key: exit.preshared_key.clone(),
            endpoint: Some(at),
            keepalive: Some(exit.keepalive),
            allowed_ips: exit.allowed_ips.clone(),
        };
        let update = DeviceUpdate { peers: vec![PeerUpdate::Set(config)], ..DeviceUpdate::default() };
        self.engine.host().wireguard.configure(&session.interface, session.server.backend, &update)
    }

    /// Brings a device back that is gone: the hooks of its service bring the host to the stored state.
    fn restart(&self, session: &Session) -> Result<(), HostError> {
        let Ok(site) = self.engine.site() else { return Ok(()) };
        if !site.runs(&session.server) {
            return Ok(());
        }
        let unit = exit_unit(&site, &session.server, &session.interface, &session.exit);
        self.engine.host().services.stop(&unit, SERVICE_WAIT)?;
        self.engine.host().services.start(&unit, SERVICE_WAIT)
    }

    fn log(&mut self, event: &Event) {
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
