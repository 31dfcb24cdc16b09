//! The packet filter and ufw.

use phantom_host::filter::{FilterVerdict, Packet};
use phantom_host::{
    FirewallKind, FirewallQuery, Hook, Host, Match, OwnershipTags, Protocol, Ruleset, RulesetStatus, UfwRule,
    Verdict,
};

use crate::bench::{Bench, kind, name, network};

fn from_subnet() -> Match {
    Match::From { network: network("10.8.0.0/24"), not: false }
}

fn from_wg() -> Match {
    Match::In { interface: "wg_main".into(), not: false }
}

/// What a server has: its port open, its clients forwarded and translated, segments clamped.
fn server() -> Ruleset {
    let mut rules = Ruleset::default();
    let port = Match::Port { protocol: Protocol::Udp, port: 51820 };
    rules.add(Hook::Input, 10, vec![port], Verdict::Accept);
    rules.add(Hook::Forward, 10, vec![Match::Established], Verdict::Accept);
    rules.add(Hook::Forward, 20, vec![from_wg(), from_subnet()], Verdict::Accept);
    rules.add(Hook::Forward, 30, vec![Match::Ipv6, from_wg()], Verdict::Drop);
    rules.add(Hook::MssClamp, 10, vec![from_wg(), Match::TcpSyn], Verdict::ClampMss);
    let away = Match::To { network: network("10.8.0.0/24"), not: true };
    let out = Match::Out { interface: "eth0".into(), not: false };
    rules.add(Hook::SourceNat, 10, vec![from_subnet(), away, out], Verdict::Masquerade);
    rules
}

pub(crate) fn by_nftables(bench: &Bench) {
    assert_eq!(bench.host.firewall.kind().unwrap(), FirewallKind::Nftables, "taken where it is there");
    check(bench, &bench.host);
    let forgotten = bench.host.firewall.forget_connections(&[network("10.8.0.2/32"), network("fd08::/64")]);
    match kind(forgotten).as_str() {
        "unsupported" => bench.lab.skip("conntrack is not installed"),
        other => assert_eq!(other, "ok"),
    }
}

pub(crate) fn by_iptables(bench: &Bench) {
    let host = bench.lab.with_iptables(&bench.host);
    assert_eq!(host.firewall.kind().unwrap(), FirewallKind::Iptables);
    check(bench, &host);
}

fn check(bench: &Bench, host: &Host) {
    let firewall = &host.firewall;
    let (tags, other) = (OwnershipTags::new(None), OwnershipTags::new(Some("second")));
    let rules = server();
    bench.lab.add_foreign_filter();
    let foreign = bench.lab.foreign_filter();

    assert_eq!(firewall.in_force(&tags, &rules).unwrap(), RulesetStatus::Missing);
    assert_eq!(firewall.in_force(&tags, &Ruleset::default()).unwrap(), RulesetStatus::Missing);
    assert_eq!(kind(firewall.remove(&tags)), "ok", "nothing there is no error");

    for _ in 0..2 {
        firewall.replace(&tags, &rules).unwrap();
        assert_eq!(firewall.in_force(&tags, &rules).unwrap(), RulesetStatus::InSync);
    }
    assert_eq!(firewall.in_force(&tags, &Ruleset::default()).unwrap(), RulesetStatus::Drifted);
    let mut less = Ruleset::default();
    less.add(Hook::Forward, 20, vec![from_wg()], Verdict::Reject);
    assert_eq!(firewall.in_force(&tags, &less).unwrap(), RulesetStatus::Drifted);

    filters(host, &tags);

    // Another installation has its own, and neither sees the other's.
    assert_eq!(firewall.in_force(&other, &rules).unwrap(), RulesetStatus::Missing);
    firewall.replace(&other, &less).unwrap();
    assert_eq!(firewall.in_force(&other, &less).unwrap(), RulesetStatus::InSync);
    assert_eq!(firewall.in_force(&tags, &rules).unwrap(), RulesetStatus::InSync);
    firewall.replace(&tags, &less).unwrap();
    assert_eq!(firewall.in_force(&tags, &less).unwrap(), RulesetStatus::InSync);
    report(host, &tags);
    firewall.replace(&tags, &rules).unwrap();

    // By hand.
    bench.lab.flush_filter(&tags, firewall.kind().unwrap());
    assert_eq!(firewall.in_force(&tags, &rules).unwrap(), RulesetStatus::Missing);
    firewall.replace(&tags, &rules).unwrap();
    firewall.replace(&tags, &Ruleset::default()).unwrap();
    assert_eq!(
        firewall.in_force(&tags, &Ruleset::default()).unwrap(),
        RulesetStatus::Missing,
        "no rules: nothing is left"
    );
    firewall.remove(&other).unwrap();
    assert_eq!(firewall.in_force(&other, &less).unwrap(), RulesetStatus::Missing);
    assert_eq!(bench.lab.foreign_filter(), foreign, "what is somebody else's stays");
}

