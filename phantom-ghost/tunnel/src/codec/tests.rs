//! Every rule by itself, then both directions against tungstenite with frames and cuts at random.

use std::io::{Cursor, Read, Write};

use proptest::prelude::*;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::*;

/// What an event was, without the borrow.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owned {
    Datagram(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
}

fn owned(event: FrameEvent<'_>) -> Owned {
    match event {
        FrameEvent::Datagram(bytes) => Owned::Datagram(bytes.to_vec()),
        FrameEvent::Ping(bytes) => Owned::Ping(bytes.to_vec()),
        FrameEvent::Pong(bytes) => Owned::Pong(bytes.to_vec()),
        FrameEvent::Close => Owned::Close,
    }
}

/// All events of `bytes` when they arrive in pieces of the sizes in `cuts`, over and over.
fn decode(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Owned>, Violation> {
    let (mut decoder, mut events, mut rest) = (Decoder::default(), Vec::new(), bytes);
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
        decoder.push(piece);
        while let Some(event) = decoder.next()? {
            events.push(owned(event));
        }
        rest = after;
    }
    Ok(events)
}

/// A frame by hand, so that the tests do not lean on the encoder.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let bit = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        n @ 0..=125 => out.push(bit | u8::try_from(n).unwrap()),
        n @ 126..=65_535 => {
            out.push(bit + 126);
            out.extend_from_slice(&u16::try_from(n).unwrap().to_be_bytes());
        }
        n => {
            out.push(bit + 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask.unwrap_or_default()[..if mask.is_some() { 4 } else { 0 }]);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask.unwrap_or_default()[at % 4]));
    out
}

#[test]
fn every_length_class_in_both_forms() {
    for length in [1, 2, 7, 8, 9, 125, 126, 127, 1400, 65_506, MAX_DATAGRAM] {
        let payload: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for mask in [None, Some([0; 4]), Some([1, 2, 3, 4]), Some([0, 0, 0, 9])] {
            let events = decode(&frame(0x82, mask, &payload), &[usize::MAX]).unwrap();
            assert_eq!(events, [Owned::Datagram(payload.clone())], "{length} {mask:?}");
        }
    }
}

#[test]
fn fragments_are_datagrams_of_their_own() {
    let mut bytes = frame(0x02, None, b"ab");
    bytes.extend(frame(0x80, None, b"cd"));
    bytes.extend(frame(0x81, None, "é".as_bytes()));
    bytes.extend(frame(0x01, None, b"\xff"));
    let datagrams: [&[u8]; 4] = [b"ab", b"cd", "é".as_bytes(), b"\xff"];
    assert_eq!(decode(&bytes, &[3]).unwrap(), datagrams.map(|bytes| Owned::Datagram(bytes.to_vec())));
}

#[test]
fn empty_frames_are_nothing() {
    let mut bytes = frame(0x82, None, b"");
    bytes.extend(frame(0x82, Some([1; 4]), b""));
    bytes.extend(frame(0x89, None, b""));
    assert_eq!(decode(&bytes, &[1]).unwrap(), [Owned::Ping(Vec::new())]);
}

#[test]
fn invalid_frame_is_refused_at_once() {
    let refused = |bytes: &[u8]| decode(bytes, &[1]).unwrap_err();
    assert_eq!(refused(&[0xc2, 0]), Violation::Reserved);
    assert_eq!(refused(&[0x92, 0]), Violation::Reserved);
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(refused(&[0x80 | opcode, 0]), Violation::Opcode(opcode));
    }
    for opcode in [CLOSE, PING, PONG] {
        assert_eq!(refused(&[opcode, 0]), Violation::FragmentedControl);
        assert_eq!(refused(&[0x80 | opcode, 126, 0, 126]), Violation::TooLong(126));
    }
    // The length alone decides, long before the payload is there.
    assert_eq!(refused(&[0x82, 126, 0xff, 0xe4]), Violation::TooLong(65_508));
    assert_eq!(refused(&[0x82, 127, 0, 0, 0, 0, 4, 0, 0, 0]), Violation::TooLong(1 << 26));
    assert_eq!(refused(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]), Violation::TooLong(u64::MAX));
    assert_eq!(refused(&frame(0x81, None, b"\xff")), Violation::NotText);
}

#[test]
fn own_frame_has_the_known_bytes() {
    let mut out = Vec::new();
    encode(&mut out, FrameKind::Datagram, b"abc", false);
    encode(&mut out, FrameKind::Datagram, b"abc", true);
    encode(&mut out, FrameKind::Pong, b"x", false);
    encode_close(&mut out, false);
    assert_eq!(out, b"\x82\x03abc\x82\x83\0\0\0\0abc\x8a\x01x\x88\x02\x03\xe8");
}

