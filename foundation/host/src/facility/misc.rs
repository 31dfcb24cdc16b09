//! The small facilities: kernel settings, sockets, resolver, clock, randomness.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use phantom_types::{Domain, InterfaceName, Spoken, Timestamp};

use crate::Result;
use crate::facility::Protocol;

/// Kernel settings below `/proc/sys`, by their dotted names.
pub trait Sysctl: Send + Sync {
    /// The value without its line feed; `None` when the kernel has no such setting.
    fn get(&self, key: &str) -> Result<Option<String>>;
    /// Sets it until the next boot.
    fn set(&self, key: &str, value: &str) -> Result<()>;
}

/// A port of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

impl fmt::Display for Port {
    /// As in `51820/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

/// Who listens.
pub trait Sockets: Send + Sync {
    /// Whether a socket is bound to exactly this port, on any address of either family.
    fn bound(&self, port: Port) -> Result<bool>;
}

/// One DNS question to one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The server, on port 53.
    pub server: IpAddr,
    /// The name: its A records are asked for.
    pub domain: Domain,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAnswer {
    /// At least one address, in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// Time from the question to the answer.
    pub elapsed: Duration,
}

/// Why a probe did not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The server answered, but with no address.
    #[error("no address in the answer ({rcode})")]
    NoAddress {
        /// The response code, as in `NXDOMAIN` or `NOERROR`.
        rcode: String,
        /// Time from the question to the answer.
        elapsed: Duration,
    },
    /// Nothing came back in time.
    #[error("no answer in time")]
    Timeout,
    /// The server cannot be reached: refused, no route.
    #[error("server not reachable")]
    Unreachable,
}

impl Spoken for ProbeError {
    fn turkish(&self) -> String {
        match self {
            Self::NoAddress { rcode, .. } => format!("yanıtta adres yok ({rcode})"),
            Self::Timeout => "zamanında yanıt gelmedi".to_owned(),
            Self::Unreachable => "sunucuya ulaşılamıyor".to_owned(),
        }
    }
}

/// Where a question leaves the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskFrom {
    /// The interface, whatever the routes say.
    pub interface: InterfaceName,
    /// An address of the host: the source.
    pub address: Ipv4Addr,
}

/// For whom a name is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewpoint {
    /// For this host, as each of its programs would find it: with `/etc/hosts` and the search list.
    Host,
    /// For others: a loopback address in `/etc/hosts` says nothing of where they find the name, nor does the search list.
    Outside,
}

/// DNS questions. Nothing but the servers that are named is contacted.
pub trait Resolver: Send + Sync {
    /// Asks all of them at once, UDP first and TCP when an answer is cut; each has `limit` including retries. The
    /// answers have the order of the questions.
    fn probe(&self, probes: &[Probe], limit: Duration) -> Result<Vec<Result<DnsAnswer, ProbeError>>>;
    /// Asks one of them by this way and no other, by UDP alone: an answer that is cut counts as one without an address.
    /// [`Absent`](crate::HostError::Absent) without the interface or the address.
    fn probe_by(
        &self,
        from: &AskFrom,
        probe: &Probe,
        limit: Duration,
    ) -> Result<Result<DnsAnswer, ProbeError>>;
    /// The addresses of a name, by `/etc/hosts` and else by all servers of `/etc/resolv.conf`, in the order in which they are to
    /// be tried (RFC 6724, RFC 8305): those that the host has no way to are the last, and there are 16 at most. Addresses of one family are enough,
    /// whatever becomes of the question for the other one. A name without any has none. An error says that no server knew:
    /// [`NoAddress`](ProbeError::NoAddress) where one answered all the same, with its response code.
    fn lookup(
        &self,
        domain: &Domain,
        from: Viewpoint,
        limit: Duration,
    ) -> Result<Result<Vec<IpAddr>, ProbeError>>;
}

/// The time.
pub trait Clock: Send + Sync {
    /// Now, by the wall clock.
    fn now(&self) -> Timestamp;
    /// Time since some fixed point; never goes back.
    fn monotonic(&self) -> Duration;
    /// Whether a time service keeps the wall clock right (`STA_UNSYNC` of `adjtimex(2)` is not set).
    fn synchronised(&self) -> Result<bool>;
    /// Waits.
    fn sleep(&self, time: Duration);
}

/// Randomness fit for keys.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}
