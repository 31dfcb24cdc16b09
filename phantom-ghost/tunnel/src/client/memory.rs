//! Where the last tunnel led, in a file: a client that is started while WireGuard is up cannot look the server's name up,
//! since that would go through the tunnel that it is to open.
//!
//! Nothing depends on the file being right: whoever is at the address has to show the server's certificate.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use phantom_types::Endpoint;

/// The folder below the one for the state of programs.
const FOLDER: &str = "phantom-ghost";
/// Where root's is.
const OF_ROOT: &str = "/var/lib";
/// A longer file is none of ours, in bytes.
const MAX: u64 = 1024;

/// The file for a client's first hop if none is named: in the folder that the service manager gives (`STATE_DIRECTORY`),
/// for root in `/var/lib/phantom-ghost`, for others in `$XDG_STATE_HOME/phantom-ghost` or `~/.local/state/phantom-ghost`.
/// None where not even a home is known.
pub(super) fn usual(
    hop: &Endpoint,
    is_root: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let value = variable(name)?;
        // systemd separates several folders by colons.
        let first = value
            .to_str()
            .map_or(value.as_os_str(), |text| OsStr::new(text.split(':').next().unwrap_or(text)));
        Some(PathBuf::from(first)).filter(|path| path.is_absolute())
    };
    let folder = match absolute("STATE_DIRECTORY") {
        Some(folder) => folder,
        None if is_root => Path::new(OF_ROOT).join(FOLDER),
        None => {
            let home = || absolute("HOME").map(|home| home.join(".local/state"));
            absolute("XDG_STATE_HOME").or_else(home)?.join(FOLDER)
        }
    };
    Some(folder.join(format!("{}_{}.address", hop.host, hop.port)))
}

/// The address that a file keeps for this host and port; none where there is no such file, or it is about another one.
pub(super) fn read(file: &Path, hop: &Endpoint) -> Option<SocketAddr> {
    let mut text = String::new();
    // Something else may be there: a pipe would make us wait for somebody who writes.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(file).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(MAX).read_to_string(&mut text).ok()?;
    let (name, address) = text.trim_end().split_once(' ')?;
    let address: IpAddr = address.parse().ok()?;
    (name == hop.to_string()).then(|| SocketAddr::new(address, hop.port))
}

/// Keeps an address, in a file for its owner alone that is whole at any time. Its folder is made if need be.
pub(super) fn write(file: &Path, hop: &Endpoint, address: SocketAddr) -> io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut draft = OsString::from(file);
    draft.push(format!(".{}", std::process::id()));
    let written = fill(Path::new(&draft), &format!("{hop} {}\n", address.ip()));
    let kept = written.and_then(|()| fs::rename(&draft, file));
    if kept.is_err() {
        // The error that is reported is the first one.
        let _ = nix::unistd::unlink(Path::new(&draft));
    }
    kept
}

fn fill(draft: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = match options.open(draft) {
        // Left by a process of this number that was killed here.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            nix::unistd::unlink(draft)?;
            options.open(draft)?
        }
        opened => opened?,
    };
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn hop(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn remembered_address_belongs_to_its_server() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made/for it/x.address");
        let server = hop("vpn.example.com:8443");
        assert_eq!(read(&file, &server), None);
        for address in ["192.0.2.7:8443", "[2001:db8::7]:8443"] {
            let address: SocketAddr = address.parse().unwrap();
            write(&file, &server, address).unwrap();
            assert_eq!(read(&file, &server), Some(address));
        }
        for other in ["vpn.example.com:443", "www.example.com:8443"] {
            assert_eq!(read(&file, &hop(other)), None);
        }
        let seen = fs::metadata(&file).unwrap();
        assert_eq!(seen.mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "a draft is left");
    }

    #[test]
    fn obstacle_is_an_error_without_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let server = hop("vpn.example.com:443");
        let address: SocketAddr = "192.0.2.7:443".parse().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(write(&taken, &server, address).is_err());
        assert!(write(&folder.path().join("taken/../x/\0"), &server, address).is_err());
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| ["taken", "x"].contains(&name.to_str().unwrap())), "{left:?}");
        // Whatever a file holds, there is an address or there is none.
        let file = folder.path().join("spoilt");
        for text in ["", "vpn.example.com:443", "vpn.example.com:443 nowhere\n", "\u{fffd} 192.0.2.7"] {
            let mut options = OpenOptions::new();
            options
                .write(true)
                .create(true)
                .truncate(true)
                .open(&file)
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
            assert_eq!(read(&file, &server), None, "{text:?}");
        }
    }

    #[test]
    fn pipe_in_its_place_is_not_awaited() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&pipe, &hop("vpn.example.com:443")), None);
    }

    #[test]
    fn the_usual_place_is_one_for_state() {
        let server = hop("vpn.example.com:443");
        let place = |root: bool, variables: &[(&str, &str)]| {
            let found = usual(&server, root, |name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            });
            found.map(|path| path.display().to_string())
        };
        let file = "vpn.example.com_443.address";
        let (home, state) = (("HOME", "/home/john"), ("XDG_STATE_HOME", "/s"));
        assert_eq!(place(true, &[home, state]), Some(format!("/var/lib/phantom-ghost/{file}")));
        assert_eq!(place(false, &[home, state]), Some(format!("/s/phantom-ghost/{file}")));
        let of_home = Some(format!("/home/john/.local/state/phantom-ghost/{file}"));
        assert_eq!(place(false, &[home]), of_home);
        assert_eq!(place(false, &[home, ("XDG_STATE_HOME", "relative")]), of_home);
        assert_eq!(
            place(true, &[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")]),
            Some(format!("/var/lib/a/{file}"))
        );
        assert_eq!(place(false, &[]), None);
    }
}
