//! The small facilities: kernel settings, sockets, clock, randomness.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use phantom_types::Timestamp;

use crate::{Clock, HostError, Port, Protocol, Random, Result, Sockets, Sysctl};

/// Kernel settings, read and written below `/proc/sys`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxSysctl;

impl Sysctl for LinuxSysctl {
    fn get(&self, key: &str) -> Result<Option<String>> {
        let path = sysctl_path(key)?;
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim_end_matches('\n').to_owned())),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(HostError::io(format!("reading {}", path.display()), e)),
        }
    }

    fn set(&self, key: &str, value: &str) -> Result<()> {
        let path = sysctl_path(key)?;
        // Opened without creating: a setting the kernel has not must not look like a file problem.
        let written =
            OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(value.as_bytes()));
        written.map_err(|e| match e.kind() {
            ErrorKind::NotFound => HostError::Absent { object: format!("kernel setting {key}") },
            _ => HostError::io(format!("setting {key} to {value}"), e),
        })
    }
}

/// `net.ipv4.ip_forward` as a path. Nothing leads out of `/proc/sys`: no part is empty, and none holds a slash.
fn sysctl_path(key: &str) -> Result<PathBuf> {
    if key.contains(['/', '\0']) || key.split('.').any(str::is_empty) {
        return Err(HostError::unexpected(format!("'{key}' is not the dotted name of a kernel setting")));
    }
    Ok(PathBuf::from("/proc/sys").join(key.replace('.', "/")))
}

/// Bound sockets, as the kernel lists them in `/proc/net`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxSockets;

impl Sockets for LinuxSockets {
    fn bound(&self, port: Port) -> Result<bool> {
        let files = match port.protocol {
            Protocol::Udp => ["udp", "udp6"],
            Protocol::Tcp => ["tcp", "tcp6"],
        };
        for file in files {
            // The thread's own network namespace, which need not be the process's.
            let path = format!("/proc/thread-self/net/{file}");
            match fs::read_to_string(&path) {
                Ok(table) if lists(&table, port) => return Ok(true),
                Ok(_) => {}
                // A kernel without IPv6 has no such file.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(HostError::io(format!("reading {path}"), e)),
            }
        }
        Ok(false)
    }
}

/// Whether a table of `/proc/net` has a socket on this port: for TCP a listening one, for UDP any.
fn lists(table: &str, port: Port) -> bool {
    /// `TCP_LISTEN` of `net/tcp_states.h`.
    const LISTEN: &str = "0A";
    // "  sl  local_address rem_address   st ...", the address and port in hexadecimal.
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, state) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        let number = local.rsplit_once(':').and_then(|(_, hex)| u16::from_str_radix(hex, 16).ok());
        number == Some(port.number) && (port.protocol == Protocol::Udp || state == LISTEN)
    })
}

/// The clocks of the host.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxClock;

impl Clock for LinuxClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
    /// Time since this process first asked.
    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
    fn synchronised(&self) -> Result<bool> {
        let status = clock_status().map_err(|e| HostError::io("asking the kernel's clock", e))?;
        Ok(status & nix::libc::STA_UNSYNC == 0)
    }
    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// The status bits of the kernel's clock (`timex.h`).
#[expect(unsafe_code, reason = "no library offers adjtimex(2)")]
fn clock_status() -> std::io::Result<i32> {
    // SAFETY: a `timex` is plain numbers, for which zero is a value; its `modes` of 0 makes the call a question. The
    // pointer is to a value of this function.
    let (answer, clock) = unsafe {
        let mut clock: nix::libc::timex = std::mem::zeroed();
        (nix::libc::adjtimex(&raw mut clock), clock)
    };
    if answer < 0 { Err(std::io::Error::last_os_error()) } else { Ok(clock.status) }
}

/// The kernel's random generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxRandom;

