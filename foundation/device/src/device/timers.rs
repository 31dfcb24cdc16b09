//! What has to happen without a packet: keepalives, new handshakes, the end of sessions.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::memory::{self, Reclaimer};
use super::outbox::Outbox;
use super::peer::Peer;
use super::{Device, tunnel};
use crate::tun::Gone;

/// How often timers are looked at. The protocol counts in seconds.
const TICK: Duration = Duration::from_millis(500);
/// How often the TUN is looked at: whether it is there, and its MTU.
const TUN: Duration = Duration::from_secs(1);
/// How often memory of indices is given back.
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
    let mut outbox = Outbox::default();
    let mut reclaimer = Reclaimer::default();
    loop {
        let now = ticks.tick().await;
        device.table.staged.expire(now.into_std());
        look(&device, &mut peers, &mut outbox).await;
        if now.duration_since(seen) >= TUN {
            seen = now;
            match device.tun.mtu() {
                Ok(Some(mtu)) => device.table.set_mtu(mtu),
                Ok(None) => {}
                Err(gone) => return gone,
            }
        }
        if now.duration_since(swept) >= SWEEP {
            swept = now;
            device.table.indices.shrink();
        }
        if reclaimer.is_due(device.table.staged.usage(), device.table.freed.was_said()) {
            tokio::task::spawn_blocking(memory::give_back);
        }
    }
}

async fn look(device: &Device, peers: &mut Vec<Arc<Peer>>, outbox: &mut Outbox) {
    peers.append(&mut device.table.take_woken());
    let mut kept = Vec::with_capacity(peers.len());
    let (mut slice, now) = (0, std::time::Instant::now());
    for peer in peers.drain(..) {
        if tunnel::tick(&device.table, &peer, now, outbox) {
            kept.push(peer);
        }
        slice += 1;
        if slice % SLICE == 0 {
            device.transmit(outbox);
            tokio::task::yield_now().await;
        }
    }
    device.transmit(outbox);
    *peers = kept;
}
