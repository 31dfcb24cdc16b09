//! Rules that ask sets of ipset.

use super::super::{Filters, Packet};
use super::{TCP, UDP, client, from, input, iptables, said, to};

/// As `ipset save` prints it.
const SAVED: &str = r#"create nets hash:net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x9e8c1f21
add nets 203.0.113.0/24 timeout 86399 comment "nomatch is no option here"
add nets 198.51.100.7
create holes hash:net family inet hashsize 1024 maxelem 65536
add holes 203.0.113.0/24
add holes 203.0.113.9 nomatch
create doors hash:ip,port family inet hashsize 1024 maxelem 65536
add doors 192.0.2.10,udp:51820
add doors 192.0.2.10,icmp:echo-request
create ports bitmap:port range 0-65535
add ports 51820
create links hash:net,iface family inet hashsize 64 maxelem 65536
add links 203.0.113.0/24,eth0
add links 198.51.100.0/24,physdev:eth0
create wide hash:ip family inet hashsize 64 maxelem 65536 netmask 24
add wide 203.0.113.0
create six hash:ip family inet6 hashsize 64 maxelem 65536
add six 2001:db8::9
create marked hash:ip,mark family inet hashsize 64 maxelem 65536
add marked 203.0.113.9,0x00000005
create macs hash:mac hashsize 64 maxelem 65536
add macs 02:00:00:00:00:01
create all list:set size 8
add all ports
add all nets
create strange list:set size 8
add strange macs
"#;

fn verdict(rules: &str, packet: &Packet) -> String {
    let mut filters = input(rules);
    filters.add_ipsets(SAVED);
    said(&filters, packet)
}

#[test]
fn the_members_of_a_set_decide() {
    let (yes, no) = ("accepted", "dropped by policy drop");
    let cases = [
        ("nets src", yes),
        ("nets dst", no),
        ("doors dst,dst", yes),
        ("doors src,dst", no),
        // One part is not enough for a set of two, which is then in none.
        ("doors dst", no),
        // What is too much is not asked.
        ("nets src,dst", yes),
        ("ports dst", yes),
        ("ports src", no),
        ("links src,src", yes),
        ("links src,dst", no),
        ("marked src,src", no),
        ("six src", no),
        ("all src", yes),
        ("all dst", yes),
    ];
    for (asked, expected) in cases {
        let rule = format!("-A INPUT -m set --match-set {asked} -j ACCEPT");
        let stranger = Packet { ports: Some((40_000, 51820)), ..to(UDP, 51820) };
        assert_eq!(verdict(&rule, &stranger), expected, "{asked}");
        let not = format!("-A INPUT -m set ! --match-set {asked} -j ACCEPT");
        let other = if expected == yes { no } else { yes };
        assert_eq!(verdict(&not, &stranger), other, "not {asked}");
    }
    let ports = "-A INPUT -m set --match-set doors dst,dst -j ACCEPT";
    assert_eq!(verdict(ports, &to(TCP, 51820)), no);
    assert_eq!(verdict("-A INPUT -m set --match-set nets src -j ACCEPT", &from("198.51.100.8", UDP, 1)), no);
    let forward = "-A FORWARD -m set ! --match-set nets dst -j DROP";
    assert_eq!(verdict(forward, &client()), yes);
}

#[test]
fn unknown_set_names_its_rule() {
    for asked in ["absent src", "macs src", "wide src", "holes src", "strange src"] {
        for not in ["", "! "] {
            let rule = format!("-A INPUT -m set {not}--match-set {asked} -j ACCEPT");
            assert_eq!(verdict(&rule, &to(UDP, 51820)), format!("unknown by {rule}"));
        }
    }
    // Of an interface that is the port of a bridge nothing is known.
    let bridged = "-A INPUT -m set --match-set links src,src -j ACCEPT";
    assert_eq!(verdict(bridged, &from("198.51.100.9", UDP, 1)), format!("unknown by {bridged}"));
    // How often it was met is another question, and so is what counts as met.
    for more in ["--packets-gt 3", "--return-nomatch", "! --bytes-eq 5"] {
        let rule = format!("-A INPUT -m set --match-set nets src {more} -j ACCEPT");
        assert_eq!(verdict(&rule, &to(UDP, 51820)), format!("unknown by {rule}"));
        let none = format!("-A INPUT -m set --match-set nets dst {more} -j ACCEPT");
        assert_eq!(verdict(&none, &to(UDP, 51820)), "dropped by policy drop");
    }
    let counted = "-A INPUT -m set --match-set nets src ! --update-counters ! --update-subcounters -j ACCEPT";
    assert_eq!(verdict(counted, &to(UDP, 51820)), "accepted");
    // What an earlier rule puts into it may be this packet.
    let put = "-A INPUT -j SET --add-set nets dst\n-A INPUT -m set --match-set nets dst -j ACCEPT";
    assert!(verdict(put, &to(UDP, 51820)).starts_with("unknown by -A INPUT -m set"));
}

#[test]
fn without_its_sets_nothing_is_known() {
    let rule = "-A INPUT -m set --match-set nets src -j ACCEPT";
    assert_eq!(said(&input(rule), &to(UDP, 51820)), format!("unknown by {rule}"));
    let mut filters: Filters = iptables(&format!("*filter\n:INPUT DROP [0:0]\n{rule}\nCOMMIT\n"));
    filters.add_ipsets(SAVED);
    assert_eq!(said(&filters.without_sets(), &to(UDP, 51820)), format!("unknown by {rule}"));
}
