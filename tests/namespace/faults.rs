//! What the host refuses changes nothing, and says so.

use std::net::UdpSocket;
use std::path::Path;

use serde_json::{Value, json};

use crate::faulty::{self, Ended};
use crate::look::{DATABASE, assert_same_lines};
use crate::world::{TestNet, backend, in_world, note, setup_words};

/// Says that a change is under way.
const MARKER: &str = "/run/phantom-wg/changing";

/// A server with three clients.
fn served(world: &TestNet) {
    world.setup();
    for name in ["one", "two", "three"] {
        world.ok(&["core", "add_client", &format!("client_name={name}")]);
    }
}

/// An action whose writes are refused.
pub(crate) struct Refused<'a> {
    /// Its words.
    pub(crate) words: &'a [&'a str],
    /// The code of its error.
    pub(crate) code: &'a str,
    /// Brings the server to where the action begins, from before or behind an earlier run of it.
    pub(crate) prepare: fn(&TestNet),
}

#[track_caller]
fn refused_at(fault: &str, words: &[&str]) -> Value {
    match faulty::call(fault, words) {
        Ended::Answered { answer, .. } => answer,
        Ended::Killed => panic!("{words:?} {fault}: killed"),
    }
}

/// Refuses every write in turn. After each, host and stored state must be as before, and the answer must say so.
fn refuse_each(test: &str, world: &TestNet, refused: &Refused<'_>) {
    let words = refused.words;
    (refused.prepare)(world);
    let writes = faulty::count(words);
    assert!(writes > 0, "the action does nothing on the host");
    note(test, &format!("{writes} writes, each refused alone and with all behind it"));
    let mut touched = false;
    for write in 1..=writes {
        (refused.prepare)(world);
        world.in_sync();
        let (before, kept) = (world.look(), backups(world));
        let what = format!("{words:?} refuse:{write}");
        let answer = refused_at(&format!("refuse:{write}"), words);
        assert!(
            answer["error"].as_str().unwrap_or_default().contains("refused by the test"),
            "{what}: {answer:#}"
        );
        // A backup that cannot be written is a file that cannot be written; the host has not been touched yet.
        if !touched && answer["code"] == "CONFIG_ERROR" {
            assert!(
                answer["data"]["file"].as_str().unwrap().starts_with("/opt/phantom-wg/backups"),
                "{what}: {answer:#}"
            );
            assert_eq!(kept, backups(world), "{what}: half a backup is left");
        } else {
            touched = true;
            assert_eq!(answer["code"], refused.code, "{what}: {answer:#}");
            assert_eq!(answer["data"]["rolled_back"], true, "{what}: {answer:#}");
        }
        before.assert_same(&world.look(), &what);
        world.in_sync();
    }
    assert!(touched, "{words:?}: the host was never touched");
    refuse_from_each(world, refused, writes);
    (refused.prepare)(world);
    world.ok(words);
    world.in_sync();
}

/// Refuses each write and all behind it: nothing can be rolled back. Then the answer must say so, and the next change
/// finishes it.
fn refuse_from_each(world: &TestNet, refused: &Refused<'_>, writes: usize) {
    let mut partly = 0;
    for write in 1..=writes {
        (refused.prepare)(world);
        let before = world.look();
        let what = format!("{:?} refuse-from:{write}", refused.words);
        let answer = refused_at(&format!("refuse-from:{write}"), refused.words);
        assert_eq!(answer["success"], false, "{what}: {answer:#}");
        let now = world.look();
        assert_same_lines(&before.state, &now.state, &what);
        match answer["data"]["rolled_back"].as_bool() {
            Some(false) => {
                partly += 1;
                assert!(Path::new(MARKER).exists(), "{what}: nothing says that something is left to do");
            }
            Some(true) => before.assert_same(&now, &what),
            None => assert_eq!(answer["code"], "CONFIG_ERROR", "{what}: {answer:#}"),
        }
        let healed = world.ok(&["core", "reconcile"]);
        let wanted = if answer["data"]["rolled_back"] == false { json!("undone") } else { Value::Null };
        assert_eq!(healed["recovered"]["outcome"], wanted, "{what}: {healed:#}");
        before.assert_same(&world.look(), &what);
        world.in_sync();
    }
    assert!(partly > 0 || writes < 2, "it was always rolled back, with a host that refuses everything");
}

