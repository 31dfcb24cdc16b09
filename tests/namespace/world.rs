//! The world of a test: a server, two clients, a host on the Internet, a provider between them, a second uplink.
//!
//! ```text
//! c1 192.0.2.2 ──┐                       ┌── eth0 203.0.113.5 ─┐
//!                ├── isp (routes only) ──┤                     server
//! c2 192.0.2.6 ──┘         │             └── eth1 198.51.100.5 ┘
//!                    inet 198.18.0.2, 8.8.8.8, 8.8.4.4
//! ```

mod enter;

use std::cell::RefCell;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use serde_json::Value;

pub(crate) use phantom_tests::programs;

pub(crate) use self::enter::{in_rootless_world, in_world, in_world_with, note};
use crate::ping::ping;

/// Public address of the server.
pub(crate) const SERVER: &str = "203.0.113.5";
/// A host on the Internet.
pub(crate) const INTERNET: &str = "198.18.0.2";

/// Whether tests that take minutes run too.
pub(crate) fn long() -> bool {
    std::env::var_os("PHANTOM_TEST_LONG").is_some()
}

pub(crate) fn installed(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// The WireGuard implementation under test.
pub(crate) fn backend() -> String {
    std::env::var("PHANTOM_TEST_BACKEND").unwrap_or_else(|_| "embedded".to_owned())
}

/// A namespace in which a closure or a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Server,
    Client1,
    Client2,
    Internet,
    /// The provider of the server's uplink: whoever is on the link to it.
    Provider,
    Exit1,
    Exit2,
}

impl At {
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Server => None,
            Self::Client1 => Some("c1"),
            Self::Client2 => Some("c2"),
            Self::Internet => Some("inet"),
            Self::Provider => Some("isp"),
            Self::Exit1 => Some("exit1"),
            Self::Exit2 => Some("exit2"),
        }
    }
}

/// The world. Its processes end with it.
pub(crate) struct TestNet {
    children: RefCell<Vec<Child>>,
}

