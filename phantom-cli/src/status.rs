//! The figures of the header, and the rates between two of them.

use std::collections::BTreeMap;

use phantom_api::Phantom;
use serde::Deserialize;

use crate::spoken;
use crate::work::{ActionCall, Problem, fields};

/// What the header shows, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderStatus {
    /// Microseconds since 1970.
    pub at: i64,
    /// The WireGuard service runs.
    pub running: bool,
    /// Clients connected now.
    pub connected: u32,
    /// The device answered; else nobody knows who is connected.
    pub is_known: bool,
    /// Clients stored.
    pub total: u32,
    /// Bytes from all clients since the interface came up.
    pub received: u64,
    /// Bytes to all clients since the interface came up.
    pub sent: u64,
    /// Bytes per second from and to all clients, once two moments are known.
    pub rates: Option<(u64, u64)>,
    /// Whether Ghost Mode is on, and serves; `None` without that module.
    pub ghost: Option<GhostState>,
    /// Whether multihop is on; `None` without that module.
    pub multihop: Option<bool>,
    /// When each peer was last heard from, by the address it may use: the words of `wg`.
    pub heard: BTreeMap<String, String>,
}

/// State of Ghost Mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GhostState {
    /// Off.
    Off,
    /// On and serving.
    Serving,
    /// On, but the tunnel service does not serve.
    Broken,
}

#[derive(Deserialize)]
struct Server {
    service: Service,
    interface: Interface,
    clients: Clients,
    #[serde(default)]
    unknown: Vec<String>,
}

#[derive(Deserialize)]
struct Service {
    running: bool,
}

#[derive(Deserialize)]
struct Interface {
    active: bool,
    #[serde(default)]
    rx_bytes: u64,
    #[serde(default)]
    tx_bytes: u64,
    #[serde(default)]
    peers: Vec<Peer>,
}

#[derive(Deserialize)]
struct Peer {
    allowed_ips: String,
    latest_handshake: Option<String>,
}

#[derive(Deserialize)]
struct Clients {
    total_configured: u32,
    active_connections: u32,
}

#[derive(Deserialize)]
struct Ghost {
    status: String,
}

#[derive(Deserialize)]
struct Multihop {
    enabled: bool,
}

impl HeaderStatus {
    /// Asks the modules that there are.
    pub(crate) fn read(phantom: &Phantom, call: &phantom_api::Call) -> Result<Self, Problem> {
        let server: Server = fields(phantom, &ActionCall::new("core", "server_status"), call)?;
        let is_there = |module| phantom.check(module, "status").is_ok();
        let ghost = || fields::<Ghost>(phantom, &ActionCall::new("ghost", "status"), call).ok();
        let multihop = || fields::<Multihop>(phantom, &ActionCall::new("multihop", "status"), call).ok();
        let heard = server.interface.peers.into_iter().filter_map(|peer| {
            let address = peer.allowed_ips.split(['/', ',']).next()?.to_owned();
            Some((address, spoken::age(peer.latest_handshake?, call.lang)))
        });
        Ok(Self {
            at: phantom.engine().host().clock.now().micros(),
            running: server.service.running,
            connected: server.clients.active_connections,
            is_known: server.interface.active || server.unknown.is_empty(),
            total: server.clients.total_configured,
            received: server.interface.rx_bytes,
            sent: server.interface.tx_bytes,
            rates: None,
            ghost: is_there("ghost").then(ghost).flatten().map(|ghost| match ghost.status.as_str() {
                "active" => GhostState::Serving,
                "inactive" => GhostState::Off,
                _ => GhostState::Broken,
            }),
            multihop: is_there("multihop").then(multihop).flatten().map(|multihop| multihop.enabled),
            heard: heard.collect(),
        })
    }

    /// The same with the rates since an earlier moment. A counter that went back began again: the service restarted.
    #[must_use]
    pub(crate) fn since(mut self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        let rate = |now, then| per_second(now, then, self.at - earlier.at);
        let rates = rate(self.received, earlier.received).zip(rate(self.sent, earlier.sent));
        self.rates = rates.or(earlier.rates);
        self
    }
}

/// Bytes per second between two counts; `None` where no time has passed or the count went back.
pub(crate) fn per_second(now: u64, then: u64, micros: i64) -> Option<u64> {
    let micros = u64::try_from(micros).ok().filter(|micros| *micros > 0)?;
    let more = u128::from(now.checked_sub(then)?) * 1_000_000 / u128::from(micros);
    u64::try_from(more).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_needs_time_and_a_growing_count() {
        assert_eq!(per_second(3_000, 1_000, 2_000_000), Some(1_000));
        assert_eq!(per_second(1_000, 1_000, 2_000_000), Some(0));
        assert_eq!(per_second(1_000, 1_000, 0), None);
        assert_eq!(per_second(10, 1_000, 2_000_000), None);
        assert_eq!(per_second(u64::MAX, 0, 1), None);
    }
}
