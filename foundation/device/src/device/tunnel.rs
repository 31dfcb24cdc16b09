//! The tunnel to a peer: its sessions and timers, and what happens when packets pass.
//!
//! A tunnel (about 18 kB and two scalar multiplications) is made when the first packet, handshake or keepalive wants
//! it. A server of many thousand clients therefore starts at once and pays for those that come. It is kept from then
//! on, since it remembers the newest handshake of the peer, so that an old one cannot be replayed.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gotatun::noise::errors::WireGuardError;
use gotatun::noise::{Tunn, TunnResult};
use gotatun::packet::{Packet, WgKind};
use gotatun::tun::MtuWatcher;
use gotatun::x25519;

use super::outbox::{Endpoint, Outbox};
use super::peer::{Peer, State};
use super::table::Table;

/// A tunnel's clock moves only when its timers are looked at. It is set before use if it is older than this.
const STALE: Duration = Duration::from_secs(1);

/// The tunnel to a peer.
pub(crate) struct Tunnel {
    noise: Tunn,
    /// When its timers were looked at.
    ticked: Instant,
    /// When it last was woken by a keepalive after it had given up.
    revived: Instant,
    /// The session that the peer has yet to use, after which the handshake that it began is complete.
    unconfirmed: Option<u32>,
}

impl Tunnel {
    /// The tunnel in `state`, made if there is none. `None` if the device has no private key.
    fn open<'a>(state: &'a mut State, table: &Table, peer: &Peer, now: Instant) -> Option<&'a mut Self> {
        if state.tunnel.is_none() {
            let identity = table.identity()?;
            let noise = Tunn::new(
                identity.private_key.clone(),
                x25519::PublicKey::from(*peer.key.as_bytes()),
                state.preshared_key.as_ref().map(|key| *key.as_bytes()),
                Some(state.keepalive),
                table.indices.clone(),
                Arc::clone(&identity.limiter),
            );
            state.tunnel = Some(Box::new(Self { noise, ticked: now, revived: now, unconfirmed: None }));
        }
        state.tunnel.as_deref_mut()
    }

    /// Sets the tunnel's clock, if that was not done of late.
    fn refresh(&mut self, now: Instant, made: &mut Vec<WgKind>) {
        if now.duration_since(self.ticked) > STALE {
            made.extend(self.tick(now).ok().flatten());
        }
    }

    fn tick(&mut self, now: Instant) -> Result<Option<WgKind>, WireGuardError> {
        self.ticked = now;
        self.noise.update_timers()
    }

    /// The tunnel gives up for good when nobody has answered for 90 s. Persistent keepalives go on nevertheless.
    fn revive(&mut self, now: Instant, interval: Duration) -> Option<WgKind> {
        if now.duration_since(self.revived) < interval {
            return None;
        }
        self.revived = now;
        self.noise.handle_outgoing_packet(Packet::default(), None)
    }

    pub(crate) fn set_preshared_key(&mut self, key: Option<[u8; 32]>) {
        self.noise.set_preshared_key(key);
    }

    pub(crate) fn set_keepalive(&mut self, seconds: u16) {
        self.noise.set_persistent_keepalive(Some(seconds));
    }
}

/// Seals packets for the peer. Without a session they wait in the tunnel (the last 256) and a handshake begins.
pub(crate) fn seal(
    table: &Table,
    peer: &Arc<Peer>,
    packets: Vec<Packet>,
    mtu: &mut MtuWatcher,
    outbox: &mut Outbox,
) {
    let now = Instant::now();
    let mut state = peer.state();
    if state.removed || state.endpoint.is_none() {
        return;
    }
    let Some(tunnel) = Tunnel::open(&mut state, table, peer, now) else { return };
    let mut made = Vec::with_capacity(packets.len());
    tunnel.refresh(now, &mut made);
    for packet in packets {
        made.extend(tunnel.noise.handle_outgoing_packet(packet, Some(mtu)));
    }
    state.emit(table, peer, made, outbox);
    state.schedule(table, peer);
}

