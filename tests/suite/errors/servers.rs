//! The situations in which calls fail.

use std::fs;

use phantom_host::{LinkKind, Port, Protocol};
use phantom_tests::Server;

use crate::cases::{stopped, with_john};

pub(super) fn without_privilege() -> Server {
    let mut server = Server::ready();
    server.host.privileged = false;
    server
}
pub(super) fn full() -> Server {
    Server::set_up(&["subnet=10.8.0.0/29"]).with(&["a", "b", "c", "d", "e"])
}
pub(super) fn sql(server: Server, statement: &str) -> Server {
    rusqlite::Connection::open(server.paths().database()).unwrap().execute_batch(statement).unwrap();
    server
}
/// An active exit, as the module of the exits stores it. Its address is in 172.20.0.0/16.
pub(crate) fn with_multihop() -> Server {
    let exit = "INSERT INTO exits VALUES ('nl', zeroblob(32), zeroblob(32), NULL, '192.0.2.9:51820', '172.20.1.2/16', \
                '0.0.0.0/0', 1380, 25, NULL, NULL, 'Unknown Provider', '/tmp/nl.conf', 1757380307000000)";
    sql(with_john(), &format!("{exit}; INSERT INTO multihop VALUES (1, 'nl', 1, '', 1757380307000000)"))
}
pub(super) fn foreign_link() -> Server {
    let server = Server::bare();
    server.fake.add_link("wg_main", LinkKind::WireGuard).unwrap();
    server
}
pub(super) fn foreign_file() -> Server {
    let server = Server::bare();
    server.fake.put_file("/etc/wireguard/wg_main.conf", b"[Interface]\n", 0o600, 0);
    server
}
pub(super) fn no_ipv6() -> Server {
    let server = Server::bare();
    server.fake.take_address("eth0", "2001:db8::10/64".parse().unwrap()).unwrap();
    server.api(&["core", "setup", "server_ip=192.0.2.7"]).ok();
    server.with(&["john-laptop"])
}
pub(super) fn database(content: &[u8]) -> Server {
    let server = Server::ready();
    fs::write(server.paths().database(), content).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(server.paths().database().with_extension(format!("db{suffix}")));
    }
    server
}
pub(super) fn garbage() -> Server {
    database(&[0x5a; 8192])
}
pub(super) fn empty() -> Server {
    database(b"")
}
pub(super) fn newer() -> Server {
    sql(Server::ready(), "PRAGMA user_version = 9999")
}
pub(super) fn bound(server: Server, number: u16) -> Server {
    server.fake.bind(Port { protocol: Protocol::Udp, number });
    server
}
pub(super) fn port_taken() -> Server {
    bound(Server::bare(), 51820)
}
pub(super) fn port_53_taken() -> Server {
    bound(Server::ready(), 53)
}
pub(super) fn stopped_port_taken() -> Server {
    bound(stopped(), 51820)
}
pub(super) fn refusing() -> Server {
    let server = with_john();
    server.fake.refuse_write(1);
    server
}
pub(super) fn stopped_refusing() -> Server {
    let server = stopped();
    server.fake.refuse_write(2);
    server
}
pub(super) fn bare_refusing() -> Server {
    let server = Server::bare();
    server.fake.refuse_write(3);
    server
}
/// After the backup and some steps of the change itself.
pub(super) fn refusing_late() -> Server {
    let server = with_john();
    server.fake.refuse_write(10);
    server
}
pub(super) fn refusing_all_late() -> Server {
    let server = with_john();
    server.fake.refuse_from(10);
    server
}
pub(super) fn panicking() -> Server {
    let server = Server::ready();
    server.fake.on_write(|_, _| panic!("a bug that the test put there"));
    server
}
