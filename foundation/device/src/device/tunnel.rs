//! The tunnel to a peer: its sessions and timers, and what happens when packets pass.
//!
//! A tunnel (about 18 kB and two scalar multiplications) is made when the first packet, handshake or keepalive wants
//! it. A server of many thousand clients therefore starts at once and pays for those that come. The tunnel of a peer
//! that has begun a handshake is kept from then on, since it remembers the newest, so that an old one cannot be
//! replayed.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gotatun::noise::errors::WireGuardError;
use gotatun::noise::{Tunn, TunnResult};
use gotatun::packet::{Packet, WgKind};
use gotatun::tun::MtuWatcher;
use gotatun::x25519;

use super::attempts::Admission;
use super::peer::{Peer, PeerRuntime};
use super::table::PeerTable;
use super::tx_queue::{PeerEndpoint, TxQueue};

/// A tunnel's clock moves only when its timers are looked at. It is set before use if it is older than this.
const STALE: Duration = Duration::from_secs(1);
/// The least time between two initiations of a peer that are answered: fifty a second, as in the kernel
/// (`INITIATIONS_PER_SECOND` of `drivers/net/wireguard/messages.h`). Only those count that are genuine.
const PACE: Duration = Duration::from_millis(20);

/// The tunnel to a peer.
pub(crate) struct PeerTunnel {
    noise: Tunn,
    /// When its timers were looked at.
    ticked: Instant,
    /// When it last was woken by a keepalive after it had given up.
    revived: Instant,
    /// The session that the peer has yet to use, after which the handshake that it began is complete.
    unconfirmed: Option<u32>,
    /// When the peer last began a handshake.
    initiated: Option<Instant>,
    /// The peer has completed its part of a handshake at least once.
    answered: bool,
}

impl PeerTunnel {
    /// The tunnel in `state`, made if there is none. `None` if the device has no private key.
    fn open<'a>(
        state: &'a mut PeerRuntime,
        table: &PeerTable,
        peer: &Peer,
        now: Instant,
    ) -> Option<&'a mut Self> {
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
            state.tunnel = Some(Box::new(Self {
                noise,
                ticked: now,
                revived: now,
                unconfirmed: None,
                initiated: None,
                answered: false,
            }));
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

    /// Seals a packet. Without a session it is staged, and a handshake begins if none has.
    fn seal(
        &mut self,
        table: &PeerTable,
        peer: &Peer,
        packet: Packet,
        mtu: &mut MtuWatcher,
        now: Instant,
    ) -> Option<WgKind> {
        match self.noise.encapsulate_with_session(pad(packet, mtu)) {
            Ok(sealed) => Some(sealed.into()),
            Err(packet) => {
                table.staged.push(&peer.key, &packet, now);
                self.noise.format_handshake_initiation(false).map(WgKind::from)
            }
        }
    }

    /// Seals what has waited for a session: keepalives in the library, and packets.
    fn flush(
        &mut self,
        table: &PeerTable,
        peer: &Peer,
        mtu: &mut MtuWatcher,
        now: Instant,
        made: &mut Vec<WgKind>,
    ) {
        made.extend(self.noise.get_queued_packets(mtu));
        for packet in table.staged.take(&peer.key) {
            made.extend(self.seal(table, peer, Packet::copy_from(&packet[..]), mtu, now));
        }
    }

    /// Whether an initiation that comes now would be more than the peer may send.
    fn is_too_soon(&self, now: Instant) -> bool {
        self.initiated.is_some_and(|at| now.saturating_duration_since(at) < PACE)
    }

    pub(crate) fn set_preshared_key(&mut self, key: Option<[u8; 32]>) {
        self.noise.set_preshared_key(key);
    }

    pub(crate) fn set_keepalive(&mut self, seconds: u16) {
        self.noise.set_persistent_keepalive(Some(seconds));
    }
}

/// Seals packets for the peer. Without a session they wait (see [`staged`](super::staged)) and a handshake begins.
pub(crate) fn seal(
    table: &PeerTable,
    peer: &Arc<Peer>,
    packets: Vec<Packet>,
    mtu: &mut MtuWatcher,
    tx_queue: &mut TxQueue,
) {
    let now = Instant::now();
    let mut state = peer.state();
    if state.removed || state.endpoint.is_none() {
        return;
    }
    if state.tunnel.is_none() && !may_begin(table, peer, now) {
        return;
    }
    let Some(tunnel) = PeerTunnel::open(&mut state, table, peer, now) else { return };
    let mut made = Vec::with_capacity(packets.len());
    tunnel.refresh(now, &mut made);
    for packet in packets {
        made.extend(tunnel.seal(table, peer, packet, mtu, now));
    }
    state.emit(table, peer, made, tx_queue);
    state.schedule(table, peer);
}

/// Whether a tunnel may be made to reach the peer. That to another peer may be dropped for it.
fn may_begin(table: &PeerTable, peer: &Arc<Peer>, now: Instant) -> bool {
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

/// Opens packets of the peer, which are to be of the data kind, and hands over what was in them.
pub(crate) fn open(
    table: &PeerTable,
    peer: &Arc<Peer>,
    sealed: Vec<Packet>,
    from: PeerEndpoint,
    mtu: &mut MtuWatcher,
    opened: &mut Vec<Packet>,
    tx_queue: &mut TxQueue,
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
        tunnel.flush(table, peer, mtu, now, &mut made);
    }
    if authentic {
        state.refused.forget();
        state.roam(from);
    }
    state.emit(table, peer, made, tx_queue);
    state.schedule(table, peer);
}

