//! Rulesets as their programs have made them, listed by nft 1.0.6 and iptables 1.8.9.

use super::super::{FilterFamily, FilterHook, FilterManager, FilterProgram, Filters, Packet, Tracking};
use super::{TCP, UDP, client, from, iptables, said, to};
use crate::OwnershipTags;

fn nft(json: &str, texts: &str) -> Filters {
    Filters::read_nft(json.as_bytes(), texts).unwrap()
}

fn operator() -> Filters {
    nft(include_str!("captured/operator.json"), include_str!("captured/operator.txt"))
}

/// The command that opens for a packet what closes it.
fn opening(filters: &Filters, packet: &Packet) -> String {
    filters.verdict(packet).closing().unwrap().opening(packet)
}

#[test]
fn ufw_closes_what_it_does_not_allow() {
    let filters = iptables(include_str!("captured/ufw.save"));
    assert_eq!(said(&filters, &to(TCP, 22)), "accepted");
    assert_eq!(said(&filters, &to(UDP, 51820)), "dropped by policy drop");
    assert_eq!(said(&filters, &to(TCP, 25)), "dropped by -A ufw-user-input -p tcp -m tcp --dport 25 -j DROP");
    // Its limit counts what came before.
    let limited = said(&filters, &to(TCP, 2222));
    assert!(limited.starts_with("unknown by") && limited.contains("-m recent"), "{limited}");
    assert_eq!(opening(&filters, &to(UDP, 51820)), "ufw allow 51820/udp");
    assert_eq!(opening(&filters, &to(TCP, 25)), "ufw insert 1 allow 25/tcp");
    assert_eq!(said(&filters, &client()), "dropped by policy drop");
    assert_eq!(opening(&filters, &client()), "ufw route allow in on wg_main");
    assert_eq!(said(&filters, &client().answer()), "accepted");
    let spot = filters.verdict(&client()).closing().unwrap().clone();
    assert_eq!((spot.manager, spot.base.hook), (FilterManager::Ufw, FilterHook::Forward));
}

#[test]
fn ufw_for_ipv6_is_another_table() {
    let text = include_str!("captured/ufw6.save");
    let filters = Filters::read_iptables(text, FilterProgram::IptablesNft, true);
    assert_eq!(said(&filters, &to(UDP, 51820)), "accepted", "it sees no IPv4");
    let packet = |port| {
        let (source, host) = ("2001:db8::9".parse().unwrap(), "2001:db8:1::1".parse().unwrap());
        Packet::to_host("eth0", source, host, TCP, port)
    };
    assert_eq!(said(&filters, &packet(22)), "accepted");
    assert_eq!(said(&filters, &packet(443)), "dropped by policy drop");
    assert_eq!(
        filters.verdict(&packet(443)).closing().unwrap().to_string(),
        "ip6tables filter INPUT: -P INPUT DROP"
    );
    // Neighbours are found.
    let neighbour = Packet { protocol: 58, ports: None, icmp: Some((135, 0)), ..packet(0) };
    let said = said(&filters, &neighbour);
    assert!(said.starts_with("unknown by") && said.contains("--hl-eq 255"), "{said}");
}

