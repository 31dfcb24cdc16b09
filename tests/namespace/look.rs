//! The host and the stored state as text, to compare "before" and "after".

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use phantom_tests::{dump_database, dump_tree};

use crate::world::World;

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
/// in an order of its own when the file is made anew.
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

impl World {
    /// Looks at everything. What no two looks share is left out: counters, end points, times, numbers of links, local
    /// addresses that the kernel makes up, and whether there is a carrier, which the kernel notices late.
    pub(crate) fn look(&self) -> Look {
        Look { host: self.host(), state: dump_database(Path::new(DATABASE)) }
    }

    /// The host's part of a look, also when the stored state cannot be read.
    pub(crate) fn host(&self) -> String {
        let ours = self.sh(
            r"echo '# links'; ip -o link show type wireguard; ip -o link show type tun
            echo '# addresses'; ip -o addr | grep ' wg_' || true
            echo '# routes'; ip route show table all | grep ' wg_' || true
            echo '# device'; i=wg_main; if wg show $i > /dev/null 2>&1; then
              wg show $i public-key; wg show $i private-key; wg show $i listen-port; wg show $i fwmark
              wg show $i allowed-ips | sort; wg show $i preshared-keys | sort; wg show $i persistent-keepalive | sort; fi
            echo '# rules'; nft -s list ruleset; sysctl net.ipv4.ip_forward",
        );
        let ours = ours.lines().filter(|line| !line.contains("fe80")).map(|line| {
            let (number, rest) = line.split_once(": ").unwrap_or(("", line));
            let line = if number.parse::<u32>().is_ok() { rest } else { line };
            let line = CARRIER.iter().fold(line.to_owned(), |line, word| line.replace(word, ""));
            line.split(" valid_lft")
                .next()
                .unwrap_or_default()
                .trim_end()
                .trim_end_matches('\\')
                .trim_end()
                .to_owned()
                + "\n"
        });
        let mut host: String = ours.collect();
        host += &self.foreign();
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
        host += &self.sh("cd /run/phantom-wg 2>/dev/null && find * -type f | sort | grep -v '^lock$\\|^boot$\\|^changing.new$\\|\\.notify$' | sed 's/^/run /' || true");
        host
    }

    /// The part of the host that is not ours, as text.
    pub(crate) fn foreign(&self) -> String {
        self.sh(
            r"ip -o link | grep -v ' wg_main' | sed 's/^[0-9]*: //; s/ qlen .*//; s/link.ether [^ ]*//; s/NO-CARRIER,//; s/,LOWER_UP//; s/ state [A-Z]*//'
             ip -o addr | grep -v wg_main | sed 's/^[0-9]*: //; s/valid_lft.*//'; ip rule; ip -6 rule
             ip route show table all | grep -v 'wg_main' | sed 's, dead,,; s, linkdown,,; s, *$,,'
             nft -s list ruleset | sed '/table inet phantom_wg/,/^}/d'
             find /etc/wireguard /etc/sysctl.d /etc/systemd -type f ! -name 'wg_main.conf' ! -name '*phantom*' \
               -exec stat -c '%a %u %s %n' {} + -exec md5sum {} + 2>/dev/null | sort || true",
        )
    }

    /// What a person would look at, for messages.
    pub(crate) fn picture(&self) -> String {
        self.sh("wg show all 2>&1 || true; ip -br addr; ip rule; ip route; nft list ruleset 2>&1 || true; \
                 ls -la /run/phantom-wg 2>&1 || true; tail -n 40 /opt/phantom-wg/logs/*.log 2>&1 || true")
    }
}