#[test]
fn decoder_holds_at_most_one_frame() {
    let mut decoder = Decoder::default();
    let bytes = frame(0x82, None, &vec![7; MAX_DATAGRAM]);
    for piece in bytes.chunks(1000) {
        decoder.push(piece);
        while decoder.next().unwrap().is_some() {}
        assert!(decoder.left() <= MAX_FRAME);
    }
    decoder.push(&[]);
    assert_eq!((decoder.left(), decoder.bytes.capacity()), (0, 0), "an idle decoder gives its memory back");
}

/// One side of a connection in memory: reads what was put in, keeps what is written.
struct Wire {
    input: Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.input.read(buffer)? {
            0 => Err(std::io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.output.extend_from_slice(buffer);
        Ok(buffer.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn other(role: Role, input: Vec<u8>) -> WebSocket<Wire> {
    let config = WebSocketConfig::default().accept_unmasked_frames(true);
    WebSocket::from_raw_socket(Wire { input: Cursor::new(input), output: Vec::new() }, role, Some(config))
}

fn message() -> impl Strategy<Value = Owned> {
    let length = prop_oneof![1_usize..300, Just(125_usize), Just(126), 65_000..=MAX_DATAGRAM];
    let payload = (length, any::<u8>()).prop_map(|(length, seed)| {
        (0..length).map(|at| seed.wrapping_add(at.to_le_bytes()[0])).collect::<Vec<u8>>()
    });
    let control = prop::collection::vec(any::<u8>(), 0..=MAX_CONTROL);
    prop_oneof![
        4 => payload.prop_map(Owned::Datagram),
        1 => control.clone().prop_map(Owned::Ping),
        1 => control.prop_map(Owned::Pong),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn we_read_what_another_writes(
        messages in prop::collection::vec(message(), 0..12),
        cuts in prop::collection::vec(1_usize..3000, 1..8),
        client in any::<bool>(),
        close in any::<bool>(),
    ) {
        // As a client it masks with random keys, as a server it does not mask.
        let mut peer = other(if client { Role::Client } else { Role::Server }, Vec::new());
        for message in &messages {
            peer.send(match message.clone() {
                Owned::Datagram(bytes) => Message::Binary(bytes.into()),
                Owned::Ping(bytes) => Message::Ping(bytes.into()),
                Owned::Pong(bytes) => Message::Pong(bytes.into()),
                Owned::Close => Message::Close(None),
            }).unwrap();
        }
        let mut expected = messages;
        if close {
            peer.close(None).unwrap();
            expected.push(Owned::Close);
        }
        prop_assert_eq!(decode(&peer.get_ref().output, &cuts).unwrap(), expected);
    }

    #[test]
    fn another_reads_what_we_write(messages in prop::collection::vec(message(), 0..12), masked in any::<bool>()) {
        let mut out = Vec::new();
        for message in &messages {
            match message {
                Owned::Datagram(bytes) => encode_batch(&mut out, [bytes.as_slice(), &[]], masked),
                Owned::Ping(bytes) => encode(&mut out, FrameKind::Ping, bytes, masked),
                Owned::Pong(bytes) => encode(&mut out, FrameKind::Pong, bytes, masked),
                Owned::Close => {}
            }
        }
        encode_close(&mut out, masked);
        let mut peer = other(if masked { Role::Server } else { Role::Client }, out);
        for message in messages {
            prop_assert_eq!(peer.read().unwrap(), match message {
                Owned::Datagram(bytes) => Message::Binary(bytes.into()),
                Owned::Ping(bytes) => Message::Ping(bytes.into()),
                Owned::Pong(bytes) => Message::Pong(bytes.into()),
                Owned::Close => Message::Close(None),
            });
        }
        let closed = peer.read().unwrap();
        prop_assert!(matches!(closed, Message::Close(Some(frame)) if u16::from(frame.code) == 1000));
    }

    #[test]
    fn cuts_change_nothing_and_nothing_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec(1_usize..50, 1..5),
    ) {
        // A refusal may come earlier when the bytes come singly, so only the events before it are the same.
        match (decode(&bytes, &[usize::MAX]), decode(&bytes, &cuts)) {
            (Ok(whole), Ok(cut)) => prop_assert_eq!(whole, cut),
            (Err(whole), Err(cut)) => prop_assert_eq!(whole, cut),
            (whole, cut) => prop_assert!(false, "{whole:?} {cut:?}"),
        }
    }
}
