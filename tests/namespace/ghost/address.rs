//! A server without a domain: its address is its name, for the certificate authority and for clients.

use serde_json::json;

use super::{
    PROGRAMS, authority, casper, censor, certificate, configuration, connect_ours_trusting, stock_clients,
    works, works_once,
};
use crate::world::{At, SERVER, TestNet, in_world_with, note};

/// The root that the authority's certificates chain to, which it makes at its start.
const ROOT: &str = "/etc/ghost/pebble-root.pem";

/// Ghost Mode under the server's address. Nobody here can look a name up.
fn in_ghost_mode_without_a_domain(world: &TestNet) {
    certificate(world);
    authority(world);
    world.sh("rm -f /etc/resolv.conf; : > /etc/resolv.conf; : > /etc/netns/c1/resolv.conf");
    world.fails(&["ghost", "enable", "domain=198.51.100.77"], "VALIDATION_ERROR");
    let enabled = world.ok(&["ghost", "enable", &format!("domain={SERVER}")]);
    assert_eq!((&enabled["domain"], &enabled["certificate"]["source"]), (&json!(SERVER), &json!("acme")));
    world.sh_at(At::Internet, &format!("curl -sk https://198.18.0.2:15000/roots/0 > {ROOT}"));
    // The certificate is for the address, as others see it.
    let verify = format!(
        "openssl s_client -connect {SERVER}:443 -CAfile {ROOT} -verify_return_error -verify_ip {SERVER} </dev/null 2>&1"
    );
    let seen = world.sh_at(At::Internet, &verify);
    assert!(seen.contains("Verify return code: 0 (ok)"), "{seen}");
}

#[test]
fn server_without_domain_is_reached_by_address() {
    let test = "ghost::address::server_without_domain_is_reached_by_address";
    in_world_with(test, &[&PROGRAMS[..], &["pebble", "curl"]].concat(), |world| {
        world.setup();
        world.add("anna");
        in_ghost_mode_without_a_domain(world);
        let status = world.ok(&["ghost", "status"]);
        assert_eq!((&status["status"], &status["domain"]), (&json!("active"), &json!(SERVER)));
        assert_eq!(status["certificate"]["renewal"], "automatic", "{status:#}");
        censor(world);
        let printed = casper(world, "anna");
        assert!(printed.contains(&format!(" wss://{SERVER}:443 --tls-verify-certificate\n")), "{printed}");
        connect_ours_trusting(world, At::Client1, "anna", ROOT);
        world.connect(At::Client1, &configuration(&printed));
        works(world);
        world.in_sync();
    });
}

#[test]
fn stock_client_connects_with_printed_command() {
    let test = "ghost::address::stock_client_connects_with_printed_command";
    let clients = stock_clients();
    if clients.is_empty() {
        return phantom_tests::skip(test, "wstunnel is not at hand (PHANTOM_WSTUNNEL names its programs)");
    }
    in_world_with(test, &[&PROGRAMS[..], &["pebble", "curl"]].concat(), |world| {
        world.setup();
        world.add("anna");
        in_ghost_mode_without_a_domain(world);
        censor(world);
        let printed = casper(world, "anna");
        let from = printed.find("wstunnel client --http").unwrap();
        let command = &printed[from..from + printed[from..].find("\n\n").unwrap()];
        for client in clients {
            let command = command.replacen("wstunnel", client.to_str().unwrap(), 1);
            // A client that does not trust the authority gets nowhere: the certificate is verified for an address, too.
            for (trusted, reaches) in [("/etc/ghost/ca.pem", false), (ROOT, true)] {
                let script = format!("export SSL_CERT_FILE={trusted}; exec {command} >/dev/null 2>&1");
                let pid = world.spawn(At::Client1, "sh", &["-c", &script]);
                world.connect(At::Client1, &configuration(&printed));
                if reaches {
                    works_once(world);
                } else {
                    world.does_not_reach(At::Client1, "10.8.0.1");
                }
                world.disconnect(At::Client1);
                world.sh(&format!("kill {pid}"));
            }
            note(test, &format!("{} works", client.display()));
        }
    });
}
