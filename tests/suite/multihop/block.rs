//! `phantom-api service block`: what keeps clients in before there is a network.

use phantom_tests::Server;

use super::is_closed;
use crate::cases::{through_exit, through_exit_on, with_exit, with_john};
use crate::faults::embedded;

const BLOCK: &[&str] = &["service", "block"];

/// What of a dump is the way of packets: the packet filter, routes and rules of ours.
fn way(server: &Server) -> Vec<String> {
    let mark = server.tags().tag();
    let dump = server.fake.dump();
    let ours = |line: &&str| {
        line.starts_with("table ") && line.contains("proto 187")
            || line.starts_with("ipv") && line.contains("proto 187")
            || line.starts_with(&format!("{mark}: "))
    };
    dump.lines().filter(ours).map(str::to_owned).collect()
}

#[test]
fn boot_guard_precedes_everything_else() {
    for server in [through_exit(), through_exit_on(embedded())] {
        let before: Vec<String> =
            way(&server).into_iter().filter(|line| !line.contains("dev wg_vpn")).collect();
        let closed = |what: &str| before.iter().filter(|line| line.contains(what)).count();
        // Routes of both families, and behind their table the rules for clients and for the server's address at the exit.
        assert_eq!((closed(" unreachable metric"), closed(" unreachable proto")), (2, 2), "{before:#?}");
        server.reboot();
        server.fake.flush_firewall();
        server.fake.reset_writes();
        let links = |server: &Server| {
            server
                .fake
                .dump()
                .lines()
                .filter(|line| line.contains(" mtu "))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let there = links(&server);
        let answer = server.api(BLOCK);
        assert_eq!((answer.exit, answer.out.as_str(), answer.err.as_str()), (0, "", "phantom-api: block\n"));
        assert!(is_closed(&server));
        assert_eq!(way(&server), before, "the packet filter, the routes that lead nowhere, and the rules");
        assert_eq!(links(&server), there, "a link was touched");
        let log = server.fake.write_log();
        assert!(log[0].starts_with("firewall.replace"), "{log:?}");
        // Again it has nothing to do.
        server.fake.reset_writes();
        assert_eq!(server.api(BLOCK).exit, 0);
        assert_eq!(server.fake.write_log(), [""; 0]);
        server.api(&["core", "reconcile"]).ok();
        server.assert_in_sync();
    }
}

#[test]
fn boot_guard_is_idle_without_kill_switch() {
    let open = || {
        let server = with_exit();
        let words = ["multihop", "enable_multihop", "exit_name=xeovo-uk"];
        server.api(&words).ok();
        server.api(&["multihop", "disable_multihop"]).ok();
        server
    };
    for server in [Server::bare(), with_john(), with_exit(), open()] {
        server.fake.flush_firewall();
        server.fake.reset_writes();
        let before = server.dump();
        let answer = server.api(BLOCK);
        assert_eq!((answer.exit, answer.out.as_str()), (0, ""), "{}", answer.err);
        assert_eq!((server.dump(), server.fake.write_log().len()), (before, 0));
    }
}

#[test]
fn what_it_cannot_do_it_says() {
    let server = through_exit();
    server.reboot();
    server.fake.flush_firewall();
    server.fake.refuse_from(1);
    let answer = server.api(BLOCK);
    assert_eq!((answer.exit, answer.out.as_str()), (1, ""));
    assert!(answer.err.contains("refused by the test"), "{}", answer.err);
    for words in [&["service", "block", "wg_vpn"][..], &["service", "turn"], &["service", "try"]] {
        server.api(words).failed("MODULE_NOT_FOUND");
    }
}
