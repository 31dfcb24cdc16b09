//! What the packet filters of the host, whoever made them, do with the packets that matter here.

use phantom_engine::filters::{client, port};
pub(super) use phantom_engine::filters::{forwarded, reached};
use phantom_host::Protocol;
use phantom_host::filter::FilterManager;

use super::Case;

/// Whether it is firewalld that closes.
pub(super) fn closed_by_firewalld(case: &Case<'_>) -> bool {
    let ghost = case.engine.store().read(phantom_store::State::ghost_active).unwrap_or(false);
    let wireguard = case.server().map(|server| port(case, Protocol::Udp, server.port));
    let https = ghost.then(|| port(case, Protocol::Tcp, 443));
    // While Ghost Mode is on, the other port is closed by ours.
    let fates = [https.or(wireguard), Some(client(case))];
    fates
        .into_iter()
        .flatten()
        .filter_map(|fate| fate.ok().flatten())
        .any(|fate| fate.verdict.closing().is_some_and(|spot| spot.manager == FilterManager::Firewalld))
}
