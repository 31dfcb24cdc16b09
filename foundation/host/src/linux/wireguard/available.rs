//! Whether the kernel has WireGuard or can load it, as its files tell. Reading them loads nothing.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crate::{HostError, Result};

/// Whether WireGuard is in the kernel now, loaded or built in. `root` is `/`.
pub(super) fn loaded(root: &Path) -> bool {
    root.join("sys/module/wireguard").exists()
}

/// Whether WireGuard is built into the running kernel or lies ready as a module that may still be loaded.
pub(super) fn loadable(root: &Path) -> Result<bool> {
    let Some(release) = text(&root.join("proc/sys/kernel/osrelease"))? else { return Ok(false) };
    let modules = root.join("lib/modules").join(release.trim());
    if listed(&modules.join("modules.builtin"))? {
        return Ok(true);
    }
    let sealed =
        text(&root.join("proc/sys/kernel/modules_disabled"))?.is_some_and(|value| value.trim() == "1");
    Ok(!sealed && listed(&modules.join("modules.dep"))?)
}

fn listed(path: &Path) -> Result<bool> {
    let failed = |error| HostError::io(format!("reading {}", path.display()), error);
    match File::open(path) {
        Ok(file) => names_wireguard(BufReader::new(file)).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Whether a list of modules (modules.dep or modules.builtin, one path a line) has WireGuard's, compressed or not.
/// Modules that only need it are named before it on their line.
fn names_wireguard(list: impl BufRead) -> io::Result<bool> {
    for line in list.split(b'\n') {
        let line = line?;
        let path = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if file.strip_prefix(b"wireguard.ko").is_some_and(|rest| rest.is_empty() || rest.starts_with(b".")) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn text(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HostError::io(format!("reading {}", path.display()), error)),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test writes the files that the kernel would show")]

    use super::*;

    fn lists(text: &str) -> bool {
        names_wireguard(text.as_bytes()).unwrap()
    }

    #[test]
    fn module_is_found_in_real_kernel_lists() {
        assert!(lists("kernel/drivers/net/wireguard/wireguard.ko: kernel/net/ipv6/ip6_udp_tunnel.ko\n"));
        assert!(lists("kernel/drivers/net/dummy.ko:\nkernel/drivers/net/wireguard/wireguard.ko.xz: x\n"));
        assert!(lists("updates/dkms/wireguard.ko.zst:"));
        assert!(lists("kernel/drivers/net/wireguard/wireguard.ko\n"));
        assert!(!lists("kernel/a.ko: kernel/drivers/net/wireguard/wireguard.ko\n"));
        assert!(!lists("kernel/wireguard.kobold\nkernel/notwireguard.ko\n"));
        assert!(!lists(""));
    }

    #[test]
    fn files_decide_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(!loaded(root) && !loadable(root).unwrap(), "an empty host has nothing");
        let modules = root.join("lib/modules/6.1.0-test");
        fs::create_dir_all(&modules).unwrap();
        fs::create_dir_all(root.join("proc/sys/kernel")).unwrap();
        fs::write(root.join("proc/sys/kernel/osrelease"), "6.1.0-test\n").unwrap();
        fs::write(root.join("proc/sys/kernel/modules_disabled"), "0\n").unwrap();
        assert!(!loadable(root).unwrap());
        fs::write(modules.join("modules.dep"), "kernel/drivers/net/wireguard/wireguard.ko:\n").unwrap();
        assert!(loadable(root).unwrap());
        fs::write(root.join("proc/sys/kernel/modules_disabled"), "1\n").unwrap();
        assert!(!loadable(root).unwrap(), "a sealed kernel loads nothing");
        fs::write(modules.join("modules.builtin"), "kernel/drivers/net/wireguard/wireguard.ko\n").unwrap();
        assert!(loadable(root).unwrap(), "what is built in needs no loading");
        fs::create_dir_all(root.join("sys/module/wireguard")).unwrap();
        assert!(loaded(root));
    }
}
