//! Tests of the one form of rules.

use super::{Family, InstalledRule, NormalizedRule, RenderedRule, checksum, same};
use crate::{Hook, Match, Protocol, Ruleset, RulesetRule, Verdict};

fn rule(hook: Hook, matches: Vec<Match>, verdict: Verdict) -> RulesetRule {
    RulesetRule { hook, order: 0, matches, verdict }
}

fn forward(matches: Vec<Match>) -> Option<NormalizedRule> {
    NormalizedRule::from_rule(&rule(Hook::Forward, matches, Verdict::Accept)).unwrap()
}

fn from(network: &str) -> Match {
    Match::From { network: network.parse().unwrap(), not: false }
}

fn not_from(network: &str) -> Match {
    Match::From { network: network.parse().unwrap(), not: true }
}

fn to(network: &str) -> Match {
    Match::To { network: network.parse().unwrap(), not: false }
}

fn input(interface: &str, not: bool) -> Match {
    Match::In { interface: interface.into(), not }
}

fn port(protocol: Protocol, port: u16) -> Match {
    Match::Port { protocol, port }
}

#[test]
fn the_same_said_differently_is_equal() {
    let one = forward(vec![input("wg0", false), from("10.8.0.1/24"), Match::Ipv4]).unwrap();
    let other = forward(vec![from("10.8.0.0/24"), input("wg0", false), input("wg0", false)]).unwrap();
    assert_eq!(one, other);
    assert_eq!((one.family, one.matches.len()), (Some(Family::V4), 2));
    // Any address is only the family.
    assert_eq!(forward(vec![from("0.0.0.0/0")]), forward(vec![Match::Ipv4]));
    assert_eq!(forward(vec![to("::/0")]), forward(vec![Match::Ipv6]));
    assert_ne!(forward(vec![to("10.0.0.0/8")]), forward(vec![from("10.0.0.0/8")]));
}

#[test]
fn what_nothing_can_meet_is_no_rule() {
    for matches in [
        vec![Match::Ipv4, Match::Ipv6],
        vec![Match::Ipv6, from("10.0.0.0/8")],
        vec![to("fd00::/8"), from("10.0.0.0/8")],
        vec![not_from("0.0.0.0/0")],
        vec![not_from("::/0")],
        vec![port(Protocol::Udp, 1), port(Protocol::Tcp, 1)],
        vec![port(Protocol::Udp, 1), port(Protocol::Udp, 2)],
        vec![port(Protocol::Udp, 1), Match::TcpSyn],
        vec![input("a", false), input("b", false)],
    ] {
        assert_eq!(forward(matches.clone()), None, "{matches:?}");
    }
    assert!(
        forward(vec![input("a", true), input("b", true), port(Protocol::Tcp, 1), Match::TcpSyn]).is_some()
    );
}

#[test]
fn senseless_rules_and_strange_names_are_refused() {
    let refused = |hook, matches, verdict| NormalizedRule::from_rule(&rule(hook, matches, verdict)).is_err();
    assert!(refused(Hook::Forward, vec![], Verdict::Masquerade));
    assert!(refused(Hook::SourceNat, vec![], Verdict::Drop));
    assert!(refused(Hook::MssClamp, vec![], Verdict::ClampMss));
    assert!(refused(Hook::Forward, vec![Match::TcpSyn], Verdict::SetMss(1)));
    assert!(refused(Hook::Input, vec![Match::Out { interface: "a".into(), not: false }], Verdict::Drop));
    assert!(refused(Hook::SourceNat, vec![input("a", false)], Verdict::Masquerade));
    assert!(!refused(Hook::MssClamp, vec![Match::TcpSyn], Verdict::ClampMss));
    assert!(refused(Hook::Prerouting, vec![Match::Out { interface: "a".into(), not: false }], Verdict::Drop));
    assert!(refused(Hook::Output, vec![input("a", false)], Verdict::Drop));
    assert!(!refused(Hook::Prerouting, vec![input("a", false)], Verdict::Drop));
    let begun = |network: &str| vec![Match::CtOriginalSource { network: network.parse().unwrap() }];
    assert!(refused(Hook::Output, begun("0.0.0.0/0"), Verdict::Drop));
    assert!(!refused(Hook::Output, begun("10.8.0.0/24"), Verdict::Drop));
    for name in ["", "eth+", "eth*", "a b", "a\"", "a;b", "a\n", "a/b", "-j", "ö", "sixteen-letters-"] {
        assert!(refused(Hook::Forward, vec![input(name, false)], Verdict::Drop), "{name:?}");
    }
    for name in ["lo", "eth0.100", "wg_main", "br-1f2e3d4c5b6a", "eth0:1", "if@2"] {
        assert!(!refused(Hook::Forward, vec![input(name, false)], Verdict::Drop), "{name:?}");
    }
}

#[test]
fn comments_contain_the_checksum_of_the_text() {
    // Known values of FNV-1a: its offset basis, and "a" and "foobar" of its authors' test suite.
    assert_eq!((checksum(""), checksum("a"), checksum("foobar")), (0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968));
    let plain = forward(vec![Match::Ipv4]).unwrap();
    assert_eq!(RenderedRule::new("phantom-wg", "foobar".into(), plain).comment, "phantom-wg bf9cf968");
}

#[test]
fn installed_rules_are_compared_in_order() {
    let mut wanted = Ruleset::default();
    wanted.add(Hook::Forward, 1, vec![Match::Ipv4], Verdict::Accept);
    wanted.add(Hook::Forward, 2, vec![Match::Ipv6], Verdict::Drop);
    let rendered: Vec<_> = wanted
        .rules()
        .iter()
        .map(|rule| {
            RenderedRule::new("m", format!("{rule:?}"), NormalizedRule::from_rule(rule).unwrap().unwrap())
        })
        .collect();
    let exact: Vec<_> = rendered
        .iter()
        .map(|r| InstalledRule { comment: Some(r.comment.clone()), plain: Some(r.plain.clone()) })
        .collect();
    assert!(same(&rendered, &exact) && same(&[], &[]));
    let mut reordered = exact.clone();
    reordered.reverse();
    let mut more = exact.clone();
    more.push(InstalledRule::default());
    let mut edited = exact.clone();
    edited[0].plain.clone_from(&exact[1].plain);
    let mut not_understood = exact.clone();
    not_understood[1].plain = None;
    let mut renamed = exact.clone();
    renamed[1].comment = Some("m 00000000".into());
    for loaded in [reordered, more, edited, not_understood, renamed, exact[..1].to_vec(), vec![]] {
        assert!(!same(&rendered, &loaded), "{loaded:?}");
    }
}
