//! The way from this machine to an address, and word that it has changed.
//!
//! A connection whose way has gone is told of by nobody: the kernel sends again and again for minutes. But it says at once
//! that an address, a route or a link has changed (`linux/rtnetlink.h`). What such a message says does not count: the way is
//! looked at again, so that messages that get lost cost nothing, and changes elsewhere on the machine break no tunnel.

use std::future::pending;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily as Family, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// `RTNLGRP_LINK`, `_IPV4_IFADDR`, `_IPV4_ROUTE`, `_IPV4_RULE`, `_IPV6_IFADDR`, `_IPV6_ROUTE`, `_IPV6_RULE`. The kernel tells
/// of a link that goes down, and not of the IPv4 routes that go with it.
const GROUPS: [u32; 7] = [1, 5, 7, 8, 9, 11, 19];
/// What follows a change within this time belongs to it: an address comes before its routes.
const SETTLE: Duration = Duration::from_millis(200);
/// Messages that are thrown away at once, so that a machine that changes all the time is looked at in between.
const AT_ONCE: usize = 1000;
/// Room for the answer to one question: a route and its attributes.
const ROOM: usize = 8192;

/// Is told of changes of links, addresses, routes and rules.
#[derive(Debug)]
pub(super) struct Network(Option<AsyncFd<OwnedFd>>);

impl Network {
    /// Begins to listen. Needs a tokio runtime.
    pub(super) fn listen() -> io::Result<Self> {
        let groups = GROUPS.iter().fold(0, |mask, group| mask | 1 << (group - 1));
        let ear = open()?;
        bind(ear.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        #[expect(unsafe_code, reason = "no safe function of tokio's waits for a socket of this family")]
        // SAFETY: an `OwnedFd` is open for as long as it lives, always names the same descriptor, and is given away here.
        let ear = unsafe { AsyncFd::register(ear) }?;
        Ok(Self(Some(ear)))
    }

    /// One that never hears anything.
    pub(super) const fn deaf() -> Self {
        Self(None)
    }

    /// Ready when something has changed, and what belongs to it.
    async fn changed(&mut self) {
        let Some(ear) = &self.0 else { return pending().await };
        let Ok(mut told) = ear.readable().await else { return pending().await };
        throw_away(ear.get_ref());
        told.clear_ready();
        sleep(SETTLE).await;
        throw_away(ear.get_ref());
    }

    /// Ready when one of these ways has become another one, as they were when they were looked at; at any change where there
    /// are none. Nothing is missed between two calls.
    pub(super) async fn moved(&mut self, ways: &Ways) {
        if ways.0.is_empty() {
            return self.changed().await;
        }
        while !ways.have_moved() {
            self.changed().await;
        }
    }
}

/// The ways to some addresses at some time.
#[derive(Debug, Clone, Default)]
pub(super) struct Ways(Vec<(IpAddr, Option<Way>)>);

impl Ways {
    /// As they are now.
    pub(super) fn to(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self(addresses.into_iter().map(|address| (address, way(address).ok())).collect())
    }

    /// Whether they lead nowhere that is known.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that also are in `others` as they were there: a look from before a connection was made counts.
    pub(super) fn or_before(mut self, others: &Self) -> Self {
        for (address, way) in &mut self.0 {
            if let Some((_, before)) = others.0.iter().find(|(other, _)| other == address) {
                way.clone_from(before);
            }
        }
        self
    }

    /// Whether an address is reached in another way by now. A way that is gone is none yet: it may come back as it was,
    /// and connections with it.
    fn have_moved(&self) -> bool {
        self.0.iter().any(|(address, before)| match (before, way(*address)) {
            (_, Err(_)) => false,
            (None, Ok(_)) => true,
            (Some(before), Ok(now)) => before.is_gone_by(&now),
        })
    }
}

/// How packets to an address leave.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    /// The interface and the next hop.
    hop: Vec<RouteAttribute>,
    /// The address that they come from.
    source: Option<IpAddr>,
}

