//! `server_status`: service, interface, configuration, clients and system.

use std::path::PathBuf;

use phantom_engine::{Coverage, Engine, Installation, Recovered};
use phantom_host::{Device, Peer, RulesetStatus, ServiceState};
use phantom_module::{Action, Call, Effect, Text};
use phantom_store::{DnsServers, Server};
use phantom_types::{Backend, InterfaceName, PublicKey, Subnet, Timestamp, bytes_in_words};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::firewall_status::status_word;
use crate::clients::{handshake_text, is_connected};
use crate::status::{firewall_report, link_up, service, unit_name};
use crate::{Core, CoreError};

/// Shows the state of service, interface, configuration, clients and system.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerStatus {}

/// The state of the server.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServerReport {
    /// The WireGuard service
    #[schemars(extend("x-tr" = "WireGuard servisi"))]
    pub service: ServiceReport,
    /// The WireGuard interface
    #[schemars(extend("x-tr" = "WireGuard arayüzü"))]
    pub interface: InterfaceState,
    /// What is configured
    #[schemars(extend("x-tr" = "Yapılandırma"))]
    pub configuration: Configuration,
    /// How many clients there are
    #[schemars(extend("x-tr" = "İstemci sayıları"))]
    pub clients: ClientCounts,
    /// Where the system is and what it runs on
    #[schemars(extend("x-tr" = "Sistemin yeri ve dayandıkları"))]
    pub system: SystemReport,
    /// A change that was cut short and that nobody has finished yet; only when there is one
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Yarıda kalmış ve henüz tamamlanmamış değişiklik; yalnızca varsa"))]
    pub unfinished_change: Option<UnfinishedChange>,
}

/// A change that was cut short.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UnfinishedChange {
    /// Its module
    #[schemars(extend("x-tr" = "Modülü"))]
    pub module: String,
    /// Its action
    #[schemars(extend("x-tr" = "Eylemi"))]
    pub action: String,
    /// When it began
    #[schemars(extend("x-tr" = "Başlama zamanı"))]
    pub started_at: Timestamp,
}

/// The WireGuard service.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServiceReport {
    /// It runs
    #[schemars(extend("x-tr" = "Çalışıyor"))]
    pub running: bool,
    /// Its name
    #[schemars(extend("x-tr" = "Adı"))]
    pub service_name: String,
    /// Since when; only when it runs
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Ne zamandan beri; yalnızca çalışırken"))]
    pub started_at: Option<String>,
    /// Its process, `0` when no process stays behind; only when it runs
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "İşlem numarası, geride işlem kalmıyorsa `0`; yalnızca çalışırken"))]
    pub pid: Option<String>,
}

/// The WireGuard interface.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InterfaceState {
    /// It is up
    #[schemars(extend("x-tr" = "Aktif"))]
    pub active: bool,
    /// Its name
    #[schemars(extend("x-tr" = "Adı"))]
    pub interface: InterfaceName,
    /// Its peers
    #[schemars(extend("x-tr" = "Eşleri"))]
    pub peers: Vec<PeerState>,
    /// The server's public key; only when active
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Sunucunun açık anahtarı; yalnızca aktifken"))]
    pub public_key: Option<PublicKey>,
    /// The UDP port; only when active
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "UDP portu; yalnızca aktifken"))]
    pub port: Option<u16>,
    /// Bytes from all peers; only when active
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Tüm eşlerden gelen bayt; yalnızca aktifken"))]
    pub rx_bytes: Option<u64>,
    /// Bytes to all peers; only when active
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Tüm eşlere giden bayt; yalnızca aktifken"))]
    pub tx_bytes: Option<u64>,
}

/// A peer of the interface.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PeerState {
    /// Its key
    #[schemars(extend("x-tr" = "Anahtarı"))]
    pub public_key: PublicKey,
    /// Always `(hidden)`
    #[schemars(extend("x-tr" = "Her zaman `(hidden)`"))]
    pub preshared_key: &'static str,
    /// What it may send and receive
    #[schemars(extend("x-tr" = "Gönderip alabileceği adresler"))]
    pub allowed_ips: String,
    /// Where it was last heard from; once known
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Son paketin geldiği uç nokta; bilindiğinde"))]
    pub endpoint: Option<String>,
    /// Age of the last handshake, in the words of `wg`; once known
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Son el sıkışmanın üzerinden geçen süre, `wg` komutunun ifadesiyle; bilindiğinde"))]
    pub latest_handshake: Option<String>,
    /// What was carried; once known
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Taşınan veri; bilindiğinde"))]
    pub transfer: Option<PeerTransfer>,
}

