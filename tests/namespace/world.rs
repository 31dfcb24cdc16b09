//! The world of a test: a server, two clients, a host on the Internet, a provider between them, a second uplink.
//!
//! ```text
//! c1 192.0.2.2 ──┐                       ┌── eth0 203.0.113.5 ─┐
//!                ├── isp (routes only) ──┤                     server
//! c2 192.0.2.6 ──┘         │             └── eth1 198.51.100.5 ┘
//!                    inet 198.18.0.2, 8.8.8.8, 8.8.4.4
//! ```

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use phantom_tests::{is_root, skip};
use serde_json::Value;

/// Set inside the namespaces.
const INSIDE: &str = "PHANTOM_TEST_WORLD";

/// What is done before a test runs inside: private copies of what the server writes to.
const PREPARE: &str = r#"set -e
mount -t tmpfs world /mnt
for d in etc var/lib opt usr/sbin; do
  mkdir -p /mnt/$d/upper /mnt/$d/work
  mount -t overlay world -o lowerdir=/$d,upperdir=/mnt/$d/upper,workdir=/mnt/$d/work /$d
done
mount -t tmpfs world /run; mkdir -p /run/lock /run/netns /run/wireguard; chmod 700 /run/wireguard
mount -t sysfs world /sys 2>/dev/null || true
ip link set lo up; exec "$@""#;

/// The programs that the tests use.
const PROGRAMS: [&str; 8] = ["ip", "wg", "wg-quick", "nft", "ping", "dnsmasq", "dig", "conntrack"];

/// Public address of the server.
pub(crate) const SERVER: &str = "203.0.113.5";
/// A host on the Internet.
pub(crate) const INTERNET: &str = "198.18.0.2";

