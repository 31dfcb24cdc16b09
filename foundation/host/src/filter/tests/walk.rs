//! One thing each of how packets walk through chains.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::super::{FilterProgram, FilterVerdict, Filters, Packet, Tracking};
use super::{TCP, UDP, client, input, iptables, said, to};

#[test]
fn without_tables_everything_passes() {
    assert_eq!(Filters::new().verdict(&to(UDP, 51820)), FilterVerdict::Accepted);
}

#[test]
fn accept_ends_one_base_chain_drop_all() {
    let mut filters = input("-A INPUT -j ACCEPT");
    assert_eq!(said(&filters, &to(UDP, 5)), "accepted");
    let mangle = "*mangle\n:INPUT ACCEPT [0:0]\n-A INPUT -p udp -m udp --dport 5 -j DROP\nCOMMIT\n";
    filters.extend(iptables(mangle));
    assert_eq!(said(&filters, &to(UDP, 5)), "dropped by -A INPUT -p udp -m udp --dport 5 -j DROP");
    assert_eq!(said(&filters, &to(UDP, 6)), "accepted");
    // Both variants are asked.
    let legacy = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p udp -m udp --dport 6 -j DROP\nCOMMIT\n";
    filters.extend(Filters::read_iptables(legacy, FilterProgram::IptablesLegacy, false));
    assert!(said(&filters, &to(UDP, 6)).starts_with("dropped by"));
    assert_eq!(filters.tables().count(), 3);
}

#[test]
fn return_and_goto_act_as_in_kernel() {
    let chains = ":A - [0:0]\n:B - [0:0]\n";
    let rules = [
        // Back from a chain to the rule after the jump.
        ("-A INPUT -j A\n-A INPUT -j ACCEPT\n-A A -j RETURN\n-A A -j DROP", "accepted"),
        // Back from one that a goto leads to: to the caller's caller, here the policy.
        ("-A INPUT -g A\n-A INPUT -j ACCEPT\n-A A -j RETURN", "dropped by policy drop"),
        ("-A INPUT -j A\n-A INPUT -j ACCEPT\n-A A -g B\n-A A -j DROP", "accepted"),
        ("-A INPUT -j RETURN\n-A INPUT -j ACCEPT", "dropped by policy drop"),
        ("-A INPUT -j A\n-A A -j B\n-A B -j ACCEPT\n-A A -j DROP", "accepted"),
        ("-A INPUT -j NOWHERE\n-A INPUT -j ACCEPT", "unknown by -A INPUT -j NOWHERE"),
    ];
    for (rules, expected) in rules {
        assert_eq!(said(&input(&format!("{chains}{rules}")), &to(UDP, 5)), expected, "{rules}");
    }
}

#[test]
fn unknown_condition_matters_only_if_it_decides() {
    let unknown = "-m string --string x --algo bm";
    let cases = [
        (
            format!("-A INPUT {unknown} -j ACCEPT"),
            "unknown by -A INPUT -m string --string x --algo bm -j ACCEPT",
        ),
        (format!("-A INPUT {unknown} -j DROP"), "dropped by policy drop"),
        (format!("-A INPUT {unknown} -j ACCEPT\n-A INPUT -j ACCEPT"), "accepted"),
        (format!("-A INPUT {unknown} -j LOG\n-A INPUT -j ACCEPT"), "accepted"),
        // Another condition that is false decides.
        (format!("-A INPUT -p tcp {unknown} -j ACCEPT"), "dropped by policy drop"),
        // The rule is named that decides, not the first one that is not known.
        (
            format!("-A INPUT {unknown} -j A\n-A INPUT -m u32 --u32 \"0x0=0x1\" -j ACCEPT\n:A - [0:0]"),
            "unknown by -A INPUT -m u32 --u32 \"0x0=0x1\" -j ACCEPT",
        ),
        // A chain that both possibilities come to gives them one answer.
        (format!("-A INPUT {unknown} -j A\n-A INPUT -j A\n:A - [0:0]\n-A A -j ACCEPT"), "accepted"),
        ("-A INPUT -j NFQUEUE --queue-num 1".to_owned(), "unknown by -A INPUT -j NFQUEUE --queue-num 1"),
    ];
    for (rules, expected) in cases {
        assert_eq!(said(&input(&rules), &to(UDP, 5)), expected, "{rules}");
    }
    // One chain does not know, a later one ends it in any case.
    let mut filters = input("-A INPUT -j DROP");
    filters.extend(iptables(
        "*mangle\n:INPUT ACCEPT [0:0]\n-A INPUT -m u32 --u32 \"0x0=0x1\" -j DROP\nCOMMIT\n",
    ));
    assert_eq!(said(&filters, &to(UDP, 5)), "dropped by -A INPUT -j DROP");
}

