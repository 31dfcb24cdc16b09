//! Turning to an exit, and away from all of them: the changes that actions and the monitor share.

use std::net::SocketAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use phantom_engine::{Change, Scope};
use phantom_host::HostError;
use phantom_module::Call;
use phantom_store::{Exit, Multihop as Stored, Server};
use phantom_types::{ExitName, InterfaceName, Timestamp};

use crate::desired::staging;
use crate::error::Step;
use crate::proof::{self, Proof, Target};
use crate::prove::{self, Probe};
use crate::routes::OwnRoutes;
use crate::{Event, MultihopError};

/// Where a change takes place.
pub(crate) struct Place {
    /// The server whose clients they are.
    pub(crate) server: Server,
    /// The interface that leads to the exit.
    pub(crate) interface: InterfaceName,
}

/// An exit that is to be used.
pub(crate) struct Wish {
    /// The exit.
    pub(crate) exit: Exit,
    /// Where its end point is.
    pub(crate) at: SocketAddr,
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

impl Wish {
    /// What is stored when it is fulfilled.
    fn stored(&self, activated_at: Timestamp) -> Stored {
        Stored {
            exit: self.chosen.clone(),
            kill_switch: self.kill_switch,
            fallback_exits: self.fallbacks.clone(),
            exit_in_use: self.exit.name.clone(),
            endpoint_address: Some(self.at),
            staged: None,
            activated_at,
        }
    }
}

/// Turns to an exit: from none, or from another one. `before` is what is stored now.
pub(crate) fn turn_to(
    change: &mut Change<'_>,
    call: &Call,
    place: &Place,
    before: Option<&Stored>,
    wish: &Wish,
) -> Result<(), MultihopError> {
    let now = change.engine().host().clock.now();
    let routes = OwnRoutes::now(change, place, wish.at)?;
    if let Some(before) = before {
        stage(change, place, before, wish, &routes)?;
    }
    let event = match before {
        None => {
            change.begin_session()?;
            Event::SessionStarted
        }
        Some(before) => Event::ExitSwitched { old: before.exit_in_use.clone(), new: wish.exit.name.clone() },
    };
    change.add_record(&event.record(now, wish.exit.name.clone()))?;
    let closed = before.is_some_and(|before| before.kill_switch);
    settle(change, place, &wish.stored(now), closed, |change| {
        forget_connections(change, call, &place.server)?;
        let engine = change.engine();
        let shaken = prove::handshake(engine, place, &wish.exit, wish.at, now, wish.limit);
        shaken.map_err(|finding| MultihopError::found(Step::Handshake, finding))?;
        verify(change, call, place, wish, &routes)
    })
}

/// The exit that is in use already: verified again, without any interruption. It counts as enabled again, so that a switch that
/// was decided before it had proven itself is not made.
pub(crate) fn stay(
    change: &mut Change<'_>,
    call: &Call,
    place: &Place,
    before: &Stored,
    wish: &Wish,
) -> Result<(), MultihopError> {
    let now = change.engine().host().clock.now();
    let routes = OwnRoutes::now(change, place, wish.at)?;
    let moved = before.endpoint_address != Some(wish.at);
    // Somewhere else it has not answered yet.
    let since = if moved { now } else { now.minus(prove::RECENT) };
    settle(change, place, &wish.stored(now), before.kill_switch, |change| {
        let shaken = prove::handshake(change.engine(), place, &wish.exit, wish.at, since, wish.limit);
        shaken.map_err(|finding| MultihopError::found(Step::Handshake, finding))?;
        verify(change, call, place, wish, &routes)
    })
}

/// Brings the host to what is to be stored, and lets it be proven. A kill switch that is to be opened stays closed until
/// the change is certain.
fn settle(
    change: &mut Change<'_>,
    place: &Place,
    stored: &Stored,
    closed: bool,
    prove: impl FnOnce(&mut Change<'_>) -> Result<(), MultihopError>,
) -> Result<(), MultihopError> {
    if !change.engine().site()?.runs(&place.server) {
        return Err(MultihopError::found(Step::Interface, prove::STOPPED));
    }
    let opens = closed && !stored.kill_switch;
    change.set_multihop(Some(&Stored { kill_switch: stored.kill_switch || closed, ..stored.clone() }))?;
    bring(change)?;
    prove(change)?;
    if opens {
        change.set_multihop(Some(stored))?;
        open(change)?;
    }
    Ok(())
}

/// Tries an exit beside the one in use: no packet of a client is moved before it has answered.
pub(crate) fn stage(
    change: &mut Change<'_>,
    place: &Place,
    before: &Stored,
    wish: &Wish,
    routes: &OwnRoutes,
) -> Result<(), MultihopError> {
    let Some(beside) = staging(&place.interface) else { return Ok(()) };
    let beside = Place { server: place.server.clone(), interface: beside };
    let now = change.engine().host().clock.now();
    let staged = Stored {
        kill_switch: before.kill_switch || wish.kill_switch,
        staged: Some((wish.exit.name.clone(), wish.at)),
        ..before.clone()
    };
    change.set_multihop(Some(&staged))?;
    bring(change)?;
    routes.check(change.engine())?;
    let shaken = prove::handshake(change.engine(), &beside, &wish.exit, wish.at, now, wish.limit);
    shaken.map_err(|finding| MultihopError::found(Step::Handshake, finding))
}

/// That packets of clients go to the exit and come back from there, that those of the server itself take the routes of
/// before, and that the exit is watched over. That the packet filter with its NAT is in force was seen when the host was
/// brought to it.
fn verify(
    change: &Change<'_>,
    call: &Call,
    place: &Place,
    wish: &Wish,
    routes: &OwnRoutes,
) -> Result<(), MultihopError> {
    let (engine, Wish { exit, at, .. }) = (change.engine(), wish);
    routes.check(engine)?;
    prove::way(engine, place, exit).map_err(|finding| MultihopError::found(Step::Verify, finding))?;
    if prove::probe(engine, place, exit, *at) == Probe::Silent {
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
    serves(change, call, place, wish)?;
    let site = engine.site()?;
    prove::monitor(engine, &site).map_err(|finding| MultihopError::found(Step::Monitor, finding))
}

/// That something comes back from behind the exit.
fn serves(change: &Change<'_>, call: &Call, place: &Place, wish: &Wish) -> Result<(), MultihopError> {
    let engine = change.engine();
    let servers = proof::servers(engine, change, place, wish.probe)?;
    let proof = proof::ask(engine, place, &wish.exit, &servers, proof::LIMIT);
    if proof.as_ref().is_some_and(|proof| !proof.passed) {
        return Err(MultihopError::found(Step::Verify, prove::PASSES_NOTHING));
    }
    if proof.is_none() && wish.probe != Target::Nobody {
        let name = &wish.exit.name;
        (call.note)(call.lang.pick(
            &format!("It is not known whether anything passes {name}: clients reach none of their DNS servers by it"),
            &format!(
                "{name} üzerinden bir şeyin geçip geçmediği bilinmiyor: istemciler DNS sunucularının hiçbirine onun üzerinden ulaşmıyor"
            ),
        ));
    }
    wish.probe.store(change)?;
    Ok(Proof::store(proof.as_ref(), change)?)
}

/// Turns away from the exit. Clients are kept in until all of it is gone and the change is certain.
pub(crate) fn turn_off(change: &mut Change<'_>, call: &Call, before: &Stored) -> Result<(), MultihopError> {
    let now = change.engine().host().clock.now();
    change.set_multihop(None)?;
    Target::Clients.store(change)?;
    Proof::store(None, change)?;
    change.add_record(&Event::SessionEnded.record(now, before.exit_in_use.clone()))?;
    open(change)?;
    match change.server()? {
        Some(server) => forget_connections(change, call, &server),
        None => Ok(()),
    }
}

/// Lets the host follow.
pub(crate) fn bring(change: &mut Change<'_>) -> Result<(), MultihopError> {
    change.apply(Scope::Network).map_err(MultihopError::change)
}

/// Lets the host follow; the wall falls behind everything else, when the change is certain.
pub(crate) fn open(change: &mut Change<'_>) -> Result<(), MultihopError> {
    change.apply_then_open(Scope::Network).map_err(MultihopError::change)
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
        other => other.map_err(MultihopError::host),
    }
}
