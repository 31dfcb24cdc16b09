//! The guard of a link: `RTM_*QDISC` and `RTM_*TFILTER` messages (`linux/rtnetlink.h`, `linux/pkt_cls.h`). A `clsact` queueing
//! discipline, which queues nothing, and at each of its two hooks one filter of classic BPF.

mod program;

use netlink_packet_core::DefaultNla;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};

use crate::{HostError, LinkGuard, Result};

/// `TCA_BPF_OPS_LEN`: how many instructions there are.
const TCA_BPF_OPS_LEN: u16 = 4;
/// `TCA_BPF_OPS`: the instructions, each a `struct sock_filter`.
const TCA_BPF_OPS: u16 = 5;
/// All protocols (`ETH_P_ALL` of `linux/if_ether.h`).
const ALL_PROTOCOLS: u16 = 3;
/// Place of our filter among those of its hook: the first.
const PRIORITY: u32 = 1;
/// Number of our filter among those of its place.
const HANDLE: TcHandle = TcHandle { major: 0, minor: 1 };

/// The two ways of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Out of the host.
    Out,
    /// Into it.
    In,
}

impl Direction {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Out, Self::In];

    /// The hook of `clsact`.
    fn parent(self) -> TcHandle {
        let minor = match self {
            Self::Out => TcHandle::MIN_EGRESS,
            Self::In => TcHandle::MIN_INGRESS,
        };
        TcHandle { major: u16::MAX, minor }
    }
}

/// The message that adds `clsact` to the link of this index.
pub(super) fn hooks(index: u32) -> TcMessage {
    let mut message = of_link(index);
    message.header.parent = TcHandle::CLSACT;
    message.header.handle = TcHandle { major: u16::MAX, minor: 0 };
    message.attributes.push(TcAttribute::Kind("clsact".to_owned()));
    message
}

/// The question for the filters at one hook of the link of this index.
pub(super) fn filters(index: u32, way: Direction) -> TcMessage {
    let mut message = of_link(index);
    message.header.parent = way.parent();
    message
}

/// The message that puts the guard's filter at one hook of the link of this index, in the place of the one before.
pub(super) fn filter(index: u32, way: Direction, guard: &LinkGuard) -> Result<TcMessage> {
    let mut message = filters(index, way);
    message.header.handle = HANDLE;
    // The kernel takes the protocol as the network has it.
    message.header.info = PRIORITY << 16 | u32::from(ALL_PROTOCOLS.to_be());
    message.attributes.push(TcAttribute::Kind(TcFilterBpf::KIND.to_owned()));
    message.attributes.push(TcAttribute::Options(options(way, guard)?));
    Ok(message)
}

/// Whether such a message, one of the answers to [`filters`], tells of exactly the guard's filter.
pub(super) fn is_filter(message: &TcMessage, way: Direction, guard: &LinkGuard) -> Result<bool> {
    if message.header.handle != HANDLE || message.header.info >> 16 != PRIORITY {
        return Ok(false);
    }
    let wanted = options(way, guard)?;
    let told = message.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    Ok(told.is_some_and(|told| wanted.iter().all(|option| told.contains(option))))
}

fn of_link(index: u32) -> TcMessage {
    // The kernel counts its links in this type too.
    TcMessage::with_index(index.cast_signed())
}

fn options(way: Direction, guard: &LinkGuard) -> Result<Vec<TcOption>> {
    let program = match way {
        Direction::Out => program::out(&guard.sources),
        Direction::In => program::inward(&guard.destinations),
    };
    let too_long = || HostError::Unsupported { what: "guard a link with so many addresses".to_owned() };
    let program = program.ok_or_else(too_long)?;
    let count = u16::try_from(program.len()).map_err(|_| too_long())?;
    let bytes = program.iter().flat_map(|instruction| instruction.bytes()).collect();
    let raw = |kind, value| TcOption::Bpf(TcFilterBpfOption::Other(DefaultNla::new(kind, value)));
    Ok(vec![
        raw(TCA_BPF_OPS_LEN, count.to_ne_bytes().to_vec()),
        raw(TCA_BPF_OPS, bytes),
        TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
    ])
}
