//! The kernel's WireGuard: requests on a generic netlink socket of their own, opened for each call.

use std::collections::BTreeSet;
use std::time::Duration;

use netlink_packet_core::{Emitable as _, NlasIterator, Parseable as _};
use netlink_packet_generic::constants::{GENL_HDRLEN, GENL_ID_CTRL};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader};
use netlink_packet_wireguard::WireguardMessage;
use netlink_sys::protocols::NETLINK_GENERIC;
use phantom_types::{InterfaceName, PublicKey};

use super::decode::Collector;
use super::{encode, object};
use crate::linux::LinuxClock;
use crate::linux::netlink::{ENODEV, ENOENT, EOPNOTSUPP, NetlinkFault, Request, Socket};
use crate::{Clock as _, Device, DeviceUpdate, HostError, Peer, Result};

/// Whether the kernel has WireGuard's family now.
pub(super) fn present() -> Result<bool> {
    let found = Socket::open(NETLINK_GENERIC).and_then(|mut socket| family(&mut socket));
    Ok(found.map_err(|fault| fault.into_error("listing the generic netlink families"))?.is_some())
}

/// The device with its peers, or with those of `only` alone. `None` when there is no WireGuard device of that name.
pub(super) fn read(name: &InterfaceName, only: Option<&BTreeSet<PublicKey>>) -> Result<Option<Device>> {
    let result = attempt(|socket, family| {
        let collector = || Collector::new(only);
        socket.dump(&mut encode::get(family, name.as_str()), collector, Collector::add)
    });
    match result {
        Ok(collector) => Ok(collector.map(Collector::into_device)),
        Err(NetlinkFault::Refused(ENODEV | EOPNOTSUPP)) => Ok(None),
        Err(fault) => Err(fault.into_error(format!("reading {}", object(name)))),
    }
}

/// How long a session lasts at most (`REJECT_AFTER_TIME` of WireGuard's paper).
const SESSION: Duration = Duration::from_mins(3);

/// Applies a change, in as many messages as it takes. After a move to another port, peers that have a session with the
/// device are sent a keepalive from there: they send to where the last packet came from, and would go on sending to a
/// port that nobody listens to any more. Others are sent nothing, since somebody else may have their address by now.
pub(super) fn write(name: &InterfaceName, update: &DeviceUpdate) -> Result<()> {
    let absent = || HostError::Absent { object: object(name) };
    let result = attempt(|socket, family| {
        encode::set(family, name.as_str(), update).try_for_each(|mut request| socket.change(&mut request))?;
        // Another key has ended all sessions.
        if update.listen_port.is_some() && update.private_key.is_none() {
            tell_peers(socket, family, name.as_str())?;
        }
        Ok(())
    });
    match result {
        Ok(Some(())) => Ok(()),
        Ok(None) | Err(NetlinkFault::Refused(ENODEV | EOPNOTSUPP)) => Err(absent()),
        Err(fault) => Err(fault.into_error(format!("configuring {}", object(name)))),
    }
}

/// Has the device send a keepalive to each peer that it has a session with.
fn tell_peers(socket: &mut Socket, family: u16, name: &str) -> Result<(), NetlinkFault> {
    let read = socket.dump(&mut encode::get(family, name), || Collector::new(None), Collector::add)?;
    let now = LinuxClock.now();
    let in_session = |peer: &Peer| peer.last_handshake.is_some_and(|last| now.since(last) < SESSION);
    let peers: Vec<_> = read.into_device().peers.iter().filter(|peer| in_session(peer)).map(told).collect();
    encode::keepalives(family, name, &peers).try_for_each(|mut request| socket.change(&mut request))
}

/// Who is sent a keepalive, and its interval.
fn told(peer: &Peer) -> (PublicKey, Option<u16>) {
    (peer.config.public_key, peer.config.keepalive)
}

/// Runs `exchange` with a socket and the number of WireGuard's family; `None` when the kernel has no such family, and
/// so no device either.
fn attempt<T>(
    exchange: impl FnOnce(&mut Socket, u16) -> Result<T, NetlinkFault>,
) -> Result<Option<T>, NetlinkFault> {
    let mut socket = Socket::open(NETLINK_GENERIC)?;
    match family(&mut socket)? {
        Some(family) => exchange(&mut socket, family).map(Some),
        None => Ok(None),
    }
}

/// The number of WireGuard's family. It is looked up in the list of all, because asking for it by its name would
/// load the module, and reading is to change nothing.
fn family(socket: &mut Socket) -> Result<Option<u16>, NetlinkFault> {
    let request = GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: Vec::new() };
    let header = GenlHeader { cmd: request.command(), version: request.version() };
    let mut request = Request::new(GENL_ID_CTRL, GENL_HDRLEN, |bytes| header.emit(bytes));
    let result = socket.dump(
        &mut request,
        || None,
        |found, payload| {
            if found.is_none() {
                *found = wireguard_id(payload)?;
            }
            Ok(())
        },
    );
    match result {
        Err(NetlinkFault::Refused(ENOENT)) => Ok(None),
        result => result,
    }
}

/// The number of the family that a message tells of, if it is WireGuard's.
pub(super) fn wireguard_id(payload: &[u8]) -> Result<Option<u16>, NetlinkFault> {
    let (mut id, mut ours) = (None, false);
    for attribute in NlasIterator::new(payload.get(GENL_HDRLEN..).unwrap_or_default()) {
        let attribute = attribute?;
        // Only these two are decoded: families differ in the rest, and it is of no interest here.
        match attribute.kind() {
            netlink_packet_generic::constants::CTRL_ATTR_FAMILY_ID
            | netlink_packet_generic::constants::CTRL_ATTR_FAMILY_NAME => {
                match GenlCtrlAttrs::parse(&attribute)? {
                    GenlCtrlAttrs::FamilyId(number) => id = Some(number),
                    GenlCtrlAttrs::FamilyName(name) => ours = name == WireguardMessage::family_name(),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Ok(id.filter(|_| ours))
}
