//! `get_firewall_status`: firewall and NAT as they concern the VPN.

use phantom_host::{FirewallReport, Port, Protocol};
use phantom_module::{Action, Call, Effect, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OpenedChain;
use crate::status::firewall_report;
use crate::{Core, CoreError};

/// Shows firewall and NAT as they concern the VPN.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirewallStatus {}

/// Firewall and NAT as they concern the VPN, whoever made the rules.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FirewallState {
    /// ufw
    #[schemars(extend("x-tr" = "ufw"))]
    pub ufw: UfwState,
    /// Rules in the iptables-managed tables
    #[schemars(extend("x-tr" = "iptables'ın yönettiği tablolardaki kurallar"))]
    pub iptables: IptablesState,
    /// Source NAT for the subnet
    #[schemars(extend("x-tr" = "Subnet için kaynak NAT"))]
    pub nat: NatState,
    /// The WireGuard port
    #[schemars(extend("x-tr" = "WireGuard portu"))]
    pub ports: PortState,
    /// The system's own table
    #[schemars(extend("x-tr" = "Sistemin kendi tablosu"))]
    pub nftables: NftablesState,
    /// `active` when ufw is enabled or the rules for the subnet are in force, else `inactive`
    #[schemars(extend("x-tr" = "ufw etkinse veya subnet kuralları yürürlükteyse `active`, değilse `inactive`"))]
    pub status: &'static str,
    /// False where the operator has declined that ports are opened in packet filters of others; only then
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tr" = "Diğer paket filtrelerinde port açılması istenmediyse false; yalnızca o zaman"))]
    pub open_firewall: Option<bool>,
    /// Chains of other packet filters in which an accept of ours opens ports; only where there are any
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-tr" = "Diğer paket filtrelerinin, izin kurallarımızın port açtığı zincirleri; yalnızca varsa"))]
    pub opened: Vec<OpenedChain>,
}

/// ufw.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UfwState {
    /// It is active
    #[schemars(extend("x-tr" = "Aktif"))]
    pub enabled: bool,
    /// Its status lines that concern the VPN
    #[schemars(extend("x-tr" = "Durum çıktısının VPN ile ilgili satırları"))]
    pub rules: Vec<String>,
}

/// Rules in the iptables-managed tables.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IptablesState {
    /// Forwarding and NAT for the subnet are in force, in any table
    #[schemars(extend("x-tr" = "Subnet için yönlendirme ve NAT yürürlükte, hangi tabloda olursa olsun"))]
    pub has_rules: bool,
    /// NAT rules that name interface, subnet or port
    #[schemars(extend("x-tr" = "Arayüzü, subneti veya portu anan NAT kuralları"))]
    pub nat_rules: Vec<String>,
    /// Filter rules that name interface, subnet or port
    #[schemars(extend("x-tr" = "Arayüzü, subneti veya portu anan filtre kuralları"))]
    pub filter_rules: Vec<String>,
}

/// Source NAT.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NatState {
    /// It is in force for the subnet
    #[schemars(extend("x-tr" = "Subnet için yürürlükte"))]
    pub enabled: bool,
    /// One line per rule
    #[schemars(extend("x-tr" = "Kural başına bir satır"))]
    pub rules: Vec<String>,
}

/// The WireGuard port.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PortState {
    /// The configured port
    #[schemars(extend("x-tr" = "Yapılandırılmış port"))]
    pub wireguard_port: u16,
    /// A UDP socket is bound to exactly that port
    #[schemars(extend("x-tr" = "Bir UDP soketi tam olarak bu porta bağlı"))]
    pub listening: bool,
}

/// The system's own table.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NftablesState {
    /// Its family and name
    #[schemars(extend("x-tr" = "Ailesi ve adı"))]
    pub table: String,
    /// It is loaded
    #[schemars(extend("x-tr" = "Yüklü"))]
    pub loaded: bool,
}

/// Whether the rules for the subnet are in force, in any table.
pub(super) fn has_rules(report: &FirewallReport) -> bool {
    report.forwarding && !report.masquerade.is_empty()
}

/// `active` or `inactive`.
pub(super) fn status_word(report: &FirewallReport) -> &'static str {
    if report.ufw.enabled || has_rules(report) { "active" } else { "inactive" }
}

impl Action for FirewallStatus {
    type Module = Core;
    type Output = FirewallState;
    type Error = CoreError;
    const NAME: &'static str = "get_firewall_status";
    const SUMMARY: Text = Text { en: "Firewall status", tr: "Güvenlik duvarı durumu" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, core: &Core, _: &Call) -> Result<FirewallState, CoreError> {
        let engine = core.engine();
        let (server, opens) =
            engine.read(|state| Ok::<_, CoreError>((super::server(state)?, state.open_firewall()?)))?;
        // Parts that cannot be read are left empty here.
        let filters = engine.host().firewall.filters();
        let let_in = filters.map(|filters| filters.let_in(engine.tags())).unwrap_or_default();
        let report = firewall_report(engine, &server);
        let port = Port { protocol: Protocol::Udp, number: server.port };
        let nat = |(from, to): &(ipnetwork::IpNetwork, ipnetwork::IpNetwork)| {
            format!("MASQUERADE  0    --  {:<21}{to}", from.to_string())
        };
        Ok(FirewallState {
            status: status_word(&report),
            iptables: IptablesState {
                has_rules: has_rules(&report),
                nat_rules: report.nat_rules,
                filter_rules: report.filter_rules,
            },
            nat: NatState {
                enabled: !report.masquerade.is_empty(),
                rules: report.masquerade.iter().map(nat).collect(),
            },
            ufw: UfwState { enabled: report.ufw.enabled, rules: report.ufw.lines },
            ports: PortState {
                wireguard_port: server.port,
                listening: engine.host().sockets.bound(port).unwrap_or(false),
            },
            nftables: NftablesState {
                table: format!("inet {}", engine.tags().nft_table()),
                loaded: report.table_loaded,
            },
            open_firewall: Some(opens).filter(|open| !open),
            opened: let_in.iter().map(OpenedChain::from_let_in).collect(),
        })
    }
}
