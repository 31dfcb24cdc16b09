//! The packets of a session: sealed and opened where they lie (WireGuard's paper, 5.4.6).
//!
//! A datagram is a header of 16 bytes, what was sealed, and a tag of 16 bytes. Both directions work on the bytes of the datagram
//! itself, without another buffer. What a session shares between threads are a counter and, when packets are opened, the window of
//! those that came.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::noise::{Keys, Secret};

/// The bytes in front of what is sealed: type, index of the receiver, counter.
pub const HEADER: usize = 16;
/// The bytes behind it.
pub const TAG: usize = 16;
/// What a datagram has beside what is sealed in it.
pub const AROUND: usize = HEADER + TAG;

/// Type of a data message.
pub const DATA: u8 = 4;

/// So many messages may be sealed with one key (`Reject-After-Messages` of the paper, 6.1).
pub const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);
/// After so many a new session is wanted.
pub const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
/// So long a session may be used.
pub const REJECT_AFTER_TIME: Duration = Duration::from_mins(3);

/// The bits that are kept of counters.
const BITS: u64 = 64 * WORDS as u64;
/// How far behind the newest a packet may come: as in the kernel, where a word of the bits is always about to be used again.
pub const WINDOW: u64 = BITS - 64;

/// A session with a peer.
pub struct Session {
    /// How the other end names it here.
    index: u32,
    /// How this end names it there.
    remote: u32,
    initiator: bool,
    born: Instant,
    send: LessSafeKey,
    receive: LessSafeKey,
    counter: AtomicU64,
    window: Mutex<Window>,
}

impl Session {
    /// A session that begins now. `index` is how the other end names it, `remote` how this end names it there.
    pub fn new(keys: &Keys, index: u32, remote: u32, initiator: bool, now: Instant) -> Self {
        Self {
            index,
            remote,
            initiator,
            born: now,
            send: key(&keys.send),
            receive: key(&keys.receive),
            counter: AtomicU64::new(0),
            window: Mutex::default(),
        }
    }

    /// How the other end names it.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Whether this end began the handshake.
    pub const fn is_initiator(&self) -> bool {
        self.initiator
    }

    /// How old it is.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }

    /// Whether it is too old for anything.
    pub fn is_over(&self, now: Instant) -> bool {
        self.age(now) >= REJECT_AFTER_TIME
    }

    /// Whether so many packets have been sealed that another session is wanted.
    pub fn is_worn(&self) -> bool {
        self.counter.load(Ordering::Relaxed) >= REKEY_AFTER_MESSAGES
    }

    /// Takes the counters of so many packets, and gives the first. `None` when the session has sealed as many as it may.
    pub fn reserve(&self, count: u64) -> Option<u64> {
        let add = |counter: u64| counter.checked_add(count).filter(|next| *next <= REJECT_AFTER_MESSAGES);
        self.counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()
    }

    /// Seals what lies in `datagram` between the room for its header and that for its tag. A counter is never used twice: it
    /// comes from [`reserve`](Self::reserve).
    #[expect(clippy::missing_panics_doc, reason = "it cannot happen: no packet is too long for the cipher")]
    pub fn seal(&self, counter: u64, datagram: &mut [u8]) {
        let Some((header, rest)) = datagram.split_first_chunk_mut::<HEADER>() else { return };
        let Some((content, end)) = rest.split_last_chunk_mut::<TAG>() else { return };
        header[..4].copy_from_slice(&[DATA, 0, 0, 0]);
        header[4..8].copy_from_slice(&self.remote.to_le_bytes());
        header[8..].copy_from_slice(&counter.to_le_bytes());
        let tag = self.send.seal_in_place_separate_tag(nonce(counter), Aad::empty(), content);
        end.copy_from_slice(tag.expect("no packet is too long for the cipher").as_ref());
    }

    /// The window of the packets that came, to open several.
    pub fn window(&self) -> MutexGuard<'_, Window> {
        // After a panic at worst a packet is counted that was not opened.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a datagram where it lies. What was in it is then between header and tag; its length is given. `None` if the other
    /// end has not sealed it for this session, or if it has come before or too late.
    pub fn open(&self, window: &mut Window, datagram: &mut [u8]) -> Option<usize> {
        let (header, content) = datagram.split_first_chunk_mut::<HEADER>()?;
        let [DATA, 0, 0, 0, numbers @ ..] = header else { return None };
        let (index, counter) = numbers.split_first_chunk()?;
        let counter = u64::from_le_bytes(*counter.first_chunk()?);
        if u32::from_le_bytes(*index) != self.index
            || counter >= REJECT_AFTER_MESSAGES
            || !window.lets(counter)
        {
            return None;
        }
        let length = self.receive.open_in_place(nonce(counter), Aad::empty(), content).ok()?.len();
        window.note(counter);
        Some(length)
    }
}

fn key(secret: &Secret) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &**secret).expect("a key has 32 bytes"))
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Which packets of a session came, so that none counts twice (RFC 6479).
pub struct Window {
    /// The counter behind the greatest that came.
    next: u64,
    /// A bit for each counter. The word of the greatest and those before it count, as many as there are.
    words: [u64; WORDS],
}

const WORDS: usize = 128;

impl Default for Window {
    fn default() -> Self {
        Self { next: 0, words: [0; WORDS] }
    }
}

impl Window {
    /// Whether a packet with this counter is new and not too old.
    pub const fn lets(&self, counter: u64) -> bool {
        if counter >= self.next {
            return true;
        }
        self.next - counter <= WINDOW && self.words[word(counter)] & bit(counter) == 0
    }

    /// Notes a packet that was let through.
    pub fn note(&mut self, counter: u64) {
        if counter >= self.next {
            let (newest, now) = (self.next.saturating_sub(1) / 64, counter / 64);
            for passed in 1..=(now - newest).min(BITS / 64) {
                self.words[word((newest + passed) * 64)] = 0;
            }
            self.next = counter + 1;
        }
        self.words[word(counter)] |= bit(counter);
    }
}

const fn word(counter: u64) -> usize {
    ((counter / 64) % (BITS / 64)) as usize
}

const fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

#[cfg(test)]
mod tests;
