//! Turning to an exit, and away from all of them: the changes that actions share.

use std::net::SocketAddr;

use ipnetwork::IpNetwork;
use phantom_engine::{Change, Scope};
use phantom_host::HostError;
use phantom_module::Call;
use phantom_store::{Exit, Multihop as Stored, Server};
use phantom_types::InterfaceName;

use crate::desired::staging;
use crate::error::Step;
use crate::prove::{self, HANDSHAKE_LIMIT};
use crate::{Event, MultihopError};

/// An exit that is to be used.
pub(crate) struct Wish {
    /// The exit.
    pub(crate) exit: Exit,
    /// Where its end point is.
    pub(crate) at: SocketAddr,
    /// Clients are to be kept from the server's own uplink.
    pub(crate) kill_switch: bool,
}

/// Turns to an exit: from none, or from another one. `before` is what is stored now.
pub(crate) fn turn_to(
    change: &mut Change<'_>,
    call: &Call,
    server: &Server,
    interface: &InterfaceName,
    before: Option<&Stored>,
    wish: &Wish,
) -> Result<(), MultihopError> {
    let now = change.engine().host().clock.now();
    let Wish { exit, at, kill_switch } = wish;
    if let Some(before) = before {
        stage(change, server, interface, before, wish)?;
    }
    let stored = Stored {
        exit: exit.name.clone(),
        kill_switch: *kill_switch,
        fallback_exits: Vec::new(),
        exit_in_use: exit.name.clone(),
        endpoint_address: Some(*at),
        staged: None,
        activated_at: now,
    };
    change.set_multihop(Some(&stored))?;
    let event = match before {
        None => {
            change.begin_session()?;
            Event::SessionStarted
        }
        Some(before) => Event::ExitSwitched { old: before.exit_in_use.clone(), new: exit.name.clone() },
    };
    change.add_record(&event.record(now, exit.name.clone()))?;
    bring(change)?;
    forget_connections(change, call, server)?;
    let shaken = prove::handshake(change.engine(), server, interface, exit, *at, now, HANDSHAKE_LIMIT);
    shaken.map_err(|finding| MultihopError::found(Step::Handshake, finding))?;
    verify(change, server, interface, exit)
}

/// Tries the exit beside the one in use: no packet of a client is moved before it has answered.
fn stage(
    change: &mut Change<'_>,
    server: &Server,
    interface: &InterfaceName,
    before: &Stored,
    wish: &Wish,
) -> Result<(), MultihopError> {
    let Some(beside) = staging(interface) else { return Ok(()) };
    let now = change.engine().host().clock.now();
    // The kill switch changes with the exit: on comes at once, off at the end.
    let staged = Stored {
        kill_switch: before.kill_switch || wish.kill_switch,
        staged: Some((wish.exit.name.clone(), wish.at)),
        ..before.clone()
    };
    change.set_multihop(Some(&staged))?;
    bring(change)?;
    let shaken =
        prove::handshake(change.engine(), server, &beside, &wish.exit, wish.at, now, HANDSHAKE_LIMIT);
    shaken.map_err(|finding| MultihopError::found(Step::Handshake, finding))
}

/// That packets of clients go to the exit, and that it is watched over.
pub(crate) fn verify(
    change: &Change<'_>,
    server: &Server,
    interface: &InterfaceName,
    exit: &Exit,
) -> Result<(), MultihopError> {
    let engine = change.engine();
    prove::way(engine, server, interface, exit)
        .map_err(|finding| MultihopError::found(Step::Verify, finding))?;
    let site = engine.site()?;
    prove::monitor(engine, &site).map_err(|finding| MultihopError::found(Step::Monitor, finding))
}

/// Turns away from the exit.
pub(crate) fn turn_off(change: &mut Change<'_>, call: &Call, before: &Stored) -> Result<(), MultihopError> {
    let now = change.engine().host().clock.now();
    change.set_multihop(None)?;
    change.add_record(&Event::SessionEnded.record(now, before.exit_in_use.clone()))?;
    bring(change)?;
    match change.server()? {
        Some(server) => forget_connections(change, call, &server),
        None => Ok(()),
    }
}

/// Lets the host follow.
pub(crate) fn bring(change: &mut Change<'_>) -> Result<(), MultihopError> {
    change.apply(Scope::Network).map_err(MultihopError::change)
}

/// Connections of clients begin anew on their new way: what was tracked keeps its old address.
fn forget_connections(change: &Change<'_>, call: &Call, server: &Server) -> Result<(), MultihopError> {
    let subnet = [IpNetwork::V4(server.subnet.into())];
    match change.engine().host().firewall.forget_connections(&subnet) {
        Err(error @ HostError::Unsupported { .. }) => {
            let what = "connections of clients keep their old address until they end";
            (call.note)(&format!("{what}: {}", error.chain()));
            Ok(())
        }
        other => other.map_err(MultihopError::host),
    }
}
