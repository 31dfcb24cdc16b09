//! `status`: the state of Multihop (API 8.6).

use std::fmt::Write as _;

use phantom_engine::Engine;
use phantom_host::{Device, Peer};
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::{Multihop as Stored, Server, State, StoreError};
use phantom_types::{ExitName, InterfaceName, Timestamp, ago, bytes_in_words};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collision::{judge, sentences};
use crate::state::monitor_status;
use crate::{Collision, Multihop, MultihopError};

/// Shows whether client traffic goes through an exit, and how the exit is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {}

/// The state of Multihop.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatusReport {
    /// Client traffic goes through an exit
    #[schemars(extend("x-tr" = "İstemci trafiği bir çıkış noktasından geçiyor"))]
    pub enabled: bool,
    /// The exit that it goes through
    #[schemars(extend("x-tr" = "Kullanılan çıkış noktası"))]
    pub active_exit: Option<ExitName>,
    /// The exit that was chosen; only while another one has taken its place
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Seçilmiş olan çıkış noktası; yalnızca yerini bir başkası almışken"))]
    pub chosen_exit: Option<ExitName>,
    /// Exits that may take its place, in this order; only if there are any
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Onun yerini alabilecek çıkış noktaları, bu sırayla; yalnızca varsa"))]
    pub fallback_exits: Option<Vec<ExitName>>,
    /// How many exits are imported
    #[schemars(extend("x-tr" = "İçe aktarılmış çıkış noktası sayısı"))]
    pub available_configs: usize,
    /// The interface that leads to the exit
    #[schemars(extend("x-tr" = "Çıkış noktasına giden arayüz"))]
    pub vpn_interface: VpnInterface,
    /// The monitor of the exit
    #[schemars(extend("x-tr" = "Çıkış noktası izleyicisi"))]
    pub monitor_status: MonitorStatus,
    /// How client traffic leaves, in a word
    #[schemars(extend("x-tr" = "Tek sözle istemci trafiğinin çıkışı"))]
    pub traffic_routing: &'static str,
    /// The way of client traffic
    #[schemars(extend("x-tr" = "İstemci trafiğinin yolu"))]
    pub traffic_flow: &'static str,
    /// Clients are kept from the server's own uplink; only while it is enabled
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "İstemciler sunucunun kendi çıkışından uzak tutulur; yalnızca etkinken"))]
    pub kill_switch: Option<bool>,
    /// Why the exit is not brought up: what of it collides with this server, a sentence each; only while there is such a
    /// thing
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "x-tr" = "Çıkışın neden devreye alınmadığı: bu sunucuyla çakışan yanları, her biri bir cümle; yalnızca varsa"
    ))]
    pub collisions: Option<Vec<String>>,
}

/// The interface that leads to the exit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VpnInterface {
    /// It is there
    #[schemars(extend("x-tr" = "Mevcut"))]
    pub active: bool,
    /// A sentence for people; only when it is not there
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle; yalnızca mevcut değilken"))]
    pub error: Option<&'static str>,
    /// What is known of it; only when it is there
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub facts: Option<VpnFacts>,
}

/// The interface as it is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VpnFacts {
    /// Its name; only when it is there
    #[schemars(extend("x-tr" = "Adı; yalnızca mevcutken"))]
    pub interface: InterfaceName,
    /// Age of the last handshake, in the words of `wg`; only when it is there
    #[schemars(extend(
        "x-tr" = "Son el sıkışmanın üzerinden geçen süre, `wg` komutunun ifadesiyle; yalnızca mevcutken"
    ))]
    pub handshake: Option<String>,
    /// Where the exit is; only when it is there
    #[schemars(extend("x-tr" = "Çıkışın uç noktası; yalnızca mevcutken"))]
    pub endpoint: Option<String>,
    /// Bytes from the exit; only when it is there
    #[schemars(extend("x-tr" = "Çıkıştan gelen bayt; yalnızca mevcutken"))]
    pub rx_bytes: u64,
    /// Bytes to the exit; only when it is there
    #[schemars(extend("x-tr" = "Çıkışa giden bayt; yalnızca mevcutken"))]
    pub tx_bytes: u64,
    /// Interface and peer as `wg show` prints them, keys hidden; only when it is there
    #[schemars(extend(
        "x-tr" = "Arayüz ve eş, `wg show` düzeninde, gizli anahtarlar olmadan; yalnızca mevcutken"
    ))]
    pub output: String,
}

/// The monitor of the exit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MonitorStatus {
    /// It runs
    #[schemars(extend("x-tr" = "Çalışıyor"))]
    pub monitoring: bool,
    /// Who runs it: `systemd` or `builtin`
    #[serde(rename = "type")]
    #[schemars(extend("x-tr" = "Onu çalıştıran: `systemd` veya `builtin`"))]
    pub kind: Option<&'static str>,
    /// Its process
    #[schemars(extend("x-tr" = "Süreç numarası"))]
    pub pid: Option<u32>,
}

impl Action for Status {
    type Module = Multihop;
    type Output = StatusReport;
    type Error = MultihopError;
    const NAME: &'static str = "status";
    const SUMMARY: Text = Text { en: "Multihop status", tr: "Multihop durumu" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, multihop: &Multihop, call: &Call) -> Result<StatusReport, MultihopError> {
        let (engine, lang) = (multihop.engine(), call.lang);
        let (server, stored, interface, exits, found) = engine.read(|state| {
            let (server, interface, stored) =
                (super::server(state)?, state.exit_interface()?, state.multihop()?);
            let found = collisions(engine, state, stored.as_ref())?;
            Ok::<_, MultihopError>((server, stored, interface, state.exit_names()?.len(), found))
        })?;
        let facts = stored.as_ref().zip(interface).and_then(|(_, name)| facts(engine, &server, name));
        let site = engine.site()?;
        let mut report = report(stored, exits, facts, monitor_status(engine, &site), lang);
        // Clients are kept in then, whatever was chosen.
        report.kill_switch = report.kill_switch.map(|on| on || !found.is_empty());
        report.collisions = sentences(&found, lang);
        Ok(report)
    }
}