impl Way {
    /// Whether connections of this way are lost where new ones go the way `now`. A new source address takes nothing from
    /// connections that have the old one, as long as the machine has that (RFC 8981: IPv6 gets new ones every day).
    fn is_gone_by(&self, now: &Self) -> bool {
        self.hop != now.hop || (self.source != now.source && !self.source.is_none_or(is_here))
    }
}

/// Whether this machine has an address.
fn is_here(address: IpAddr) -> bool {
    !matches!(UdpSocket::bind((address, 0)), Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// Asks the kernel how packets to `address` leave; an error where they do not.
fn way(address: IpAddr) -> io::Result<Way> {
    let mut question = RouteMessage::default();
    (question.header.address_family, question.header.destination_prefix_length) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    question.attributes.push(RouteAttribute::Destination(address.into()));
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let question = NetlinkPayload::from(RouteNetlinkMessage::GetRoute(question));
    let mut message = NetlinkMessage::new(header, question);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let mouth = open()?;
    send(mouth.as_raw_fd(), &bytes, MsgFlags::empty())?;
    // The kernel has answered before the call that asks is over.
    let mut room = vec![0; ROOM];
    let length = recv(mouth.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT)?;
    let answer =
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&room[..length]).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => of_route(route),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn of_route(route: RouteMessage) -> io::Result<Way> {
    // IPv6 answers with the route that forbids.
    if !matches!(route.header.kind, RouteType::Unicast | RouteType::Local) {
        return Err(io::ErrorKind::NetworkUnreachable.into());
    }
    let source = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::PrefSource(RouteAddress::Inet(source)) => Some(IpAddr::V4(*source)),
        RouteAttribute::PrefSource(RouteAddress::Inet6(source)) => Some(IpAddr::V6(*source)),
        _ => None,
    });
    let is_hop = |attribute: &RouteAttribute| {
        matches!(attribute, RouteAttribute::Oif(_) | RouteAttribute::Gateway(_) | RouteAttribute::Via(_))
    };
    Ok(Way { hop: route.attributes.into_iter().filter(is_hop).collect(), source })
}

fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(Family::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?)
}

/// Forgets what was said.
fn throw_away(ear: &OwnedFd) {
    // A datagram that is longer than the room is cut, and gone all the same.
    let mut room = [0; 64];
    for _ in 0..AT_ONCE {
        match recv(ear.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT) {
            // Some of it got lost, and it was to be forgotten anyway.
            Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_reaches_itself_and_nothing_has_moved() {
        let here = way("127.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(here.source, "127.0.0.1".parse().ok());
        assert!(here.hop.iter().any(|attribute| matches!(attribute, RouteAttribute::Oif(1))), "{here:?}");
        let ways = Ways::to(["127.0.0.1".parse().unwrap()]);
        assert!(!ways.have_moved() && !ways.is_empty());
    }

    #[test]
    fn route_is_gone_with_hop_or_address() {
        let way =
            |hop: u32, source: &str| Way { hop: vec![RouteAttribute::Oif(hop)], source: source.parse().ok() };
        let before = way(1, "127.0.0.1");
        assert!(!before.is_gone_by(&before.clone()));
        assert!(before.is_gone_by(&way(2, "127.0.0.1")));
        // Another address is used now: the old one is still there, or it is not.
        assert!(!before.is_gone_by(&way(1, "127.0.0.2")));
        assert!(way(1, "192.0.2.77").is_gone_by(&before));
    }

    #[test]
    fn a_look_from_before_counts() {
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let before = Ways(vec![(address, None)]);
        assert!(before.have_moved(), "there is a way now");
        assert!(Ways::to([address]).or_before(&before).have_moved());
        assert!(!Ways::to([address]).or_before(&Ways::default()).have_moved());
    }

    #[tokio::test]
    async fn the_ear_opens() {
        let mut network = Network::listen().unwrap();
        let ways = Ways::to(["127.0.0.1".parse().unwrap()]);
        let waited = tokio::time::timeout(Duration::from_millis(50), network.moved(&ways)).await;
        assert!(waited.is_err(), "the way to this machine itself has moved");
    }
}
