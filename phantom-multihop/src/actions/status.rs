//! `status`: the state of Multihop.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use phantom_engine::{Coverage, Engine};
use phantom_host::{Device, Peer};
use phantom_module::{Action, Call, Effect, Lang, Text};
use phantom_store::{Server, State, StoreError};
use phantom_types::{ExitName, InterfaceName, Timestamp, ago, bytes_in_words};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collision::{judge, sentences};
use crate::model::Multihop as Stored;
use crate::proof::{Proof, Target};
use crate::rows::MultihopState as _;
use crate::state::monitor_status;
use crate::switch::SwitchContext;
use crate::{ExitCollision, Multihop, MultihopError, barriers};

/// Shows whether client traffic goes through an exit, and how the exit is.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
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
    #[schemars(extend("x-tr" = "İstemci trafiğinin nereden çıktığı"))]
    pub traffic_routing: &'static str,
    /// The way of client traffic
    #[schemars(extend("x-tr" = "İstemci trafiğinin yolu"))]
    pub traffic_flow: &'static str,
    /// Clients are kept from the server's own uplink, as the host is now; only while it is enabled
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "x-tr" = "Sunucunun şu anki hâliyle istemciler kendi çıkışından uzak tutulur; yalnızca etkinken"
    ))]
    pub kill_switch: Option<bool>,
    /// Why the exit is not brought up: what of it collides with this server, a sentence each; only while there is such a
    /// thing
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "x-tr" = "Çıkışın neden devreye alınmadığı: bu sunucuyla çakışan yanları, her biri bir cümle; yalnızca varsa"
    ))]
    pub collisions: Option<Vec<String>>,
    /// What should keep clients from the server's own uplink and is not in force, a sentence each; only while there is such a
    /// thing
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "x-tr" = "İstemcileri sunucunun kendi çıkışından uzak tutması gereken ama yürürlükte olmayanlar, her biri bir cümle; yalnızca varsa"
    ))]
    pub missing_walls: Option<Vec<String>>,
    /// The resolver that is asked through the exit, where one was chosen: its address, or `off`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Seçildiyse, çıkış üzerinden kime sorulduğu: bir adres veya `off`"))]
    pub probe: Option<String>,
    /// The last proof that the exit passes traffic; only if there is one
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Çıkışın trafiği geçirdiğinin son kanıtı; yalnızca varsa"))]
    pub service_proof: Option<ServiceProof>,
}

/// A DNS question that was sent through the exit, and what came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServiceProof {
    /// An answer came back
    #[schemars(extend("x-tr" = "Bir yanıt geldi"))]
    pub passed: bool,
    /// The resolver that was asked
    #[schemars(extend("x-tr" = "Kime sorulduğu"))]
    pub asked: Ipv4Addr,
    /// How many seconds ago
    #[schemars(extend("x-tr" = "Kaç saniye önce"))]
    pub age_seconds: u64,
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
    #[schemars(extend("x-tr" = "İşlem numarası"))]
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
        let (server, stored, interface, exits, found, wanted) = engine.read(|state| {
            let (server, interface, stored) =
                (super::server(state)?, state.exit_interface()?, state.multihop()?);
            let found = collisions(engine, state, stored.as_ref())?;
            let wanted =
                stored.as_ref().map(|_| engine.desired(state, Coverage::WithoutPeers)).transpose()?;
            Ok::<_, MultihopError>((server, stored, interface, state.exit_names()?.len(), found, wanted))
        })?;
        let enabled = stored.is_some();
        let in_use = stored.as_ref().and(interface);
        let facts = in_use.clone().and_then(|name| facts(engine, &server, name));
        let barriers = in_use.zip(wanted).map(|(interface, wanted)| {
            barriers::look(engine.host(), engine.tags(), &SwitchContext { server, interface }, &wanted)
        });
        let installation = engine.installation()?;
        let direct = barriers.as_ref().is_none_or(|barriers| barriers.direct);
        let mut report = report(stored, exits, facts, monitor_status(engine, &installation), direct, lang);
        report.collisions = sentences(&found, lang);
        if let Some(barriers) = barriers {
            report.kill_switch = Some(barriers.closed);
            let missing = barriers.missing.iter().map(|barrier| barrier.sentence(lang).to_owned());
            report.missing_walls = Some(missing.collect()).filter(|list: &Vec<_>| !list.is_empty());
        }
        if enabled {
            (report.probe, report.service_proof) = engine.read(|state| proof(engine, state))?;
        }
        Ok(report)
    }
}

/// The resolver that is asked, and what came of it the last time by the exit in use. Nobody is asked now.
fn proof(
    engine: &Engine,
    state: &State<'_>,
) -> Result<(Option<String>, Option<ServiceProof>), MultihopError> {
    let in_use = state.multihop()?.map(|stored| stored.active_exit);
    let last = Proof::last(state)?.filter(|proof| Some(&proof.exit) == in_use.as_ref());
    let proof = last.map(|Proof { passed, asked, at, .. }| {
        let age_seconds = engine.host().clock.now().since(at).as_secs();
        ServiceProof { passed, asked, age_seconds }
    });
    Ok((Target::stored(state)?.word(), proof))
}

/// What keeps the exit in use from being brought up.
fn collisions(
    engine: &Engine,
    state: &State<'_>,
    stored: Option<&Stored>,
) -> Result<Vec<ExitCollision>, StoreError> {
    let Some(stored) = stored else { return Ok(Vec::new()) };
    let Some(exit) = state.exit(&stored.active_exit)? else { return Ok(Vec::new()) };
    judge(&engine.installation()?, state, &exit, stored.endpoint_address)
}

fn report(
    stored: Option<Stored>,
    exits: usize,
    facts: Option<VpnFacts>,
    monitor_status: MonitorStatus,
    direct: bool,
    lang: Lang,
) -> StatusReport {
    let enabled = stored.is_some();
    let missing = lang.pick("VPN interface not active", "VPN arayüzü aktif değil");
    let routing =
        if direct { lang.pick("Direct", "Doğrudan") } else { lang.pick("VPN Exit", "VPN Çıkışı") };
    let flow = if direct {
        lang.pick(
            "Clients -> Phantom Server -> Internet (direct)",
            "İstemciler -> Phantom Sunucusu -> İnternet (doğrudan)",
        )
    } else {
        lang.pick(
            "Clients -> Phantom Server -> VPN Exit -> Internet",
            "İstemciler -> Phantom Sunucusu -> VPN Çıkışı -> İnternet",
        )
    };
    let chosen = stored.as_ref().filter(|stored| stored.chosen_exit != stored.active_exit);
    StatusReport {
        enabled,
        chosen_exit: chosen.map(|stored| stored.chosen_exit.clone()),
        fallback_exits: stored
            .as_ref()
            .map(|stored| stored.fallback_exits.clone())
            .filter(|exits| !exits.is_empty()),
        // Said of what is in force, not of what is stored.
        kill_switch: stored.as_ref().map(|_| false),
        active_exit: stored.map(|stored| stored.active_exit),
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
        missing_walls: None,
        probe: None,
        service_proof: None,
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
