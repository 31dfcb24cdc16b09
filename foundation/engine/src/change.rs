//! A change: lock, heal, marker, transaction, host, commit; or everything led back.

use std::time::Duration;

use phantom_host::reconcile::{self, Depth, Wanted};
use phantom_host::{Held, HostError};
use phantom_module::{Call, chain};
use phantom_store::{Lock, LockError, Marker, State, Transaction};
use phantom_types::PublicKey;

use crate::error::HostFailure;
use crate::foreign::Planned;
use crate::peers::{Reached, Way};
use crate::{ChangeError, Engine, EngineError, Outcome, Recovered, Scope};

/// Which action a change belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The module.
    pub module: &'static str,
    /// The action; it is also the `operation` of an error.
    pub action: &'static str,
}

/// A running change. It derefs to the transaction, so that the stored state is read and written through it.
pub struct Change<'a> {
    engine: &'a Engine,
    origin: Origin,
    state: Transaction<'a>,
    touched: Vec<Scope>,
    undo: Vec<(&'static str, Undo<'a>)>,
    /// What of the host follows once more behind the commit.
    opens: Option<Scope>,
}

/// The right to change the state and the host.
pub(crate) struct Locked {
    lock: Lock,
    _held: Held,
}

impl std::ops::Deref for Locked {
    type Target = Lock;
    fn deref(&self) -> &Lock {
        &self.lock
    }
}

/// Takes back an event that reconciling cannot.
type Undo<'a> = Box<dyn FnOnce(&Engine) -> Result<(), HostError> + 'a>;

impl<'a> std::ops::Deref for Change<'a> {
    type Target = Transaction<'a>;
    fn deref(&self) -> &Transaction<'a> {
        &self.state
    }
}

impl std::ops::DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.state
    }
}

impl<'a> Change<'a> {
    /// Lets the host follow what is stored so far. May be called more than once.
    ///
    /// On return the host shows the wanted state. An error needs nothing from the caller but to be returned: the
    /// host is led back with the stored state.
    pub fn apply(&mut self, scope: Scope) -> Result<(), EngineError> {
        let operation = self.origin.action;
        let at = self.touch(scope)?;
        let Scope::Peers(keys) = &self.touched[at] else {
            return self.engine.apply_scope(operation, &self.state, &self.touched[at], Way::Forward);
        };
        if self.engine.reach_peers(operation, &self.state, keys, Way::Forward)? == Reached::All {
            return Ok(());
        }
        // From here on more than these peers is touched, and has to be led back.
        self.touch(Scope::Full)?;
        self.engine.apply_scope(operation, &self.state, &Scope::Full, Way::Forward)
    }

    /// As [`Self::apply`], for a change that lets out what was kept in: until it is committed the packet filter stays
    /// that of the state before, and follows only then. So nobody gets out by a change that fails or is cut short.
    ///
    /// Where the filter cannot follow, the change is made all the same, its answer is an error that says that it was not
    /// rolled back, and the next change or boot opens.
    pub fn apply_then_open(&mut self, scope: Scope) -> Result<(), EngineError> {
        // A state that cannot be read has no packet filter that could stay.
        let Ok(before) = self.engine.store.read(|state| self.engine.desired(state, Depth::Network)) else {
            return self.apply(scope);
        };
        self.touch(scope.clone())?;
        let depth = if scope == Scope::Network { Depth::Network } else { Depth::Full };
        let mut wanted = self.engine.desired(&self.state, depth)?;
        wanted.firewall = before.firewall;
        // What closes the host at the next boot, which may come before the commit, stays as well.
        wanted.units.extend(before.units.into_iter().filter(|(_, (unit, _))| unit.before_network));
        self.opens = Some(scope);
        self.engine.bring(self.origin.action, &wanted)
    }

    /// Takes the WireGuard interfaces down and brings them up again from the stored state. Everything else stays in
    /// force throughout.
    pub fn restart(&mut self) -> Result<(), EngineError> {
        self.touch(Scope::Full)?;
        let mut wanted = self.engine.desired(&self.state, Depth::Full)?;
        let running = wanted.stop();
        self.engine.bring(self.origin.action, &wanted)?;
        wanted.start(&running);
        self.engine.bring(self.origin.action, &wanted)
    }

    /// Adds the undo of an event. Undos run in reverse when the change fails, before the host is led back.
    pub fn undo_by(&mut self, what: &'static str, undo: impl FnOnce(&Engine) -> Result<(), HostError> + 'a) {
        self.undo.push((what, Box::new(undo)));
    }