#[test]
fn captured_input_chain_ends_in_a_reject() {
    let filters = iptables(include_str!("captured/cloud.save"));
    let rule = "-A INPUT -j REJECT --reject-with icmp-host-prohibited";
    assert_eq!(said(&filters, &to(TCP, 22)), "accepted");
    assert_eq!(said(&filters, &to(UDP, 51820)), format!("rejected by {rule}"));
    assert_eq!(opening(&filters, &to(UDP, 51820)), "iptables -I INPUT -p udp --dport 51820 -j ACCEPT");
    assert_eq!(opening(&filters, &client()), "iptables -I FORWARD -i wg_main -j ACCEPT");
    let answer = client().answer();
    assert!(said(&filters, &answer).starts_with("rejected by -A FORWARD -j REJECT"));
    assert_eq!(
        opening(&filters, &answer),
        "iptables -I FORWARD -o wg_main -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    );
    let known = Packet { tracking: Tracking::Established, ..to(UDP, 51820) };
    assert_eq!(said(&filters, &known), "accepted");
    let spot = filters.verdict(&to(UDP, 51820)).closing().unwrap().clone();
    assert_eq!(spot.to_string(), format!("iptables filter INPUT #5: {rule}"));
}

#[test]
fn docker_takes_a_port_and_closes_forwarding() {
    for (text, program, start) in [
        (include_str!("captured/docker-nft.save"), FilterProgram::IptablesNft, "iptables"),
        (include_str!("captured/docker-legacy.save"), FilterProgram::IptablesLegacy, "iptables-legacy"),
    ] {
        let filters = Filters::read_iptables(text, program, false);
        assert_eq!(said(&filters, &to(UDP, 51820)), "accepted");
        let redirected = "redirected by -A DOCKER ! -i docker0 -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443";
        assert_eq!(said(&filters, &to(TCP, 443)), redirected);
        assert_eq!(said(&filters, &client()), "dropped by policy drop");
        assert_eq!(opening(&filters, &client()), format!("{start} -I FORWARD -i wg_main -j ACCEPT"));
        let container = Packet { in_interface: "docker0".into(), ..client() };
        assert_eq!(said(&filters, &container), "accepted");
    }
}

#[test]
fn an_operators_nftables() {
    let filters = operator();
    let cases = [
        (to(TCP, 22), "accepted"),
        (to(TCP, 81), "accepted"),
        (to(UDP, 4500), "accepted"),
        (to(UDP, 80), "dropped by policy drop"),
        (to(UDP, 51820), "dropped by policy drop"),
        (to(TCP, 25), "dropped by tcp dport vmap @ports"),
        // A chain that a map leads to.
        (to(TCP, 8080), "accepted"),
        (from("198.51.100.9", TCP, 8080), "rejected by meta l4proto tcp reject with tcp reset"),
        (from("198.51.100.129", TCP, 22), "dropped by ip saddr @bogons drop"),
        (from("203.0.113.66", TCP, 22), "dropped by ip saddr @banned counter packets 0 bytes 0 drop"),
        // Three chains deep, by a jump and a goto.
        (from("203.0.113.5", UDP, 51820), "accepted"),
        (Packet { in_interface: "ens3".into(), ..from("203.0.113.5", UDP, 51820) }, "dropped by policy drop"),
        // Banned from two ports only, by a table that is asked before.
        (from("203.0.113.77", TCP, 80), "accepted"),
        (
            from("203.0.113.77", TCP, 22),
            "rejected by tcp dport { 22, 2222 } ip saddr @addr-set-sshd reject with icmp port-unreachable",
        ),
        // What is closed before connections are tracked, and what is not tracked.
        (to(UDP, 8), "dropped by udp dport 8 drop"),
        (Packet { tracking: Tracking::Established, ..to(UDP, 51820) }, "accepted"),
        (Packet { tracking: Tracking::Established, ..to(UDP, 7) }, "dropped by policy drop"),
        (
            Packet { tracking: Tracking::Invalid, ..to(TCP, 22) },
            "dropped by ct state vmap { invalid : drop, established : accept, related : accept }",
        ),
        // The ingress of another interface.
        (Packet { in_interface: "lo".into(), ..to(UDP, 9) }, "dropped by udp dport 9 drop"),
        (Packet { in_interface: "lo".into(), ..to(UDP, 10) }, "accepted"),
        (client(), "dropped by policy drop"),
        (client().answer(), "accepted"),
        (Packet { in_interface: "lan0".into(), ..client() }, "accepted"),
    ];
    for (packet, expected) in cases {
        assert_eq!(said(&filters, &packet), expected, "{packet:?}");
    }
    let ping = Packet { protocol: 1, ports: None, icmp: Some((8, 0)), ..to(UDP, 0) };
    let limited = "unknown by meta l4proto { icmp, ipv6-icmp } limit rate 10/second accept";
    assert_eq!(said(&filters, &ping), limited);
    assert_eq!(
        opening(&filters, &to(UDP, 51820)),
        "nft insert rule inet filter input 'udp dport 51820 accept'"
    );
    assert_eq!(
        opening(&filters, &client()),
        "nft insert rule inet filter forward 'iifname \"wg_main\" accept'"
    );
    let banned = from("203.0.113.77", TCP, 22);
    assert_eq!(opening(&filters, &banned), "nft insert rule inet f2b-table f2b-chain 'tcp dport 22 accept'");
    let spot = filters.verdict(&to(TCP, 25)).closing().unwrap().to_string();
    assert_eq!(spot, "nftables inet filter input handle 25: tcp dport vmap @ports");
}

#[test]
fn base_chains_are_in_kernel_order() {
    let filters = operator();
    let names = |hook| -> Vec<String> {
        let chains = filters.base_chains(hook).into_iter();
        chains.map(|chain| format!("{} {} {}", chain.table.name, chain.name, chain.priority)).collect()
    };
    // The table that is asleep is none of them.
    assert_eq!(names(FilterHook::Input), ["f2b-table f2b-chain -1", "filter input 0"]);
    assert_eq!(names(FilterHook::Prerouting), ["raw2 pre -300"]);
    let families: Vec<_> = filters.tables().map(|table| table.family).collect();
    assert!(families.contains(&FilterFamily::Netdev), "{families:?}");
}

#[test]
fn firewalld_rejects_what_it_does_not_know() {
    let closed = nft(include_str!("captured/firewalld.json"), include_str!("captured/firewalld.txt"));
    let open = nft(include_str!("captured/firewalld-open.json"), "");
    let rejected = "rejected by reject with icmpx admin-prohibited";
    assert_eq!(said(&closed, &to(TCP, 22)), "accepted");
    for packet in [to(UDP, 51820), client()] {
        assert_eq!(said(&closed, &packet), rejected);
        assert_eq!(said(&open, &packet), "accepted");
    }
    assert_eq!(said(&open, &client().answer()), "accepted");
    assert_eq!(said(&open, &to(TCP, 443)), "rejected by handle 145");
    let command = "firewall-cmd --permanent --add-port=51820/udp && firewall-cmd --reload";
    assert_eq!(opening(&closed, &to(UDP, 51820)), command);
    let command = "firewall-cmd --permanent --zone=trusted --add-interface=wg_main && firewall-cmd --reload";
    assert_eq!(opening(&closed, &client()), command);
}

#[test]
fn fail2ban_marks_and_lists() {
    let filters = iptables(include_str!("captured/fail2ban.save"));
    assert_eq!(said(&filters, &to(UDP, 51820)), "accepted", "by a mark of another table");
    assert_eq!(said(&filters, &to(UDP, 51821)), "dropped by policy drop");
    assert_eq!(said(&filters, &to(TCP, 22)), "dropped by policy drop", "whatever the list says");
    assert!(said(&filters, &from("203.0.113.66", TCP, 22)).starts_with("rejected by -A f2b-sshd"));
    assert!(
        said(&filters, &to(TCP, 443))
            .starts_with("unknown by -A INPUT -p tcp -m tcp --dport 443 -m hashlimit")
    );
    assert!(said(&filters, &to(UDP, 53)).starts_with("unknown by -A INPUT -p udp -m udp --dport 53 -m u32"));
}

#[test]
fn what_is_ours_is_told_from_others() {
    let tags = OwnershipTags::new(None);
    let text = "*filter\n:INPUT ACCEPT [0:0]\n:PHANTOM-WG-INPUT - [0:0]\n-A INPUT -j PHANTOM-WG-INPUT\n\
        -A PHANTOM-WG-INPUT ! -i lo -p udp -m udp --dport 51820 -j DROP\n-A INPUT -p udp -j DROP\nCOMMIT\n";
    let filters = iptables(text);
    let ours = |port| filters.verdict(&to(UDP, port)).closing().unwrap().is_ours(&tags);
    assert_eq!((ours(51820), ours(53)), (true, false));
}
