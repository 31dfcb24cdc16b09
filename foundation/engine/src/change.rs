//! A change: lock, heal, marker, transaction, host, commit; or everything rolled back.

use std::time::Duration;

use phantom_host::reconcile::{self, Coverage};
use phantom_host::{Held, HostError};
use phantom_module::{Call, Lang, chain};
use phantom_store::{Lock, LockError, Marker, State, Transaction};
use phantom_types::{Said, Spoken, explain};

use crate::error::HostFailure;
use crate::peer_changes::{ApplyOutcome, Direction};
use crate::{ChangeError, Engine, EngineError, Recovered, Scope};

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
    dirty_scopes: Vec<Scope>,
    undo: Vec<(&'static str, Undo<'a>)>,
    /// What of the host follows once more behind the commit.
    release: Option<Scope>,
    /// The change before this one that was cut short and that the host refuses to finish.
    unrecovered: Option<Recovered>,
    /// Something that the host refuses is left as it was.
    left: bool,
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
    /// On return the host shows the desired state. An error needs nothing from the caller but to be returned: the
    /// host is rolled back with the stored state.
    pub fn apply(&mut self, scope: Scope) -> Result<(), EngineError> {
        let operation = self.origin.action;
        let at = self.mark_dirty(scope)?;
        let Scope::Peers(keys) = &self.dirty_scopes[at] else {
            return self.engine.apply_scope(operation, &self.state, &self.dirty_scopes[at], Direction::Apply);
        };
        if self.engine.converge_peers(operation, &self.state, keys, Direction::Apply)? == ApplyOutcome::Done {
            return Ok(());
        }
        // From here on more than these peers is touched, and has to be rolled back.
        self.mark_dirty(Scope::Full)?;
        self.engine.apply_scope(operation, &self.state, &Scope::Full, Direction::Apply)
    }

    /// As [`Self::apply`], for a change that lets out what was kept in: until it is committed the packet filter stays
    /// that of the state before, and follows only then. So nobody gets out by a change that fails or is cut short.
    ///
    /// Where the filter cannot follow, the change is made all the same, its answer is an error that says that it was not
    /// rolled back, and the next change or boot opens.
    pub fn apply_fail_closed(&mut self, scope: Scope) -> Result<(), EngineError> {
        // A state that cannot be read has no packet filter that could stay.
        let Ok(before) = self.engine.store.read(|state| self.engine.desired(state, Coverage::WithoutPeers))
        else {
            return self.apply(scope);
        };
        self.mark_dirty(scope.clone())?;
        let coverage = if scope == Scope::WithoutPeers { Coverage::WithoutPeers } else { Coverage::Full };
        self.engine.converge(self.origin.action, coverage, &|coverage| {
            let mut wanted = self.engine.desired(&self.state, coverage)?;
            wanted.firewall = before.firewall.clone();
            // What closes the host at the next boot, which may come before the commit, stays as well.
            let closing = before.units.iter().filter(|(_, (unit, _))| unit.before_network);
            wanted.units.extend(closing.map(|(name, unit)| (name.clone(), unit.clone())));
            Ok(wanted)
        })?;
        self.release = Some(scope);
        Ok(())
    }

    /// Takes the WireGuard interfaces down and brings them up again from the stored state. Everything else stays in
    /// force throughout. A device that does not answer is ended: nothing else brings it back.
    pub fn restart(&mut self) -> Result<(), EngineError> {
        let (engine, operation) = (self.engine, self.origin.action);
        self.mark_dirty_unchecked(Scope::Full)?;
        if self.unrecovered.is_some() {
            // What the host refuses now it would refuse as well when everything is down.
            engine.apply_scope(operation, &self.state, &Scope::Full, Direction::Apply)?;
        }
        engine.end_hung(operation, &self.state)?;
        let mut wanted = engine.desired(&self.state, Coverage::Full)?;
        let running = wanted.stop();
        engine.converge_to(operation, &wanted)?;
        wanted.start(&running);
        engine.converge_to(operation, &wanted)
    }

    /// Lets the host follow a stored state in which WireGuard interfaces are to stop. A device that does not answer is ended.
    ///
    /// Where the host already refused to finish an earlier change, it is enough that the interfaces are gone: a step that has
    /// nothing to do with them must not keep them up.
    pub fn stop(&mut self) -> Result<(), EngineError> {
        let (engine, operation) = (self.engine, self.origin.action);
        self.mark_dirty_unchecked(Scope::Full)?;
        engine.end_hung(operation, &self.state)?;
        if self.unrecovered.is_none() {
            return engine.apply_scope(operation, &self.state, &Scope::Full, Direction::Apply);
        }
        engine.stop_interfaces(operation, &self.state)?;
        match engine.apply_scope(operation, &self.state, &Scope::Full, Direction::Apply) {
            Err(error @ EngineError::Host { .. }) => {
                let (module, why) = (self.origin.module, chain(&error));
                engine.log(&format!("{module} {operation}: the rest of the host does not follow: {why}"));
                self.left = true;
                Ok(())
            }
            done => done,
        }
    }

    /// Adds the undo of an event. Undos run in reverse when the change fails, before the host is rolled back.
    pub fn undo_by(&mut self, what: &'static str, undo: impl FnOnce(&Engine) -> Result<(), HostError> + 'a) {
        self.undo.push((what, Box::new(undo)));
    }

    /// The engine it runs on.
    pub fn engine(&self) -> &'a Engine {
        self.engine
    }

    /// Notes that this much of the host is about to be touched, the first time by the marker; gives its place among
    /// what is touched.
    fn mark_dirty(&mut self, scope: Scope) -> Result<usize, EngineError> {
        self.note(scope, true)
    }

    /// As [`Self::mark_dirty`], for what may be done to a device that does not answer.
    fn mark_dirty_unchecked(&mut self, scope: Scope) -> Result<usize, EngineError> {
        self.note(scope, false)
    }

    fn note(&mut self, scope: Scope, devices_answer: bool) -> Result<usize, EngineError> {
        // What cannot be stored must not be done.
        self.state.reserve_space()?;
        if self.dirty_scopes.is_empty() {
            if devices_answer {
                self.engine.check_devices(self.origin.action, &self.state, &scope)?;
            }
            let marker = Marker {
                module: self.origin.module.to_owned(),
                action: self.origin.action.to_owned(),
                started_at: self.engine.host.clock.now(),
                generation: self.state.generation()?,
                pid: std::process::id(),
            };
            self.engine.store.set_marker(&marker)?;
        }
        let known = self.dirty_scopes.iter().position(|dirty_scopes| *dirty_scopes == scope);
        let at = known.unwrap_or(self.dirty_scopes.len());
        if known.is_none() {
            self.dirty_scopes.push(scope);
        }
        Ok(at)
    }
}