/// What keeps the exit in use from being brought up.
fn collisions(
    engine: &Engine,
    state: &State<'_>,
    stored: Option<&Stored>,
) -> Result<Vec<Collision>, StoreError> {
    let Some(stored) = stored else { return Ok(Vec::new()) };
    let Some(exit) = state.exit(&stored.exit_in_use)? else { return Ok(Vec::new()) };
    judge(&engine.site()?, state, &exit, stored.endpoint_address)
}

fn report(
    stored: Option<Stored>,
    exits: usize,
    facts: Option<VpnFacts>,
    monitor_status: MonitorStatus,
    lang: Lang,
) -> StatusReport {
    let enabled = stored.is_some();
    let missing = lang.pick("VPN interface not active", "VPN arayüzü aktif değil");
    let routing =
        if enabled { lang.pick("VPN Exit", "VPN Çıkışı") } else { lang.pick("Direct", "Doğrudan") };
    let flow = if enabled {
        lang.pick(
            "Clients -> Phantom Server -> VPN Exit -> Internet",
            "İstemciler -> Phantom Sunucusu -> VPN Çıkışı -> İnternet",
        )
    } else {
        lang.pick(
            "Clients -> Phantom Server -> Internet (direct)",
            "İstemciler -> Phantom Sunucusu -> İnternet (doğrudan)",
        )
    };
    let chosen = stored.as_ref().filter(|stored| stored.exit != stored.exit_in_use);
    StatusReport {
        enabled,
        chosen_exit: chosen.map(|stored| stored.exit.clone()),
        fallback_exits: stored
            .as_ref()
            .map(|stored| stored.fallback_exits.clone())
            .filter(|exits| !exits.is_empty()),
        kill_switch: stored.as_ref().map(|stored| stored.kill_switch),
        active_exit: stored.map(|stored| stored.exit_in_use),
        available_configs: exits,
        vpn_interface: VpnInterface {
            active: facts.is_some(),
            error: facts.is_none().then_some(missing),
            facts,
        },
        monitor_status,
        traffic_routing: routing,
        traffic_flow: flow,
        collisions: None,
    }
}

/// The interface, if its link is there and its device answers.
fn facts(engine: &Engine, server: &Server, interface: InterfaceName) -> Option<VpnFacts> {
    engine.host().network.link(&interface).ok().flatten()?;
    let device = engine.host().wireguard.device(&interface, server.backend).ok().flatten()?;
    let now = engine.host().clock.now();
    let peer = device.peers.first();
    Some(VpnFacts {
        handshake: peer.and_then(|peer| peer.last_handshake).map(|at| ago(now.since(at).as_secs())),
        endpoint: peer.and_then(|peer| peer.config.endpoint).map(|endpoint| endpoint.to_string()),
        rx_bytes: peer.map_or(0, |peer| peer.rx_bytes),
        tx_bytes: peer.map_or(0, |peer| peer.tx_bytes),
        output: shown(&interface, &device, now),
        interface,
    })
}

/// Interface and peers in the layout of `wg show`.
fn shown(interface: &InterfaceName, device: &Device, now: Timestamp) -> String {
    let mut text = format!("interface: {interface}");
    if let Some(key) = &device.private_key {
        // Writing to a text cannot fail, here and below.
        let _ = write!(text, "\n  public key: {}\n  private key: (hidden)", key.public_key());
    }
    if device.listen_port != 0 {
        let _ = write!(text, "\n  listening port: {}", device.listen_port);
    }
    if device.fwmark != 0 {
        let _ = write!(text, "\n  fwmark: {:#x}", device.fwmark);
    }
    for peer in &device.peers {
        show_peer(&mut text, peer, now);
    }
    text
}

fn show_peer(text: &mut String, peer: &Peer, now: Timestamp) {
    let config = &peer.config;
    let _ = write!(text, "\n\npeer: {}", config.public_key);
    if config.preshared_key.is_some() {
        text.push_str("\n  preshared key: (hidden)");
    }
    if let Some(endpoint) = config.endpoint {
        let _ = write!(text, "\n  endpoint: {endpoint}");
    }
    let allowed: Vec<String> = config.allowed_ips.iter().map(ToString::to_string).collect();
    let allowed = if allowed.is_empty() { "(none)".to_owned() } else { allowed.join(", ") };
    let _ = write!(text, "\n  allowed ips: {allowed}");
    if let Some(at) = peer.last_handshake {
        let _ = write!(text, "\n  latest handshake: {}", ago(now.since(at).as_secs()));
    }
    if (peer.rx_bytes, peer.tx_bytes) != (0, 0) {
        let (received, sent) = (bytes_in_words(peer.rx_bytes), bytes_in_words(peer.tx_bytes));
        let _ = write!(text, "\n  transfer: {received} received, {sent} sent");
    }
    if let Some(seconds) = config.keepalive.filter(|seconds| *seconds > 0) {
        let every = ago(seconds.into());
        let _ = write!(text, "\n  persistent keepalive: every {}", every.trim_end_matches(" ago"));
    }
}

#[cfg(test)]
mod tests;
