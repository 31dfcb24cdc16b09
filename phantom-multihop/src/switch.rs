//! Turning to an exit, and away from all of them: the changes that actions and the monitor share.

use std::net::SocketAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use phantom_engine::{Change, Scope};
use phantom_host::HostError;
use phantom_module::Call;
use phantom_store::Server;
use phantom_types::{ExitName, InterfaceName, Timestamp};

use crate::collision::Places;
use crate::desired::standby_interface;
use crate::error::MultihopStep;
use crate::model::{Exit, Multihop as Stored};
use crate::proof::{self, Proof, Target};
use crate::reach::{self, Session, reach};
use crate::routes::OwnRoutes;
use crate::rows::MultihopChange as _;
use crate::verify::{self, ProbeResult};
use crate::{MultihopError, SessionEvent};

/// Where a change takes place.
pub(crate) struct SwitchContext {
    /// The server whose clients they are.
    pub(crate) server: Server,
    /// The interface that leads to the exit.
    pub(crate) interface: InterfaceName,
}

/// An exit that is to be used.
pub(crate) struct SwitchRequest {
    /// The exit.
    pub(crate) exit: Exit,
    /// Where its end point may be.
    pub(crate) places: Places,
    /// The exit that was chosen, which is another one where this one takes its place.
    pub(crate) chosen: ExitName,
    /// The exits that may take its place, in their order.
    pub(crate) fallbacks: Vec<ExitName>,
    /// Clients are to be kept from the server's own uplink.
    pub(crate) kill_switch: bool,
    /// What is asked whether anything passes the exit.
    pub(crate) probe: Target,
    /// How long it has to answer.
    pub(crate) limit: Duration,
}

impl SwitchRequest {
    /// What is stored when it is fulfilled, with the exit at this address.
    fn stored(&self, at: SocketAddr, activated_at: Timestamp) -> Stored {
        Stored {
            chosen_exit: self.chosen.clone(),
            kill_switch: self.kill_switch,
            fallback_exits: self.fallbacks.clone(),
            active_exit: self.exit.name.clone(),
            endpoint_address: Some(at),
            staged: None,
            activated_at,
        }
    }
}

/// Turns to an exit: from none, or from another one. `before` is what is stored now. Gives the address at which it answered.
pub(crate) fn switch_to(
    change: &mut Change<'_>,
    call: &Call,
    place: &SwitchContext,
    before: Option<&Stored>,
    request: &SwitchRequest,
) -> Result<SocketAddr, MultihopError> {
    let now = change.engine().host().clock.now();
    let routes = OwnRoutes::now(change, place, &request.places)?;
    let (mut places, mut session) = (request.places.clone(), Session::Any);
    if let Some(before) = before {
        places = Places::only(try_standby(change, place, before, request, &routes)?);
        let in_use = crate::actions::exit(change, &before.active_exit)?;
        // The exit took the one beside for this very device, so that it knows no session of this one any more.
        if in_use.public_key == request.exit.public_key {
            session = Session::New;
        }
    }
    let event = match before {
        None => {
            change.begin_session()?;
            SessionEvent::SessionStarted
        }
        Some(before) => {
            SessionEvent::ExitSwitched { old: before.active_exit.clone(), new: request.exit.name.clone() }
        }
    };
    change.add_record(&event.record(now, request.exit.name.clone()))?;
    let closed = before.is_some_and(|before| before.kill_switch);
    let stored = request.stored(places.best, now);
    // The exit has taken the one beside for this very device.
    let mut begun = before.is_some() && standby_interface(&place.interface).is_some();
    let turned = commit_switch(change, place, stored, closed, |change| {
        begun = true;
        forget_connections(change, call, &place.server)?;
        let at = reach(change.engine(), place, &request.exit, &places, (session, now), request.limit)?;
        verify(change, call, place, request, (at, &routes))?;
        Ok(at)
    });
    if turned.is_err() && begun && session == Session::New {
        // So that the way back begins with a session of its own. Where it does not, WireGuard finds out by itself, later.
        let _ = reach::forget(change.engine(), place, request.exit.public_key);
    }
    turned
}

