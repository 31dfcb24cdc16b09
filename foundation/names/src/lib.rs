//! Names as the C library of this system finds them: hosts and groups.
//!
//! The library is asked by `getent`, its own program, and not by a call. Our programs may be linked statically, and a static
//! program that makes such a call loads the modules that nsswitch.conf(5) names. Where these belong to another version of
//! the library, the program ends at once: by SIGFPE, or by SIGSEGV.
//!
//! Where there is no `getent`, the call is made after all, unless this program is linked statically against such a library (glibc):
//! then an error says that `getent` is missing. Other libraries (musl) have no such modules.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// It belongs to the C library of every Debian.
const GETENT: &str = "/usr/bin/getent";
/// Where groups are, if nobody can be asked.
const GROUPS: &str = "/etc/group";
/// More than this is no answer, in bytes: a DNS message has 64 KiB, and a line for each address is longer than the address.
const MOST: u64 = 1024 * 1024;
/// How often it is looked whether a program that has said everything has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The addresses of a host's name, each once, in the library's order: at least one, or an error. Blocks for `limit` at most.
///
/// What nsswitch.conf(5) names is asked, as the host's resolvers are. A final dot keeps the search list of resolv.conf(5)
/// out of it.
///
/// # Errors
/// `InvalidInput` for a text that is no name, `TimedOut` where nobody answers in time, `NotFound` where the name has no
/// address: the library does not say whether somebody knows so. Others where neither the program nor the call could be made.
pub fn addresses(name: &str, limit: Duration) -> io::Result<Vec<IpAddr>> {
    addresses_by(getent(), name, limit)
}

/// The number of a group of this system; `None` where there is no such group.
///
/// # Errors
/// As for [`addresses`].
pub fn group(name: &str, limit: Duration) -> io::Result<Option<u32>> {
    group_by(getent(), name, limit)
}

#[expect(
    clippy::disallowed_methods,
    reason = "programs without a host need names too; this one changes nothing"
)]
fn getent() -> Command {
    Command::new(GETENT)
}

fn addresses_by(getent: Command, name: &str, limit: Duration) -> io::Result<Vec<IpAddr>> {
    let end = Instant::now() + limit;
    let found = match ask(getent, "ahosts", name, end)? {
        Some(text) => parse(&text),
        None if cfg!(all(target_env = "gnu", target_feature = "crt-static")) => {
            return Err(io::Error::other("/usr/bin/getent is missing"));
        }
        None => call(name, end)?,
    };
    if found.is_empty() {
        Err(io::Error::new(ErrorKind::NotFound, "no address was found for it"))
    } else {
        Ok(found)
    }
}

fn group_by(getent: Command, name: &str, limit: Duration) -> io::Result<Option<u32>> {
    let text = match ask(getent, "group", name, Instant::now() + limit)? {
        Some(text) => text,
        None => fs::read_to_string(GROUPS)?,
    };
    Ok(text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        fields.nth(1)?.parse().ok().filter(|_| is_it)
    }))
}

/// What the program writes about a name: nothing where it is not known. `None` where there is no such program, or it knows
/// nothing of such names, as those of other libraries may.
fn ask(mut getent: Command, kind: &str, name: &str, end: Instant) -> io::Result<Option<String>> {
    // It would be an option. No host and no group is called so.
    if name.is_empty() || name.starts_with('-') || name.contains('\0') {
        return Err(ErrorKind::InvalidInput.into());
    }
    getent.args([kind, name]).env_clear();
    getent.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = match getent.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = read(&mut child, end);
    let ended = text.as_ref().ok().and_then(|_| wait(&mut child, end));
    // One that has ended is not there any more.
    let _ = child.kill();
    let _ = child.wait();
    let text = text?;
    match ended.map(|status| status.code()) {
        // The numbers are those of getent(1): 1 is a kind of names that it does not know, 2 a name.
        Some(Some(1)) if text.is_empty() => Ok(None),
        Some(Some(0 | 2)) => Ok(Some(text)),
        // It ended by a signal, or not at all: what it said before is as good as ever.
        _ if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(io::Error::other("getent failed")),
        None => Err(too_long()),
    }
}

/// All that a program writes, if it comes to an end in time.
fn read(child: &mut Child, end: Instant) -> io::Result<String> {
    let Some(stdout) = child.stdout.take() else { return Ok(String::new()) };
    within(end, move || {
        let mut bytes = Vec::new();
        stdout.take(MOST).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    })
}

/// How a program has ended that has said everything; `None` where it does not end in time.
fn wait(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < end => thread::sleep(LOOK_AGAIN),
            ended => return ended.ok().flatten(),
        }
    }
}

/// The addresses of a name by the call.
#[expect(clippy::disallowed_methods, reason = "there is no program that could be asked")]
fn call(name: &str, end: Instant) -> io::Result<Vec<IpAddr>> {
    let name = name.to_owned();
    let found =
        within(end, move || Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect()))?;
    Ok(once(found))
}

/// What `work` gives, if it does so in time. Otherwise nobody waits for it any more.
fn within<T: Send + 'static>(
    end: Instant,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (answer, answered) = mpsc::channel();
    thread::Builder::new().name("names".to_owned()).spawn(move || {
        let _ = answer.send(work());
    })?;
    answered.recv_timeout(end.saturating_duration_since(Instant::now())).unwrap_or_else(|_| Err(too_long()))
}

fn too_long() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "it took too long")
}

/// What `getent ahosts` writes: a line for each address and kind of socket, the address first. One of a single link, as
/// `fe80::1%eth0`, leads nowhere without the link.
fn parse(text: &str) -> Vec<IpAddr> {
    once(text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect())
}

/// Each once, in their order.
fn once(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for address in addresses {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

#[cfg(test)]
mod tests;