fn backups(world: &TestNet) -> String {
    world.sh("find /opt/phantom-wg/backups | sort")
}

pub(crate) fn refuse(test: &str, refused: &Refused<'_>) {
    in_world(test, |world| {
        served(world);
        refuse_each(test, world, refused);
    });
}

#[test]
fn add_client_refused() {
    let prepare = |world: &TestNet| drop(world.call(&["core", "remove_client", "client_name=new"]));
    let words = &["core", "add_client", "client_name=new"];
    refuse("faults::add_client_refused", &Refused { words, code: "SERVICE_OPERATION_FAILED", prepare });
}

#[test]
fn remove_client_refused() {
    let prepare = |world: &TestNet| drop(world.call(&["core", "add_client", "client_name=new"]));
    let words = &["core", "remove_client", "client_name=new"];
    refuse("faults::remove_client_refused", &Refused { words, code: "SERVICE_OPERATION_FAILED", prepare });
}

#[test]
fn add_client_with_a_restart_refused() {
    let prepare = |world: &TestNet| {
        world.call(&["core", "remove_client", "client_name=new"]);
        let setting = "setting_name=restart_service_after_client_creation";
        world.ok(&["core", "update_tweak_setting", setting, "value=true"]);
    };
    let words = &["core", "add_client", "client_name=new"];
    refuse(
        "faults::add_client_with_a_restart_refused",
        &Refused { words, code: "SERVICE_OPERATION_FAILED", prepare },
    );
}

#[test]
fn change_subnet_refused() {
    let prepare = |world: &TestNet| {
        drop(world.call(&["core", "change_subnet", "new_subnet=10.8.0.0/24", "confirm=true"]));
    };
    let words = &["core", "change_subnet", "new_subnet=10.77.0.0/24", "confirm=true"];
    refuse("faults::change_subnet_refused", &Refused { words, code: "NETWORK_ERROR", prepare });
}

#[test]
fn setup_with_another_port_refused() {
    let prepare = |world: &TestNet| drop(world.ok(&["core", "setup", "port=51820"]));
    let words = &["core", "setup", "port=443"];
    refuse(
        "faults::setup_with_another_port_refused",
        &Refused { words, code: "SERVICE_OPERATION_FAILED", prepare },
    );
}

#[test]
fn stop_service_refused() {
    let prepare = |world: &TestNet| drop(world.ok(&["core", "start_service"]));
    let words = &["core", "stop_service"];
    refuse("faults::stop_service_refused", &Refused { words, code: "SERVICE_OPERATION_FAILED", prepare });
}

#[test]
fn start_service_refused() {
    let prepare = |world: &TestNet| drop(world.ok(&["core", "stop_service"]));
    let words = &["core", "start_service"];
    refuse("faults::start_service_refused", &Refused { words, code: "SERVICE_OPERATION_FAILED", prepare });
}

#[test]
fn restart_service_refused() {
    let words = &["core", "restart_service"];
    refuse(
        "faults::restart_service_refused",
        &Refused { words, code: "SERVICE_OPERATION_FAILED", prepare: |_| () },
    );
}

#[test]
fn the_first_setup_refused() {
    let test = "faults::the_first_setup_refused";
    in_world(test, |world| {
        let (ip, backend) = setup_words();
        let setup = ["core", "setup", &ip, &backend];
        let mut write = 0;
        loop {
            write += 1;
            let what = format!("refuse:{write}");
            let installed = "/opt/phantom-wg"; // the directories of the installation stay
            let before = world.look().without(installed);
            let answer = refused_at(&what, &setup);
            if answer["success"] == true {
                break;
            }
            assert_eq!(answer["code"], "SERVICE_OPERATION_FAILED", "{what}: {answer:#}");
            assert_eq!(answer["data"]["rolled_back"], true, "{what}: {answer:#}");
            before.assert_same(&world.look().without(installed), &what);
            world.fails(&["core", "list_clients"], "NOT_INITIALIZED");
        }
        note(test, &format!("{} writes, each refused", write - 1));
        assert!(write > 10, "{write}");
        world.in_sync();
    });
}

