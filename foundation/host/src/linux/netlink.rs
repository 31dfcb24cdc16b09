//! Netlink: what the kernel's configuration interfaces have in common.
//!
//! Two ways to the kernel live here. [`RouteSocket`] is rtnetlink's connection on a small runtime of its own, for
//! links, addresses, routes and rules. [`Socket`] is a plain blocking socket for generic netlink: WireGuard's
//! messages carry private keys, and a connection that writes every message to the trace log is no place for them.

mod route;
mod socket;

use std::io;
use std::time::Duration;

use netlink_packet_core::{DecodeError, ErrorMessage};

use crate::HostError;

pub(crate) use route::{Changing, RouteSocket};
pub(crate) use socket::{Request, Socket, take};

/// `ENOENT`: no such table, no such family.
pub(crate) const ENOENT: i32 = 2;
/// `ESRCH`: no such route.
pub(crate) const ESRCH: i32 = 3;
/// `EEXIST`: there is one already.
pub(crate) const EEXIST: i32 = 17;
/// `ENODEV`: no such link.
pub(crate) const ENODEV: i32 = 19;
/// `EOPNOTSUPP`: the kernel does not know this kind of object.
pub(crate) const EOPNOTSUPP: i32 = 95;
/// `EAFNOSUPPORT`: the kernel runs without this address family.
pub(crate) const EAFNOSUPPORT: i32 = 97;
/// `EADDRNOTAVAIL`: no such address.
pub(crate) const EADDRNOTAVAIL: i32 = 99;
/// `ENOBUFS`: replies were lost, because nobody read them in time.
const ENOBUFS: i32 = 105;

/// How long the kernel has for one answer. It answers within the system call that asks; only a lost answer takes
/// longer, and that must not hang the program.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How often a dump is begun again when the objects changed while they were being listed.
const DUMP_ATTEMPTS: usize = 10;

/// Why a netlink exchange gave nothing.
#[derive(Debug)]
pub(crate) enum NetlinkFault {
    /// The kernel refused, with this error number (positive).
    Refused(i32),
    /// Replies were lost (`ENOBUFS`). Asking again is the cure.
    Overrun,
    /// The objects changed with every attempt to list them.
    Unsteady,
    /// No answer within [`ANSWER_LIMIT`].
    Silent,
    /// The answer was not understood.
    Garbled(String),
    /// The socket failed.
    Io(io::Error),
}

impl NetlinkFault {
    /// The fault that an error message of the kernel stands for; `None` when it is an acknowledgement.
    pub(crate) fn from_message(message: &ErrorMessage) -> Option<Self> {
        message.code.map(|code| Self::errno(code.get()))
    }

    /// The fault of an error number with either sign.
    pub(crate) fn errno(code: i32) -> Self {
        match code.saturating_abs() {
            ENOBUFS => Self::Overrun,
            number => Self::Refused(number),
        }
    }

    /// The error to hand on; `what` names what was asked, as in `adding 10.8.0.1/24 to wg_main`.
    pub(crate) fn into_error(self, what: impl Into<String>) -> HostError {
        let what = what.into();
        match self {
            Self::Refused(number) => HostError::Kernel { what, source: io::Error::from_raw_os_error(number) },
            Self::Overrun => HostError::Kernel { what, source: io::Error::from_raw_os_error(ENOBUFS) },
            Self::Unsteady => {
                HostError::unexpected(format!("{what}: it kept changing while it was being read"))
            }
            Self::Silent => HostError::Timeout { argv: vec![what], seconds: ANSWER_LIMIT.as_secs() },
            Self::Garbled(why) => {
                HostError::unexpected(format!("{what}: the kernel's answer was not understood: {why}"))
            }
            Self::Io(source) => HostError::io(what, source),
        }
    }
}

impl From<io::Error> for NetlinkFault {
    fn from(error: io::Error) -> Self {
        match (error.raw_os_error(), error.kind()) {
            (Some(ENOBUFS), _) => Self::Overrun,
            (_, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Self::Silent,
            _ => Self::Io(error),
        }
    }
}

impl From<DecodeError> for NetlinkFault {
    fn from(error: DecodeError) -> Self {
        Self::Garbled(error.to_string())
    }
}

#[cfg(test)]
pub(crate) mod tests;
