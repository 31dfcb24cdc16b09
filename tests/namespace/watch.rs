//! The watcher: what somebody removes comes back by itself, and what is removed on purpose does not.

mod losses;
mod renewal;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::multihop::{IPTABLES, without_nftables};
use crate::signals;
use crate::world::{At, INTERNET, TestNet, backend, in_world, in_world_with, note, wait_for};

/// A promise: so soon what was removed is back.
const BACK: Duration = Duration::from_secs(2);
/// The same on legacy iptables, which tells nobody of its changes.
const BACK_LEGACY: Duration = Duration::from_secs(10);
/// A client whose server has lost its session begins another one after 15 s (`REKEY_TIMEOUT` and `KEEPALIVE_TIMEOUT`).
const NEW_SESSION: Duration = Duration::from_secs(40);
/// What the watcher says goes here.
const LOG: &str = "/opt/phantom-wg/logs/phantom-watch.log";

/// Ways to break the server, each another object within a round, and whether its sessions are lost by that.
const ROUNDS: [&[(&str, bool)]; 3] = [
    &[
        ("nft flush ruleset", false),
        ("ip addr flush dev wg_main", false),
        ("ip link set wg_main down", false),
        ("ip route del local 10.8.0.1 table local", false),
        ("sysctl -qw net.ipv4.ip_forward=0", false),
    ],
    &[("nft delete table inet phantom_wg", false), ("ip link del wg_main", true)],
    &[
        (
            "nft -a list chain inet phantom_wg forward | sed -n 's/.* handle //p' | tail -n 1 |
               xargs -I{} nft delete rule inet phantom_wg forward handle {}",
            false,
        ),
        ("wg-quick down wg_main", true),
    ],
];

fn served(world: &TestNet) {
    world.setup();
    world.connect(At::Client1, &world.add("one"));
    world.add("two");
    world.reaches(At::Client1, INTERNET);
    assert!(watcher_runs(world), "{}", log(world));
}

fn watcher_runs(world: &TestNet) -> bool {
    wait_for(Duration::from_secs(10), || {
        world.try_at(At::Server, "pgrep -f '[p]hantom-watch '").status.success()
    })
}

fn log(world: &TestNet) -> String {
    world.sh(&format!("cat {LOG} 2>/dev/null || true"))
}

/// How often a repair was asked for.
fn asked(world: &TestNet) -> usize {
    log(world).matches("asking for a repair").count()
}

/// How often something was put back.
fn repaired(world: &TestNet) -> usize {
    world.sh("cat /opt/phantom-wg/logs/phantom.log").matches("core repair: ").count()
}

fn in_sync(world: &TestNet) -> bool {
    let answer = world.call(&["core", "reconcile", "dry_run=true"]);
    answer["data"]["in_sync"] == Value::Bool(true)
}

/// What was repaired a moment ago is repaired later: somebody may be removing it again and again.
fn rest() {
    std::thread::sleep(Duration::from_secs(12));
}

/// Breaks something and waits until it is back.
#[track_caller]
fn comes_back(world: &TestNet, remover: &str, limit: Duration) {
    let before = repaired(world);
    world.sh(remover);
    let began = Instant::now();
    assert!(wait_for(limit * 4, || repaired(world) > before), "{remover}: not put back\n{}", log(world));
    let back = wait_for(limit * 4, || in_sync(world));
    let took = began.elapsed();
    let plan = world.call(&["core", "reconcile", "dry_run=true"]);
    assert!(back, "{remover}: not back: {plan:#}\n{}", log(world));
    note("watch", &format!("{remover}: back after {} ms", took.as_millis()));
    assert!(took <= limit, "{remover}: back after {took:?}\n{}", log(world));
}

#[test]
fn what_somebody_removes_comes_back_by_itself() {
    in_world("watch::what_somebody_removes_comes_back_by_itself", |world| {
        served(world);
        for (round, removers) in ROUNDS.iter().enumerate() {
            if round > 0 {
                rest();
            }
            for (remover, loses_sessions) in *removers {
                comes_back(world, remover, BACK);
                if *loses_sessions {
                    let again = wait_for(NEW_SESSION, || {
                        world.try_at(At::Client1, &format!("ping -q -c 1 -W 1 {INTERNET}")).status.success()
                    });
                    assert!(again, "{remover}: the client does not come back");
                }
                world.reaches(At::Client1, INTERNET);
            }
        }
    });
}

#[test]
fn a_process_that_dies_is_started_again() {
    in_world("watch::a_process_that_dies_is_started_again", |world| {
        served(world);
        if backend() == "embedded" {
            comes_back(world, "pkill -9 -f '[p]hantom-wg-device wg_main'", BACK);
        }
        // The next change starts the watcher itself.
        world.sh("pkill -9 -f '[p]hantom-watch '; while pgrep -f '[p]hantom-watch '; do sleep 0.02; done");
        world.ok(&["core", "restart_service"]);
        assert!(watcher_runs(world));
        comes_back(world, "nft flush ruleset", BACK);
    });
}