    /// The engine it runs on.
    pub fn engine(&self) -> &'a Engine {
        self.engine
    }

    /// Notes that this much of the host is about to be touched, the first time by the marker; gives its place among
    /// what is touched.
    fn touch(&mut self, scope: Scope) -> Result<usize, EngineError> {
        // What cannot be stored must not be done.
        self.state.reserve_space()?;
        if self.touched.is_empty() {
            self.engine.check_devices(self.origin.action, &self.state, &scope)?;
            let marker = Marker {
                module: self.origin.module.to_owned(),
                action: self.origin.action.to_owned(),
                started_at: self.engine.host.clock.now(),
                generation: self.state.generation()?,
                pid: std::process::id(),
            };
            self.engine.store.set_marker(&marker)?;
        }
        let known = self.touched.iter().position(|touched| *touched == scope);
        let at = known.unwrap_or(self.touched.len());
        if known.is_none() {
            self.touched.push(scope);
        }
        Ok(at)
    }
}

impl Engine {
    /// Runs a change: all of it or nothing.
    ///
    /// `work` gets the stored state under the lock and may change it and let the host follow. When it returns an
    /// error, the transaction is rolled back and the host is led back to the old state.
    pub fn change<T, E: ChangeError>(
        &self,
        origin: Origin,
        call: &Call,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.check_initialised()?;
        self.change_uninitialised(origin, call, work)
    }

    /// Privilege comes first: whoever may not change anything is not told what is stored.
    fn check_initialised(&self) -> Result<(), EngineError> {
        self.check_privilege()?;
        // What a reset leads to is seen when it is finished, which is under the lock; the old state may be damaged.
        if self.store.reset_pending()? || self.store.read(State::initialised)? {
            return Ok(());
        }
        Err(EngineError::NotInitialised)
    }

    /// As [`Self::change`], for one that takes more away than it adds: on a full disk it may use the room that is kept
    /// back ([`Store::give_room`](phantom_store::Store::give_room)).
    pub fn change_that_removes<T, E: ChangeError>(
        &self,
        origin: Origin,
        call: &Call,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.check_initialised()?;
        let lock = self.lock(self.lock_wait())?;
        let given = self.store.give_room(&lock).map_err(EngineError::from)?;
        let result = self.change_locked(&lock, origin, call, work);
        if given {
            self.log(&format!("{} {}: the disk was full", origin.module, origin.action));
            // Where it cannot be kept back again the next change tries.
            let _ = self.store.keep_room(&lock);
        }
        result
    }

    /// As [`Self::change`], also before anything has been set up.
    pub fn change_uninitialised<T, E: ChangeError>(
        &self,
        origin: Origin,
        call: &Call,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.check_privilege()?;
        let lock = self.lock(self.lock_wait())?;
        self.change_locked(&lock, origin, call, work)
    }

    fn change_locked<T, E: ChangeError>(
        &self,
        lock: &Lock,
        origin: Origin,
        call: &Call,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.store.ensure_run_id().map_err(EngineError::from)?;
        self.finish_reset(lock)?;
        self.heal(origin, call, lock)?;
        let state = self.store.begin(lock).map_err(EngineError::from)?;
        self.report_repairs(call, &state);
        let result = self.run(state, origin, call, work);
        if result.is_ok() {
            self.copy_if_due(call);
        }
        result
    }

