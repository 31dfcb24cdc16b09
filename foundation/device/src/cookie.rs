//! The macs of handshake messages, and the cookies behind the second one (WireGuard's paper, 5.4.4 and 5.4.7).
//!
//! The first mac shows that a sender knows the device's public key. It costs one hash to check. It does not show where
//! the sender is: an address can be invented. A device under load therefore answers with a cookie, which reaches only
//! somebody who receives at that address, and the second mac of the next message is made with it.
//!
//! Pure: bytes and the time in, values out. The device keeps nothing for those that it sends cookies to, because a
//! cookie is a mac of the address and can be made again.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use blake2::digest::Mac as _;
use blake2::digest::consts::U16;
use blake2::{Blake2s256, Blake2sMac, Blake2sMac256, Digest as _};
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInPlace as _, KeyInit};
use phantom_types::PublicKey;

/// The most bytes that a handshake message has.
pub const LONGEST: usize = 148;
/// The bytes of a cookie reply.
pub const REPLY: usize = 64;
/// How long a cookie is given out (WireGuard's paper, 5.4.7). It is accepted for as long again, because senders count
/// the two minutes from when they were given it.
pub const PERIOD: Duration = Duration::from_mins(2);

/// The bytes of a mac.
const MAC: usize = 16;
/// The types with their lengths (WireGuard's paper, 5.4.2, 5.4.3 and 5.4.7).
const INITIATION: (u8, usize) = (1, LONGEST);
const RESPONSE: (u8, usize) = (2, 92);
const COOKIE_REPLY: (u8, usize) = (3, REPLY);

/// Why a key of blake2s is never refused here.
const KEY_FITS: &str = "the key has 32 bytes at most";

/// What a handshake message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// The first message, by whoever wants a session.
    Initiation,
    /// The second message, which names the first.
    Response,
    /// A cookie for whoever sent the first or the second.
    CookieReply,
}

/// A datagram that has the form of a handshake message. Nothing else about it is known to be true.
#[derive(Clone, Copy, Debug)]
pub struct HandshakeMessage<'a> {
    kind: MessageKind,
    bytes: &'a [u8],
}

/// What the macs of a message show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Macs {
    /// Nothing: the sender does not know the device's public key, or bytes were damaged.
    Wrong,
    /// The sender knows the device's public key. Where it is can be invented.
    First,
    /// The sender also received a cookie at the address that it sends from.
    Both,
}

/// What a cookie reply refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieRequest {
    /// The index by which the sender knows its message.
    sender: [u8; 4],
    /// The first mac of the message. Only whoever sent or saw it can open the reply.
    mac1: [u8; MAC],
}

/// Checks macs and makes cookies for a device.
pub struct Checker {
    mac1_key: [u8; 32],
    cookie_key: [u8; 32],
    secret: [u8; 32],
    since: Instant,
}