#[test]
fn what_is_stopped_on_purpose_stays_stopped() {
    in_world("watch::what_is_stopped_on_purpose_stays_stopped", |world| {
        served(world);
        world.ok(&["core", "stop_service"]);
        std::thread::sleep(BACK);
        assert!(!world.try_at(At::Server, "ip link show wg_main").status.success());
        assert_eq!(asked(world), 0, "{}", log(world));
        // Even while something else is put back.
        comes_back(world, "nft flush ruleset", BACK);
        assert!(!world.try_at(At::Server, "ip link show wg_main").status.success());
        world.ok(&["core", "start_service"]);
        world.begin_anew(At::Client1);
        world.reaches(At::Client1, INTERNET);
    });
}

#[test]
fn own_changes_are_not_answered() {
    in_world("watch::own_changes_are_not_answered", |world| {
        served(world);
        for number in 0..70 {
            let name = format!("client_name=c{number}");
            world.ok(&["core", "add_client", &name]);
            world.ok(&["core", "remove_client", &name]);
        }
        for _ in 0..10 {
            world.ok(&["core", "restart_service"]);
            world.ok(&["core", "stop_service"]);
            world.ok(&["core", "start_service"]);
            world.ok(&["core", "reconcile"]);
            world.ok(&["core", "setup", "port=4444"]);
            world.ok(&["core", "setup", "port=51820"]);
        }
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(asked(world), 0, "{}", log(world));
    });
}

#[test]
fn repeated_removal_is_not_fought() {
    in_world("watch::repeated_removal_is_not_fought", |world| {
        served(world);
        world.sh("(for i in $(seq 200); do nft flush ruleset; sleep 0.1; done) >/dev/null 2>&1 & wait");
        let times = asked(world);
        note("watch", &format!("{times} repairs in 20 s of 200 removals"));
        // At once, and after 1, 2, 4, 8 and 16 seconds: no more than six within the twenty.
        assert!((3..=6).contains(&times), "{times}\n{}", log(world));
        let named = wait_for(Duration::from_mins(1), || log(world).contains("something keeps removing"));
        assert!(named, "{}", log(world));
        let found = world.ok(&["core", "doctor"]);
        assert!(found.to_string().contains("the packet filter"), "{found:#}");
    });
}

#[test]
fn a_change_that_is_killed_is_finished() {
    in_world("watch::a_change_that_is_killed_is_finished", |world| {
        served(world);
        let mut call = signals::begin(&["core", "restart_service"]);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(call.id().try_into().unwrap()), Signal::SIGKILL)
            .unwrap();
        call.wait().unwrap();
        let began = Instant::now();
        let marker = || world.try_at(At::Server, "test -e /run/phantom-wg/changing").status.success();
        assert!(wait_for(BACK * 4, || !marker() && in_sync(world)), "{}", log(world));
        assert!(began.elapsed() <= BACK, "{:?}\n{}", began.elapsed(), log(world));
    });
}

/// Copies of the stored state hold the keys of clients that were removed since: `remove_client` says until when.
#[test]
fn copy_is_renewed_on_time_without_changes() {
    in_world("watch::copy_is_renewed_on_time_without_changes", |world| {
        served(world);
        let copies = "/opt/phantom-wg/backups/state";
        let count = |what: &str| world.sh(&format!("find {copies} -name '{what}' | wc -l")).trim().to_owned();
        assert!(wait_for(Duration::from_secs(10), || count("????-??-??.db") == "1"), "no copy is made");
        world.ok(&["core", "backup"]);
        let removed = world.ok(&["core", "remove_client", "client_name=two"]);
        assert!(removed["keys_kept_until"].is_string(), "{removed:#}");
        assert_eq!(asked(world), 0, "{}", log(world));
        // It becomes a week older, and somebody says so: the next change does.
        world.sh(&format!(
            "cd {copies}; mv ????-??-??.db 2020-01-01.db; touch -d 2020-01-01T10:00Z 2020-01-01.db; echo 1 > other"
        ));
        world.add("three");
        let replaced = || count("2020-01-01.db") == "0" && count("????-??-??.db") == "1";
        assert!(wait_for(BACK * 2, replaced), "{}\n{}", world.sh(&format!("ls -l {copies}")), log(world));
        assert_eq!(count("other"), "1", "what is no copy stays");
        std::thread::sleep(Duration::from_secs(3));
        assert!(asked(world) <= 1, "{}", log(world));
        let due: i64 = world.sh("cat /run/phantom-wg-watch/due").trim().parse().unwrap();
        let now: i64 = world.sh("date +%s%6N").trim().parse().unwrap();
        assert!(due > now, "it is due again at once: {due}");
    });
}

#[test]
fn replacement_of_our_rules_is_noticed() {
    in_world("watch::replacement_of_our_rules_is_noticed", |world| {
        served(world);
        // The same tables, chains and rules by name and number, of which one does something else.
        comes_back(
            world,
            "(echo flush ruleset; nft list ruleset | sed s/drop/accept/) > /tmp/saved.nft; nft -f /tmp/saved.nft",
            BACK,
        );
        // Somebody else's table that drops what passes: our accepts are repeated in it, and it is loaded once more.
        world.sh(
            "nft 'add table inet fw; add chain inet fw forward { type filter hook forward priority 10; policy drop; }'",
        );
        assert!(wait_for(BACK * 4, || in_sync(world)), "{}", log(world));
        world.reaches(At::Client1, INTERNET);
        rest();
        comes_back(world, "nft flush chain inet fw forward", BACK);
        world.reaches(At::Client1, INTERNET);
    });
}

