//! The handshake of WireGuard's paper, 5.4.2 to 5.4.5: `Noise_IKpsk2` over X25519, ChaCha20-Poly1305 and BLAKE2s.
//!
//! Pure: keys, messages and randomness in, messages and session keys out. Macs, indices, time and replay are for those who call.
//! A library keeps what a handshake yields to itself, and with it every packet after it. So the messages are made here, and the
//! tests hold each of them against a library's.

use blake2::{Blake2s256, Digest as _};
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInPlace as _, KeyInit as _};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// The bytes of an initiation, and where its macs begin.
pub const INITIATION: usize = 148;
/// The bytes of a response.
pub const RESPONSE: usize = 92;
/// The bytes of both macs at the end of either message.
const MACS: usize = 32;
/// The bytes of a tag.
const TAG: usize = 16;
/// The bytes of a time stamp (TAI64N).
pub const STAMP: usize = 12;

const CONSTRUCTION: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const IDENTIFIER: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";

/// 32 bytes that are wiped when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// The keys of one end.
#[derive(Clone)]
pub struct Local {
    private: StaticSecret,
    public: PublicKey,
}

/// The two keys of a session, as this end has them.
pub struct Keys {
    /// Seals what this end sends.
    pub send: Secret,
    /// Opens what it receives.
    pub receive: Secret,
}

/// What both ends know after each step: the chaining key and the hash of everything so far.
#[derive(Clone)]
struct State {
    chain: Secret,
    hash: [u8; 32],
}

/// An initiation of this end that waits for its response.
pub struct Begun {
    state: State,
    ephemeral: StaticSecret,
}

/// An initiation of somebody who knows the public key of this end and names itself. That it is who it says is not known yet.
pub struct Heard {
    state: State,
    remote: [u8; 32],
    ephemeral: PublicKey,
    index: u32,
    stamp: [u8; STAMP + TAG],
}

/// An initiation that the one it names has made.
pub struct Genuine {
    state: State,
    remote: PublicKey,
    ephemeral: PublicKey,
    index: u32,
    stamp: [u8; STAMP],
}

impl Local {
    /// The end with this private key.
    pub fn new(private: [u8; 32]) -> Self {
        let private = StaticSecret::from(private);
        Self { public: PublicKey::from(&private), private }
    }

    /// Its public key.
    pub fn public(&self) -> &[u8; 32] {
        self.public.as_bytes()
    }

    /// What the two ends have in common for ever; `None` of a key with which nothing is secret.
    pub fn shared(&self, remote: &[u8; 32]) -> Option<Secret> {
        agree(&self.private, &PublicKey::from(*remote))
    }

    /// Begins a handshake with `remote`, with which this end shares `shared`. `index` is how the other end is to name this one,
    /// `ephemeral` has to be random. The macs of the message are zero.
    pub fn initiate(
        &self,
        remote: &[u8; 32],
        shared: &Secret,
        index: u32,
        stamp: [u8; STAMP],
        ephemeral: [u8; 32],
    ) -> Option<(Begun, [u8; INITIATION])> {
        let ephemeral = StaticSecret::from(ephemeral);
        let public = PublicKey::from(&ephemeral);
        let mut message = [0; INITIATION];
        message[0] = 1;
        message[4..8].copy_from_slice(&index.to_le_bytes());
        message[8..40].copy_from_slice(public.as_bytes());
        let mut state = State::new(remote);
        state.mix_public(&public);
        let key = state.mix(&*agree(&ephemeral, &PublicKey::from(*remote))?);
        state.seal(&key, self.public.as_bytes(), &mut message[40..88]);
        let key = state.mix(shared);
        state.seal(&key, &stamp, &mut message[88..116]);
        Some((Begun { state, ephemeral }, message))
    }

    /// Reads an initiation as far as anybody could have made it who knows the public key of this end.
    pub fn hear(&self, message: &[u8]) -> Option<Heard> {
        let message: &[u8; INITIATION] = message.try_into().ok()?;
        let ephemeral = PublicKey::from(*message[8..].first_chunk::<32>()?);
        let mut state = State::new(self.public.as_bytes());
        state.mix_public(&ephemeral);
        let key = state.mix(&*agree(&self.private, &ephemeral)?);
        let mut remote = [0; 32];
        state.open(&key, &message[40..88], &mut remote)?;
        let index = u32::from_le_bytes(*message[4..].first_chunk()?);
        Some(Heard { state, remote, ephemeral, index, stamp: *message[88..].first_chunk()? })
    }
}

impl Heard {
    /// The public key that it names.
    pub const fn remote(&self) -> &[u8; 32] {
        &self.remote
    }

    /// How the other end wants to be named.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The same, if the one it names has made it, with which this end shares `shared`.
    pub fn prove(mut self, shared: &Secret) -> Option<Genuine> {
        let key = self.state.mix(shared);
        let mut stamp = [0; STAMP];
        self.state.open(&key, &self.stamp, &mut stamp)?;
        let remote = PublicKey::from(self.remote);
        Some(Genuine { state: self.state, remote, ephemeral: self.ephemeral, index: self.index, stamp })
    }
}

impl Genuine {
    /// When it was made; of two, the later one has the greater stamp.
    pub const fn stamp(&self) -> &[u8; STAMP] {
        &self.stamp
    }

