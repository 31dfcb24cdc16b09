//! A disk that is full, and one that is read-only: nobody is cut off, everything can be read, and a client can be
//! removed.

use std::time::Duration;

use serde_json::Value;

use crate::ping::Steady;
use crate::world::{At, TestNet, in_world, wait_for};

/// The installation and the files for `wg` on one small disk of their own, with room for what the server keeps back.
const SMALL_DISK: &str = "mkdir -p /opt/phantom-wg /etc/wireguard
    mount -t tmpfs -o size=8m,mode=755 small /opt/phantom-wg
    mkdir -m 700 /opt/phantom-wg/etc-wireguard; mount --bind /opt/phantom-wg/etc-wireguard /etc/wireguard";

/// Takes up every byte that is left.
const FILL: &str = "dd if=/dev/zero of=/opt/phantom-wg/filler bs=4096 2>/dev/null || true
    dd if=/dev/zero of=/opt/phantom-wg/filler2 bs=1 2>/dev/null || true; df /opt/phantom-wg | tail -n 1 | grep -q 100%";

/// Removes what took it up.
const FREE: &str = "rm /opt/phantom-wg/filler*";

/// Lets nobody write to the installation; `umount` ends it.
const READ_ONLY: &str =
    "mount --bind /opt/phantom-wg /opt/phantom-wg; mount -o remount,bind,ro /opt/phantom-wg";

/// A server on a small disk with two clients, of which the first one is connected.
fn served(world: &TestNet) {
    world.sh(SMALL_DISK);
    world.setup();
    let config = world.add("one");
    world.ok(&["core", "add_client", "client_name=lost"]);
    world.connect(At::Client1, &config);
    world.reaches(At::Client1, "10.8.0.1");
}

/// A call during which no packet of the connected client is lost, whatever its answer.
#[track_caller]
fn uncut(world: &TestNet, words: &[&str]) -> Value {
    let link = || world.sh("cat /sys/class/net/wg_main/ifindex");
    let before = link();
    let ping = Steady::start(At::Client1, "10.8.0.1", Duration::from_millis(20));
    assert!(wait_for(Duration::from_secs(10), || ping.sent() > 5));
    let answer = world.call(words);
    let (sent, answered) = ping.stop();
    assert_eq!((sent - answered, link()), (0, before), "{words:?}: packets lost, link: {answer:#}");
    answer
}

fn names(world: &TestNet) -> Vec<String> {
    let list = world.ok(&["core", "list_clients"]);
    list["clients"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

/// What a boot leaves behind: the disk.
fn boot(world: &TestNet) {
    world.sh(
        "[ ! -e /run/phantom-wg/wg-quick@wg_main.pid ] || kill -9 $(cut -d' ' -f1 /run/phantom-wg/wg-quick@wg_main.pid)
         ip link del wg_main 2>/dev/null || true; nft flush ruleset; sysctl -qw net.ipv4.ip_forward=0
         rm -rf /run/phantom-wg /run/wireguard/wg_main.sock",
    );
    assert!(wait_for(Duration::from_secs(30), || !world.sh("ip -br link").contains("wg_main")));
    // The boot unit runs exactly this.
    world.ok(&["core", "reconcile"]);
}

#[test]
fn unstorable_change_disconnects_nobody() {
    in_world("full_disk::unstorable_change_disconnects_nobody", |world| {
        served(world);
        world.sh(FILL);
        for words in [
            &["core", "stop_service"][..],
            &["core", "setup", "port=4443"],
            &["core", "change_subnet", "new_subnet=10.66.0.0/24", "confirm=true"],
            &["core", "add_client", "client_name=new"],
        ] {
            let before = world.look();
            let answer = uncut(world, words);
            assert_eq!(answer["code"], "CONFIG_ERROR", "{words:?}: {answer:#}");
            before.assert_same(&world.look(), &format!("{words:?}"));
        }
        // Nothing is stored by a restart.
        world.ok(&["core", "restart_service"]);
        world.begin_anew(At::Client1);
        world.reaches(At::Client1, "10.8.0.1");
        world.sh(FREE);
        world.ok(&["core", "stop_service"]);
        world.ok(&["core", "start_service"]);
        world.in_sync();
    });
}

#[test]
fn client_is_removed_on_a_full_disk() {
    in_world("full_disk::client_is_removed_on_a_full_disk", |world| {
        served(world);
        world.sh(FILL);
        for reading in ["list_clients", "server_status", "get_subnet_info", "doctor"] {
            world.ok(&["core", reading]);
        }
        let answer = uncut(world, &["core", "remove_client", "client_name=lost"]);
        assert_eq!(answer["success"], true, "{answer:#}");
        world.in_sync();
        boot(world);
        assert_eq!(names(world), ["one"]);
        let file = world.sh("cat /etc/wireguard/wg_main.conf");
        assert!(!file.contains("client lost"), "{file}");
        world.in_sync();
        world.begin_anew(At::Client1);
        world.reaches(At::Client1, "10.8.0.1");
        world.sh(FREE);
        // The room is kept back again, for the next one.
        world.ok(&["core", "add_client", "client_name=second"]);
        world.sh(FILL);
        world.ok(&["core", "remove_client", "client_name=second"]);
        world.in_sync();
    });
}

#[test]
fn every_read_works_on_read_only_disk() {
    in_world("full_disk::every_read_works_on_read_only_disk", |world| {
        served(world);
        for beside_the_database in ["log and index", "a log", "nothing"] {
            match beside_the_database {
                "a log" => drop(world.sh("rm /opt/phantom-wg/data/phantom.db-shm")),
                "nothing" => {
                    // A change of the server leaves an empty log.
                    world.ok(&["core", "setup", "port=4443"]);
                    world.ok(&["core", "setup", "port=51820"]);
                    world.sh("rm /opt/phantom-wg/data/phantom.db-*");
                }
                _ => {}
            }
            world.sh(READ_ONLY);
            assert_eq!(names(world), ["one", "lost"], "{beside_the_database}");
            for words in [
                &["core", "export_client", "client_name=one"][..],
                &["core", "latest_clients"],
                &["core", "server_status"],
                &["core", "doctor"],
                &["core", "reconcile", "dry_run=true"],
                &["dns", "get_dns_servers"],
                &["ghost", "status"],
                &["multihop", "list_exits"],
            ] {
                world.ok(words);
            }
            let answer = uncut(world, &["core", "restart_service"]);
            assert_eq!(answer["code"], "CONFIG_ERROR", "{beside_the_database}: {answer:#}");
            if beside_the_database == "a log" {
                boot(world);
                world.in_sync();
                world.begin_anew(At::Client1);
                world.reaches(At::Client1, "10.8.0.1");
            }
            world.sh("umount /opt/phantom-wg");
        }
    });
}