impl Engine {
    /// Runs a change: all of it or nothing.
    ///
    /// `work` gets the stored state under the lock and may change it and let the host follow. When it returns an
    /// error, the transaction is rolled back and the host is rolled back to the old state.
    pub fn change<T, E: ChangeError>(
        &self,
        origin: Origin,
        call: &Call,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.check_initialised()?;
        let lock = self.lock(self.lock_wait())?;
        self.change_locked(&lock, origin, call, true, work)
    }

    /// Privilege comes first: whoever may not change anything is not told what is stored.
    fn check_initialised(&self) -> Result<(), EngineError> {
        self.check_privilege()?;
        // What a reset leads to is seen when it is finished, which is under the lock; the old state may be damaged. A change
        // that was cut short may have led to "not set up", and has to be finished on the host all the same.
        if self.store.reset_pending()?
            || self.store.read(State::initialised)?
            || self.store.marker()?.is_some()
        {
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
        let result = self.change_locked(&lock, origin, call, true, work);
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
        self.change_locked(&lock, origin, call, false, work)
    }

    fn change_locked<T, E: ChangeError>(
        &self,
        lock: &Lock,
        origin: Origin,
        call: &Call,
        needs_setup: bool,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.store.ensure_run_id().map_err(EngineError::from)?;
        self.finish_reset(lock)?;
        let unrecovered = self.recover(origin, call, lock)?;
        if needs_setup && !self.store.read(State::initialised).map_err(EngineError::from)? {
            return Err(EngineError::NotInitialised.into());
        }
        let state = self.store.begin(lock).map_err(EngineError::from)?;
        self.report_repairs(call, &state);
        let result = self.run(state, origin, call, unrecovered, work);
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
        unrecovered: Option<Recovered>,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (dirty_scopes, undo) = (Vec::new(), Vec::new());
        let mut change = Change {
            engine: self,
            origin,
            state,
            dirty_scopes,
            undo,
            release: None,
            unrecovered,
            left: false,
        };
        let result = work(&mut change);
        let Change { state, dirty_scopes, undo, release, unrecovered, left, .. } = change;
        // Whoever brings all of the host to what is stored has finished what was cut short before as well.
        let unrecovered =
            unrecovered.filter(|_| left || result.is_err() || !dirty_scopes.contains(&Scope::Full));
        let result = result.and_then(|value| {
            state.commit().map_err(EngineError::from)?;
            Ok(value)
        });
        match result {
            Ok(value) => {
                if let Some(scope) = release {
                    self.release_after_commit(origin, call, &scope)?;
                }
                // The change is made, whatever becomes of the marker: one that stays lets the next change look again.
                if let Err(error) = self.settle_marker(&dirty_scopes, unrecovered.as_ref()) {
                    let why = explain(&error, call.lang);
                    (call.note)(&match call.lang {
                        Lang::En => format!("the marker could not be removed: {why}"),
                        Lang::Tr => format!("işaret dosyası kaldırılamadı: {why}"),
                    });
                }
                self.tell_due();
                self.log(&format!("{} {}: done", origin.module, origin.action));
                Ok(value)
            }
            Err(mut error) => {
                let complete = self.roll_back(origin, call, &dirty_scopes, undo, unrecovered.as_ref());
                error.set_rolled_back(complete);
                Err(error)
            }
        }
    }

    /// Lets the packet filter follow a change that is made. Where that fails the marker stays.
    fn release_after_commit(&self, origin: Origin, call: &Call, scope: &Scope) -> Result<(), EngineError> {
        let opened = self.store.read(|state| self.apply_scope(origin.action, state, scope, Direction::Apply));
        if let Err(error) = &opened {
            let (module, action) = (origin.module, origin.action);
            let why = Said::from_error(error);
            self.say(
                call,
                &Said::new(
                    format!("{module} {action}: done, but what was closed is not opened: {}", why.en),
                    format!("{module} {action}: yapıldı, ama kapatılan yol açılamadı: {}", why.tr),
                ),
            );
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
            Scope::WithoutPeers | Scope::Full => self.claims(state)?.interfaces,
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
        let (files, busy) = (&self.host.files, reconcile::busy_dir(self.paths().run_dir()));
        let clear = || {
            if files.info(&busy)?.is_none() {
                return Ok(());
            }
            files.remove_dir(&busy)?;
            match files.info(&busy)? {
                None => Ok(()),
                Some(_) => {
                    Err(HostError::unexpected(format!("{} is there after its removal", busy.display())))
                }
            }
        };
        clear().map_err(|error| host_error("lock", error))
    }

    /// Rolls the host back to the stored state, which is the old one again. Says whether that was complete; where
    /// it was not, the marker stays, and the next change or boot finishes it.
    fn roll_back(
        &self,
        origin: Origin,
        call: &Call,
        dirty_scopes: &[Scope],
        undo: Vec<(&str, Undo<'_>)>,
        unrecovered: Option<&Recovered>,
    ) -> bool {
        let mut complete = true;
        let report = |what: &str, error: &dyn Spoken| {
            let (Origin { module, action, .. }, why) = (origin, Said::from_error(error));
            self.say(
                call,
                &Said::new(
                    format!("{module} {action}: could not be undone ({what}): {}", why.en),
                    format!("{module} {action}: geri alınamadı ({what}): {}", why.tr),
                ),
            );
        };
        for (what, undo) in undo.into_iter().rev() {
            if let Err(error) = undo(self) {
                report(what, &error);
                complete = false;
            }
        }
        if dirty_scopes.is_empty() {
            return complete;
        }
        if let Err(error) = self.clear_busy() {
            report("lock", &error);
            complete = false;
        }
        for scope in dirty_scopes.iter().rev() {
            let back =
                self.store.read(|state| self.apply_scope(origin.action, state, scope, Direction::RollBack));
            if let Err(error) = back {
                report("reconcile", &error);
                complete = false;
            }
        }
        if complete && let Err(error) = self.settle_marker(dirty_scopes, unrecovered) {
            report("marker", &error);
            complete = false;
        }
        let outcome = if complete { "undone" } else { "not completely undone" };
        self.log(&format!("{} {}: failed, {outcome}", origin.module, origin.action));
        complete
    }

    /// Says which secret paths somebody had opened; the store has closed them again.
    fn report_repairs(&self, call: &Call, state: &Transaction<'_>) {
        for repair in state.repairs() {
            let (path, mode, owner) = (repair.path.display(), repair.mode, repair.owner);
            self.say(
                call,
                &Said::new(
                    format!("{path} was open to others (mode {mode:o}, owner {owner}); it is closed again"),
                    format!(
                        "{path} başkalarına açıktı (izinler {mode:o}, sahibi {owner}); yeniden kapatıldı"
                    ),
                ),
            );
        }
    }
}

pub(crate) fn host_error(operation: &'static str, source: impl Into<HostFailure>) -> EngineError {
    // Set to true at the end of the change when everything was rolled back.
    EngineError::Host { operation, source: Box::new(source.into()), rolled_back: false }
}