/// What is said of packets counts our own rules and those of others.
fn filters(host: &Host, tags: &OwnershipTags) {
    let mut rules = server();
    let port = Match::Port { protocol: Protocol::Tcp, port: 443 };
    rules.add(Hook::Input, 5, vec![Match::In { interface: "lo".into(), not: true }, port], Verdict::Drop);
    host.firewall.replace(tags, &rules).unwrap();
    let filters = host.firewall.filters().unwrap();
    let (stranger, client) = ("198.51.100.7".parse().unwrap(), "10.8.0.2".parse().unwrap());
    let to_host = |protocol, port| {
        filters.verdict(&Packet::to_host("eth0", stranger, "192.0.2.1".parse().unwrap(), protocol, port))
    };
    let through = |port| filters.verdict(&Packet::through(("wg_main", "eth0"), client, stranger, 6, port));
    assert_eq!(to_host(17, 51820), FilterVerdict::Accepted);
    let closed = to_host(6, 443);
    let closing = closed.closing().unwrap();
    assert!(matches!(closed, FilterVerdict::Dropped(_)) && closing.is_ours(tags), "{closed:?}");
    assert!(!closing.is_ours(&OwnershipTags::new(Some("third"))), "{closed:?}");
    assert_eq!(through(80), FilterVerdict::Accepted);
    let closed = through(25);
    assert!(closed.closing().is_some_and(|closing| !closing.is_ours(tags)), "{closed:?}");
    host.firewall.replace(tags, &server()).unwrap();
    assert_eq!(
        host.firewall.filters().unwrap().verdict(&Packet::to_host(
            "eth0",
            stranger,
            "192.0.2.1".parse().unwrap(),
            6,
            443
        )),
        FilterVerdict::Accepted
    );
}

fn report(host: &Host, tags: &OwnershipTags) {
    let mut rules = Ruleset::default();
    rules.add(Hook::Forward, 20, vec![from_wg(), from_subnet()], Verdict::Accept);
    rules.add(Hook::SourceNat, 10, vec![from_subnet()], Verdict::Masquerade);
    host.firewall.replace(tags, &rules).unwrap();
    let own_table = host.firewall.kind().unwrap() == FirewallKind::Nftables;
    let subnet = "10.8.0.0/24".parse().unwrap();
    let query = |interface| FirewallQuery { interface: name(interface), subnet, port: 51820 };
    let report = host.firewall.report(tags, &query("wg_main")).unwrap();
    assert_eq!(report.masquerade, [(network("10.8.0.0/24"), network("0.0.0.0/0"))]);
    assert!(report.forwarding);
    assert_eq!(report.table_loaded, own_table);
    assert!(!report.ufw.enabled && report.ufw.lines.is_empty());
    let subnet = "10.9.0.0/24".parse().unwrap();
    let report = host.firewall.report(tags, &FirewallQuery { subnet, ..query("wg_other") }).unwrap();
    assert_eq!(report.masquerade, []);
    assert!(!report.forwarding);
    assert_eq!(report.table_loaded, own_table);
}

pub(crate) fn ufw(bench: &Bench) {
    let firewall = &bench.host.firewall;
    let (tags, other) = (OwnershipTags::new(None), OwnershipTags::new(Some("second")));
    let udp = UfwRule::Allow { protocol: Protocol::Udp, port: 51820 };
    let deny = |port| UfwRule::Deny { protocol: Protocol::Tcp, port };
    let route = UfwRule::RouteFrom { interface: name("wg_main") };
    let ours = |tags: &OwnershipTags| Vec::from_iter(firewall.ufw(tags).unwrap().unwrap().ours);
    assert!(!firewall.ufw(&tags).unwrap().is_some_and(|ufw| ufw.active), "not active");
    if !bench.lab.enable_ufw() {
        return;
    }
    assert_eq!((firewall.ufw(&tags).unwrap().unwrap().active, ours(&tags)), (true, vec![]));
    assert_eq!(kind(firewall.remove_ufw(&tags, &udp)), "ok", "nothing there is no error");
    for rule in [&route, &udp, &deny(8080), &udp] {
        firewall.add_ufw(&tags, rule).unwrap();
    }
    let all = vec![udp.clone(), route.clone(), deny(8080)];
    assert_eq!(ours(&tags), all, "sorted, each once");
    assert_eq!(ours(&other), [], "another installation's rules are others");
    firewall.remove_ufw(&other, &udp).unwrap();

    // One rule for one condition: the other verdict takes its place.
    firewall.add_ufw(&tags, &UfwRule::Allow { protocol: Protocol::Tcp, port: 8080 }).unwrap();
    firewall.add_ufw(&tags, &deny(8080)).unwrap();
    let report = bench.host.firewall.report(
        &tags,
        &FirewallQuery { interface: name("wg_main"), subnet: "10.8.0.0/24".parse().unwrap(), port: 51820 },
    );
    assert!(report.unwrap().ufw.enabled);
    for rule in [&udp, &deny(8080)] {
        firewall.remove_ufw(&tags, rule).unwrap();
    }
    assert_eq!(ours(&tags), std::slice::from_ref(&route));
    firewall.remove_ufw(&tags, &route).unwrap();
    assert_eq!(ours(&tags), []);
}
