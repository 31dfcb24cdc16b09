//! What an installation has on the host, as its watcher is told: names and numbers, and never a key.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

/// Addresses of the Internet of both families: the way to them is the way out. Nothing is ever sent to them.
pub const FAR: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(81, 2, 69, 142), Ipv6Addr::new(0x2a00, 0x1450, 0x4001, 0x082a, 0, 0, 0, 0x200e));

/// What is in force while nothing is changed. Written at the end of every change that reaches the network; a watcher holds
/// the host against it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The file that is locked while something is changed, as `/proc/locks` names it: see [`lock_name`].
    pub lock: String,
    /// The alias of our links (`IFLA_IFALIAS`).
    pub mark: String,
    /// Links that are up, and their addresses. One that is stopped is not among them.
    pub links: BTreeMap<String, BTreeSet<IpNetwork>>,
    /// Links that have a filter of their own for what comes in (`tc` ingress).
    pub guards: BTreeSet<String>,
    /// Policy rules.
    pub rules: Vec<WatchedRule>,
    /// Routes.
    pub routes: Vec<WatchedRoute>,
    /// Kernel settings, as in `net.ipv4.ip_forward`, with their values.
    pub settings: BTreeMap<String, String>,
    /// The packet filter; `None` when nothing of ours is in it.
    pub filter: Option<WatchedFilter>,
    /// The ways out, each as [`way_out`] writes it: where accepts of ours are needed in packet filters of others depends on them. `None`
    /// while no port is let in.
    #[serde(default)]
    pub ways_out: Option<Vec<String>>,
    /// Files that name processes (number and start time), where nobody else starts these again.
    pub processes: Vec<PathBuf>,
    /// Files that others write, and in which there is something of ours.
    pub files: Vec<PathBuf>,
    /// A repair was asked for, and nothing was missing.
    pub nothing_missing: bool,
    /// When the host was last found as it is written here: microseconds since 1970.
    pub found_at: i64,
    /// When everything was compared last, with all peers and files: microseconds since 1970.
    #[serde(default)]
    pub swept_at: i64,
}

/// A policy rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WatchedRule {
    /// Whether it is a rule for IPv6.
    pub ipv6: bool,
    /// The lowest is asked first.
    pub priority: u32,
    /// Source that it is for; `None` for all.
    pub from: Option<IpNetwork>,
    /// Table to ask; 0 for a rule that asks none.
    pub table: u32,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WatchedRoute {
    /// Table number.
    pub table: u32,
    /// What it is for.
    pub destination: IpNetwork,
    /// The interface it leads out of; `None` for one that leads nowhere.
    pub interface: Option<String>,
    /// Who made it (`rtm_protocol`).
    pub protocol: u8,
    /// Metric: the lowest one counts (`RTA_PRIORITY`). IPv6 routes have one always.
    pub metric: u32,
}

/// Our part of the packet filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedFilter {
    /// Our table of nftables, of family `inet`; `None` where our rules are in the tables of iptables.
    pub table: Option<String>,
    /// What tells our part in other tables: the names of our chains there, or how they begin. A rule that goes to one of
    /// them has the name in it.
    pub marks: Vec<String>,
    /// The generation of all of nftables that was looked at and found right (`NFTA_GEN_ID`); `None` where our rules are in
    /// legacy iptables.
    pub generation: Option<u32>,
    /// Tables of legacy iptables that decide as well: ours are in them, or those of others that packets for us pass.
    #[serde(default)]
    pub legacy: Vec<LegacyTable>,
}

/// A table of legacy iptables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LegacyTable {
    /// Whether it is of `ip6tables`.
    pub ipv6: bool,
    /// Its name, as in `filter`; shorter than 32 bytes.
    pub name: String,
}

/// A way out: its interface, and for IPv4 the address that packets leave with.
pub fn way_out(interface: &str, source: Option<Ipv4Addr>) -> String {
    source.map_or_else(|| interface.to_owned(), |source| format!("{interface} {source}"))
}

/// A file as `/proc/locks` names it: major and minor number of its device in hexadecimal, and its inode, as in `00:1a:311`.
pub fn lock_name(device: u64, inode: u64) -> String {
    // `makedev` of glibc (bits/sysmacros.h) in reverse.
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & !0xff);
    format!("{major:02x}:{minor:02x}:{inode}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_is_named_as_in_the_kernel() {
        // tmpfs with an anonymous device, and a disk with large numbers.
        assert_eq!(lock_name(0x1a, 311), "00:1a:311");
        assert_eq!(lock_name(0xfe01, 5), "fe:01:5");
        assert_eq!(lock_name(0x0010_3401, 7), "34:101:7");
    }

    #[test]
    fn nothing_gets_lost_on_the_way() {
        let watched = Watched {
            lock: "00:1a:311".to_owned(),
            mark: "phantom-wg".to_owned(),
            links: BTreeMap::from([("wg_main".to_owned(), BTreeSet::from(["10.8.0.1/24".parse().unwrap()]))]),
            guards: BTreeSet::from(["wg_vpn".to_owned()]),
            rules: vec![WatchedRule { ipv6: false, priority: 100, from: None, table: 100 }],
            routes: vec![WatchedRoute {
                table: 100,
                destination: "::/0".parse().unwrap(),
                interface: None,
                protocol: 187,
                metric: 0,
            }],
            settings: BTreeMap::from([("net.ipv4.ip_forward".to_owned(), "1".to_owned())]),
            filter: Some(WatchedFilter {
                table: Some("phantom_wg".to_owned()),
                marks: vec!["PHANTOM-WG".to_owned()],
                generation: Some(7),
                legacy: vec![LegacyTable { ipv6: true, name: "filter".to_owned() }],
            }),
            ways_out: Some(vec![way_out("eth0", Some(Ipv4Addr::new(192, 0, 2, 1))), way_out("eth0", None)]),
            processes: vec!["/run/phantom-wg/wg-quick@wg_main.pid".into()],
            files: vec!["/etc/ufw/user.rules".into()],
            nothing_missing: true,
            found_at: 7,
            swept_at: 5,
        };
        let text = serde_json::to_string(&watched).unwrap();
        assert_eq!(serde_json::from_str::<Watched>(&text).unwrap(), watched);
        // As versions before wrote it.
        let before = text.replace(r#""ways_out":["eth0 192.0.2.1","eth0"],"#, "");
        assert_ne!(before, text);
        let read: Watched = serde_json::from_str(&before).unwrap();
        assert_eq!(read, Watched { ways_out: None, ..watched });
    }
}
