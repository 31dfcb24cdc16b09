//! Name servers that answer, refuse, know nothing or stay silent.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{At, SERVER, TestNet, in_world_with, on, wait_for};

/// What the tests here need beside the rest.
const PROGRAMS: [&str; 2] = ["dnsmasq", "dig"];
/// A call ends within four seconds whatever the servers do; the rest is the start of a program on a busy machine.
const LIMIT: Duration = Duration::from_millis(4500);
/// What `dns status` asks for.
const GOOGLE: (&str, &str) = ("google.com", "142.250.184.206");
const CLOUDFLARE: (&str, &str) = ("cloudflare.com", "104.16.133.229");

/// Starts a name server on an address of the Internet that knows one name and nothing else. It ends with the world.
pub(crate) fn name_server(world: &TestNet, ip: &str, name: &str, address: &str) {
    serve(world, ip, &[(name, address)]);
}

/// Starts a name server that knows these names: every other one does not exist.
pub(crate) fn serve(world: &TestNet, ip: &str, names: &[(&str, &str)]) {
    let mut args: Vec<String> =
        ["--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", "--local=/#/"]
            .into_iter()
            .chain(["--keep-in-foreground", "--user=root", "--pid-file="])
            .map(str::to_owned)
            .collect();
    args.push(format!("--listen-address={ip}"));
    args.extend(names.iter().map(|(name, address)| format!("--host-record={name},{address}")));
    world.spawn(At::Internet, "dnsmasq", &args.iter().map(String::as_str).collect::<Vec<_>>());
    let answers = || {
        let output = world.try_at(At::Internet, &format!("dig +short +time=1 +tries=1 @{ip} {}", names[0].0));
        String::from_utf8_lossy(&output.stdout).trim() == names[0].1
    };
    assert!(wait_for(Duration::from_mins(1), answers), "dnsmasq does not answer on {ip}");
}

/// Starts a name server that knows nobody to ask: it refuses every question.
fn refuse(world: &TestNet, ip: &str) {
    let words =
        ["--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", "--keep-in-foreground"];
    let more = ["--user=root", "--pid-file=", &format!("--listen-address={ip}")];
    world.spawn(At::Internet, "dnsmasq", &[&words[..], &more].concat());
    let refused = || {
        let output = world.try_at(At::Internet, &format!("dig +time=1 +tries=1 @{ip} google.com"));
        String::from_utf8_lossy(&output.stdout).contains("REFUSED")
    };
    assert!(wait_for(Duration::from_mins(1), refused), "dnsmasq does not answer on {ip}");
}

/// Listens on an address of the Internet for as long as the world stands, and never answers.
fn stay_silent(ip: &'static str) {
    let socket = on(At::Internet, move || UdpSocket::bind((ip, 53)).unwrap()).join().unwrap();
    std::mem::forget(socket);
}

/// Calls as an administrator does, and holds the call to its time.
#[track_caller]
fn ask(world: &TestNet, words: &[&str]) -> Value {
    let begin = Instant::now();
    let data = world.ok(words);
    let took = begin.elapsed();
    assert!(took < LIMIT, "{words:?} took {took:?}");
    data
}

/// That a measured time stands there, with two decimals.
#[track_caller]
fn assert_measured(result: &Value) {
    let time = result["response_time_ms"].as_f64().unwrap_or_else(|| panic!("no time: {result:#}"));
    assert!(time > 0.0 && time < 4000.0, "{result:#}");
    assert!((time * 100.0 - (time * 100.0).round()).abs() < 1e-6, "more than two decimals: {result:#}");
}

#[track_caller]
fn assert_failed(result: &Value, status: &str) {
    assert_eq!((&result["success"], &result["status"]), (&json!(false), &json!(status)), "{result:#}");
    assert!(!result["error"].as_str().unwrap_or_default().is_empty(), "{result:#}");
}

#[test]
fn answering_servers_pass_with_measured_time() {
    in_world_with("dns::answering_servers_pass_with_measured_time", &PROGRAMS, |world| {
        world.setup();
        serve(world, "8.8.8.8", &[GOOGLE]);
        serve(world, "8.8.4.4", &[GOOGLE]);
        let data = ask(world, &["dns", "test_dns_servers"]);
        assert_eq!((&data["all_passed"], &data["servers_tested"]), (&json!(true), &json!(2)), "{data:#}");
        assert!(data.get("skipped").is_none(), "{data:#}");
        let results = data["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        for (result, server) in results.iter().zip(["8.8.8.8", "8.8.4.4"]) {
            assert_eq!((&result["server"], &result["status"]), (&json!(server), &json!("OK")), "{result:#}");
            assert_eq!(
                (&result["success"], &result["test_domain"]),
                (&json!(true), &json!("google.com")),
                "{result:#}"
            );
            assert!(result.get("error").is_none(), "{result:#}");
            assert_measured(result);
        }
    });
}

