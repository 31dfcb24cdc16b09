//! The handshakes of a tunnel: begun by this end or by the peer (WireGuard's paper, 5.4).

use std::mem;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use super::{Held, Tunnel, flush, jitter, keepalive, random, send_empty, wall_clock};
use crate::cookie::HandshakeMessage;
use crate::device::outbox::{Endpoint, Outbox};
use crate::device::peer::{Peer, State};
use crate::device::table::Table;
use crate::noise::{Heard, Keys, RESPONSE, STAMP};
use crate::session::Session;

/// What TAI64N counts from: 2^62 in 1970, and the seconds that TAI is ahead of UTC by. Peers only compare.
const EPOCH: u64 = (1 << 62) + 37;
/// The bits of the nanoseconds that are not told, so that nobody learns how exact this clock is: 17 ms, which is less than the pace
/// at which initiations are answered.
const COARSE: u32 = (1 << 24) - 1;

/// Begins a handshake, unless that was done of late.
pub(super) fn initiate(
    state: &mut State,
    table: &Table,
    peer: &Arc<Peer>,
    now: Instant,
    outbox: &mut Outbox,
) {
    let every = keepalive(state);
    let (Some(to), Some(tunnel)) = (state.endpoint, state.tunnel.as_deref_mut()) else { return };
    if !tunnel.clock.may_ask(now) {
        return;
    }
    let index = table.indices.take(peer);
    let (local, remote) = (&tunnel.identity.local, peer.key.as_bytes());
    let Some((begun, mut message)) = local.initiate(remote, &tunnel.shared, index.value(), stamp(), random())
    else {
        return;
    };
    tunnel.macs.seal(&mut message, now);
    tunnel.begun = Some((begun, index));
    tunnel.clock.asked(jitter(), every, now);
    peer.note_sent(message.len() as u64);
    outbox.add(peer, &to, message.len(), |datagram| datagram.copy_from_slice(&message));
}

/// Takes an initiation that names this peer, whose macs are right, and answers it. `true` when it is to be said, once an hour,
/// that the peer's clock was set back.
pub(crate) fn answer(
    table: &Table,
    peer: &Arc<Peer>,
    heard: Heard,
    length: usize,
    from: Endpoint,
    outbox: &mut Outbox,
) -> bool {
    let now = Instant::now();
    let mut guard = peer.state();
    let state = &mut *guard;
    if state.removed {
        return false;
    }
    let (is_new, every, named) = (state.tunnel.is_none(), keepalive(state), heard.index());
    let preshared = state.preshared();
    let Some(tunnel) = Tunnel::open(state, table, peer, now) else { return false };
    if tunnel.is_too_soon(now) {
        return false;
    }
    let genuine = heard.prove(&tunnel.shared);
    let is_old = genuine.as_ref().is_some_and(|genuine| *genuine.stamp() <= tunnel.newest);
    let index = table.indices.take(peer);
    let genuine = genuine.filter(|_| !is_old);
    let stamp = genuine.as_ref().map(|genuine| *genuine.stamp());
    let response = genuine.and_then(|genuine| genuine.respond(index.value(), &preshared, random()));
    let (Some((mut message, keys)), Some(stamp)) = (response, stamp) else {
        if is_new {
            // Somebody who knows the key of a peer is not that peer.
            state.tunnel = None;
        }
        let tells = is_old && state.refused.count(named, now);
        state.schedule(table, peer);
        return tells;
    };
    tunnel.newest = stamp;
    tunnel.initiated = Some(now);
    tunnel.macs.seal(&mut message, now);
    let session = Arc::new(Session::new(&keys, index.value(), named, false, now));
    table.indices.enter(&session);
    tunnel.sessions.offer(Held { session, _index: index });
    tunnel.clock.derived(now);
    tunnel.clock.heard(every, now);
    tunnel.clock.sent(every, now);
    if !mem::replace(&mut tunnel.answered, true) {
        table.attempts.end(peer);
    }
    state.welcome(from);
    peer.note_received(length as u64);
    send(peer, from, &message, outbox);
    state.schedule(table, peer);
    false
}

fn send(peer: &Arc<Peer>, to: Endpoint, message: &[u8; RESPONSE], outbox: &mut Outbox) {
    peer.note_sent(message.len() as u64);
    outbox.add(peer, &to, message.len(), |datagram| datagram.copy_from_slice(message));
}

/// Takes the answer to an initiation of this end, whose macs are right. The session is used at once.
pub(crate) fn finish(
    table: &Table,
    peer: &Arc<Peer>,
    message: &HandshakeMessage<'_>,
    from: Endpoint,
    outbox: &mut Outbox,
) {
    let now = Instant::now();
    let mut guard = peer.state();
    let state = &mut *guard;
    let (every, preshared) = (keepalive(state), state.preshared());
    let Some(tunnel) = state.tunnel.as_deref_mut().filter(|_| !state.removed) else { return };
    let Some(answered) = tunnel.finish(&preshared, message) else { return };
    let (remote, keys, index) = answered;
    let session = Arc::new(Session::new(&keys, index.value(), remote, true, now));
    table.indices.enter(&session);
    tunnel.sessions.begin(Held { session, _index: index });
    tunnel.clock.derived(now);
    tunnel.clock.completed();
    tunnel.clock.heard(every, now);
    if !mem::replace(&mut tunnel.answered, true) {
        table.attempts.end(peer);
    }
    state.welcome(from);
    state.last_handshake = Some(wall_clock());
    peer.note_received(message.bytes().len() as u64);
    // The other end may use the session once it has heard something by it.
    send_empty(state, peer, now, outbox);
    flush(state, table, peer, now, outbox);
    state.schedule(table, peer);
}

impl Tunnel {
    /// What an answer yields, if it is that to the initiation that waits: the index of the other end, the keys, and the index of
    /// this end.
    fn finish(
        &mut self,
        preshared: &[u8; 32],
        message: &HandshakeMessage<'_>,
    ) -> Option<(u32, Keys, crate::device::indices::Index)> {
        let (begun, index) = self.begun.as_ref()?;
        if message.receiver() != Some(index.value()) {
            return None;
        }
        let (remote, keys) = begun.finish(&self.identity.local, preshared, message.bytes())?;
        let (_, index) = self.begun.take()?;
        Some((remote, keys, index))
    }
}

/// Takes a cookie, with which the next initiation shows that this end is where it says.
pub(crate) fn learn(peer: &Arc<Peer>, message: &HandshakeMessage<'_>) {
    let mut state = peer.state();
    let Some(tunnel) = &mut state.tunnel else { return };
    if tunnel.begun.as_ref().is_some_and(|(_, index)| message.receiver() == Some(index.value())) {
        tunnel.macs.learn(message, Instant::now());
    }
}

impl State {
    /// Answers go where a handshake came from. What the kernel refused on the way to this peer may be possible by now.
    fn welcome(&mut self, from: Endpoint) {
        self.refused.forget();
        self.endpoint = Some(from);
    }

    fn preshared(&self) -> [u8; 32] {
        self.preshared_key.as_ref().map_or([0; 32], |key| *key.as_bytes())
    }
}

/// The time as TAI64N.
fn stamp() -> [u8; STAMP] {
    let time = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut stamp = [0; STAMP];
    stamp[..8].copy_from_slice(&(EPOCH + time.as_secs()).to_be_bytes());
    stamp[8..].copy_from_slice(&(time.subsec_nanos() & !COARSE).to_be_bytes());
    stamp
}
