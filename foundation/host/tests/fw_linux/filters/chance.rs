//! Chance that can be repeated.

use phantom_host::filter::{Packet, PacketPath};

use super::wire::{CLIENT, HOST, SERVER, STRANGER};

/// A generator of pseudo-random numbers (splitmix64), by a seed.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
    /// A number below this one.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap() % end
    }
    /// One time in so many.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
    /// This text, or as often nothing.
    pub(super) fn maybe(&mut self, text: &'static str) -> &'static str {
        if self.one_in(2) { text } else { "" }
    }
    /// How many conditions a rule has: seldom none, since what stands behind it is then never asked.
    pub(super) fn conditions(&mut self) -> usize {
        if self.one_in(12) { 0 } else { 1 + self.below(2) }
    }
}

/// Ports that rules name and packets go to.
pub(super) const PORTS: [u16; 4] = [22, 443, 4500, 51820];
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// A packet to the host, or one time in five through it.
pub(super) fn packet(chance: &mut Chance) -> Packet {
    let port = chance.pick(&PORTS);
    let protocol = chance.pick(&[UDP, TCP]);
    if chance.one_in(5) {
        return Packet::through(("wg_main", "out0"), CLIENT.into(), SERVER.into(), UDP, port);
    }
    let source = chance.pick(&[SERVER, STRANGER]);
    let packet = Packet::to_host("out0", source.into(), HOST.into(), protocol, port);
    assert_eq!(packet.path, PacketPath::Input);
    packet
}
