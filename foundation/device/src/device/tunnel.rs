//! The tunnel to a peer: its sessions and timers, and what happens when packets pass.
//!
//! A tunnel (two scalar multiplications) is made when the first packet, handshake or keepalive wants it. A server of many thousand
//! clients therefore starts at once and pays for those that come. The tunnel of a peer that has begun a handshake is kept from then
//! on, since it remembers the newest, so that an old one cannot be replayed.
//!
//! Packets are sealed and opened by who carries them, without the lock of the peer: it is held before a run of packets goes out,
//! to find the session, and after one came in, to note it.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chacha20poly1305::aead::OsRng;
use chacha20poly1305::aead::rand_core::RngCore as _;

use self::clock::{Asking, Clock, Due};
use super::attempts::Admission;
use super::indices::Index;
use super::outbox::{Endpoint, Outbox};
use super::peer::{Peer, State};
use super::table::{Identity, Table};
use crate::cookie::Sealer;
use crate::noise::{Begun, STAMP, Secret};
use crate::session::{AROUND, HEADER, Session};

mod clock;
pub(crate) mod shake;

/// The least time between two initiations of a peer that are answered: fifty a second, as in the kernel
/// (`INITIATIONS_PER_SECOND` of `drivers/net/wireguard/messages.h`). Only those count that are genuine.
const PACE: Duration = Duration::from_millis(20);
/// Two ends that ask each other at once do so again at times that differ by up to this.
const JITTER: u32 = 333;

/// The tunnel to a peer.
pub(crate) struct Tunnel {
    identity: Arc<Identity>,
    shared: Secret,
    macs: Sealer,
    begun: Option<(Begun, Index)>,
    sessions: Sessions,
    clock: Clock,
    /// The newest time stamp that the peer has sent.
    newest: [u8; STAMP],
    /// When the peer last began a handshake.
    initiated: Option<Instant>,
    /// The peer has completed its part of a handshake at least once.
    answered: bool,
}

/// A session with the index by which it is named.
struct Held {
    session: Arc<Session>,
    _index: Index,
}

/// The sessions of a tunnel.
#[derive(Default)]
struct Sessions {
    /// Packets are sealed with it.
    current: Option<Held>,
    /// The one before, by which packets may still come.
    previous: Option<Held>,
    /// One that the peer has begun and has yet to use. Then the handshake is complete.
    next: Option<Held>,
}

/// What becomes of packets to a peer.
pub(crate) enum Outgoing {
    /// They are sealed with this session and go there.
    Seal(Arc<Session>, Endpoint),
    /// They wait for a session.
    Wait,
    /// They are dropped.
    Drop,
}

impl Sessions {
    /// The session to seal with.
    fn usable(&self, now: Instant) -> Option<&Arc<Session>> {
        self.current.as_ref().map(|held| &held.session).filter(|session| !session.is_over(now))
    }

    fn has(held: Option<&Held>, session: &Arc<Session>) -> bool {
        held.is_some_and(|held| Arc::ptr_eq(&held.session, session))
    }

    /// Takes in what this end has begun and the peer has answered.
    fn begin(&mut self, held: Held) {
        self.previous = self.next.take().or_else(|| self.current.take());
        self.current = Some(held);
    }

    /// Takes in what the peer has begun and has yet to use.
    fn offer(&mut self, held: Held) {
        self.next = Some(held);
        self.previous = None;
    }

    /// Notes that the peer has used a session. `true` if that completes the handshake.
    fn used(&mut self, session: &Arc<Session>) -> bool {
        if !Self::has(self.next.as_ref(), session) {
            return false;
        }
        self.previous = mem::replace(&mut self.current, self.next.take());
        true
    }

    fn drop_old(&mut self, now: Instant) {
        for held in [&mut self.current, &mut self.previous, &mut self.next] {
            held.take_if(|held| held.session.is_over(now));
        }
    }

    const fn are_gone(&self) -> bool {
        self.current.is_none() && self.previous.is_none() && self.next.is_none()
    }
}

/// How often persistent keepalives are sent; zero for never.
fn keepalive(state: &State) -> Duration {
    Duration::from_secs(state.keepalive.into())
}