#[test]
fn every_kind_of_failure_is_told_apart() {
    in_world_with("dns::every_kind_of_failure_is_told_apart", &PROGRAMS, |world| {
        world.setup();
        serve(world, "8.8.8.8", &[GOOGLE]);
        stay_silent("8.8.4.4");
        // Nobody listens on the second address of that host, and no route leads to the third.
        world.sh("ip route add unreachable 198.18.99.0/24");
        let servers = "servers=8.8.8.8,nowhere,8.8.4.4,198.18.0.2,198.18.99.1";
        let data = ask(world, &["dns", "test_dns_servers", servers]);
        assert_eq!((&data["all_passed"], &data["servers_tested"]), (&json!(false), &json!(4)), "{data:#}");
        assert_eq!(data["skipped"], json!(["nowhere"]), "{data:#}");
        let results = &data["results"];
        assert_eq!(results[0]["status"], "OK", "{data:#}");
        assert_measured(&results[0]);
        assert_failed(&results[1], "TIMEOUT");
        assert_failed(&results[2], "ERROR");
        assert_failed(&results[3], "ERROR");
        for (at, server) in ["8.8.8.8", "8.8.4.4", "198.18.0.2", "198.18.99.1"].into_iter().enumerate() {
            assert_eq!(results[at]["server"], server, "in the given order: {data:#}");
            assert_eq!(results[at]["response_time_ms"].is_null(), at > 0, "{data:#}");
        }
        // An entry that is skipped is no pass, either.
        let data = ask(world, &["dns", "test_dns_servers", "servers=8.8.8.8,nowhere"]);
        assert_eq!((&data["all_passed"], &data["servers_tested"]), (&json!(false), &json!(1)), "{data:#}");
        // A name that does not exist has been answered, with a time.
        let data = ask(world, &["dns", "test_dns_servers", "servers=8.8.8.8", "domain=nobody.example.com"]);
        assert_failed(&data["results"][0], "FAILED");
        assert!(data["results"][0]["error"].as_str().unwrap().contains("NXDOMAIN"), "{data:#}");
        assert_eq!(data["results"][0]["test_domain"], "nobody.example.com");
        assert_measured(&data["results"][0]);
        world.fails(&["dns", "test_dns_servers", "servers=nowhere,x"], "VALIDATION_ERROR");
    });
}

/// What the status says about a server: its tests, in order.
#[track_caller]
fn tests_of<'a>(status: &'a Value, at: usize, server: &str) -> [&'a Value; 2] {
    let result = &status["health"]["test_results"][at];
    assert_eq!(result["server"], server, "{status:#}");
    let tests = &result["tests"];
    assert_eq!(
        (&tests[0]["domain"], &tests[1]["domain"]),
        (&json!("google.com"), &json!("cloudflare.com")),
        "{status:#}"
    );
    [&tests[0], &tests[1]]
}

#[track_caller]
fn assert_passed(test: &Value, address: &str) {
    assert_eq!(
        (&test["success"], &test["response"], &test["error"]),
        (&json!(address), &json!(address), &Value::Null),
        "{test:#}"
    );
}

#[track_caller]
fn assert_not_passed(test: &Value) {
    assert_eq!((&test["success"], &test["response"]), (&json!(false), &Value::Null), "{test:#}");
    assert!(!test["error"].as_str().unwrap_or_default().is_empty(), "{test:#}");
}

#[test]
fn health_is_healthy_degraded_or_unavailable() {
    in_world_with("dns::health_is_healthy_degraded_or_unavailable", &PROGRAMS, |world| {
        world.setup();
        stay_silent("8.8.4.4");
        world.ok(&["dns", "change_dns_servers", "primary=198.18.0.2", "secondary=8.8.4.4"]);
        // A closed port and a silent server.
        let data = ask(world, &["dns", "status"]);
        assert_eq!(
            (&data["mode"], &data["health"]["status"]),
            (&json!("standard"), &json!("unavailable")),
            "{data:#}"
        );
        assert_eq!(data["configuration"], json!({ "primary": "198.18.0.2", "secondary": "8.8.4.4" }));
        tests_of(&data, 0, "198.18.0.2")
            .into_iter()
            .chain(tests_of(&data, 1, "8.8.4.4"))
            .for_each(assert_not_passed);
        // One server answers.
        serve(world, "8.8.8.8", &[GOOGLE, CLOUDFLARE]);
        world.ok(&["dns", "change_dns_servers", "primary=8.8.8.8"]);
        let data = ask(world, &["dns", "status"]);
        assert_eq!(data["health"]["status"], "degraded", "{data:#}");
        let [google, cloudflare] = tests_of(&data, 0, "8.8.8.8");
        assert_passed(google, GOOGLE.1);
        assert_passed(cloudflare, CLOUDFLARE.1);
        tests_of(&data, 1, "8.8.4.4").into_iter().for_each(assert_not_passed);
        // Both answer, but one does not know every name.
        serve(world, "198.18.0.2", &[GOOGLE]);
        world.ok(&["dns", "change_dns_servers", "secondary=198.18.0.2"]);
        let data = ask(world, &["dns", "status"]);
        assert_eq!(data["health"]["status"], "degraded", "{data:#}");
        let [google, cloudflare] = tests_of(&data, 1, "198.18.0.2");
        assert_passed(google, GOOGLE.1);
        assert_not_passed(cloudflare);
        // Both answer everything.
        world.sh_at(At::Internet, "ip addr add 198.18.0.3/24 dev eth0");
        serve(world, "198.18.0.3", &[CLOUDFLARE, GOOGLE]);
        world.ok(&["dns", "change_dns_servers", "secondary=198.18.0.3"]);
        let data = ask(world, &["dns", "status"]);
        assert_eq!(data["health"]["status"], "healthy", "{data:#}");
        world.in_sync();
    });
}