/// The exit that is in use already: verified again, without any interruption as long as it answers where it is. It counts as
/// enabled again, so that a switch that was decided before it had proven itself is not made. Gives the address at which it
/// answered.
pub(crate) fn reverify(
    change: &mut Change<'_>,
    call: &Call,
    place: &SwitchContext,
    before: &Stored,
    request: &SwitchRequest,
) -> Result<SocketAddr, MultihopError> {
    let now = change.engine().host().clock.now();
    let routes = OwnRoutes::now(change, place, &request.places)?;
    let moved = before.endpoint_address != Some(request.places.best);
    // Somewhere else it has not answered yet.
    let begins = if moved { (Session::New, now) } else { (Session::Any, now.minus(verify::RECENT)) };
    let stored = request.stored(request.places.best, now);
    let mut begun = false;
    let stayed = commit_switch(change, place, stored, before.kill_switch, |change| {
        begun = true;
        let at = reach(change.engine(), place, &request.exit, &request.places, begins, request.limit)?;
        verify(change, call, place, request, (at, &routes))?;
        Ok(at)
    });
    // Where nothing was touched nothing is rolled back, and the exit would be left without its peer.
    if stayed.is_err() && begun && (moved || !request.places.others.is_empty()) {
        let _ = reach::forget(change.engine(), place, request.exit.public_key);
    }
    stayed
}

