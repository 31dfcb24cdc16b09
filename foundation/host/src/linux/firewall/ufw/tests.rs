//! Reading ufw's files and the words for its program, as seen with ufw 0.36.2.

use super::{
    Placed, RuleOwner, Tuple, command, limited, of_the_operator, rule_of, status_lines, switched_on, taken,
    tuple_of,
};
use crate::{Protocol, UfwRule};

const RULES: &str = "*filter
:ufw-user-input - [0:0]
### RULES ###

### tuple ### deny udp 51821 0.0.0.0/0 any 0.0.0.0/0 in comment=7068616e746f6d2d7767
-A ufw-user-input -p udp --dport 51821 -j DROP

### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in

### tuple ### allow udp 51820 0.0.0.0/0 any 0.0.0.0/0 in comment=7068616e746f6d2d7767

### tuple ### route:allow any any 0.0.0.0/0 any 0.0.0.0/0 in_wg_main comment=7068616e746f6d2d7767

### tuple ### allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 Apache - in
### tuple ### limit_log tcp 2222 0.0.0.0/0 any 10.0.0.0/8 in_eth0
### END RULES ###
";

fn tuples() -> Vec<Tuple> {
    RULES.lines().filter_map(Tuple::parse).collect()
}

fn allow(port: u16) -> UfwRule {
    UfwRule::Allow { protocol: Protocol::Udp, port }
}
fn deny(port: u16) -> UfwRule {
    UfwRule::Deny { protocol: Protocol::Udp, port }
}
fn route() -> UfwRule {
    UfwRule::RouteFrom { interface: "wg_main".parse().unwrap() }
}

#[test]
fn rules_are_read() {
    let tuples = tuples();
    assert_eq!(tuples.len(), 6);
    let ours: Vec<_> = tuples.iter().filter(|t| t.comment == "phantom-wg").filter_map(rule_of).collect();
    assert_eq!(ours, [deny(51821), allow(51820), route()]);
    assert_eq!(rule_of(&tuples[1]), Some(UfwRule::Allow { protocol: Protocol::Tcp, port: 22 }));
    // More than a port, or another verdict, is none of the rules that we make.
    assert_eq!((rule_of(&tuples[4]), rule_of(&tuples[5])), (None, None));
    assert_eq!((tuples[5].action.as_str(), tuples[5].comment.as_str()), ("limit_log", ""));
}

/// What was everybody's port before we took the rule over is everybody's: else taking it over would limit it, and giving it back not.
#[test]
fn adopted_rule_counts_as_its_original() {
    let of = |comment: &str| {
        let lines = [
            format!("### tuple ### allow tcp 443 0.0.0.0/0 any 0.0.0.0/0 in{comment}"),
            "### tuple ### allow tcp 443 0.0.0.0/0 any 10.0.0.0/8 in".to_owned(),
        ];
        let tuples: Vec<Tuple> = lines.iter().map(|line| Tuple::parse(line).unwrap()).collect();
        limited(&of_the_operator("phantom-wg", &tuples)).len()
    };
    let hex = |text: &str| text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!(of(""), 0);
    assert_eq!(of(&format!(" comment={}", hex("phantom-wg; was allow: web"))), 0);
    // It was closed to everybody before, or is of our own making.
    assert_eq!(of(&format!(" comment={}", hex("phantom-wg; was deny"))), 1);
    assert_eq!(of(&format!(" comment={}", hex("phantom-wg"))), 1);
}

#[test]
fn port_open_to_some_is_limited() {
    let found = |lines: &[&str]| -> Vec<String> {
        let tuples: Vec<Tuple> =
            lines.iter().map(|line| Tuple::parse(&format!("### tuple ### {line}")).unwrap()).collect();
        limited(&tuples).iter().map(ToString::to_string).collect()
    };
    let some = "allow udp 51820 0.0.0.0/0 any 203.0.113.0/24 in";
    assert_eq!(found(&[some]), ["51820/udp"]);
    assert_eq!(found(&["limit_log tcp 443 0.0.0.0/0 any 0.0.0.0/0 in_eth1"]), ["443/tcp"]);
    assert_eq!(found(&["allow any 443 192.0.2.7 any 2001:db8::/32 in"]), ["443/tcp", "443/udp"]);
    assert_eq!(found(&["allow tcp 80,443 0.0.0.0/0 any 10.0.0.0/8 Web - in"]), ["80/tcp", "443/tcp"]);
    for others in [
        // Somebody else is let in as well: everybody.
        &[some, "allow udp 51820 0.0.0.0/0 any 0.0.0.0/0 in"][..],
        &["deny udp 51820 0.0.0.0/0 any 203.0.113.0/24 in"],
        &["allow udp 1024:65535 0.0.0.0/0 any 203.0.113.0/24 in"],
        &["allow udp 51820 0.0.0.0/0 any 203.0.113.0/24 out"],
        &["route:allow udp 51820 0.0.0.0/0 any 203.0.113.0/24 in"],
        &["allow any any 0.0.0.0/0 any 203.0.113.0/24 in"],
    ] {
        assert_eq!(found(others), [""; 0], "{others:?}");
    }
}

