//! Randomness that is the same in every run.

use std::fs;
use std::sync::Mutex;

use phantom_host::{HostError, Random};

/// Where the processes of a world keep how often the dice were thrown.
const THROWS: &str = "/run/pictures/throws";

/// Dice whose throws are known: no key that they make is anybody's.
pub(crate) struct Dice;

static TURN: Mutex<()> = Mutex::new(());

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), HostError> {
        let _turn = TURN.lock();
        let mut throws: u64 =
            fs::read_to_string(THROWS).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
        for piece in bytes.chunks_mut(8) {
            throws += 1;
            piece.copy_from_slice(&mixed(throws).to_le_bytes()[..piece.len()]);
        }
        let _ = fs::write(THROWS, throws.to_string());
        Ok(())
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
