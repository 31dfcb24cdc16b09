//! What a tunnel's other end sends: never a panic, the same events however it is cut, and never more held than a frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phantom_tunnel::codec::{Decoder, Frames, MAX_FRAME};

fuzz_target!(|input: (Vec<u8>, u16)| {
    let (bytes, cut) = input;
    let mut whole = bytes.clone();
    let mut frames = Frames::new(&mut whole);
    let mut decoder = Decoder::default();
    let mut pieces = bytes.chunks(usize::from(cut).max(1));
    loop {
        let expected = frames.next().map(|event| event.map(|event| format!("{event:?}")));
        let found = loop {
            let found = decoder.next().map(|event| event.map(|event| format!("{event:?}")));
            if !matches!(found, Ok(None)) {
                break found;
            }
            match pieces.next() {
                Some(piece) => decoder.push(piece),
                None => break found,
            }
        };
        assert_eq!(found, expected);
        if !matches!(found, Ok(Some(_))) {
            break;
        }
        assert!(decoder.left() < MAX_FRAME + usize::from(u16::MAX));
    }
});
