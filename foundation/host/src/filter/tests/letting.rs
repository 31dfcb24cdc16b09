//! Where accepts of ours are needed, and how they are told from the rest.

use super::super::{ChainId, FilterManager, FilterProgram, Filters, Packet, RuleSpot};
use super::{TCP, UDP, from, input, iptables, said, to};
use crate::OwnershipTags;
use crate::{Port, Protocol};

fn nft(json: &str, texts: &str) -> Filters {
    Filters::read_nft(json.as_bytes(), texts).unwrap()
}

/// The first packets of two strangers.
fn strangers(port: u16) -> [Packet; 2] {
    ["198.51.100.7", "81.2.69.142"].map(|source| from(source, UDP, port))
}

fn names(chains: impl IntoIterator<Item = ChainId>) -> Vec<String> {
    chains.into_iter().map(|chain| format!("{} {}", chain.table, chain.name)).collect()
}

/// Where accepts are needed, with leave to put them anywhere.
fn needed(filters: &Filters) -> Vec<String> {
    names(filters.refusing(&strangers(51820), |_| true))
}

#[test]
fn refusing_chain_is_found_whoever_made_it() {
    let cloud = iptables(include_str!("captured/cloud.save"));
    assert_eq!(needed(&cloud), ["iptables filter INPUT"]);
    let operator = nft(include_str!("captured/operator.json"), include_str!("captured/operator.txt"));
    assert_eq!(needed(&operator), ["nftables inet filter input"]);
    let firewalld = nft(include_str!("captured/firewalld.json"), include_str!("captured/firewalld.txt"));
    assert_eq!(needed(&firewalld), ["nftables inet firewalld filter_INPUT"]);
    let legacy =
        Filters::read_iptables(include_str!("captured/cloud.save"), FilterProgram::IptablesLegacy, false);
    assert_eq!(needed(&legacy), ["iptables-legacy filter INPUT"]);
    // Each that refuses needs one.
    let mut both = cloud;
    both.extend(operator);
    let mut all = needed(&both);
    all.sort();
    assert_eq!(all, ["iptables filter INPUT", "nftables inet filter input"]);
}

#[test]
fn only_a_certain_refusal_needs_an_accept() {
    for rules in [
        "-A INPUT -p udp -m udp --dport 51820 -j ACCEPT",
        // One of the two comes in, and that is enough.
        "-A INPUT -s 198.51.100.0/24 -j DROP\n-A INPUT -p udp -m udp --dport 51820 -j ACCEPT",
        "-A INPUT -m limit --limit 5/sec -j ACCEPT",
    ] {
        assert_eq!(needed(&input(rules)), [""; 0], "{rules}");
    }
    let redirected =
        "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp -j REDIRECT --to-ports 9\nCOMMIT\n";
    assert_eq!(needed(&iptables(redirected)), [""; 0]);
    assert_eq!(needed(&Filters::new()), [""; 0]);
}

#[test]
fn nothing_opens_after_what_cannot_be_opened() {
    let mut filters = iptables(include_str!("captured/ufw.save"));
    filters.extend(nft(include_str!("captured/operator.json"), include_str!("captured/operator.txt")));
    let not_ufw = |spot: &RuleSpot| spot.manager != FilterManager::Ufw;
    let with = names(filters.refusing(&strangers(51820), not_ufw));
    assert!(!with.contains(&"iptables filter INPUT".to_owned()), "{with:?}");
}

/// A cloud image's rules with our accept, as `iptables-save` prints them.
fn opened() -> String {
    let jump = "-A INPUT -m comment --comment phantom-wg -j PHANTOM-WG-INPUT\n";
    let accept =
        "-A PHANTOM-WG-INPUT -p udp -m udp --dport 51820 -m comment --comment \"phantom-wg 1\" -j ACCEPT\n";
    let cloud = include_str!("captured/cloud.save");
    cloud.replacen(":OUTPUT", ":PHANTOM-WG-INPUT - [0:0]\n:OUTPUT", 1).replacen(
        "-A INPUT",
        &format!("{jump}{accept}-A INPUT"),
        1,
    )
}

#[test]
fn our_accept_is_no_reason_for_itself() {
    let filters = iptables(&opened());
    let tags = OwnershipTags::new(None);
    assert_eq!(said(&filters, &to(UDP, 51820)), "accepted");
    assert!(said(&filters, &to(TCP, 443)).starts_with("rejected"));
    assert_eq!(needed(&filters), [""; 0]);
    let theirs = filters.without_ours(&tags);
    assert_eq!(needed(&theirs), ["iptables filter INPUT"]);
    assert_eq!(said(&theirs, &to(TCP, 22)), "accepted", "what is theirs stays");
    // To another installation it is somebody else's.
    assert_eq!(needed(&filters.without_ours(&OwnershipTags::new(Some("test")))), [""; 0]);
}