#[test]
fn refused_reconcile_reports_its_progress() {
    in_world("faults::refused_reconcile_reports_its_progress", |world| {
        served(world);
        let good = world.look();
        let external_change = "ip addr flush dev wg_main scope global; nft delete table inet phantom_wg; rm /etc/wireguard/wg_main.conf
                        sysctl -qw net.ipv4.ip_forward=0; for k in $(wg show wg_main peers); do wg set wg_main peer $k remove; done";
        world.sh(external_change);
        let planned = world.ok(&["core", "reconcile", "dry_run=true"])["steps"].as_array().unwrap().len();
        let writes = faulty::count(&["core", "reconcile"]);
        for write in 1..=writes {
            world.sh(external_change);
            let answer = refused_at(&format!("refuse:{write}"), &["core", "reconcile"]);
            assert_eq!(answer["code"], "SERVICE_OPERATION_FAILED", "{answer:#}");
            assert_eq!(answer["data"]["rolled_back"], false, "{answer:#}");
            let steps = answer["data"]["steps"].as_array().unwrap();
            let results: Vec<&str> = steps.iter().map(|step| step["result"].as_str().unwrap()).collect();
            let applied = results.iter().take_while(|result| **result == "applied").count();
            assert_eq!((results.len(), results[applied]), (planned, "failed"), "{answer:#}");
            assert!(results[applied + 1..].iter().all(|result| *result == "planned"), "{answer:#}");
            world.ok(&["core", "reconcile"]);
            good.assert_same(&world.look(), &format!("refuse:{write}"));
        }
    });
}

/// Every change of the kinds that touch the host, the state, and both.
const CHANGES: [&[&str]; 7] = [
    &["core", "add_client", "client_name=new"],
    &["core", "remove_client", "client_name=one"],
    &["core", "change_subnet", "new_subnet=10.66.0.0/24", "confirm=true"],
    &["core", "setup", "port=4443"],
    &["core", "stop_service"],
    &["core", "update_tweak_setting", "setting_name=block_ipv6_leak", "value=false"],
    &["dns", "change_dns_servers", "primary=9.9.9.9"],
];

/// That a failed call names a file below `dir` or says that the host did not follow, and that it changed nothing.
#[track_caller]
fn assert_refused(world: &TestNet, words: &[&str], dir: &str) {
    let before = world.look();
    let kept = backups(world);
    let answer = world.call(words);
    let code = answer["code"].as_str().unwrap_or_default();
    match code {
        "CONFIG_ERROR" => {
            assert!(answer["data"]["file"].as_str().unwrap().starts_with(dir), "{words:?}: {answer:#}");
        }
        "SERVICE_OPERATION_FAILED" | "NETWORK_ERROR" => {
            assert_eq!(answer["data"]["rolled_back"], true, "{words:?}: {answer:#}");
            assert!(answer["error"].as_str().unwrap().contains(dir), "{words:?}: {answer:#}");
        }
        _ => panic!("{words:?}: {answer:#}"),
    }
    before.assert_same(&world.look(), &format!("{words:?}"));
    assert!(code != "CONFIG_ERROR" || kept == backups(world), "{words:?}: half a backup is left");
    assert!(!Path::new(MARKER).exists(), "{words:?}");
}

/// Tries everything while something is in the way, and again when it is gone.
#[track_caller]
fn refused_until(world: &TestNet, dir: &str, way_free: &str, changes: &[&[&str]]) {
    for words in changes {
        assert_refused(world, words, dir);
    }
    for words in [
        &["core", "list_clients"][..],
        &["core", "export_client", "client_name=one"],
        &["core", "server_status"],
    ] {
        world.ok(words);
    }
    world.sh(way_free);
    world.in_sync();
    for words in changes {
        world.ok(words);
        world.in_sync();
    }
}

#[test]
fn a_full_disk() {
    in_world("faults::a_full_disk", |world| {
        world.sh("mkdir -p /opt/phantom-wg; mount -t tmpfs -o size=2m,mode=755 small /opt/phantom-wg");
        served(world);
        world.sh("dd if=/dev/zero of=/opt/phantom-wg/logs/filler bs=4096 2>/dev/null || true");
        assert!(world.sh("df --output=avail /opt/phantom-wg").trim().ends_with('0'));
        // What the host does not have to follow is stored if the log has the space already.
        let (with_host, without_host) = CHANGES.split_at(5);
        refused_until(world, "/opt/phantom-wg", "rm /opt/phantom-wg/logs/filler", with_host);
        world.sh("dd if=/dev/zero of=/opt/phantom-wg/logs/filler bs=4096 2>/dev/null || true");
        for words in without_host {
            let before = world.look();
            if world.call(words)["success"] == false {
                before.assert_same(&world.look(), &format!("{words:?}"));
            }
            world.in_sync();
        }
    });
}

