//! Handshakes: one task, so that a storm of them takes one core at most and data flows beside it.

use std::sync::Arc;

use gotatun::noise::TunnResult;
use gotatun::noise::handshake::parse_handshake_anon;
use gotatun::packet::{Packet, WgKind};
use gotatun::tun::MtuWatcher;
use phantom_types::PublicKey;
use tokio::sync::mpsc;

use super::outbox::{Endpoint, Outbox};
use super::peer::Peer;
use super::table::{Identity, Table};
use super::{Device, tunnel};

/// How many messages may wait before more are dropped; as many as the kernel's WireGuard keeps
/// (`MAX_QUEUED_INCOMING_HANDSHAKES` of `drivers/net/wireguard/messages.h`).
const QUEUE: usize = 4096;

/// A message that has the form of one of a handshake.
pub(crate) struct Message {
    pub(crate) packet: Packet,
    pub(crate) from: Endpoint,
}

/// The queue of messages.
pub(crate) fn queue() -> (mpsc::Sender<Message>, mpsc::Receiver<Message>) {
    mpsc::channel(QUEUE)
}

/// Answers handshakes.
pub(crate) async fn answer(device: Arc<Device>, mut messages: mpsc::Receiver<Message>) {
    let mut mtu = device.mtu();
    let mut outbox = Outbox::default();
    while let Some(message) = messages.recv().await {
        let from = message.from;
        if let Some(cookie) = take(&device.table, message, &mut mtu, &mut outbox)
            && let Some(socket) = device.socket()
        {
            socket.send(&from, &[cookie]).await;
        }
        device.transmit(&mut outbox).await;
        // Each costs a core some hundred microseconds; let others have it in between.
        tokio::task::yield_now().await;
    }
}

/// Hands a message to the peer that it is from. If its sender has asked for too much of late, what is to be sent back
/// is a cookie, and that is all.
pub(crate) fn take(
    table: &Table,
    message: Message,
    mtu: &mut MtuWatcher,
    outbox: &mut Outbox,
) -> Option<Packet> {
    let Message { packet, from } = message;
    let identity = table.identity()?;
    let length = packet.len();
    match identity.limiter.verify_packet(from.address, packet) {
        Ok(message) => {
            let peer = sender(table, &identity, &message)?;
            tunnel::shake(table, &peer, message, length, from, mtu, outbox);
            None
        }
        Err(TunnResult::WriteToNetwork(cookie)) => Some(cookie.into()),
        Err(_) => None,
    }
}

/// The peer that a message is from: an initiation says so inside, an answer names the session that asked.
fn sender(table: &Table, identity: &Identity, message: &WgKind) -> Option<Arc<Peer>> {
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