#[test]
fn marks_are_followed() {
    let rules = "-A INPUT -p udp -j MARK --set-xmark 0x15/0xffffffff\n-A INPUT -j MARK --set-xmark 0x2/0x7\n\
        -A INPUT -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff\n";
    // 0x15 without 7 is 0x10, with 2 turned 0x12.
    for (mark, udp, tcp) in
        [("0x12", "accepted", "dropped by policy drop"), ("0x2", "dropped by policy drop", "accepted")]
    {
        let filters = input(&format!("{rules}-A INPUT -m connmark --mark {mark} -j ACCEPT"));
        assert_eq!((said(&filters, &to(UDP, 5)), said(&filters, &to(TCP, 5))), (udp.into(), tcp.into()));
    }
    // One that may have been set is not known.
    let filters = input(
        "-A INPUT -m u32 --u32 \"0x0=0x1\" -j MARK --set-xmark 0x1/0xffffffff\n-A INPUT -m mark --mark 0x1 -j ACCEPT",
    );
    assert_eq!(said(&filters, &to(UDP, 5)), "unknown by -A INPUT -m mark --mark 0x1 -j ACCEPT");
}

#[test]
fn packets_are_tracked_or_not() {
    let mut filters = input(
        "-A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT\n-A INPUT -m conntrack --ctstate NEW -j DROP",
    );
    filters.extend(iptables("*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m conntrack --ctstate NEW -j DROP\n-A PREROUTING -p udp -m udp --dport 5 -j CT --notrack\nCOMMIT\n"));
    assert_eq!(said(&filters, &to(UDP, 5)), "accepted");
    assert_eq!(said(&filters, &to(UDP, 6)), "dropped by -A INPUT -m conntrack --ctstate NEW -j DROP");
    // Redirecting needs a connection, and its first packet.
    filters.extend(iptables(
        "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp -j REDIRECT --to-ports 9\nCOMMIT\n",
    ));
    assert_eq!(said(&filters, &to(UDP, 5)), "accepted");
    assert!(said(&filters, &to(UDP, 6)).starts_with("redirected by"));
    let known = Packet { tracking: Tracking::Established, ..to(UDP, 6) };
    assert_eq!(said(&filters, &known), "dropped by policy drop");
}

#[test]
fn reverse_path_filter_uses_the_return_route() {
    let raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m rpfilter --invert -j DROP\nCOMMIT\n";
    let filters = iptables(raw);
    assert_eq!(said(&filters, &to(UDP, 5)), "accepted");
    let with = |return_route| said(&filters, &Packet { return_route, ..to(UDP, 5) });
    let rule = "-A PREROUTING -m rpfilter --invert -j DROP";
    assert_eq!(with(Some(false)), format!("dropped by {rule}"));
    assert_eq!(with(None), format!("unknown by {rule}"));
}

/// Packets leave with this target's source, and nothing leaves with a source of a client.
fn translated(target: &str) -> Filters {
    let nat = format!("*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 10.8.0.0/24 -j {target}\nCOMMIT\n");
    let mut filters = iptables(&nat);
    let json = r#"{"nftables": [{"table": {"family": "ip", "name": "late", "handle": 1}},
        {"chain": {"family": "ip", "table": "late", "name": "post", "handle": 1, "type": "filter", "hook": "postrouting", "prio": 200, "policy": "accept"}},
        {"rule": {"family": "ip", "table": "late", "chain": "post", "handle": 2, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}}, {"drop": null}]}}]}"#;
    filters.extend(Filters::read_nft(json.as_bytes(), "").unwrap());
    filters
}

#[test]
fn masqueraded_packets_have_another_source_behind_it() {
    let text = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 10.8.0.0/24 -j MASQUERADE\nCOMMIT\n";
    assert_eq!(said(&iptables(text), &client()), "accepted");
    assert_eq!(said(&translated("MASQUERADE"), &client()), "unknown by handle 2");
    // Where it is known what masquerading takes, that is its source.
    let known = Packet { masqueraded: "192.0.2.10".parse().ok(), ..client() };
    assert_eq!(said(&translated("MASQUERADE"), &known), "accepted");
    assert_eq!(said(&translated("ACCEPT"), &known), "dropped by handle 2");
    assert_eq!(said(&translated("SNAT --to-source 10.8.0.9"), &known), "unknown by handle 2");
    let inner = Packet { masqueraded: "10.9.0.1".parse().ok(), ..client() };
    assert_eq!(said(&translated("MASQUERADE"), &inner), "dropped by handle 2");
}

#[test]
fn reply_to_masqueraded_connection_matches_both_ends() {
    let door = "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 192.0.2.10/32 -i eth0 -m conntrack --ctorigsrc 10.8.0.0/24 \
        -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A PREROUTING -i eth0 -j DROP\nCOMMIT\n";
    let door = iptables(door);
    let known = Packet { masqueraded: "192.0.2.10".parse().ok(), ..client() };
    assert_eq!(said(&door, &known.answer()), "accepted");
    assert!(said(&door, &client().answer()).starts_with("unknown"));
    let other = Packet { masqueraded: "192.0.2.11".parse().ok(), ..client() };
    let begun_elsewhere = Packet { source: "10.9.0.2".parse().unwrap(), ..known };
    for packet in [other, begun_elsewhere] {
        assert_eq!(said(&door, &packet.answer()), "dropped by -A PREROUTING -i eth0 -j DROP");
    }
}

