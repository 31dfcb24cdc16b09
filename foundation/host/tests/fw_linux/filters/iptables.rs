//! Rulesets of both variants of iptables.

use std::fmt::Write as _;

use super::Made;
use super::chance::Chance;

/// A base chain with its table.
const BASES: [(&str, &str); 6] = [
    ("raw", "PREROUTING"),
    ("mangle", "PREROUTING"),
    ("mangle", "INPUT"),
    ("nat", "PREROUTING"),
    ("filter", "INPUT"),
    ("filter", "FORWARD"),
];

/// Sets that rules ask. No packet changes them.
pub(super) const SETS: &str = "ipset -exist restore <<'END'
create s-net hash:net
add s-net 192.0.2.0/24
add s-net 203.0.113.5
create s-ip hash:ip
add s-ip 192.0.2.2
add s-ip 10.8.0.2
create s-port bitmap:port range 0-65535
add s-port 22
add s-port 51820
create s-door hash:ip,port
add s-door 192.0.2.1,udp:51820
add s-door 192.0.2.1,tcp:443
create s-link hash:net,iface
add s-link 192.0.2.0/24,out0
create s-all list:set
add s-all s-port
add s-all s-ip
create s-hole hash:net
add s-hole 192.0.2.0/24
add s-hole 192.0.2.2 nomatch
END";

pub(super) fn add(made: &mut Made, chance: &mut Chance, variant: &str) {
    let mut text = String::new();
    for table in ["raw", "mangle", "nat", "filter"] {
        if table != "filter" && !chance.one_in(4) {
            continue;
        }
        let chains = if table == "nat" { 0 } else { chance.below(3) };
        let bases: Vec<&str> = BASES.iter().filter(|(of, _)| *of == table).map(|(_, name)| *name).collect();
        let _ = writeln!(text, "*{table}");
        for base in &bases {
            let policy = if table == "filter" { chance.pick(&["ACCEPT", "DROP"]) } else { "ACCEPT" };
            let _ = writeln!(text, ":{base} {policy} [0:0]");
        }
        for chain in 0..chains {
            let _ = writeln!(text, ":C{chain} - [0:0]");
        }
        for chain in 0..chains {
            rules(&mut text, made, chance, table, (&format!("C{chain}"), chain + 1, chains));
        }
        for base in bases {
            rules(&mut text, made, chance, table, (base, 0, chains));
        }
        text.push_str("COMMIT\n");
    }
    let program = if variant == "nft" { "iptables-nft-restore" } else { "iptables-legacy-restore" };
    made.scripts.push((program, text));
}

fn rules(
    text: &mut String,
    made: &mut Made,
    chance: &mut Chance,
    table: &str,
    (chain, from, chains): (&str, usize, usize),
) {
    for _ in 0..2 + chance.below(5) {
        let _ = write!(text, "-A {chain}");
        let protocol = chance.pick(&["", "", " -p udp", " -p tcp", " ! -p tcp", " -p udp"]);
        let _ = write!(text, "{protocol}");
        if (protocol == " -p udp" || protocol == " -p tcp") && !chance.one_in(3) {
            let of_protocol = of_protocol(chance, protocol.trim_start_matches(" -p "));
            let _ = write!(text, " {of_protocol}");
        }
        for _ in 0..chance.conditions() {
            let condition = condition(made, chance);
            let _ = write!(text, " {condition}");
        }
        let target = target(made, chance, table, (from, chains));
        let _ = writeln!(text, "{target}");
    }
}

fn of_protocol(chance: &mut Chance, protocol: &str) -> String {
    let not = chance.maybe("! ");
    match chance.below(5) {
        0 | 1 => {
            format!("-m {protocol} {not}--dport {}", chance.pick(&["22", "443", "51820", "1:500", "4500:"]))
        }
        2 => format!("-m {protocol} {not}--sport 1024:65535"),
        3 => format!(
            "-m multiport {not}{}",
            chance.pick(&["--dports 22,443", "--dports 1:100,51820", "--ports 443,4500", "--sports 1:100"])
        ),
        _ if protocol == "tcp" => {
            format!("-m tcp {not}--tcp-flags {}", chance.pick(&["FIN,SYN,RST,ACK SYN", "SYN SYN", "ALL ACK"]))
        }
        _ => String::from("-m udp"),
    }
}

