//! `get_firewall_status`: firewall and NAT as they concern the VPN (API 5.9).

use phantom_host::{FirewallReport, Port, Protocol};
use phantom_module::{Action, Call, Effect, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::firewall_report;
use crate::{Core, CoreError};

/// Shows firewall and NAT as they concern the VPN.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirewallStatus {}

/// Firewall and NAT as they concern the VPN, whoever made the rules.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FirewallState {
    /// ufw
    pub ufw: UfwState,
    /// Rules in the iptables-managed tables
    pub iptables: IptablesState,
    /// Source NAT for the subnet
    pub nat: NatState,
    /// The WireGuard port
    pub ports: PortState,
    /// The system's own table
    pub nftables: NftablesState,
    /// `active` when ufw is enabled or the rules for the subnet are in force, else `inactive`
    pub status: &'static str,
}

/// ufw.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UfwState {
    /// It is active
    pub enabled: bool,
    /// Its status lines that concern the VPN
    pub rules: Vec<String>,
}

/// Rules in the iptables-managed tables.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IptablesState {
    /// Forwarding and NAT for the subnet are in force, in any table
    pub has_rules: bool,
    /// NAT rules that name interface, subnet or port
    pub nat_rules: Vec<String>,
    /// Filter rules that name interface, subnet or port
    pub filter_rules: Vec<String>,
}

/// Source NAT.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NatState {
    /// It is in force for the subnet
    pub enabled: bool,
    /// One line per rule
    pub rules: Vec<String>,
}

/// The WireGuard port.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PortState {
    /// The configured port
    pub wireguard_port: u16,
    /// A UDP socket is bound to exactly that port
    pub listening: bool,
}

/// The system's own table.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NftablesState {
    /// Its family and name
    pub table: String,
    /// It is loaded
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
        let server = engine.read(super::server)?;
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
                table: format!("inet {}", engine.marks().nft_table()),
                loaded: report.table_loaded,
            },
        })
    }
}
