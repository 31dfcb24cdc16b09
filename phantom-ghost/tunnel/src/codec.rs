//! The WebSocket frames of a tunnel (RFC 6455 section 5), pure: bytes in, events out.
//!
//! One datagram travels as one binary frame. The rules are those that wstunnel's own ends keep, where they differ from the
//! RFC: a frame is unmasked if its mask bit says so, whichever end sent it; every data frame is a datagram of its own, so
//! that fragments are not joined; an empty data frame is nothing.
//!
//! [`Frames`] reads a buffer in place without copying and is what the pump uses; [`Decoder`] keeps what is left over
//! between reads for callers that have no buffer of their own. [`header`] and [`encode`] write.

use std::ops::Deref;

/// The longest payload of a UDP datagram over IPv4, and therefore of a data frame, in bytes.
pub const MAX_DATAGRAM: usize = 65_507;
/// The longest payload of a control frame (RFC 6455 section 5.5), in bytes.
pub const MAX_CONTROL: usize = 125;
/// The longest frame that is ever accepted or written: header of 14 bytes and [`MAX_DATAGRAM`].
pub const MAX_FRAME: usize = MAX_HEADER + MAX_DATAGRAM;
/// The longest header: two bytes, eight of length, four of mask.
pub const MAX_HEADER: usize = 14;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a frame means to a tunnel. Payloads are unmasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameEvent<'a> {
    /// A datagram of 1 to [`MAX_DATAGRAM`] bytes.
    Datagram(&'a [u8]),
    /// The other end wants a Pong with this payload of at most [`MAX_CONTROL`] bytes.
    Ping(&'a [u8]),
    /// An answer to a Ping.
    Pong(&'a [u8]),
    /// The other end closes the tunnel, whatever reason it gives.
    Close,
}

/// Why a peer's bytes are no frames that a tunnel accepts. The tunnel ends with a Close of code 1000, as wstunnel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// One of the three reserved bits is set: no extension was agreed on.
    #[error("a reserved bit is set")]
    Reserved,
    /// An operation code that RFC 6455 does not define.
    #[error("operation code {0} is not defined")]
    Opcode(u8),
    /// More payload than a UDP datagram carries, or than a control frame may have.
    #[error("a frame of {0} bytes is too long")]
    TooLong(u64),
    /// A control frame that is not final.
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A final text frame whose payload is not UTF-8.
    #[error("a text frame is not UTF-8")]
    NotText,
}

/// What is sent in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A datagram.
    Datagram,
    /// A question whether the other end is there.
    Ping,
    /// The answer to one. Never to be sent unasked: wstunnel counts the answers, and one too many ends its tunnel.
    Pong,
    /// The end of the tunnel.
    Close,
}

/// Reads frames out of `bytes` in place. What an incomplete frame leaves over stays at the end of the buffer.
#[derive(Debug)]
pub struct Frames<'a> {
    rest: &'a mut [u8],
}

/// The head of a frame, as far as it tells where the payload lies.
struct Head {
    first: u8,
    length: u64,
    mask: Option<[u8; 4]>,
    size: usize,
}

impl<'a> Frames<'a> {
    /// Starts at the beginning of `bytes`, which must be the beginning of a frame.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next event, or `None` if the bytes left are not a whole frame. Empty data frames are passed over.
    ///
    /// After an error the stream has lost its frame boundaries: nothing more may be read from it.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would have to wrap the end and the error in one another"
    )]
    pub fn next(&mut self) -> Result<Option<FrameEvent<'a>>, Violation> {
        loop {
            let Some(head) = Head::read(self.rest)? else { return Ok(None) };
            // `Head::read` bounds the length by MAX_DATAGRAM.
            let length = usize::try_from(head.length).map_err(|_| Violation::TooLong(head.length))?;
            if self.rest.len() < head.size + length {
                return Ok(None);
            }
            let (frame, rest) = std::mem::take(&mut self.rest).split_at_mut(head.size + length);
            self.rest = rest;
            let payload = &mut frame[head.size..];
            if let Some(key) = head.mask {
                unmask(payload, key);
            }
            if let Some(event) = head.event(payload)? {
                return Ok(Some(event));
            }
        }
    }

    /// How many bytes at the end of the buffer were not consumed.
    pub fn left(&self) -> usize {
        self.rest.len()
    }
}

