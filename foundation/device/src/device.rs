//! The device: peers, routes and sessions, and the tasks that carry packets between the TUN and the network.
//!
//! ```text
//!  TUN queue n ──> worker n: seal ──> socket n        timers: keepalives, new handshakes
//!  TUN queue n <── worker n: open <── socket n        handshakes: answers, cookies
//! ```
//!
//! A worker is a thread that brings each packet the whole way (see [`worker`]). The kernel keeps a connection in one queue of the
//! TUN, and one who sends at one of the sockets, so packets of a flow stay in order; different ones use different cores. Whoever
//! changes the device holds a lock for one peer at a time, so packets never wait for a large change. Everything that packets take
//! has a bound for the whole device (see [`memory`]). What comes faster than the workers work is dropped by the kernel.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::log::Log;
use crate::tun::Tun;
use crate::udp::Sockets;
use outbox::Outbox;
use table::Table;

mod attempts;
mod config;
pub(crate) mod handshakes;
mod inbound;
mod indices;
mod ip;
mod memory;
mod outbound;
pub(crate) mod outbox;
pub(crate) mod peer;
mod routes;
mod staged;
mod table;
pub(crate) mod timers;
mod tunnel;
pub(crate) mod worker;

/// A device.
pub(crate) struct Device {
    log: Log,
    pub(crate) tun: Tun,
    /// The kernel is to cut and join datagrams.
    offload: bool,
    /// How many workers there are.
    workers: usize,
    /// Lets one change in at a time.
    changes: tokio::sync::Mutex<()>,
    settings: Mutex<config::Settings>,
    sockets: Mutex<Option<Arc<Sockets>>>,
    /// How often there were other sockets.
    generation: AtomicUsize,
    /// By which the workers hear of changes.
    bells: Mutex<Vec<PipeWriter>>,
    pub(crate) table: Table,
}

impl Device {
    /// A device without keys and peers on this TUN, which carries packets once its workers run.
    pub(crate) fn new(tun: Tun, workers: usize, offload: bool, log: Log) -> Self {
        let table = Table::new();
        if let Ok(Some(mtu)) = tun.mtu() {
            table.set_mtu(mtu);
        }
        Self {
            log,
            tun,
            offload,
            workers,
            changes: tokio::sync::Mutex::default(),
            settings: Mutex::default(),
            sockets: Mutex::default(),
            generation: AtomicUsize::new(0),
            bells: Mutex::default(),
            table,
        }
    }

    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// The sockets, once there are any.
    fn sockets(&self) -> Option<Arc<Sockets>> {
        lock(&self.sockets).clone()
    }

    /// Has the workers use these sockets from now on.
    fn set_sockets(&self, sockets: Sockets) {
        *lock(&self.sockets) = Some(Arc::new(sockets));
        self.generation.fetch_add(1, Ordering::Release);
        for bell in &mut *lock(&self.bells) {
            let _ = bell.write(&[1]); // one that has ended needs no bell
        }
    }

    /// A bell for a worker.
    pub(crate) fn bell(&self) -> io::Result<PipeReader> {
        let (reader, writer) = io::pipe()?;
        lock(&self.bells).push(writer);
        Ok(reader)
    }

    /// Has the workers end.
    pub(crate) fn end(&self) {
        lock(&self.bells).clear();
    }

    /// Sends everything. What the network does not take is lost, as datagrams are.
    fn transmit(&self, outbox: &mut Outbox) {
        match self.sockets() {
            Some(sockets) if !outbox.is_empty() => sockets.of(0).send_all(outbox),
            _ => outbox.clear(),
        }
    }
}

// A task that panicked ends the device (see `run`), so what it left behind a lock is of no consequence.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
