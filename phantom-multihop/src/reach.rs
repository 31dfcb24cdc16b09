//! The address of an exit at which it answers: its name may have several, of both families.
//!
//! They are called one after the other and not at once, as RFC 8305 does it with connections: an exit takes two devices with one
//! key for one that moves. Each call begins with a session of its own. Of one that it has, WireGuard finds out after fifteen seconds
//! only that the other end knows another, and it begins no handshake within five seconds of the last.

use std::net::SocketAddr;
use std::time::Duration;

use phantom_engine::Engine;
use phantom_host::{DeviceUpdate, HostError, PeerConfig, PeerUpdate};
use phantom_types::{PublicKey, Timestamp};

use crate::MultihopError;
use crate::collision::Places;
use crate::error::MultihopStep;
use crate::model::Exit;
use crate::switch::SwitchContext;
use crate::verify::{self, NO_HANDSHAKE};

/// The shortest and the longest time that one of several addresses has before the next one is called: more than a bad line takes,
/// and as much as WireGuard waits before it calls again.
const LEAST: Duration = Duration::from_secs(2);
const MOST: Duration = Duration::from_secs(5);
/// So many addresses are waited for where time is short.
const WAITED_FOR: u32 = 4;

/// How the device stands to the exit at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// It has no session with the exit yet, or one that may be used.
    Any,
    /// One that it may have is of no use.
    New,
}

/// How long an exit with these addresses has, where one address has this long.
pub(crate) fn limit(places: &Places, one: Duration) -> Duration {
    let count = u32::try_from(places.others.len()).unwrap_or(u32::MAX).saturating_add(1);
    one.max(LEAST.saturating_mul(count.min(WAITED_FOR)))
}

/// The longest of these times.
pub(crate) const fn longest(one: Duration) -> Duration {
    let several = LEAST.saturating_mul(WAITED_FOR);
    if one.as_nanos() > several.as_nanos() { one } else { several }
}

/// Calls an exit at one address after the other until it has shaken hands, not earlier than `since`. Gives that address, which
/// the device then sends to. The device sends to the first one already.
pub(crate) fn reach(
    engine: &Engine,
    place: &SwitchContext,
    exit: &Exit,
    places: &Places,
    (session, since): (Session, Timestamp),
    limit: Duration,
) -> Result<SocketAddr, MultihopError> {
    let clock = &engine.host().clock;
    let count = u32::try_from(places.others.len()).unwrap_or(u32::MAX).saturating_add(1);
    let share = if count == 1 { limit } else { (limit / count).clamp(LEAST, MOST) };
    let end = clock.monotonic() + limit;
    let mut calls = session == Session::New;
    for at in places.all().cycle() {
        let left = end.saturating_sub(clock.monotonic());
        if left.is_zero() {
            break;
        }
        if calls {
            let called = call(engine, place, exit, at);
            called.map_err(|error| MultihopError::host(MultihopStep::Interface, error))?;
        }
        calls = true;
        match verify::handshake(engine, place, exit, at, since, share.min(left)) {
            Ok(()) => return Ok(at),
            Err(NO_HANDSHAKE) => {}
            Err(finding) => return Err(MultihopError::found(MultihopStep::Handshake, finding)),
        }
    }
    Err(MultihopError::found(MultihopStep::Handshake, NO_HANDSHAKE))
}

/// Lets the device of an exit send to this address, with a session that is yet to begin.
pub(crate) fn call(
    engine: &Engine,
    place: &SwitchContext,
    exit: &Exit,
    at: SocketAddr,
) -> Result<(), HostError> {
    let new = [PeerUpdate::Remove(exit.public_key), PeerUpdate::Set(config(exit, at))];
    configure(engine, place, new.into())
}

/// Lets the device of an exit send to this address, with the session that it has.
pub(crate) fn send_to(
    engine: &Engine,
    place: &SwitchContext,
    exit: &Exit,
    at: SocketAddr,
) -> Result<(), HostError> {
    configure(engine, place, vec![PeerUpdate::Set(config(exit, at))])
}

/// Lets a device forget an exit, so that it gets a session of its own when the exit is set again.
pub(crate) fn forget(engine: &Engine, place: &SwitchContext, exit: PublicKey) -> Result<(), HostError> {
    configure(engine, place, vec![PeerUpdate::Remove(exit)])
}

fn configure(engine: &Engine, place: &SwitchContext, peers: Vec<PeerUpdate>) -> Result<(), HostError> {
    let update = DeviceUpdate { peers, ..DeviceUpdate::default() };
    engine.host().wireguard.configure(&place.interface, place.server.backend, &update)
}

fn config(exit: &Exit, at: SocketAddr) -> PeerConfig {
    PeerConfig {
        public_key: exit.public_key,
        preshared_key: exit.preshared_key.clone(),
        endpoint: Some(at),
        keepalive: Some(exit.keepalive),
        allowed_ips: exit.allowed_ips.clone(),
    }
}
