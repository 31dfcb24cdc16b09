//! A line on which connections break, and a client whose names are looked up through the tunnel alone.

use std::time::{Duration, Instant};

use super::{NAME, PROGRAMS, casper, configuration, in_ghost_mode, start_ours, stock_clients};
use crate::ping::ping;
use crate::traffic::udp_seen_as;
use crate::world::{At, SERVER, TestNet, in_world_with, long, note, wait_for};

/// How long a client may be without its server after a break: the longest wait of ours, and the time in which WireGuard
/// tries a handshake again.
const BACK: Duration = Duration::from_secs(25);
/// The same with a stock client, which also asks for an IPv6 address, by the dead tunnel, before it connects.
const STOCK_BACK: Duration = Duration::from_mins(1);

/// Resets the tunnel's connection, as a provider does, and gives how long the client is without its server.
#[track_caller]
fn break_it(world: &TestNet, patience: Duration) -> Option<Duration> {
    let broken = world.sh_at(At::Client1, &format!("ss -HnK dst {SERVER} dport = 443; true"));
    assert!(broken.contains(":443"), "there is no connection: {broken:?}");
    let begin = Instant::now();
    let open = || {
        !world.sh_at(At::Client1, &format!("ss -Htn state established dst {SERVER} dport = 443")).is_empty()
    };
    (wait_for(patience, open) && wait_for(patience, || ping(At::Client1, "10.8.0.1", 1)))
        .then(|| begin.elapsed())
}

/// The name server answers the client by no other way than the tunnel.
#[track_caller]
fn names_need_the_tunnel(world: &TestNet) {
    let asked = world.sh_at(At::Client1, "cat /etc/resolv.conf; ip route get 8.8.8.8");
    assert!(asked.contains("nameserver 8.8.8.8") && asked.contains("dev c1"), "{asked}");
}

#[test]
fn own_client_recovers_when_names_need_tunnel() {
    let test = "ghost::line::own_client_recovers_when_names_need_tunnel";
    in_world_with(test, &PROGRAMS, |world| {
        world.setup();
        world.add("anna");
        in_ghost_mode(world);
        let pid = start_ours(world, At::Client1, "anna");
        world.connect(At::Client1, &configuration(&casper(world, "anna")));
        world.reaches(At::Client1, "10.8.0.1");
        names_need_the_tunnel(world);
        let file = format!("/var/lib/phantom-ghost/{NAME}_443.address");
        assert_eq!(
            world.sh(&format!("stat -c %a {file}; cat {file}")),
            format!("600\n{NAME}:443 {SERVER}\n")
        );
        let breaks = if long() { 10 } else { 2 };
        let away: Vec<Duration> =
            (0..breaks).map(|_| break_it(world, BACK).expect("it comes back by itself")).collect();
        note(test, &format!("without the server after {breaks} breaks: {away:.1?}"));
        // Started again, it has nobody to ask for the server's name.
        world.sh(&format!("kill -9 {pid}"));
        let asked = world.try_at(At::Client1, &format!("dig +time=1 +tries=1 {NAME}"));
        assert!(!asked.status.success(), "{}", String::from_utf8_lossy(&asked.stdout));
        start_ours(world, At::Client1, "anna");
        let begin = Instant::now();
        assert!(wait_for(BACK, || ping(At::Client1, "10.8.0.1", 1)), "{}", world.sh("ss -Htn"));
        note(test, &format!("started again: {:.1?}", begin.elapsed()));
    });
}

