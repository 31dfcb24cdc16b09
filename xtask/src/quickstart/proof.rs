//! The proof that the server works: a client beside this machine and an Internet behind it, both in namespaces.
//!
//! ```text
//! client ── cable ── this machine, its WireGuard server and its source NAT ── cable ── Internet: a file, DNS
//! ```
//!
//! Nothing outside this machine is contacted. For as long as it takes, the machine has two more links, and one rule that
//! sends what the client sends out of the tunnel to the Internet in the namespace; nobody else's packets are touched.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use super::namespace::Place;
use super::server::{Client, Server, api};
use super::{CLIENT_SIDE, INTERNET_SIDE};
use crate::command::Cmd;
use crate::problem::{Context as _, Problem, Result};

/// Both ends of a cable, with prefix length.
pub(super) struct Cable {
    link: &'static str,
    near: &'static str,
    pub(super) far: &'static str,
}

impl Cable {
    pub(super) fn near_address(&self) -> &'static str {
        self.near.split('/').next().unwrap_or(self.near)
    }
}

/// Addresses of RFC 2544, for tests of network devices: no real network has them.
pub(super) const CLIENT_CABLE: Cable =
    Cable { link: "proof-client", near: "198.18.237.1/30", far: "198.18.237.2/30" };
pub(super) const INTERNET_CABLE: Cable =
    Cable { link: "proof-internet", near: "198.18.238.1/30", far: "198.18.238.2/30" };
/// The host on the Internet (RFC 5737), and its name (RFC 6761).
pub(super) const WEB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub(super) const NAME: &str = "proof.phantom-wg.test";
/// The size of its file in bytes.
pub(super) const FILE_SIZE: u32 = 8 << 20;

/// The rule's priority, before every rule of ours and after the kernel's own table of local addresses.
const PRIORITY: &str = "90";
/// The rule's table: a number that nobody is known to use.
const TABLE: &str = "77357";

/// What has to be undone on this machine; the links go with the namespaces.
struct Rule;

impl Drop for Rule {
    fn drop(&mut self) {
        for _ in 0..8 {
            let rule = Cmd::line(&format!("ip rule del pref {PRIORITY} lookup {TABLE}"));
            if !rule.succeeds() {
                break;
            }
        }
        let _ = Cmd::line(&format!("ip route flush table {TABLE}")).capture();
    }
}

/// What the client's configuration says about the world.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    endpoint: String,
    dns: Vec<IpAddr>,
}

impl Told {
    fn by(config: &str) -> Result<Self> {
        let value = |key: &str| {
            let lines = config.lines().filter_map(|line| line.split_once('='));
            lines.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim()).next()
        };
        let endpoint = value("Endpoint").context("the configuration has no Endpoint")?;
        let (host, _) = endpoint.rsplit_once(':').context("the Endpoint has no port")?;
        let dns = value("DNS").unwrap_or_default().split(',').filter_map(|word| word.trim().parse().ok());
        Ok(Self { endpoint: host.to_owned(), dns: dns.collect() })
    }
}

/// Why the client's way to the server cannot be made here.
pub(super) fn unprovable(client: &Client) -> Option<&'static str> {
    let endpoint = Told::by(&client.config).ok()?.endpoint;
    let host = endpoint.trim_start_matches('[').trim_end_matches(']');
    host.parse::<std::net::Ipv6Addr>()
        .ok()
        .map(|_| "the endpoint is an IPv6 address, and the proof has IPv4 only")
}

/// Runs the proof and prints how each part went; returns whether all of it held.
pub(super) fn run(server: &Server, client: &Client) -> Result<bool> {
    drop(Rule); // left by a run that was killed
    let told = Told::by(&client.config)?;
    if is_connected(client)? {
        println!(
            "{} is connected from elsewhere at present: it loses its tunnel for some seconds.",
            client.name
        );
    }
    let (mut internet, dns) = build_internet(&told)?;
    let mut place = Place::new(CLIENT_SIDE, &[])?;
    place.connect(CLIENT_CABLE.link, CLIENT_CABLE.near)?;
    let hosts = make_reachable(&told)?;
    let _rule = lead_out(client)?;

    let order =
        json!({ "config": client.config, "server": server.tunnel_address, "dns": dns, "hosts": hosts });
    place.say(&order.to_string())?;
    let mut good = true;
    let mut seen_connected = false;
    while let Some(line) = place.hear()? {
        let [word, name, time, detail] = parts(&line)?;
        good &= word == "ok";
        print_line(word, name, time, detail);
        if name == "file over HTTP" {
            seen_connected = is_connected(client)?;
        }
    }
    let as_seen = visitors(&mut internet)?;
    good &= judge("the file's host saw the server's address, not the client's", as_seen.0, &as_seen.1);
    good &= judge(
        "the server lists the client as connected",
        seen_connected,
        &format!("{} WireGuard", server.backend),
    );
    if !dns {
        println!(
            "  --    DNS query                    left out: the configured servers are this machine itself or not IPv4"
        );
    }
    Ok(good)
}

fn parts(line: &str) -> Result<[&str; 4]> {
    let words: Vec<&str> = line.split('\t').collect();
    words.try_into().map_err(|_| Problem::new(format!("not understood: {line}")))
}