#[test]
fn disk_fills_up_while_adding_clients() {
    in_world("faults::disk_fills_up_while_adding_clients", |world| {
        world.sh("mkdir -p /opt/phantom-wg; mount -t tmpfs -o size=1m,mode=755 small /opt/phantom-wg");
        served(world);
        world.sh("truncate -s 0 /opt/phantom-wg/logs/*");
        world.sh("dd if=/dev/zero of=/opt/phantom-wg/filler bs=4096 2>/dev/null || true; truncate -s -60000 /opt/phantom-wg/filler");
        let mut added = 0;
        let refused = loop {
            let answer = world.call(&["core", "add_client", &format!("client_name=c{added}")]);
            if answer["success"] != true {
                break answer;
            }
            added += 1;
            assert!(added < 300, "the disk does not fill up");
        };
        assert_eq!(refused["code"], "CONFIG_ERROR", "{refused:#}");
        assert!(refused["data"]["file"].as_str().unwrap().starts_with(DATABASE), "{refused:#}");
        assert_eq!(world.ok(&["core", "list_clients"])["total"], added + 3);
        world.in_sync();
        world.sh("rm /opt/phantom-wg/filler");
        world.add("last");
        world.in_sync();
    });
}

#[test]
fn an_installation_that_cannot_be_written() {
    in_world("faults::an_installation_that_cannot_be_written", |world| {
        served(world);
        world.sh("mount --bind /opt/phantom-wg /opt/phantom-wg; mount -o remount,bind,ro /opt/phantom-wg");
        refused_until(world, "/opt/phantom-wg", "umount /opt/phantom-wg", &CHANGES);
    });
}

#[test]
fn wireguard_directory_cannot_be_written() {
    in_world("faults::wireguard_directory_cannot_be_written", |world| {
        served(world);
        world.sh("mount --bind /etc/wireguard /etc/wireguard; mount -o remount,bind,ro /etc/wireguard");
        // What only concerns the stored state goes through.
        world.ok(&["dns", "change_dns_servers", "primary=9.9.9.9"]);
        refused_until(world, "/etc/wireguard", "umount /etc/wireguard", &CHANGES[..4]);
    });
}

#[test]
fn a_run_directory_that_cannot_be_written() {
    in_world("faults::a_run_directory_that_cannot_be_written", |world| {
        served(world);
        world.sh("mount --bind /run/phantom-wg /run/phantom-wg; mount -o remount,bind,ro /run/phantom-wg");
        refused_until(world, "/run/phantom-wg", "umount /run/phantom-wg", &CHANGES[..4]);
    });
}

/// Spoils the database, and wants every call to name it and to leave it as it is.
#[track_caller]
fn unreadable(world: &TestNet, spoil: &str) {
    let host = world.host();
    world.sh("cp -a /opt/phantom-wg/data /run/kept");
    world.sh(spoil);
    // An empty log beside it holds nothing.
    let content = || {
        world.sh("cd /opt/phantom-wg/data; find . -empty -name '*-wal' -delete; stat -c '%n %s %F %i' *; cat * 2>/dev/null | md5sum")
    };
    let before = content();
    let (ip, backend) = setup_words();
    let reads: [&[&str]; 4] = [
        &["core", "list_clients"],
        &["core", "server_status"],
        &["core", "reconcile", "dry_run=true"],
        &["core", "setup", &ip, &backend],
    ];
    for words in reads.iter().chain(&CHANGES) {
        let answer = world.fails(words, "CONFIG_ERROR");
        assert_eq!(answer["data"]["file"], DATABASE, "{spoil}: {words:?}: {answer:#}");
        assert!(answer["error"].as_str().unwrap().contains(DATABASE), "{spoil}: {words:?}: {answer:#}");
    }
    assert_eq!(before, content(), "{spoil}: the file was changed");
    assert_same_lines(&host, &world.host(), spoil);
    world.sh("rm -r /opt/phantom-wg/data; cp -a /run/kept /opt/phantom-wg/data; rm -r /run/kept");
    world.in_sync();
}

