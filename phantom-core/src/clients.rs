//! Clients as the lists show them.

use std::collections::HashMap;
use std::time::Duration;

use phantom_engine::Engine;
use phantom_host::Peer;
use phantom_store::{ClientInfo, Server};
use phantom_types::{ClientName, PublicKey, Timestamp, ago};
use schemars::JsonSchema;
use serde::Serialize;

/// A client whose last handshake is younger than this is connected.
pub(crate) const CONNECTED_WITHIN: Duration = Duration::from_mins(3);

/// Up to this many peers are asked for one by one; for more the whole device is cheaper.
const FEW: usize = 64;

/// A client in a list.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClientItem {
    /// Name
    #[schemars(extend("x-tr" = "Ad"))]
    pub name: ClientName,
    /// Address in the VPN
    #[schemars(extend("x-tr" = "VPN içindeki adres"))]
    pub ip: std::net::Ipv4Addr,
    /// It may connect
    #[schemars(extend("x-tr" = "Bağlanmasına izin verilir"))]
    pub enabled: bool,
    /// When it was added
    #[schemars(extend("x-tr" = "Eklenme zamanı"))]
    pub created: Timestamp,
    /// Its last handshake is younger than 180 seconds
    #[schemars(extend("x-tr" = "Son el sıkışması 180 saniyeden yeni"))]
    pub connected: bool,
    /// How it is connected; only when it is
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Bağlantısı; yalnızca bağlıysa"))]
    pub connection: Option<Connection>,
}

/// How a client is connected.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Connection {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub connected: bool,
    /// Age of the last handshake, in the words of `wg`
    #[schemars(extend("x-tr" = "Son el sıkışmanın üzerinden geçen süre, `wg` komutunun ifadesiyle"))]
    pub latest_handshake: String,
    /// Where it was last heard from, or `N/A`
    #[schemars(extend("x-tr" = "Son paketin geldiği uç nokta veya `N/A`"))]
    pub endpoint: String,
    /// What was carried
    #[schemars(extend("x-tr" = "Taşınan veri"))]
    pub transfer: Transfer,
}

/// Bytes carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Transfer {
    /// Bytes from the client
    #[schemars(extend("x-tr" = "İstemciden gelen bayt"))]
    pub rx: u64,
    /// Bytes to the client
    #[schemars(extend("x-tr" = "İstemciye giden bayt"))]
    pub tx: u64,
}

/// Whether a peer is connected now.
pub(crate) fn is_connected(peer: &Peer, now: Timestamp) -> bool {
    peer.last_handshake.is_some_and(|at| now.since(at) < CONNECTED_WITHIN)
}

/// Age of a handshake in the words of `wg`.
pub(crate) fn handshake_text(at: Timestamp, now: Timestamp) -> String {
    ago(now.since(at).as_secs())
}

/// The clients with what the device knows of them. A device that does not answer means that nobody is connected.
pub(crate) fn items(engine: &Engine, server: &Server, clients: Vec<ClientInfo>) -> Vec<ClientItem> {
    let now = engine.host().clock.now();
    let peers = connected_of(engine, server, &clients, now);
    let item = |client: ClientInfo| {
        let peer = peers.get(&client.public_key);
        ClientItem {
            connected: peer.is_some(),
            connection: peer.map(|peer| connection(peer, now)),
            name: client.name,
            ip: client.address,
            enabled: client.enabled,
            created: client.created,
        }
    };
    clients.into_iter().map(item).collect()
}

/// The connected ones among the peers; of the others nothing is kept, however many a page has.
fn connected_of(
    engine: &Engine,
    server: &Server,
    clients: &[ClientInfo],
    now: Timestamp,
) -> HashMap<PublicKey, Peer> {
    let wireguard = &engine.host().wireguard;
    let peers = if clients.is_empty() {
        None
    } else if clients.len() <= FEW {
        let keys: Vec<PublicKey> = clients.iter().map(|client| client.public_key).collect();
        wireguard.peers(&server.interface, server.backend, &keys).ok().flatten()
    } else {
        let device = wireguard.device(&server.interface, server.backend).ok().flatten();
        device.map(|device| device.peers)
    };
    let connected = peers.into_iter().flatten().filter(|peer| is_connected(peer, now));
    connected.map(|peer| (peer.config.public_key, peer)).collect()
}

fn connection(peer: &Peer, now: Timestamp) -> Connection {
    Connection {
        connected: true,
        latest_handshake: peer.last_handshake.map(|at| handshake_text(at, now)).unwrap_or_default(),
        endpoint: peer.config.endpoint.map_or_else(|| "N/A".to_owned(), |endpoint| endpoint.to_string()),
        transfer: Transfer { rx: peer.rx_bytes, tx: peer.tx_bytes },
    }
}