/// Brings the host to what is to be stored, and lets it be proven, which gives the address at which the exit is. A kill switch
/// that is to be opened stays closed until the change is certain.
fn commit_switch(
    change: &mut Change<'_>,
    place: &SwitchContext,
    stored: Stored,
    closed: bool,
    prove: impl FnOnce(&mut Change<'_>) -> Result<SocketAddr, MultihopError>,
) -> Result<SocketAddr, MultihopError> {
    if !change.engine().installation()?.runs(&place.server) {
        return Err(MultihopError::found(MultihopStep::Interface, verify::STOPPED));
    }
    let opens = closed && !stored.kill_switch;
    change.set_multihop(Some(&Stored { kill_switch: stored.kill_switch || closed, ..stored.clone() }))?;
    converge(change)?;
    let at = prove(change)?;
    let moved = stored.endpoint_address != Some(at);
    if opens || moved {
        change.set_multihop(Some(&Stored { endpoint_address: Some(at), ..stored }))?;
        // The device sends there already. What is stored and what the host has are the same before it is committed.
        if opens { open(change) } else { converge(change) }?;
    }
    Ok(at)
}

/// Tries an exit beside the one in use: no packet of a client is moved before it has answered. Gives the address at which it did.
pub(crate) fn try_standby(
    change: &mut Change<'_>,
    place: &SwitchContext,
    before: &Stored,
    request: &SwitchRequest,
    routes: &OwnRoutes,
) -> Result<SocketAddr, MultihopError> {
    let best = request.places.best;
    let Some(beside) = standby_interface(&place.interface) else { return Ok(best) };
    let beside = SwitchContext { server: place.server.clone(), interface: beside };
    let now = change.engine().host().clock.now();
    let staged = Stored {
        kill_switch: before.kill_switch || request.kill_switch,
        staged: Some((request.exit.name.clone(), best)),
        ..before.clone()
    };
    change.set_multihop(Some(&staged))?;
    converge(change)?;
    routes.check(change.engine())?;
    reach(change.engine(), &beside, &request.exit, &request.places, (Session::Any, now), request.limit)
}

/// That packets of clients go to the exit and come back from there, that those of the server itself take the routes of
/// before, and that the exit is watched over. That the packet filter with its NAT is in force was seen when the host was
/// brought to it.
fn verify(
    change: &Change<'_>,
    call: &Call,
    place: &SwitchContext,
    request: &SwitchRequest,
    (at, routes): (SocketAddr, &OwnRoutes),
) -> Result<(), MultihopError> {
    let (engine, exit) = (change.engine(), &request.exit);
    routes.check(engine)?;
    verify::check_route(engine, place, exit)
        .map_err(|finding| MultihopError::found(MultihopStep::Verify, finding))?;
    // An answer from behind the exit says all that its own echo could.
    if !serves(change, call, place, request)? && verify::probe(engine, place, exit, at) == ProbeResult::Silent
    {
        let name = &exit.name;
        (call.note)(call.lang.pick(
            &format!(
                "{name} does not answer echo requests: its handshake, the route and the source address of client packets are what was seen"
            ),
            &format!(
                "{name} yankı isteklerine yanıt vermiyor: görülen; el sıkışması, istemci paketlerinin rotası ve kaynak adresidir"
            ),
        ));
    }
    let installation = engine.installation()?;
    verify::check_monitor(engine, &installation)
        .map_err(|finding| MultihopError::found(MultihopStep::Monitor, finding))
}

/// Whether something comes back from behind the exit: true when it did, and false where nobody was there to be asked.
fn serves(
    change: &Change<'_>,
    call: &Call,
    place: &SwitchContext,
    request: &SwitchRequest,
) -> Result<bool, MultihopError> {
    let engine = change.engine();
    let servers = proof::servers(engine, change, place, request.probe)?;
    let proof = proof::ask(engine, place, &request.exit, &servers, proof::LIMIT);
    if proof.as_ref().is_some_and(|proof| !proof.passed) {
        return Err(MultihopError::found(MultihopStep::Verify, verify::PASSES_NOTHING));
    }
    if proof.is_none() && request.probe != Target::Nobody {
        let name = &request.exit.name;
        (call.note)(call.lang.pick(
            &format!("It is not known whether anything passes {name}: clients reach none of their DNS servers by it"),
            &format!(
                "{name} üzerinden bir şeyin geçip geçmediği bilinmiyor: istemciler DNS sunucularının hiçbirine onun üzerinden ulaşmıyor"
            ),
        ));
    }
    request.probe.store(change)?;
    Proof::store(proof.as_ref(), change)?;
    Ok(proof.is_some())
}

/// Turns away from the exit. Clients are kept in until all of it is gone and the change is certain.
pub(crate) fn disable(change: &mut Change<'_>, call: &Call, before: &Stored) -> Result<(), MultihopError> {
    let now = change.engine().host().clock.now();
    change.set_multihop(None)?;
    Target::Clients.store(change)?;
    Proof::store(None, change)?;
    change.add_record(&SessionEvent::SessionEnded.record(now, before.active_exit.clone()))?;
    open(change)?;
    match change.server()? {
        Some(server) => forget_connections(change, call, &server),
        None => Ok(()),
    }
}

/// Lets the host follow.
pub(crate) fn converge(change: &mut Change<'_>) -> Result<(), MultihopError> {
    change.apply(Scope::WithoutPeers).map_err(MultihopError::change)
}

/// Lets the host follow; the wall falls behind everything else, when the change is certain.
pub(crate) fn open(change: &mut Change<'_>) -> Result<(), MultihopError> {
    change.apply_fail_closed(Scope::WithoutPeers).map_err(MultihopError::change)
}

/// Connections of clients begin again on their new way: what was tracked keeps its old address.
fn forget_connections(change: &Change<'_>, call: &Call, server: &Server) -> Result<(), MultihopError> {
    let subnet = [IpNetwork::V4(server.subnet.into())];
    match change.engine().host().firewall.forget_connections(&subnet) {
        Err(error @ HostError::Unsupported { .. }) => {
            let why = phantom_engine::explain(&error, call.lang);
            (call.note)(call.lang.pick(
                &format!("Connections of clients keep their old address until they end: {why}"),
                &format!("İstemcilerin bağlantıları bitene dek eski adreslerini korur: {why}"),
            ));
            Ok(())
        }
        other => other.map_err(|error| MultihopError::host(MultihopStep::Routing, error)),
    }
}
