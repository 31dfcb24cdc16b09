//! Ghost Mode behind a censor that lets nothing but HTTPS pass.

mod address;
mod decoy;
mod front;
mod line;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::dns::name_server;
use crate::traffic::{fetch, udp_seen_as, web_server};
use crate::world::{At, INTERNET, SERVER, TestNet, in_world_with, programs, wait_for};

/// What the tests here need beside the rest.
const PROGRAMS: [&str; 4] = ["dnsmasq", "dig", "openssl", "ss"];
/// The server's name.
const NAME: &str = "vpn.example.org";
/// Size of a file.
const BYTES: usize = 2_000_000;

/// A certificate authority of the operator's own in `/etc/ghost`, and a certificate of it for the server.
pub(crate) fn certificate(world: &TestNet) {
    world.sh(&format!(
        "mkdir -p /etc/ghost; cd /etc/ghost
         openssl ecparam -genkey -name prime256v1 -noout -out ca.key
         openssl req -x509 -new -key ca.key -days 30 -subj /CN=authority -out ca.pem 2>/dev/null
         openssl ecparam -genkey -name prime256v1 -noout -out server.key
         openssl req -new -key server.key -subj /CN={NAME} -out server.csr 2>/dev/null
         printf 'subjectAltName=DNS:{NAME}\\n' > server.ext
         openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 20 -extfile server.ext \\
           -out server.pem 2>/dev/null
         chmod 600 *.key"
    ));
}

/// A name server on the Internet that knows the server's name, which the server and both clients ask.
pub(crate) fn named(world: &TestNet) {
    name_server(world, "8.8.8.8", NAME, SERVER);
    world.sh("rm -f /etc/resolv.conf; echo 'nameserver 8.8.8.8' > /etc/resolv.conf");
}

