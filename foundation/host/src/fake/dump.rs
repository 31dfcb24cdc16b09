//! The whole host as text, to compare "before" and "after".

use std::fmt::Write as _;

use super::files::Node;
use super::firewall::{protocol_text, ufw_text};
use super::network::links::guard_text;
use super::network::routes;
use super::services::{Running, UnitFile};
use super::{FakeHost, Net, State, network_words};
use crate::{LinkKind, Ruleset, ServiceState, Unit, UnitKind};

/// Largest file whose content is shown, in bytes.
const SHOWN: usize = 4096;

impl FakeHost {
    /// The whole host as stable text, one object a line: links, addresses, routes, rules, WireGuard devices with
    /// their peers, packet filter, ufw, kernel settings, ports, files, services.
    ///
    /// Two hosts with the same text are set up the same. What a host counts up by itself is left out: indexes of
    /// links, process numbers, times, logs, and what peers did ([`Self::traffic`]). No secret is in it: keys and
    /// files that not everybody may read are shown by a short hash.
    pub fn dump(&self) -> String {
        let state = self.state();
        let mut text = String::new();
        let sections: [(&str, Vec<String>); 9] = [
            ("links", state.dump_links()),
            ("routes", sorted(state.net.routes.iter().map(routes::text))),
            ("rules", sorted(state.net.rules.iter().map(Net::rule_text))),
            ("devices", state.dump_devices()),
            ("firewall", state.dump_firewall()),
            ("settings", state.dump_settings()),
            ("ports", state.dump_ports()),
            (
                "files",
                state.files.nodes.iter().map(|(path, node)| file(&path.to_string_lossy(), node)).collect(),
            ),
            ("services", state.dump_services()),
        ];
        for (name, lines) in sections {
            line(&mut text, format_args!("[{name}]"));
            for each in lines {
                line(&mut text, format_args!("{each}"));
            }
        }
        text
    }

    /// What the peers of all devices did, as stable text: the end point each was last heard from, its last handshake
    /// and its counters. Equal texts mean that no session was lost.
    pub fn traffic(&self) -> String {
        let state = self.state();
        let mut text = String::new();
        for interface in state.net.links.iter().map(|interface| &interface.link.name) {
            for peer in state.device(interface).into_iter().flat_map(|inner| inner.device().peers) {
                let key = peer.config.public_key;
                let endpoint =
                    peer.config.endpoint.map_or_else(|| "-".to_owned(), |endpoint| endpoint.to_string());
                let handshake = peer.last_handshake.map_or_else(|| "-".to_owned(), |time| time.to_string());
                let (rx, tx) = (peer.rx_bytes, peer.tx_bytes);
                line(
                    &mut text,
                    format_args!("{interface} {key} {endpoint} handshake {handshake} rx {rx} tx {tx}"),
                );
            }
        }
        text
    }
}

impl State {
    fn dump_links(&self) -> Vec<String> {
        let links = self.net.links.iter().map(|interface| {
            let link = &interface.link;
            let kind = match &link.kind {
                LinkKind::WireGuard => "wireguard",
                LinkKind::Tun => "tun",
                LinkKind::Other(kind) if kind.is_empty() => "hardware",
                LinkKind::Other(kind) => kind,
            };
            let up = if link.up { "up" } else { "down" };
            let alias = link.alias.as_ref().map(|alias| format!(" alias {alias:?}")).unwrap_or_default();
            let addresses = sorted(interface.addresses.iter().map(|address| format!(" {address}"))).concat();
            let guard = interface.guard.as_ref().map(|guard| format!(" guard{}", guard_text(guard)));
            let guard = guard.unwrap_or_default();
            format!("{} {kind} {up} mtu {}{alias}{addresses}{guard}", link.name, link.mtu)
        });
        sorted(links)
    }

