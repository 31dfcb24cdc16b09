//! From the TUN to the network.

use std::net::IpAddr;
use std::sync::Arc;

use gotatun::packet::Packet;
use tokio::sync::mpsc;

use super::memory::{LANES, Reservation};
use super::peer::Peer;
use super::tx_queue::TxQueue;
use super::{Device, PACKET, ip, read, tunnel};
use crate::tun::{Gone, Reader};

/// How many jobs may wait before a lane: as many as there is room for, if each is a packet. What one read gives is less than 200
/// packets.
const QUEUE: usize = LANES / PACKET;
/// How many jobs a lane takes at once.
const BATCH: usize = 16;

/// Packets of one peer that go out.
pub(crate) struct Job {
    peer: Arc<Peer>,
    packets: Vec<Packet>,
    room: Option<Reservation>,
}

/// The ends of the lanes at which packets are put in.
pub(crate) struct Lanes(Vec<mpsc::Sender<Job>>);

/// Makes the lanes: the ends to put in and, one for each lane, those to take out.
pub(crate) fn lanes(count: usize) -> (Lanes, Vec<mpsc::Receiver<Job>>) {
    let (senders, receivers) = (0..count).map(|_| mpsc::channel(QUEUE)).unzip();
    (Lanes(senders), receivers)
}

/// Reads the TUN and puts packets into the lane of the peer they are for, until the TUN is gone.
pub(crate) async fn distribute(device: Arc<Device>, lanes: Lanes) -> Gone {
    let mut reader = Reader::default();
    let mut packets = Vec::new();
    let mut jobs = Vec::new();
    loop {
        let mtu = *device.mtu.borrow();
        if let Err(gone) = device.tun.read(&mut reader, &device.pool, mtu, &mut packets).await {
            return gone;
        }
        sort(&device, &mut packets, &mut jobs);
        for mut job in jobs.drain(..) {
            let Some(place) = device.outbound.find(&job.peer, &mut job.packets).await else { continue };
            job.room = Some(place);
            // A lane that has ended ends the device, so nobody is left to miss the packets.
            let _ = lanes.0[job.peer.lane].try_send(job);
        }
    }
}

/// Makes jobs of packets: one for each run of packets to the same peer. Packets that are nobody's are dropped.
fn sort(device: &Device, packets: &mut Vec<Packet>, jobs: &mut Vec<Job>) {
    let routes = read(&device.table.routes);
    let mut last: Option<IpAddr> = None;
    for packet in packets.drain(..) {
        let Some(address) = ip::destination(&packet) else { continue };
        if last == Some(address)
            && let Some(job) = jobs.last_mut()
        {
            job.packets.push(packet);
            continue;
        }
        let Some(peer) = routes.owner(address) else { continue };
        last = Some(address);
        match jobs.last_mut() {
            Some(job) if Arc::ptr_eq(&job.peer, peer) => job.packets.push(packet),
            _ => jobs.push(Job { peer: Arc::clone(peer), packets: vec![packet], room: None }),
        }
    }
}

/// Seals and sends what comes along one lane.
pub(crate) async fn carry(device: Arc<Device>, mut lane: mpsc::Receiver<Job>) {
    let mut mtu = device.mtu();
    let mut tx_queue = TxQueue::default();
    let (mut jobs, mut rooms) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    while lane.recv_many(&mut jobs, BATCH).await > 0 {
        for job in jobs.drain(..) {
            tunnel::seal(&device.table, &job.peer, job.packets, &mut mtu, &mut tx_queue);
            rooms.push(job.room);
        }
        device.transmit(&mut tx_queue).await;
        rooms.clear();
    }
}