#[test]
fn a_changed_network_is_noticed_at_once() {
    let test = "ghost::line::a_changed_network_is_noticed_at_once";
    in_world_with(test, &PROGRAMS, |world| {
        world.setup();
        world.add("anna");
        in_ghost_mode(world);
        start_ours(world, At::Client1, "anna");
        world.connect(At::Client1, &configuration(&casper(world, "anna")));
        world.reaches(At::Client1, "10.8.0.1");
        // Another network: another address, another router.
        world.sh("ip -n isp addr add 192.0.2.129/30 dev l1");
        world.sh_at(
            At::Client1,
            "ip addr add 192.0.2.130/30 dev eth0; ip route replace default via 192.0.2.129; ip addr del 192.0.2.2/30 dev eth0",
        );
        let begin = Instant::now();
        let back = |patience| wait_for(patience, || ping(At::Client1, "10.8.0.1", 1));
        assert!(back(Duration::from_secs(5)), "{}", world.sh_at(At::Client1, "ip route; ss -tn"));
        note(test, &format!("in another network: {:.1?}", begin.elapsed()));
        // A network that is gone for a while, until waits are long, and comes back.
        world.sh_at(At::Client1, &format!("ip link set eth0 down; ss -HnK dst {SERVER} dport = 443; true"));
        std::thread::sleep(Duration::from_secs(16));
        world.sh_at(At::Client1, "ip link set eth0 up; ip route add default via 192.0.2.129");
        let begin = Instant::now();
        let open =
            || world.sh_at(At::Client1, "ss -Htn state established dport = 443").contains("192.0.2.130");
        assert!(wait_for(Duration::from_secs(3), open), "{}", world.sh_at(At::Client1, "ip route; ss -tn"));
        note(test, &format!("the network is back: {:.1?}", begin.elapsed()));
        assert!(back(BACK));
        // Changes of other things break no tunnel.
        let connection = || world.sh_at(At::Client1, "ss -Htn state established dport = 443");
        let before = connection();
        world.sh_at(
            At::Client1,
            "ip link add other type veth peer name another; ip addr add 198.18.77.1/24 dev other; ip link set other up
             ip route add 198.18.78.0/24 dev other; ip link del other; ip addr add 192.0.2.133/30 dev eth0",
        );
        std::thread::sleep(Duration::from_secs(2));
        let ends = |text: &str| text.split_whitespace().skip(2).collect::<Vec<_>>().join(" ");
        assert_eq!(ends(&connection()), ends(&before));
    });
}

/// The lines of casper's text that are to be typed and begin with this word, as one who is root already types them.
#[track_caller]
fn typed(printed: &str, word: &str) -> String {
    let start = format!("    {word} ");
    let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with(&start)).collect();
    // A line may be printed twice: what is written is taken away before and at the end.
    assert!(!lines.is_empty() && lines.iter().all(|line| *line == lines[0]), "{word}: {printed}");
    format!("sudo() {{ \"$@\"; }}\n{}", lines[0].trim())
}

/// The hosts file, but for empty lines.
fn hosts(world: &TestNet) -> Vec<String> {
    let text = world.sh_at(At::Client1, "cat /etc/hosts");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Does what casper prints, and nothing else.
#[test]
fn stock_client_survives_ten_breaks() {
    let test = "ghost::line::stock_client_survives_ten_breaks";
    let clients = stock_clients();
    if clients.is_empty() {
        return phantom_tests::skip(test, "wstunnel is not at hand (PHANTOM_WSTUNNEL names its programs)");
    }
    in_world_with(test, &PROGRAMS, |world| {
        world.setup();
        world.add("anna");
        in_ghost_mode(world);
        let printed = casper(world, "anna");
        let from = printed.find("wstunnel client --http").unwrap();
        let command = &printed[from..from + printed[from..].find("\n\n").unwrap()];
        assert!(command.contains("--tls-verify-certificate"), "{command}");
        for client in clients {
            let before = hosts(world);
            world.sh_at(At::Client1, &typed(&printed, "printf"));
            let command = command.replacen("wstunnel", client.to_str().unwrap(), 1);
            // The authority of this world is one that the client's system trusts.
            let script = format!("export SSL_CERT_FILE=/etc/ghost/ca.pem; exec {command} >/dev/null 2>&1");
            let pid = world.spawn(At::Client1, "sh", &["-c", &script]);
            world.connect(At::Client1, &configuration(&printed));
            world.reaches(At::Client1, "10.8.0.1");
            assert_eq!(udp_seen_as(At::Client1), SERVER);
            names_need_the_tunnel(world);
            let away: Vec<Duration> = (0..10)
                .map(|number| {
                    break_it(world, STOCK_BACK)
                        .unwrap_or_else(|| panic!("{}: break {number}", client.display()))
                })
                .collect();
            note(test, &format!("{}: without the server after ten breaks: {away:.1?}", client.display()));
            assert_eq!(udp_seen_as(At::Client1), SERVER);
            world.disconnect(At::Client1);
            world.sh_at(At::Client1, &typed(&printed, "sudo sed"));
            assert_eq!(hosts(world), before);
            world.sh(&format!("kill {pid}"));
        }
    });
}
