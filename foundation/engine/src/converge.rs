//! Bringing the host to a state, and looking again whether it is there.

use std::time::Duration;

use phantom_host::HostError;
use phantom_host::reconcile::{self, ApplyContext, Coverage, DesiredState, Step};
use phantom_store::State;
use phantom_types::PublicKey;

use crate::change::host_error;
use crate::error::HostFailure;
use crate::foreign::Planned;
use crate::peer_changes::{ApplyOutcome, Direction};
use crate::watch::BeforeLook;
use crate::{Engine, EngineError, Scope};

/// How long a process has to end that does not answer. What hears nothing will not hear this either.
const HUNG_WAIT: Duration = Duration::from_millis(500);

/// A desired state at a depth.
pub(crate) type DesiredAt<'a> = &'a dyn Fn(Coverage) -> Result<DesiredState, EngineError>;

impl Engine {
    /// Brings single peers to a state, as far as device and file are there.
    pub(crate) fn converge_peers(
        &self,
        operation: &'static str,
        state: &State<'_>,
        keys: &[PublicKey],
        direction: Direction,
    ) -> Result<ApplyOutcome, EngineError> {
        let wishes = self.desired_peers(state, keys)?;
        self.apply_peers(&wishes, direction).map_err(|error| host_error(operation, error))
    }

    /// Brings the host to a state within a scope, and verifies it.
    pub(crate) fn apply_scope(
        &self,
        operation: &'static str,
        state: &State<'_>,
        scope: &Scope,
        direction: Direction,
    ) -> Result<(), EngineError> {
        let coverage = match scope {
            Scope::Peers(keys) => match self.converge_peers(operation, state, keys, direction)? {
                ApplyOutcome::Done => return Ok(()),
                ApplyOutcome::NeedsFullReconcile => Coverage::Full,
            },
            Scope::WithoutPeers => Coverage::WithoutPeers,
            Scope::Full => Coverage::Full,
        };
        self.converge(operation, coverage, &|coverage| Ok(self.desired(state, coverage)?))
    }

    /// Brings the host to what is wanted at this depth, and looks again whether it is there.
    ///
    /// Less than everything is compared only where the rest is certain to be there. A device that a step makes, or that has
    /// lost its key, has no peers, and is given all of them.
    pub(crate) fn converge(
        &self,
        operation: &'static str,
        coverage: Coverage,
        want: DesiredAt<'_>,
    ) -> Result<(), EngineError> {
        let failed = |error| host_error(operation, error);
        let before = self.before_look();
        let mut wanted = want(coverage)?;
        let mut planned = self.plan_for(&wanted).map_err(failed)?;
        if coverage == Coverage::WithoutPeers && planned.steps.iter().any(Step::makes_device) {
            wanted = want(Coverage::Full)?;
            planned = self.plan_for(&wanted).map_err(failed)?;
        }
        self.take(operation, &wanted, planned, before)
    }

    /// Brings the host to a state as it stands, and looks again whether it is there.
    pub(crate) fn converge_to(
        &self,
        operation: &'static str,
        wanted: &DesiredState,
    ) -> Result<(), EngineError> {
        let before = self.before_look();
        let planned = self.plan_for(wanted).map_err(|error| host_error(operation, error))?;
        self.take(operation, wanted, planned, before)
    }

    /// Takes the steps of a plan, for which the host was looked at after this.
    fn take(
        &self,
        operation: &'static str,
        wanted: &DesiredState,
        planned: Planned,
        before: BeforeLook,
    ) -> Result<(), EngineError> {
        let Planned { steps, foreign } = planned;
        self.refuse_foreign(operation, &foreign)?;
        if steps.is_empty() {
            self.tell_watcher(wanted, before, &foreign);
            return Ok(());
        }
        self.keep_replaced(operation, &steps)?;
        reconcile::apply(&self.context(), wanted, &steps).map_err(|error| host_error(operation, error))?;
        drop(steps); // there can be as many as there are peers
        let before = self.before_look();
        let Planned { steps: left, foreign } =
            self.plan_for(wanted).map_err(|error| host_error(operation, error))?;
        if left.is_empty() {
            self.tell_watcher(wanted, before, &foreign);
            return Ok(());
        }
        let left: Vec<String> =
            left.iter().take(5).map(|step| format!("{:?} {}", step.kind, step.target)).collect();
        Err(host_error(operation, HostFailure::Unverified(left.join(", "))))
    }

    /// Ends the process of each device that takes questions and answers none. Nothing but that helps it, and whoever stops or
    /// restarts it does not need its answer. It is given up as soon as one who reads gives it up.
    pub(crate) fn end_hung(&self, operation: &'static str, state: &State<'_>) -> Result<(), EngineError> {
        let failed = |error| host_error(operation, error);
        let wanted = self.desired(state, Coverage::WithoutPeers)?;
        let context = self.context();
        for (name, interface) in &wanted.interfaces {
            let answer = {
                let _reading = self.host.patience.reading();
                self.host.wireguard.answers(name, interface.backend)
            };
            let hangs = matches!(answer, Err(HostError::Silent { .. }));
            // A unit of somebody else is not ours to stop; the plan says so.
            if hangs && !self.host.services.foreign(&interface.unit.name).map_err(failed)? {
                self.log(&format!("{operation}: the device {name} does not answer; its process is ended"));
                reconcile::stop_interface(&context, &interface.unit, HUNG_WAIT).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Takes the interfaces away that are not to run, and nothing else.
    pub(crate) fn stop_interfaces(
        &self,
        operation: &'static str,
        state: &State<'_>,
    ) -> Result<(), EngineError> {
        let wanted = self.desired(state, Coverage::WithoutPeers)?;
        let stopping = || {
            let planned = self.plan_for(&wanted).map_err(|error| host_error(operation, error))?;
            Ok::<_, EngineError>(planned.steps.into_iter().filter(Step::stops_interface).collect::<Vec<_>>())
        };
        let steps = stopping()?;
        reconcile::apply(&self.context(), &wanted, &steps).map_err(|error| host_error(operation, error))?;
        match stopping()?.first() {
            None => Ok(()),
            Some(left) => Err(host_error(operation, HostFailure::Unverified(left.target.clone()))),
        }
    }

    pub(crate) fn context(&self) -> ApplyContext<'_> {
        ApplyContext::new(&self.host, &self.tags, self.paths().run_dir())
    }

    pub(crate) fn plan_for(&self, wanted: &DesiredState) -> Result<Planned, HostError> {
        self.plan_in(&self.context(), wanted)
    }

    pub(crate) fn plan_in(
        &self,
        context: &ApplyContext<'_>,
        wanted: &DesiredState,
    ) -> Result<Planned, HostError> {
        let observed = reconcile::observe(context, wanted)?;
        let steps = reconcile::plan(&self.tags, &observed, wanted)?;
        Ok(Planned { steps, foreign: reconcile::foreign(&observed, wanted) })
    }
}
