//! Others that keep the Internet from our ports: an accept of ours is put where they would refuse, for exactly these ports, and
//! nothing else of theirs is changed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use phantom_host::linux::LinuxFirewall;
use phantom_host::{Firewall, FirewallKind, Protocol, Ruleset, RulesetStatus};

use crate::lab::{choose_iptables, in_namespace, server_rules, sh, state, tags};

const NEEDS: [&str; 6] =
    ["nft", "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy", "ip"];

/// What Oracle's and others' images load at boot, for one variant of iptables and both families.
fn cloud(variant: &str) -> String {
    let rules = |icmp: &str, reject: &str| {
        format!(
            "*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p {icmp} -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with {reject}
-A FORWARD -j REJECT --reject-with {reject}
COMMIT
"
        )
    };
    let (four, six) = (rules("icmp", "icmp-host-prohibited"), rules("ipv6-icmp", "icmp6-adm-prohibited"));
    format!("iptables-{variant}-restore <<'X'\n{four}X\nip6tables-{variant}-restore <<'X'\n{six}X\n")
}

/// What an operator may have in `/etc/nftables.conf`.
const NFT: &str = "nft -f - <<'X'
table inet filter {
	chain input { type filter hook input priority filter; policy drop; ct state vmap { established : accept, related : accept, invalid : drop }; iif lo accept; meta l4proto { icmp, ipv6-icmp } accept; tcp dport 22 accept; }
	chain forward { type filter hook forward priority filter; policy accept; }
}
X
";
/// The same before the packet's way is known, and for one family alone.
const EARLY: &str = "nft -f - <<'X'
table ip guard {
	chain pre { type filter hook prerouting priority raw; policy accept; ct state established accept; iifname \"out0\" udp dport 1024-65535 drop; }
}
X
";

/// The operator's rules, where a named set says which ports are open.
fn by_set(ports: &str) -> String {
    let set = format!("table inet filter {{\n\tset open {{ type inet_service; elements = {{ {ports} }}; }}");
    NFT.replace("table inet filter {", &set).replace("tcp dport 22 accept", "udp dport @open accept")
}

/// What is loaded of somebody else's.
fn everything() -> String {
    let tables = "for i in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do for t in $(case $i in iptables-legacy) cat /proc/net/ip_tables_names;; ip6tables-legacy) cat /proc/net/ip6_tables_names;; *) echo filter;; esac); do echo $i $t; $i -t $t -S; done; done";
    sh(&format!("nft -s list ruleset; {tables}"))
}

/// A host of the Internet behind `out0`, and this namespace. They know where the other one is: filters that drop everything do not
/// keep them from that.
struct Internet;

impl Internet {
    const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

    fn new() -> Self {
        sh("ip netns add fwl-internet; ip link add out0 type veth peer name eth0 netns fwl-internet
            ip addr add 192.0.2.1/24 dev out0; ip addr add 2001:db8::1/64 dev out0 nodad; ip link set out0 up
            ip -n fwl-internet addr add 192.0.2.2/24 dev eth0; ip -n fwl-internet addr add 2001:db8::2/64 dev eth0 nodad
            ip -n fwl-internet link set eth0 up; ip route add default via 192.0.2.2; ip -6 route add default via 2001:db8::2
            ip link set out0 address 02:00:00:00:00:01; ip -n fwl-internet link set eth0 address 02:00:00:00:00:02
            for a in 192.0.2.1 2001:db8::1; do ip -n fwl-internet neigh replace $a lladdr 02:00:00:00:00:01 dev eth0 nud permanent; done
            for a in 192.0.2.2 2001:db8::2; do ip neigh replace $a lladdr 02:00:00:00:00:02 dev out0 nud permanent; done");
        Self
    }

    /// Whether datagrams come to a port of this host, by IPv4 and by IPv6.
    fn reaches(&self, port: u16) -> (bool, bool) {
        let Self = self;
        let one = |here: IpAddr, from: IpAddr| {
            let mine = UdpSocket::bind((here, port)).unwrap();
            mine.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
            let theirs = Self::socket(SocketAddr::new(from, 0));
            let deadline = Instant::now() + Duration::from_millis(900);
            let mut buffer = [0; 16];
            while Instant::now() < deadline {
                // An ICMP error of a rejecting rule comes back as the error of the next call.
                let _ = theirs.send_to(b"hello", (here, port));
                if mine.recv_from(&mut buffer).is_ok() {
                    return true;
                }
            }
            false
        };
        (
            one(Self::HOST.into(), Ipv4Addr::new(192, 0, 2, 2).into()),
            one(Self::HOST6.into(), "2001:db8::2".parse().unwrap()),
        )
    }

    fn socket(address: SocketAddr) -> UdpSocket {
        let thread = std::thread::spawn(move || {
            let path = Path::new("/run/netns/fwl-internet");
            setns(std::fs::File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            UdpSocket::bind(address).unwrap()
        });
        thread.join().unwrap()
    }
}

/// The rules of a server that lets in one port.
fn rules() -> Ruleset {
    let mut rules = server_rules();
    rules.let_in(Protocol::Udp, 51820);
    rules
}

const UNDO: &str =
    "nft flush ruleset; for i in iptables-legacy ip6tables-legacy; do $i -P INPUT ACCEPT; $i -F; $i -X; done";

/// That a server with this packet filter opens its port, and that one alone, and leaves nothing behind.
fn opens(internet: &Internet, firewall: &LinuxFirewall, others: &str) {
    sh(others);
    let (before, open) = (everything(), internet.reaches(51820));
    assert_ne!(open, (true, true), "they close: {others}");
    let closed = internet.reaches(51821);
    firewall.replace(&tags(), &rules()).unwrap();
    assert_eq!(state(firewall, &rules()), RulesetStatus::InSync, "{others}");
    assert_eq!(internet.reaches(51820), (true, true), "{others}\n{}", everything());
    assert_eq!(internet.reaches(51821), closed, "{others}");
    let let_in = firewall.filters().unwrap().let_in(&tags());
    assert!(!let_in.is_empty() && let_in.iter().all(|one| one.ports.len() == 1), "{let_in:?}");
    // Once more it is the same, and a rule that somebody puts before ours is noticed.
    firewall.replace(&tags(), &rules()).unwrap();
    assert_eq!(state(firewall, &rules()), RulesetStatus::InSync, "{others}");
    // Another port takes its place, and without one nothing is left.
    let mut other = server_rules();
    other.let_in(Protocol::Udp, 51821);
    assert_eq!(state(firewall, &other), RulesetStatus::Drifted, "{others}");
    firewall.replace(&tags(), &other).unwrap();
    assert_eq!(internet.reaches(51821), (true, true), "{others}");
    assert_eq!(internet.reaches(51820), open, "{others}");
    firewall.replace(&tags(), &server_rules()).unwrap();
    assert_eq!(internet.reaches(51821), closed, "{others}");
    assert_eq!(firewall.filters().unwrap().let_in(&tags()), []);
    firewall.remove(&tags()).unwrap();
    assert_eq!(everything(), before, "{others}");
}

#[test]
fn ports_are_accepted_where_others_refuse() {
    in_namespace("letting::ports_are_accepted_where_others_refuse", &NEEDS, || {
        let internet = Internet::new();
        let firewall = LinuxFirewall::new();
        assert_eq!(firewall.kind().unwrap(), FirewallKind::Nftables);
        let both = cloud("legacy") + NFT;
        for others in
            [cloud("nft"), NFT.to_owned(), EARLY.to_owned(), cloud("legacy"), both, by_set("22, 4500")]
        {
            opens(&internet, &firewall, &others);
            sh(UNDO);
        }
    });
}

#[test]
fn on_iptables_too() {
    in_namespace("letting::on_iptables_too", &NEEDS, || {
        let internet = Internet::new();
        for variant in ["nft", "legacy"] {
            choose_iptables(variant);
            for others in ["nft", "legacy"] {
                sh(&cloud(others));
                let firewall = LinuxFirewall::with_kind(FirewallKind::Iptables);
                assert_eq!(internet.reaches(51820), (false, false), "{variant} {others}");
                firewall.replace(&tags(), &rules()).unwrap();
                assert_eq!(state(&firewall, &rules()), RulesetStatus::InSync, "{variant} {others}");
                assert_eq!(internet.reaches(51820), (true, true), "{variant} {others}\n{}", everything());
                assert_eq!(internet.reaches(51821), (false, false), "{variant} {others}");
                firewall.remove(&tags()).unwrap();
                assert!(!everything().contains("PHANTOM-WG"), "{variant} {others}");
                assert_eq!(internet.reaches(51820), (false, false), "{variant} {others}");
                sh(UNDO);
            }
        }
    });
}

/// Other people's rules that nobody can list hold up no change: what is open stays open, and nothing more is.
#[test]
fn unreadable_tables_stay_and_block_nothing() {
    in_namespace("letting::unreadable_tables_stay_and_block_nothing", &NEEDS, || {
        let internet = Internet::new();
        for kind in [FirewallKind::Nftables, FirewallKind::Iptables] {
            choose_iptables("nft");
            let firewall = LinuxFirewall::with_kind(kind);
            sh(&cloud("nft"));
            sh(NFT);
            firewall.replace(&tags(), &rules()).unwrap();
            assert_eq!(internet.reaches(51820), (true, true));
            let open = everything();
            sh("cp /usr/sbin/nft /run/nft-itself
                printf '#!/bin/sh\ncase \"$*\" in \"-a -t list ruleset\") exit 1;; esac\nexec /run/nft-itself \"$@\"\n' > /run/nft
                chmod 755 /run/nft; mount --bind /run/nft /usr/sbin/nft");
            assert!(firewall.filters().is_err());
            assert_eq!(state(&firewall, &rules()), RulesetStatus::InSync);
            firewall.replace(&tags(), &rules()).unwrap();
            let mut more = rules();
            more.let_in(Protocol::Tcp, 443);
            firewall.replace(&tags(), &more).unwrap();
            assert_eq!(state(&firewall, &more), RulesetStatus::InSync);
            assert_eq!((everything(), internet.reaches(51820)), (open, (true, true)), "nothing more is open");
            // A port that is not wanted any more is closed all the same.
            firewall.replace(&tags(), &server_rules()).unwrap();
            assert_eq!(internet.reaches(51820), (false, false));
            sh("umount /usr/sbin/nft");
            firewall.replace(&tags(), &rules()).unwrap();
            assert_eq!(internet.reaches(51820), (true, true));
            firewall.remove(&tags()).unwrap();
            sh(UNDO);
        }
    });
}

#[test]
fn nothing_is_put_where_nobody_refuses() {
    in_namespace("letting::nothing_is_put_where_nobody_refuses", &NEEDS, || {
        let internet = Internet::new();
        let firewall = LinuxFirewall::new();
        let open = NFT.replace("tcp dport 22 accept", "tcp dport 22 accept; udp dport 51820 accept");
        let limited = NFT.replace("tcp dport 22 accept", "limit rate 100/second accept");
        for others in ["", &open, &limited, &by_set("4500, 51820")] {
            sh(if others.is_empty() { "true" } else { others });
            let before = sh("nft -s list ruleset");
            firewall.replace(&tags(), &rules()).unwrap();
            assert_eq!(firewall.filters().unwrap().let_in(&tags()), [], "{others}");
            assert_eq!(internet.reaches(51820), (true, true), "{others}");
            firewall.remove(&tags()).unwrap();
            assert_eq!(sh("nft -s list ruleset"), before, "{others}");
            sh("nft flush ruleset");
        }
    });
}

/// What names the port itself is meant as it is: nobody gets in but those whom it lets in, also where another chain forgets it.
#[test]
fn what_its_owner_limits_stays_limited() {
    in_namespace("letting::what_its_owner_limits_stays_limited", &NEEDS, || {
        let internet = Internet::new();
        let firewall = LinuxFirewall::new();
        let limits = |rule: &str| NFT.replace("tcp dport 22 accept", &format!("tcp dport 22 accept; {rule}"));
        let office = "ip saddr 203.0.113.0/24 udp dport 51820 accept";
        let set = "set office { type ipv4_addr . inet_service; elements = { 203.0.113.9 . 51820 }; }";
        let by_set = limits("iifname \"lan0\" ip saddr . udp dport @office accept")
            .replace("table inet filter {", &format!("table inet filter {{\n\t{set}"));
        let images = ["nft", "legacy"].map(|variant| {
            let rule = "-s 203.0.113.0/24 -p udp --dport 51820 -j ACCEPT";
            format!("{}iptables-{variant} -I INPUT 1 {rule}\n", cloud(variant))
        });
        for others in [limits(office), by_set, images[0].clone(), images[1].clone()] {
            sh(&others);
            let before = everything();
            firewall.replace(&tags(), &rules()).unwrap();
            assert_eq!(state(&firewall, &rules()), RulesetStatus::InSync, "{others}");
            assert_eq!(firewall.filters().unwrap().let_in(&tags()), [], "{others}");
            assert_eq!(internet.reaches(51820), (false, false), "{others}");
            // Another port is as good as ever.
            let mut more = rules();
            more.let_in(Protocol::Udp, 4500);
            firewall.replace(&tags(), &more).unwrap();
            assert_eq!(
                (internet.reaches(4500), internet.reaches(51820)),
                ((true, true), (false, false)),
                "{others}"
            );
            firewall.remove(&tags()).unwrap();
            assert_eq!(everything(), before, "{others}");
            sh(UNDO);
        }
        // What is limited while our accept is there takes it away, and what it lets in gets in.
        sh(NFT);
        firewall.replace(&tags(), &rules()).unwrap();
        assert_eq!(internet.reaches(51820), (true, true));
        sh("nft add rule inet filter input ip saddr 192.0.2.2 udp dport 51820 accept");
        assert_eq!(internet.reaches(51820), (true, true));
        sh("nft add rule inet filter input udp dport 51820 drop");
        firewall.replace(&tags(), &rules()).unwrap();
        assert_eq!(internet.reaches(51820), (true, false));
        firewall.remove(&tags()).unwrap();
    });
}

#[test]
fn later_closing_or_opening_is_noticed() {
    in_namespace("letting::later_closing_or_opening_is_noticed", &NEEDS, || {
        let internet = Internet::new();
        let firewall = LinuxFirewall::new();
        firewall.replace(&tags(), &rules()).unwrap();
        assert_eq!(state(&firewall, &rules()), RulesetStatus::InSync);
        for (close, open) in [
            ("iptables-nft -A INPUT -j REJECT", "iptables-nft -F INPUT"),
            ("iptables-legacy -A INPUT -p udp -j DROP", "iptables-legacy -F INPUT"),
            ("ip6tables-nft -P INPUT DROP", "ip6tables-nft -P INPUT ACCEPT"),
            (
                "nft add table inet own; nft add chain inet own f '{ type filter hook input priority 7; policy drop; }'",
                "nft chain inet own f '{ policy accept; }'",
            ),
        ] {
            sh(close);
            assert_ne!(internet.reaches(51820), (true, true), "{close}");
            assert_eq!(state(&firewall, &rules()), RulesetStatus::Drifted, "{close}");
            firewall.replace(&tags(), &rules()).unwrap();
            assert_eq!(internet.reaches(51820), (true, true), "{close}");
            // A rule before ours takes the packets that ours would let in.
            if close.starts_with("iptables-nft") {
                sh("iptables-nft -I INPUT -p udp -j DROP");
                assert_eq!(state(&firewall, &rules()), RulesetStatus::Drifted, "{close}");
                firewall.replace(&tags(), &rules()).unwrap();
                assert_eq!(internet.reaches(51820), (true, true), "{close}");
            }
            sh(open);
            assert_eq!(state(&firewall, &rules()), RulesetStatus::Drifted, "{open}");
            firewall.replace(&tags(), &rules()).unwrap();
            assert_eq!(state(&firewall, &rules()), RulesetStatus::InSync, "{open}");
            assert!(!sh("nft list ruleset; iptables-legacy -S").contains("51820"), "{open}");
        }
    });
}

#[test]
fn process_owned_table_stays_and_is_named() {
    in_namespace("letting::process_owned_table_stays_and_is_named", &NEEDS, || {
        let internet = Internet::new();
        sh("mkfifo /run/hold; (nft -i < /run/hold > /run/out 2>&1 &) ; exec 3> /run/hold
            echo 'add table inet firewalld { flags owner; }' >&3
            echo 'add chain inet firewalld filter_INPUT { type filter hook input priority 10; policy drop; }' >&3
            (sleep 600 >&3 2>/dev/null </dev/null & echo $! > /run/holder) ; i=0
            until nft list table inet firewalld 2>/dev/null | grep -q policy; do i=$((i+1)); [ $i -lt 200 ]; sleep 0.02; done");
        let firewall = LinuxFirewall::new();
        firewall.replace(&tags(), &rules()).unwrap();
        assert_eq!(state(&firewall, &rules()), RulesetStatus::InSync);
        assert_eq!(internet.reaches(51820), (false, false));
        assert!(!sh("nft list table inet firewalld").contains("phantom"));
        let packet = phantom_host::filter::Packet::to_host(
            "out0",
            Ipv4Addr::new(198, 51, 100, 7).into(),
            Internet::HOST.into(),
            17,
            51820,
        );
        let verdict = firewall.filters().unwrap().verdict(&packet);
        let command = verdict.closing().unwrap().opening(&packet);
        assert_eq!(command, "firewall-cmd --permanent --add-port=51820/udp && firewall-cmd --reload");
        firewall.remove(&tags()).unwrap();
        sh("kill $(cat /run/holder)");
    });
}

/// Hides nft, as where its package is removed.
const HIDE: &str = "touch /run/nothing; chmod 644 /run/nothing; mount --bind /run/nothing /usr/sbin/nft";

/// What nobody can take out ends no removal, and is named with a command that does.
#[test]
fn irremovable_rule_is_named_and_blocks_nothing() {
    in_namespace("letting::irremovable_rule_is_named_and_blocks_nothing", &NEEDS, || {
        let internet = Internet::new();
        let firewall = LinuxFirewall::new();
        sh(NFT);
        firewall.replace(&tags(), &rules()).unwrap();
        assert_eq!((internet.reaches(51820), firewall.stuck(&tags()).unwrap()), ((true, true), Vec::new()));
        // nft is uninstalled.
        sh(HIDE);
        for firewall in [LinuxFirewall::new(), LinuxFirewall::small()] {
            firewall.remove(&tags()).unwrap();
            assert_eq!(state(&firewall, &Ruleset::default()), RulesetStatus::Missing);
        }
        let stuck = firewall.stuck(&tags()).unwrap();
        let places: Vec<&str> = stuck.iter().map(|rules| rules.place.as_str()).collect();
        let (own, input) = (tags().nft_table(), tags().input_chain());
        assert_eq!(places, [format!("nftables inet filter {input}"), format!("nftables inet {own}")]);
        sh("umount /usr/sbin/nft");
        assert_eq!(internet.reaches(51820), (true, true), "it is open");
        for rules in stuck {
            let (install, command) = rules.command.split_once(" && ").unwrap();
            assert_eq!(install, "apt install nftables");
            sh(command);
        }
        assert_eq!(internet.reaches(51820), (false, false));
        // With the program again, the rest goes.
        firewall.remove(&tags()).unwrap();
        assert!(!sh("nft list ruleset").contains("phantom"));
        sh(UNDO);
        // A table that iptables does not understand any more.
        choose_iptables("nft");
        let firewall = LinuxFirewall::with_kind(FirewallKind::Iptables);
        sh(&cloud("nft"));
        firewall.replace(&tags(), &rules()).unwrap();
        sh("nft add rule ip filter INPUT ct state vmap '{ established : accept }'");
        assert_eq!(sh("iptables-nft -S >/dev/null 2>&1 && echo read || echo refused"), "refused\n");
        firewall.remove(&tags()).unwrap();
        let stuck = firewall.stuck(&tags()).unwrap();
        let input = stuck.iter().find(|rules| rules.place.ends_with("-INPUT")).unwrap();
        assert_eq!(internet.reaches(51820), (true, false), "IPv6 is closed again: {stuck:?}");
        sh(&input.command);
        assert_eq!(internet.reaches(51820), (false, false));
        sh(UNDO);
    });
}