fn condition(made: &mut Made, chance: &mut Chance) -> String {
    let not = chance.maybe("! ");
    match chance.below(18) {
        // iptables-save of the legacy variant leaves out `! -i +`, which no packet meets.
        0 if chance.one_in(5) => "-i +".to_owned(),
        0 => format!("{not}-i {}", chance.pick(&["out0", "out+", "lo", "wg_main"])),
        1..=3 => format!(
            "{not}-s {}",
            chance.pick(&["192.0.2.2", "203.0.113.0/24", "10.0.0.0/8", "0.0.0.5/0.0.0.255", "203.0.113.5"])
        ),
        4 => format!("{not}-d {}", chance.pick(&["192.0.2.1", "192.0.2.0/24", "10.8.0.0/24"])),
        5..=7 => {
            let states = chance.pick(&[
                "NEW",
                "RELATED,ESTABLISHED",
                "INVALID",
                "UNTRACKED",
                "NEW,UNTRACKED",
                "DNAT",
                "NEW,DNAT",
            ]);
            made.uncertain_if_known |= states.contains("DNAT");
            format!("-m conntrack {not}--ctstate {states}")
        }
        8 => format!("-m state {not}--state {}", chance.pick(&["NEW", "ESTABLISHED", "INVALID,UNTRACKED"])),
        9 => format!("-m mark {not}--mark {}", chance.pick(&["0x1", "0x1/0x3", "0x0/0x2", "0x5/0x3"])),
        10 => {
            made.uncertain_if_known = true;
            format!("{not}{}", chance.pick(&["-m connmark --mark 0x2", "-m connmark --mark 0x1/0x3"]))
                .replace("! -m connmark", "-m connmark !")
        }
        11 => {
            format!(
                "-m addrtype {not}--dst-type {}",
                chance.pick(&["LOCAL", "BROADCAST,MULTICAST", "UNICAST"])
            )
        }
        12 => format!(
            "-m iprange {not}--src-range {}",
            chance.pick(&["192.0.2.2-192.0.2.9", "10.0.0.0-203.0.113.4"])
        ),
        13 => format!("-m pkttype {not}--pkt-type {}", chance.pick(&["unicast", "broadcast"])),
        14 => format!("-m comment --comment \"{}\"", chance.pick(&["a -j DROP b", "its \\\"own\\\"", "x"])),
        15 | 16 => {
            let set = chance.pick(&[
                "s-net src",
                "s-net dst",
                "s-ip src",
                "s-port dst",
                "s-door dst,dst",
                "s-door src,dst",
                "s-link src,src",
                "s-all src",
                "s-all dst",
                "s-hole src",
            ]);
            made.uncertain |= set.starts_with("s-hole");
            format!("-m set {not}--match-set {set}")
        }
        _ if chance.one_in(3) => {
            made.uncertain = true;
            chance
                .pick(&[
                    "-m ttl --ttl-gt 1",
                    "-m length --length 20:60",
                    "-m limit --limit 1000/sec",
                    "-m u32 --u32 0x0&0xff=0x1",
                ])
                .to_owned()
        }
        _ => {
            made.uncertain_if_known = true;
            format!(
                "-m conntrack {not}{}",
                chance.pick(&["--ctorigsrc 203.0.113.0/24", "--ctdir ORIGINAL", "--ctorigdstport 22:443"])
            )
        }
    }
}

fn target(made: &mut Made, chance: &mut Chance, table: &str, (from, chains): (usize, usize)) -> String {
    let chain = from < chains;
    match (table, chance.below(14)) {
        ("nat", 0..=6) => " -j ACCEPT".to_owned(),
        ("nat", _) => chance.pick(&["", " -j REDIRECT --to-ports 9", " -j RETURN"]).to_owned(),
        (_, 0..=3) => " -j ACCEPT".to_owned(),
        (_, 4..=6) => " -j DROP".to_owned(),
        ("filter", 7) => " -j REJECT --reject-with icmp-admin-prohibited".to_owned(),
        (_, 8) => " -j RETURN".to_owned(),
        (_, 9 | 10) if chain => {
            format!(" {} C{}", chance.pick(&["-j", "-j", "-g"]), from + chance.below(chains - from))
        }
        ("mangle", 11) => format!(
            " -j MARK {}",
            chance.pick(&[
                "--set-xmark 0x1/0xffffffff",
                "--set-mark 0x2/0x3",
                "--or-mark 0x1",
                "--and-mark 0x2"
            ])
        ),
        ("mangle", 12) => {
            made.uncertain_if_known = true;
            format!(
                " -j CONNMARK {}",
                chance.pick(&["--save-mark", "--restore-mark", "--set-xmark 0x2/0xff"])
            )
        }
        ("raw", 11 | 12) => " -j CT --notrack".to_owned(),
        _ => String::new(),
    }
}