#[test]
fn our_accepts_are_named_with_their_ports() {
    let (filters, tags) = (iptables(&opened()), OwnershipTags::new(None));
    let found = filters.let_in(&tags);
    let ports: Vec<String> = found[0].ports.iter().map(ToString::to_string).collect();
    assert_eq!((found.len(), ports.as_slice()), (1, &["51820/udp".to_owned()][..]));
    assert_eq!(names([found[0].chain.clone()]), ["iptables filter INPUT"]);
    assert_eq!(filters.tables_with_ours(&tags).len(), 1);
    let other = OwnershipTags::new(Some("test"));
    assert!(filters.let_in(&other).is_empty() && filters.tables_with_ours(&other).is_empty());
    // Somebody else's chain whose name begins as ours do.
    let sibling = iptables(&opened().replace("PHANTOM-WG-INPUT", "PHANTOM-WG-test-INPUT"));
    assert!(sibling.let_in(&tags).is_empty());
    assert_eq!(sibling.let_in(&other).len(), 1);
    // Behind a rule that somebody has put before it, it is where it was, and opens nothing for those whom that one refuses.
    let behind = opened().replacen("-A INPUT", "-A INPUT -j DROP\n-A INPUT", 1);
    assert!(said(&iptables(&behind), &to(UDP, 51820)).starts_with("dropped"));
}

/// The rule that limits WireGuard's port, and whether that is certain.
fn limiting(filters: &Filters) -> Option<(String, bool)> {
    let port = Port { protocol: Protocol::Udp, number: 51820 };
    let found = filters.limit_for(port, &[&strangers(51820)], |_| true);
    found.map(|limit| (limit.spot.text, limit.certain))
}

#[test]
fn named_port_closed_to_strangers_is_limited() {
    for rule in [
        "-A INPUT -s 203.0.113.0/24 -p udp -m udp --dport 51820 -j ACCEPT",
        "-A INPUT -i eth9 -p udp -m multiport --dports 443,51820 -j ACCEPT",
        "-A INPUT ! -s 203.0.113.0/24 -p udp -m udp --dport 51820 -j DROP",
        "-A INPUT ! -i eth9 -p udp -m udp --dport 51820 -j REJECT",
        "-A INPUT -s 203.0.113.9/32 -p udp -m multiport --ports 51820 -j ACCEPT",
        "-A INPUT -p udp -m udp --dport 51820 -j VPN",
        "-A INPUT -s 203.0.113.0/24 -p udp -m udp --dport 51820:51821 -j ACCEPT",
    ] {
        let filters = input(&format!(":VPN - [0:0]\n{rule}\n-A VPN -s 203.0.113.9/32 -j ACCEPT"));
        assert_eq!(limiting(&filters).unwrap(), (rule.to_owned(), true));
    }
    // In a chain that the base chain leads to.
    let deep = input(
        ":OWN - [0:0]\n-A INPUT -j OWN\n-A OWN -s 203.0.113.0/24 -p udp -m udp --dport 51820 -j ACCEPT",
    );
    assert!(limiting(&deep).unwrap().0.starts_with("-A OWN"));
    for rules in [
        // Everybody gets in.
        "-A INPUT -p udp -m udp --dport 51820 -j ACCEPT",
        // It is in a range, is the port of another protocol, the source, or another one.
        "-A INPUT -s 203.0.113.0/24 -p udp -m udp --dport 1024:65535 -j ACCEPT",
        "-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 51820 -j ACCEPT",
        "-A INPUT -s 203.0.113.0/24 -p tcp -m multiport --dports 51820 -j ACCEPT",
        "-A INPUT -s 203.0.113.0/24 -p udp -m udp --sport 51820 -j ACCEPT",
        "-A INPUT -s 203.0.113.0/24 -p udp -m udp --dport 51821 -j ACCEPT",
        // Single senders, what is too much, and what is no connection are turned away; others are only counted.
        "-A INPUT -s 203.0.113.9/32 -p udp -m udp --dport 51820 -j DROP",
        "-A INPUT -p udp -m udp --dport 51820 -m conntrack --ctstate INVALID -j DROP",
        "-A INPUT -p udp -m udp --dport 51820 -m hashlimit --hashlimit-above 10/sec --hashlimit-name x -j DROP",
        ":F2B - [0:0]\n-A INPUT -p udp -m multiport --dports 443,51820 -j F2B\n-A F2B -s 203.0.113.9/32 -j REJECT\n-A F2B -j RETURN",
        ":COUNT - [0:0]\n-A INPUT -p udp -m udp --dport 51820 -j COUNT",
        // It is closed to everybody, as by a policy.
        "-A INPUT -p udp -m udp --dport 51820 -j DROP",
        // It is for all other ports.
        "-A INPUT -s 203.0.113.0/24 -p udp -m udp ! --dport 51820 -j ACCEPT",
        // It is only written down.
        "-A INPUT -p udp -m udp --dport 51820 -j LOG",
        // Nobody comes to it.
        ":OWN - [0:0]\n-A OWN -s 203.0.113.0/24 -p udp -m udp --dport 51820 -j ACCEPT",
    ] {
        assert_eq!(limiting(&input(rules)), None, "{rules}");
    }
    assert_eq!(limiting(&iptables(include_str!("captured/cloud.save"))), None);
}

