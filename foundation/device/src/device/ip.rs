//! The little that is read of the packets inside the tunnel: their addresses and their length.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The length of an IPv4 header without options (RFC 791).
const V4_HEADER: usize = 20;
/// The length of an IPv6 header (RFC 8200).
const V6_HEADER: usize = 40;

/// Where the packet is sent to; `None` if it is no IP packet.
pub(crate) fn destination(packet: &[u8]) -> Option<IpAddr> {
    address(packet, 16, 24)
}

/// Where the packet says it comes from; `None` if it is no IP packet.
pub(crate) fn source(packet: &[u8]) -> Option<IpAddr> {
    address(packet, 12, 8)
}

/// How long the packet itself is: what follows is padding, with which WireGuard fills up to 16 bytes. `None` if it
/// is no IP packet or a part of it is missing.
pub(crate) fn length(packet: &[u8]) -> Option<usize> {
    let (header, length) = match packet.first()? >> 4 {
        4 => (V4_HEADER, number(packet, 2)?),
        6 => (V6_HEADER, V6_HEADER + number(packet, 4)?),
        _ => return None,
    };
    (header..=packet.len()).contains(&length).then_some(length)
}

fn address(packet: &[u8], v4_at: usize, v6_at: usize) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 if packet.len() >= V4_HEADER => {
            Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(v4_at..v4_at + 4)?).ok()?).into())
        }
        6 if packet.len() >= V6_HEADER => {
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(v6_at..v6_at + 16)?).ok()?).into())
        }
        _ => None,
    }
}

fn number(packet: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v4(total: u16, padded: usize) -> Vec<u8> {
        let mut packet = vec![0; padded];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet
    }

    #[test]
    fn ipv4_is_read() {
        let packet = v4(28, 32);
        assert_eq!(source(&packet), Some([10, 0, 0, 1].into()));
        assert_eq!(destination(&packet), Some([10, 0, 0, 2].into()));
        assert_eq!(length(&packet), Some(28));
        assert_eq!(length(&v4(33, 32)), None);
        assert_eq!(length(&v4(19, 32)), None);
        assert_eq!(destination(&v4(28, 32)[..19]), None);
    }

    #[test]
    fn ipv6_is_read() {
        let mut packet = vec![0; 64];
        packet[0] = 0x60;
        packet[5] = 16;
        packet[23] = 1;
        packet[39] = 2;
        assert_eq!(source(&packet), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(destination(&packet), Some(Ipv6Addr::from(2).into()));
        assert_eq!(length(&packet), Some(56));
        assert_eq!(length(&packet[..55]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(packet in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (source(&packet), destination(&packet));
            if let Some(length) = length(&packet) {
                prop_assert!(length <= packet.len());
            }
        }
    }
}