impl<'a> HandshakeMessage<'a> {
    /// The datagram as a handshake message; `None` if type, reserved bytes or length are not those of one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let [kind, 0, 0, 0, ..] = *bytes else { return None };
        let kind = match (kind, bytes.len()) {
            INITIATION => MessageKind::Initiation,
            RESPONSE => MessageKind::Response,
            COOKIE_REPLY => MessageKind::CookieReply,
            _ => return None,
        };
        Some(Self { kind, bytes })
    }

    /// What it is.
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }

    /// All of it.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The index of ours that it names: that of the message which it answers. `None` for an initiation.
    pub fn receiver(&self) -> Option<u32> {
        let at = match self.kind {
            MessageKind::Initiation => return None,
            MessageKind::Response => 8,
            MessageKind::CookieReply => 4,
        };
        self.bytes[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// What a cookie reply to it refers to; `None` for a cookie reply, which has no macs.
    pub fn request(&self) -> Option<CookieRequest> {
        let (_, mac1, _) = self.macs()?;
        Some(CookieRequest { sender: *self.bytes[4..].first_chunk()?, mac1: *mac1 })
    }

    /// What the first mac covers, and both macs.
    fn macs(&self) -> Option<(&'a [u8], &'a [u8; MAC], &'a [u8; MAC])> {
        if self.kind == MessageKind::CookieReply {
            return None;
        }
        let (front, mac2) = self.bytes.split_last_chunk()?;
        let (front, mac1) = front.split_last_chunk()?;
        Some((front, mac1, mac2))
    }
}

impl Checker {
    /// A checker for the device with this public key. `secret` has to be random; cookies cannot be made without it.
    pub fn new(public_key: &PublicKey, secret: [u8; 32], since: Instant) -> Self {
        let key = |label: &[u8]| {
            Blake2s256::new().chain_update(label).chain_update(public_key.as_bytes()).finalize().into()
        };
        Self { mac1_key: key(b"mac1----"), cookie_key: key(b"cookie--"), secret, since }
    }

    /// What the macs of a message from this address show. A cookie reply has none, and shows nothing.
    pub fn check(&self, message: &HandshakeMessage<'_>, from: SocketAddr, now: Instant) -> Macs {
        let Some((front, mac1, mac2)) = message.macs() else { return Macs::Wrong };
        if mac16(&self.mac1_key).chain_update(front).verify_slice(mac1).is_err() {
            return Macs::Wrong;
        }
        if *mac2 == [0; MAC] {
            return Macs::First;
        }
        let period = self.period(now);
        let made_with = |period| {
            let cookie = self.cookie(period, from);
            mac16(&cookie).chain_update(front).chain_update(mac1).verify_slice(mac2).is_ok()
        };
        if made_with(period) || period.checked_sub(1).is_some_and(made_with) {
            Macs::Both
        } else {
            Macs::First
        }
    }

    /// The first mac of a message that begins with `front`, all that is before the mac.
    pub fn mac1(&self, front: &[u8]) -> [u8; 16] {
        mac16(&self.mac1_key).chain_update(front).finalize().into_bytes().into()
    }

    /// The cookie reply for whoever is at this address. `nonce` has to be random.
    #[expect(clippy::missing_panics_doc, reason = "it cannot happen")]
    pub fn reply(
        &self,
        request: &CookieRequest,
        to: SocketAddr,
        now: Instant,
        nonce: [u8; 24],
    ) -> [u8; REPLY] {
        let mut cookie = self.cookie(self.period(now), to);
        let cipher = XChaCha20Poly1305::new(&self.cookie_key.into());
        let tag = cipher.encrypt_in_place_detached(&nonce.into(), &request.mac1, &mut cookie);
        let tag = tag.expect("sixteen bytes are never too many for the cipher");
        let parts: [&[u8]; 5] = [&[COOKIE_REPLY.0, 0, 0, 0], &request.sender, &nonce, &cookie, &tag];
        let mut reply = [0; REPLY];
        let bytes = parts.into_iter().flatten();
        reply.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        reply
    }

    /// How many periods have passed.
    fn period(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs() / PERIOD.as_secs()
    }

    /// The cookie of an address in a period. The secret of a period comes from the one there is, so that none has to
    /// be kept.
    fn cookie(&self, period: u64, address: SocketAddr) -> [u8; 16] {
        let secret: Blake2sMac256 = KeyInit::new_from_slice(&self.secret).expect(KEY_FITS);
        let secret = secret.chain_update(period.to_le_bytes()).finalize().into_bytes();
        let cookie = mac16(&secret);
        let cookie = match address.ip() {
            IpAddr::V4(ip) => cookie.chain_update(ip.octets()),
            IpAddr::V6(ip) => cookie.chain_update(ip.octets()),
        };
        cookie.chain_update(address.port().to_be_bytes()).finalize().into_bytes().into()
    }
}

fn mac16(key: &[u8]) -> Blake2sMac<U16> {
    KeyInit::new_from_slice(key).expect(KEY_FITS)
}

#[cfg(test)]
mod tests;
