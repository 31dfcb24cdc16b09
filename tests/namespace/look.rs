//! The host and the stored state as text, to compare "before" and "after".

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use phantom_tests::{dump_database, dump_tree};

use crate::world::{At, TestNet, command, in_world};

/// The database of the installation.
pub(crate) const DATABASE: &str = "/opt/phantom-wg/data/phantom.db";

/// The file for `wg` and people.
const WIREGUARD_FILE: &str = "/etc/wireguard/wg_main.conf";

/// How the kernel says whether a link has a carrier.
const CARRIER: [&str; 6] =
    ["NO-CARRIER,", ",LOWER_UP", " state UP", " state DOWN", " state UNKNOWN", " linkdown"];

/// What one look at the whole world saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// What the kernel, the packet filter and the device show, and every file that is ours but the stored state.
    pub host: String,
    /// The stored state.
    pub state: String,
}

impl Look {
    /// The same without the lines that hold a word.
    pub(crate) fn without(&self, word: &str) -> Self {
        let rest = |text: &str| {
            text.lines().filter(|line| !line.contains(word)).flat_map(|line| [line, "\n"]).collect()
        };
        Self { host: rest(&self.host), state: rest(&self.state) }
    }

    /// That nothing has changed, neither host nor stored state.
    #[track_caller]
    pub(crate) fn assert_same(&self, now: &Self, what: &str) {
        assert_same_lines(&self.host, &now.host, what);
        assert_same_lines(&self.state, &now.state, what);
    }
}

/// The file for `wg` and people, with its blocks in one order: a client that comes later stands behind the others, and
/// in an order of its own when the file is made again.
fn wireguard_file() -> String {
    let Ok(text) = std::fs::read_to_string(WIREGUARD_FILE) else { return String::new() };
    let mut blocks: Vec<&str> = text.split("\n\n").map(str::trim).collect();
    blocks[1..].sort_unstable();
    let found = std::fs::metadata(WIREGUARD_FILE).unwrap();
    format!("{WIREGUARD_FILE} {:o} {} {}\n{}\n", found.mode(), found.uid(), found.len(), blocks.join("\n"))
}

/// That two texts are the same; names the lines in which they differ.
#[track_caller]
pub(crate) fn assert_same_lines(before: &str, now: &str, what: &str) {
    let lines = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let (gone, come) = (lines(before), lines(now));
    let gone_only = gone.difference(&come).map(|line| format!("- {line}\n"));
    let changed: String = gone_only.chain(come.difference(&gone).map(|line| format!("+ {line}\n"))).collect();
    let order = if changed.is_empty() {
        format!("the order or number of lines:\n{before}\n---\n{now}")
    } else {
        changed
    };
    assert!(before == now, "{what}: changed\n{order}");
}

/// What the tools show of the server, each asked once: starting a process is most of what a look takes.
struct Shown {
    links: String,
    tunnels: String,
    addresses: String,
    rules: String,
    routes: String,
    device: Option<String>,
    filter: String,
}

impl Shown {
    #[track_caller]
    fn now() -> Self {
        let ip = |words: &str| said("ip", words).unwrap_or_else(|errors| panic!("ip {words}: {errors}"));
        Self {
            links: ip("-o link"),
            tunnels: ip("-o link show type wireguard") + &ip("-o link show type tun"),
            addresses: ip("-o addr"),
            rules: ip("rule") + &ip("-6 rule"),
            routes: ip("route show table all"),
            device: said("wg", "show wg_main dump").ok(),
            filter: said("nft", "-s list ruleset").unwrap_or_else(|errors| panic!("nft: {errors}")),
        }
    }

    /// The part that is ours, and all of the packet filter.
    fn ours(&self) -> String {
        let with = |text: &str| -> String {
            text.lines().filter(|line| line.contains(" wg_")).flat_map(ended).collect()
        };
        let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
        let text = format!(
            "# links\n{}# addresses\n{}# routes\n{}# device\n{}# rules\n{}net.ipv4.ip_forward = {forwarding}",
            self.tunnels,
            with(&self.addresses),
            with(&self.routes),
            self.device.as_deref().map(device).unwrap_or_default(),
            self.filter,
        );
        let lines = text.lines().filter(|line| !line.contains("fe80")).map(|line| {
            let line = CARRIER.iter().fold(unnumbered(line).to_owned(), |line, word| line.replace(word, ""));
            let line = line.split(" valid_lft").next().unwrap_or_default().trim_end();
            line.trim_end_matches('\\').trim_end().to_owned() + "\n"
        });
        lines.collect()
    }