/// From now on the provider lets nothing pass but TCP to and from port 443. A client that knows the address needs no DNS.
fn censor(world: &TestNet) {
    world.sh(&format!("echo '{SERVER} {NAME}' > /etc/netns/c1/hosts"));
    world.sh("ip netns exec isp nft 'add table inet censor
           add chain inet censor forward { type filter hook forward priority 0; policy drop; }
           add rule inet censor forward iifname != { l1, l2 } oifname != { l1, l2 } accept
           add rule inet censor forward tcp dport 443 accept
           add rule inet censor forward tcp sport 443 accept'");
}

/// A server in Ghost Mode, with the operator's certificate.
pub(crate) fn in_ghost_mode(world: &TestNet) -> Value {
    certificate(world);
    named(world);
    enable(world, &[])
}

/// Switches Ghost Mode on with the operator's certificate.
fn enable(world: &TestNet, more: &[&str]) -> Value {
    let words = ["ghost", "enable", "domain=vpn.example.org"];
    let files = ["cert_path=/etc/ghost/server.pem", "key_path=/etc/ghost/server.key"];
    world.ok(&[&words[..], &files, more].concat())
}

/// What `phantom-casper` prints.
pub(crate) fn casper(world: &TestNet, words: &str) -> String {
    world.sh(&format!("{}/phantom-casper {words}", programs().display()))
}

/// The WireGuard configuration in casper's text, as a person would copy it.
pub(crate) fn configuration(text: &str) -> String {
    let from = text.find("[Interface]").unwrap();
    let to = text[from..].find("\n\n---").unwrap();
    text[from..from + to].trim_end().to_owned()
}

/// Our own client, as casper's JSON says.
pub(crate) fn connect_ours(world: &TestNet, client: &str) -> u32 {
    connect_ours_at(world, At::Client1, client)
}

fn connect_ours_at(world: &TestNet, at: At, client: &str) -> u32 {
    // Not every world has a name server.
    world.sh(&format!("echo '{SERVER} {NAME}' > /etc/netns/{}/hosts", at.name().unwrap()));
    start_ours(world, at, client)
}

/// Our own client, which has to find the server by itself.
fn start_ours(world: &TestNet, at: At, client: &str) -> u32 {
    connect_ours_trusting(world, at, client, "/etc/ghost/ca.pem")
}

/// The same with an authority of this file.
fn connect_ours_trusting(world: &TestNet, at: At, client: &str, authority: &str) -> u32 {
    let json: Value = serde_json::from_str(&casper(world, &format!("--json {client}"))).unwrap();
    let (tunnel, side) = (&json["wstunnel"], at.name().unwrap());
    let file = format!("/etc/netns/secret-{side}");
    world.sh(&format!("rm -f {file}; touch {file}; chmod 600 {file}"));
    std::fs::write(&file, tunnel["secret"].as_str().unwrap()).unwrap();
    let program = programs().join("phantom-ghost");
    let words = ["connect", "--server", tunnel["url"].as_str().unwrap(), "--secret-file", &file];
    world.spawn(at, program.to_str().unwrap(), &[&words[..], &["--ca-file", authority]].concat())
}

/// Everything that a client does works, and the Internet sees the server.
fn works(world: &TestNet) {
    world.reaches(At::Client1, "10.8.0.1");
    let seen = web_server(BYTES);
    assert_eq!(fetch(At::Client1), BYTES);
    assert_eq!(seen.recv().unwrap().ip().to_string(), SERVER);
    assert_eq!(udp_seen_as(At::Client1), SERVER);
    // The tunnel's own connection stays outside, although everything else enters the tunnel.
    let outside = world.sh_at(At::Client1, &format!("ip route get {SERVER}; ss -Htn dst {SERVER}:443"));
    assert!(outside.contains("dev eth0") && outside.contains("192.0.2.2:"), "{outside}");
    let inside = world.sh_at(At::Client1, &format!("ip route get {INTERNET}"));
    assert!(inside.contains("dev c1"), "{inside}");
}

/// The stock clients at hand.
fn stock_clients() -> Vec<PathBuf> {
    let named = std::env::var_os("PHANTOM_WSTUNNEL").unwrap_or_default();
    std::env::split_paths(&named).filter(|path| path.is_file()).collect()
}

fn works_once(world: &TestNet) {
    world.reaches(At::Client1, "10.8.0.1");
    assert_eq!(udp_seen_as(At::Client1), SERVER);
}

#[test]
fn a_client_gets_through_a_censor() {
    in_world_with("ghost::a_client_gets_through_a_censor", &PROGRAMS, |world| {
        world.setup();
        let plain = world.add("anna");
        let enabled = in_ghost_mode(world);
        assert_eq!(
            (&enabled["status"], &enabled["certificate"]["source"]),
            (&json!("active"), &json!("operator"))
        );
        censor(world);
        world.connect(At::Client1, &plain);
        world.does_not_reach(At::Client1, "10.8.0.1");
        world.disconnect(At::Client1);

        connect_ours(world, "anna");
        world.connect(At::Client1, &configuration(&casper(world, "anna")));
        works(world);
        world.in_sync();
        let status = world.ok(&["ghost", "status"]);
        assert_eq!(
            (&status["status"], &status["services"]["wstunnel"]),
            (&json!("active"), &json!("active"))
        );
    });
}

#[test]
fn removed_client_alone_loses_its_tunnel() {
    in_world_with("ghost::removed_client_alone_loses_its_tunnel", &PROGRAMS, |world| {
        world.setup();
        world.add("anna");
        world.add("bert");
        in_ghost_mode(world);
        let clients = [(At::Client1, "anna"), (At::Client2, "bert")];
        for (at, client) in clients {
            connect_ours_at(world, at, client);
        }
        // Where tunnels lead: each has a socket of its own.
        let tunnels = || world.sh("ss -Hun dst 127.0.0.1:51820").lines().count();
        let both_open = || {
            for (at, _) in clients {
                world.try_at(at, "bash -c 'echo a datagram > /dev/udp/127.0.0.1/51820'");
            }
            tunnels() == 2
        };
        assert!(wait_for(Duration::from_secs(20), both_open), "{} tunnels", tunnels());
        // The operator's secret is nobody's here: when it ends, no tunnel does.
        let words = ["core", "update_tweak_setting", "setting_name=ghost_operator_secret", "value=false"];
        world.ok(&words);
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(tunnels(), 2);
        world.ok(&["core", "remove_client", "client_name=anna"]);
        assert!(wait_for(Duration::from_secs(1), || tunnels() == 1), "{} tunnels", tunnels());
        both_open();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(tunnels(), 1, "the removed client comes back, or the other one is gone");
        world.in_sync();
    });
}

#[test]
fn it_goes_and_leaves_nothing() {
    in_world_with("ghost::it_goes_and_leaves_nothing", &PROGRAMS, |world| {
        world.setup();
        let plain = world.add("anna");
        certificate(world);
        named(world);
        let before = world.look();
        in_ghost_mode_again(world);
        // WireGuard answers nobody outside any more, and itself still on this machine.
        world.connect(At::Client1, &plain);
        world.does_not_reach(At::Client1, "10.8.0.1");
        assert_eq!(world.ok(&["ghost", "disable"])["restored"], true);
        assert_eq!(before.host, world.look().host);
        world.reaches(At::Client1, "10.8.0.1");
        assert!(!world.sh("ss -Htln").contains(":443 "));
        assert_eq!(world.ok(&["ghost", "disable"])["restored"], Value::Null);
        // Another secret the next time.
        let first = in_ghost_mode_again(world)["secret"].clone();
        world.ok(&["ghost", "disable"]);
        assert_ne!(in_ghost_mode_again(world)["secret"], first);
        world.ok(&["ghost", "disable"]);
        world.in_sync();
    });
}

fn in_ghost_mode_again(world: &TestNet) -> Value {
    let words = ["ghost", "enable", "domain=vpn.example.org", "cert_path=/etc/ghost/server.pem"];
    world.ok(&[&words[..], &["key_path=/etc/ghost/server.key"]].concat())
}

#[test]
fn tunnel_returns_after_boot_and_kills() {
    in_world_with("ghost::tunnel_returns_after_boot_and_kills", &PROGRAMS, |world| {
        world.setup();
        world.add("anna");
        in_ghost_mode(world);
        connect_ours(world, "anna");
        world.connect(At::Client1, &configuration(&casper(world, "anna")));
        world.reaches(At::Client1, "10.8.0.1");
        for external_change in [
            "pkill -9 -f '[p]hantom-ghost serve'",
            "pkill -9 -f '[p]hantom-ghost keep'",
            "rm /run/phantom-wg/ghost.conf",
            "nft flush ruleset",
            // What a boot leaves behind: the disk.
            "pkill -9 phantom-ghost || true; pkill -9 phantom-wg-devi || true; ip link del wg_main 2>/dev/null || true
             nft flush ruleset; rm -rf /run/phantom-wg /run/phantom-ghost /run/wireguard/wg_main.sock",
        ] {
            // Our client on the other side has the same name: it is started again by whoever runs it.
            world.sh(&format!("{external_change}; sleep 0.3"));
            let running = world.try_at(At::Client1, "pgrep -f '[p]hantom-ghost connect'").status.success();
            if !running {
                connect_ours(world, "anna");
            }
            world.ok(&["core", "reconcile"]);
            world.in_sync();
            let serving = || world.ok(&["ghost", "status"])["status"] == "active";
            assert!(wait_for(Duration::from_secs(20), serving), "{external_change}: {:#}", world.ok(&["ghost", "status"]));
            world.begin_anew(At::Client1);
            world.reaches(At::Client1, "10.8.0.1");
        }
    });
}

#[test]
fn the_server_runs_without_any_right() {
    in_world_with("ghost::the_server_runs_without_any_right", &PROGRAMS, |world| {
        world.setup();
        in_ghost_mode(world);
        let pid = world.sh("pgrep -f '[p]hantom-ghost serve'");
        let status = world.sh(&format!("cat /proc/{}/status", pid.trim()));
        let line = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap_or_default().to_owned()
        };
        let user: u32 = line("Uid:").parse().unwrap();
        assert!((61_184..65_520).contains(&user), "{status}");
        assert_eq!(
            (line("CapEff:").as_str(), line("CapPrm:").as_str()),
            ("0000000000000000", "0000000000000000")
        );
        assert_eq!(line("Groups:"), "");
        // Each thread has its own answer to this.
        let threads = world.sh(&format!("grep -h NoNewPrivs: /proc/{}/task/*/status", pid.trim()));
        assert!(threads.lines().count() > 1, "{threads}");
        assert!(threads.lines().all(|line| line.ends_with('1')), "{threads}");
    });
}

