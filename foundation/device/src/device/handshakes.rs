//! Handshakes, which cost more than anything else that a stranger can ask for.
//!
//! ```text
//!  inbound ── gate ──> proven   ──┐  answer: one task, so that a storm takes one core at most and data flows beside it
//!              │  └──> unproven ──┘
//!              └─────> cookies ────  send_cookies: one task
//! ```
//!
//! The [`HandshakeQueue`] looks at each message as it arrives, which costs a hash or a few. Under load only those are answered
//! who have shown by a cookie that they are where they say; all others get one. Those who have shown it are answered
//! first. Each of these queues has an end, behind which messages are dropped.

use std::sync::Arc;
use std::time::Instant;

use chacha20poly1305::aead::OsRng;
use chacha20poly1305::aead::rand_core::RngCore as _;
use gotatun::noise::handshake::parse_handshake_anon;
use gotatun::packet::{Packet, WgKind};
use gotatun::tun::MtuWatcher;
use phantom_types::PublicKey;
use tokio::sync::mpsc::{self, Receiver, Sender};

use self::gate::{Admission, Gate, QUEUE};
use self::limiter::Source;
use super::peer::Peer;
use super::table::{Identity, PeerTable};
use super::tx_queue::{PeerEndpoint, TxQueue};
use super::{Device, tunnel};
use crate::cookie::{CookieRequest, HandshakeMessage, LONGEST, MessageKind};

mod gate;
mod limiter;

/// How many cookies are made before others get their turn.
const BATCH: usize = 64;

/// A handshake message that waits to be answered. It is copied: a flood of them takes 1 MB, where packet buffers would
/// take 8.
pub(crate) struct Message {
    bytes: [u8; LONGEST],
    length: usize,
    from: PeerEndpoint,
}

/// Somebody who is to be sent a cookie.
struct Recipient {
    to: PeerEndpoint,
    request: CookieRequest,
}

/// Where handshake messages come in.
pub(crate) struct HandshakeQueue {
    gate: Gate,
    proven: Sender<Message>,
    unproven: Sender<Message>,
    cookies: Sender<Recipient>,
}

/// Messages that wait to be answered.
pub(crate) struct Messages {
    proven: Receiver<Message>,
    unproven: Receiver<Message>,
}

/// Those who wait to be sent a cookie.
pub(crate) struct Recipients(Receiver<Recipient>);

/// Makes the queues: the end to put in, and those to take out.
pub(crate) fn queues() -> (HandshakeQueue, Messages, Recipients) {
    let (proven, proven_out) = mpsc::channel(QUEUE);
    let (unproven, unproven_out) = mpsc::channel(QUEUE);
    let (cookies, cookies_out) = mpsc::channel(QUEUE);
    let front = HandshakeQueue { gate: Gate::default(), proven, unproven, cookies };
    (front, Messages { proven: proven_out, unproven: unproven_out }, Recipients(cookies_out))
}

impl HandshakeQueue {
    /// Takes a message in, or drops it. `is_ours` says whether an index is that of a session of ours.
    pub(crate) fn receive(
        &mut self,
        identity: &Identity,
        is_ours: impl FnOnce(u32) -> bool,
        message: &HandshakeMessage<'_>,
        from: PeerEndpoint,
        now: Instant,
    ) {
        // An answer to what was never asked, of which a stranger can send any number.
        if message.receiver().is_some_and(|index| !is_ours(index)) {
            return;
        }
        let verdict = match message.kind() {
            // It has no macs. Its sender has seen a message of ours, whose index it names, and no cookie answers it.
            MessageKind::CookieReply => Admission::Unproven,
            MessageKind::Initiation | MessageKind::Response => {
                let macs = identity.checker.check(message, from.address, now);
                self.gate.judge(macs, Source::from(from.address), self.waiting(), now)
            }
        };
        // A sender that finds no room is dropped: it will ask again.
        let _ = match verdict {
            Admission::Proven => self.proven.try_send(Message::new(message, from)).is_ok(),
            Admission::Unproven => self.unproven.try_send(Message::new(message, from)).is_ok(),
            Admission::Cookie => message
                .request()
                .is_some_and(|request| self.cookies.try_send(Recipient { to: from, request }).is_ok()),
            Admission::Drop => false,
        };
    }

