//! A host in memory, for tests of this project and of programs that embed it.
//!
//! It is as strict as the kernel: adding what is there or removing what is not fails with the error that Linux
//! gives, and what hangs together falls together (a link that is deleted takes its addresses, its routes and its
//! WireGuard device along). One conformance suite runs against it and against the real host.
//!
//! ```
//! use phantom_host::Host;
//!
//! let (host, fake) = Host::fake();
//! let before = fake.dump();
//! host.files.write("/etc/example".as_ref(), b"text\n", 0o600)?;
//! assert_ne!(fake.dump(), before);
//!
//! fake.refuse_write(1);
//! assert!(host.files.remove("/etc/example".as_ref()).is_err());
//! assert!(host.files.remove("/etc/example".as_ref()).is_ok());
//! # Ok::<(), phantom_host::HostError>(())
//! ```
//!
//! [`FaultyHost`] brings faults to a real host: it refuses a write, or kills the process before or after it.

mod clock;
mod dump;
mod external_changes;
mod faults;
mod faulty;
mod files;
mod firewall;
mod misc;
mod network;
mod processes;
mod services;
mod snapshot;
#[cfg(test)]
mod tests;
mod wireguard;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnetwork::IpNetwork;

pub use faulty::{FaultPlan, FaultyHost, InjectedFault, PlanError};
pub use services::StartFault;
pub use snapshot::Snapshot;

use self::clock::Time;
use self::faults::{Faults, WriteHook};
use self::files::Tree;
use self::firewall::Filter;
use self::misc::{Settings, Sockets};
use self::network::Net;
use self::services::Manager;
use self::wireguard::Devices;
use crate::{Host, HostError, Interrupt, Patience, Programs};

/// A handle on a host in memory: looks at it, disturbs it, makes it fail. Clones are handles on the same host.
///
/// What its own methods do is the work of "somebody else": it is not counted as a write and never refused.
#[derive(Clone)]
pub struct FakeHost {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    hook: Mutex<Option<WriteHook>>,
    given: Mutex<processes::Given>,
    programs: Programs,
    patience: Patience,
    interrupt: Interrupt,
}

/// The whole host. One value behind one lock: no reader sees half of a change.
struct State {
    faults: Faults,
    net: Net,
    devices: Devices,
    filter: Filter,
    settings: Settings,
    sockets: Sockets,
    files: Tree,
    manager: Manager,
    time: Time,
    random: u64,
    answers: misc::Answers,
    lookups: misc::Lookups,
    lookups_fail: bool,
}

impl State {
    /// All that a write can change. The time goes on, and the writes are counted, whatever becomes of them.
    fn copy(&self) -> Self {
        Self {
            faults: Faults::default(),
            net: self.net.clone(),
            devices: self.devices.clone(),
            filter: self.filter.clone(),
            settings: self.settings.clone(),
            sockets: self.sockets.clone(),
            files: self.files.clone(),
            manager: self.manager.clone(),
            time: Time::default(),
            random: self.random,
            answers: self.answers.clone(),
            lookups: self.lookups.clone(),
            lookups_fail: self.lookups_fail,
        }
    }

    /// Puts such a copy in force.
    fn go_back(&mut self, copy: Self) {
        let (faults, time) = (std::mem::take(&mut self.faults), std::mem::take(&mut self.time));
        *self = Self { faults, time, ..copy };
    }
}

impl Host {
    /// A fresh host in memory and the handle on it.
    ///
    /// It is a server with `lo` and the uplink `eth0` (203.0.113.10/24 and `2001:db8::10/64`, default routes by
    /// 203.0.113.1 and `fe80::1`), with kernel WireGuard, nftables, systemd, without ufw; `net.ipv4.ip_forward` is 0,
    /// the usual directories exist and are empty, the time is 2025-09-09 01:11:47 UTC. The programs are in
    /// `/usr/local/bin`.
    pub fn fake() -> (Self, FakeHost) {
        let fake = FakeHost::new(Programs::in_dir("/usr/local/bin"));
        (fake.host(), fake)
    }
}

impl FakeHost {
    /// A fresh host in memory, as [`Host::fake`] makes it, whose units start the programs at these paths.
    pub fn new(programs: Programs) -> Self {
        let state = State {
            faults: Faults::default(),
            net: Net::server(),
            devices: Devices::default(),
            filter: Filter::default(),
            settings: Settings::default(),
            sockets: Sockets::default(),
            files: Tree::default(),
            manager: Manager::default(),
            time: Time::default(),
            random: 0x5eed,
            answers: misc::Answers::default(),
            lookups: misc::Lookups::default(),
            lookups_fail: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            hook: Mutex::new(None),
            given: Mutex::default(),
            programs,
            patience: Patience::default(),
            interrupt: Interrupt::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The host as the rest of the program sees it, privileged.
    pub fn host(&self) -> Host {
        let one = Arc::new(self.clone());
        Host {
            wireguard: one.clone(),
            network: one.clone(),
            firewall: one.clone(),
            sysctl: one.clone(),
            services: one.clone(),
            sockets: one.clone(),
            resolver: one.clone(),
            processes: one.clone(),
            files: one.clone(),
            clock: one.clone(),
            random: one,
            patience: self.shared.patience.clone(),
            interrupt: self.shared.interrupt.clone(),
            programs: self.shared.programs.clone(),
            privileged: true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already; the state is whole at every point where
        // a panic can come from.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The networks, each after a blank.
fn network_words<'a>(networks: impl IntoIterator<Item = &'a IpNetwork>) -> String {
    let words: Vec<_> = networks.into_iter().map(|network| format!(" {network}")).collect();
    words.concat()
}

/// The kernel's refusal with this error number.
fn kernel(what: impl Into<String>, errno: nix::errno::Errno) -> HostError {
    HostError::Kernel { what: what.into(), source: io::Error::from(errno) }
}

fn absent(object: impl Into<String>) -> HostError {
    HostError::Absent { object: object.into() }
}