/// The index that an initiation names; other messages begin nothing.
fn begun(message: &WgKind) -> Option<u32> {
    if let WgKind::HandshakeInit(packet) = message { Some(packet.sender_idx.get()) } else { None }
}

/// Takes a message of a handshake from the peer, whose macs are right, and answers it. `true` when it is to be said, once an
/// hour, that the peer's clock was set back.
pub(crate) fn handle_handshake(
    table: &PeerTable,
    peer: &Arc<Peer>,
    message: WgKind,
    length: usize,
    from: PeerEndpoint,
    mtu: &mut MtuWatcher,
    tx_queue: &mut TxQueue,
) -> bool {
    let now = Instant::now();
    let mut guard = peer.state();
    let state = &mut *guard;
    if state.removed {
        return false;
    }
    let we_began = matches!(message, WgKind::HandshakeResp(_));
    let begun = begun(&message);
    let is_new = state.tunnel.is_none();
    let Some(tunnel) = PeerTunnel::open(state, table, peer, now) else { return false };
    if begun.is_some() && tunnel.is_too_soon(now) {
        return false;
    }
    let mut made = Vec::new();
    tunnel.refresh(now, &mut made);
    let result = tunnel.noise.handle_incoming_packet(message);
    let is_old = matches!(result, TunnResult::Err(WireGuardError::WrongTai64nTimestamp));
    if let TunnResult::WriteToNetwork(answer) = result {
        if let WgKind::HandshakeResp(answer) = &answer {
            tunnel.unconfirmed = Some(answer.sender_idx.get());
        }
        made.push(answer);
        if begun.is_some() {
            tunnel.initiated = Some(now);
        }
        if !mem::replace(&mut tunnel.answered, true) {
            table.attempts.end(peer);
        }
        if we_began {
            tunnel.flush(table, peer, mtu, now, &mut made);
            state.last_handshake = Some(wall_clock());
        }
        state.refused.forget();
        state.rx_bytes += length as u64;
        // A fresh start: what the kernel refused on the way to this peer may be possible by now.
        state.endpoint = Some(from);
    } else if is_new {
        // Somebody who knows the key of a peer is not that peer.
        state.tunnel = None;
        return false;
    }
    let tells = is_old && begun.is_some_and(|index| state.refused.count(index, now));
    state.emit(table, peer, made, tx_queue);
    state.schedule(table, peer);
    tells
}

/// Lets the peer know where the device is now, if the two have a session: an authentic packet, after which it sends there.
pub(crate) fn tell(table: &PeerTable, peer: &Arc<Peer>, tx_queue: &mut TxQueue) {
    let now = Instant::now();
    let mut guard = peer.state();
    let state = &mut *guard;
    let Some(tunnel) = state.tunnel.as_deref_mut().filter(|_| !state.removed) else { return };
    let mut made = Vec::new();
    // Sessions that are too old end here.
    tunnel.refresh(now, &mut made);
    made.extend(tunnel.noise.encapsulate_with_session(Packet::default()).ok().map(WgKind::from));
    state.emit(table, peer, made, tx_queue);
    state.schedule(table, peer);
}

/// Looks at the timers of the peer. `false` if it need not be done again before something happens.
pub(crate) fn tick(table: &PeerTable, peer: &Arc<Peer>, tx_queue: &mut TxQueue) -> bool {
    let now = Instant::now();
    let mut guard = peer.state();
    let state = &mut *guard;
    state.timed = false;
    let keeps_alive = state.keeps_alive();
    if state.removed || (state.tunnel.is_none() && !keeps_alive) {
        return false;
    }
    let interval = Duration::from_secs(state.keepalive.into());
    let Some(tunnel) = PeerTunnel::open(state, table, peer, now) else { return false };
    let made = match tunnel.tick(now) {
        Err(WireGuardError::ConnectionExpired) if keeps_alive => tunnel.revive(now, interval),
        Err(WireGuardError::ConnectionExpired) => {
            // A peer that has never begun a handshake has left nothing to remember.
            if tunnel.initiated.is_none() {
                state.drop_tunnel(table, peer);
            }
            return false;
        }
        made => made.ok().flatten(),
    };
    state.emit(table, peer, made.into_iter().collect(), tx_queue);
    state.timed = true;
    true
}

/// Fills a packet up with zeroes to a multiple of 16 bytes, as far as the MTU of the TUN lets (WireGuard's paper, 5.4.6).
fn pad(mut packet: Packet, mtu: &mut MtuWatcher) -> Packet {
    let length = packet.len();
    if !length.is_multiple_of(16) {
        let padded = length.next_multiple_of(16).min(mtu.get().into()).max(length);
        packet.buf_mut().resize(padded, 0);
    }
    packet
}

#[expect(clippy::disallowed_methods, reason = "the device is a program of its own and has no host to ask")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests;