impl Drop for TestNet {
    fn drop(&mut self) {
        for child in self.children.borrow_mut().iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl TestNet {
    fn new() -> Self {
        let world = Self { children: RefCell::default() };
        // Without IPv6 addresses that the kernel makes up: they come late, and are tentative for a while, so that no
        // look would be like the one before.
        world.sh(
            "[ ! -e /proc/sys/net/ipv6 ] || sysctl -qw net.ipv6.conf.default.addr_gen_mode=1
             for ns in c1 c2 isp inet; do
               ip netns add $ns; ip -n $ns link set lo up
               mkdir -p /etc/netns/$ns; echo 'nameserver 8.8.8.8' > /etc/netns/$ns/resolv.conf
             done
             link() { ip link add $1 netns isp type veth peer name $3 ${5:+netns $5}; ip -n isp addr add $2 dev $1
               ip -n isp link set $1 up; ip ${5:+-n $5} addr add $4 dev $3; ip ${5:+-n $5} link set $3 up; }
             link s0 203.0.113.1/24 eth0 203.0.113.5/24
             link s1 198.51.100.1/24 eth1 198.51.100.5/24
             link l1 192.0.2.1/30 eth0 192.0.2.2/30 c1
             link l2 192.0.2.5/30 eth0 192.0.2.6/30 c2
             link i0 198.18.0.1/24 eth0 198.18.0.2/24 inet
             ip -n inet addr add 8.8.8.8/32 dev lo; ip -n inet addr add 8.8.4.4/32 dev lo
             ip -n isp route add 8.8.8.8 via 198.18.0.2; ip -n isp route add 8.8.4.4 via 198.18.0.2
             ip -n c1 route add default via 192.0.2.1; ip -n c2 route add default via 192.0.2.5
             ip -n inet route add default via 198.18.0.1; ip route add default via 203.0.113.1
             ip netns exec isp sysctl -qw net.ipv4.ip_forward=1; sysctl -qw net.ipv4.ip_forward=0",
        );
        // The kernel brings the links up in its own time, and adds routes of its own then.
        wait_for(Duration::from_secs(10), || {
            world
                .sh("[ -e /proc/net/if_inet6 ] || echo eth0 eth1; ip -6 route show table all")
                .matches(" eth")
                .count()
                >= 2
        });
        // wg-quick hands DNS servers to resolvconf; here every namespace has its own resolv.conf, and that is enough.
        let shim = "#!/bin/sh\n[ \"$1\" = -a ] && cat > /etc/resolv.conf\nexit 0\n";
        std::fs::write("/usr/sbin/resolvconf", shim).unwrap();
        world.sh("chmod 755 /usr/sbin/resolvconf");
        world
    }

    /// Runs a script on the server; gives its standard output.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        self.sh_at(At::Server, script)
    }

    /// Runs a script; gives its standard output.
    #[track_caller]
    pub(crate) fn sh_at(&self, at: At, script: &str) -> String {
        let output = self.try_at(at, script);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{}\n{errors}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a script that may fail.
    pub(crate) fn try_at(&self, at: At, script: &str) -> Output {
        command(at, "sh").args(["-ec", script]).env("LC_ALL", "C").stdin(Stdio::null()).output().unwrap()
    }

    /// Starts a program that ends with the world.
    pub(crate) fn spawn(&self, at: At, program: &str, args: &[&str]) -> u32 {
        let child = command(at, program).args(args).stdin(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        self.children.borrow_mut().push(child);
        pid
    }

    /// Starts a program that ends with the world and whose words go into a file.
    pub(crate) fn spawn_with_log(&self, at: At, program: &str, args: &[&str], log: &str) -> u32 {
        let log = std::fs::File::create(log).unwrap();
        let mut command = command(at, program);
        command.args(args).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let pid = child.id();
        self.children.borrow_mut().push(child);
        pid
    }

    /// How a program that was started here has ended, if it has.
    pub(crate) fn ended(&self, pid: u32) -> Option<ExitStatus> {
        let mut children = self.children.borrow_mut();
        children.iter_mut().find(|child| child.id() == pid)?.try_wait().unwrap()
    }

    /// Calls `phantom-api` and gives the whole answer.
    #[track_caller]
    pub(crate) fn call(&self, words: &[&str]) -> Value {
        answer_of(words, &api().args(words).output().unwrap())
    }

    /// Calls `phantom-api`, which must succeed, and gives its data.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> Value {
        let mut answer = self.call(words);
        assert_eq!(answer["success"], true, "{words:?}: {answer:#}\n{}", self.picture());
        answer["data"].take()
    }

    /// Calls `phantom-api`, which must fail with this code, and gives the whole answer.
    #[track_caller]
    pub(crate) fn fails(&self, words: &[&str], code: &str) -> Value {
        let answer = self.call(words);
        assert_eq!(
            (&answer["success"], &answer["code"]),
            (&false.into(), &code.into()),
            "{words:?}: {answer:#}"
        );
        answer
    }

    /// Sets the server up on the backend under test.
    #[track_caller]
    pub(crate) fn setup(&self) -> Value {
        let (ip, backend) = setup_words();
        let data = self.ok(&["core", "setup", &ip, &backend]);
        assert_eq!(data["backend"], self::backend());
        data
    }

    /// Adds a client and gives its exported configuration.
    #[track_caller]
    pub(crate) fn add(&self, name: &str) -> String {
        self.ok(&["core", "add_client", &format!("client_name={name}")]);
        self.export(name)
    }

    /// The configuration of a client.
    #[track_caller]
    pub(crate) fn export(&self, name: &str) -> String {
        let data = self.ok(&["core", "export_client", &format!("client_name={name}")]);
        data["config"].as_str().unwrap().to_owned()
    }

    /// Brings a client up with `wg-quick` and a foreign WireGuard, from exactly this configuration.
    #[track_caller]
    pub(crate) fn connect(&self, at: At, config: &str) {
        let name = at.name().unwrap();
        let file = format!("/etc/{name}.conf");
        std::fs::write(&file, format!("{config}\n")).unwrap();
        self.sh(&format!("chmod 600 {file}"));
        self.sh_at(at, &format!("wg-quick up {file} 2>&1"));
    }

    /// Takes a client down that [`Self::connect`] brought up.
    #[track_caller]
    pub(crate) fn disconnect(&self, at: At) {
        self.sh_at(at, &format!("wg-quick down /etc/{}.conf 2>&1", at.name().unwrap()));
    }

    /// Lets a connected client forget its session, so that it begins with a handshake at once: a server that was
    /// made again does not know the old session, and the client would notice after fifteen seconds only.
    #[track_caller]
    pub(crate) fn begin_anew(&self, at: At) {
        let name = at.name().unwrap();
        self.sh_at(
            at,
            &format!(
                "mark=$(wg show {name} fwmark); wg-quick strip /etc/{name}.conf > /run/{name}.conf
                 wg setconf {name} /run/{name}.conf; wg set {name} fwmark $mark"
            ),
        );
    }

    /// Waits until an address answers a ping. A client that has lost its server without knowing tries a new handshake
    /// after fifteen seconds, and one whose first handshake was lost after five.
    #[track_caller]
    pub(crate) fn reaches(&self, at: At, address: &str) {
        let reached = wait_for(Duration::from_secs(90), || ping(at, address, 1));
        let asker = || String::from_utf8_lossy(&self.try_at(at, "wg show all").stdout).into_owned();
        assert!(reached, "{at:?} does not reach {address}\n{}\n{}", asker(), self.picture());
    }

    /// That an address does not answer a ping.
    #[track_caller]
    pub(crate) fn does_not_reach(&self, at: At, address: &str) {
        assert!(!ping(at, address, 3), "{at:?} reaches {address}\n{}", self.picture());
    }

    /// That host and stored state agree.
    #[track_caller]
    pub(crate) fn in_sync(&self) {
        let plan = self.ok(&["core", "reconcile", "dry_run=true"]);
        assert_eq!(plan["in_sync"], true, "{plan:#}\n{}", self.picture());
        assert_eq!(plan["recovered"], Value::Null, "{plan:#}");
    }
}

/// The words of the first setup.
pub(crate) fn setup_words() -> (String, String) {
    (format!("server_ip={SERVER}"), format!("backend={}", backend()))
}

/// A command in a namespace.
pub(crate) fn command(at: At, program: &str) -> Command {
    match at.name() {
        None => Command::new(program),
        Some(ns) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", ns, program]);
            command
        }
    }
}

/// `phantom-api` on the server.
pub(crate) fn api() -> Command {
    program("phantom-api")
}

/// One of our programs that takes the words of `phantom-api`, on the server.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(programs().join(name));
    command.env_remove("PHANTOM_LANG").env_remove("PHANTOM_ROOT").arg("--compact").stdin(Stdio::null());
    command
}

/// The answer that a call printed; its exit status agrees with it.
#[track_caller]
pub(crate) fn answer_of(words: &[&str], output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{words:?}: {error}: {:?}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr))
    });
    assert_eq!(output.status.code(), Some(i32::from(value["success"] != true)), "{words:?}");
    value
}

/// Runs a closure on a thread of its own in a namespace.
pub(crate) fn on<T: Send + 'static>(at: At, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::spawn(move || {
        if let Some(ns) = at.name() {
            let file = std::fs::File::open(format!("/run/netns/{ns}")).unwrap();
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
        }
        work()
    })
}

/// Polls until something holds.
pub(crate) fn wait_for(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}
