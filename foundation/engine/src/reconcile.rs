//! Reconciling as an action of its own: compare, repair, and say what was done.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use phantom_host::reconcile::{self, ApplyContext, ApplyError, Depth, Step, Wanted, Withheld, busy_file};
use phantom_host::{InForce, Manager, Route, RouteKind};
use phantom_module::Call;
use phantom_store::Lock;
use phantom_types::Timestamp;

use crate::change::{Locked, host_error};
use crate::error::HostFailure;
use crate::foreign::Planned;
use crate::{Engine, EngineError, Origin};

/// A change that was cut short and is finished now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Module of the change.
    pub module: String,
    /// Its action.
    pub action: String,
    /// When it began.
    pub started_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an interrupted change ends: it depends on which side of its commit it was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It had been committed: the host was brought to the new state.
    Completed,
    /// It had not been committed: the host was brought back to the old state.
    Undone,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "completed",
            Self::Undone => "undone",
        })
    }
}

/// What a reconcile found and did.
#[derive(Debug)]
pub struct Reconciled {
    /// The interrupted change that it finished first.
    pub recovered: Option<Recovered>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Files that are in the place of files of ours and are not ours: they stay as they are.
    pub foreign: Vec<PathBuf>,
}

/// A reconcile that stopped at a step. Those before it stay, each being correct by itself.
#[derive(Debug)]
pub struct StepFailure {
    /// All steps of the plan.
    pub steps: Vec<Step>,
    /// How many were taken.
    pub taken: usize,
    /// Why the next one failed.
    pub error: EngineError,
}

impl Engine {
    /// The steps that the host needs to match the stored state; changes nothing and takes no lock.
    pub fn plan(&self, operation: &'static str) -> Result<Reconciled, EngineError> {
        let recovered = self.unfinished()?;
        let wanted = self.read(|state| Ok::<_, EngineError>(self.desired(state, Depth::Full)?))?;
        let Planned { steps, foreign } =
            self.plan_for(&wanted).map_err(|error| host_error(operation, error))?;
        Ok(Reconciled { recovered, steps, foreign })
    }

    /// Brings the host to the stored state.
    pub fn reconcile(&self, origin: Origin, call: &Call) -> Result<Reconciled, Box<StepFailure>> {
        let fail = |error| Box::new(StepFailure { steps: Vec::new(), taken: 0, error });
        self.check_privilege().map_err(fail)?;
        let pending = self.store.reset_pending().map_err(|error| fail(error.into()))?;
        if !pending {
            self.read(|_| Ok::<_, EngineError>(())).map_err(fail)?;
        }
        let lock = self.lock(self.lock_wait()).map_err(fail)?;
        let done = self.reconcile_locked(&self.context(), origin, call, &lock);
        drop(lock);
        if done.is_ok() {
            self.copy_if_due(call);
        }
        done
    }

    /// What the service of an interface runs when it starts: brings the host to the stored state, unless the holder
    /// of the lock is starting that very service and does this work itself.
    pub fn service_started(&self, call: &Call) -> Result<(), EngineError> {
        let origin = Origin { module: "core", action: "start_service" };
        match self.lock_unless_busy()? {
            None => Ok(()),
            Some(lock) => {
                // The built-in supervisor waits for nobody but us; systemd keeps an order.
                let in_service = self.host.services.manager() == Manager::Systemd;
                let context = ApplyContext { in_service, ..self.context() };
                self.reconcile_locked(&context, origin, call, &lock)
                    .map(drop)
                    .map_err(|failure| failure.error)
            }
        }
    }

    /// What the service of an interface runs when it stops: takes the link down, unless the holder of the lock is
    /// stopping that very service.
    pub fn service_stopped(&self, interface: &phantom_types::InterfaceName) -> Result<(), EngineError> {
        let Some(_lock) = self.lock_unless_busy()? else { return Ok(()) };
        self.unwatch(interface.as_str());
        let link = self.host.network.link(interface).map_err(|error| host_error("stop_service", error))?;
        if link.and_then(|link| link.alias) == Some(self.marks.text()) {
            self.host.network.delete_link(interface).map_err(|error| host_error("stop_service", error))?;
        }
        Ok(())
    }

