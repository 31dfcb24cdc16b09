//! Devices that are made again behind the back of a change that does not look at peers, and peers that move.

use std::time::Duration;

use phantom_host::{Clock, Device};
use phantom_tests::Server;
use phantom_types::{Backend, PrivateKey};

use crate::cases::through_exit;

const UNIT: &str = "wg-quick@wg_main";
const GHOST: [&str; 4] = ["ghost", "enable", "domain=vpn.example.com", "skip_dns_check=true"];

fn device(server: &Server, backend: Backend) -> Option<Device> {
    server.host.wireguard.device(&"wg_main".parse().unwrap(), backend).unwrap()
}

#[test]
fn recreated_device_gets_all_its_peers() {
    type Loss = fn(&Server);
    let losses: [(&str, Backend, Loss); 4] = [
        ("deleted", Backend::Kernel, |server| server.fake.cut_link("wg_main").unwrap()),
        ("crashed", Backend::Embedded, |server| server.fake.crash_service(UNIT)),
        // Its hook had nothing to do, or was killed.
        ("started again by systemd", Backend::Embedded, |server| {
            server.fake.crash_service(UNIT);
            server.fake.start_service(UNIT).unwrap();
        }),
        ("deleted and made by somebody's hand", Backend::Kernel, |server| {
            server.fake.cut_link("wg_main").unwrap();
            server.host.wireguard.create(&"wg_main".parse().unwrap()).unwrap();
            let alias = Some(server.tags().tag());
            let change = phantom_host::LinkChange { alias, ..phantom_host::LinkChange::default() };
            server.fake.change_link("wg_main", &change).unwrap();
        }),
    ];
    for (what, backend, lose) in losses {
        let server = Server::set_up(&[&format!("backend={backend}")]).with(&["a", "b"]);
        lose(&server);
        assert!(device(&server, backend).is_none_or(|device| device.peers.is_empty()), "{what}");
        server.api(&GHOST).ok();
        assert_eq!(device(&server, backend).unwrap().peers.len(), 2, "{what}");
        server.assert_in_sync();
        // And on the way back from a change that fails.
        lose(&server);
        server.fake.reset_writes();
        server.fake.refuse_write(3);
        let answer = server.api(&["ghost", "disable"]).json();
        server.fake.reset_writes();
        assert_eq!(answer["success"], false, "{what}: {answer:#}");
        if answer["data"]["rolled_back"] == true {
            assert_eq!(device(&server, backend).unwrap().peers.len(), 2, "{what}");
            server.assert_in_sync();
        }
    }
}

#[test]
fn moved_exit_stays_at_its_address() {
    let server = through_exit();
    let key = PrivateKey::from_random([0x51; 32]).public_key();
    let at = || server.fake.peer("wg_vpn", &key).unwrap().config.endpoint;
    let (first, elsewhere) = (at(), Some("198.51.100.77:4500".parse().unwrap()));
    server.fake.advance(Duration::from_secs(10));
    let heard = Some(server.fake.now());
    assert!(server.fake.set_peer_traffic("wg_vpn", &key, elsewhere, heard, (500, 500)));
    server.assert_in_sync();
    server.api(&["core", "reconcile"]).ok();
    server.api(&GHOST).ok();
    assert_eq!(at(), elsewhere);
    // One that has not answered since it was told where to be is told again.
    server.fake.let_peer_answer(key, false);
    let long_ago = server.fake.now().minus(Duration::from_hours(1));
    assert!(server.fake.set_peer_traffic("wg_vpn", &key, elsewhere, Some(long_ago), (500, 500)));
    server.api(&["core", "reconcile"]).ok();
    assert_eq!(at(), first);
}