    /// The part that is not ours.
    fn foreign(&self) -> String {
        let mut text = String::new();
        for line in self.links.lines().filter(|line| !line.contains(" wg_main")) {
            let line = unnumbered(line).split(" qlen ").next().unwrap_or_default();
            let words = line.split(' ').scan("", |before, word| {
                let hidden = before.starts_with("link/ether") || *before == "state" || word == "state";
                *before = word;
                Some(if hidden { "" } else { word })
            });
            let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
            text.extend(ended(&line.replace("NO-CARRIER,", "").replace(",LOWER_UP", "")));
        }
        for line in self.addresses.lines().filter(|line| !line.contains("wg_main")) {
            text.extend(ended(unnumbered(line).split("valid_lft").next().unwrap_or_default()));
        }
        text += &self.rules;
        for line in self.routes.lines().filter(|line| !line.contains("wg_main")) {
            text.extend(ended(line.replace(" dead", "").replace(" linkdown", "").trim_end()));
        }
        let mut ours = false;
        for line in self.filter.lines() {
            ours |= line.starts_with("table inet phantom_wg");
            if !ours {
                text.extend(ended(line));
            }
            ours &= !line.starts_with('}');
        }
        text + &foreign_files()
    }
}

/// What a program says on the server, or its errors.
fn said(program: &str, words: &str) -> Result<String, String> {
    let output = command(At::Server, program).args(words.split(' ')).env("LC_ALL", "C").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn ended(line: &str) -> [String; 2] {
    [line.to_owned(), "\n".to_owned()]
}

/// Without the number that `ip -o` counts by.
fn unnumbered(line: &str) -> &str {
    match line.split_once(": ") {
        Some((number, rest)) if number.parse::<u32>().is_ok() => rest,
        _ => line,
    }
}

/// `wg show … dump` without what no two looks share: the endpoints, the latest handshakes and the counters.
fn device(dump: &str) -> String {
    let mut lines = dump.lines();
    let own = lines.next().unwrap_or_default();
    let mut peers: Vec<String> = lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            format!("{} {} {} {}\n", fields[0], fields[1], fields[3], fields[7])
        })
        .collect();
    peers.sort_unstable();
    format!("{own}\n{}", peers.concat())
}

/// Files of others where ours are.
fn foreign_files() -> String {
    let mut text = String::new();
    for dir in ["/etc/wireguard", "/etc/sysctl.d", "/etc/systemd"] {
        for line in dump_tree(Path::new(dir)).lines() {
            // Mode, owner, length and hash stand behind the name, which may hold spaces.
            let path = Path::new(line.rsplitn(5, ' ').last().unwrap_or_default());
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_file = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
            if is_file && name != "wg_main.conf" && !name.contains("phantom") {
                text.extend(ended(line));
            }
        }
    }
    text
}

/// The names of the files that our programs have at run time, but those that come and go.
fn run_files() -> String {
    let root = Path::new("/run/phantom-wg");
    let passing = |name: &str| ["lock", "boot", "changing.new"].contains(&name) || name.ends_with(".notify");
    let mut names = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    names.push(entry.path().strip_prefix(root).unwrap().to_string_lossy().into_owned());
                }
                _ => {}
            }
        }
    }
    names.sort_unstable();
    let lines = names.into_iter().filter(|name| !passing(name)).map(|name| format!("run {name}\n"));
    lines.collect::<Vec<_>>().concat()
}

impl TestNet {
    /// Looks at everything. What no two looks share is left out: counters, end points, times, numbers of links, local
    /// addresses that the kernel makes up, and whether there is a carrier, which the kernel notices late.
    pub(crate) fn look(&self) -> Look {
        Look { host: self.host(), state: dump_database(Path::new(DATABASE)) }
    }

