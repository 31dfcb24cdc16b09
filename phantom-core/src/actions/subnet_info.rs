//! `get_subnet_info`: the subnet, and whether it can be changed.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use phantom_engine::{Engine, ServerSetting, Veto};
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::Server;
use phantom_types::{PublicKey, Subnet, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clients::CONNECTED_WITHIN;
use crate::error::address_text;
use crate::{Core, CoreError, Entries, Percent};

/// Shows the subnet and whether it can be changed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetInfo {}

/// The subnet.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubnetReport {
    /// The subnet
    #[schemars(extend("x-tr" = "Subnet"))]
    pub current_subnet: Subnet,
    /// Host addresses
    #[schemars(extend("x-tr" = "Ana makine adresi sayısı"))]
    pub subnet_size: u32,
    /// Host addresses
    #[schemars(extend("x-tr" = "Ana makine adresi sayısı"))]
    pub usable_ips: u32,
    /// First address
    #[schemars(extend("x-tr" = "İlk adres"))]
    pub network_address: Ipv4Addr,
    /// Last address
    #[schemars(extend("x-tr" = "Son adres"))]
    pub broadcast_address: Ipv4Addr,
    /// Mask
    #[schemars(extend("x-tr" = "Ağ maskesi"))]
    pub netmask: Ipv4Addr,
    /// Prefix length
    #[schemars(extend("x-tr" = "Önek uzunluğu"))]
    pub prefixlen: u8,
    /// Its clients
    #[schemars(extend("x-tr" = "İstemcileri"))]
    pub clients: SubnetClients,
    /// Address of the server: the first usable one
    #[schemars(extend("x-tr" = "Sunucunun adresi: kullanılabilir ilk adres"))]
    pub server_ip: Ipv4Addr,
    /// The second usable address
    #[schemars(extend("x-tr" = "Kullanılabilir ikinci adres"))]
    pub first_client_ip: Ipv4Addr,
    /// The last usable address
    #[schemars(extend("x-tr" = "Kullanılabilir son adres"))]
    pub last_client_ip: Ipv4Addr,
    /// Neither Ghost Mode nor Multihop is active
    #[schemars(extend("x-tr" = "Ne Ghost Mode ne de Multihop aktif"))]
    pub can_change: bool,
    /// What blocks a change; connected clients only inform
    #[schemars(extend("x-tr" = "Değişikliğin önündeki engeller; bağlı istemciler yalnızca bilgi içindir"))]
    pub blockers: Blockers,
    /// The interface of the default route
    #[schemars(extend("x-tr" = "Varsayılan rotanın arayüzü"))]
    pub main_interface: MainInterface,
    /// What a change does, and what blocks it
    #[schemars(extend("x-tr" = "Değişikliğin etkileri ve önündeki engeller"))]
    pub warnings: Vec<String>,
}

/// The clients of the subnet.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubnetClients {
    /// Stored clients
    #[schemars(extend("x-tr" = "Kayıtlı istemciler"))]
    pub total: u32,
    /// Stored clients
    #[schemars(extend("x-tr" = "Kayıtlı istemciler"))]
    pub total_configured: u32,
    /// Connected clients
    #[schemars(extend("x-tr" = "Bağlı istemciler"))]
    pub active: u32,
    /// Clients of all usable addresses, in percent
    #[schemars(extend("x-tr" = "İstemcilerin kullanılabilir adreslere oranı, yüzde"))]
    pub ip_usage_percentage: Percent,
    /// By name
    #[schemars(extend("x-tr" = "Ada göre"))]
    pub clients: Entries<SubnetClient>,
}

/// A client of the subnet.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubnetClient {
    /// Its address
    #[schemars(extend("x-tr" = "Adresi"))]
    pub ip: Ipv4Addr,
    /// When it was added
    #[schemars(extend("x-tr" = "Eklenme zamanı"))]
    pub created: Timestamp,
    /// Time of its latest handshake
    #[schemars(extend("x-tr" = "Son el sıkışmasının zamanı"))]
    pub last_seen: Option<Timestamp>,
}

/// What blocks a change.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Blockers {
    /// Ghost Mode is active
    #[schemars(extend("x-tr" = "Ghost Mode aktif"))]
    pub ghost_mode: bool,
    /// Multihop is active
    #[schemars(extend("x-tr" = "Multihop aktif"))]
    pub multihop: bool,
    /// Clients are connected
    #[schemars(extend("x-tr" = "Bağlı istemciler var"))]
    pub active_connections: bool,
}

