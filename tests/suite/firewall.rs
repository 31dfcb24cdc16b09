//! The rules of each module in our own words, held against committed ones: where one wall hides that another is missing, no
//! packet tells.

use std::fmt::Write as _;

use phantom_host::{Match, RulesetRule};
use phantom_tests::{Server, same_as_golden};

use crate::cases::{named, through_exit, with_ghost, with_john, with_second_exit};

/// A condition in a few words.
fn words(condition: &Match) -> String {
    let sign = |not: bool| if not { "not " } else { "" };
    match condition {
        Match::In { interface, not } => format!("in {}{interface}", sign(*not)),
        Match::Out { interface, not } => format!("out {}{interface}", sign(*not)),
        Match::From { network, not } => format!("from {}{network}", sign(*not)),
        Match::To { network, not } => format!("to {}{network}", sign(*not)),
        Match::CtOriginalSource { network } => format!("begun from {network}"),
        Match::Port { protocol, port } => format!("{protocol:?} port {port}"),
        other => format!("{other:?}"),
    }
}

fn line(rule: &RulesetRule) -> String {
    let matches: Vec<String> = rule.matches.iter().map(words).collect();
    format!("{:?} {}: {}: {:?}", rule.hook, rule.order, matches.join(", "), rule.verdict)
}

/// A name, a server, and what it is told further.
type Named<'a> = (&'a str, fn() -> Server, &'a [&'a str]);

#[test]
fn module_rules_match_the_committed_ones() {
    let open: &[&str] = &["multihop", "enable_multihop", "exit_name=xeovo-uk", "kill_switch=false"];
    let servers: [Named<'_>; 5] = [
        ("core", with_john, &[]),
        ("ghost", with_ghost, &[]),
        ("multihop", through_exit, &[]),
        ("multihop without kill switch", through_exit, open),
        ("multihop and ghost", || named(with_second_exit(through_exit())), crate::cases::ENABLE_SELF_SIGNED),
    ];
    let mut text = String::new();
    for (name, server, more) in servers {
        let server = server();
        if !more.is_empty() {
            server.api(more).ok();
        }
        let rules = server.fake.firewall_rules(&server.tags()).unwrap();
        writeln!(text, "[{name}]").unwrap();
        for rule in rules.rules() {
            writeln!(text, "{}", line(rule)).unwrap();
        }
    }
    same_as_golden("firewall/rules.txt", &text);
}
