//! What passes an interface, captured by tcpdump, which knows nothing of the server.

use std::path::Path;
use std::time::Duration;

use crate::forge::{Packet, send};
use crate::world::{At, TestNet, wait_for};

/// How long tcpdump may take to start, and to write what it has seen.
const PATIENCE: Duration = Duration::from_secs(20);
/// A packet that nobody else sends: when it has been seen, so has everything before it.
const SIGN: &str = "src host 192.0.2.250 and udp port 9";

/// Everything that passes an interface, from now on.
pub(crate) struct Capture<'w> {
    world: &'w TestNet,
    at: At,
    interface: &'static str,
    file: String,
    pid: u32,
}

impl<'w> Capture<'w> {
    pub(crate) fn start(world: &'w TestNet, at: At, interface: &'static str, name: &str) -> Self {
        let file = format!("/run/{name}-{interface}.pcap");
        let pid = world.spawn(at, "tcpdump", &["-i", interface, "-U", "-w", &file, "-Z", "root", "-s", "96"]);
        assert!(wait_for(PATIENCE, || Path::new(&file).exists()), "tcpdump does not start");
        let capture = Self { world, at, interface, file, pid };
        capture.sees_more_than(0);
        capture
    }

    /// Waits until a sign has been seen that was sent now.
    fn sees_more_than(&self, signs: usize) {
        let sign = Packet::udp(([192, 0, 2, 250], 9), ([192, 0, 2, 251], 9));
        let seen = wait_for(PATIENCE, || {
            send(self.at, self.interface, 1, std::slice::from_ref(&sign));
            self.packets(SIGN).len() > signs
        });
        assert!(seen, "tcpdump sees nothing on {}", self.interface);
    }

    fn packets(&self, filter: &str) -> Vec<String> {
        let read = format!("tcpdump -nn -r {} '{filter}' 2>/dev/null", self.file);
        let output = self.world.try_at(At::Server, &read);
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// Stops when everything that was sent until now has been seen; gives what matches a filter.
    pub(crate) fn stop(self, filter: &str) -> Vec<String> {
        self.sees_more_than(self.packets(SIGN).len());
        self.world.sh(&format!("kill -INT {}", self.pid));
        self.packets(filter)
    }
}
