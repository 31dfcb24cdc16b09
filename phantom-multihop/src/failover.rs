//! An exit in the place of another.

use std::time::Duration;

use phantom_engine::{Change, Engine};
use phantom_module::{Call, Text};
use phantom_store::State;
use phantom_types::ExitName;

use crate::actions::{exit, place};
use crate::collision::choose;
use crate::errand::Turn;
use crate::error::{Finding, MultihopStep};
use crate::model::Multihop as Stored;
use crate::proof::{self, Target};
use crate::reach;
use crate::routes::OwnRoutes;
use crate::rows::{MultihopChange as _, MultihopState as _};
use crate::switch::{self, SwitchRequest};
use crate::verify;
use crate::{MultihopError, origin};

/// How long an exit has to answer that is to take the place of another. It is short: clients wait meanwhile.
const LIMIT: Duration = Duration::from_secs(5);
/// How long the host's resolvers have for its name.
const NAME_LIMIT: Duration = Duration::from_secs(3);
/// How long another change is waited for. What takes longer may be what makes this one needless, and the monitor asks again.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// All that such a change waits for, one after the other: the name, the lock, a handshake beside the exit in use at one of its
/// addresses, one in its place, echo requests, and the proof of service.
pub(crate) const WAITS: Duration = NAME_LIMIT
    .saturating_add(LOCK_WAIT)
    .saturating_add(reach::longest(LIMIT))
    .saturating_add(reach::longest(LIMIT))
    .saturating_add(verify::PROBES_LIMIT)
    .saturating_add(proof::ALL_LIMIT);

/// Not one of the exits that were chosen.
pub(crate) const NOT_CHOSEN: Finding = Text {
    en: "the exit is not one of those that were chosen",
    tr: "bu çıkış noktası seçilenlerden biri değil",
};
/// The switch was decided for another exit in use, or before somebody enabled this one again.
pub(crate) const OVERTAKEN: Finding = Text {
    en: "another exit is in use by now, or the same one was enabled again",
    tr: "bu arada başka bir çıkış noktası kullanılıyor ya da aynısı yeniden etkinleştirildi",
};

/// Switches to an exit that was chosen, or as one that may take the place of the chosen one; the choice stays as it is.
/// Client traffic has no other way meanwhile, and when the exit does not answer everything is as before.
pub(crate) fn failover(engine: &Engine, call: &Call, order: &Turn) -> Result<(), MultihopError> {
    let name = &order.to;
    with_exit(engine, call, "turn", name, |change, before, request| {
        // Looked at under the lock: this may have waited for the change that decided otherwise.
        let holds =
            |(from, since): &(ExitName, _)| *from == before.active_exit && *since == before.activated_at;
        if order.from.as_ref().is_some_and(|from| !holds(from)) {
            return Err(MultihopError::found(MultihopStep::Interface, OVERTAKEN));
        }
        if before.active_exit == *name {
            return Ok(());
        }
        let place = place(change)?;
        switch::switch_to(change, call, &place, Some(before), request).map(drop)
    })
}

/// Tries such an exit beside the one in use, which goes on carrying all traffic.
pub(crate) fn probe_exit(engine: &Engine, call: &Call, name: &ExitName) -> Result<(), MultihopError> {
    with_exit(engine, call, "try", name, |change, before, request| {
        let in_use = exit(change, &before.active_exit)?;
        // The same server twice would be torn between the two.
        if in_use.public_key == request.exit.public_key {
            return Ok(());
        }
        let place = place(change)?;
        let routes = OwnRoutes::now(change, &place, &request.places)?;
        switch::try_standby(change, &place, before, request, &routes)?;
        change.set_multihop(Some(before))?;
        switch::converge(change)
    })
}

fn with_exit(
    engine: &Engine,
    call: &Call,
    verb: &'static str,
    name: &ExitName,
    work: impl FnOnce(&mut Change<'_>, &Stored, &SwitchRequest) -> Result<(), MultihopError>,
) -> Result<(), MultihopError> {
    let endpoint = engine.read(|state| Ok::<_, MultihopError>(exit(state, name)?.endpoint))?;
    let all = verify::resolve(engine, &endpoint, NAME_LIMIT)?;
    engine.set_lock_wait(LOCK_WAIT);
    engine.change(origin(verb), call, |change| {
        let before = chosen(change, name)?;
        let exit = exit(change, name)?;
        let places = choose(&engine.installation()?, change, &exit, all)?;
        let request = SwitchRequest {
            limit: reach::limit(&places, LIMIT),
            places,
            exit,
            chosen: before.chosen_exit.clone(),
            fallbacks: before.fallback_exits.clone(),
            kill_switch: before.kill_switch,
            probe: Target::stored(change)?,
        };
        work(change, &before, &request)
    })
}

/// Multihop, if this exit was chosen for it.
fn chosen(state: &State<'_>, name: &ExitName) -> Result<Stored, MultihopError> {
    let stored = state.multihop()?;
    let chosen = stored.filter(|stored| stored.chosen_exit == *name || stored.fallback_exits.contains(name));
    chosen.ok_or_else(|| MultihopError::found(MultihopStep::Interface, NOT_CHOSEN))
}
