//! What has to happen without a packet: keepalives, new handshakes, the end of sessions.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::memory::{self, Reclaimer, Room, Usage};
use super::peer::Peer;
use super::tx_queue::TxQueue;
use super::{Device, tunnel};
use crate::tun::Gone;

/// How often timers are looked at. The protocol counts in seconds.
const TICK: Duration = Duration::from_millis(500);
/// How often the TUN is looked at: whether it is there, and its MTU.
const TUN: Duration = Duration::from_secs(1);
/// How often the indices of ended sessions are swept out.
const SWEEP: Duration = Duration::from_secs(20);
/// How many peers are looked at before others get their turn.
pub(super) const SLICE: usize = 64;

/// Looks at the timers of those peers that have any running, until the TUN is gone. Peers without a tunnel cost
/// nothing.
///
/// The task that reads the TUN mostly hears of its end at once. But the kernel wakes it before it takes the TUN away
/// (`tun_detach_all` of `drivers/net/tun.c`), so that a quick reader may find nothing amiss and is not woken again.
pub(crate) async fn run(device: Arc<Device>) -> Gone {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut swept) = (Instant::now(), Instant::now());
    let mut peers = Vec::new();
    let mut tx_queue = TxQueue::default();
    let mut reclaimer = Reclaimer::default();
    loop {
        let now = ticks.tick().await;
        device.table.staged.expire(now.into_std());
        look(&device, &mut peers, &mut tx_queue).await;
        if now.duration_since(seen) >= TUN {
            seen = now;
            match device.tun.mtu() {
                Ok(Some(mtu)) => drop(device.mtu.send_if_modified(|known| mem::replace(known, mtu) != mtu)),
                Ok(None) => {}
                Err(gone) => return gone,
            }
        }
        if now.duration_since(swept) >= SWEEP {
            swept = now;
            device.table.sweep();
        }
        if reclaimer.is_due(usage(&device), device.table.freed.was_said()) {
            let device = Arc::clone(&device);
            tokio::task::spawn_blocking(move || {
                memory::empty(&device.pool);
                memory::give_back();
            });
        }
    }
}

/// What all packets take that wait somewhere.
fn usage(device: &Device) -> Usage {
    let staged = device.table.staged.bytes();
    let [out, into] = [&device.outbound, &device.inbound].map(Room::usage);
    Usage { now: staged + out.now + into.now, peak: staged + out.peak + into.peak }
}

async fn look(device: &Device, peers: &mut Vec<Arc<Peer>>, tx_queue: &mut TxQueue) {
    peers.append(&mut device.table.take_woken());
    let mut kept = Vec::with_capacity(peers.len());
    let mut slice = 0;
    for peer in peers.drain(..) {
        if tunnel::tick(&device.table, &peer, tx_queue) {
            kept.push(peer);
        }
        slice += 1;
        if slice % SLICE == 0 {
            device.transmit(tx_queue).await;
            tokio::task::yield_now().await;
        }
    }
    device.transmit(tx_queue).await;
    *peers = kept;
}
