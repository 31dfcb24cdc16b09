//! A web server in front of the tunnel: it has the port of HTTPS and the certificate, and passes requests on to a socket in the file
//! system.
//!
//! The socket is in a folder right below `/run` that belongs to the tunnel server alone. Its group is that of the web server's user:
//! that user connects, and nobody else but root does. What such a connection tells of the sender is believed for that reason.

use std::path::{Component, Path, PathBuf};

use phantom_engine::Engine;
use phantom_ghost_state::{Front, Ghost as Stored};
use phantom_host::Command;
use phantom_module::ParamError;

use crate::{GhostError, GhostStep, PORT};

/// The group of Debian's web servers.
const USUAL_GROUP: &str = "www-data";
/// Where groups are written down.
const GROUPS: &str = "/etc/group";
/// Beginning of the name of a folder that may hold the socket: it is made for the tunnel server, and goes when that ends.
const FOLDER: &str = "phantom-web";
/// What `listen` may be.
const ALLOWED: &str = "unix:/run/phantom-web/NAME";
/// Longest name of a group (useradd(8)).
const GROUP_MAX: usize = 32;
/// Longest path of a socket: `sun_path` of unix(7) without its end.
const PATH_MAX: usize = 107;

/// What was said about a web server in front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrontRequest<'a> {
    pub(crate) listen: Option<&'a str>,
    pub(crate) group: Option<&'a str>,
    pub(crate) public_port: Option<u16>,
}

impl FrontRequest<'_> {
    /// The web server in front, if there is to be one.
    pub(crate) fn front(self, engine: &Engine) -> Result<Option<Front>, GhostError> {
        let Some(listen) = self.listen else {
            if self.group.is_some() || self.public_port.is_some() {
                return Err(ParamError::Missing { parameter: "listen".to_owned() }.into());
            }
            return Ok(None);
        };
        let socket = socket(listen).ok_or_else(|| choice("listen", ALLOWED))?;
        let group = self.group.unwrap_or(USUAL_GROUP);
        if !is_group_name(group) || group == "root" {
            return Err(choice("listen_group", USUAL_GROUP));
        }
        let groups = engine.host().files.read(Path::new(GROUPS));
        let groups = groups.map_err(|source| GhostError::host(GhostStep::Host, source))?;
        // Where there is no such file, groups come from elsewhere: the start of the server says whether there is this one.
        if groups.is_some_and(|groups| !names(&groups, group)) {
            return Err(GhostError::NoGroup { group: group.to_owned() });
        }
        let public_port = self.public_port.unwrap_or(PORT);
        Ok(Some(Front { socket, group: group.to_owned(), public_port }))
    }
}

fn choice(parameter: &str, allowed: &str) -> GhostError {
    let (parameter, allowed) = (parameter.to_owned(), vec![allowed.to_owned()]);
    ParamError::Choice { parameter, allowed }.into()
}

/// The path of a socket in a folder that can be the tunnel server's own.
fn socket(listen: &str) -> Option<PathBuf> {
    let path = listen.strip_prefix("unix:").filter(|path| path.len() <= PATH_MAX)?;
    let (folder, name) = path.strip_prefix("/run/")?.split_once('/')?;
    let more = folder.strip_prefix(FOLDER)?;
    let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let suffix = more.is_empty() || (more.len() > 1 && more.starts_with('-') && letters(more));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let named = !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain);
    (suffix && named).then(|| path.into())
}

/// Whether a path leads to a folder in which tunnel servers have their sockets.
pub(crate) fn is_own(path: &Path) -> bool {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    // The old name of the folder is a link to the new one.
    let below_run = ["/run", "/var/run"].into_iter().find_map(|run| plain.strip_prefix(run).ok());
    let folder = below_run.and_then(|below| below.iter().next()).and_then(|folder| folder.to_str());
    let more = folder.and_then(|folder| folder.strip_prefix(FOLDER));
    more.is_some_and(|more| more.is_empty() || more.starts_with('-'))
}

/// A name that a group of a Linux system may have (useradd(8)).
fn is_group_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && name.len() <= GROUP_MAX && name.bytes().all(plain)
}

/// Whether a file in the form of group(5) has this group.
fn names(groups: &[u8], group: &str) -> bool {
    groups
        .split(|byte| *byte == b'\n')
        .any(|line| line.split(|byte| *byte == b':').next() == Some(group.as_bytes()))
}

/// The folder of the socket, which the tunnel server has for itself.
pub(crate) fn folder(stored: &Stored) -> Option<PathBuf> {
    stored.front.as_ref().and_then(|front| front.socket.parent()).map(Path::to_path_buf)
}

/// What lets the web server's group in at the socket, once that is there.
pub(crate) fn share(program: &Path, front: &Front) -> Command {
    let path = front.socket.display().to_string();
    let words = ["share", "--socket", &path, "--group", &front.group];
    Command { program: program.to_path_buf(), args: words.map(str::to_owned).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_directory_can_belong_to_the_server() {
        for path in ["/run/phantom-web/http", "/run/phantom-web-2/web.sock", "/run/phantom-web/a_b-c.1"] {
            assert_eq!(socket(&format!("unix:{path}")), Some(path.into()));
        }
        for listen in [
            "/run/phantom-web/http",
            "unix:run/phantom-web/http",
            "unix:/run/phantom-web",
            "unix:/run/phantom-web/",
            "unix:/run/phantom-web/.",
            "unix:/run/phantom-web/..",
            "unix:/run/phantom-web/a/b",
            "unix:/run/phantom-web/../nginx/x",
            "unix:/run/phantom-web-/x",
            "unix:/run/phantom-website/x",
            "unix:/run/phantom-wg/x",
            "unix:/run/phantom-ghost/control",
            "unix:/run/nginx/x",
            "unix:/tmp/x",
            "unix:/run/phantom-web/a b",
            "unix:/run/phantom-web/$(id)",
            "tcp:127.0.0.1:8443",
            "127.0.0.1:8443",
            "",
        ] {
            assert_eq!(socket(listen), None, "{listen}");
        }
        assert_eq!(socket(&format!("unix:/run/phantom-web/{}", "a".repeat(100))), None);
    }

    #[test]
    fn tunnel_server_sockets_are_known_by_directory() {
        for own in [
            "/run/phantom-web/http",
            "/var/run/phantom-web-2/x",
            "/run/nginx/../phantom-web/x",
            "//run/./phantom-web/x",
        ] {
            assert!(is_own(Path::new(own)), "{own}");
        }
        for other in
            ["/run/web.sock", "/run/phantom-website/x", "/srv/run/phantom-web/x", "/run/nginx/phantom-web"]
        {
            assert!(!is_own(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn groups_are_found_by_their_whole_name() {
        let groups = b"root:x:0:\nwww-data:x:33:\nhaproxy:x:104:\n";
        assert!(names(groups, "www-data") && names(groups, "haproxy"));
        assert!(!names(groups, "www") && !names(groups, "33") && !names(groups, "data"));
        for name in ["www-data", "haproxy", "_x", "a1"] {
            assert!(is_group_name(name), "{name}");
        }
        for name in ["", "33", "-a", "a b", "a:b", "a\n", "ağ", &"a".repeat(33)] {
            assert!(!is_group_name(name), "{name}");
        }
    }
}
