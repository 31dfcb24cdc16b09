//! The TUN: the interface of the device as the host sees it.
//!
//! It is persistent, so that link, addresses and routes stay when the process ends. Where the kernel can, packets
//! come and go in pieces of up to 64 kB (`IFF_VNET_HDR` with TSO and USO), which are cut and joined here, and it has a queue for
//! each worker (`IFF_MULTI_QUEUE`): the kernel keeps a connection in one of them.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::uio::writev;
use nix::unistd::read;
use phantom_types::InterfaceName;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::error::DeviceError;

pub(crate) use cut::Large;
pub(crate) use join::Joiner;

mod cut;
mod join;
mod queues;
mod sum;
mod virtio;

/// The most that a read can give: the largest IP packet, with the header of `IFF_VNET_HDR`.
pub(crate) const LARGEST: usize = virtio::LENGTH + 65535;

/// The MTU of a new link: that of an Ethernet less what WireGuard adds, over IPv6 (1500 - 40 - 8 - 32).
pub(crate) const DEFAULT_MTU: u16 = 1420;

/// An open TUN.
pub(crate) struct Tun {
    /// At least one.
    queues: Vec<SyncDevice>,
    name: InterfaceName,
    new: bool,
}

/// A queue of a TUN.
#[derive(Clone, Copy)]
pub(crate) struct Queue<'a> {
    device: &'a SyncDevice,
    /// It is the last worker that reads it.
    pub(crate) reads: bool,
}

/// The link is not there any more.
pub(crate) struct Gone;

fn attach(name: &InterfaceName, offload: bool, queues: usize) -> io::Result<Vec<SyncDevice>> {
    let device = DeviceBuilder::new()
        .name(name.as_str())
        .inherit_enable_state()
        .with(|builder| {
            builder.offload(offload).packet_information(false).multi_queue(queues > 1);
        })
        .build_sync()?;
    device.set_nonblocking(true)?;
    let mut devices = vec![device];
    while devices.len() < queues {
        let queue = devices[0].try_clone()?;
        queue.set_nonblocking(true)?;
        devices.push(queue);
    }
    Ok(devices)
}

/// With as many queues, or as few as it has: a link that is there was made with one or with several.
fn attach_any(name: &InterfaceName, offload: bool, queues: usize) -> io::Result<Vec<SyncDevice>> {
    match attach(name, offload, queues) {
        Err(error) if number(&error) == Errno::EINVAL => {
            // One that was made with several can also be used with two.
            attach(name, offload, if queues > 1 { 1 } else { 2 }).map_err(|_| error)
        }
        result => result,
    }
}

/// Whether asking for less may help: not where the TUN is taken, forbidden or absent.
fn can_be_less(error: &io::Error) -> bool {
    !matches!(
        number(error),
        Errno::EBUSY | Errno::EPERM | Errno::EACCES | Errno::ENOENT | Errno::ENODEV | Errno::ENXIO
    )
}

impl Tun {
    /// The TUN `name`, attached or made, with so many queues if it can have them. With `offload` the kernel is asked for large
    /// packets, if it has them.
    ///
    /// The MTU is set if the link is new, or if `mtu` says what it has to be; whether it is up is left as it is.
    pub(crate) fn open(
        name: &InterfaceName,
        mtu: Option<u16>,
        offload: bool,
        queues: usize,
    ) -> Result<Self, DeviceError> {
        let new = if_nametoindex(name.as_str()).is_err();
        let queues = match attach_any(name, offload, queues) {
            Err(error) if offload && can_be_less(&error) => attach_any(name, false, queues),
            result => result,
        };
        let queues = queues.map_err(|source| match number(&source) {
            Errno::EBUSY => DeviceError::AlreadyRunning { name: name.clone() },
            Errno::EINVAL => DeviceError::NotATun { name: name.clone() },
            _ => DeviceError::Tun { name: name.clone(), source },
        })?;
        // Several may be held by several processes.
        if queues::held(name).is_some_and(|held| held > queues.len()) {
            return Err(DeviceError::AlreadyRunning { name: name.clone() });
        }
        let tun = Self { queues, name: name.clone(), new };
        if let Some(mtu) = mtu.or(new.then_some(DEFAULT_MTU)) {
            let set = tun.first().set_mtu(mtu);
            set.map_err(|source| DeviceError::Tun { name: name.clone(), source })?;
        }
        Ok(tun)
    }

    fn first(&self) -> &SyncDevice {
        &self.queues[0]
    }

    /// Lets the link stay when the process ends. If it has been deleted already, that is for the readers to notice.
    pub(crate) fn persist(&self) -> Result<(), DeviceError> {
        match self.first().persist() {
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
        self.first().tcp_gso()
    }

    /// What joins packets for it.
    pub(crate) fn joiner(&self) -> Joiner {
        Joiner::new(self.offloads(), self.first().udp_gso())
    }

    /// The queue of a worker. Those who have none of their own write to another's.
    pub(crate) fn queue(&self, worker: usize) -> Queue<'_> {
        let reads = worker < self.queues.len();
        Queue { device: &self.queues[if reads { worker } else { 0 }], reads }
    }

    /// The MTU of the link, or `None` if it cannot be told: it may have been moved to another network.
    pub(crate) fn mtu(&self) -> Result<Option<u16>, Gone> {
        match self.first().mtu() {
            Ok(mtu) => Ok(Some(mtu)),
            // The link of this name may be another one by now; whether ours is there, the TUN itself says.
            Err(_) => match self.first().name() {
                Err(error) if is_gone(&error) => Err(Gone),
                _ => Ok(None),
            },
        }
    }
}

impl<'a> Queue<'a> {
    /// To wait for packets.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'a> {
        self.device.as_fd()
    }

    /// Reads a packet, which may be several in one; `None` if there is none, or if the kernel refuses to give any now.
    pub(crate) fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<Read<'b>>, Gone> {
        match read(self.device, buffer) {
            Ok(length) => Ok(Some(Read { bytes: &buffer[..length], has_header: self.device.tcp_gso() })),
            Err(Errno::EBADFD | Errno::EBADF | Errno::ENODEV | Errno::ENXIO) => Err(Gone),
            Err(_) => Ok(None),
        }
    }

    /// Writes a packet, of which the first part is its header for the kernel. What the kernel does not take, because the link is
    /// down for example, is lost.
    pub(crate) fn write(&self, parts: &[IoSlice<'_>]) {
        let parts = if self.device.tcp_gso() { parts } else { &parts[1..] };
        // If the link has gone, the reader hears of it as well.
        let _ = writev(self.device, parts);
    }
}

/// What a read has given.
pub(crate) struct Read<'a> {
    bytes: &'a [u8],
    has_header: bool,
}

impl<'a> Read<'a> {
    /// How many bytes it has.
    pub(crate) const fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The packets in it, if it makes sense.
    pub(crate) fn packets(&self) -> Option<Large<'a>> {
        Large::read(self.bytes, self.has_header)
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(number(error), Errno::EBADFD | Errno::EBADF | Errno::ENODEV | Errno::ENXIO)
}

fn number(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests;