    /// Puts in force what keeps packets in, and nothing else: the packet filter, routes that lead nowhere, and the rules
    /// that lead there. For the boot, before there is a network: no link is touched, nothing is removed, and where
    /// nobody is to be kept in nothing is done.
    pub fn block(&self) -> Result<(), EngineError> {
        let failed = |error: phantom_host::HostError| host_error("block", error);
        self.check_privilege()?;
        if !self.store.read(phantom_store::State::initialised)? {
            return Ok(());
        }
        let _lock = self.lock(self.lock_wait())?;
        let wanted = self.read(|state| Ok::<_, EngineError>(self.desired(state, Depth::Network)?))?;
        if wanted.rules.is_empty() {
            return Ok(());
        }
        let (network, firewall) = (&self.host.network, &self.host.firewall);
        if firewall.in_force(&self.marks, &wanted.firewall).map_err(failed)? != InForce::Same {
            firewall.replace(&self.marks, &wanted.firewall).map_err(failed)?;
        }
        let routes = network.routes(self.marks.exit_table()).map_err(failed)?;
        let leads_nowhere = |route: &&Route| !matches!(route.kind, RouteKind::Via { .. });
        for route in wanted.routes.iter().filter(leads_nowhere).filter(|route| !routes.contains(route)) {
            network.add_route(route).map_err(failed)?;
        }
        let rules = network.rules().map_err(failed)?;
        for rule in wanted.rules.iter().filter(|rule| !rules.contains(rule)) {
            network.add_rule(rule).map_err(failed)?;
        }
        Ok(())
    }

    /// Waits for the lock; `None` when its holder says that it is busy with the service itself.
    fn lock_unless_busy(&self) -> Result<Option<Locked>, EngineError> {
        let busy = busy_file(self.paths().run_dir());
        let until = self.host.clock.monotonic() + self.lock_wait();
        loop {
            match self.lock(Duration::ZERO) {
                Err(EngineError::Locked { .. }) if busy.exists() => return Ok(None),
                Err(EngineError::Locked { .. }) if self.host.clock.monotonic() < until => {
                    self.host.clock.sleep(Duration::from_millis(10));
                }
                other => return other.map(Some),
            }
        }
    }

    /// Says what is stored and is kept from the host: that is no failure, and nobody would look for it.
    fn report_withheld(&self, call: &Call, wanted: &Wanted) {
        for Withheld { en, tr } in &wanted.withheld {
            (call.note)(call.lang.pick(en, tr));
            self.log(en);
        }
    }

    pub(crate) fn reconcile_locked(
        &self,
        context: &ApplyContext<'_>,
        origin: Origin,
        call: &Call,
        lock: &Lock,
    ) -> Result<Reconciled, Box<StepFailure>> {
        let fail = |error| Box::new(StepFailure { steps: Vec::new(), taken: 0, error });
        self.store.ensure_run_id().map_err(|error| fail(error.into()))?;
        self.finish_reset(lock).map_err(fail)?;
        let recovered = self.interrupted().map_err(fail)?;
        let wanted =
            self.read(|state| Ok::<_, EngineError>(self.desired(state, Depth::Full)?)).map_err(fail)?;
        let mut generation = self.filter_generation();
        let planned = self.plan_for(&wanted).map_err(|error| fail(host_error(origin.action, error)))?;
        let Planned { steps, foreign } = planned;
        if !steps.is_empty() {
            self.keep_replaced(origin.action, &steps).map_err(fail)?;
            let applied = reconcile::apply(context, &wanted, &steps);
            if let Err(error) = applied {
                let ApplyError { at: taken, .. } = error;
                let error = host_error(origin.action, error);
                self.log(&format!("{} {}: stopped at step {}", origin.module, origin.action, taken + 1));
                return Err(Box::new(StepFailure { steps, taken, error }));
            }
            self.log(&format!("{} {}: {} steps applied", origin.module, origin.action, steps.len()));
            generation = self.filter_generation();
            let left = self.plan_for(&wanted).map_err(|error| fail(host_error(origin.action, error)))?;
            if let Some(step) = left.steps.first() {
                let error = host_error(origin.action, HostFailure::Unverified(step.target.clone()));
                let taken = steps.len();
                return Err(Box::new(StepFailure { steps, taken, error }));
            }
        }
        self.tell_watcher(&wanted, generation);
        self.report_withheld(call, &wanted);
        self.report_foreign(call, &foreign);
        if let Some(recovered) = &recovered {
            self.store.clear_marker().map_err(|error| fail(error.into()))?;
            self.report_recovery(call, recovered);
        }
        Ok(Reconciled { recovered, steps, foreign })
    }
}