    /// Runs a change that has begun, to its commit or back.
    pub(crate) fn run<'a, T, E: ChangeError>(
        &'a self,
        state: Transaction<'a>,
        origin: Origin,
        call: &Call,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut change =
            Change { engine: self, origin, state, touched: Vec::new(), undo: Vec::new(), opens: None };
        let result = work(&mut change);
        let Change { state, touched, undo, opens, .. } = change;
        let result = result.and_then(|value| {
            state.commit().map_err(EngineError::from)?;
            Ok(value)
        });
        match result {
            Ok(value) => {
                if let Some(scope) = opens {
                    self.open(origin, call, &scope)?;
                }
                // The change is made, whatever becomes of the marker: one that stays lets the next change look again.
                if !touched.is_empty()
                    && let Err(error) = self.store.clear_marker()
                {
                    (call.note)(&format!("the marker could not be removed: {}", chain(&error)));
                }
                self.tell_due();
                self.log(&format!("{} {}: done", origin.module, origin.action));
                Ok(value)
            }
            Err(mut error) => {
                let complete = self.lead_back(origin, call, &touched, undo);
                error.set_rolled_back(complete);
                Err(error)
            }
        }
    }

    /// Lets the packet filter follow a change that is made. Where that fails the marker stays.
    fn open(&self, origin: Origin, call: &Call, scope: &Scope) -> Result<(), EngineError> {
        let opened = self.store.read(|state| self.apply_scope(origin.action, state, scope, Way::Forward));
        if let Err(error) = &opened {
            let (module, action) = (origin.module, origin.action);
            let line =
                format!("{module} {action}: done, but what was closed is not opened: {}", chain(error));
            (call.note)(&line);
            self.log(&line);
        }
        opened
    }

    /// That no device within the scope hangs: nothing has been touched yet, so that nothing has to be rolled back. Peers are
    /// those of the server's own interface, and no other one keeps them from changing.
    fn check_devices(
        &self,
        operation: &'static str,
        state: &State<'_>,
        scope: &Scope,
    ) -> Result<(), EngineError> {
        let Some(server) = state.server()? else { return Ok(()) };
        let others = match scope {
            Scope::Peers(_) => Vec::new(),
            Scope::Network | Scope::Full => self.claims(state)?.interfaces,
        };
        for interface in std::iter::once(&server.interface).chain(&others) {
            let answered = self.host.wireguard.answers(interface, server.backend);
            answered.map_err(|error| host_error(operation, error))?;
        }
        Ok(())
    }

    /// Takes the lock. While it is held, a request to end (Ctrl-C, SIGTERM) waits until the change is made or rolled back.
    pub(crate) fn lock(&self, wait: Duration) -> Result<Locked, EngineError> {
        let lock = self.store.lock(wait).map_err(|error| match error {
            LockError::Busy { waited, holder } => EngineError::Locked { waited, holder },
            other => EngineError::Lock(other),
        })?;
        let locked = Locked { lock, _held: self.host.interrupt.hold() };
        self.clear_busy()?;
        Ok(locked)
    }

    /// Removes what a holder of the lock left that ended while it started or stopped a service.
    fn clear_busy(&self) -> Result<(), EngineError> {
        let busy = reconcile::busy_file(self.paths().run_dir());
        let cleared = if busy.exists() { self.host.files.remove_dir(&busy) } else { Ok(()) };
        cleared.map_err(|error| host_error("lock", error))
    }

    /// Leads the host back to the stored state, which is the old one again. Says whether that was complete; where
    /// it was not, the marker stays, and the next change or boot finishes it.
    fn lead_back(&self, origin: Origin, call: &Call, touched: &[Scope], undo: Vec<(&str, Undo<'_>)>) -> bool {
        let mut complete = true;
        let report = |what: &str, detail: &str| {
            let line = format!("{} {}: could not be undone ({what}): {detail}", origin.module, origin.action);
            (call.note)(&line);
            self.log(&line);
        };
        for (what, undo) in undo.into_iter().rev() {
            if let Err(error) = undo(self) {
                report(what, &error.chain());
                complete = false;
            }
        }
        if touched.is_empty() {
            return complete;
        }
        if let Err(error) = self.clear_busy() {
            report("lock", &chain(&error));
            complete = false;
        }
        for scope in touched.iter().rev() {
            let back = self.store.read(|state| self.apply_scope(origin.action, state, scope, Way::Back));
            if let Err(error) = back {
                report("reconciling", &chain(&error));
                complete = false;
            }
        }
        if complete && let Err(error) = self.store.clear_marker() {
            report("marker", &chain(&error));
            complete = false;
        }
        let outcome = if complete { "undone" } else { "not completely undone" };
        self.log(&format!("{} {}: failed, {outcome}", origin.module, origin.action));
        complete
    }

    /// Finishes a factory reset that was cut short, as far as the stored state goes. The host follows as after any change
    /// that was cut short.
    pub(crate) fn finish_reset(&self, lock: &Lock) -> Result<(), EngineError> {
        if !self.store.reset_pending()? {
            return Ok(());
        }
        self.store.set_marker(&Marker {
            module: "core".to_owned(),
            action: "factory_reset".to_owned(),
            started_at: self.host.clock.now(),
            generation: 0,
            pid: std::process::id(),
        })?;
        Ok(self.store.finish_reset(lock)?)
    }

    /// Finishes a change that was cut short: the host is brought to what is stored, whichever side of the commit
    /// it was cut on.
    pub(crate) fn heal(
        &self,
        origin: Origin,
        call: &Call,
        _: &Lock,
    ) -> Result<Option<Recovered>, EngineError> {
        let Some(recovered) = self.interrupted()? else { return Ok(None) };
        self.store.read(|state| self.apply_scope(origin.action, state, &Scope::Full, Way::Forward))?;
        self.store.clear_marker()?;
        self.report_recovery(call, &recovered);
        Ok(Some(recovered))
    }

    /// The change that was cut short and that nobody has finished yet. One that is being made is none.
    ///
    /// # Errors
    /// The marker, the lock or the stored state cannot be read.
    pub fn unfinished(&self) -> Result<Option<Recovered>, EngineError> {
        let Some(found) = self.interrupted()? else { return Ok(None) };
        if self.store.is_locked().map_err(EngineError::Lock)? {
            return Ok(None);
        }
        // The change may have ended between the two questions.
        Ok(self.interrupted()?.filter(|still| *still == found))
    }

    /// The change that was cut short, if there is one, and on which side of its commit.
    pub(crate) fn interrupted(&self) -> Result<Option<Recovered>, EngineError> {
        let Some(marker) = self.store.marker()? else { return Ok(None) };
        let generation = self.store.read(State::generation)?;
        let outcome = if generation > marker.generation { Outcome::Completed } else { Outcome::Undone };
        Ok(Some(Recovered {
            module: marker.module,
            action: marker.action,
            started_at: marker.started_at,
            outcome,
        }))
    }

    pub(crate) fn report_recovery(&self, call: &Call, recovered: &Recovered) {
        let Recovered { module, action, started_at, outcome } = recovered;
        let line = format!("{module} {action} of {started_at} had been cut short and was {outcome}");
        (call.note)(&line);
        self.log(&line);
    }

    /// Brings single peers to a state, as far as device and file are there.
    fn reach_peers(
        &self,
        operation: &'static str,
        state: &State<'_>,
        keys: &[PublicKey],
        way: Way,
    ) -> Result<Reached, EngineError> {
        let wishes = self.desired_peers(state, keys)?;
        self.apply_peers(&wishes, way).map_err(|error| host_error(operation, error))
    }

    /// Brings the host to a state within a scope, and verifies it.
    fn apply_scope(
        &self,
        operation: &'static str,
        state: &State<'_>,
        scope: &Scope,
        way: Way,
    ) -> Result<(), EngineError> {
        let depth = match scope {
            Scope::Peers(keys) => match self.reach_peers(operation, state, keys, way)? {
                Reached::All => return Ok(()),
                Reached::NothingThere => Depth::Full,
            },
            Scope::Network => Depth::Network,
            Scope::Full => Depth::Full,
        };
        let wanted = self.desired(state, depth)?;
        self.bring(operation, &wanted)
    }

    /// Brings the host to what is wanted, and looks again whether it is there.
    pub(crate) fn bring(&self, operation: &'static str, wanted: &Wanted) -> Result<(), EngineError> {
        let context = self.context();
        let generation = self.filter_generation();
        let Planned { steps, foreign } =
            self.plan_for(wanted).map_err(|error| host_error(operation, error))?;
        self.refuse_foreign(operation, &foreign)?;
        if steps.is_empty() {
            self.tell_watcher(wanted, generation);
            return Ok(());
        }
        self.keep_replaced(operation, &steps)?;
        reconcile::apply(&context, wanted, &steps).map_err(|error| host_error(operation, error))?;
        drop(steps); // there can be as many as there are peers
        let generation = self.filter_generation();
        let left = self.plan_for(wanted).map_err(|error| host_error(operation, error))?.steps;
        if left.is_empty() {
            self.tell_watcher(wanted, generation);
            return Ok(());
        }
        let left: Vec<String> =
            left.iter().take(5).map(|step| format!("{:?} {}", step.kind, step.target)).collect();
        Err(host_error(operation, HostFailure::Unverified(left.join(", "))))
    }

    pub(crate) fn context(&self) -> reconcile::ApplyContext<'_> {
        reconcile::ApplyContext::new(&self.host, &self.marks, self.paths().run_dir())
    }

    pub(crate) fn plan_for(&self, wanted: &Wanted) -> Result<Planned, HostError> {
        let observed = reconcile::observe(&self.context(), wanted)?;
        let steps = reconcile::plan(&self.marks, &observed, wanted)?;
        Ok(Planned { steps, foreign: reconcile::foreign(&observed, wanted) })
    }

    /// Says which secret paths somebody had opened; the store has closed them again.
    fn report_repairs(&self, call: &Call, state: &Transaction<'_>) {
        for repair in state.repairs() {
            let (path, mode, owner) = (repair.path.display(), repair.mode, repair.owner);
            let line =
                format!("{path} was open to others (mode {mode:o}, owner {owner}); it is closed again");
            (call.note)(&line);
            self.log(&line);
        }
    }
}

pub(crate) fn host_error(operation: &'static str, source: impl Into<HostFailure>) -> EngineError {
    // Set to true at the end of the change when everything was led back.
    EngineError::Host { operation, source: Box::new(source.into()), rolled_back: false }
}