#[test]
fn what_we_write_is_what_we_read() {
    for (rule, tuple) in [(deny(51821), 0), (allow(51820), 2), (route(), 3)] {
        assert!(tuple_of(&rule).same_rule(&tuples()[tuple]), "{rule:?}");
    }
    // The same port with another verdict is the same condition.
    assert!(
        tuple_of(&allow(51821)).same_condition(&tuples()[0])
            && !tuple_of(&allow(51821)).same_rule(&tuples()[0])
    );
    let v6 = Tuple::parse("### tuple ### allow udp 51820 ::/0 any ::/0 in").unwrap();
    assert!(tuple_of(&allow(51820)).same_rule(&v6));
}

#[test]
fn comments_tell_whose_a_rule_is() {
    let of = |comment| RuleOwner::from_comment("phantom-wg", comment);
    assert_eq!(of("phantom-wg"), RuleOwner::Made);
    assert_eq!(of("phantom-wg; was allow"), RuleOwner::Taken { action: "allow", comment: "" });
    let taken_over = "phantom-wg; was allow_log: for Bob: see wiki";
    assert_eq!(of(taken_over), RuleOwner::Taken { action: "allow_log", comment: "for Bob: see wiki" });
    let bobs = Tuple {
        route: false,
        action: "allow_log".into(),
        conditions: String::new(),
        comment: "for Bob: see wiki".into(),
    };
    assert_eq!(taken("phantom-wg", &bobs), taken_over);
    for foreign in ["", "phantom", "phantom-wg-test", "phantom-wg2", "phantom-wg rule", "my phantom-wg"] {
        assert_eq!(of(foreign), RuleOwner::Foreign, "{foreign:?}");
    }
}

#[test]
fn commands() {
    let line = |words: Vec<String>| words.join("|");
    let comment = Some("phantom-wg");
    assert_eq!(
        line(command("allow", &allow(51820), Placed::Last, comment)),
        "allow|51820/udp|comment|phantom-wg"
    );
    assert_eq!(
        line(command("deny", &deny(51820), Placed::First, comment)),
        "prepend|deny|51820/udp|comment|phantom-wg"
    );
    assert_eq!(line(command("deny", &deny(51820), Placed::Deleted, None)), "delete|deny|51820/udp");
    assert_eq!(
        line(command("allow", &route(), Placed::Last, comment)),
        "route|allow|in|on|wg_main|comment|phantom-wg"
    );
    assert_eq!(line(command("allow", &route(), Placed::Deleted, None)), "route|delete|allow|in|on|wg_main");
    assert_eq!(line(command("allow_log", &allow(1), Placed::Last, Some(""))), "allow|log|1/udp|comment|");
    assert_eq!(
        line(command("allow_log-all", &route(), Placed::Last, None)),
        "route|allow|in|on|wg_main|log-all"
    );
}

#[test]
fn the_switch_is_read() {
    assert!(switched_on("# /etc/ufw/ufw.conf\n#\n# Set to yes\nENABLED=yes\n\nLOGLEVEL=low\n"));
    assert!(switched_on("ENABLED=no\nENABLED=\"Yes\""));
    for config in ["", "ENABLED=no", "#ENABLED=yes", "LOGLEVEL=yes", "ENABLED=", "ENABLED=yes\nENABLED=no"] {
        assert!(!switched_on(config), "{config:?}");
    }
}

#[test]
fn status_lines_that_concern_the_vpn() {
    let status = "Status: active
Logging: on (low)
Default: deny (incoming), allow (outgoing), disabled (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
51820/udp                  ALLOW IN    Anywhere                   # phantom-wg
22/tcp                     ALLOW IN    Anywhere                  
8443/tcp                   ALLOW IN    Anywhere                   # phantom-wg; was allow: web
51820                      DENY IN     192.0.2.1                  # a person
443/tcp                    ALLOW IN    10.8.0.0/24               
9000/tcp                   ALLOW IN    Anywhere                   # phantom-wg-test
51820/udp (v6)             ALLOW IN    Anywhere (v6)              # phantom-wg

Anywhere                   ALLOW FWD   Anywhere on wg_main        # phantom-wg
";
    let words = ["51820", "51820/udp", "wg_main", "10.8.0.0/24"].map(str::to_owned);
    assert_eq!(
        status_lines(status, "phantom-wg", &words),
        [
            "51820/udp                  ALLOW IN    Anywhere",
            "8443/tcp                   ALLOW IN    Anywhere",
            "51820                      DENY IN     192.0.2.1",
            "443/tcp                    ALLOW IN    10.8.0.0/24",
            "51820/udp (v6)             ALLOW IN    Anywhere (v6)",
            "Anywhere                   ALLOW FWD   Anywhere on wg_main",
        ]
    );
    assert!(status_lines("Status: inactive\n", "phantom-wg", &words).is_empty());
}
