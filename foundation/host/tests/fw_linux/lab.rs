//! A network and mount namespace for each test: the test's program starts itself again inside, with throw-away
//! copies of `/etc`, `/var/lib` and `/root`, a private `/run`, and nothing of the network but `lo`.
#![expect(clippy::disallowed_methods, reason = "tests change the host with its own programs")]

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use phantom_host::{
    Firewall, FirewallKind, Hook, Match, OwnershipTags, Protocol, Ruleset, RulesetStatus, Verdict,
};

/// Set inside.
const INSIDE: &str = "PHANTOM_TEST_INSIDE";

const PREPARE: &str = "set -e; mount -t tmpfs lab /mnt
for d in etc var/lib root; do
  mkdir -p /mnt/$d/upper /mnt/$d/work
  mount -t overlay lab -o lowerdir=/$d,upperdir=/mnt/$d/upper,workdir=/mnt/$d/work /$d
done
mount -t tmpfs lab /run; mkdir -p /run/lock /run/netns; mount -t sysfs lab /sys; ip link set lo up; exec \"$@\"";

/// Runs a test inside. `needs` are the programs it uses; where one is missing, or namespaces cannot be made, it says
/// that it was skipped.
pub(crate) fn in_namespace(test: &str, needs: &[&str], body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let missing: Vec<_> = needs.iter().filter(|program| !installed(program)).collect();
    let possible = || Command::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"]).output();
    let why = match () {
        () if !nix::unistd::geteuid().is_root() => Some("needs root".to_owned()),
        () if !missing.is_empty() => Some(format!("needs {missing:?}")),
        () if !possible().is_ok_and(|output| output.status.success()) => {
            Some("no namespaces here".to_owned())
        }
        () => None,
    };
    if let Some(why) = why {
        return skipped(test, &why);
    }
    let namespaces =
        ["--net", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let output = Command::new("unshare")
        .args(namespaces)
        .args(["--", "sh", "-c", PREPARE, "lab"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let inside = String::from_utf8_lossy(&output.stdout);
    print!("{inside}");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed inside");
    // The harness ends well when no test has that name.
    assert!(inside.contains("1 passed"), "{test} did not run inside");
}

/// Says that a test is skipped, past the capture of the test harness, so that it is seen.
pub(crate) fn skipped(test: &str, why: &str) {
    std::io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes()).unwrap();
}

pub(crate) fn installed(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// Runs a script; gives its standard output.
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).env("LC_ALL", "C").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes the plain names `iptables` and so on stand for one implementation, as `update-alternatives` does.
pub(crate) fn choose_iptables(variant: &str) {
    for program in
        ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"]
    {
        let (head, tail) =
            program.split_once('-').map_or((program, String::new()), |(h, t)| (h, format!("-{t}")));
        sh(&format!("ln -sfn /usr/sbin/{head}-{variant}{tail} /etc/alternatives/{program}"));
    }
    assert!(sh("iptables --version").contains(if variant == "nft" { "nf_tables" } else { "legacy" }));
}

/// The rules of a server: clients may go out and to each other, answers may come back, all behind one address.
pub(crate) fn server_rules() -> Ruleset {
    let from = || Match::From { network: "10.8.0.0/24".parse().unwrap(), not: false };
    let to = || Match::To { network: "10.8.0.0/24".parse().unwrap(), not: false };
    let vpn = |not| Match::Out { interface: "wg_main".into(), not };
    let mut rules = Ruleset::default();
    rules.add(
        Hook::Forward,
        10,
        vec![Match::In { interface: "wg_main".into(), not: false }, from()],
        Verdict::Accept,
    );
    rules.add(Hook::Forward, 20, vec![vpn(false), to(), Match::Established], Verdict::Accept);
    rules.add(
        Hook::Forward,
        30,
        vec![Match::In { interface: "wg_main".into(), not: false }, Match::Ipv6],
        Verdict::Reject,
    );
    rules.add(Hook::MssClamp, 10, vec![vpn(false), Match::TcpSyn], Verdict::ClampMss);
    rules.add(Hook::SourceNat, 10, vec![from(), vpn(true)], Verdict::Masquerade);
    rules
}

/// Rules of every kind.
pub(crate) fn every_rule() -> Ruleset {
    let mut rules = server_rules();
    let port = |protocol, port| Match::Port { protocol, port };
    let exit = || Match::In { interface: "wg_vpn".into(), not: false };
    let begun = |network: &str| Match::CtOriginalSource { network: network.parse().unwrap() };
    let out = Match::Out { interface: "wg_main".into(), not: false };
    rules.add(Hook::Prerouting, 1, vec![exit(), Match::Established], Verdict::Accept);
    rules.add(Hook::Prerouting, 2, vec![exit()], Verdict::Drop);
    rules.add(Hook::Output, 1, vec![begun("10.8.0.7/24"), out], Verdict::Accept);
    rules.add(Hook::Output, 2, vec![begun("10.8.0.0/24")], Verdict::Drop);
    rules.add(Hook::Output, 3, vec![begun("10.9.0.3/32"), Match::Established], Verdict::Drop);
    rules.add(Hook::Output, 4, vec![begun("fd00:8::/64")], Verdict::Drop);
    rules.add(
        Hook::Input,
        1,
        vec![Match::In { interface: "lo".into(), not: true }, port(Protocol::Udp, 51820)],
        Verdict::Drop,
    );
    rules.add(Hook::Input, 2, vec![Match::Ipv6, port(Protocol::Tcp, 443)], Verdict::Accept);
    rules.add(Hook::Input, 3, vec![Match::Ipv4, port(Protocol::Tcp, 443)], Verdict::Reject);
    let not_from = Match::From { network: "fd00:8::/64".parse().unwrap(), not: true };
    rules.add(
        Hook::Forward,
        40,
        vec![not_from, Match::Out { interface: "wg_main".into(), not: false }],
        Verdict::Drop,
    );
    rules.add(
        Hook::MssClamp,
        20,
        vec![Match::Ipv4, Match::TcpSyn, port(Protocol::Tcp, 80)],
        Verdict::SetMss(1360),
    );
    let udp = Match::Is { protocol: Protocol::Udp };
    let (leaving, to_ports) = (
        Match::Out { interface: "wg_vpn".into(), not: false },
        Verdict::MasqueradeTo { first: 32_768, last: 65_535 },
    );
    rules.add(Hook::SourceNat, 1, vec![leaving.clone(), udp], to_ports);
    let from = || Match::From { network: "10.8.0.0/24".parse().unwrap(), not: false };
    let tcp = Match::Is { protocol: Protocol::Tcp };
    rules.add(Hook::Output, 5, vec![from(), Match::Unconnected, tcp], Verdict::Drop);
    rules.add(
        Hook::Postrouting,
        1,
        vec![from(), Match::Out { interface: "lo".into(), not: false }],
        Verdict::Accept,
    );
    rules.add(
        Hook::Postrouting,
        2,
        vec![from(), Match::Out { interface: "wg_main".into(), not: true }],
        Verdict::Drop,
    );
    rules.add(Hook::Postrouting, 3, vec![Match::Ipv6, leaving], Verdict::Drop);
    let inside = Match::To { network: "10.8.0.0/24".parse().unwrap(), not: false };
    rules.add(Hook::SourceNat, 5, vec![inside], Verdict::Accept);
    rules
}

pub(crate) fn tags() -> OwnershipTags {
    OwnershipTags::new(None)
}

pub(crate) fn state(firewall: &dyn Firewall, rules: &Ruleset) -> RulesetStatus {
    firewall.in_force(&tags(), rules).unwrap()
}

/// A client behind `wg_main`, this namespace as the router, and a server behind `out0`.
pub(crate) struct Network(());

impl Network {
    pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);
    pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    pub(crate) fn new() -> Self {
        sh("ip netns add fwl-client; ip netns add fwl-server
            ip link add wg_main type veth peer name eth0 netns fwl-client
            ip link add out0 type veth peer name eth0 netns fwl-server
            ip addr add 10.8.0.1/24 dev wg_main; ip addr add 192.0.2.1/24 dev out0; ip link set wg_main up; ip link set out0 up
            ip -n fwl-client addr add 10.8.0.2/24 dev eth0; ip -n fwl-client link set eth0 up; ip -n fwl-client route add default via 10.8.0.1
            ip -n fwl-server addr add 192.0.2.2/24 dev eth0; ip -n fwl-server link set eth0 up; ip -n fwl-server route add default via 192.0.2.1
            echo 1 > /proc/sys/net/ipv4/ip_forward");
        Self(())
    }

    /// Whether a packet of the client gets to the server and the answer back; and who the server thinks it was.
    pub(crate) fn passes(&self) -> Option<Ipv4Addr> {
        let Self(()) = self;
        let server = Self::socket("fwl-server", SocketAddr::new(Self::SERVER.into(), 7000));
        let client = Self::socket("fwl-client", SocketAddr::new(Self::CLIENT.into(), 0));
        // A silent drop takes as long as one waits; the first packet may have to wait for ARP.
        let deadline = Instant::now() + Duration::from_millis(700);
        let mut buffer = [0; 16];
        while Instant::now() < deadline {
            // An ICMP error of a rejecting rule comes back as the error of the next call.
            let _ = client.send_to(b"ping", (Self::SERVER, 7000));
            if let Ok((_, from)) = server.recv_from(&mut buffer) {
                let _ = server.send_to(b"pong", from);
                let SocketAddr::V4(from) = from else { panic!("{from}") };
                return client.recv_from(&mut buffer).ok().map(|_| *from.ip());
            }
        }
        None
    }

    /// A socket in a namespace stays there.
    fn socket(namespace: &str, address: SocketAddr) -> UdpSocket {
        let path = Path::new("/run/netns").join(namespace);
        let thread = std::thread::spawn(move || {
            setns(std::fs::File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            let socket = UdpSocket::bind(address).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
            socket
        });
        thread.join().unwrap()
    }
}

/// Whether this kind can be used here.
pub(crate) fn kinds() -> [FirewallKind; 2] {
    [FirewallKind::Nftables, FirewallKind::Iptables]
}
