//! From the network to the TUN.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gotatun::packet::Packet;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::handshakes::HandshakeQueue;
use super::memory::{LANES, Reservation};
use super::peer::Peer;
use super::table::PeerTable;
use super::tx_queue::{PeerEndpoint, TxQueue};
use super::{Device, PACKET, ip, read, tunnel};
use crate::cookie::HandshakeMessage;
use crate::tun::Writer;
use crate::udp::{Receiver, Socket};

/// How many jobs may wait before a lane: as many as there is room for, if each is a packet.
const QUEUE: usize = LANES / PACKET;
/// How many packets a job has at most: a sixteenth of those that there is room for in all lanes.
const JOB: usize = 128;
/// How many jobs a lane takes at once.
const BATCH: usize = 16;
/// How long to wait after the network has refused to give packets, so that a lasting error is no busy loop.
const PAUSE: Duration = Duration::from_millis(20);

/// Type of a data message, in its first byte, and how long one is at least (WireGuard's paper, 5.4.6).
const DATA: u8 = 4;
const DATA_MIN: usize = 32;
/// How long buffers are kept without a packet: that of the receiver, and those of a lane's writer. They grow with what the
/// kernel gives and is given at once.
const IDLE: Duration = Duration::from_secs(10);

/// Packets of one session that have come from one place.
pub(crate) struct Job {
    peer: Arc<Peer>,
    from: PeerEndpoint,
    index: u32,
    packets: Vec<Packet>,
    room: Option<Reservation>,
}

/// The ends of the lanes at which packets are put in, and that of the handshakes.
pub(crate) struct Lanes {
    data: Vec<mpsc::Sender<Job>>,
    handshakes: HandshakeQueue,
}

/// Makes the lanes: the ends to put in and, one for each lane, those to take out.
pub(crate) fn lanes(count: usize, handshakes: HandshakeQueue) -> (Lanes, Vec<mpsc::Receiver<Job>>) {
    let (data, receivers) = (0..count).map(|_| mpsc::channel(QUEUE)).unzip();
    (Lanes { data, handshakes }, receivers)
}

/// Reads the UDP socket, and the next one when the port changes, and puts packets into the lane of the peer whose
/// session they name.
pub(crate) async fn distribute(device: Arc<Device>, mut lanes: Lanes) {
    let mut sockets = device.socket.subscribe();
    let mut receiver = Receiver::default();
    let mut jobs = Vec::new();
    loop {
        let socket = sockets.borrow_and_update().clone();
        let Some(socket) = next(&mut sockets, socket).await else { continue };
        tokio::select! {
            biased;
            result = socket.receive(&mut receiver) => if let Err(error) = result {
                device.log().line(format_args!("cannot receive: {error}"));
                sleep(PAUSE).await;
                continue;
            },
            changed = sockets.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            () = sleep(IDLE), if receiver.is_used() => {
                receiver = Receiver::default();
                device.table.freed.say();
                continue;
            }
        }
        sort(&device, &receiver, &mut lanes.handshakes, &mut jobs);
        for mut job in jobs.drain(..) {
            let Some(place) = device.inbound.find(&job.peer, &mut job.packets).await else { continue };
            job.room = Some(place);
            // A lane that has ended ends the device, so nobody is left to miss the packets.
            let _ = lanes.data[job.peer.lane].try_send(job);
        }
    }
}

/// Waits for another socket while there is none.
async fn next(
    sockets: &mut watch::Receiver<Option<Arc<Socket>>>,
    socket: Option<Arc<Socket>>,
) -> Option<Arc<Socket>> {
    if socket.is_none() {
        // The sender lives as long as the device, which the caller holds.
        let _ = sockets.changed().await;
    }
    socket
}

