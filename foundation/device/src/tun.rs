//! The TUN: the interface of the device as the host sees it.
//!
//! It is persistent, so that link, addresses and routes stay when the process ends. Where the kernel can, packets
//! come and go in pieces of up to 64 kB (`IFF_VNET_HDR` with TSO and USO) which tun-rs cuts and joins.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use gotatun::packet::{Packet, PacketBufPool};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use phantom_types::InterfaceName;
use tun_rs::{AsyncDevice, DeviceBuilder, GROTable, IDEAL_BATCH_SIZE, VIRTIO_NET_HDR_LEN};

use crate::device::PACKET;
use crate::error::DeviceError;

/// The most that a read can give: the largest IP packet.
const LARGEST: usize = 65535;
/// Room in front of a packet that is written: for the header of `IFF_VNET_HDR`, which tun-rs fills in.
const HEAD: usize = VIRTIO_NET_HDR_LEN;
/// How many packets are enough to begin with; a large piece gives up to 128 at once.
const ENOUGH: usize = 64;
/// How many packets are written at once: more than join to one large piece, and each takes a buffer for one.
const WRITTEN: usize = 64;
/// How long to wait after the kernel has refused to give packets, so that a lasting error is no busy loop.
const PAUSE: Duration = Duration::from_millis(20);

/// The MTU of a new link: that of an Ethernet less what WireGuard adds, over IPv6 (1500 - 40 - 8 - 32).
pub(crate) const DEFAULT_MTU: u16 = 1420;

/// An open TUN.
pub(crate) struct Tun {
    device: AsyncDevice,
    name: InterfaceName,
    new: bool,
}

/// The link is not there any more.
pub(crate) struct Gone;

fn attach(name: &InterfaceName, offload: bool) -> io::Result<AsyncDevice> {
    DeviceBuilder::new()
        .name(name.as_str())
        .inherit_enable_state()
        .with(|builder| {
            builder.offload(offload).packet_information(false);
        })
        .build_async()
}

/// Whether asking for less may help: not where the TUN is taken, forbidden or absent.
fn can_be_less(error: &io::Error) -> bool {
    !matches!(
        number(error),
        Errno::EBUSY | Errno::EPERM | Errno::EACCES | Errno::ENOENT | Errno::ENODEV | Errno::ENXIO
    )
}

impl Tun {
    /// The TUN `name`, attached or made. With `offload` the kernel is asked for large packets, if it has them.
    ///
    /// The MTU is set if the link is new, or if `mtu` says what it has to be; whether it is up is left as it is.
    pub(crate) fn open(name: &InterfaceName, mtu: Option<u16>, offload: bool) -> Result<Self, DeviceError> {
        let new = if_nametoindex(name.as_str()).is_err();
        let device = match attach(name, offload) {
            Err(error) if offload && can_be_less(&error) => attach(name, false),
            result => result,
        };
        let device = device.map_err(|source| match number(&source) {
            Errno::EBUSY => DeviceError::AlreadyRunning { name: name.clone() },
            Errno::EINVAL => DeviceError::NotATun { name: name.clone() },
            _ => DeviceError::Tun { name: name.clone(), source },
        })?;
        if let Some(mtu) = mtu.or(new.then_some(DEFAULT_MTU)) {
            device.set_mtu(mtu).map_err(|source| DeviceError::Tun { name: name.clone(), source })?;
        }
        Ok(Self { device, name: name.clone(), new })
    }

    /// Lets the link stay when the process ends. If it has been deleted already, that is for the readers to notice.
    pub(crate) fn persist(&self) -> Result<(), DeviceError> {
        match self.device.persist() {
            Err(source) if !is_gone(&source) => Err(DeviceError::Tun { name: self.name.clone(), source }),
            _ => Ok(()),
        }
    }