    /// How the other end wants to be named.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The response with zero macs, and the keys of the session. `index` is how the other end is to name this one, `ephemeral` has
    /// to be random.
    pub fn respond(
        mut self,
        index: u32,
        preshared: &[u8; 32],
        ephemeral: [u8; 32],
    ) -> Option<([u8; RESPONSE], Keys)> {
        let ephemeral = StaticSecret::from(ephemeral);
        let public = PublicKey::from(&ephemeral);
        let mut message = [0; RESPONSE];
        message[0] = 2;
        message[4..8].copy_from_slice(&index.to_le_bytes());
        message[8..12].copy_from_slice(&self.index.to_le_bytes());
        message[12..44].copy_from_slice(public.as_bytes());
        self.state.mix_public(&public);
        self.state.mix(&*agree(&ephemeral, &self.ephemeral)?);
        self.state.mix(&*agree(&ephemeral, &self.remote)?);
        let key = self.state.mix_preshared(preshared);
        self.state.seal(&key, &[], &mut message[44..60]);
        let [receive, send] = derive(&self.state.chain, &[]);
        Some((message, Keys { send, receive }))
    }
}

impl Begun {
    /// The index of the other end and the keys of the session, if this response is that of the one that was asked.
    pub fn finish(&self, local: &Local, preshared: &[u8; 32], response: &[u8]) -> Option<(u32, Keys)> {
        let response: &[u8; RESPONSE] = response.try_into().ok()?;
        let ephemeral = PublicKey::from(*response[12..].first_chunk::<32>()?);
        let mut state = self.state.clone();
        state.mix_public(&ephemeral);
        state.mix(&*agree(&self.ephemeral, &ephemeral)?);
        state.mix(&*agree(&local.private, &ephemeral)?);
        let key = state.mix_preshared(preshared);
        state.open(&key, &response[44..RESPONSE - MACS], &mut [])?;
        let [send, receive] = derive(&state.chain, &[]);
        Some((u32::from_le_bytes(*response[4..].first_chunk()?), Keys { send, receive }))
    }
}

impl State {
    /// Before the first message to the end with this public key.
    fn new(responder: &[u8; 32]) -> Self {
        let chain = hash(&[CONSTRUCTION]);
        let mut state = Self { chain: Zeroizing::new(chain), hash: hash(&[&chain, IDENTIFIER]) };
        state.note(responder);
        state
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hash = hash(&[&self.hash, bytes]);
    }

    fn mix_public(&mut self, key: &PublicKey) {
        let [chain] = derive(&self.chain, key.as_bytes());
        self.chain = chain;
        self.note(key.as_bytes());
    }

    /// Mixes a secret in, and gives a key.
    fn mix(&mut self, secret: &[u8; 32]) -> Secret {
        let [chain, key] = derive(&self.chain, secret);
        self.chain = chain;
        key
    }

    fn mix_preshared(&mut self, secret: &[u8; 32]) -> Secret {
        let [chain, noted, key] = derive(&self.chain, secret);
        self.chain = chain;
        self.note(&*noted);
        key
    }

    fn seal(&mut self, key: &Secret, content: &[u8], into: &mut [u8]) {
        let (text, tag) = into.split_at_mut(content.len());
        text.copy_from_slice(content);
        let sealed = cipher(key).encrypt_in_place_detached(&[0; 12].into(), &self.hash, text);
        tag.copy_from_slice(&sealed.expect("no message is too long for the cipher"));
        self.note(into);
    }

    fn open(&mut self, key: &Secret, sealed: &[u8], into: &mut [u8]) -> Option<()> {
        let (text, tag) = sealed.split_last_chunk::<TAG>()?;
        into.copy_from_slice(text);
        cipher(key).decrypt_in_place_detached(&[0; 12].into(), &self.hash, into, tag.into()).ok()?;
        self.note(sealed);
        Some(())
    }
}

fn cipher(key: &Secret) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new((&**key).into())
}

/// What two keys agree on; `None` if the public one is of those with which nothing is secret.
fn agree(private: &StaticSecret, public: &PublicKey) -> Option<Secret> {
    let shared = private.diffie_hellman(public);
    shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Blake2s256::new(), blake2::Digest::chain_update).finalize().into()
}

/// HMAC (RFC 2104) with a key of 32 bytes.
fn hmac(key: &[u8; 32], parts: [&[u8]; 2]) -> Secret {
    let pad = |with: u8| {
        let mut block = Zeroizing::new([with; 64]);
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = hash(&[&*pad(0x36), parts[0], parts[1]]);
    Zeroizing::new(hash(&[&*pad(0x5c), &inner]))
}

/// HKDF (RFC 5869) with as many outputs.
fn derive<const N: usize>(chain: &Secret, input: &[u8]) -> [Secret; N] {
    let key = hmac(chain, [input, &[]]);
    let mut last: Secret = Zeroizing::new([0; 32]);
    let mut number = 0;
    std::array::from_fn(|_| {
        let before: &[u8] = if number == 0 { &[] } else { &*last };
        number += 1;
        last = hmac(&key, [before, &[number]]);
        last.clone()
    })
}

#[cfg(test)]
mod tests;
