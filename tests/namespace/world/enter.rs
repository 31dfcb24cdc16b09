//! How a test gets into a world: namespaces of its own, with private copies of what the server writes to.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use phantom_tests::{is_root, skip};

use super::{At, TestNet, backend, installed, programs};

/// Set inside the namespaces.
const INSIDE: &str = "PHANTOM_TEST_WORLD";

/// Longest time of one test, in seconds. Nothing of it is left behind when it is over.
const LIMIT: &str = "1500";

/// What is done before a test runs inside: private copies of what the server writes to, without the server that this
/// machine may have itself. A whiteout would not do for `/opt`: with one, an ordinary user's overlay makes no directory
/// of that name again.
const PREPARE: &str = r#"set -e
mount -t tmpfs world /mnt
for d in etc var/lib usr/sbin; do
  mkdir -p /mnt/$d/upper /mnt/$d/work
  mount -t overlay world -o lowerdir=/$d,upperdir=/mnt/$d/upper,workdir=/mnt/$d/work /$d
done
for d in /etc/wireguard /etc/sysctl.d; do
  [ -w $d ] || [ ! -e $d ] || mount -t tmpfs -o mode=755 world $d # an ordinary user may not write to what is below
done
find /etc \( -name '*phantom*' -o -name '*wg_main*' \) -prune -exec rm -rf {} + 2>/dev/null || true
mkdir /mnt/opt; mount --rbind /opt /mnt/opt
[ ! -w /mnt/opt ] || mount -o remount,bind,ro /mnt/opt # likewise
mount -t tmpfs -o mode=755 world /opt
for d in /mnt/opt/*; do
  [ "$d" = /mnt/opt/phantom-wg ] || [ ! -e "$d" ] || ln -s "$d" /opt/
done
mount -t tmpfs world /run; mkdir -p /run/lock /run/netns /run/wireguard; chmod 700 /run/wireguard
mount -t sysfs world /sys 2>/dev/null || true
# What a test breaks stays broken until somebody is asked to repair it, unless the watcher is what the test is about.
case $3 in watch::* | *::watched::*) ;; *) [ ! -s "$PHANTOM_BIN_DIR/phantom-watch" ] || mount --bind /dev/null "$PHANTOM_BIN_DIR/phantom-watch" ;; esac
ip link set lo up; exec "$@""#;

/// The namespaces that a test gets.
const NAMESPACES: [&str; 6] =
    ["--net", "--mount", "--propagation=private", "--pid", "--fork", "--mount-proc"];

/// The programs that every test uses.
const PROGRAMS: [&str; 4] = ["ip", "wg", "wg-quick", "nft"];

/// Runs a test inside a world of its own.
pub(crate) fn in_world(test: &str, body: impl FnOnce(&TestNet)) {
    in_world_with(test, &[], body);
}

/// Runs a test that needs more programs than most inside a world of its own.
pub(crate) fn in_world_with(test: &str, more: &[&str], body: impl FnOnce(&TestNet)) {
    as_root(test, more, None, body);
}

/// Runs a test inside a world that is made on a machine with a server of its own, whose stored state nobody may read.
fn in_world_beside_a_server(test: &str, body: impl FnOnce(&TestNet)) {
    let below = [std::env::current_exe().unwrap(), programs()];
    if below.iter().any(|path| path.starts_with("/opt")) {
        return skip(test, "the programs lie in /opt, which is another one in this test");
    }
    as_root(test, &[], Some(OTHER_SERVER), body);
}

/// Runs a test inside a world, on this machine or on one that a script makes of it first.
fn as_root(test: &str, more: &[&str], machine: Option<&str>, body: impl FnOnce(&TestNet)) {
    if std::env::var_os(INSIDE).is_some() {
        return body(&TestNet::new());
    }
    let why = if is_root() { impossible(more) } else { Some("needs root".to_owned()) };
    match why {
        Some(why) => skip(test, &why),
        None => enter(test, machine, &[]),
    }
}

/// As [`in_world`], but entered by a user who is root in a user namespace of his own only.
pub(crate) fn in_rootless_world(test: &str, body: impl FnOnce(&TestNet)) {
    if std::env::var_os(INSIDE).is_some() {
        return body(&TestNet::new());
    }
    let missing = impossible(&["setpriv"]);
    let try_it = Command::new("setpriv")
        .args(NOBODY)
        .arg("unshare")
        .args(ROOTLESS)
        .args(NAMESPACES)
        .arg("true")
        .output();
    match (missing, try_it) {
        (Some(why), _) => skip(test, &why),
        (None, Ok(output)) if output.status.success() => enter(test, Some(FOR_EVERYBODY), &ROOTLESS),
        (None, Ok(output)) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            skip(test, &format!("no user namespace for an ordinary user here: {why}"));
        }
        (None, Err(error)) => skip(test, &format!("setpriv: {error}")),
    }
}

/// An ordinary user.
const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];
/// A TUN device that everybody can open, as on every Debian; some containers have one for root alone. The programs, which
/// may lie where only root gets, at a place for everybody.
const FOR_EVERYBODY: &str = r#"mount -t tmpfs none /dev/net; mknod -m 666 /dev/net/tun c 10 200
chmod 666 /dev/net/tun; mount -t tmpfs -o mode=755 none /media; mkdir /media/programs; : > /media/test
mount --bind "$PHANTOM_BIN_DIR" /media/programs; mount --bind "$THIS_TEST" /media/test
export PHANTOM_BIN_DIR=/media/programs; exec "$@""#;
/// Where that script puts this program.
const FOR_EVERYBODY_TEST: &str = "/media/test";
/// A machine on which a server has been set up.
const OTHER_SERVER: &str = r#"mount -t tmpfs -o mode=755 none /opt; mkdir -p /opt/phantom-wg/data
chmod 700 /opt/phantom-wg; echo 'of this machine' > /opt/phantom-wg/data/phantom.db
mount -t tmpfs none /mnt; cp -a /etc /mnt/; mount --rbind /mnt/etc /etc; mkdir -p /etc/wireguard /etc/sysctl.d
for f in wireguard/wg_main.conf sysctl.d/90-phantom-wg.conf; do echo 'of this machine' > /etc/$f; done; exec "$@""#;
/// What makes him root of his own.
const ROOTLESS: [&str; 2] = ["--user", "--map-root-user"];

/// Why a world cannot be made here.
fn impossible(more: &[&str]) -> Option<String> {
    let missing: Vec<&str> =
        PROGRAMS.iter().chain(more).copied().filter(|program| !installed(program)).collect();
    if !missing.is_empty() {
        return Some(format!("needs {}", missing.join(", ")));
    }
    if backend() == "embedded" && !Path::new("/dev/net/tun").exists() {
        return Some("no /dev/net/tun".to_owned());
    }
    if !is_root() {
        return None;
    }
    let made =
        Command::new("unshare").args(NAMESPACES).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
    match made {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces here: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// Starts this program again with one test inside namespaces. `machine` is a script that makes another machine of this
/// one for them, where root runs the tests; `first` are the namespaces for somebody who is not root.
fn enter(test: &str, machine: Option<&str>, first: &[&str]) {
    let this = std::env::current_exe().unwrap();
    let mut command = Command::new("timeout");
    command.args(["--foreground", "--kill-after=10", LIMIT]);
    if let Some(script) = machine.filter(|_| is_root()) {
        command.args(["unshare", "--mount", "--propagation=private", "sh", "-ec", script, "machine"]);
    }
    if !first.is_empty() && is_root() {
        command.arg("setpriv").args(NOBODY);
    }
    command.arg("unshare").args(first).args(NAMESPACES).arg("--kill-child");
    let moved = machine == Some(FOR_EVERYBODY) && is_root();
    let inside = if moved { Path::new(FOR_EVERYBODY_TEST) } else { &this };
    command.args(["--", "sh", "-c", PREPARE, "world"]).arg(inside);
    command.args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"]);
    command.env(INSIDE, "1").env("PHANTOM_BIN_DIR", programs()).env("THIS_TEST", &this);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // Without what the harness inside says of its one test: the one outside says it too.
    let said =
        out.lines().filter(|line| !["running 1 test", "test "].iter().any(|word| line.starts_with(word)));
    said.for_each(|line| println!("{line}"));
    for line in err.lines() {
        if line.starts_with("SKIPPED ") || line.starts_with("NOTE ") {
            let _ = writeln!(std::io::stderr(), "{line}"); // past the harness, which shows failed tests only
        } else {
            eprintln!("{line}");
        }
    }
    if !output.status.success() {
        note(test, &format!("failed: {}", why(&err)));
    }
    assert!(output.status.success(), "{test} failed inside: {}", output.status);
    assert!(out.contains("1 passed"), "{test} did not run inside"); // the harness ends well without any test
}

/// Where and why a test panicked, as one line: it stands among the notes, so that it is seen when it happens.
fn why(errors: &str) -> String {
    let panic = errors.lines().skip_while(|line| !line.contains("panicked at"));
    let told: Vec<&str> = panic
        .take_while(|line| !line.starts_with("stack backtrace") && !line.starts_with("note: "))
        .map(str::trim)
        .collect();
    told.join(" ").chars().take(1000).collect()
}

/// Says something about a test.
pub(crate) fn note(test: &str, what: &str) {
    let _ = writeln!(std::io::stderr(), "NOTE {test}: {what}");
}

#[test]
fn servers_of_this_machine_are_not_seen() {
    in_world_beside_a_server("world::enter::servers_of_this_machine_are_not_seen", |world| {
        assert_eq!(world.sh("ls -A /etc/wireguard; find /etc/sysctl.d -name '*phantom*'"), "");
        assert_eq!(world.sh("ls -A /opt; cat /mnt/opt/phantom-wg/data/phantom.db"), "of this machine\n");
        assert!(!world.try_at(At::Server, "touch /mnt/opt/phantom-wg/data/phantom.db").status.success());
        world.setup();
        assert_eq!(world.ok(&["core", "list_clients"])["total"], 0);
        world.in_sync();
    });
}