#[test]
fn dead_servers_do_not_delay_a_call() {
    in_world_with("dns::dead_servers_do_not_delay_a_call", &PROGRAMS, |world| {
        world.setup();
        stay_silent("8.8.8.8");
        stay_silent("8.8.4.4");
        // Without a way to a server, packets just vanish.
        world.sh_at(At::Internet, "nft 'add table ip silent; add chain ip silent in { type filter hook input priority 0; policy drop; }'");
        let servers: Vec<String> = (1..=40).map(|n| format!("198.18.0.{n}")).collect();
        let data = ask(world, &["dns", "test_dns_servers", &format!("servers={}", servers.join(","))]);
        assert_eq!(data["servers_tested"], 40);
        for result in data["results"].as_array().unwrap() {
            assert!(["TIMEOUT", "ERROR"].contains(&result["status"].as_str().unwrap()), "{result:#}");
        }
        let data = ask(world, &["dns", "status"]);
        assert_eq!(data["health"]["status"], "unavailable", "{data:#}");
    });
}

/// What the doctor says of the host's own name servers.
fn resolver(world: &TestNet) -> Value {
    let doctor = world.ok(&["core", "doctor"]);
    let checks = doctor["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == "resolver").unwrap().clone()
}

#[test]
fn names_resolve_despite_silent_or_odd_servers() {
    let test = "dns::names_resolve_despite_silent_or_odd_servers";
    in_world_with(test, &[&PROGRAMS[..], &["openssl"]].concat(), |world| {
        world.sh(
            "rm -f /etc/resolv.conf; printf 'nameserver 8.8.8.8\\nnameserver 8.8.4.4\\n' > /etc/resolv.conf",
        );
        world.setup();
        crate::ghost::certificate(world);
        let files = ["cert_path=/etc/ghost/server.pem", "key_path=/etc/ghost/server.key"];
        let enable = [&["ghost", "enable", "domain=vpn.example.org"][..], &files].concat();
        let nobody = world.fails(&enable, "NETWORK_ERROR");
        assert_eq!(nobody["error"], "No DNS resolver answered");
        assert_eq!(resolver(world)["state"], "warning");

        // The first of two is silent.
        stay_silent("8.8.8.8");
        serve(world, "8.8.4.4", &[("vpn.example.org", SERVER), GOOGLE]);
        assert_eq!(resolver(world)["state"], "ok");
        world.ok(&enable);
        world.ok(&["ghost", "disable"]);

        // Somebody on the way drops the questions for IPv6. The type is behind the headers and a name of 17 bytes.
        world.sh("ip netns exec isp nft 'add table ip odd; add chain ip odd f { type filter hook forward priority 0; };
             add rule ip odd f udp dport 53 @th,296,16 28 drop'");
        world.ok(&enable);
        world.ok(&["ghost", "disable"]);
        world.sh("ip netns exec isp nft delete table ip odd");

        // The host's own name, as Debian writes it, does not count; another line does.
        world.sh("cp /etc/hosts /etc/hosts.new; echo '127.0.1.1 vpn.example.org vpn' >> /etc/hosts.new; mv /etc/hosts.new /etc/hosts");
        world.ok(&enable);
        world.ok(&["ghost", "disable"]);
        world.sh("pkill -f '[d]nsmasq.*8.8.4.4'; sed -i 's/^127.0.1.1/203.0.113.5/' /etc/hosts");
        world.ok(&enable);
        world.ok(&["ghost", "disable"]);

        // Servers that answer are not called silent.
        world.sh("sed -i /vpn.example.org/d /etc/hosts");
        refuse(world, "8.8.4.4");
        let refused = world.fails(&enable, "NETWORK_ERROR");
        let said = "The DNS resolvers of this server could not say where vpn.example.org leads (REFUSED)";
        assert_eq!((&refused["error"], &refused["data"]["rcode"]), (&json!(said), &json!("REFUSED")));
        let found = resolver(world);
        let sentence = found["text"].as_str().unwrap();
        let told = sentence.contains("REFUSED") && !sentence.contains("reach");
        assert!(found["state"] == "warning" && told, "{found:#}");
        world.in_sync();
    });
}
