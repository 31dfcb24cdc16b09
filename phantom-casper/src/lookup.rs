//! Where a name leads to at this moment.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use phantom_types::Domain;

/// How long the resolvers have. An export without their answer leaves out what is stored.
const LIMIT: Duration = Duration::from_secs(5);
/// A port has to be named, and counts for nothing.
const PORT: u16 = 443;

/// The addresses of a name by the C library: `/etc/hosts`, then the host's resolvers, as every program here asks them. None where
/// nobody answers in time.
pub(crate) fn addresses(domain: &Domain) -> Vec<IpAddr> {
    let (name, (answer, answered)) = (domain.as_str().to_owned(), mpsc::channel());
    // The C library cannot be told to give up. Whatever it still waits for ends with the process.
    thread::spawn(move || {
        let found = (name.as_str(), PORT).to_socket_addrs();
        let found = found.map(|all| all.map(|one| one.ip()).collect()).unwrap_or_default();
        // Nobody waits for it any more.
        let _ = answer.send(found);
    });
    answered.recv_timeout(LIMIT).unwrap_or_default()
}
