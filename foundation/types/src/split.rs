//! The complement of networks: what `AllowedIPs` must list so that everything but some networks enters the tunnel.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnetwork::{Ipv4Network, Ipv6Network};

/// The shortest list of IPv4 networks that covers every address outside `excluded`, ascending.
///
/// `excluded` may be in any order, repeat itself and overlap; host bits do not count. Excluding nothing gives
/// `0.0.0.0/0`, one address exactly 32 networks, `0.0.0.0/0` none.
pub fn complement4(excluded: &[Ipv4Network]) -> Vec<Ipv4Network> {
    let ranges =
        excluded.iter().map(|net| (u32::from(net.network()).into(), u32::from(net.broadcast()).into()));
    cover::<32>(ranges.collect())
        .into_iter()
        .filter_map(|(base, prefix)| Ipv4Network::new(Ipv4Addr::from(u32::try_from(base).ok()?), prefix).ok())
        .collect()
}

/// The shortest list of IPv6 networks that covers every address outside `excluded`, ascending.
///
/// As [`complement4`]; one excluded address gives 128 networks.
pub fn complement6(excluded: &[Ipv6Network]) -> Vec<Ipv6Network> {
    let ranges = excluded.iter().map(|net| (u128::from(net.network()), u128::from(net.broadcast())));
    cover::<128>(ranges.collect())
        .into_iter()
        .filter_map(|(base, prefix)| Ipv6Network::new(Ipv6Addr::from(base), prefix).ok())
        .collect()
}

/// The networks, as base and prefix length, that cover the gaps between the ranges (first and last address) in
/// an address space of `BITS` bits.
fn cover<const BITS: u8>(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u8)> {
    let end = u128::MAX >> (128 - BITS);
    ranges.sort_unstable();
    let mut networks = Vec::new();
    let mut next = Some(0); // the first address not decided yet; none when all are
    for (first, last) in ranges {
        let Some(start) = next else { break };
        if start < first {
            fill::<BITS>(start, first - 1, &mut networks);
        }
        if last >= start {
            next = last.checked_add(1).filter(|next| *next <= end);
        }
    }
    if let Some(start) = next {
        fill::<BITS>(start, end, &mut networks);
    }
    networks
}

/// Splits one range into the fewest networks: each is the largest that begins where the last one ended, is
/// aligned there and does not reach beyond the range.
fn fill<const BITS: u8>(mut start: u128, last: u128, networks: &mut Vec<(u128, u8)>) {
    loop {
        // ilog2(last - start + 1), without the overflow that the whole of IPv6 would bring.
        let room = (last - start).checked_add(1).map_or(128, u128::ilog2);
        let size = start.trailing_zeros().min(room).min(BITS.into());
        #[expect(clippy::cast_possible_truncation, reason = "at most 128")]
        networks.push((start, BITS - size as u8));
        let step = 1u128.checked_shl(size).unwrap_or(0);
        match start.checked_add(step) {
            Some(next) if step > 0 && next <= last => start = next,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests;
