//! Finishing what was cut short: changes, and factory resets.

use phantom_host::HostError;
use phantom_module::Call;
use phantom_store::{Lock, Marker, State};
use phantom_types::Said;

use crate::error::HostFailure;
use crate::peer_changes::Direction;
use crate::{Engine, EngineError, Origin, Recovered, RecoveryOutcome, Scope};

impl Engine {
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
    /// it was cut on. Gives the change if the host refuses that: it is finished by a later one, and does not keep others from
    /// being made, which may well be what takes the obstacle away. Where somebody else has taken the place of something of
    /// ours, nothing goes on: a client would be added to somebody else's device.
    pub(crate) fn recover(
        &self,
        origin: Origin,
        call: &Call,
        _: &Lock,
    ) -> Result<Option<Recovered>, EngineError> {
        let Some(recovered) = self.interrupted()? else { return Ok(None) };
        let finished =
            self.store.read(|state| self.apply_scope(origin.action, state, &Scope::Full, Direction::Apply));
        if let Err(error @ EngineError::Host { source, .. }) = &finished
            && !matches!(**source, HostFailure::Request(HostError::Foreign { .. }))
        {
            self.say(call, &unfinished(&recovered, error));
            return Ok(Some(recovered));
        }
        finished?;
        self.store.clear_marker()?;
        self.report_recovery(call, &recovered);
        Ok(None)
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
        let outcome =
            if generation > marker.generation { RecoveryOutcome::Completed } else { RecoveryOutcome::Undone };
        Ok(Some(Recovered {
            module: marker.module,
            action: marker.action,
            started_at: marker.started_at,
            outcome,
        }))
    }

    pub(crate) fn report_recovery(&self, call: &Call, recovered: &Recovered) {
        let Recovered { module, action, started_at, outcome } = recovered;
        let outcome_tr = match outcome {
            RecoveryOutcome::Completed => "tamamlandı",
            RecoveryOutcome::Undone => "geri alındı",
        };
        self.say(
            call,
            &Said::new(
                format!("{module} {action} of {started_at} had been cut short and was {outcome}"),
                format!("{started_at} tarihinde başlayan {module} {action} yarıda kalmıştı ve {outcome_tr}"),
            ),
        );
    }

    /// Removes the marker of a change that is made or rolled back; one that was there before, and that the host refused to
    /// finish, is set again.
    pub(crate) fn settle_marker(
        &self,
        dirty_scopes: &[Scope],
        unrecovered: Option<&Recovered>,
    ) -> Result<(), EngineError> {
        match unrecovered {
            Some(Recovered { module, action, started_at, outcome }) => {
                let generation = match outcome {
                    RecoveryOutcome::Completed => 0,
                    RecoveryOutcome::Undone => self.store.read(State::generation)?,
                };
                Ok(self.store.set_marker(&Marker {
                    module: module.clone(),
                    action: action.clone(),
                    started_at: *started_at,
                    generation,
                    pid: std::process::id(),
                })?)
            }
            None if dirty_scopes.is_empty() => Ok(()),
            None => Ok(self.store.clear_marker()?),
        }
    }
}

/// That a change that was cut short is still not finished, and why.
fn unfinished(recovered: &Recovered, error: &EngineError) -> Said {
    let Recovered { module, action, started_at, .. } = recovered;
    let why = Said::from_error(error);
    Said::new(
        format!("{module} {action} of {started_at} had been cut short and is still not finished: {}", why.en),
        format!(
            "{started_at} tarihinde başlayan {module} {action} yarıda kalmıştı ve hâlâ tamamlanamadı: {}",
            why.tr
        ),
    )
}
