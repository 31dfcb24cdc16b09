//! The situations of the samples: for each file of `golden/`, the call and the server that give it.

use std::net::IpAddr;
use std::time::Duration;

use phantom_host::{DnsAnswer, Route, RouteKind};
use phantom_tests::Server;
use phantom_types::Timestamp;

/// A sample.
pub(crate) struct Case {
    /// Its file below `golden/`, without `.json`.
    pub(crate) golden: &'static str,
    /// The call.
    pub(crate) words: &'static [&'static str],
    /// The server that answers.
    pub(crate) server: fn() -> Server,
    /// Fields that the answer has beyond the sample.
    pub(crate) more: &'static [&'static str],
    /// Fields whose value the sample leaves to the machine.
    pub(crate) any: &'static [&'static str],
}

const fn case(golden: &'static str, words: &'static [&'static str], server: fn() -> Server) -> Case {
    Case { golden, words, server, more: &[], any: &[] }
}

/// All samples of the API.
pub(crate) const API: &[Case] = &[
    case("core/add_client", &["core", "add_client", "client_name=john-laptop"], Server::ready),
    case("core/add_client.invalid_parameter", &["core", "add_client", "client_nam=x"], Server::ready),
    Case {
        more: &["data.keys_kept_until", "data.keys_kept_in"],
        ..case("core/remove_client", &["core", "remove_client", "client_name=john-laptop"], with_john)
    },
    case("core/list_clients", &["core", "list_clients"], with_john),
    case("core/list_clients.connected", &["core", "list_clients"], with_john_connected),
    case("core/list_clients.nothing", &["core", "list_clients", "search=nobody"], with_john),
    Case {
        more: &["data.file_name"],
        ..case("core/export_client", &["core", "export_client", "client_name=john-laptop"], with_john)
    },
    case("core/latest_clients", &["core", "latest_clients"], with_john),
    case("core/server_status", &["core", "server_status"], with_john),
    case("core/server_status.stopped", &["core", "server_status"], stopped),
    Case { any: &["data.logs[]"], ..case("core/service_logs", &["core", "service_logs"], Server::ready) },
    case("core/restart_service", &["core", "restart_service"], Server::ready),
    case("core/get_firewall_status", &["core", "get_firewall_status"], with_ufw),
    Case {
        more: LATER_TWEAKS,
        ..case("core/get_tweak_settings", &["core", "get_tweak_settings"], Server::ready)
    },
    case("core/update_tweak_setting", RESTART_ON, Server::ready),
    case("core/get_subnet_info", &["core", "get_subnet_info"], with_demo),
    case("core/validate_subnet_change", VALIDATE, with_demo),
    case("core/change_subnet", CHANGE, || at_the_change(&["one", "two"])),
    case("core/setup", &["core", "setup", "server_ip=157.230.114.231"], Server::bare),
    case("core/start_service", &["core", "start_service"], stopped),
    case("core/stop_service", &["core", "stop_service"], Server::ready),
    case("core/reconcile", &["core", "reconcile", "dry_run=true"], without_peer),
    case("dns/change_dns_servers", CHANGE_DNS, second_changed),
    case("dns/test_dns_servers", &["dns", "test_dns_servers"], cloudflare),
    case("dns/status", &["dns", "status"], cloudflare),
    case("dns/get_dns_servers", &["dns", "get_dns_servers"], second_changed),
    case("dns/get_dns_servers.default", &["dns", "get_dns_servers"], Server::ready),
    case("ghost/enable", ENABLE, with_domain),
    case("ghost/disable", &["ghost", "disable"], with_ghost),
    case("ghost/status", &["ghost", "status"], Server::ready),
    case("ghost/status.active", &["ghost", "status"], with_ghost),
    case("multihop/import_vpn_config", IMPORT, with_exit_file),
    case("multihop/enable_multihop", ENABLE_MULTIHOP, with_exit),
    case("multihop/disable_multihop", &["multihop", "disable_multihop"], through_exit),
    case("multihop/list_exits", &["multihop", "list_exits"], with_exit),
    case("multihop/remove_vpn_config", &["multihop", "remove_vpn_config", "exit_name=xeovo-uk"], with_exit),
    case("multihop/status", &["multihop", "status"], with_exit),
    Case {
        more: &["data.service_proof"],
        any: &["data.vpn_interface.output", "data.monitor_status.pid"],
        ..case("multihop/status.active", &["multihop", "status"], through_exit_for_a_while)
    },
    case("multihop/test_vpn", &["multihop", "test_vpn"], through_exit),
    case("multihop/reset_state", &["multihop", "reset_state"], through_exit),
    Case {
        any: &["data.log_lines[].timestamp", "data.monitor_status.pid"],
        ..case("multihop/get_session_log", &["multihop", "get_session_log"], with_session)
    },
];

/// The samples of the published documentation.
pub(crate) const PUBLISHED: &[Case] = &[
    case("published/core/add_client", &["core", "add_client", "client_name=john-laptop"], Server::ready),
    Case {
        more: &["data.keys_kept_until", "data.keys_kept_in"],
        ..case(
            "published/core/remove_client",
            &["core", "remove_client", "client_name=john-laptop"],
            with_john,
        )
    },
    case("published/core/list_clients", &["core", "list_clients"], with_john),
    Case {
        more: &["data.file_name"],
        ..case(
            "published/core/export_client",
            &["core", "export_client", "client_name=john-laptop"],
            with_leak,
        )
    },
    Case {
        more: &["data.system.backend"],
        ..case("published/core/server_status", &["core", "server_status"], with_john)
    },
    Case {
        more: &["data.service", "metadata"],
        ..case("published/core/restart_service", &["core", "restart_service"], Server::ready)
    },
    Case {
        more: &["data.nftables"],
        ..case("published/core/get_firewall_status", &["core", "get_firewall_status"], with_ufw)
    },
    Case {
        more: &[
            "metadata",
            "data.block_ipv6_leak",
            "data.block_ipv6_leak_description",
            "data.ghost_operator_secret",
            "data.ghost_operator_secret_description",
        ],
        ..case("published/core/get_tweak_settings", &["core", "get_tweak_settings"], Server::ready)
    },
    Case {
        more: &["data.clients.total_configured", "data.clients.clients"],
        ..case("published/core/get_subnet_info", &["core", "get_subnet_info"], with_demo)
    },
    case("published/core/validate_subnet_change", VALIDATE, with_demo),
    Case {
        more: &[
            "metadata",
            "data.ip_mapping.10.8.0.4",
            "data.ip_mapping.10.8.0.5",
            "data.ip_mapping.10.8.0.6",
        ],
        ..case("published/core/change_subnet", CHANGE, || at_the_change(&["a", "b", "c", "d", "e"]))
    },
    case("published/dns/change_dns_servers", CHANGE_DNS, second_changed),
    Case {
        any: &["data.results[].response_time_ms"],
        ..case("published/dns/test_dns_servers", &["dns", "test_dns_servers"], cloudflare)
    },
    case("published/dns/status", &["dns", "status"], cloudflare),
    case("published/dns/get_dns_servers", &["dns", "get_dns_servers"], second_changed),
    Case { more: &["data.certificate"], ..case("published/ghost/enable", ENABLE_SELF_SIGNED, with_domain) },
    case("published/ghost/disable", &["ghost", "disable"], with_ghost),
    case("published/ghost/status", &["ghost", "status"], Server::ready),
];

/// The setting is in the table of 5.10 but not in its sample.
const LATER_TWEAKS: &[&str] = &[
    "data.block_ipv6_leak",
    "data.block_ipv6_leak_description",
    "data.ghost_operator_secret",
    "data.ghost_operator_secret_description",
];
const RESTART_ON: &[&str] =
    &["core", "update_tweak_setting", "setting_name=restart_service_after_client_creation", "value=true"];
const VALIDATE: &[&str] = &["core", "validate_subnet_change", "new_subnet=192.168.100.0/24"];
const CHANGE: &[&str] = &["core", "change_subnet", "new_subnet=192.168.100.0/24", "confirm=true"];
const CHANGE_DNS: &[&str] = &["dns", "change_dns_servers", "primary=1.1.1.1", "secondary=1.0.0.1"];

/// The call of the sample.
pub(crate) const ENABLE: &[&str] = &["ghost", "enable", "domain=157-230-114-231.sslip.io"];
/// The published sample's client does not verify the certificate: so it is with one that cannot be verified.
pub(crate) const ENABLE_SELF_SIGNED: &[&str] =
    &["ghost", "enable", "domain=157-230-114-231.sslip.io", "self_signed=true"];

/// The call of the sample.
pub(crate) const IMPORT: &[&str] = &["multihop", "import_vpn_config", "config_path=/home/user/xeovo-uk.conf"];
/// The call of the sample.
pub(crate) const ENABLE_MULTIHOP: &[&str] = &["multihop", "enable_multihop", "exit_name=xeovo-uk"];

fn with_exit_file() -> Server {
    exit_file_on(with_john())
}
fn exit_file_on(server: Server) -> Server {
    server.put_exit("/home/user/xeovo-uk.conf", "uk.gw.xeovo.com", [185, 213, 155, 134], 0x50);
    server
}

/// An exit is imported.
pub(crate) fn with_exit() -> Server {
    with_exit_on(with_john())
}
pub(crate) fn with_exit_on(server: Server) -> Server {
    let server = exit_file_on(server);
    server.api(IMPORT).ok();
    server.fake.reset_writes();
    server
}

/// Client traffic goes through the exit.
pub(crate) fn through_exit() -> Server {
    through_exit_on(with_john())
}
pub(crate) fn through_exit_on(server: Server) -> Server {
    let server = with_exit_on(server);
    server.api(ENABLE_MULTIHOP).ok();
    server.fake.reset_writes();
    server
}

/// Another exit is imported as `nl`, too.
pub(crate) fn with_second_exit(server: Server) -> Server {
    server.put_exit("/home/user/nl.conf", "nl.gw.xeovo.com", [185, 213, 155, 9], 0x60);
    server.api(&["multihop", "import_vpn_config", "config_path=/home/user/nl.conf"]).ok();
    server.fake.reset_writes();
    server
}

fn through_exit_for_a_while() -> Server {
    let server = through_exit();
    let now = phantom_host::Clock::now(&server.fake);
    let endpoint = Some("185.213.155.134:51820".parse().unwrap());
    let key = phantom_types::PrivateKey::from_random([0x51; 32]).public_key();
    assert!(server.fake.set_peer_traffic("wg_vpn", &key, endpoint, Some(now), (92, 180)));
    server.fake.advance(Duration::from_secs(4));
    server
}

/// The monitor has seen a handshake.
fn with_session() -> Server {
    let server = through_exit();
    let record = "INSERT INTO session_records (at, exit, event, details) \
                  VALUES (1757380652611290, 'xeovo-uk', 'handshake_good', '{\"seconds\":4}')";
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(record).unwrap();
    server
}

pub(crate) fn with_john() -> Server {
    Server::ready().with(&["john-laptop"])
}

/// The resolvers know the name of the samples: it is this server's, whatever its address.
pub(crate) fn named(server: Server) -> Server {
    let stored = server.store().read(phantom_store::State::server).unwrap().unwrap();
    server
        .fake
        .set_lookup("157-230-114-231.sslip.io".parse().unwrap(), Ok(vec![stored.server_ip.unwrap().into()]));
    server
}

pub(crate) fn with_domain() -> Server {
    named(with_john())
}

/// Ghost Mode is on.
pub(crate) fn with_ghost() -> Server {
    let server = with_domain();
    server.api(ENABLE).ok();
    server.fake.reset_writes();
    server
}

fn with_john_connected() -> Server {
    connected(with_john())
}

/// The first client had a handshake a second ago.
pub(crate) fn connected(server: Server) -> Server {
    let list = server.api(&["core", "server_status"]).ok();
    let key = list["interface"]["peers"][0]["public_key"].as_str().unwrap().parse().unwrap();
    let now = phantom_host::Clock::now(&server.fake);
    let endpoint = Some("198.51.100.2:53787".parse().unwrap());
    assert!(server.fake.set_peer_traffic("wg_main", &key, endpoint, Some(now), (436, 348)));
    server.fake.advance(Duration::from_secs(1));
    server
}

fn with_leak() -> Server {
    let server = with_john();
    server.api(&["core", "update_tweak_setting", "setting_name=block_ipv6_leak", "value=false"]).ok();
    server
}

pub(crate) fn stopped() -> Server {
    let server = with_john();
    server.api(&["core", "stop_service"]).ok();
    server
}

/// ufw became active after the setup, with rules that somebody made.
fn with_ufw() -> Server {
    let server = Server::ready();
    server.fake.add_foreign_ufw("51820/udp                  ALLOW IN    Anywhere");
    server.fake.add_foreign_ufw("51820/udp (v6)             ALLOW IN    Anywhere (v6)");
    server.fake.add_foreign_ufw("22/tcp                     ALLOW IN    Anywhere");
    server
}

/// One client, on a host with the uplink of the sample.
fn with_demo() -> Server {
    let server = Server::bare();
    let gateway = |address: &str| Route {
        table: 254,
        destination: "0.0.0.0/0".parse().unwrap(),
        metric: 0,
        kind: RouteKind::Via { interface: "eth0".into(), gateway: Some(address.parse().unwrap()) },
        source: None,
        protocol: 3,
    };
    server.fake.take_route(&gateway("203.0.113.1")).unwrap();
    server.fake.take_address("eth0", "203.0.113.10/24".parse().unwrap()).unwrap();
    server.fake.give_address("eth0", "165.227.146.222/20".parse().unwrap()).unwrap();
    server.fake.give_route(&gateway("165.227.144.1")).unwrap();
    server.api(&["core", "setup"]).ok();
    server.with(&["test-api-demo"])
}

/// The moment of the sample: 2025-01-30 17:20:00 UTC.
fn at_the_change(clients: &[&str]) -> Server {
    let server = Server::ready().with(clients);
    server.fake.set_now(Timestamp::from_micros(1_738_257_600_000_000));
    server
}

fn without_peer() -> Server {
    let server = with_john();
    let status = server.api(&["core", "server_status"]).ok();
    let key = status["interface"]["peers"][0]["public_key"].as_str().unwrap().parse().unwrap();
    assert!(server.fake.remove_peer("wg_main", &key));
    server
}

fn second_changed() -> Server {
    let server = Server::ready();
    server.api(&["dns", "change_dns_servers", "secondary=1.1.1.1"]).ok();
    server
}

/// Both servers answer as in the samples.
fn cloudflare() -> Server {
    let server = Server::ready();
    server.api(CHANGE_DNS).ok();
    let answers = [
        ("1.1.1.1", "google.com", "142.250.184.206", 11_420),
        ("1.0.0.1", "google.com", "142.250.184.206", 12_070),
        ("1.1.1.1", "cloudflare.com", "104.16.133.229", 9_000),
        ("1.0.0.1", "cloudflare.com", "104.16.132.229", 9_000),
    ];
    for (at, domain, address, micros) in answers {
        let answer = DnsAnswer { addresses: vec![ip(address)], elapsed: Duration::from_micros(micros) };
        server.fake.set_answer(ip(at), Some(domain.parse().unwrap()), Ok(answer));
    }
    server
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
