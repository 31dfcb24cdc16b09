//! How a tunnel behaves, what it counts and how it ends.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::Handshakes;
use crate::codec::Violation;

/// How a tunnel behaves.
#[derive(Debug, Clone)]
pub struct TunnelOptions {
    /// Set the mask bit (with a key of zeros) on what is sent: clients do.
    pub masked: bool,
    /// Send frames of junk beside the first records and beside messages of the size of a WireGuard handshake, so that
    /// these sizes do not show. The junk begins with a zero byte; every WireGuard drops it.
    pub padding: bool,
    /// Drop received datagrams that begin with a zero byte, as junk does and no WireGuard message.
    pub discard_junk: bool,
    /// How many messages of WireGuard's handshake go from the stream to the socket; `None` for all.
    pub handshakes: Option<Arc<Handshakes>>,
    /// The time between pings, drawn again for each. None is sent when the other end was heard in the meantime.
    pub ping: RangeInclusive<Duration>,
    /// Where this tunnel's traffic is counted.
    pub counters: Arc<TrafficCounters>,
}

impl Default for TunnelOptions {
    /// A server's: unmasked, padded, pings every 20 to 40 seconds. How many handshakes there may be is for the server to say.
    fn default() -> Self {
        let ping = Duration::from_secs(20)..=Duration::from_secs(40);
        let (handshakes, counters) = (None, Arc::default());
        Self { masked: false, padding: true, discard_junk: true, handshakes, ping, counters }
    }
}

impl TunnelOptions {
    /// Whether a datagram from the stream may go to the socket.
    pub(super) fn lets_pass(&self, datagram: &[u8]) -> bool {
        self.handshakes.as_ref().is_none_or(|handshakes| handshakes.let_pass(datagram))
    }
}

/// Traffic of all tunnels that share them. Datagrams only, without junk.
#[derive(Debug, Default)]
pub struct TrafficCounters {
    /// Datagrams from streams to sockets.
    pub received: AtomicU64,
    /// Datagrams from sockets to streams.
    pub sent: AtomicU64,
}

/// Why a tunnel ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The other end closed it, with a Close frame or by ending the stream.
    #[error("closed by the other end")]
    Closed,
    /// The other end sent what is no frame.
    #[error("the other end broke the protocol")]
    Protocol(#[source] Violation),
    /// The other end did not answer.
    #[error("the other end is silent")]
    Silent,
    /// The other end took nothing for longer than two pings.
    #[error("the other end does not read")]
    Stalled,
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// The way on which its stream was opened has changed.
    #[error("the way to the other end has changed")]
    Moved,
    /// The stream failed.
    #[error("the connection failed")]
    Stream(#[source] io::Error),
    /// The datagram socket failed.
    #[error("the datagram socket failed")]
    Socket(#[source] io::Error),
}