fn jitter() -> Duration {
    Duration::from_millis((OsRng.next_u32() % (JITTER + 1)).into())
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

impl Tunnel {
    /// The tunnel in `state`, made if there is none. `None` if the device has no private key, or if nothing would be secret
    /// between it and the peer.
    fn open<'a>(state: &'a mut State, table: &Table, peer: &Peer, now: Instant) -> Option<&'a mut Self> {
        if state.tunnel.is_none() {
            let identity = table.identity()?;
            let shared = identity.local.shared(peer.key.as_bytes())?;
            state.tunnel = Some(Box::new(Self {
                identity,
                shared,
                macs: Sealer::new(&peer.key),
                begun: None,
                sessions: Sessions::default(),
                clock: Clock::new(keepalive(state), now),
                newest: [0; STAMP],
                initiated: None,
                answered: false,
            }));
        }
        state.tunnel.as_deref_mut()
    }

    /// Whether an initiation that comes now would be more than the peer may send.
    fn is_too_soon(&self, now: Instant) -> bool {
        self.initiated.is_some_and(|at| now.saturating_duration_since(at) < PACE)
    }

    /// Persistent keepalives are sent every `after` from now on.
    pub(crate) fn set_keepalive(&mut self, before: Duration, after: Duration) {
        self.clock.set_keepalive(before, after, Instant::now());
    }
}

/// Finds out what becomes of packets to the peer, and notes that they are sent. Without a session a handshake begins; the packets
/// wait (see [`staged`](super::staged)).
pub(crate) fn outgoing(table: &Table, peer: &Arc<Peer>, now: Instant, outbox: &mut Outbox) -> Outgoing {
    let mut guard = peer.state();
    let state = &mut *guard;
    let Some(to) = state.endpoint.filter(|_| !state.removed) else { return Outgoing::Drop };
    if state.tunnel.is_none() && !may_begin(table, peer, now) {
        return Outgoing::Drop;
    }
    let every = keepalive(state);
    let Some(tunnel) = Tunnel::open(state, table, peer, now) else { return Outgoing::Drop };
    let session = tunnel.sessions.usable(now).cloned();
    if session.as_ref().is_none_or(|session| Clock::wants_another(session, now)) {
        shake::initiate(state, table, peer, now, outbox);
    }
    if let (Some(_), Some(tunnel)) = (&session, &mut state.tunnel) {
        tunnel.clock.sent_data(every, now);
    }
    state.schedule(table, peer);
    session.map_or(Outgoing::Wait, |session| Outgoing::Seal(session, to))
}

/// Whether a tunnel may be made to reach the peer. That to another peer may be dropped for it.
fn may_begin(table: &Table, peer: &Arc<Peer>, now: Instant) -> bool {
    let oldest = match table.attempts.begin(peer, now) {
        Admission::Granted => return true,
        Admission::Refused => return false,
        Admission::InPlaceOf(oldest) => oldest,
    };
    // Two peers are never waited for at a time. One that is busy may have heard from somebody just now.
    let Some(mut state) = oldest.peer.try_state() else {
        table.attempts.withdraw(peer, oldest);
        return false;
    };
    if state.tunnel.as_deref().is_some_and(|tunnel| !tunnel.answered) {
        state.drop_tunnel(table, &oldest.peer);
    }
    true
}

/// What was opened of a run of packets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Opened {
    /// How many bytes the datagrams had that were genuine.
    pub(crate) bytes: u64,
    /// Some of them had content.
    pub(crate) content: bool,
}

/// Notes that packets of this session came from there. `false` if the peer has no such session any more.
pub(crate) fn incoming(
    table: &Table,
    peer: &Arc<Peer>,
    session: &Arc<Session>,
    from: Endpoint,
    opened: Opened,
    now: Instant,
    outbox: &mut Outbox,
) -> bool {
    let mut guard = peer.state();
    let state = &mut *guard;
    let every = keepalive(state);
    let Some(tunnel) = state.tunnel.as_deref_mut().filter(|_| !state.removed) else { return false };
    let confirmed = tunnel.sessions.used(session);
    let known = [&tunnel.sessions.current, &tunnel.sessions.previous];
    if !known.into_iter().any(|held| Sessions::has(held.as_ref(), session)) {
        return false;
    }
    peer.note_received(opened.bytes);
    tunnel.clock.heard(every, now);
    if opened.content {
        tunnel.clock.heard_data(now);
    }
    let again = tunnel.clock.wants_another_at_last(session, now);
    if confirmed {
        tunnel.clock.completed();
        state.last_handshake = Some(wall_clock());
    }
    state.refused.forget();
    state.roam(from);
    if confirmed {
        flush(state, table, peer, now, outbox);
    }
    if again {
        shake::initiate(state, table, peer, now, outbox);
    }
    state.schedule(table, peer);
    true
}