impl Head {
    /// Reads the head at the start of `bytes`; `None` if it is not all there.
    /// Everything that can be refused is refused as soon as the bytes that say so are there.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (first, opcode) = (*first, first & 0x0f);
        if first & RESERVED != 0 {
            return Err(Violation::Reserved);
        }
        if !matches!(opcode, CONTINUATION..=BINARY | CLOSE..=PONG) {
            return Err(Violation::Opcode(opcode));
        }
        if opcode >= CLOSE && first & FIN == 0 {
            return Err(Violation::FragmentedControl);
        }
        let (length, extended) = match second & !MASKED {
            126 => match rest.first_chunk() {
                Some(length) => (u64::from(u16::from_be_bytes(*length)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(length) => (u64::from_be_bytes(*length), 8),
                None => return Ok(None),
            },
            length => (u64::from(length), 0),
        };
        let limit = if opcode >= CLOSE { MAX_CONTROL } else { MAX_DATAGRAM };
        if length > limit as u64 {
            return Err(Violation::TooLong(length));
        }
        let mask = if second & MASKED == 0 {
            None
        } else {
            let Some(key) = rest.get(extended..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
            Some(*key)
        };
        let size = 2 + extended + if mask.is_some() { 4 } else { 0 };
        Ok(Some(Self { first, length, mask, size }))
    }

    fn event<'a>(&self, payload: &'a [u8]) -> Result<Option<FrameEvent<'a>>, Violation> {
        let opcode = self.first & 0x0f;
        if opcode == TEXT && self.first & FIN != 0 && std::str::from_utf8(payload).is_err() {
            return Err(Violation::NotText);
        }
        Ok(match opcode {
            CLOSE => Some(FrameEvent::Close),
            PING => Some(FrameEvent::Ping(payload)),
            PONG => Some(FrameEvent::Pong(payload)),
            _ => (!payload.is_empty()).then_some(FrameEvent::Datagram(payload)),
        })
    }
}

/// Undoes (or does) the masking of `payload` with `key`, RFC 6455 section 5.3.
fn unmask(payload: &mut [u8], key: [u8; 4]) {
    if key == [0; 4] {
        return;
    }
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Reads frames out of a stream that arrives in pieces of any size, keeping what is left over: at most [`MAX_FRAME`]
/// bytes more than one piece.
///
/// ```
/// use phantom_tunnel::codec::{Decoder, Event, Kind, encode};
///
/// let mut bytes = Vec::new();
/// encode(&mut bytes, Kind::Datagram, b"abc", false);
/// let mut decoder = Decoder::default();
/// decoder.push(&bytes[..2]);
/// assert_eq!(decoder.next(), Ok(None));
/// decoder.push(&bytes[2..]);
/// assert_eq!(decoder.next(), Ok(Some(Event::Datagram(b"abc"))));
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    read: usize,
}

impl Decoder {
    /// Appends what was received. To keep the memory bounded, take all events before pushing more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > 4096 {
            self.bytes = Vec::new();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event, or `None` if more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "the events borrow from the decoder")]
    pub fn next(&mut self) -> Result<Option<FrameEvent<'_>>, Violation> {
        let end = self.bytes.len();
        let mut frames = Frames::new(&mut self.bytes[self.read..]);
        let event = frames.next()?;
        self.read = end - frames.left();
        Ok(event)
    }

    /// How many bytes are held that no event came out of yet.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.read
    }
}

/// The bytes that come before a payload.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    length: u8,
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The header of a final frame with `length` bytes of payload.
///
/// `masked` is for clients: the mask bit is set with the key 00 00 00 00, which satisfies RFC 6455, leaves the payload as
/// it is and is read correctly by servers that do not unmask.
pub fn header(kind: FrameKind, length: usize, masked: bool) -> Header {
    let mut bytes = [0; MAX_HEADER];
    bytes[0] = FIN
        | match kind {
            FrameKind::Datagram => BINARY,
            FrameKind::Ping => PING,
            FrameKind::Pong => PONG,
            FrameKind::Close => CLOSE,
        };
    let size = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => {
            bytes[1] = short;
            2
        }
        (_, Ok(medium)) => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&medium.to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    if masked {
        bytes[1] |= MASKED;
    }
    Header { bytes, length: if masked { size + 4 } else { size } }
}

/// Appends one final frame to `out`; `masked` as for [`header`].
pub fn encode(out: &mut Vec<u8>, kind: FrameKind, payload: &[u8], masked: bool) {
    out.extend_from_slice(&header(kind, payload.len(), masked));
    out.extend_from_slice(payload);
}

/// Appends one frame for each of `datagrams`, so that all of them travel in one write; `masked` as for [`header`].
/// Empty datagrams are left out: the other end would not pass them on, and a wstunnel client would end the tunnel.
pub fn encode_batch<'a>(out: &mut Vec<u8>, datagrams: impl IntoIterator<Item = &'a [u8]>, masked: bool) {
    for datagram in datagrams {
        if !datagram.is_empty() {
            encode(out, FrameKind::Datagram, datagram, masked);
        }
    }
}

/// Appends the Close frame that ends every tunnel: code 1000 without a reason.
pub fn encode_close(out: &mut Vec<u8>, masked: bool) {
    encode(out, FrameKind::Close, &1000_u16.to_be_bytes(), masked);
}

#[cfg(test)]
mod tests;
