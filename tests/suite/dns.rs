//! What the actions of the DNS module do, beyond their samples.

use std::time::Duration;

use phantom_tests::Server;
use serde_json::json;

use crate::cases::{with_exit, with_second_exit};

#[test]
fn dns_servers_change_singly_or_together() {
    let server = Server::ready();
    let changed = server.api(&["dns", "change_dns_servers", "secondary=2606:4700::1111"]).ok();
    let expected = json!({ "primary": "8.8.8.8", "secondary": "2606:4700::1111", "previous_primary": "8.8.8.8", "previous_secondary": "8.8.4.4" });
    assert_eq!(changed["dns_servers"], expected);
    assert_eq!(changed["warnings"].as_array().unwrap().len(), 1);
    let changed = server.api(&["dns", "change_dns_servers", "secondary=9.9.9.9"]).ok();
    assert!(changed.get("warnings").is_none());
    assert_eq!(server.fake.write_log(), [""; 0], "nothing on the host changes");
}

#[test]
fn health_is_degraded_when_some_probes_pass() {
    let server = Server::ready();
    let answer = |server: &str, passes: bool| {
        let address = vec!["192.0.2.1".parse().unwrap()];
        let good = Ok(phantom_host::DnsAnswer { addresses: address, elapsed: Duration::from_millis(5) });
        (server.parse().unwrap(), if passes { good } else { Err(phantom_host::ProbeError::Timeout) })
    };
    for (first, second, expected) in
        [(true, true, "healthy"), (true, false, "degraded"), (false, false, "unavailable")]
    {
        for (at, result) in [answer("8.8.8.8", first), answer("8.8.4.4", second)] {
            server.fake.set_answer(at, None, result);
        }
        let status = server.api(&["dns", "status"]).ok();
        assert_eq!(status["health"]["status"], expected);
        let test = &status["health"]["test_results"][1]["tests"][0];
        let shown = if second { json!("192.0.2.1") } else { json!(false) };
        assert_eq!((&test["success"], test["error"].is_null()), (&shown, second));
    }
}

#[test]
fn useless_dns_address_is_refused_or_noted() {
    let server = with_second_exit(with_exit());
    let change = |ip: &str| server.api(&["dns", "change_dns_servers", &format!("secondary={ip}")]);
    for nobody in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::ffff:0.0.0.0"]
    {
        change(nobody).failed("INVALID_PARAMETER");
    }
    for nobody in ["10.8.0.0", "10.8.0.255", "::ffff:10.8.0.255"] {
        let refused = change(nobody).failed("VALIDATION_ERROR");
        assert_eq!(
            (&refused["data"]["parameter"], &refused["data"]["address"]),
            (&json!("secondary"), &json!(nobody))
        );
    }
    let warned = |ip: &str| {
        let changed = change(ip).ok();
        changed["warnings"]
            .as_array()
            .map(|list| list.iter().map(|one| one.as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(warned("10.8.0.1"), None, "the server itself may run one");
    for (ip, why) in [
        ("10.8.0.2", "'john-laptop'"),
        ("10.8.0.77", "belongs to no client"),
        ("127.0.0.53", "each client itself"),
        ("10.99.0.2", "cannot be enabled"),
        ("2606:4700::1111", "IPv6"),
    ] {
        let [said] = &warned(ip).unwrap()[..] else { panic!("{ip}") };
        assert!(said.contains(ip) && said.contains(why), "{said}");
    }
    // The exit in use would be taken down for it, since its address would be another's.
    change("9.9.9.9").ok();
    server.api(&["multihop", "enable_multihop", "exit_name=xeovo-uk"]).ok();
    let refused = change("10.99.0.2").failed("VALIDATION_ERROR");
    assert_eq!(refused["data"], json!({ "parameter": "secondary", "address": "10.99.0.2" }));
    assert_eq!(server.api(&["dns", "get_dns_servers"]).ok()["secondary"], "9.9.9.9");
    server.assert_in_sync();
}
