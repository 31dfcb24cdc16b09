//! Without root on the machine: an ordinary user who is root in a user namespace of his own.

use crate::traffic::{fetch, udp_seen_as, web_server};
use crate::world::{At, INTERNET, SERVER, in_rootless_world};

#[test]
fn ordinary_user_runs_server_in_own_namespace() {
    in_rootless_world("rootless::ordinary_user_runs_server_in_own_namespace", |world| {
        assert_eq!(
            world.sh("cat /proc/self/uid_map").split_whitespace().nth(2),
            Some("1"),
            "one user, and not root"
        );
        world.setup();
        world.connect(At::Client1, &world.add("one"));
        world.connect(At::Client2, &world.add("two"));
        world.reaches(At::Client1, "10.8.0.1");
        world.reaches(At::Client1, INTERNET);
        world.reaches(At::Client2, "10.8.0.2");
        let seen = web_server(500_000);
        assert_eq!(fetch(At::Client1), 500_000);
        assert_eq!(seen.recv().unwrap().ip().to_string(), SERVER);
        assert_eq!(udp_seen_as(At::Client2), SERVER);
        world.in_sync();
        world.ok(&["core", "change_subnet", "new_subnet=10.9.0.0/24", "confirm=true"]);
        world.ok(&["core", "remove_client", "client_name=two"]);
        world.sh("nft flush ruleset; ip link del wg_main");
        assert_eq!(world.ok(&["core", "reconcile"])["changed"], true);
        world.in_sync();
        world.disconnect(At::Client1);
        world.connect(At::Client1, &world.export("one"));
        world.reaches(At::Client1, INTERNET);
        world.ok(&["core", "stop_service"]);
        world.in_sync();
    });
}
