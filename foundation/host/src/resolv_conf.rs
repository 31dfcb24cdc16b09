//! The file that says whom the host asks for names, and how: `resolv.conf(5)`.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use resolv_conf::{Config, ScopedIp};

/// Where the C library and our own resolver read it.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The C library takes so many servers (`MAXNS`).
const MAXNS: usize = 3;
/// Its bounds for `ndots`, `timeout` in seconds, and `attempts` (`RES_MAXNDOTS`, `RES_MAXRETRANS`, `RES_MAXRETRY`).
const MAX_DOTS: u32 = 15;
const MAX_TIMEOUT: u32 = 30;
const MAX_ATTEMPTS: u32 = 5;

/// A name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameServer {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The link of an IPv6 link-local address: a name or a number.
    pub(crate) zone: Option<String>,
}

/// How the host asks for names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the file")]
pub(crate) struct Settings {
    /// At most three servers, in their order; without any in the file the one on this host.
    pub(crate) servers: Vec<NameServer>,
    /// What is appended to a name, in this order.
    pub(crate) search: Vec<String>,
    /// A name with so many dots is asked for as it is before anything is appended.
    pub(crate) dots: usize,
    /// How long a server has before the next one is asked too.
    pub(crate) timeout: Duration,
    /// How often all servers are asked.
    pub(crate) attempts: u32,
    /// Each question begins with another server.
    pub(crate) rotate: bool,
    /// Questions go by TCP alone.
    pub(crate) tcp: bool,
    /// A name without a dot is never asked for as it is.
    pub(crate) no_single_label: bool,
    /// IPv6 addresses are not asked for.
    pub(crate) no_ipv6: bool,
}

impl Settings {
    /// What the file says. Lines that say nothing that can be understood are passed over, as the C library does.
    pub(crate) fn read(text: &str) -> Self {
        let (file, _) = Config::parse_with_errors(text.as_bytes());
        let mut servers: Vec<_> = file.nameservers.iter().map(name_server).collect();
        servers.truncate(MAXNS);
        if servers.is_empty() {
            servers.push(NameServer { address: Ipv4Addr::LOCALHOST.into(), zone: None });
        }
        Self {
            servers,
            search: file.get_last_search_or_domain().filter(|domain| *domain != ".").cloned().collect(),
            dots: file.ndots.min(MAX_DOTS) as usize,
            timeout: Duration::from_secs(file.timeout.clamp(1, MAX_TIMEOUT).into()),
            attempts: file.attempts.clamp(1, MAX_ATTEMPTS),
            rotate: file.rotate,
            tcp: file.use_vc,
            no_single_label: file.no_tld_query,
            no_ipv6: file.no_aaaa,
        }
    }
}

fn name_server(server: &ScopedIp) -> NameServer {
    match server {
        ScopedIp::V4(address) => NameServer { address: (*address).into(), zone: None },
        ScopedIp::V6(address, zone) => NameServer { address: (*address).into(), zone: zone.clone() },
    }
}

/// The addresses of all its `nameserver` lines, in order. The zone of a link-local address is left out.
pub(crate) fn name_servers(text: &str) -> Vec<IpAddr> {
    let (file, _) = Config::parse_with_errors(text.as_bytes());
    file.nameservers.iter().map(|server| name_server(server).address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_from_nameserver_lines() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\n nameserver 192.0.2.1\nnameserver\t2001:db8::1 # x\n\
                    nameserver fe80::1%eth0\nnameserver\nnameserver name.example.org\nnameserver 192.0.2.4\n";
        let expected: Vec<IpAddr> =
            ["192.0.2.1", "2001:db8::1", "fe80::1", "192.0.2.4"].map(|text| text.parse().unwrap()).into();
        assert_eq!(name_servers(text), expected);
        assert_eq!(name_servers(""), [] as [IpAddr; 0]);
        let settings = Settings::read(text);
        let zones: Vec<_> = settings.servers.iter().map(|server| server.zone.as_deref()).collect();
        assert_eq!(zones, [None, None, Some("eth0")], "three are taken");
        assert_eq!(settings.servers[2].address, expected[2]);
    }

    #[test]
    fn empty_file_means_the_manual_defaults() {
        let settings = Settings::read("options\nfoo bar\nnameserver 300.1.1.1\n\u{0}\n");
        let expected = Settings {
            servers: vec![NameServer { address: Ipv4Addr::LOCALHOST.into(), zone: None }],
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            tcp: false,
            no_single_label: false,
            no_ipv6: false,
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn options_are_bounded_and_last_list_wins() {
        let text = "domain a.example\nsearch b.example c.example\nnameserver 192.0.2.1\n\
                    options rotate ndots:99 timeout:0 unknown attempts:77 use-vc\noptions no-aaaa no-tld-query edns0\n";
        let settings = Settings::read(text);
        assert_eq!(settings.search, ["b.example", "c.example"]);
        assert_eq!((settings.dots, settings.timeout, settings.attempts), (15, Duration::from_secs(1), 5));
        assert!(settings.rotate && settings.tcp && settings.no_ipv6 && settings.no_single_label);
        assert_eq!(Settings::read("search b.example\ndomain a.example\n").search, ["a.example"]);
        assert_eq!(Settings::read("search .\noptions timeout:31\n").search, [] as [&str; 0]);
    }
}
