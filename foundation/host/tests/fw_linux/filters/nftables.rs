//! Rulesets of nftables.

use std::fmt::Write as _;

use super::Made;
use super::chance::{Chance, PORTS};

/// The sets that rules may name.
const SETS: &str = "	set addresses { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1-192.0.2.9 }; }
	set strangers { type ipv4_addr; elements = { 203.0.113.5, 203.0.113.6 }; }
	set services { type inet_proto . inet_service; elements = { udp . 51820, tcp . 443, tcp . 22 }; }
	set both { type ipv4_addr . inet_service; flags interval; elements = { 192.0.2.0/24 . 400-5000, 203.0.113.5 . 51820 }; }
	set interfaces { type ifname; elements = { \"out0\", \"lo\" }; }
";

/// A base chain: its name, and where it is asked.
const BASES: [(&str, &str); 7] = [
    ("pre_raw", "filter hook prerouting priority raw"),
    ("pre_mangle", "filter hook prerouting priority mangle"),
    ("pre_late", "filter hook prerouting priority -50"),
    ("early", "filter hook input priority -10"),
    ("input", "filter hook input priority filter"),
    ("late", "filter hook input priority 20"),
    ("forward", "filter hook forward priority filter"),
];

pub(super) fn add(made: &mut Made, chance: &mut Chance) {
    let family = chance.pick(&["inet", "ip"]);
    let mut text = format!("table {family} chance {{\n{SETS}");
    let chains = chance.below(4);
    let _ = writeln!(text, "	map ports {{ type inet_service : verdict; elements = {{ {} }}; }}", {
        let target = if chains > 0 { "jump c0" } else { "accept" };
        format!("22 : accept, 443 : {target}, 4500 : drop")
    });
    // Later ones first: a chain is named when it is there.
    for chain in (0..chains).rev() {
        let _ = writeln!(text, "	chain c{chain} {{");
        rules(&mut text, made, chance, (chain + 1, chains), "");
        text.push_str("	}\n");
    }
    let mut some = false;
    for (name, at) in BASES {
        let wanted = match name {
            "input" | "forward" => !chance.one_in(5),
            _ => chance.one_in(5),
        };
        if wanted || (name == "forward" && !some) {
            some = true;
            let policy = if name.starts_with("pre") { "accept" } else { chance.pick(&["accept", "drop"]) };
            let _ = writeln!(text, "	chain {name} {{\n		type {at}; policy {policy};");
            rules(&mut text, made, chance, (0, chains), name);
            text.push_str("	}\n");
        }
    }
    if chance.one_in(5) {
        text.push_str("	chain post { type filter hook postrouting priority 0; policy accept; iifname wg_main udp dport 443 drop; }\n");
    }
    if chance.one_in(8) {
        text.push_str(
            "	chain dnat { type nat hook prerouting priority dstnat; udp dport 4500 redirect to :9; }\n",
        );
    }
    text.push_str("}\n");
    if chance.one_in(6) {
        text.push_str("table netdev chance { chain ingress { type filter hook ingress device out0 priority -500; policy accept; ip saddr 203.0.113.5 udp dport { 22, 443 } drop; }; }\n");
    }
    if chance.one_in(8) {
        text.push_str("table ip asleep { flags dormant; chain input { type filter hook input priority 0; policy drop; }; }\n");
    }
    made.scripts.push(("nft -f -", text));
}

fn rules(text: &mut String, made: &mut Made, chance: &mut Chance, chains: (usize, usize), base: &str) {
    for _ in 0..2 + chance.below(5) {
        text.push_str("		");
        for _ in 0..chance.conditions() {
            let condition = condition(made, chance);
            let _ = write!(text, "{condition} ");
        }
        let action = action(made, chance, chains, base);
        let _ = writeln!(text, "{action}");
    }
}

fn condition(made: &mut Made, chance: &mut Chance) -> String {
    let not = chance.maybe("!= ");
    match chance.below(24) {
        0..=2 => on_interfaces(chance, not),
        3..=6 => {
            let field = chance.pick(&["saddr", "saddr", "saddr", "daddr"]);
            format!("ip {field} {not}{}", chance.pick(&ADDRESSES))
        }
        7..=9 => on_protocols(chance, not),
        10..=14 => on_ports(chance, not),
        15 => chance.pick(&FLAGS).to_owned(),
        16 | 17 => format!("ct state {not}{}", chance.pick(&STATES)),
        18 => {
            format!("meta mark {}", chance.pick(&["1", "!= 1", "& 0x3 == 0x1", "{ 1, 2 }", "and 0x6 != 0x2"]))
        }
        19 => {
            made.uncertain_if_known = true;
            chance.pick(&CONNECTIONS).to_owned()
        }
        20 => chance.pick(&TOGETHER).to_owned(),
        21 => chance.pick(&ROUTES).to_owned(),
        22 => chance.pick(&OTHERS).to_owned(),
        _ if chance.one_in(3) => {
            made.uncertain = true;
            chance.pick(&UNKNOWN).to_owned()
        }
        _ => "counter".to_owned(),
    }
}

const ADDRESSES: [&str; 8] = [
    "192.0.2.2",
    "203.0.113.5",
    "10.8.0.2",
    "192.0.2.0/24",
    "203.0.113.0-203.0.113.4",
    "{ 10.0.0.0/8, 203.0.113.5 }",
    "@addresses",
    "@strangers",
];
const FLAGS: [&str; 4] =
    ["tcp flags syn", "tcp flags & (fin|syn|rst|ack) == syn", "tcp flags != syn", "tcp flags & ack == 0"];
const STATES: [&str; 6] =
    ["new", "established,related", "invalid", "untracked", "{ new, untracked }", "established"];
const CONNECTIONS: [&str; 5] = [
    "ct mark 2",
    "ct mark & 3 == 1",
    "ct direction original",
    "ct original ip saddr 203.0.113.5",
    "ct status snat",
];
const TOGETHER: [&str; 3] = [
    "meta l4proto . th dport @services",
    "ip saddr . udp dport @both",
    "ip saddr . tcp dport { 192.0.2.2 . 22, 203.0.113.0/24 . 400-500 }",
];
const ROUTES: [&str; 6] = [
    "fib daddr type local",
    "fib daddr type { broadcast, multicast }",
    "fib saddr . iif oif exists",
    "fib saddr . iif oif missing",
    "meta pkttype host",
    "meta pkttype != host",
];
const OTHERS: [&str; 6] = [
    "icmp type echo-request",
    "ip6 saddr fe80::/10",
    "ip saddr & 0.0.0.255 == 0.0.0.5",
    "ip frag-off & 0x1fff != 0",
    "meta protocol ip",
    "exthdr frag exists",
];
/// What is not understood.
const UNKNOWN: [&str; 5] =
    ["ip ttl > 1", "meta length 20-60", "limit rate 1000/second", "ip dscp cs3", "meta skuid 5"];

fn on_interfaces(chance: &mut Chance, not: &str) -> String {
    let names = ["\"out0\"", "\"out*\"", "\"lo\"", "\"wg_main\"", "{ \"wg_main\", \"x*\" }", "@interfaces"];
    match chance.below(3) {
        0 => format!("iifname {not}{}", chance.pick(&names)),
        1 => format!("iif {not}out0"),
        _ => format!("oifname {not}\"out0\""),
    }
}

fn on_protocols(chance: &mut Chance, not: &str) -> String {
    match chance.below(3) {
        0 => format!("meta l4proto {not}{}", chance.pick(&["udp", "tcp", "{ tcp, udp }", "icmp", "50"])),
        1 => format!("ip protocol {not}{}", chance.pick(&["udp", "tcp", "icmp"])),
        _ => format!("meta nfproto {not}{}", chance.pick(&["ipv4", "ipv6"])),
    }
}

fn on_ports(chance: &mut Chance, not: &str) -> String {
    let protocol = chance.pick(&["udp", "tcp", "th"]);
    match chance.below(5) {
        0..=2 => {
            let ports = ["22", "443", "51820", "1-500", "{ 22, 4500-60000 }", "4500"];
            format!("{protocol} dport {not}{}", chance.pick(&ports))
        }
        3 => format!("{protocol} dport {} {}", chance.pick(&["<", ">=", ">", "<="]), chance.pick(&PORTS)),
        _ => format!("{protocol} sport {not}1024-65535"),
    }
}

fn action(made: &mut Made, chance: &mut Chance, (from, chains): (usize, usize), base: &str) -> String {
    let chain = || (from < chains).then_some(());
    match chance.below(18) {
        0..=3 => "accept".to_owned(),
        4..=6 => "drop".to_owned(),
        7 => chance.pick(&["reject", "return", "continue"]).to_owned(),
        8..=10 if chain().is_some() => {
            format!("{} c{}", chance.pick(&["jump", "jump", "goto"]), from + chance.below(chains - from))
        }
        11 => {
            format!("meta mark set {}", chance.pick(&["1", "2", "meta mark | 0x1", "meta mark & 0x2", "0"]))
        }
        12 => {
            made.uncertain_if_known = true;
            chance.pick(&["ct mark set 2", "ct mark set meta mark", "meta mark set ct mark"]).to_owned()
        }
        13 if base == "pre_raw" => "notrack".to_owned(),
        14 => "ct state vmap { established : accept, invalid : drop, untracked : accept }".to_owned(),
        15 if from == 0 => format!("{} dport vmap @ports", chance.pick(&["udp", "tcp", "th"])),
        16 => "udp dport vmap { 22 : drop, 4500-60000 : accept, 443 : return }".to_owned(),
        _ => "counter".to_owned(),
    }
}