/// What was carried, in words and in bytes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PeerTransfer {
    /// From the peer, in words
    #[schemars(extend("x-tr" = "Eşten gelen, okunur biçimde"))]
    pub received: String,
    /// To the peer, in words
    #[schemars(extend("x-tr" = "Eşe giden, okunur biçimde"))]
    pub sent: String,
    /// From the peer
    #[schemars(extend("x-tr" = "Eşten gelen bayt"))]
    pub received_bytes: u64,
    /// To the peer
    #[schemars(extend("x-tr" = "Eşe giden bayt"))]
    pub sent_bytes: u64,
}

/// What is configured.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Configuration {
    /// The interface
    #[schemars(extend("x-tr" = "Arayüz"))]
    pub interface: InterfaceName,
    /// The file for `wg` and people
    #[schemars(extend("x-tr" = "`wg` ve kullanıcılar için yazılan dosya"))]
    pub config_file: PathBuf,
    /// The UDP port
    #[schemars(extend("x-tr" = "UDP portu"))]
    pub port: u16,
    /// The VPN subnet
    #[schemars(extend("x-tr" = "VPN subneti"))]
    pub network: Subnet,
    /// DNS servers of the clients
    #[schemars(extend("x-tr" = "İstemcilerin DNS sunucuları"))]
    pub dns: [std::net::IpAddr; 2],
    /// The file is there
    #[schemars(extend("x-tr" = "Dosya yerinde"))]
    pub config_exists: bool,
}

/// How many clients there are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClientCounts {
    /// Stored clients
    #[schemars(extend("x-tr" = "Kayıtlı istemciler"))]
    pub total_configured: u32,
    /// Those that may connect
    #[schemars(extend("x-tr" = "Bağlanmasına izin verilenler"))]
    pub enabled_clients: u32,
    /// Those that may not
    #[schemars(extend("x-tr" = "Bağlanmasına izin verilmeyenler"))]
    pub disabled_clients: u32,
    /// Those whose last handshake is younger than 180 seconds
    #[schemars(extend("x-tr" = "Son el sıkışması 180 saniyeden yeni olanlar"))]
    pub active_connections: u32,
}

/// Where the system is and what it runs on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SystemReport {
    /// Install directory
    #[schemars(extend("x-tr" = "Kurulum dizini"))]
    pub install_dir: PathBuf,
    /// Configuration directory
    #[schemars(extend("x-tr" = "Yapılandırma dizini"))]
    pub config_dir: PathBuf,
    /// Data directory
    #[schemars(extend("x-tr" = "Veri dizini"))]
    pub data_dir: PathBuf,
    /// Firewall in a word
    #[schemars(extend("x-tr" = "Güvenlik duvarının durumu"))]
    pub firewall: FirewallSummary,
    /// The kernel can create WireGuard interfaces
    #[schemars(extend("x-tr" = "Çekirdek WireGuard arayüzü oluşturabilir"))]
    pub wireguard_module: bool,
    /// The WireGuard implementation in use
    #[schemars(extend("x-tr" = "Kullanılan WireGuard gerçeklemesi"))]
    pub backend: Backend,
}

/// Firewall in a word.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FirewallSummary {
    /// `active` or `inactive`, as in `get_firewall_status`
    #[schemars(extend("x-tr" = "`get_firewall_status` yanıtındaki gibi `active` veya `inactive`"))]
    pub status: &'static str,
}

/// A marker that cannot be read leaves the field out; the doctor says why.
fn unfinished(engine: &Engine) -> Option<UnfinishedChange> {
    let Recovered { module, action, started_at, .. } = engine.unfinished().ok().flatten()?;
    Some(UnfinishedChange { module, action, started_at })
}

/// What is read of the stored state.
struct Stored {
    server: Server,
    dns: DnsServers,
    clients: u32,
    connected: u32,
}