    /// The host's part of a look, also when the stored state cannot be read.
    pub(crate) fn host(&self) -> String {
        let shown = Shown::now();
        let mut host = shown.ours();
        host += &shown.foreign();
        for dir in ["/etc/wireguard", "/etc/sysctl.d", "/etc/systemd/system", "/opt/phantom-wg"] {
            let apart = |line: &&str| {
                ["/opt/phantom-wg/data/", "/opt/phantom-wg/logs/", "/opt/phantom-wg/backups/", WIREGUARD_FILE]
                    .iter()
                    .any(|apart| line.starts_with(apart))
            };
            host.extend(
                dump_tree(Path::new(dir)).lines().filter(|line| !apart(line)).map(|line| format!("{line}\n")),
            );
        }
        host += &wireguard_file();
        host + &run_files()
    }

    /// The part of the host that is not ours, as text.
    pub(crate) fn foreign(&self) -> String {
        Shown::now().foreign()
    }

    /// What a person would look at, for messages.
    pub(crate) fn picture(&self) -> String {
        self.sh("wg show all 2>&1 || true; ip -br addr; ip rule; ip route; nft list ruleset 2>&1 || true; \
                 ls -la /run/phantom-wg 2>&1 || true; tail -n 40 /opt/phantom-wg/logs/*.log 2>&1 || true")
    }
}

/// Each of these shows, and is as if it had never been once it is undone. The first ones are not ours.
#[test]
fn a_look_sees_each_change() {
    in_world("look::a_look_sees_each_change", |world| {
        world.setup();
        world.add("one");
        let foreign = [
            ("ip link add other type veth peer name another", "ip link del other"),
            ("ip link set eth1 mtu 1400", "ip link set eth1 mtu 1500"),
            ("ip addr add 172.20.0.1/24 dev eth1", "ip addr del 172.20.0.1/24 dev eth1"),
            ("ip rule add from 172.20.0.1 table 200", "ip rule del from 172.20.0.1 table 200"),
            ("ip -6 rule add from fd00::1 table 200", "ip -6 rule del from fd00::1 table 200"),
            ("ip route add unreachable 172.21.0.0/16", "ip route del unreachable 172.21.0.0/16"),
            ("nft add table inet own", "nft delete table inet own"),
            ("echo a > '/etc/sysctl.d/a b.conf'", "rm '/etc/sysctl.d/a b.conf'"),
            ("mkdir /etc/systemd/own; echo a > /etc/systemd/own/a", "rm -r /etc/systemd/own"),
        ];
        let ours = [
            ("wg set wg_main listen-port 4444", "wg set wg_main listen-port 51820"),
            ("wg set wg_main fwmark 7", "wg set wg_main fwmark 0"),
            (
                "wg set wg_main peer $K persistent-keepalive 7",
                "wg set wg_main peer $K persistent-keepalive 0",
            ),
            (
                "wg set wg_main peer $K allowed-ips 10.8.0.9/32",
                "wg set wg_main peer $K allowed-ips 10.8.0.2/32",
            ),
            ("ip addr add 10.99.0.1/24 dev wg_main", "ip addr del 10.99.0.1/24 dev wg_main"),
            ("ip route add 10.99.0.0/24 dev wg_main", "ip route del 10.99.0.0/24 dev wg_main"),
            ("ip link set wg_main mtu 1300", "ip link set wg_main mtu 1420"),
            ("nft add chain inet phantom_wg more", "nft delete chain inet phantom_wg more"),
            ("sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1"),
            ("touch /run/phantom-wg/more", "rm /run/phantom-wg/more"),
            ("chmod 644 /etc/wireguard/wg_main.conf", "chmod 600 /etc/wireguard/wg_main.conf"),
        ];
        let keyed = |script: &str| world.sh(&format!("K=$(wg show wg_main peers); {script}"));
        let (before, others) = (world.look(), world.foreign());
        for (number, (change, back)) in foreign.into_iter().chain(ours).enumerate() {
            keyed(change);
            assert!(before != world.look(), "{change}");
            assert_eq!(others != world.foreign(), number < foreign.len(), "{change}");
            keyed(back);
            before.assert_same(&world.look(), back);
            assert_same_lines(&others, &world.foreign(), back);
        }
    });
}