#[test]
fn obtained_certificate_serves() {
    let test = "ghost::obtained_certificate_serves";
    in_world_with(test, &[&PROGRAMS[..], &["pebble"]].concat(), |world| {
        world.setup();
        world.add("anna");
        named(world);
        certificate(world);
        authority(world);
        let enabled = world.ok(&["ghost", "enable", "domain=vpn.example.org"]);
        assert_eq!(enabled["certificate"]["source"], "acme");
        let status = world.ok(&["ghost", "status"]);
        assert_eq!(status["certificate"]["renewal"], "automatic", "{status:#}");
        assert_eq!(status["certificate"]["last_error"], Value::Null);
        // It is used again: an authority that is gone is not asked.
        world.ok(&["ghost", "disable"]);
        world.sh("pkill pebble");
        let again = world.ok(&["ghost", "enable", "domain=vpn.example.org"]);
        assert_eq!(again["certificate"], enabled["certificate"]);
        world.ok(&["ghost", "disable"]);
        // Another name cannot be had without it, and nothing is changed.
        name_server(world, "8.8.4.4", "other.example.org", SERVER);
        world.sh("echo 'nameserver 8.8.4.4' > /etc/resolv.conf");
        let before = world.look();
        let failed = world.fails(&["ghost", "enable", "domain=other.example.org"], "CERTIFICATE_ERROR");
        assert_eq!(failed["data"]["source"], "acme");
        assert_eq!(before.host, world.look().host);
    });
}

