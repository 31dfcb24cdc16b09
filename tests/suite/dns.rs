//! What the actions of the DNS module do, beyond their samples (API chapter 6).

use std::time::Duration;

use phantom_tests::Server;
use serde_json::json;

#[test]
fn dns_servers_change_one_or_both_and_ipv6_ones_with_a_warning() {
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
        let good = Ok(phantom_host::Answer { addresses: address, elapsed: Duration::from_millis(5) });
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
