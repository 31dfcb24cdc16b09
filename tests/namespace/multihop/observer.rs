//! An independent observer of the server's uplink: tcpdump, which knows nothing of the server.

use std::path::Path;
use std::time::Duration;

use super::lab::{EXIT, GATEWAY, MOVED, OTHER};
use crate::ping::ping;
use crate::world::{At, TestNet, wait_for};

/// How long tcpdump may take to start, and to write what it has seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that passes the server's uplink, from now on.
pub(super) struct Observer<'w> {
    world: &'w TestNet,
    file: String,
    pid: u32,
}

impl<'w> Observer<'w> {
    pub(super) fn start(world: &'w TestNet, name: &str) -> Self {
        let file = format!("/run/{name}.pcap");
        let pid =
            world.spawn(At::Server, "tcpdump", &["-i", "eth0", "-U", "-w", &file, "-Z", "root", "-s", "96"]);
        assert!(wait_for(PATIENCE, || Path::new(&file).exists()), "tcpdump does not start");
        let observer = Self { world, file, pid };
        // The file is made before the first packet can be captured: the server asks its gateway until that is seen.
        assert!(wait_for(PATIENCE, || {
            ping(At::Server, GATEWAY, 1);
            observer.asked() > 0
        }));
        observer
    }

    /// How often the server has been seen asking its gateway.
    fn asked(&self) -> usize {
        self.packets(&format!("host {GATEWAY}")).len()
    }

    fn packets(&self, filter: &str) -> Vec<String> {
        let output = self
            .world
            .try_at(At::Server, &format!("tcpdump -tt -nn -r {} '{filter}' 2>/dev/null", self.file));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// Stops when everything that was sent until now has been seen.
    pub(super) fn stop(self) -> Seen<'w> {
        // What was sent before this answer was captured before it.
        let last = self.asked();
        assert!(wait_for(PATIENCE, || {
            ping(At::Server, GATEWAY, 1);
            self.asked() > last
        }));
        self.world.sh(&format!("kill -INT {}", self.pid));
        Seen(self)
    }

    /// What escaped until now.
    pub(super) fn escaped(self) -> Vec<String> {
        self.stop().escaped()
    }
}

/// What an observer saw.
pub(super) struct Seen<'w>(Observer<'w>);

impl Seen<'_> {
    /// Packets that leave the server, and are no WireGuard of clients or exits, and not of the server to its gateway: what
    /// escaped. Answers to what was sent before the observer started may come late; they are nobody's leak.
    pub(super) fn escaped(&self) -> Vec<String> {
        let clients = "(udp port 51820 or tcp port 443) and net 192.0.2.0/29";
        let exits = format!("udp port 51821 and (host {EXIT} or host {OTHER} or host {MOVED})");
        // The server itself asks another name server than its clients do.
        let names = "host 8.8.4.4 and (udp port 53 or icmp)";
        // That an exit or a device is not there is reported to the other end; the kernel joins groups of its link,
        // and asks for its gateway.
        let refusals =
            format!("icmp[icmptype] == icmp-unreach and (host {EXIT} or host {OTHER} or net 192.0.2.0/29)");
        let near = |end: &str| format!("({end} net fe80::/10 or {end} net 2001:db8:5::/64)");
        let link = format!("ip6 and (dst net ff02::/16 or (icmp6 and {} and {}))", near("src"), near("dst"));
        let gateway = format!("host {GATEWAY} and not port 7");
        let mac = self.0.world.sh("ip -br link show eth0 | awk '{print $3}'");
        let inward = format!("not ether src {}", mac.trim());
        let expected = [inward.as_str(), clients, &exits, names, &refusals, &link, &gateway, "arp"];
        self.0.packets(&expected.map(|one| format!("not ({one})")).join(" and "))
    }

    /// The first packets that escaped, after the moment in seconds since 1970.
    pub(super) fn escaped_after(&self, moment: f64) -> Vec<String> {
        let later = |line: &String| {
            line.split(' ').next().and_then(|time| time.parse::<f64>().ok()).is_none_or(|time| time > moment)
        };
        self.escaped().into_iter().filter(later).collect()
    }

    /// How many packets match a filter.
    pub(super) fn count(&self, filter: &str) -> usize {
        self.0.packets(filter).len()
    }
}
