//! The device: peers, routes and sessions, and the tasks that carry packets between the TUN and the network.
//!
//! ```text
//!  TUN ── outbound ──> lane 0..n: seal, send ──> network        timers: keepalives, new handshakes
//!  TUN <── lane 0..n: open, write <── inbound ── network        handshakes: answers, cookies
//! ```
//!
//! A packet is looked at twice: `outbound` and `inbound` find out whose it is, and the lane of that peer does the work.
//! All packets of a peer take the same lane and stay in order; different peers use different cores. Whoever changes
//! the device holds a lock for one peer at a time, so packets never wait for a large change. Everything that packets take
//! has a bound for the whole device (see [`memory`]). What a peer sends too fast for its lane is dropped, and nobody else waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use gotatun::packet::PacketBufPool;
use gotatun::tun::MtuWatcher;
use tokio::sync::watch;

use crate::log::Log;
use crate::tun::{DEFAULT_MTU, Tun};
use crate::udp::{SendFeedback, Socket};
use memory::{Direction, LANES, Room};
use table::PeerTable;
use tx_queue::TxQueue;

mod attempts;
mod config;
pub(crate) mod handshakes;
pub(crate) mod inbound;
mod ip;
mod memory;
pub(crate) mod outbound;
mod peer;
mod routes;
mod staged;
mod table;
pub(crate) mod timers;
mod tunnel;
pub(crate) mod tx_queue;

/// Room for a packet of the usual MTU with everything around it. Larger ones get more.
pub(crate) const PACKET: usize = 2048;
/// How many packet buffers are kept for reuse (2 MB).
const POOL: usize = 1024;

/// A device.
pub(crate) struct Device {
    log: Log,
    pub(crate) tun: Tun,
    /// Of the TUN, as last seen.
    mtu: watch::Sender<u16>,
    pub(crate) pool: PacketBufPool<PACKET>,
    /// For packets on their way through the lanes.
    outbound: Room,
    inbound: Room,
    /// The kernel is to cut and join datagrams.
    offload: bool,
    /// Lets one change in at a time.
    changes: tokio::sync::Mutex<()>,
    settings: Mutex<config::Settings>,
    socket: watch::Sender<Option<Arc<Socket>>>,
    pub(crate) table: PeerTable,
}

impl Device {
    /// A device without keys and peers on this TUN, which carries packets once its tasks run.
    pub(crate) fn new(tun: Tun, lanes: usize, offload: bool, log: Log) -> Self {
        Self {
            log,
            mtu: watch::Sender::new(tun.mtu().ok().flatten().unwrap_or(DEFAULT_MTU)),
            tun,
            pool: PacketBufPool::new(POOL),
            outbound: Room::new(LANES, Direction::Out),
            inbound: Room::new(LANES, Direction::In),
            offload,
            changes: tokio::sync::Mutex::default(),
            settings: Mutex::default(),
            socket: watch::Sender::default(),
            table: PeerTable::new(lanes),
        }
    }

    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// The MTU of the TUN, which is watched.
    pub(crate) fn mtu(&self) -> MtuWatcher {
        self.mtu.subscribe().into()
    }

    fn socket(&self) -> Option<Arc<Socket>> {
        self.socket.borrow().clone()
    }

    /// Sends everything. What the network does not take is lost, as datagrams are.
    async fn transmit(&self, tx_queue: &mut TxQueue) {
        if tx_queue.is_empty() {
            return;
        }
        let socket = self.socket();
        for batch in tx_queue.drain() {
            let Some(socket) = &socket else { continue };
            let feedback = socket.send(&batch.to, &batch.packets).await;
            if feedback != SendFeedback::default() {
                batch.peer.apply_feedback(feedback, batch.to.address);
            }
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