/// An ACME service on the Internet, which rejects every fifth nonce, and that the server is told of.
pub(crate) fn authority(world: &TestNet) {
    world.sh(
        "cd /etc/ghost
         openssl req -new -key server.key -subj /CN=acme -out acme.csr 2>/dev/null
         printf 'subjectAltName=IP:198.18.0.2\\n' > acme.ext
         openssl x509 -req -in acme.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 20 -extfile acme.ext -out acme.pem 2>/dev/null
         mkdir -p /opt/phantom-wg/config; cp ca.pem /opt/phantom-wg/config/acme-ca.pem",
    );
    let config = json!({ "pebble": {
        "listenAddress": "198.18.0.2:14000", "managementListenAddress": "198.18.0.2:15000",
        "certificate": "/etc/ghost/acme.pem", "privateKey": "/etc/ghost/server.key",
        "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": false,
    }});
    std::fs::write("/etc/ghost/pebble.json", config.to_string()).unwrap();
    let script = "export PEBBLE_WFE_NONCEREJECT=20 PEBBLE_VA_NOSLEEP=1
                  exec pebble -config /etc/ghost/pebble.json -dnsserver 8.8.8.8:53 >/dev/null 2>&1";
    world.spawn(At::Internet, "sh", &["-c", script]);
    let listens = || world.sh_at(At::Internet, "ss -Htln").contains(":14000");
    assert!(wait_for(Duration::from_secs(20), listens), "pebble does not listen");
    let database = rusqlite::Connection::open("/opt/phantom-wg/data/phantom.db").unwrap();
    database.execute("UPDATE settings SET acme_directory = 'https://198.18.0.2:14000/dir'", ()).unwrap();
}
