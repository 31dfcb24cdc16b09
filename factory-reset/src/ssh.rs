//! That no rule of ours concerns SSH.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use phantom_host::{Host, OwnershipTags, Protocol, UfwRule};

use crate::ResetError;

/// The settings of the OpenSSH server.
const SETTINGS: &str = "/etc/ssh/sshd_config";
/// Where more of them lie.
const MORE: &str = "/etc/ssh/sshd_config.d";

/// Fails when one of our rules names a port of SSH. In our own tables no rule names any port but the VPN's UDP port and
/// the tunnel's 443; in ufw, where a rule of ours may be the one that lets people in, every rule is looked at.
pub(crate) fn check(host: &Host, tags: &OwnershipTags) -> Result<(), ResetError> {
    let Some(ufw) = host.firewall.ufw(tags)? else { return Ok(()) };
    let ports = ports(host);
    let concerned = ufw.ours.iter().find_map(|rule| match rule {
        UfwRule::Allow { protocol: Protocol::Tcp, port }
        | UfwRule::Deny { protocol: Protocol::Tcp, port } => Some(*port).filter(|port| ports.contains(port)),
        _ => None,
    });
    concerned.map_or(Ok(()), |port| Err(ResetError::Ssh { port }))
}

/// 22 and what the settings of the OpenSSH server name; what cannot be read names nothing.
fn ports(host: &Host) -> BTreeSet<u16> {
    let more = host.files.list(Path::new(MORE)).unwrap_or_default();
    let files =
        std::iter::once(PathBuf::from(SETTINGS)).chain(more.iter().map(|file| Path::new(MORE).join(file)));
    let texts = files.filter_map(|file| host.files.read(&file).ok().flatten());
    let mut found = BTreeSet::from([22]);
    for text in texts {
        found.extend(String::from_utf8_lossy(&text).lines().filter_map(port));
    }
    found
}

/// The port of a line such as `Port 2222` or `ListenAddress [::]:2222`; keys in any case, `=` in place of the blank.
fn port(line: &str) -> Option<u16> {
    let (key, value) = line.trim().split_once([' ', '\t', '='])?;
    let value = value.trim_start_matches([' ', '\t', '=']).split_whitespace().next()?;
    if key.eq_ignore_ascii_case("Port") {
        return value.parse().ok();
    }
    let listens = key.eq_ignore_ascii_case("ListenAddress");
    let behind = |address: &str| {
        let bare = address.matches(':').count() > 1 && !address.contains(']'); // an IPv6 address without a port
        address.rsplit_once(':').filter(|_| !bare).and_then(|(_, port)| port.parse().ok())
    };
    listens.then(|| behind(value)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_sshd_reads_them() {
        let lines = [
            ("Port 2222", Some(2222)),
            ("  port=22022 # moved", Some(22022)),
            ("PORT\t= 1", Some(1)),
            ("ListenAddress 0.0.0.0:222", Some(222)),
            ("ListenAddress [2001:db8::1]:223", Some(223)),
            ("ListenAddress 2001:db8::22", None),
            ("ListenAddress 192.0.2.1", None),
            ("#Port 24", None),
            ("Portable 25", None),
            ("Port", None),
            ("Port 70000", None),
        ];
        for (line, expected) in lines {
            assert_eq!(port(line), expected, "{line}");
        }
    }
}
