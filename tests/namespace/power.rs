//! What a power failure would leave: every program is watched at the kernel's door, and no file gets its name before its
//! content is on the disk, nor an answer before the name is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use phantom_tests::{Call, calls_of_trace};

use crate::world::{At, TestNet, in_world_with, programs};

/// The calls that tell what is where on the disk.
const CALLS: &str = "write,pwrite64,writev,ftruncate,mkdir,mkdirat,fsync,fdatasync,rename,renameat,renameat2";

/// What lives no longer than the system runs, or can be made again.
const PASSING: [&str; 4] = ["/run/", "/proc/", "/dev/", "/opt/phantom-wg/logs"];

fn lasts(path: &Path) -> bool {
    !PASSING.iter().any(|passing| path.starts_with(passing))
}

/// Runs a script on the server with a program of ours watched, and gives its calls. Children are not watched: those that
/// stay would keep the watcher.
#[track_caller]
fn watched(world: &TestNet, program: &str, words: &str) -> Vec<Call> {
    let exe = programs().join(program);
    world.sh(&format!(
        "strace -qq -y -s 0 -o /run/trace -e trace={CALLS} {} {words} >/dev/null",
        exe.display()
    ));
    calls_of_trace(&std::fs::read_to_string("/run/trace").unwrap())
}

/// What a run would lose in a power failure right behind it.
fn lost(calls: &[Call]) -> Vec<String> {
    // What is written and not flushed; names that are not; and those that were given by a rename.
    let [mut wet, mut names, mut given] = [const { BTreeSet::<PathBuf>::new() }; 3];
    let mut wrong = Vec::new();
    for call in calls {
        match call {
            Call::Write(path) => drop(wet.insert(path.clone())),
            Call::Sync(path) => {
                wet.remove(path);
                names.retain(|name| name.parent() != Some(path));
            }
            Call::Make(path) => drop(names.insert(path.clone())),
            Call::Rename(from, to) | Call::Exchange(from, to) => {
                let before = wet.iter().filter(|path| path.starts_with(from) && lasts(to));
                wrong
                    .extend(before.map(|path| format!("{} has its name before its content", path.display())));
                // Somebody counted on a name that it got by a rename.
                let early = names.get(from).filter(|name| given.contains(*name) && lasts(name));
                wrong.extend(
                    early.map(|name| format!("{} goes on before its name is flushed", name.display())),
                );
                given.insert(to.clone());
                names.insert(to.clone());
            }
        }
    }
    let behind = names.into_iter().filter(|name| lasts(name));
    wrong.extend(behind.map(|name| format!("the name of {} is not flushed", name.display())));
    wrong
}

#[test]
fn what_was_answered_is_on_the_disk() {
    let test = "power::what_was_answered_is_on_the_disk";
    in_world_with(test, &["strace", "openssl", "dnsmasq", "dig"], |world| {
        let (ip, backend) = crate::world::setup_words();
        let mut renamed = BTreeSet::new();
        let mut check = |program: &str, words: &str| {
            let calls = watched(world, program, words);
            assert_eq!(lost(&calls), [""; 0], "{program} {words}");
            renamed.extend(calls.iter().filter_map(|call| match call {
                Call::Rename(_, to) | Call::Exchange(_, to) => Some(to.clone()),
                _ => None,
            }));
        };
        check("phantom-api", &format!("core setup {ip} {backend}"));
        for words in [
            "core add_client client_name=one",
            "core add_client client_name=two",
            "core remove_client client_name=two",
            "core update_tweak_setting setting_name=language value=tr",
            "core change_subnet new_subnet=192.168.100.0/24 confirm=true",
            "multihop import_vpn_config config_path=/etc/exit.conf custom_name=uk",
            "multihop remove_vpn_config exit_name=uk",
        ] {
            exit_file(world);
            check("phantom-api", words);
        }
        world.sh("mkdir -p -m 700 /opt/phantom-wg/certs");
        let request = r#"{"domain":"vpn.example.org","certs_dir":"/opt/phantom-wg/certs"}"#;
        std::fs::write("/etc/request", request).unwrap();
        check("phantom-ghost", "self-sign < /etc/request");
        crate::ghost::in_ghost_mode(world);
        check("phantom-casper", "--output /etc/one.txt one");
        check("phantom-api", "ghost disable");
        check("factory-reset", "--yes");
        // Of each kind of writer there was something to see.
        for file in [
            "/opt/phantom-wg/data/phantom.db",
            "/etc/wireguard/wg_main.conf",
            "/etc/sysctl.d/90-phantom-wg.conf",
            "/opt/phantom-wg/exit_configs/uk.conf",
            "/opt/phantom-wg/certs/vpn.example.org",
            "/etc/one.txt",
        ] {
            assert!(renamed.contains(Path::new(file)), "{file} was not seen: {renamed:?}");
        }
    });
}

/// A provider's file.
fn exit_file(world: &TestNet) {
    world.sh_at(
        At::Server,
        "[ -e /etc/exit.conf ] || { umask 077; cat > /etc/exit.conf <<X
[Interface]
PrivateKey = $(wg genkey)
Address = 10.99.0.2/32
[Peer]
PublicKey = $(wg genkey | wg pubkey)
AllowedIPs = 0.0.0.0/0
Endpoint = 198.18.0.2:51820
X
}",
    );
}
