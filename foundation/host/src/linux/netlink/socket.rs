//! A blocking netlink socket: a request, then its acknowledgement or all parts of its dump.

use netlink_packet_core::{
    Emitable as _, ErrorBuffer, ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST,
    NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer, NetlinkHeader, Parseable as _,
};
use netlink_sys::SocketAddr;
use nix::sys::socket::{MsgFlags, setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;
use zeroize::{Zeroize as _, Zeroizing};

use super::{ANSWER_LIMIT, DUMP_ATTEMPTS, NetlinkFault};

/// Room for one datagram. The kernel fills at most 32 KiB at a time (`netlink_recvmsg`, `max_recvmsg_len`).
const RECEIVE_BYTES: usize = 64 * 1024;
/// Length of the netlink header (`struct nlmsghdr`).
const HEADER_BYTES: usize = 16;

/// A request with room for its header in front. Wiped when dropped: it may hold keys.
pub(crate) struct Request {
    bytes: Zeroizing<Vec<u8>>,
}

impl Request {
    /// A request of this message type with `payload` bytes, which `fill` writes.
    pub(crate) fn new(message_type: u16, payload: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new(vec![0; HEADER_BYTES + payload]);
        fill(&mut bytes[HEADER_BYTES..]);
        let mut header = NetlinkHeader::default();
        header.message_type = message_type;
        header.emit(&mut bytes[..HEADER_BYTES]);
        Self { bytes }
    }

    /// The bytes behind the header.
    #[cfg(test)]
    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    fn address(&mut self, flags: u16, sequence: u32) -> Result<(), NetlinkFault> {
        let length = u32::try_from(self.bytes.len())
            .map_err(|_| NetlinkFault::Garbled("request too long".to_owned()))?;
        let mut buffer = NetlinkBuffer::new(&mut self.bytes[..HEADER_BYTES]);
        buffer.set_length(length);
        buffer.set_flags(flags);
        buffer.set_sequence_number(sequence);
        Ok(())
    }
}

/// A netlink socket of one protocol family, connected to the kernel, in the network namespace of the thread that
/// opened it.
pub(crate) struct Socket {
    protocol: isize,
    kernel: netlink_sys::Socket,
    sequence: u32,
    buffer: Vec<u8>,
    /// How much of the buffer was ever used.
    used: usize,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.buffer[..self.used].zeroize();
    }
}

impl Socket {
    /// Opens a socket; `protocol` as in `NETLINK_GENERIC`.
    pub(crate) fn open(protocol: isize) -> Result<Self, NetlinkFault> {
        Ok(Self {
            protocol,
            kernel: connect(protocol)?,
            sequence: 0,
            buffer: vec![0; RECEIVE_BYTES],
            used: 0,
        })
    }

    /// Sends a request and waits until the kernel has done it. Lost answers are asked for again: only requests that
    /// may be carried out twice belong here.
    pub(crate) fn change(&mut self, request: &mut Request) -> Result<(), NetlinkFault> {
        self.again(|socket| {
            socket.send(request, NLM_F_REQUEST | NLM_F_ACK)?;
            socket.receive(&mut |_| Ok(())).map(|_| Some(()))
        })
    }

    /// Sends a request for one object and hands the payload of the answer to `add`.
    pub(crate) fn ask<T>(
        &mut self,
        request: &mut Request,
        read: impl Fn(&[u8]) -> Result<T, NetlinkFault>,
    ) -> Result<T, NetlinkFault> {
        self.again(|socket| {
            let mut found = None;
            // The acknowledgement comes behind the answer.
            socket.send(request, NLM_F_REQUEST | NLM_F_ACK)?;
            socket.receive(&mut |payload| {
                found = Some(read(payload)?);
                Ok(())
            })?;
            Ok(found)
        })
    }

    /// Sends a dump request and collects all its parts: `start` makes an empty collection for each attempt, `add`
    /// puts the payload of one message into it.
    pub(crate) fn dump<T>(
        &mut self,
        request: &mut Request,
        start: impl Fn() -> T,
        add: impl Fn(&mut T, &[u8]) -> Result<(), NetlinkFault>,
    ) -> Result<T, NetlinkFault> {
        self.again(|socket| {
            let mut collection = start();
            socket.send(request, NLM_F_REQUEST | NLM_F_DUMP)?;
            let interrupted = socket.receive(&mut |payload| add(&mut collection, payload))?;
            Ok((!interrupted).then_some(collection))
        })
    }