/// The interface of the default route; each field is `unknown` without one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MainInterface {
    /// Its name
    #[schemars(extend("x-tr" = "Adı"))]
    pub interface: String,
    /// Its address
    #[schemars(extend("x-tr" = "Adresi"))]
    pub ip: String,
    /// Its address with the prefix length
    #[schemars(extend("x-tr" = "Önek uzunluğuyla adresi"))]
    pub network: String,
}

/// Time of the latest handshake of every peer that had one. A device that does not answer knows of none.
pub(super) fn handshakes(engine: &Engine, server: &Server) -> HashMap<PublicKey, Timestamp> {
    let device = engine.host().wireguard.device(&server.interface, server.backend).ok().flatten();
    let peers = device.into_iter().flat_map(|device| device.peers);
    peers.filter_map(|peer| peer.last_handshake.map(|at| (peer.config.public_key, at))).collect()
}

impl Action for SubnetInfo {
    type Module = Core;
    type Output = SubnetReport;
    type Error = CoreError;
    const NAME: &'static str = "get_subnet_info";
    const SUMMARY: Text = Text { en: "Show the subnet", tr: "Subnet bilgisi" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, core: &Core, call: &Call) -> Result<SubnetReport, CoreError> {
        let engine = core.engine();
        engine.read(|state| {
            let server = super::server(state)?;
            let seen = handshakes(engine, &server);
            let now = engine.host().clock.now();
            let mut clients = Vec::new();
            let mut active = 0;
            for client in state.page(None, 0, u32::MAX)?.clients {
                let last_seen = seen.get(&client.public_key).copied();
                active += u32::from(last_seen.is_some_and(|at| now.since(at) < CONNECTED_WITHIN));
                let item = SubnetClient { ip: client.address, created: client.created, last_seen };
                clients.push((client.name.into(), item));
            }
            let total = state.client_count()?;
            let claims = engine.claims(state)?;
            let vetoes: Vec<&Veto> = claims.against(ServerSetting::Subnet).collect();
            let by = |module: &str| vetoes.iter().any(|veto| veto.module == module);
            let blockers = Blockers {
                ghost_mode: by("ghost"),
                multihop: by("multihop"),
                active_connections: active > 0,
            };
            let subnet = server.subnet;
            Ok(SubnetReport {
                current_subnet: subnet,
                subnet_size: subnet.usable(),
                usable_ips: subnet.usable(),
                network_address: subnet.network(),
                broadcast_address: subnet.broadcast(),
                netmask: subnet.netmask(),
                prefixlen: subnet.prefix(),
                clients: SubnetClients {
                    total,
                    total_configured: total,
                    active,
                    ip_usage_percentage: Percent::from_ratio(total, subnet.usable()),
                    clients: Entries(clients),
                },
                server_ip: subnet.server(),
                first_client_ip: subnet.first_client(),
                last_client_ip: subnet.last_client(),
                can_change: vetoes.is_empty(),
                blockers,
                main_interface: main_interface(engine),
                warnings: warnings(&vetoes, active, call.lang),
            })
        })
    }
}

fn main_interface(engine: &Engine) -> MainInterface {
    let unknown = || "unknown".to_owned();
    let Some(uplink) = engine.host().network.uplink().ok().flatten() else {
        return MainInterface { interface: unknown(), ip: unknown(), network: unknown() };
    };
    let network = uplink.address.zip(uplink.prefix).map(|(address, prefix)| format!("{address}/{prefix}"));
    MainInterface {
        interface: uplink.interface,
        ip: address_text(uplink.address),
        network: network.unwrap_or_else(unknown),
    }
}

fn warnings(vetoes: &[&Veto], active: u32, lang: Lang) -> Vec<String> {
    let always = [
        lang.pick("WireGuard service will be restarted", "WireGuard servisi yeniden başlatılacak"),
        lang.pick("Firewall rules will be updated", "Güvenlik duvarı kuralları güncellenecek"),
        lang.pick("Brief connectivity interruption expected", "Kısa süreli bağlantı kesintisi beklenir"),
    ];
    let mut warnings: Vec<String> = always.map(str::to_owned).into();
    let active_feature =
        |veto: &&Veto| format!("{} {}", veto.feature.get(lang), lang.pick("is active", "aktif"));
    warnings.extend(vetoes.iter().map(active_feature));
    if active > 0 {
        warnings.push(format!("{}: {active}", lang.pick("Connected clients", "Bağlı istemci sayısı")));
    }
    warnings
}
