//! Where a name leads to at this moment.
//!
//! The C library is asked by `getent`, its own program: this one is linked statically, and loading the modules that
//! nsswitch.conf(5) names into such a program ends it where they belong to another version of the library.

use std::io::Read as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use phantom_types::Domain;

/// How long the resolvers have. An export without their answer leaves out what is stored.
const LIMIT: Duration = Duration::from_secs(5);
/// It belongs to the C library of every Debian.
const GETENT: &str = "/usr/bin/getent";

/// The addresses of a name by the C library, in its order: what nsswitch.conf(5) names is asked, as the host's resolvers are. None
/// where nobody answers in time. The final dot keeps the search list of resolv.conf(5) out of it.
#[expect(
    clippy::disallowed_methods,
    reason = "this program has no host: it reads what is stored, and asks for one name"
)]
pub(crate) fn addresses(domain: &Domain) -> Vec<IpAddr> {
    let mut command = Command::new(GETENT);
    command.args(["ahosts", &format!("{domain}.")]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Vec::new() };
    let Some(mut stdout) = child.stdout.take() else { return Vec::new() };
    let (answer, answered) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text).is_ok();
        // Nobody waits any more where it took too long.
        let _ = answer.send(if read { text } else { String::new() });
    });
    let text = answered.recv_timeout(LIMIT).unwrap_or_default();
    // One that has ended is not there any more.
    let _ = child.kill();
    let _ = child.wait();
    let _ = reader.join();
    parse(&text)
}

/// What `getent ahosts` writes: a line for each address and kind of socket, the address first.
fn parse(text: &str) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for address in text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_once_in_its_order() {
        let text = "2001:db8::1     STREAM vpn.example.org\n2001:db8::1     DGRAM  \n192.0.2.7       STREAM \n\
                    192.0.2.7       RAW    \nfe80::1%eth0    STREAM \n";
        let expected: [IpAddr; 2] = ["2001:db8::1".parse().unwrap(), "192.0.2.7".parse().unwrap()];
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn a_name_that_nobody_knows_has_no_address() {
        let domain: Domain = "nobody.invalid".parse().unwrap();
        assert_eq!(addresses(&domain), [] as [IpAddr; 0]);
        assert!(parse("").is_empty());
    }
}