    /// How many messages wait to be answered.
    fn waiting(&self) -> usize {
        [&self.proven, &self.unproven].map(|queue| queue.max_capacity() - queue.capacity()).iter().sum()
    }
}

impl Message {
    pub(crate) fn new(message: &HandshakeMessage<'_>, from: PeerEndpoint) -> Self {
        let mut bytes = [0; LONGEST];
        let length = message.bytes().len();
        bytes[..length].copy_from_slice(message.bytes());
        Self { bytes, length, from }
    }
}

impl Messages {
    /// The next one, of those who have shown where they are before others; `None` at the end of the device.
    async fn next(&mut self) -> Option<Message> {
        tokio::select! {
            biased;
            Some(message) = self.proven.recv() => Some(message),
            Some(message) = self.unproven.recv() => Some(message),
            else => None,
        }
    }
}

/// Answers handshakes.
pub(crate) async fn answer(device: Arc<Device>, mut messages: Messages) {
    let mut mtu = device.mtu();
    let mut tx_queue = TxQueue::default();
    while let Some(message) = messages.next().await {
        if let Some(peer) = take(&device.table, &message, &mut mtu, &mut tx_queue) {
            let networks: Vec<String> = peer.state().allowed_ips.iter().map(ToString::to_string).collect();
            let networks = networks.join(", ");
            device.log().line(format_args!(
                "the peer {networks} is refused: its handshakes are older than one that it began before, so its clock was set back"
            ));
        }
        device.transmit(&mut tx_queue).await;
        // Each costs a core some hundred microseconds; let others have it in between.
        tokio::task::yield_now().await;
    }
}

/// Sends cookies.
pub(crate) async fn send_cookies(device: Arc<Device>, Recipients(mut recipients): Recipients) {
    let mut batch = Vec::with_capacity(BATCH);
    while recipients.recv_many(&mut batch, BATCH).await > 0 {
        let now = Instant::now();
        for Recipient { to, request } in batch.drain(..) {
            let (Some(identity), Some(socket)) = (device.table.identity(), device.socket()) else { continue };
            let mut nonce = [0; 24];
            if OsRng.try_fill_bytes(&mut nonce).is_ok() {
                let reply = identity.checker.reply(&request, to.address, now, nonce);
                socket.send(&to, &[Packet::copy_from(&reply[..])]).await;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Hands a message to the peer that it is from, which answers it. Gives a peer of which it is now known that its clock was set
/// back.
pub(crate) fn take(
    table: &PeerTable,
    message: &Message,
    mtu: &mut MtuWatcher,
    tx_queue: &mut TxQueue,
) -> Option<Arc<Peer>> {
    let identity = table.identity()?;
    let kind = Packet::copy_from(&message.bytes[..message.length]).try_into_wg().ok()?;
    let peer = sender(table, &identity, &kind)?;
    tunnel::handle_handshake(table, &peer, kind, message.length, message.from, mtu, tx_queue).then_some(peer)
}

/// The peer that a message is from: an initiation says so inside, an answer names the session that asked.
fn sender(table: &PeerTable, identity: &Identity, message: &WgKind) -> Option<Arc<Peer>> {
    let index = match message {
        WgKind::HandshakeInit(packet) => {
            let half = parse_handshake_anon(&identity.private_key, &identity.public_key, packet).ok()?;
            return table.peer(&PublicKey::from_bytes(half.peer_static_public));
        }
        WgKind::HandshakeResp(packet) => packet.receiver_idx.get(),
        WgKind::CookieReply(packet) => packet.receiver_idx.get(),
        WgKind::Data(_) => return None,
    };
    table.session(index)
}

#[cfg(test)]
mod tests;
