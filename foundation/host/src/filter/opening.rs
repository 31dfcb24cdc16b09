//! The command that opens what a rule closes.

use std::fmt::Write as _;

use super::names::{TCP, UDP};
use super::{FilterFamily, FilterHook, FilterManager, FilterProgram, Packet, PacketPath, RuleSpot, Tracking};

pub(super) fn command(spot: &RuleSpot, packet: &Packet) -> String {
    let managed = match spot.manager {
        FilterManager::Ufw => by_ufw(spot, packet),
        FilterManager::Firewalld => by_firewalld(packet),
        FilterManager::Administrator => None,
    };
    managed.unwrap_or_else(|| match spot.base.table.program {
        FilterProgram::Nftables => by_nft(spot, packet),
        FilterProgram::IptablesNft | FilterProgram::IptablesLegacy => by_iptables(spot, packet),
    })
}

/// `51820/udp`, where the protocol has a name.
fn port(packet: &Packet) -> Option<String> {
    Some(format!("{}/{}", packet.ports?.1, protocol(packet)?))
}

fn protocol(packet: &Packet) -> Option<&'static str> {
    match packet.protocol {
        TCP => Some("tcp"),
        UDP => Some("udp"),
        _ => None,
    }
}

/// A rule that is added by ufw is asked after those of ufw's files, and before its policy.
fn by_ufw(spot: &RuleSpot, packet: &Packet) -> Option<String> {
    let of_user = spot.chain.starts_with("ufw-user-") || spot.chain.starts_with("ufw6-user-");
    let by_policy = spot.number.is_none();
    if !of_user && !by_policy {
        return None;
    }
    // A new rule is put after the one that closes, unless it is put first.
    let first = if of_user { "insert 1 " } else { "" };
    match packet.path {
        PacketPath::Input => Some(format!("ufw {first}allow {}", port(packet)?)),
        // It lets answers through by itself.
        PacketPath::Forward if packet.tracking == Tracking::New => {
            Some(format!("ufw route {first}allow in on {}", packet.in_interface))
        }
        PacketPath::Forward => None,
    }
}

fn by_firewalld(packet: &Packet) -> Option<String> {
    let change = match packet.path {
        PacketPath::Input => format!("--add-port={}", port(packet)?),
        PacketPath::Forward => {
            let inside = match packet.tracking {
                Tracking::New => &packet.in_interface,
                _ => packet.out_interface.as_ref()?,
            };
            format!("--zone=trusted --add-interface={inside}")
        }
    };
    Some(format!("firewall-cmd --permanent {change} && firewall-cmd --reload"))
}

fn by_nft(spot: &RuleSpot, packet: &Packet) -> String {
    let base = &spot.base;
    let mut rule = String::new();
    match (packet.path, packet.tracking) {
        (PacketPath::Input, _) => match (packet.ports, protocol(packet)) {
            (Some((_, port)), Some(name)) => rule = format!("{name} dport {port}"),
            _ => rule = format!("meta l4proto {}", packet.protocol),
        },
        (PacketPath::Forward, Tracking::New) => rule = format!("iifname \"{}\"", packet.in_interface),
        (PacketPath::Forward, _) if base.hook == FilterHook::Forward => {
            let out = packet.out_interface.as_deref().unwrap_or_default();
            rule = format!("oifname \"{out}\" ct state established,related");
        }
        (PacketPath::Forward, _) => {
            let word = if packet.is_ipv4() { "ip" } else { "ip6" };
            let _ = write!(rule, "{word} daddr {}", packet.destination);
        }
    }
    let (family, table) = (base.table.family.name(), quoted(&base.table.name));
    format!("nft insert rule {family} {table} {} '{rule} accept'", quoted(&base.name))
}

fn by_iptables(spot: &RuleSpot, packet: &Packet) -> String {
    let base = &spot.base;
    let mut command = match base.table.family {
        FilterFamily::Ip6 => "ip6tables".to_owned(),
        _ => "iptables".to_owned(),
    };
    if base.table.program == FilterProgram::IptablesLegacy {
        command.push_str("-legacy");
    }
    if base.table.name != "filter" {
        let _ = write!(command, " -t {}", base.table.name);
    }
    let _ = write!(command, " -I {}", base.name);
    let _ = match (packet.path, packet.tracking) {
        (PacketPath::Input, _) => match (packet.ports, protocol(packet)) {
            (Some((_, port)), Some(name)) => write!(command, " -p {name} --dport {port}"),
            _ => write!(command, " -p {}", packet.protocol),
        },
        (PacketPath::Forward, Tracking::New) if base.hook == FilterHook::Postrouting => {
            write!(command, " -s {}", packet.source)
        }
        (PacketPath::Forward, Tracking::New) => write!(command, " -i {}", packet.in_interface),
        (PacketPath::Forward, _) if base.hook == FilterHook::Forward => {
            let out = packet.out_interface.as_deref().unwrap_or_default();
            write!(command, " -o {out} -m conntrack --ctstate RELATED,ESTABLISHED")
        }
        (PacketPath::Forward, _) => write!(command, " -d {}", packet.destination),
    };
    command.push_str(" -j ACCEPT");
    command
}

/// A name as nft takes it: others than words are put into quotes, for the shell too.
fn quoted(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    if name.bytes().all(plain) { name.to_owned() } else { format!("'\"{}\"'", name.replace('\'', r"'\''")) }
}