/// Makes jobs of datagrams: one for each run of datagrams of the same session from the same place. Handshakes have
/// queues of their own. What is no message of WireGuard is dropped.
fn sort(device: &Device, receiver: &Receiver, handshakes: &mut HandshakeQueue, jobs: &mut Vec<Job>) {
    let (identity, now) = (device.table.identity(), Instant::now());
    let sessions = read(&device.table.sessions);
    for (datagram, from) in receiver.datagrams() {
        match datagram {
            [DATA, _, _, _, a, b, c, d, ..] if datagram.len() >= DATA_MIN => {
                let index = u32::from_le_bytes([*a, *b, *c, *d]);
                job(&sessions, jobs, index, from, || copy(device, datagram));
            }
            _ => {
                if let (Some(message), Some(identity)) = (HandshakeMessage::read(datagram), &identity) {
                    let is_ours = |index| sessions.contains_key(&index);
                    handshakes.receive(identity, is_ours, &message, from, now);
                }
            }
        }
    }
}

fn job(
    sessions: &HashMap<u32, Arc<Peer>>,
    jobs: &mut Vec<Job>,
    index: u32,
    from: PeerEndpoint,
    packet: impl FnOnce() -> Packet,
) {
    match jobs.last_mut() {
        Some(job) if job.index == index && job.from == from && job.packets.len() < JOB => {
            job.packets.push(packet());
        }
        _ => {
            let Some(peer) = sessions.get(&index) else { return };
            jobs.push(Job { peer: Arc::clone(peer), from, index, packets: vec![packet()], room: None });
        }
    }
}

fn copy(device: &Device, datagram: &[u8]) -> Packet {
    let mut packet = device.pool.get();
    packet.buf_mut().clear();
    packet.buf_mut().extend_from_slice(datagram);
    packet
}

/// Opens what comes along one lane and writes it to the TUN.
pub(crate) async fn carry(device: Arc<Device>, mut lane: mpsc::Receiver<Job>) {
    let mut mtu = device.mtu();
    let mut writer = Writer::default();
    let mut tx_queue = TxQueue::default();
    let (mut jobs, mut rooms) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    let (mut opened, mut packets) = (Vec::new(), Vec::new());
    while next_jobs(&device, &mut lane, &mut jobs, &mut writer).await > 0 {
        for job in jobs.drain(..) {
            tunnel::open(
                &device.table,
                &job.peer,
                job.packets,
                job.from,
                &mut mtu,
                &mut opened,
                &mut tx_queue,
            );
            admit(&device.table, &job.peer, &mut opened, &mut packets);
            rooms.push(job.room);
        }
        device.tun.write(&mut writer, &mut packets).await;
        device.transmit(&mut tx_queue).await;
        rooms.clear();
    }
}

/// Waits for jobs, and drops what the writer holds when none come for long. Returns their number, 0 at the end.
async fn next_jobs(
    device: &Device,
    lane: &mut mpsc::Receiver<Job>,
    jobs: &mut Vec<Job>,
    writer: &mut Writer,
) -> usize {
    if writer.is_used() {
        if let Ok(count) = timeout(IDLE, lane.recv_many(jobs, BATCH)).await {
            return count;
        }
        *writer = Writer::default();
        device.table.freed.say();
    }
    lane.recv_many(jobs, BATCH).await
}

/// Lets those packets pass whose source belongs to the peer that sent them, and cuts off their padding.
pub(crate) fn admit(
    table: &PeerTable,
    peer: &Arc<Peer>,
    opened: &mut Vec<Packet>,
    packets: &mut Vec<Packet>,
) {
    let routes = read(&table.routes);
    let mut last: Option<IpAddr> = None;
    for mut packet in opened.drain(..) {
        let (Some(length), Some(address)) = (ip::length(&packet), ip::source(&packet)) else { continue };
        if last != Some(address) {
            if !routes.owner(address).is_some_and(|owner| Arc::ptr_eq(owner, peer)) {
                continue;
            }
            last = Some(address);
        }
        packet.truncate(length);
        packets.push(packet);
    }
}
