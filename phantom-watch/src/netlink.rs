//! Two netlink sockets of a family: one that is told of changes, one that asks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::time::Duration;

use netlink_packet_core::{NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN, NetlinkBuffer};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{MsgFlags, setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;

/// Room for one datagram. The kernel fills at most 32 KiB at a time (`netlink_recvmsg`, `max_recvmsg_len`).
const ROOM: usize = 64 * 1024;
/// How long the kernel has for one answer. It answers within the system call that asks, unless the answer gets lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often something is asked again that changed while it was being listed.
const ATTEMPTS: u32 = 4;
/// Length of the netlink header (`struct nlmsghdr`).
pub(crate) const HEADER: usize = 16;

/// Is told of changes.
pub(crate) struct Ear {
    protocol: isize,
    groups: Vec<u32>,
    socket: Socket,
}

impl Ear {
    pub(crate) fn open(protocol: isize, groups: &[u32]) -> io::Result<Self> {
        Ok(Self { protocol, groups: groups.to_vec(), socket: listen(protocol, groups)? })
    }

    /// Forgets everything that was said. What has come since the last time is read and thrown away, as long as it is not
    /// much; where it is, a new socket costs less.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        let mut room = vec![0_u8; 256];
        for _ in 0..64 {
            // A datagram that is longer than the room is cut, and gone all the same.
            match self.socket.recv(&mut &mut room[..], 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Some of it got lost (`ENOBUFS`), and it was to be forgotten anyway.
                Err(_) => break,
            }
        }
        self.socket = listen(self.protocol, &self.groups)?;
        Ok(())
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn listen(protocol: isize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    for group in groups {
        socket.add_membership(*group)?;
    }
    socket.set_non_blocking(true)?;
    Ok(socket)
}

/// Asks.
pub(crate) struct Mouth {
    socket: Socket,
    sequence: u32,
    room: Vec<u8>,
}

impl Mouth {
    pub(crate) fn open(protocol: isize) -> io::Result<Self> {
        let socket = Socket::new(protocol)?;
        // Without it the kernel lists what was not asked for; those before 4.20 do not know it.
        let _ = socket.set_netlink_get_strict_chk(true);
        let limit = TimeVal::new(PATIENCE.as_secs().cast_signed(), 0);
        setsockopt(&socket, ReceiveTimeout, &limit)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0, room: vec![0; ROOM] })
    }

    /// Sends a request of one message, whose bytes begin with room for the header, and hands the whole messages of the answer
    /// to `each`: message type, payload, and the message with its header. A list that changed meanwhile is asked for
    /// again, and `each` is told so by an empty message.
    pub(crate) fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        message: &mut [u8],
        each: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            each(&[]);
            self.sequence = self.sequence.wrapping_add(1);
            let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            let mut head = NetlinkBuffer::new(&mut message[..HEADER]);
            head.set_length(length);
            head.set_message_type(kind);
            head.set_flags(flags);
            head.set_sequence_number(self.sequence);
            head.set_port_number(0);
            self.socket.send(message, 0)?;
            if self.answer(flags, each)? {
                return Ok(());
            }
        }
        Err(io::Error::other("it changed with every attempt to list it"))
    }

    /// Reads an answer to its end; says whether it is whole.
    fn answer(&mut self, flags: u16, each: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        let list = flags & netlink_packet_core::NLM_F_DUMP == netlink_packet_core::NLM_F_DUMP;
        let mut whole = true;
        loop {
            let length = self.socket.recv(&mut &mut self.room[..], MsgFlags::empty().bits() as RawFd)?;
            let mut rest = &self.room[..length];
            while !rest.is_empty() {
                let message = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
                let size = message.length() as usize;
                if message.sequence_number() == self.sequence {
                    whole &= message.flags() & NLM_F_DUMP_INTR == 0;
                    match message.message_type() {
                        NLMSG_DONE => return Ok(whole),
                        NLMSG_OVERRUN => return Ok(false),
                        NLMSG_ERROR => return error_of(message.payload()).map_or(Ok(whole), Err),
                        _ => each(&rest[..size]),
                    }
                    if !list {
                        return Ok(whole);
                    }
                }
                rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

/// The error of an error message; none where it is an acknowledgement.
fn error_of(payload: &[u8]) -> Option<io::Error> {
    let code = payload.first_chunk().map_or(-1, |bytes| i32::from_ne_bytes(*bytes));
    (code != 0).then(|| io::Error::from_raw_os_error(code.saturating_neg()))
}