/// Opens packets of the peer, which are to be of the data kind, and hands over what was in them.
pub(crate) fn open(
    table: &Table,
    peer: &Arc<Peer>,
    sealed: Vec<Packet>,
    from: Endpoint,
    mtu: &mut MtuWatcher,
    opened: &mut Vec<Packet>,
    outbox: &mut Outbox,
) {
    let now = Instant::now();
    let mut guard = peer.state();
    let state = &mut *guard;
    let Some(tunnel) = state.tunnel.as_deref_mut().filter(|_| !state.removed) else { return };
    let (mut made, mut authentic, mut confirmed) = (Vec::new(), false, false);
    tunnel.refresh(now, &mut made);
    for packet in sealed {
        let length = packet.len() as u64;
        let Ok(WgKind::Data(packet)) = packet.try_into_wg() else { continue };
        let index = packet.header.receiver_idx.get();
        let TunnResult::WriteToTunnel(content) = tunnel.noise.handle_incoming_packet(WgKind::Data(packet))
        else {
            continue;
        };
        authentic = true;
        state.rx_bytes += length;
        if tunnel.unconfirmed == Some(index) {
            tunnel.unconfirmed = None;
            confirmed = true;
        }
        if !content.is_empty() {
            opened.push(content);
        }
    }
    if confirmed {
        state.last_handshake = Some(wall_clock());
        made.extend(tunnel.noise.get_queued_packets(mtu));
    }
    if authentic {
        state.roam(from);
    }
    state.emit(table, peer, made, outbox);
    state.schedule(table, peer);
}

/// Takes a message of a handshake from the peer, which the limiter has let pass, and answers it.
pub(crate) fn shake(
    table: &Table,
    peer: &Arc<Peer>,
    message: WgKind,
    length: usize,
    from: Endpoint,
    mtu: &mut MtuWatcher,
    outbox: &mut Outbox,
) {
    let now = Instant::now();
    let mut guard = peer.state();
    let state = &mut *guard;
    if state.removed {
        return;
    }
    let we_began = matches!(message, WgKind::HandshakeResp(_));
    let Some(tunnel) = Tunnel::open(state, table, peer, now) else { return };
    let mut made = Vec::new();
    tunnel.refresh(now, &mut made);
    if let TunnResult::WriteToNetwork(answer) = tunnel.noise.handle_incoming_packet(message) {
        if let WgKind::HandshakeResp(answer) = &answer {
            tunnel.unconfirmed = Some(answer.sender_idx.get());
        }
        made.push(answer);
        if we_began {
            made.extend(tunnel.noise.get_queued_packets(mtu));
            state.last_handshake = Some(wall_clock());
        }
        state.rx_bytes += length as u64;
        // A fresh start: what the kernel refused on the way to this peer may be possible by now.
        state.endpoint = Some(from);
    }
    state.emit(table, peer, made, outbox);
    state.schedule(table, peer);
}

/// Lets the peer know where the device is now, if the two have a session: an authentic packet, after which it sends there.
pub(crate) fn tell(table: &Table, peer: &Arc<Peer>, outbox: &mut Outbox) {
    let now = Instant::now();
    let mut guard = peer.state();
    let state = &mut *guard;
    let Some(tunnel) = state.tunnel.as_deref_mut().filter(|_| !state.removed) else { return };
    let mut made = Vec::new();
    // Sessions that are too old end here.
    tunnel.refresh(now, &mut made);
    made.extend(tunnel.noise.encapsulate_with_session(Packet::default()).ok().map(WgKind::from));
    state.emit(table, peer, made, outbox);
    state.schedule(table, peer);
}

/// Looks at the timers of the peer. `false` if it need not be done again before something happens.
pub(crate) fn tick(table: &Table, peer: &Arc<Peer>, outbox: &mut Outbox) -> bool {
    let now = Instant::now();
    let mut guard = peer.state();
    let state = &mut *guard;
    state.timed = false;
    let keeps_alive = state.keeps_alive();
    if state.removed || (state.tunnel.is_none() && !keeps_alive) {
        return false;
    }
    let interval = Duration::from_secs(state.keepalive.into());
    let Some(tunnel) = Tunnel::open(state, table, peer, now) else { return false };
    let made = match tunnel.tick(now) {
        Err(WireGuardError::ConnectionExpired) if keeps_alive => tunnel.revive(now, interval),
        Err(WireGuardError::ConnectionExpired) => return false,
        made => made.ok().flatten(),
    };
    state.emit(table, peer, made.into_iter().collect(), outbox);
    state.timed = true;
    true
}

#[expect(clippy::disallowed_methods, reason = "the device is a program of its own and has no host to ask")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests;