/// Runs a test inside a world of its own.
pub(crate) fn in_world(test: &str, body: impl FnOnce(&World)) {
    if std::env::var_os(INSIDE).is_some() {
        let world = World::new();
        body(&world);
        return;
    }
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !installed(program)).collect();
    let possible = || Command::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"]).status();
    if !is_root() {
        return skip(test, "needs root");
    }
    if !missing.is_empty() {
        return skip(test, &format!("needs {missing:?}"));
    }
    if !possible().is_ok_and(|status| status.success()) {
        return skip(test, "no namespaces can be made here");
    }
    if backend() == "embedded" && !Path::new("/dev/net/tun").exists() {
        return skip(test, "no /dev/net/tun");
    }
    programs(); // built before the private copies are made
    enter(test, &["--net", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"]);
}

/// Starts this program again with one test inside namespaces.
fn enter(test: &str, namespaces: &[&str]) {
    let output = Command::new("unshare")
        .args(namespaces)
        .args(["--", "sh", "-c", PREPARE, "world"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .env("PHANTOM_BIN_DIR", programs())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed inside");
    assert!(text.contains("1 passed"), "{test} did not run inside"); // the harness ends well without any test
}

fn installed(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// The folder of the programs under test: `PHANTOM_BIN_DIR`, else built now.
pub(crate) fn programs() -> PathBuf {
    if let Some(dir) = std::env::var_os("PHANTOM_BIN_DIR") {
        return dir.into();
    }
    static DIR: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let packages = ["-p", "phantom-api", "-p", "phantom-device", "-p", "phantom-tests", "--bins"];
    DIR.get_or_init(|| phantom_tests::build(&packages)).clone()
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
    Isp,
    Internet,
}

impl At {
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Server => None,
            Self::Client1 => Some("c1"),
            Self::Client2 => Some("c2"),
            Self::Isp => Some("isp"),
            Self::Internet => Some("inet"),
        }
    }
}

/// The world.
pub(crate) struct World {
    children: std::cell::RefCell<Vec<Child>>,
}

impl Drop for World {
    fn drop(&mut self) {
        for child in self.children.borrow_mut().iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl World {
    fn new() -> Self {
        let world = Self { children: std::cell::RefCell::default() };
        for ns in ["c1", "c2", "isp", "inet"] {
            world.sh(&format!("ip netns add {ns}; ip -n {ns} link set lo up; mkdir -p /etc/netns/{ns}"));
            world.sh(&format!("echo 'nameserver 8.8.8.8' > /etc/netns/{ns}/resolv.conf"));
        }
        world.sh(
            "link() { ip link add $1 netns isp type veth peer name $3 ${5:+netns $5}; ip -n isp addr add $2 dev $1; \
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
             ip netns exec isp sysctl -qw net.ipv4.ip_forward=1",
        );
        // wg-quick hands DNS servers to resolvconf; here every namespace has its own resolv.conf, and that is enough.
        let shim = "#!/bin/sh\n[ \"$1\" = -a ] && cat > /etc/resolv.conf\nexit 0\n";
        std::fs::write("/usr/sbin/resolvconf", shim).unwrap();
        world.sh("chmod 755 /usr/sbin/resolvconf");
        world
    }

    /// Runs a script on the server; gives its standard output.
    pub(crate) fn sh(&self, script: &str) -> String {
        self.sh_at(At::Server, script)
    }

    /// Runs a script; gives its standard output.
    pub(crate) fn sh_at(&self, at: At, script: &str) -> String {
        let output = self.try_at(at, script);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{}\n{errors}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a script that may fail.
    pub(crate) fn try_at(&self, at: At, script: &str) -> Output {
        command(at, "sh").args(["-ec", script]).env("LC_ALL", "C").output().unwrap()
    }

    /// Starts a program that ends with the world.
    pub(crate) fn spawn(&self, at: At, program: &str, args: &[&str]) {
        let child = command(at, program).args(args).stdin(Stdio::null()).spawn().unwrap();
        self.children.borrow_mut().push(child);
    }

    /// Calls `phantom-api` and gives the whole answer.
    pub(crate) fn call(&self, words: &[&str]) -> Value {
        let output = api().args(words).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let value: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{words:?}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(output.status.success(), value["success"] == true, "{words:?}");
        value
    }

    /// Calls `phantom-api`, which must succeed, and gives its data.
    pub(crate) fn ok(&self, words: &[&str]) -> Value {
        let mut answer = self.call(words);
        assert_eq!(answer["success"], true, "{words:?}: {answer:#}");
        answer["data"].take()
    }

    /// Sets the server up on the backend under test.
    pub(crate) fn setup(&self) -> Value {
        let ip = format!("server_ip={SERVER}");
        let data = self.ok(&["core", "setup", &ip, &format!("backend={}", backend())]);
        assert_eq!(data["backend"], backend());
        data
    }

    /// Adds a client and gives its exported configuration.
    pub(crate) fn add(&self, name: &str) -> String {
        self.ok(&["core", "add_client", &format!("client_name={name}")]);
        self.export(name)
    }

    /// The configuration of a client.
    pub(crate) fn export(&self, name: &str) -> String {
        let data = self.ok(&["core", "export_client", &format!("client_name={name}")]);
        data["config"].as_str().unwrap().to_owned()
    }

    /// Brings a client up with `wg-quick` and a foreign WireGuard, from exactly this configuration.
    pub(crate) fn connect(&self, at: At, config: &str) {
        let name = at.name().unwrap();
        let file = format!("/etc/{name}.conf");
        std::fs::write(&file, format!("{config}\n")).unwrap();
        self.sh(&format!("chmod 600 {file}"));
        self.sh_at(at, &format!("wg-quick up {file} 2>&1"));
    }

    /// Takes a client down that [`Self::connect`] brought up.
    pub(crate) fn disconnect(&self, at: At) {
        self.sh_at(at, &format!("wg-quick down /etc/{}.conf 2>&1", at.name().unwrap()));
    }

    /// Waits until an address answers a ping; WireGuard tries a lost first handshake again after five seconds only.
    pub(crate) fn reaches(&self, at: At, address: &str) {
        let reached = wait_for(Duration::from_secs(15), || {
            self.try_at(at, &format!("ping -q -c 1 -W 1 {address}")).status.success()
        });
        assert!(reached, "{at:?} does not reach {address}\n{}", self.picture());
    }

    /// That an address does not answer a ping.
    pub(crate) fn does_not_reach(&self, at: At, address: &str) {
        let output = self.try_at(at, &format!("ping -q -c 3 -i 0.3 -W 1 {address}"));
        assert!(!output.status.success(), "{at:?} reaches {address}");
    }

    /// That host and stored state agree.
    pub(crate) fn in_sync(&self) {
        let plan = self.ok(&["core", "reconcile", "dry_run=true"]);
        assert_eq!(plan["in_sync"], true, "{plan:#}\n{}", self.picture());
    }

    /// What a person would look at, for messages.
    pub(crate) fn picture(&self) -> String {
        self.sh("wg show all 2>&1 || true; ip -br addr; ip rule; ip route; nft list ruleset 2>&1 || true; \
                 cat /opt/phantom-wg/logs/*.log 2>/dev/null | tail -n 40 || true")
    }

    /// The part of the host that is not ours, as text.
    pub(crate) fn foreign(&self) -> String {
        self.sh(
            "ip -o link | grep -v wg_main | sed 's/^[0-9]*: //; s/ qlen .*//; s/link.ether [^ ]*//'
             ip -o addr | grep -v wg_main | sed 's/^[0-9]*: //; s/valid_lft.*//'; ip rule; ip -6 rule
             ip route show table all | grep -v 'wg_main\\|linkdown'; nft list ruleset | sed '/table inet phantom_wg/,/^}/d'
             find /etc/wireguard /etc/sysctl.d /etc/systemd/system ! -name 'wg_main.conf' ! -name '*phantom*' | sort",
        )
    }
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
    let mut command = Command::new(programs().join("phantom-api"));
    command.env_remove("PHANTOM_LANG").env_remove("PHANTOM_ROOT").arg("--compact");
    command
}

/// Runs a closure on a thread of its own in a namespace.
pub(crate) fn on<T: Send + 'static>(at: At, work: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
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

/// A host on the Internet that serves `bytes` over HTTP and tells who asked.
pub(crate) fn web_server(bytes: usize) -> mpsc::Receiver<SocketAddr> {
    let (seen, receiver) = mpsc::channel();
    let (ready, started) = mpsc::channel();
    on(At::Internet, move || {
        let listener = TcpListener::bind(("198.18.0.2", 80)).unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = seen.send(stream.peer_addr().unwrap());
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b'x'; bytes]));
        }
    });
    started.recv().unwrap();
    receiver
}

/// Fetches from [`web_server`]; gives the number of bytes of the body.
pub(crate) fn fetch(at: At) -> usize {
    let work = || -> std::io::Result<usize> {
        let address = "198.18.0.2:80".parse().unwrap();
        let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: 198.18.0.2\r\n\r\n")?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        let body = all.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| all.len() - at - 4);
        Ok(body)
    };
    on(at, work).join().unwrap().unwrap()
}

/// Sends a datagram to the Internet, where it is answered; gives the address that was seen there.
pub(crate) fn udp_seen_as(at: At) -> String {
    let (ready, started) = mpsc::channel();
    let server = on(At::Internet, move || {
        let socket = UdpSocket::bind(("198.18.0.2", 7)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        ready.send(()).unwrap();
        let mut buffer = [0; 2000];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&buffer[..length], from).unwrap();
        from.ip().to_string()
    });
    started.recv().unwrap();
    let client = on(at, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.send_to(&[7; 1300], "198.18.0.2:7").unwrap();
        let mut buffer = [0; 2000];
        socket.recv(&mut buffer).unwrap()
    });
    assert_eq!(client.join().unwrap(), 1300);
    server.join().unwrap()
}
