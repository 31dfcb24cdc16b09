//! The way of a certificate authority through packet filters of others, for as long as it may ask: for the first certificate, and
//! again for each renewal.
//!
//! It is part of the stored state while it is open, so that nobody closes it meanwhile, and it ends by itself where the process is
//! killed that opened it.

use phantom_engine::filters::limit;
use phantom_engine::{Change, Engine, Installation, Origin, Scope};
use phantom_ghost_state::GhostState as _;
use phantom_host::filter::PacketFate;
use phantom_host::{Port, Protocol};
use phantom_module::{Call, TypedModule as _};
use phantom_store::{State, StoreError};
use phantom_types::Timestamp;
use serde_json::json;

use crate::certificate::is_by_http;
use crate::{Ghost, GhostError, GhostStep, HTTP, PORT, way};

/// The ports at which an authority asks: by TLS (RFC 8737) and by HTTP (RFC 8555, section 8.3).
pub(crate) const PORTS: [u16; 2] = [PORT, HTTP];
/// How long the way stays open at the longest, in microseconds: an authority has five minutes, and there is a second attempt.
const LONGEST_MICROS: i64 = 12 * 60 * 1_000_000;
/// What the changes for a renewal belong to.
pub(crate) const RENEWAL: Origin = Origin { module: Ghost::NAME, action: "renew" };
/// Where the end of that time is stored.
const PLACE: (&str, &str) = ("ghost", "validation_until");

/// What the end of that time belongs to in logs and errors.
const ENDED: Origin = Origin { module: "ghost", action: "validation" };

/// When the way is closed that is open; `None` where none was opened.
pub(crate) fn until(state: &State<'_>) -> Result<Option<Timestamp>, StoreError> {
    let stored = state.document(PLACE.0, PLACE.1)?;
    Ok(stored.as_ref().and_then(serde_json::Value::as_i64).map(Timestamp::from_micros))
}

/// Whether it is open at this moment. An end that is farther off than any that is stored was stored before the clock was set back.
pub(crate) fn is_open(installation: &Installation, state: &State<'_>) -> Result<bool, StoreError> {
    let left = until(state)?.map(|until| until.micros().saturating_sub(installation.now().micros()));
    Ok(left.is_some_and(|left| left > 0 && left <= LONGEST_MICROS))
}

/// Opens the way where a packet filter closes it and the operator has not declined. Says whether it was opened.
pub(crate) fn open(engine: &Engine, origin: Origin, call: &Call) -> Result<bool, GhostError> {
    if !is_needed(engine)? {
        return Ok(false);
    }
    set(engine, origin, call)?;
    Ok(true)
}

/// The same for a renewal, through ufw as well: what closes there is not looked for in its tables. Nothing is opened where nothing is
/// renewed, nor where the authority came by TLS: that port is open anyway, and something else may be listening at the other one.
pub(crate) fn open_for_renewal(engine: &Engine, call: &Call) -> Result<(), GhostError> {
    let (ghost, opens) =
        engine.read(|state| Ok::<_, GhostError>((state.ghost()?, state.open_firewall()?)))?;
    let installation = engine.installation()?;
    let comes =
        |ghost: &phantom_ghost_state::Ghost| way::is_needed(ghost) && is_by_http(&installation, ghost);
    if !opens || !ghost.is_some_and(|ghost| comes(&ghost)) {
        return Ok(());
    }
    let ufw = engine.host().firewall.ufw(engine.tags());
    let ufw =
        ufw.map_err(|source| GhostError::host(GhostStep::Firewall, source))?.is_some_and(|ufw| ufw.active);
    if ufw || is_needed(engine)? { set(engine, RENEWAL, call) } else { Ok(()) }
}

fn set(engine: &Engine, origin: Origin, call: &Call) -> Result<(), GhostError> {
    engine.change(origin, call, |change| {
        let until = change.engine().host().clock.now().micros() + LONGEST_MICROS;
        change.set_document(PLACE.0, PLACE.1, Some(&json!(until)))?;
        change.apply(Scope::WithoutPeers)?;
        Ok::<_, GhostError>(())
    })
}

/// Closes it again, if it is open.
pub(crate) fn close(engine: &Engine, origin: Origin, call: &Call) -> Result<(), GhostError> {
    engine.change(origin, call, |change| {
        if until(change)?.is_none() {
            return Ok(());
        }
        forget(change)?;
        change.apply(Scope::WithoutPeers)?;
        Ok::<_, GhostError>(())
    })
}

/// Closes the way whose time is over: the process that opened it was killed.
pub(crate) fn close_what_ended(engine: &Engine, call: &Call) -> Result<(), GhostError> {
    engine.change(ENDED, call, |change| {
        let now = change.engine().host().clock.now();
        if until(change)?.is_some_and(|until| until <= now) {
            forget(change)?;
            change.apply(Scope::WithoutPeers)?;
        }
        Ok::<_, GhostError>(())
    })
}

/// Takes it out of the stored state, for a change that lets the host follow anyhow.
pub(crate) fn forget(change: &Change<'_>) -> Result<(), StoreError> {
    change.set_document(PLACE.0, PLACE.1, None)
}

fn is_needed(engine: &Engine) -> Result<bool, GhostError> {
    let stored = engine.read(|state| Ok::<_, GhostError>((state.server()?, state.open_firewall()?)))?;
    let (Some(server), true) = stored else { return Ok(false) };
    let host = engine.host();
    let failed = |source| GhostError::host(GhostStep::Firewall, source);
    let filters = host.firewall.filters().map_err(failed)?;
    for number in PORTS {
        let port = Port { protocol: Protocol::Tcp, number };
        let fate = PacketFate::from_internet(host, &filters, port, server.server_ip).map_err(failed)?;
        // What its owner has limited himself stays as it is.
        if fate.is_some_and(|fate| fate.closing().is_some()) && limit(engine, &filters, port).is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}