/// Seals what has waited for a session.
fn flush(state: &mut State, table: &Table, peer: &Arc<Peer>, now: Instant, outbox: &mut Outbox) {
    let every = keepalive(state);
    let (Some(to), Some(tunnel)) = (state.endpoint, state.tunnel.as_deref_mut()) else { return };
    let Some(session) = tunnel.sessions.usable(now) else { return };
    for packet in table.staged.take(&peer.key) {
        seal(peer, session, to, &packet, table.mtu(), outbox);
        tunnel.clock.sent_data(every, now);
    }
}

/// Sends an empty packet, if there is a session to do it with.
fn send_empty(state: &mut State, peer: &Arc<Peer>, now: Instant, outbox: &mut Outbox) -> bool {
    let every = keepalive(state);
    let (Some(to), Some(tunnel)) = (state.endpoint, state.tunnel.as_deref_mut()) else { return false };
    let Some(session) = tunnel.sessions.usable(now) else { return false };
    seal(peer, session, to, &[], 0, outbox);
    tunnel.clock.sent(every, now);
    true
}

/// Seals a packet for the peer.
fn seal(
    peer: &Arc<Peer>,
    session: &Arc<Session>,
    to: Endpoint,
    packet: &[u8],
    mtu: usize,
    outbox: &mut Outbox,
) {
    let Some(counter) = session.reserve(1) else { return };
    let length = AROUND + padded(packet.len(), mtu);
    outbox.add(peer, &to, length, |datagram| {
        let (content, padding) = datagram[HEADER..].split_at_mut(packet.len());
        content.copy_from_slice(packet);
        padding.fill(0);
        session.seal(counter, datagram);
    });
    peer.note_sent(length as u64);
}

/// How long a packet is that is filled up to a multiple of 16 bytes, as far as the MTU of the TUN lets (WireGuard's paper, 5.4.6).
pub(crate) fn padded(length: usize, mtu: usize) -> usize {
    length.next_multiple_of(16).min(mtu).max(length)
}

/// Lets the peer know where the device is now, if the two have a session: an authentic packet, after which it sends there.
pub(crate) fn tell(table: &Table, peer: &Arc<Peer>, outbox: &mut Outbox) {
    let now = Instant::now();
    let mut state = peer.state();
    if !state.removed && send_empty(&mut state, peer, now, outbox) {
        state.schedule(table, peer);
    }
}

/// Looks at the timers of the peer. `false` if it need not be done again before something happens.
pub(crate) fn tick(table: &Table, peer: &Arc<Peer>, now: Instant, outbox: &mut Outbox) -> bool {
    let mut guard = peer.state();
    let state = &mut *guard;
    state.timed = false;
    let keeps_alive = state.keeps_alive();
    if state.removed || (state.tunnel.is_none() && !keeps_alive) {
        return false;
    }
    let every = keepalive(state);
    let Some(tunnel) = Tunnel::open(state, table, peer, now) else { return false };
    tunnel.sessions.drop_old(now);
    let due = tunnel.clock.due(every, now);
    act(due, state, table, peer, now, outbox);
    let Some(tunnel) = state.tunnel.as_deref() else { return false };
    // A peer that has never begun a handshake has left nothing to remember.
    if !keeps_alive && tunnel.begun.is_none() && tunnel.sessions.are_gone() {
        if tunnel.initiated.is_none() {
            state.drop_tunnel(table, peer);
        }
        return false;
    }
    state.timed = keeps_alive || !tunnel.clock.is_still() || !tunnel.sessions.are_gone();
    state.timed
}

fn act(due: Due, state: &mut State, table: &Table, peer: &Arc<Peer>, now: Instant, outbox: &mut Outbox) {
    let Some(tunnel) = state.tunnel.as_deref_mut() else { return };
    if due.asking == Asking::GivesUp {
        tunnel.begun = None;
        table.staged.take(&peer.key);
    }
    if due.forget {
        tunnel.begun = None;
        tunnel.sessions = Sessions::default();
    }
    if due.asking == Asking::Due {
        // Nobody has answered: the address of ours that the peer spoke to last may not be there any more.
        if let Some(endpoint) = &mut state.endpoint {
            endpoint.local = None;
        }
        shake::initiate(state, table, peer, now, outbox);
    }
    if due.keepalive && !send_empty(state, peer, now, outbox) {
        shake::initiate(state, table, peer, now, outbox);
    }
}

#[expect(clippy::disallowed_methods, reason = "the device is a program of its own and has no host to ask")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests;
