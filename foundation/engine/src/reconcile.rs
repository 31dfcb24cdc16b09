//! Reconciling as an action of its own: compare, repair, and say what was done.

use std::fmt;
use std::time::Duration;

use phantom_host::reconcile::{
    self, ApplyContext, ApplyError, Coverage, DesiredState, Foreign, Step, Withheld, busy_file,
};
use phantom_host::{HostError, Route, RouteKind, RulesetStatus, ServiceManager};
use phantom_module::Call;
use phantom_store::Lock;
use phantom_types::{InterfaceName, Said, Timestamp};

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
    pub outcome: RecoveryOutcome,
}

/// How an interrupted change ends: it depends on which side of its commit it was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryOutcome {
    /// It had been committed: the host was brought to the new state.
    Completed,
    /// It had not been committed: the host was brought back to the old state.
    Undone,
}

impl fmt::Display for RecoveryOutcome {
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
    /// What is in the place of something of ours and is not ours: it stays as it is.
    pub foreign: Vec<Foreign>,
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
        let wanted = self.wish(recovered.is_some())?;
        let planned = self.plan_in(&self.renewing(), &wanted);
        let Planned { steps, foreign } = planned.map_err(|error| host_error(operation, error))?;
        Ok(Reconciled { recovered, steps, foreign })
    }

    /// Brings the host to the stored state.
    pub fn reconcile(&self, origin: Origin, call: &Call) -> Result<Reconciled, Box<StepFailure>> {
        let fail = |error| Box::new(StepFailure { steps: Vec::new(), taken: 0, error });
        self.check_privilege().map_err(fail)?;
        let pending = self.store.reset_pending().map_err(|error| fail(error.into()))?;
        if !pending {
            self.wish_is_known().map_err(fail)?;
        }
        let lock = self.lock(self.lock_wait()).map_err(fail)?;
        let done = self.reconcile_locked(&self.renewing(), origin, call, &lock);
        drop(lock);
        if done.is_ok() {
            self.copy_if_due(call);
        }
        done
    }

    /// What is wanted of the host. Nothing of ours where nothing is set up; that is only brought about when a change is to be
    /// finished, such as a reset that leads there.
    fn wish(&self, unfinished: bool) -> Result<DesiredState, EngineError> {
        if unfinished {
            self.check_privilege()?;
            return Ok(self.store.read(|state| self.desired(state, Coverage::Full))?);
        }
        self.read(|state| Ok::<_, EngineError>(self.desired(state, Coverage::Full)?))
    }

    /// That there is something to bring the host to, before the lock is waited for.
    fn wish_is_known(&self) -> Result<(), EngineError> {
        if self.store.marker()?.is_some() {
            return Ok(());
        }
        self.read(|_| Ok::<_, EngineError>(()))
    }

    /// The context of a reconcile that somebody asked for, as after an upgrade.
    fn renewing(&self) -> ApplyContext<'_> {
        ApplyContext { renews: true, ..self.context() }
    }

    /// What the service of an interface runs when it starts: brings the host to the stored state, unless the holder
    /// of the lock is starting that very service and does this work itself.
    pub fn service_started(&self, interface: &InterfaceName, call: &Call) -> Result<(), EngineError> {
        let origin = Origin { module: "core", action: "start_service" };
        match self.lock_unless_busy_with(interface)? {
            None => Ok(()),
            Some(lock) => {
                // The built-in supervisor waits for nobody but us; systemd keeps an order.
                let in_service = self.host.services.manager() == ServiceManager::Systemd;
                let context = ApplyContext { in_service, ..self.context() };
                self.reconcile_locked(&context, origin, call, &lock)
                    .map(drop)
                    .map_err(|failure| failure.error)
            }
        }
    }

    /// What the service of an interface runs when it stops: takes the link down, unless the holder of the lock is
    /// stopping that very service.
    pub fn service_stopped(&self, interface: &InterfaceName) -> Result<(), EngineError> {
        let Some(_lock) = self.lock_unless_busy_with(interface)? else { return Ok(()) };
        self.unwatch(interface.as_str());
        let link = self.host.network.link(interface).map_err(|error| host_error("stop_service", error))?;
        if link.and_then(|link| link.alias) == Some(self.tags.tag()) {
            self.host.network.delete_link(interface).map_err(|error| host_error("stop_service", error))?;
        }
        Ok(())
    }

    /// Puts in force what keeps packets in, and nothing else: the packet filter, routes that lead nowhere, and the rules
    /// that lead there. For the boot, before there is a network: no link is touched, nothing is removed, and where
    /// nobody is to be kept in nothing is done.
    pub fn install_boot_guard(&self) -> Result<(), EngineError> {
        let failed = |error: HostError| host_error("block", error);
        self.check_privilege()?;
        if !self.store.read(phantom_store::State::initialised)? {
            return Ok(());
        }
        let _lock = self.lock(self.lock_wait())?;
        let wanted = self.read(|state| Ok::<_, EngineError>(self.desired(state, Coverage::WithoutPeers)?))?;
        if wanted.rules.is_empty() {
            return Ok(());
        }
        let (network, firewall) = (&self.host.network, &self.host.firewall);
        if firewall.in_force(&self.tags, &wanted.firewall).map_err(failed)? != RulesetStatus::InSync {
            firewall.replace(&self.tags, &wanted.firewall).map_err(failed)?;
        }
        // One that is refused keeps none of the others away.
        let routes = network.routes(self.tags.exit_table()).map_err(failed)?;
        let leads_nowhere = |route: &&Route| !matches!(route.kind, RouteKind::Via { .. });
        let missing = wanted.routes.iter().filter(leads_nowhere).filter(|route| !routes.contains(route));
        let mut done = Vec::new();
        for route in missing {
            let there = routes.iter().find(|other| other.takes_the_place_of(route));
            done.push(match there {
                Some(other) if self.tags.owns_route(other) => network.replace_route(route),
                Some(other) => Err(HostError::Foreign { object: other.to_string() }),
                None => network.add_route(route),
            });
        }
        let rules = network.rules().map_err(failed)?;
        let missing = wanted.rules.iter().filter(|rule| !rules.contains(rule));
        done.extend(missing.map(|rule| network.add_rule(rule)));
        done.into_iter().collect::<Result<(), _>>().map_err(failed)
    }

    /// Waits for the lock; `None` when its holder says that it is busy with the service of this very interface. What somebody
    /// else says who held the lock before says nothing, and so does what is done to another interface.
    fn lock_unless_busy_with(&self, interface: &InterfaceName) -> Result<Option<Locked>, EngineError> {
        let until = self.host.clock.monotonic() + self.lock_wait();
        loop {
            match self.lock(Duration::ZERO) {
                Err(EngineError::Locked { holder: Some(holder), .. })
                    if self.is_busy(holder, interface)? =>
                {
                    return Ok(None);
                }
                Err(EngineError::Locked { .. }) if self.host.clock.monotonic() < until => {
                    self.host.clock.sleep(Duration::from_millis(10));
                }
                other => return other.map(Some),
            }
        }
    }

    /// Whether this process says that it is starting or stopping the service of an interface.
    fn is_busy(&self, process: u32, interface: &InterfaceName) -> Result<bool, EngineError> {
        let file = busy_file(self.paths().run_dir(), interface);
        let said = self.host.files.read(&file).map_err(|error| host_error("lock", error))?;
        Ok(said.is_some_and(|said| said == process.to_string().as_bytes()))
    }

    /// Says what is stored and is kept from the host: that is no failure, and nobody would look for it.
    fn report_withheld(&self, call: &Call, wanted: &DesiredState) {
        for Withheld { en, tr, .. } in &wanted.withheld {
            self.say(call, &Said::new(en, tr));
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
        let wanted = self.wish(recovered.is_some()).map_err(fail)?;
        let mut before = self.before_look();
        let planned =
            self.plan_in(context, &wanted).map_err(|error| fail(host_error(origin.action, error)))?;
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
            before = self.before_look();
            let left = self.plan_in(context, &wanted);
            let left = left.map_err(|error| fail(host_error(origin.action, error)))?;
            if let Some(step) = left.steps.first() {
                let error = host_error(origin.action, HostFailure::Unverified(step.target.clone()));
                let taken = steps.len();
                return Err(Box::new(StepFailure { steps, taken, error }));
            }
        }
        self.tell_watcher(&wanted, before, &foreign);
        self.report_withheld(call, &wanted);
        self.report_foreign(call, &foreign);
        if let Some(recovered) = &recovered {
            self.store.clear_marker().map_err(|error| fail(error.into()))?;
            self.report_recovery(call, recovered);
        }
        Ok(Reconciled { recovered, steps, foreign })
    }
}