impl Action for ServerStatus {
    type Module = Core;
    type Output = ServerReport;
    type Error = CoreError;
    const NAME: &'static str = "server_status";
    const SUMMARY: Text = Text { en: "Server status", tr: "Sunucu durumu" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, core: &Core, _: &Call) -> Result<ServerReport, CoreError> {
        let engine = core.engine();
        let now = engine.host().clock.now();
        let (stored, device) = engine.read(|state| {
            let server = super::server(state)?;
            let device = engine.host().wireguard.device(&server.interface, server.backend).ok().flatten();
            let mut connected = 0;
            for peer in device.iter().flat_map(|device| &device.peers).filter(|peer| is_connected(peer, now))
            {
                connected += u32::from(state.client_by_key(&peer.config.public_key)?.is_some());
            }
            let stored = Stored { dns: state.dns()?, clients: state.client_count()?, connected, server };
            Ok::<_, CoreError>((stored, device))
        })?;
        let server = &stored.server;
        Ok(ServerReport {
            service: service_report(engine, server),
            interface: interface_state(engine, server, device, now),
            configuration: configuration(engine, &stored),
            clients: ClientCounts {
                total_configured: stored.clients,
                enabled_clients: stored.clients,
                disabled_clients: 0,
                active_connections: stored.connected,
            },
            system: SystemReport {
                install_dir: engine.paths().root().to_path_buf(),
                config_dir: engine.paths().config_dir(),
                data_dir: engine.paths().data_dir(),
                firewall: FirewallSummary { status: firewall_word(engine, server) },
                wireguard_module: engine.host().wireguard.kernel_available().unwrap_or(false),
                backend: server.backend,
            },
            unfinished_change: unfinished(engine),
        })
    }
}

fn service_report(engine: &Engine, server: &Server) -> ServiceReport {
    let status = service(engine, server);
    let running = status.state == ServiceState::Active;
    ServiceReport {
        running,
        service_name: unit_name(server),
        started_at: status.started_at.filter(|_| running).map(Timestamp::service_manager_form),
        pid: running.then(|| status.pid.unwrap_or(0).to_string()),
    }
}

fn interface_state(
    engine: &Engine,
    server: &Server,
    device: Option<Device>,
    now: Timestamp,
) -> InterfaceState {
    let device = device.filter(|_| link_up(engine, server));
    let interface = server.interface.clone();
    let Some(device) = device else {
        let peers = Vec::new();
        return InterfaceState {
            active: false,
            interface,
            peers,
            public_key: None,
            port: None,
            rx_bytes: None,
            tx_bytes: None,
        };
    };
    let sum = |count: fn(&Peer) -> u64| device.peers.iter().map(count).fold(0, u64::saturating_add);
    InterfaceState {
        active: true,
        interface,
        public_key: device.private_key.as_ref().map(phantom_types::PrivateKey::public_key),
        port: Some(device.listen_port),
        rx_bytes: Some(sum(|peer| peer.rx_bytes)),
        tx_bytes: Some(sum(|peer| peer.tx_bytes)),
        peers: device.peers.iter().map(|peer| peer_state(peer, now)).collect(),
    }
}

fn peer_state(peer: &Peer, now: Timestamp) -> PeerState {
    let ips: Vec<String> = peer.config.allowed_ips.iter().map(ToString::to_string).collect();
    let transfer = (peer.rx_bytes, peer.tx_bytes) != (0, 0);
    PeerState {
        public_key: peer.config.public_key,
        preshared_key: "(hidden)",
        allowed_ips: ips.join(", "),
        endpoint: peer.config.endpoint.map(|endpoint| endpoint.to_string()),
        latest_handshake: peer.last_handshake.map(|at| handshake_text(at, now)),
        transfer: transfer.then(|| PeerTransfer {
            received: bytes_in_words(peer.rx_bytes),
            sent: bytes_in_words(peer.tx_bytes),
            received_bytes: peer.rx_bytes,
            sent_bytes: peer.tx_bytes,
        }),
    }
}

fn configuration(engine: &Engine, stored: &Stored) -> Configuration {
    let server = &stored.server;
    let config_file = Installation::wireguard_file(&server.interface);
    Configuration {
        interface: server.interface.clone(),
        config_exists: engine.host().files.info(&config_file).ok().flatten().is_some(),
        config_file,
        port: server.port,
        network: server.subnet,
        dns: [stored.dns.primary, stored.dns.secondary],
    }
}

/// Our own rules in force answer the question at the cost of one look; only without them the whole report is made.
fn firewall_word(engine: &Engine, server: &Server) -> &'static str {
    let wanted = engine.store().read(|state| engine.desired(state, Coverage::WithoutPeers));
    let own =
        wanted.ok().and_then(|wanted| engine.host().firewall.in_force(engine.tags(), &wanted.firewall).ok());
    if own == Some(RulesetStatus::InSync) { "active" } else { status_word(&firewall_report(engine, server)) }
}
