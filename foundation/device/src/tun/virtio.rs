//! The header in front of each packet of a TUN with `IFF_VNET_HDR` (`struct virtio_net_hdr` of `include/uapi/linux/virtio_net.h`):
//! what is left to do before the packet can go over a wire.

/// The bytes of the header.
pub(crate) const LENGTH: usize = 10;

/// The checksum is only begun.
const NEEDS_CHECKSUM: u8 = 1;
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
const UDP: u8 = 5;
/// A flag beside the kinds: the first segment alone tells of a reduced window.
const ECN: u8 = 0x80;

/// How a large packet is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cutting {
    Not,
    Tcp,
    Udp,
}

/// The header in our words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) cutting: Cutting,
    /// How much content each piece gets.
    pub(super) size: usize,
    /// Where what the checksum covers begins, and where behind that it is; nothing if it is there already.
    pub(super) checksum: Option<(usize, usize)>,
}

impl Header {
    /// A packet that is as it should be.
    pub(super) const PLAIN: Self = Self { cutting: Cutting::Not, size: 0, checksum: None };

    /// Reads it; `None` of a kind that was never asked for.
    pub(super) fn read(bytes: &[u8; LENGTH]) -> Option<Self> {
        let [flags, kind, _, _, numbers @ ..] = *bytes;
        let [size, start, offset] =
            [0, 2, 4].map(|at| usize::from(u16::from_ne_bytes([numbers[at], numbers[at + 1]])));
        let cutting = match kind & !ECN {
            0 => Cutting::Not,
            TCP_V4 | TCP_V6 => Cutting::Tcp,
            UDP => Cutting::Udp,
            _ => return None,
        };
        let checksum = (flags & NEEDS_CHECKSUM != 0).then_some((start, offset));
        Some(Self { cutting, size, checksum })
    }

    /// Writes it for a packet with `headers` bytes in front of its content.
    pub(super) fn write(&self, headers: usize, is_v6: bool) -> [u8; LENGTH] {
        let kind = match self.cutting {
            Cutting::Not => 0,
            Cutting::Tcp if is_v6 => TCP_V6,
            Cutting::Tcp => TCP_V4,
            Cutting::Udp => UDP,
        };
        let (start, offset) = self.checksum.unwrap_or_default();
        let mut bytes = [0; LENGTH];
        bytes[0] = if self.checksum.is_some() { NEEDS_CHECKSUM } else { 0 };
        bytes[1] = kind;
        let numbers =
            [headers, self.size, start, offset].map(|number| u16::try_from(number).unwrap_or(u16::MAX));
        for (place, number) in bytes[2..].chunks_exact_mut(2).zip(numbers) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }
}