#[test]
fn unusable_database_is_left_alone() {
    in_world("faults::unusable_database_is_left_alone", |world| {
        served(world);
        // Everything in the one file, so that there is nothing to restore it from.
        let settle = || {
            let connection = rusqlite::Connection::open(DATABASE).unwrap();
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
        };
        settle();
        unreadable(world, "head -c 20000 /dev/urandom > /opt/phantom-wg/data/phantom.db");
        unreadable(
            world,
            "dd if=/dev/urandom of=/opt/phantom-wg/data/phantom.db bs=1 count=64 conv=notrunc 2>/dev/null",
        );
        unreadable(world, "truncate -s 0 /opt/phantom-wg/data/phantom.db");
        unreadable(world, "truncate -s 5000 /opt/phantom-wg/data/phantom.db");
        unreadable(world, "echo 'not a database' > /opt/phantom-wg/data/phantom.db");
        unreadable(world, "cd /opt/phantom-wg/data; rm phantom.db*; mkdir phantom.db");
        // The version of the schema: bytes 60 to 63 of the file.
        let newer = r"printf '\000\000\000\143' | dd of=/opt/phantom-wg/data/phantom.db bs=1 seek=60 conv=notrunc 2>/dev/null";
        unreadable(world, newer);
        world.add("new");
        world.in_sync();
    });
}

#[test]
fn an_interface_that_somebody_else_took_meanwhile() {
    in_world("faults::an_interface_that_somebody_else_took_meanwhile", |world| {
        served(world);
        world.ok(&["core", "stop_service"]);
        world.sh("ip link add wg_main type veth peer name other; ip link set wg_main up; ip addr add 172.25.0.1/24 dev wg_main");
        let link = || world.sh("ip -o addr show wg_main; ip -d link show wg_main | grep -o veth");
        let (before, state) = (link(), world.look().state);
        world.in_sync(); // nothing of ours shall run, so that it is in nobody's way
        for words in [["core", "start_service"], ["core", "restart_service"]] {
            let answer = world.fails(&words, "SERVICE_OPERATION_FAILED");
            assert!(answer["error"].as_str().unwrap().contains("wg_main"), "{answer:#}");
            assert_eq!(answer["data"]["rolled_back"], true, "{answer:#}");
            assert_eq!((&before, &state), (&link(), &world.look().state), "{words:?}");
        }
        world.ok(&["core", "add_client", "client_name=new"]);
        world.ok(&["core", "setup", "port=443"]);
        assert_eq!(before, link());
        world.sh("ip link del wg_main");
        world.ok(&["core", "start_service"]);
        world.in_sync();
    });
}

#[test]
fn a_port_that_somebody_else_took_meanwhile() {
    in_world("faults::a_port_that_somebody_else_took_meanwhile", |world| {
        served(world);
        world.ok(&["core", "stop_service"]);
        let before = world.look();
        for address in ["0.0.0.0:51820", "203.0.113.5:51820", "[::]:51820"] {
            let socket = UdpSocket::bind(address).unwrap();
            for action in ["start_service", "restart_service"] {
                let answer = world.fails(&["core", action], "PORT_IN_USE");
                assert_eq!(answer["data"], json!({ "port": 51820, "protocol": "udp" }), "{answer:#}");
                before.assert_same(&world.look(), action);
            }
            drop(socket);
        }
        world.ok(&["core", "start_service"]);
        world.in_sync();
    });
}

#[test]
fn device_cannot_be_created_again() {
    let test = "faults::device_cannot_be_created_again";
    in_world(test, |world| {
        if backend() == "kernel" {
            return phantom_tests::skip(test, "the kernel's WireGuard needs no device file");
        }
        served(world);
        let before = world.look();
        world.sh("mount --bind /dev/null /dev/net/tun");
        // The old device is gone and no new one can be made: it cannot be rolled back, and the answer says so.
        let answer = world.fails(&["core", "restart_service"], "SERVICE_OPERATION_FAILED");
        assert_eq!(answer["data"]["rolled_back"], false, "{answer:#}");
        assert_eq!(before.state, world.look().state);
        world.fails(&["core", "add_client", "client_name=new"], "SERVICE_OPERATION_FAILED");
        assert_eq!(before.state, world.look().state);
        assert_eq!(world.ok(&["core", "server_status"])["service"]["running"], false);
        world.sh("umount /dev/net/tun");
        // The next change finishes what was begun.
        world.ok(&["core", "add_client", "client_name=new"]);
        world.in_sync();
        world.ok(&["core", "remove_client", "client_name=new"]);
        assert_same_lines(&before.host, &world.host(), test);
    });
}
