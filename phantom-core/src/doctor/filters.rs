//! What the packet filters of the host, whoever made them, do with the packets that matter here.

use phantom_engine::filters::{client, port};
pub(super) use phantom_engine::filters::{forwarded, reached};
use phantom_host::Protocol;
use phantom_host::filter::FilterManager;

use super::Case;

/// Whether it is firewalld that closes.
pub(super) fn closed_by_firewalld(case: &Case<'_>) -> bool {
    let wireguard = case.server().map(|server| port(case, Protocol::Udp, server.port));
    // Where clients come in at another port, WireGuard's own is closed by ours.
    let entrance = case.entrance().map(|at| port(case, at.protocol, at.number));
    let fates = [entrance.or(wireguard), Some(client(case))];
    fates
        .into_iter()
        .flatten()
        .filter_map(|fate| fate.ok().flatten())
        .any(|fate| fate.verdict.closing().is_some_and(|spot| spot.manager == FilterManager::Firewalld))
}