#[test]
fn unreadable_tables_give_no_answer() {
    let mut filters = input("-A INPUT -p udp -j ACCEPT");
    filters.add_unread("nftables inet other");
    assert_eq!(said(&filters, &to(UDP, 5)), "unread nftables inet other");
    assert_eq!(said(&filters, &to(TCP, 5)), "dropped by policy drop");
}

#[test]
fn loops_and_depths_have_an_end() {
    let filters = input(":A - [0:0]\n:B - [0:0]\n-A INPUT -j A\n-A A -j B\n-A B -j A");
    assert!(said(&filters, &to(UDP, 5)).starts_with("unknown by"));
    let mut deep = String::from("-A INPUT -j C0\n");
    for chain in 0..5000 {
        let _ = writeln!(deep, ":C{chain} - [0:0]\n-A C{chain} -j C{}", chain + 1);
    }
    assert!(said(&input(&deep), &to(UDP, 5)).starts_with("unknown by"));
    // Two jumps in each of fifteen levels are 32,768 walks through the last chain, if nobody remembers the first one.
    // Marks that differ each time let nobody remember: then the answer is that it is not known.
    for (change, expected) in
        [("-A C{} -j LOG", "accepted"), ("-A C{} -j MARK --set-xmark 0x{}1/0x0", "unknown")]
    {
        let mut wide = String::from("-A INPUT -j C0\n-A INPUT -j ACCEPT\n");
        for level in 0..15 {
            let next = level + 1;
            let change =
                change.replacen("{}", &level.to_string(), 1).replace("{}", &format!("{:x}", 1 << level));
            let _ =
                writeln!(wide, ":C{level} - [0:0]\n-A C{level} -j C{next}\n{change}\n-A C{level} -j C{next}");
        }
        wide.push_str(":C15 - [0:0]\n");
        (0..20).for_each(|_| wide.push_str("-A C15 -s 10.0.0.1/32 -j DROP\n"));
        let begun = Instant::now();
        assert!(said(&input(&wide), &to(UDP, 5)).starts_with(expected), "{change}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

/// A ruleset of this many rules and elements, in which every rule asks the large set.
fn large(count: usize) -> Filters {
    let mut json = String::from(
        r#"{"nftables": [{"table": {"family": "inet", "name": "t", "handle": 1}},
        {"chain": {"family": "inet", "table": "t", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
        {"set": {"family": "inet", "name": "many", "table": "t", "type": ["ipv4_addr", "inet_service"], "handle": 2, "elem": ["#,
    );
    for element in 0..count / 2 {
        let comma = if element == 0 { "" } else { "," };
        let _ = write!(
            json,
            r#"{comma}{{"concat": ["10.{}.{}.{}", 51820]}}"#,
            element >> 16,
            element >> 8 & 255,
            element & 255
        );
    }
    json.push_str("]}}");
    for handle in 0..count / 2 {
        let _ = write!(
            json,
            r#",{{"rule": {{"family": "inet", "table": "t", "chain": "input", "handle": {}, "expr": [{{"match": {{"op": "==",
            "left": {{"concat": [{{"payload": {{"protocol": "ip", "field": "saddr"}}}}, {{"payload": {{"protocol": "udp", "field": "dport"}}}}]}},
            "right": "@many"}}}}, {{"accept": null}}]}}}}"#,
            handle + 10
        );
    }
    json.push_str("]}");
    Filters::read_nft(json.as_bytes(), "").unwrap()
}

/// Not a measurement: what would go by the square of the size would take minutes.
#[test]
fn a_hundred_thousand_elements_are_no_matter() {
    let filters = large(100_000);
    let begun = Instant::now();
    assert_eq!(said(&filters, &to(UDP, 51820)), "dropped by policy drop");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn missing_packet_field_meets_no_condition() {
    let rule = |op: &str, handle: u32| {
        format!(
            r#"{{"rule": {{"family": "inet", "table": "t", "chain": "input", "handle": {handle}, "expr": [
            {{"match": {{"op": "{op}", "left": {{"payload": {{"protocol": "udp", "field": "dport"}}}}, "right": 22}}}}, {{"drop": null}}]}}}}"#
        )
    };
    let json = format!(
        r#"{{"nftables": [{{"chain": {{"family": "inet", "table": "t", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}}}}, {}, {}]}}"#,
        rule("==", 2),
        rule("!=", 3)
    );
    let filters = Filters::read_nft(json.as_bytes(), "").unwrap();
    assert_eq!(said(&filters, &to(UDP, 22)), "dropped by handle 2");
    assert_eq!(said(&filters, &to(UDP, 23)), "dropped by handle 3");
    assert_eq!(said(&filters, &to(TCP, 22)), "accepted");
}