    fn dump_devices(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, inner) in self.devices() {
            let device = inner.device();
            let key = device.private_key.map_or_else(|| "none".to_owned(), |key| short_hash(key.as_bytes()));
            let (port, mark) = (device.listen_port, device.fwmark);
            lines.push(format!("{name} {} private-key {key} port {port} fwmark {mark}", inner.backend));
            for peer in device.peers {
                let config = peer.config;
                let shared =
                    config.preshared_key.map(|key| format!(" preshared-key {}", short_hash(key.as_bytes())));
                let endpoint = inner.configured_endpoint(&config.public_key);
                let endpoint = endpoint.map(|endpoint| format!(" endpoint {endpoint}"));
                let keepalive = config.keepalive.map(|seconds| format!(" keepalive {seconds}"));
                let allowed = network_words(&config.allowed_ips);
                let parts: String = [shared, endpoint, keepalive].into_iter().flatten().collect();
                lines.push(format!("{name} peer {}{parts} allowed{allowed}", config.public_key));
            }
        }
        lines
    }

    fn dump_firewall(&self) -> Vec<String> {
        let filter = &self.filter;
        let mut lines = vec![format!("{:?}", filter.kind)];
        for (mark, rules) in &filter.ours {
            lines.push(format!("{mark}: {} rules", rules.rules().len()));
            lines.extend(ruleset(rules).into_iter().map(|rule| format!("{mark}: {rule}")));
        }
        for (mark, let_in) in &filter.let_in {
            for (base, ports) in let_in {
                let ports = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                lines.push(format!("{mark}: {} {} lets in {ports}", base.table, base.name));
            }
        }
        lines.extend(filter.foreign.iter().map(|rule| format!("foreign: {rule}")));
        lines.extend(filter.others.tables().map(|table| format!("foreign table: {table}")));
        if let Some(ufw) = &filter.ufw {
            lines.push(format!("ufw {}", if ufw.active { "active" } else { "inactive" }));
            lines.extend(sorted(
                ufw.ours.iter().map(|(mark, rule)| format!("ufw {mark}: {}", ufw_text(rule))),
            ));
            lines.extend(ufw.foreign.iter().map(|rule| format!("ufw foreign: {rule}")));
        }
        lines
    }

    fn dump_settings(&self) -> Vec<String> {
        let global = self.settings.global.iter();
        // Those of links are by index, and gone with the link; only what is not its default says anything.
        let live = |index: u32| self.net.links.iter().any(|interface| interface.link.index == index);
        let of_links = self.settings.of_links.iter().filter(|((index, _), _)| live(*index));
        let all = global.chain(of_links.map(|((_, key), value)| (key, value)));
        sorted(all.map(|(key, value)| format!("{key} = {value}")))
    }

    fn dump_ports(&self) -> Vec<String> {
        let ports = self.sockets.bound.iter();
        ports.map(|port| format!("{}/{} foreign", port.number, protocol_text(port.protocol))).collect()
    }

    fn dump_services(&self) -> Vec<String> {
        let manager = &self.manager;
        let mut lines = vec![format!("{:?}", manager.kind)];
        for (name, UnitFile { unit, enabled }) in &manager.units {
            let enabled = if *enabled { "enabled" } else { "disabled" };
            let unit = unit.as_ref().map_or_else(|| "foreign".to_owned(), unit_text);
            lines.push(format!("{name} {enabled} {unit}"));
        }
        for (name, Running { unit, state, .. }) in &manager.running {
            let state = match state {
                ServiceState::Active => "active",
                ServiceState::Starting => "starting",
                ServiceState::Stopping => "stopping",
                ServiceState::Failed => "failed",
                ServiceState::Inactive => "inactive",
            };
            lines.push(format!("{name} {state} {}", unit_text(unit)));
        }
        lines
    }
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    writeln!(text, "{what}").expect("writing to a string does not fail");
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

fn ruleset(rules: &Ruleset) -> Vec<String> {
    let rule = |rule: &crate::RulesetRule| {
        format!("{:?} {} {:?} => {:?}", rule.hook, rule.order, rule.matches, rule.verdict)
    };
    rules.rules().iter().map(rule).collect()
}

fn unit_text(unit: &Unit) -> String {
    let command = match &unit.kind {
        UnitKind::Daemon { run, .. } | UnitKind::OnFile { run, .. } => run,
        UnitKind::OneShot { start, .. } => start,
    };
    let hash = short_hash(format!("{unit:?}").as_bytes());
    format!("{} {} (unit {hash})", command.program.display(), command.args.join(" "))
}

/// A file: whole where it is short text that everybody may read, else by length and hash.
fn file(path: &str, node: &Node) -> String {
    let Node { mode, uid, content } = node;
    let Some(content) = content else { return format!("{}/ {mode:04o} {uid}", path.trim_end_matches('/')) };
    let open = mode & 0o044 != 0 && content.len() <= SHOWN;
    let shown = std::str::from_utf8(content).ok().filter(|_| open).map(|text| format!("{text:?}"));
    let shown = shown.unwrap_or_else(|| format!("{} bytes {}", content.len(), short_hash(content)));
    format!("{path} {mode:04o} {uid} {shown}")
}

/// Eight hexadecimal digits that differ where the bytes differ, and from which nobody finds the bytes: half of a
/// 64-bit FNV-1a.
fn short_hash(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
    format!("#{:08x}", (hash ^ (hash >> 32)) & 0xffff_ffff)
}