#[test]
fn ipsets_limit_the_port_too() {
    let saved = "create office hash:ip,port family inet\nadd office 203.0.113.9,udp:51820\ncreate ports bitmap:port range 1-60000\n\
                 add ports 51820\ncreate both list:set size 8\nadd both ports\ncreate net hash:net family inet\nadd net 203.0.113.0/24\n\
                 create other hash:ip,port family inet\nadd other 203.0.113.9,tcp:51820\n";
    for (question, certain) in [
        ("office src,dst", Some(true)),
        ("ports dst", Some(true)),
        ("both dst", Some(true)),
        // Whether anybody is refused is not known.
        ("missing src,dst", None),
        ("office src,src", None),
        ("net src", None),
        ("other src,dst", None),
    ] {
        let mut filters = input(&format!("-A INPUT -m set --match-set {question} -j ACCEPT"));
        filters.add_ipsets(saved);
        // A set of ports lets in whoever asks for one of them: it limits nobody.
        let found = limiting(&filters).map(|(_, certain)| certain);
        let open = matches!(question, "ports dst" | "both dst");
        assert_eq!(found, certain.filter(|_| !open), "{question}");
    }
}

#[test]
fn sets_and_maps_limit_the_port_too() {
    let table = |rules: &str| {
        format!(
            r#"{{"nftables":[{{"table":{{"family":"inet","name":"t","handle":1}}}},
{{"set":{{"family":"inet","name":"office","table":"t","type":["ipv4_addr","inet_proto","inet_service"],"handle":2,"elem":[{{"concat":["203.0.113.9","udp",51820]}}]}}}},
{{"chain":{{"family":"inet","table":"t","name":"vpn","handle":3}}}},
{{"chain":{{"family":"inet","table":"t","name":"in","handle":4,"type":"filter","hook":"input","prio":0,"policy":"drop"}}}},
{{"rule":{{"family":"inet","table":"t","chain":"in","handle":5,"expr":[{rules}]}}}},
{{"rule":{{"family":"inet","table":"t","chain":"vpn","handle":6,"expr":[{{"match":{{"op":"==","left":{{"payload":{{"protocol":"ip","field":"saddr"}}}},"right":"203.0.113.9"}}}},{{"accept":null}}]}}}}]}}"#
        )
    };
    let by_set = r#"{"match":{"op":"==","left":{"concat":[{"payload":{"protocol":"ip","field":"saddr"}},{"meta":{"key":"l4proto"}},{"payload":{"protocol":"th","field":"dport"}}]},"right":"@office"}},{"accept":null}"#;
    let by_map = r#"{"vmap":{"key":{"payload":{"protocol":"udp","field":"dport"}},"data":{"set":[[51820,{"jump":{"target":"vpn"}}]]}}}"#;
    let other = by_map.replace("51820", "4500");
    for (rules, limited) in [(by_set, true), (by_map, true), (other.as_str(), false)] {
        let filters = nft(&table(rules), "");
        assert_eq!(limiting(&filters).map(|(_, certain)| certain), limited.then_some(true), "{rules}");
    }
    // Without its elements it may be.
    let filters = nft(&table(by_set), "").without_sets();
    assert_ne!(limiting(&filters).map(|(_, certain)| certain), Some(true));
    let and_drop = r#"{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"eth9"}},{"match":{"op":"==","left":{"payload":{"protocol":"udp","field":"dport"}},"right":"@ports"}},{"accept":null}"#;
    assert_eq!(limiting(&nft(&table(and_drop), "")).map(|(_, certain)| certain), Some(false));
}
