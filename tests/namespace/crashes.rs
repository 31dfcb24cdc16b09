//! A change that is killed at any point is finished or undone by the next one.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::faulty::{self, Ended};
use crate::look::{Look, assert_same_lines};
use crate::world::{TestNet, api, in_world, in_world_with, long, note, programs, setup_words};

/// Says that a change is under way.
const MARKER: &str = "/run/phantom-wg/changing";

/// An action whose killing is tried.
pub(crate) struct Victim {
    /// Its words; the number is another one each time.
    pub(crate) words: fn(u32) -> Vec<String>,
    /// Brings the server to where the action begins, from before or behind an earlier run of it.
    pub(crate) prepare: fn(&TestNet),
}

fn words(of: &[&str]) -> Vec<String> {
    of.iter().map(|word| (*word).to_owned()).collect()
}

fn shown(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// A server with three clients, one of them with a gap before it.
fn served(world: &TestNet) {
    world.setup();
    for name in ["one", "gap", "two", "three"] {
        world.ok(&["core", "add_client", &format!("client_name={name}")]);
    }
    world.ok(&["core", "remove_client", "client_name=gap"]);
}

/// The stored state without what every change moves.
fn settled(state: &str) -> String {
    let lines = state.lines().filter(|line| !line.contains("primary_dns") && !line.contains("dns_primary"));
    lines
        .map(|line| {
            line.split(' ').filter(|word| !word.starts_with("generation=")).collect::<Vec<_>>().join(" ")
                + "\n"
        })
        .collect()
}

/// Kills an action before each of its writes on the host, and behind the last one; in the long mode behind each. All
/// of them come before the commit, so that the state from before must stand again.
fn kill_everywhere(test: &str, world: &TestNet, victim: &Victim) {
    let mut number = 0;
    let mut next = || {
        number += 1;
        (number, (victim.words)(number))
    };
    (victim.prepare)(world);
    let writes = faulty::count(&shown(&next().1));
    assert!(writes > 0, "the action does nothing on the host");
    let before = (1..=writes).map(|write| format!("kill-before:{write}"));
    let behind = (if long() { 1 } else { writes }..=writes).map(|write| format!("kill-after:{write}"));
    let faults: Vec<String> = before.chain(behind).collect();
    note(test, &format!("{writes} writes, {} runs killed", faults.len()));
    for fault in faults {
        (victim.prepare)(world);
        world.in_sync();
        let start = world.look();
        let (number, words) = next();
        assert!(
            matches!(faulty::call(&fault, &shown(&words)), Ended::Killed),
            "{words:?} {fault}: was not killed"
        );
        world.ok(&["core", "list_clients"]); // who reads is not disturbed
        let what = format!("{words:?} {fault}");
        if number % 2 == 0 {
            heals_by_reconcile(world, &start, &words, &what);
        } else {
            heals_by_the_next_change(world, &start, number, &what);
        }
        world.in_sync();
    }
    world.add("last");
    world.in_sync();
}

#[track_caller]
fn heals_by_reconcile(world: &TestNet, start: &Look, words: &[String], what: &str) {
    let marked = Path::new(MARKER).exists();
    let recovered = |outcome: &str, report: &Value| {
        let recovered = &report["recovered"];
        if marked {
            let fields = (&recovered["module"], &recovered["action"], &recovered["outcome"]);
            assert_eq!(fields, (&json!(words[0]), &json!(words[1]), &json!(outcome)), "{what}: {report:#}");
            assert!(recovered["started_at"].is_string(), "{what}: {report:#}");
        } else {
            assert!(recovered.is_null(), "{what}: {report:#}");
        }
    };
    recovered("pending", &world.ok(&["core", "reconcile", "dry_run=true"]));
    recovered("undone", &world.ok(&["core", "reconcile"]));
    start.assert_same(&world.look(), what);
    assert!(!Path::new(MARKER).exists(), "{what}");
}

#[track_caller]
fn heals_by_the_next_change(world: &TestNet, start: &Look, number: u32, what: &str) {
    let marked = Path::new(MARKER).exists();
    let output =
        api().args(["dns", "change_dns_servers", &format!("primary=10.1.0.{number}")]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}{errors}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(errors.contains("cut short"), marked, "{what}: {errors}");
    let now = world.look();
    assert_same_lines(&start.host, &now.host, what);
    assert_same_lines(&settled(&start.state), &settled(&now.state), what);
    assert_eq!(world.ok(&["dns", "get_dns_servers"])["primary"], format!("10.1.0.{number}"), "{what}");
}

pub(crate) fn kill(test: &str, victim: &Victim) {
    in_world(test, |world| {
        served(world);
        kill_everywhere(test, world, victim);
    });
}

#[test]
fn add_client() {
    let words = |n| words(&["core", "add_client", &format!("client_name=new-{n}")]);
    kill("crashes::add_client", &Victim { words, prepare: |_| () });
}

#[test]
fn remove_client() {
    let prepare = |world: &TestNet| drop(world.call(&["core", "add_client", "client_name=victim"]));
    kill(
        "crashes::remove_client",
        &Victim { words: |_| words(&["core", "remove_client", "client_name=victim"]), prepare },
    );
}

fn restart_with_clients(world: &TestNet) {
    let setting = "setting_name=restart_service_after_client_creation";
    world.ok(&["core", "update_tweak_setting", setting, "value=true"]);
}

#[test]
fn add_client_with_a_restart() {
    let words = |n| words(&["core", "add_client", &format!("client_name=new-{n}")]);
    kill("crashes::add_client_with_a_restart", &Victim { words, prepare: restart_with_clients });
}

#[test]
fn remove_client_with_a_restart() {
    let prepare = |world: &TestNet| {
        world.call(&["core", "add_client", "client_name=victim"]);
        restart_with_clients(world);
    };
    let words = |_| words(&["core", "remove_client", "client_name=victim"]);
    kill("crashes::remove_client_with_a_restart", &Victim { words, prepare });
}

#[test]
fn change_subnet() {
    let prepare = |world: &TestNet| {
        drop(world.call(&["core", "change_subnet", "new_subnet=10.8.0.0/24", "confirm=true"]));
    };
    let words = |_| words(&["core", "change_subnet", "new_subnet=172.16.9.0/28", "confirm=true"]);
    kill("crashes::change_subnet", &Victim { words, prepare });
}

#[test]
fn setup_with_another_port() {
    let prepare = |world: &TestNet| drop(world.ok(&["core", "setup", "port=51820"]));
    kill(
        "crashes::setup_with_another_port",
        &Victim { words: |_| words(&["core", "setup", "port=443"]), prepare },
    );
}

#[test]
fn setup_with_another_backend() {
    let test = "crashes::setup_with_another_backend";
    in_world(test, |world| {
        let (one, other) = ("kernel", "embedded");
        served(world);
        if world.call(&["core", "setup", &format!("backend={one}")])["success"] != true {
            return phantom_tests::skip(test, "this kernel has no WireGuard");
        }
        if world.call(&["core", "setup", &format!("backend={other}")])["success"] != true {
            return phantom_tests::skip(test, "no /dev/net/tun");
        }
        let prepare = |world: &TestNet| drop(world.ok(&["core", "setup", "backend=kernel"]));
        kill_everywhere(
            test,
            world,
            &Victim { words: |_| words(&["core", "setup", "backend=embedded"]), prepare },
        );
    });
}

#[test]
fn setup_with_a_server_that_is_stopped() {
    let prepare = |world: &TestNet| {
        world.ok(&["core", "setup", "port=51820"]);
        world.ok(&["core", "stop_service"]);
    };
    kill(
        "crashes::setup_with_a_server_that_is_stopped",
        &Victim { words: |_| words(&["core", "setup", "port=443"]), prepare },
    );
}

#[test]
fn stop_service() {
    let prepare = |world: &TestNet| drop(world.ok(&["core", "start_service"]));
    kill("crashes::stop_service", &Victim { words: |_| words(&["core", "stop_service"]), prepare });
}

#[test]
fn start_service() {
    let prepare = |world: &TestNet| drop(world.ok(&["core", "stop_service"]));
    kill("crashes::start_service", &Victim { words: |_| words(&["core", "start_service"]), prepare });
}

#[test]
fn restart_service() {
    kill(
        "crashes::restart_service",
        &Victim { words: |_| words(&["core", "restart_service"]), prepare: |_| () },
    );
}

#[test]
fn reconcile() {
    let test = "crashes::reconcile";
    in_world(test, |world| {
        served(world);
        let good = world.look();
        let external_change = || {
            world.sh(
                "ip link del wg_main; nft delete table inet phantom_wg; rm /etc/wireguard/wg_main.conf /etc/sysctl.d/90-phantom-wg.conf
                 sysctl -qw net.ipv4.ip_forward=0; while [ -e /run/wireguard/wg_main.sock ]; do sleep 0.02; done",
            );
        };
        external_change();
        let writes = faulty::count(&["core", "reconcile"]);
        good.assert_same(&world.look(), "without a fault");
        note(test, &format!("{writes} writes, {} runs killed", writes + 1));
        let faults =
            (1..=writes).map(|write| format!("kill-before:{write}")).chain([format!("kill-after:{writes}")]);
        for fault in faults {
            external_change();
            assert!(matches!(faulty::call(&fault, &["core", "reconcile"]), Ended::Killed), "{fault}");
            // Every step is correct by itself; the next run takes the others.
            world.ok(&["core", "reconcile"]);
            good.assert_same(&world.look(), &fault);
            world.in_sync();
        }
    });
}

/// Takes away everything that a setup makes.
fn wipe(world: &TestNet) {
    world.sh(
        "for f in /run/phantom-wg/*.pid; do [ ! -e $f ] || kill -9 $(cut -d' ' -f1 $f) 2>/dev/null || true; done
         for p in $(grep -ls 'phantom-wg-devic[e]' /proc/[0-9]*/cmdline | cut -d/ -f3); do kill -9 $p 2>/dev/null || true; done
         ip link del wg_main 2>/dev/null || true; nft flush ruleset; sysctl -qw net.ipv4.ip_forward=0
         rm -rf /opt/phantom-wg /run/phantom-wg /etc/wireguard/wg_main.conf /etc/sysctl.d/90-phantom-wg.conf /run/wireguard/*",
    );
}

#[test]
fn the_first_setup() {
    let test = "crashes::the_first_setup";
    in_world(test, |world| {
        let (ip, backend) = setup_words();
        let setup = ["core", "setup", &ip, &backend];
        let foreign = world.foreign();
        let writes = faulty::count(&setup);
        note(test, &format!("{writes} writes, {} runs killed", writes + 1));
        let faults =
            (1..=writes).map(|write| format!("kill-before:{write}")).chain([format!("kill-after:{writes}")]);
        for fault in faults {
            wipe(world);
            assert!(matches!(faulty::call(&fault, &setup), Ended::Killed), "{fault}");
            for other in [
                &["core", "list_clients"][..],
                &["dns", "change_dns_servers", "primary=1.1.1.1"],
                &["core", "reconcile"],
            ] {
                let answer = world.call(other);
                assert_eq!(answer["code"], "NOT_INITIALIZED", "{fault}: {other:?}: {answer:#}");
            }
            let done = world.ok(&setup);
            assert_eq!(done["created"], true, "{fault}: {done:#}");
            world.in_sync();
            assert_same_lines(&foreign, &world.foreign(), &fault);
            assert!(!Path::new(MARKER).exists(), "{fault}");
            let (_, key) = (world.add("one"), world.sh("wg show wg_main public-key"));
            assert_eq!(done["public_key"], key.trim(), "{fault}");
            world.in_sync();
        }
    });
}

#[test]
fn a_change_that_was_committed_is_completed() {
    in_world("crashes::a_change_that_was_committed_is_completed", |world| {
        served(world);
        for (words, back) in [
            (["core", "setup", "port=443"], ["core", "setup", "port=51820"]),
            (["core", "setup", "port=53"], ["core", "setup", "port=51820"]),
        ] {
            let writes = faulty::count(&words);
            world.ok(&back);
            assert!(matches!(faulty::call(&format!("kill-after:{writes}"), &words), Ended::Killed));
            let marker = std::fs::read(MARKER).unwrap();
            world.ok(&words); // heals, and does it again
            std::fs::write(MARKER, &marker).unwrap();
            // Killed behind its commit, before all of the host had followed.
            world.sh("nft flush ruleset; wg set wg_main listen-port 9999");
            let done = world.ok(&["core", "reconcile"]);
            assert_eq!(done["recovered"]["outcome"], "completed", "{done:#}");
            assert_eq!(
                (&done["recovered"]["action"], &done["changed"]),
                (&json!("setup"), &json!(true)),
                "{done:#}"
            );
            let port = words[2].strip_prefix("port=").unwrap();
            assert_eq!(world.sh("wg show wg_main listen-port").trim(), port);
            world.in_sync();
            world.ok(&back);
        }
    });
}

/// System calls by which a process leaves something behind.
const CALLS: &str = "write,pwrite64,writev,sendto,sendmsg,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,\
                     fsync,fdatasync,ftruncate,fchmod,chmod,ioctl,clone,clone3,vfork,flock,openat";

/// So many of the last calls of a program are never left out.
const LAST_CALLS: usize = 12;

#[test]
fn at_every_system_call() {
    let test = "crashes::at_every_system_call";
    in_world_with(test, &["strace"], |world| {
        served(world);
        let exe = programs().join("phantom-api");
        let exe = exe.to_str().unwrap();
        let actions: [fn(&TestNet, u32) -> Vec<String>; 5] = [
            |_, n| words(&["core", "add_client", &format!("client_name=new-{n}")]),
            |_, n| {
                words(&["dns", "change_dns_servers", &format!("primary=10.2.{}.{}", n / 250, n % 250 + 1)])
            },
            |_, n| {
                let value = ["value=true", "value=false"][n as usize % 2];
                words(&["core", "update_tweak_setting", "setting_name=block_ipv6_leak", value])
            },
            |world, _| {
                let away = world.ok(&["core", "get_subnet_info"])["current_subnet"] == "10.8.0.0/24";
                let subnet = if away { "new_subnet=10.9.0.0/24" } else { "new_subnet=10.8.0.0/24" };
                words(&["core", "change_subnet", subnet, "confirm=true"])
            },
            |_, _| words(&["core", "restart_service"]),
        ];
        let mut number = 0;
        let (mut undone, mut completed, mut killed) = (0, 0, 0);
        for action in actions {
            number += 1;
            let all = action(world, number);
            world.sh(&format!(
                "strace -qq -o /run/trace -e trace={CALLS} {exe} {} > /dev/null",
                all.join(" ")
            ));
            let calls = calls_of(&std::fs::read_to_string("/run/trace").unwrap());
            let stride = if long() { 1 } else { (calls.len() / 30).max(1) };
            note(test, &format!("{}: {} system calls, killed at every {stride}.", all[1], calls.len()));
            // Behind the commit there are few calls: each of them counts.
            let chosen = |at: &usize| at.is_multiple_of(stride) || *at < LAST_CALLS;
            let calls = calls.iter().rev().enumerate().filter(|(at, _)| chosen(at));
            for (_, (call, times)) in calls {
                number += 1;
                let all = action(world, number);
                let start = world.look();
                let mut strace = std::process::Command::new("strace");
                strace.args(["-qq", "-o", "/run/trace", "-e", &format!("trace={CALLS}")]);
                strace.args(["-e", &format!("inject={call}:signal=SIGKILL:when={times}"), exe]);
                let output = strace.args(&all).stdin(Stdio::null()).output().unwrap();
                if output.status.signal() != Some(9) {
                    // It answered before it came to that call.
                    continue;
                }
                killed += 1;
                let what = format!("{all:?} killed at {call} number {times}");
                let healed = world.ok(&["core", "reconcile"]);
                let now = world.look();
                // Every commit counts on, so that equal states mean that there was none.
                if start.state == now.state {
                    undone += u32::from(healed["recovered"]["outcome"] == "undone");
                    assert_ne!(healed["recovered"]["outcome"], "completed", "{what}: {healed:#}");
                    assert_same_lines(&start.host, &now.host, &what);
                } else {
                    completed += u32::from(healed["recovered"]["outcome"] == "completed");
                    assert_ne!(healed["recovered"]["outcome"], "undone", "{what}: {healed:#}");
                    assert!(done(world, &all), "{what}: half a change is stored\n{}", now.state);
                }
                world.in_sync();
                assert_eq!(contradictions(), [], "{what}");
                let service = &world.ok(&["core", "server_status"])["service"];
                assert_eq!(service["running"], true, "{what}: {service:#}");
            }
        }
        note(
            test,
            &format!(
                "{killed} runs killed; {undone} were undone, {completed} completed, the others had not begun or were complete"
            ),
        );
        assert!(undone > 0 && completed > 0, "no run was killed amid its change, or none behind its commit");
        world.add("last");
        world.in_sync();
    });
}

/// The system calls of a trace in their order, each with how often it has been made by then.
fn calls_of(trace: &str) -> Vec<(String, usize)> {
    let mut times = BTreeMap::new();
    let mut calls = Vec::new();
    for (name, _) in trace.lines().filter_map(|line| line.split_once('(')) {
        let count = times.entry(name.to_owned()).or_insert(0);
        *count += 1;
        calls.push((name.to_owned(), *count));
    }
    calls
}

/// Whether an action is done completely, as far as the stored state shows.
fn done(world: &TestNet, words: &[String]) -> bool {
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)).unwrap().to_owned();
    match words[1].as_str() {
        "add_client" => {
            world.call(&["core", "export_client", &format!("client_name={}", value("client_name="))])["success"]
                == true
        }
        "change_dns_servers" => world.ok(&["dns", "get_dns_servers"])["primary"] == value("primary="),
        "update_tweak_setting" => {
            world.ok(&["core", "get_tweak_settings"])["block_ipv6_leak"] == (value("value=") == "true")
        }
        "change_subnet" => world.ok(&["core", "get_subnet_info"])["current_subnet"] == value("new_subnet="),
        _ => true,
    }
}

fn contradictions() -> Vec<phantom_types::Said> {
    let store = phantom_store::Store::new(phantom_store::Paths::default());
    store.read(phantom_store::State::contradictions).unwrap()
}

#[test]
fn at_any_moment() {
    let test = "crashes::at_any_moment";
    in_world(test, |world| {
        served(world);
        let begin = Instant::now();
        world.ok(&["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"]);
        world.ok(&["core", "change_subnet", "new_subnet=10.8.0.0/24", "confirm=true"]);
        let usual = begin.elapsed() / 2;
        let rounds = if long() { 200 } else { 30 };
        let mut killed = 0;
        for round in 0..rounds {
            let subnet = ["new_subnet=10.9.0.0/24", "new_subnet=10.8.0.0/24"][round as usize % 2];
            let all = ["core", "change_subnet", subnet, "confirm=true"];
            let mut child = api().args(all).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // Somewhere in its run: the moments are spread over the time that it usually takes.
            std::thread::sleep(usual * round / rounds + Duration::from_millis(1));
            let _ = child.kill();
            killed += u32::from(child.wait().unwrap().signal() == Some(9));
            world.ok(&["core", "add_client", &format!("client_name=c{round}")]);
            world.in_sync();
            assert_eq!(contradictions(), []);
            world.ok(&["core", "remove_client", &format!("client_name=c{round}")]);
        }
        note(test, &format!("{killed} of {rounds} runs were killed"));
        assert!(killed > 0);
        let list = world.ok(&["core", "list_clients"]);
        assert_eq!(list["total"], 3, "{list:#}");
    });
}