impl Random for LinuxRandom {
    /// Since Linux 5.6 `/dev/random` waits until the generator is seeded and never again after, which keys made at
    /// the first boot of a machine need; `/dev/urandom` does not wait.
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        let read = File::open("/dev/random").and_then(|mut device| device.read_exact(bytes));
        read.map_err(|e| HostError::io("reading /dev/random", e))
    }
}

/// A number for names that must not meet another's.
pub(super) fn random_number() -> Result<u64> {
    let mut bytes = [0; 8];
    LinuxRandom.fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::{LinuxClock, LinuxRandom, LinuxSockets, LinuxSysctl, lists, sysctl_path};
    use crate::{Clock, Port, Protocol, Random, Sockets, Sysctl};

    const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  237: 00000000:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 20613 2 ffff8881 0
  402: 0100007F:0035 0100007F:BEEF 01 00000000:00000000 00:00000000 00000000   101        0 16520 2 ffff8881 0
";
    const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23045 1 0 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 23046 1 0 20 4 30 10 -1
";

    fn udp(number: u16) -> Port {
        Port { protocol: Protocol::Udp, number }
    }
    fn tcp(number: u16) -> Port {
        Port { protocol: Protocol::Tcp, number }
    }

    #[test]
    fn socket_tables_are_read() {
        assert!(lists(UDP, udp(51820)) && lists(UDP, udp(53)));
        // Ports of the far end, and beginnings of numbers, do not count.
        assert!(!lists(UDP, udp(0xbeef)) && !lists(UDP, udp(5182)) && !lists(UDP, udp(0)));
        assert!(lists(TCP6, tcp(443)));
        // A connection that left from port 80 is nobody listening there.
        assert!(!lists(TCP6, tcp(80)) && !lists(TCP6, tcp(0xc350)));
        assert!(!lists("", udp(1)) && !lists("header\ngarbage\n\n: : :\n", udp(1)));
    }

    #[test]
    fn real_sockets_are_seen() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let listener = std::net::TcpListener::bind("[::]:0")
            .or_else(|_| std::net::TcpListener::bind("0.0.0.0:0"))
            .unwrap();
        let (u, t) = (socket.local_addr().unwrap().port(), listener.local_addr().unwrap().port());
        assert!(LinuxSockets.bound(udp(u)).unwrap() && LinuxSockets.bound(tcp(t)).unwrap());
        drop((socket, listener));
        assert!(!LinuxSockets.bound(udp(u)).unwrap() && !LinuxSockets.bound(tcp(t)).unwrap());
    }

    #[test]
    fn setting_names_become_paths_that_stay_inside() {
        let path = |key| sysctl_path(key).map(|p| p.to_string_lossy().into_owned()).ok();
        assert_eq!(path("net.ipv4.ip_forward").as_deref(), Some("/proc/sys/net/ipv4/ip_forward"));
        for hostile in ["", ".", "..", "net..x", ".net", "net.", "net./x", "../etc", "/etc", "a.\0"] {
            assert_eq!(path(hostile), None, "{hostile:?}");
        }
    }

    #[test]
    fn settings_are_read() {
        assert_eq!(LinuxSysctl.get("kernel.ostype").unwrap().as_deref(), Some("Linux"));
        assert_eq!(LinuxSysctl.get("kernel.no_such_setting").unwrap(), None);
        assert_eq!(LinuxSysctl.get("kernel.ostype.below").unwrap(), None);
        assert!(LinuxSysctl.set("kernel.no_such_setting", "1").unwrap_err().is_absent());
    }

    #[test]
    fn clock_and_randomness_work() {
        let (first, before) = (LinuxClock.monotonic(), LinuxClock.now());
        LinuxClock.sleep(std::time::Duration::from_millis(2));
        assert!(LinuxClock.monotonic() > first);
        assert!(LinuxClock.now() > before && before.seconds() > 1_700_000_000);
        let (mut a, mut b) = ([0; 32], [0; 32]);
        LinuxRandom.fill(&mut a).unwrap();
        LinuxRandom.fill(&mut b).unwrap();
        assert_ne!(a, b);
    }
}