    /// Where the link comes from, in words.
    pub(crate) const fn origin(&self) -> &'static str {
        if self.new { "link made" } else { "link attached" }
    }

    /// Whether packets come and go in large pieces.
    pub(crate) fn offloads(&self) -> bool {
        self.device.tcp_gso()
    }

    /// The MTU of the link, or `None` if it cannot be told: it may have been moved to another network.
    pub(crate) fn mtu(&self) -> Result<Option<u16>, Gone> {
        match self.device.mtu() {
            Ok(mtu) => Ok(Some(mtu)),
            // The link of this name may be another one by now; whether ours is there, the TUN itself says.
            Err(_) => match self.device.name() {
                Err(error) if is_gone(&error) => Err(Gone),
                _ => Ok(None),
            },
        }
    }

    /// Waits for packets and appends them to `packets`: those that are there, up to about [`ENOUGH`], none longer than
    /// `mtu`.
    pub(crate) async fn read(
        &self,
        reader: &mut Reader,
        pool: &PacketBufPool<PACKET>,
        mtu: u16,
        packets: &mut Vec<Packet>,
    ) -> Result<(), Gone> {
        reader.fill(pool, mtu.into());
        let Reader { raw, pieces, lengths } = reader;
        let mut result = self.device.recv_multiple(raw, pieces, lengths, 0).await;
        loop {
            match result {
                Ok(count) => reader.take(count, packets),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_gone(&error) => return Err(Gone),
                // Without a number it is not the kernel that complains: this packet cannot be cut, the next one may.
                Err(error) if error.raw_os_error().is_none() => {}
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    return Ok(());
                }
            }
            if packets.len() >= ENOUGH {
                return Ok(());
            }
            reader.fill(pool, mtu.into());
            let Reader { raw, pieces, lengths } = reader;
            result = self.device.try_recv_multiple(raw, pieces, lengths, 0);
        }
    }

    /// Writes packets, joining those that follow each other in a connection. What the kernel does not take, because
    /// the link is down for example, is lost.
    pub(crate) async fn write(&self, writer: &mut Writer, packets: &mut Vec<Packet>) {
        while !packets.is_empty() {
            let count = packets.len().min(WRITTEN);
            while writer.buffers.len() < count {
                writer.buffers.push(BytesMut::with_capacity(HEAD + LARGEST));
            }
            for (buffer, packet) in writer.buffers.iter_mut().zip(packets.drain(..count)) {
                buffer.clear();
                buffer.resize(HEAD, 0);
                buffer.extend_from_slice(&packet);
            }
            // If the link has gone, the reader hears of it as well.
            let _ = self.device.send_multiple(&mut writer.joined, &mut writer.buffers[..count], HEAD).await;
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(number(error), Errno::EBADFD | Errno::EBADF | Errno::ENODEV | Errno::ENXIO)
}

fn number(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Buffers of one that reads.
pub(crate) struct Reader {
    raw: Vec<u8>,
    pieces: Vec<Piece>,
    lengths: [usize; IDEAL_BATCH_SIZE],
}

impl Default for Reader {
    fn default() -> Self {
        Self { raw: vec![0; HEAD + LARGEST], pieces: Vec::new(), lengths: [0; IDEAL_BATCH_SIZE] }
    }
}

impl Reader {
    fn take(&mut self, count: usize, packets: &mut Vec<Packet>) {
        packets.extend(self.pieces.drain(..count).zip(&self.lengths).map(|(Piece(mut packet), length)| {
            packet.truncate(*length);
            packet
        }));
    }

    fn fill(&mut self, pool: &PacketBufPool<PACKET>, mtu: usize) {
        for Piece(packet) in &mut self.pieces {
            if packet.len() < mtu {
                packet.buf_mut().resize(mtu, 0);
            }
        }
        while self.pieces.len() < IDEAL_BATCH_SIZE {
            let mut packet = pool.get();
            if packet.len() < mtu {
                packet.buf_mut().resize(mtu, 0);
            }
            self.pieces.push(Piece(packet));
        }
    }
}

/// Buffers of one that writes. Only those parts that are used take memory.
#[derive(Default)]
pub(crate) struct Writer {
    joined: GROTable,
    buffers: Vec<BytesMut>,
}

impl Writer {
    /// Whether it holds buffers.
    pub(crate) const fn is_used(&self) -> bool {
        !self.buffers.is_empty()
    }
}

struct Piece(Packet);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Piece {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