fn print_line(word: &str, name: &str, micros: &str, detail: &str) {
    let millis = micros.parse::<f64>().unwrap_or(0.0) / 1000.0;
    println!("  {word:5} {name:28} {millis:8.1} ms  {detail}");
}

fn judge(what: &str, holds: bool, detail: &str) -> bool {
    println!("  {:5} {what}  {detail}", if holds { "ok" } else { "FAIL" });
    holds
}

/// The Internet with its cable, and whether the client's DNS servers are there: those that are this machine's own cannot
/// be.
fn build_internet(told: &Told) -> Result<(Place, bool)> {
    let is_elsewhere = |address: &Ipv4Addr| {
        let route = Cmd::line(&format!("ip -4 route get {address}")).read();
        !route.is_ok_and(|route| route.starts_with("local"))
    };
    let servers = told.dns.iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    let servers: Vec<String> = servers.filter(is_elsewhere).map(|address| address.to_string()).collect();
    let mut internet = Place::new(INTERNET_SIDE, &servers)?;
    internet.connect(INTERNET_CABLE.link, INTERNET_CABLE.near)?;
    internet.say("the cable lies")?;
    internet.expect("ready")?;
    // The first server of the configuration is the one that is asked.
    let first = told.dns.first().map(ToString::to_string);
    Ok((internet, first.is_some_and(|first| servers.contains(&first))))
}

/// Makes the endpoint reachable for the client: an address that this machine does not have itself, as behind a router,
/// is on the client's cable meanwhile; a name is in the client's `/etc/hosts`, whose line is returned.
fn make_reachable(told: &Told) -> Result<String> {
    let address: Ipv4Addr = match told.endpoint.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address,
        // An IPv6 address has been left out before: see `unprovable`.
        Ok(IpAddr::V6(_)) | Err(_) => {
            println!("{} stands for this machine in the client's /etc/hosts.", told.endpoint);
            return Ok(format!("{} {}", CLIENT_CABLE.near_address(), told.endpoint));
        }
    };
    let route = Cmd::line(&format!("ip -4 route get {address}")).read().unwrap_or_default();
    if !route.starts_with("local") {
        Cmd::line(&format!("ip addr add {address}/32 dev {}", CLIENT_CABLE.link)).quiet()?;
        println!(
            "{address} is not an address of this machine itself; it is on the client's cable during the proof."
        );
    }
    Ok(String::new())
}

/// Leads what the client sends out of the tunnel to the Internet in the namespace.
fn lead_out(client: &Client) -> Result<Rule> {
    let rule = Rule;
    let (gateway, _) = INTERNET_CABLE.far.split_once('/').unwrap_or((INTERNET_CABLE.far, ""));
    Cmd::line(&format!("ip route add default via {gateway} table {TABLE}")).quiet()?;
    // By source and not by interface, so that the check of the way back finds the same route.
    Cmd::line(&format!("ip rule add pref {PRIORITY} from {}/32 lookup {TABLE}", client.address)).quiet()?;
    Ok(rule)
}

fn is_connected(client: &Client) -> Result<bool> {
    let data = api(&["core", "list_clients", &format!("search={}", client.name), "per_page=100000"])?;
    let list = data["clients"].as_array().context("list_clients lists nothing")?;
    Ok(list.iter().any(|entry| entry["name"] == client.name.as_str() && entry["connected"] == true))
}

/// Whether every visitor of the file's host came from this machine's end of the cable, and who came.
fn visitors(internet: &mut Place) -> Result<(bool, String)> {
    internet.end();
    let mut addresses = Vec::new();
    while let Some(line) = internet.hear()? {
        if let Some(address) = line.strip_prefix("http ") {
            addresses.push(address.to_owned());
        }
    }
    let good =
        !addresses.is_empty() && addresses.iter().all(|address| address == INTERNET_CABLE.near_address());
    Ok((good, if addresses.is_empty() { "nobody came".to_owned() } else { addresses.join(", ") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_tells_where_to_go() {
        let config = "[Interface]\nPrivateKey = a=\nDNS = 8.8.8.8, 8.8.4.4\n\n[Peer]\nEndpoint = vpn.example.org:51820";
        let told = Told::by(config).unwrap();
        assert_eq!(told.endpoint, "vpn.example.org");
        assert_eq!(told.dns, ["8.8.8.8".parse::<IpAddr>().unwrap(), "8.8.4.4".parse().unwrap()]);
        assert!(Told::by("[Peer]\n").is_err());
    }

    #[test]
    fn ipv6_endpoint_is_skipped_without_error() {
        let client = |endpoint: &str| Client {
            name: "anna".to_owned(),
            address: "10.8.0.2".to_owned(),
            config: format!("[Peer]\nEndpoint = {endpoint}\n"),
        };
        assert!(unprovable(&client("[2001:db8::1]:51820")).is_some_and(|why| why.contains("IPv6")));
        for endpoint in ["203.0.113.5:51820", "vpn.example.org:51820"] {
            assert_eq!(unprovable(&client(endpoint)), None, "{endpoint}");
        }
    }
}