#[test]
fn closed_port_is_opened_again() {
    in_world("watch::closed_port_is_opened_again", |world| {
        served(world);
        rest();
        for (close, undo) in [
            (
                "nft 'add table inet fw; add chain inet fw in { type filter hook input priority 10; policy drop; }'",
                "nft delete table inet fw",
            ),
            // A rule in a chain that was open until then.
            (
                "nft 'add table inet fw; add chain inet fw in { type filter hook input priority 10; }'; sleep 3
                 nft add rule inet fw in udp dport 51820 drop",
                "nft delete table inet fw",
            ),
        ] {
            world.sh(close);
            let open = || world.sh("nft list ruleset").contains("jump phantom_wg_input") && in_sync(world);
            assert!(wait_for(BACK * 4, open), "{close}\n{}", log(world));
            // A client that has no session yet gets in.
            world.begin_anew(At::Client1);
            world.reaches(At::Client1, INTERNET);
            // The owner loads his rules once more.
            rest();
            comes_back(world, "nft -f - <<'X'\nflush chain inet fw in\nadd rule inet fw in udp dport 51820 drop\nX\n", BACK);
            assert!(wait_for(BACK * 4, open), "{}", log(world));
            world.sh(undo);
            rest();
        }
    });
}

/// Somebody else's own changes are looked at, and are no reason to complain.
/// Refuses what comes by an interface that is not there yet.
const LATE: &str = "nft -f - <<'X'
table inet late {
	chain input { type filter hook input priority 5; policy accept; iifname \"late0\" udp dport 1024-65535 drop; }
}
X
";

/// At boot there may be no uplink yet, and later it may become another one: what that one needs is put there by itself.
#[test]
fn later_uplink_is_admitted() {
    in_world("watch::later_uplink_is_admitted", |world| {
        world.sh(LATE);
        world.sh("ip route del default");
        world.setup();
        let opened = || world.ok(&["core", "get_firewall_status"])["opened"].clone();
        assert_eq!(opened(), Value::Null, "nothing refuses what comes by the links that are there");
        assert!(watcher_runs(world), "{}", log(world));
        let comes = |script: &str, expected: &Value| {
            let began = Instant::now();
            world.sh(script);
            assert!(wait_for(BACK * 4, || opened() == *expected), "{script}: {:#}\n{}", opened(), log(world));
            let took = began.elapsed();
            note("watch", &format!("{script}: {} ms", took.as_millis()));
            assert!(took <= BACK && in_sync(world), "{took:?}");
        };
        let there = json!([{ "table": "nftables inet late", "chain": "input", "ports": ["51820/udp"] }]);
        comes(
            "ip link add late0 type veth peer name late1; ip link set late1 up; ip link set late0 up
             ip addr add 198.51.100.2/24 dev late0; ip route add default via 198.51.100.1 dev late0",
            &there,
        );
        rest();
        // The old one comes back, and is preferred.
        comes("ip route replace default via 203.0.113.1 dev eth0", &Value::Null);
    });
}

#[test]
fn rules_of_others_are_no_fight() {
    let test = "watch::rules_of_others_are_no_fight";
    in_world_with(test, &IPTABLES, |world| {
        if without_nftables(world, test, "legacy") {
            served(world);
            rest();
            for n in 0..7 {
                world.sh(&format!("iptables -A INPUT -s 198.51.100.{n} -j DROP"));
                std::thread::sleep(Duration::from_secs(6));
            }
            assert!(!log(world).contains("something keeps removing"), "{}", log(world));
            comes_back(world, "iptables -t nat -F; iptables -F", BACK_LEGACY);
        }
    });
}

/// Something on a server whose rules are in this variant of iptables.
fn on_iptables_do(test: &str, variant: &str, work: impl FnOnce(&TestNet)) {
    in_world_with(test, &IPTABLES, |world| {
        if without_nftables(world, test, variant) {
            served(world);
            work(world);
        }
    });
}

fn on_iptables(test: &str, variant: &str, limit: Duration) {
    on_iptables_do(test, variant, |world| {
        comes_back(world, "iptables -t nat -F; iptables -F", limit);
        rest();
        comes_back(world, "iptables -D FORWARD 1", limit);
        rest();
        comes_back(world, "iptables -I FORWARD 1 -j ACCEPT", limit);
        world.reaches(At::Client1, INTERNET);
    });
}

#[test]
fn rules_of_iptables_nft_come_back() {
    on_iptables("watch::rules_of_iptables_nft_come_back", "nft", BACK);
}

#[test]
fn rules_of_iptables_legacy_come_back() {
    on_iptables("watch::rules_of_iptables_legacy_come_back", "legacy", BACK_LEGACY);
}
