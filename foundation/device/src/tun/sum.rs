//! The checksum of IP, TCP and UDP (RFC 1071), and where in packets it is.
//!
//! Sums are taken over words as the machine has them: the checksum comes out right in any order of bytes, as long as it is written
//! as it was read.

/// The bytes of an IPv4 header without options (RFC 791).
pub(super) const V4_HEADER: usize = 20;
/// The bytes of an IPv6 header (RFC 8200).
pub(super) const V6_HEADER: usize = 40;
/// Protocol numbers.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// The sum of all words, which [`fold`] makes a checksum of. Bytes that follow others begin at an even place.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<WORD>();
    words.iter().map(|word| halves(*word)).sum::<u64>() + sum_rest(rest)
}

/// Copies bytes to a place of the same length, and gives their sum.
pub(super) fn copy(from: &[u8], into: &mut [u8]) -> u64 {
    let (words, rest) = from.as_chunks::<WORD>();
    let (places, last) = into.as_chunks_mut::<WORD>();
    let mut total = 0;
    for (word, place) in words.iter().zip(places) {
        *place = *word;
        total += halves(*word);
    }
    last.copy_from_slice(rest);
    total + sum_rest(rest)
}

/// So many bytes are added at once: the compiler makes wide instructions of it.
const WORD: usize = 8;

#[inline]
const fn halves(word: [u8; WORD]) -> u64 {
    let word = u64::from_ne_bytes(word);
    (word & 0xffff_ffff) + (word >> 32)
}

fn sum_rest(rest: &[u8]) -> u64 {
    let (pairs, last) = rest.as_chunks::<2>();
    let pairs: u64 = pairs.iter().map(|pair| u64::from(u16::from_ne_bytes(*pair))).sum();
    pairs + last.first().map_or(0, |byte| u64::from(u16::from_ne_bytes([*byte, 0])))
}

/// A sum in 16 bits.
#[inline]
pub(super) const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[expect(clippy::cast_possible_truncation, reason = "it has 16 bits now")]
    let folded = sum as u16;
    folded
}

/// The sum of what TCP and UDP cover beside their own bytes: addresses, protocol and length. `None` if the packet is too short.
pub(super) fn pseudo(packet: &[u8], protocol: u8, length: usize) -> Option<u64> {
    let addresses = match packet.first()? >> 4 {
        4 => packet.get(12..V4_HEADER)?,
        _ => packet.get(8..V6_HEADER)?,
    };
    let word = |value: u16| u64::from(u16::from_ne_bytes(value.to_be_bytes()));
    Some(sum(addresses) + word(protocol.into()) + word(u16::try_from(length).ok()?))
}

/// Writes the checksum of an IPv4 header that fills `header`.
#[inline]
pub(super) fn write_v4(header: &mut [u8]) {
    header[10..12].fill(0);
    let checksum = !fold(sum(header));
    header[10..12].copy_from_slice(&checksum.to_ne_bytes());
}

/// A number of two bytes in the network's order, if there is one.
#[inline]
pub(super) fn number(packet: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?)))
}

/// Writes such a number. What does not fit is cut off; callers have looked.
#[inline]
pub(super) fn set_number(packet: &mut [u8], at: usize, value: usize) {
    let [.., high, low] = value.to_be_bytes();
    packet[at..at + 2].copy_from_slice(&[high, low]);
}
