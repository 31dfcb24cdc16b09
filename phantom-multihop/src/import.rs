//! From a provider's file to an exit: pure, without the host and without the database.

use std::path::Path;

use ipnetwork::{IpNetwork, Ipv4Network};
use phantom_types::conf::{self, ConfError, Ignored, Parsed};
use phantom_types::{Endpoint, ExitName, HostName, Subnet, Timestamp, complement4};

use crate::model::Exit;
use crate::provider;

/// The largest MTU of an exit: what 1500 bytes of Ethernet leave after IPv6, UDP and WireGuard.
pub(crate) const MTU_MAX: u16 = 1420;
/// The smallest one: every IPv6 network carries it (RFC 8200, section 5).
pub(crate) const MTU_MIN: u16 = 1280;
/// Keepalives that are taken over, in seconds.
const KEEPALIVES: std::ops::RangeInclusive<u16> = 1..=60;
/// The keepalive in the place of any other.
pub(crate) const KEEPALIVE: u16 = 5;
/// Longest name of an exit.
const NAME_MAX: usize = 50;
/// Names of files that say nothing of the exit.
const SILENT_NAMES: [&str; 3] = ["wg", "client", "config"];

/// What was read of a file.
#[derive(Debug)]
pub(crate) struct Import {
    /// The exit; its name is the one that follows from the file, or the one that was asked for.
    pub(crate) exit: Exit,
    /// Lines that are not used.
    pub(crate) ignored: Vec<Ignored>,
    /// The exit carries all IPv4 addresses.
    pub(crate) carries_all: bool,
}

/// Why a text is no exit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ImportProblem {
    /// It is no WireGuard configuration of a client.
    Content(ConfError),
    /// Neither the name of the file nor the end point gives a name.
    NoName,
}

/// What is known beside the text of the file.
pub(crate) struct ImportContext<'a> {
    /// The name that was asked for.
    pub(crate) name: Option<ExitName>,
    /// Where the file lies, absolute.
    pub(crate) path: &'a Path,
    /// Largest packet of the uplink in bytes.
    pub(crate) uplink_mtu: Option<u32>,
    /// When it is imported.
    pub(crate) now: Timestamp,
}

/// Reads a file.
pub(crate) fn import(text: &str, source: ImportContext<'_>) -> Result<Import, ImportProblem> {
    let parsed = conf::parse(text).map_err(ImportProblem::Content)?;
    let name = match source.name {
        Some(name) => name,
        None => derived_name(source.path, &parsed.endpoint).ok_or(ImportProblem::NoName)?,
    };
    let Parsed { endpoint, comments, mtu, keepalive, .. } = parsed;
    let exit = Exit {
        name,
        private_key: parsed.private_key,
        public_key: parsed.public_key,
        preshared_key: parsed.preshared_key,
        addresses: parsed.address,
        mtu: fitting_mtu(mtu, source.uplink_mtu, &endpoint),
        keepalive: keepalive.filter(|seconds| KEEPALIVES.contains(seconds)).unwrap_or(KEEPALIVE),
        file_mtu: mtu,
        file_keepalive: keepalive,
        provider: provider::detect(&endpoint, &comments).to_owned(),
        original_path: source.path.to_string_lossy().into_owned(),
        imported_at: source.now,
        endpoint,
        allowed_ips: parsed.allowed_ips,
    };
    Ok(Import { carries_all: carries_all(&exit.allowed_ips), exit, ignored: parsed.ignored })
}

/// The address of an exit that is in the own subnet, or whose network has an address in common with it.
pub(crate) fn overlapping(exit: &Exit, subnet: Subnet) -> Option<Ipv4Network> {
    let overlaps = |address: &&Ipv4Network| {
        Subnet::containing(address.ip(), address.prefix()).is_some_and(|network| network.overlaps(subnet))
    };
    exit.addresses.iter().find(overlaps).copied()
}

/// The name that follows from that of the file, else from the end point.
fn derived_name(path: &Path, endpoint: &Endpoint) -> Option<ExitName> {
    let stem = path.file_stem().map(|stem| as_name(&stem.to_string_lossy())).unwrap_or_default();
    if !stem.is_empty() && !SILENT_NAMES.contains(&stem.as_str()) {
        return stem.parse().ok();
    }
    match &endpoint.host {
        HostName::Ip(std::net::IpAddr::V6(_)) => None,
        host => as_name(&host.to_string().trim_end_matches('.').replace(['.', '-'], "_")).parse().ok(),
    }
}

/// What of a text can be a name: letters, digits, `_` and `-`, the last not first; lower case, at most 50.
fn as_name(text: &str) -> String {
    let fits = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let letters: String = text.chars().filter(fits).map(|letter| letter.to_ascii_lowercase()).collect();
    letters.trim_start_matches('-').chars().take(NAME_MAX).collect()
}

/// What the file, the uplink and we ourselves can carry, the least of the three.
fn fitting_mtu(file: Option<u16>, uplink: Option<u32>, endpoint: &Endpoint) -> u16 {
    // IPv4 has 20 bytes, IPv6 40 (a name may lead there); UDP 8; WireGuard 16 of header and 16 of tag.
    let around = if matches!(endpoint.host.ip(), Some(std::net::IpAddr::V4(_))) { 60 } else { 80 };
    let carried = uplink.map(|mtu| u16::try_from(mtu.saturating_sub(around)).unwrap_or(u16::MAX));
    [file, carried].into_iter().flatten().fold(MTU_MAX, u16::min).max(MTU_MIN)
}

fn carries_all(allowed: &[IpNetwork]) -> bool {
    let four = allowed.iter().filter_map(|network| match network {
        IpNetwork::V4(network) => Some(*network),
        IpNetwork::V6(_) => None,
    });
    complement4(&four.collect::<Vec<_>>()).is_empty()
}

#[cfg(test)]
mod tests;