    /// Repeats `attempt` on a fresh socket as long as answers are lost, and on the same one as long as it gives nothing.
    pub(super) fn again<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, NetlinkFault>,
    ) -> Result<T, NetlinkFault> {
        let mut last = NetlinkFault::Unsteady;
        for _ in 0..DUMP_ATTEMPTS {
            match attempt(self) {
                Ok(Some(result)) => return Ok(result),
                Ok(None) => last = NetlinkFault::Unsteady,
                Err(NetlinkFault::Overrun) => {
                    self.kernel = connect(self.protocol)?;
                    last = NetlinkFault::Overrun;
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(last)
    }

    fn send(&mut self, request: &mut Request, flags: u16) -> Result<(), NetlinkFault> {
        self.sequence = self.sequence.wrapping_add(1);
        request.address(flags, self.sequence)?;
        let sent = self.kernel.send(&request.bytes, 0)?;
        if sent == request.bytes.len() {
            Ok(())
        } else {
            Err(NetlinkFault::Garbled("the request was cut".to_owned()))
        }
    }

    /// Reads datagrams to the end of the answer; says whether the dump was interrupted by a change. A message that
    /// `add` refuses ends the reading of its content, not that of the answer, so that the socket stays in step.
    fn receive(
        &mut self,
        add: &mut dyn FnMut(&[u8]) -> Result<(), NetlinkFault>,
    ) -> Result<bool, NetlinkFault> {
        let mut interrupted = false;
        let mut refused = None;
        loop {
            let length = self.datagram()?;
            let mut add_unless_refused = |payload: &[u8]| match &refused {
                None => {
                    refused = add(payload).err();
                    Ok(())
                }
                Some(_) => Ok(()),
            };
            let progress = take(&self.buffer[..length], Some(self.sequence), &mut add_unless_refused)?;
            interrupted |= progress.interrupted;
            if progress.ended {
                return refused.map_or(Ok(interrupted), Err);
            }
        }
    }

    fn datagram(&mut self) -> Result<usize, NetlinkFault> {
        loop {
            let mut room: &mut [u8] = &mut self.buffer;
            match self.kernel.recv(&mut room, MsgFlags::MSG_TRUNC.bits()) {
                Ok(length) if length <= RECEIVE_BYTES => {
                    self.used = self.used.max(length);
                    return Ok(length);
                }
                Ok(length) => return Err(NetlinkFault::Garbled(format!("a datagram of {length} bytes"))),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn connect(protocol: isize) -> Result<netlink_sys::Socket, NetlinkFault> {
    let socket = netlink_sys::Socket::new(protocol)?;
    // Without it an error would come back with the whole request in it, keys included.
    socket.set_cap_ack(true)?;
    let limit = TimeVal::new(ANSWER_LIMIT.as_secs().cast_signed(), 0);
    setsockopt(&socket, ReceiveTimeout, &limit).map_err(|errno| NetlinkFault::Io(errno.into()))?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// What the messages of a datagram have brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The answer is complete.
    pub(crate) ended: bool,
    /// The objects changed while they were being listed.
    pub(crate) interrupted: bool,
}

/// Takes the messages of one datagram apart and hands their payloads to `add`. With a `sequence`, messages of other
/// requests are passed over. An error that the kernel reports is the result, wherever it stands.
pub(crate) fn take(
    mut datagram: &[u8],
    sequence: Option<u32>,
    add: &mut dyn FnMut(&[u8]) -> Result<(), NetlinkFault>,
) -> Result<Progress, NetlinkFault> {
    let mut progress = Progress::default();
    while !datagram.is_empty() {
        let message = NetlinkBuffer::new_checked(datagram)?;
        let length = message.length() as usize;
        if sequence.is_none_or(|wanted| wanted == message.sequence_number()) {
            progress.interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
            let payload = message.payload();
            match message.message_type() {
                NLMSG_NOOP => {}
                NLMSG_OVERRUN => return Err(NetlinkFault::Overrun),
                NLMSG_DONE => {
                    // A dump that failed on the way says so in its end; older kernels send no code there.
                    if let Some(code) = payload.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
                        && code < 0
                    {
                        return Err(NetlinkFault::errno(code));
                    }
                    progress.ended = true;
                }
                NLMSG_ERROR => {
                    let error = ErrorMessage::parse(&ErrorBuffer::new_checked(&payload)?)?;
                    if let Some(fault) = NetlinkFault::from_message(&error) {
                        return Err(fault);
                    }
                    progress.ended = true;
                }
                _ => add(payload)?,
            }
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(progress)
}
