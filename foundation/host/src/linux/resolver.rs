//! DNS questions to named servers, with the hickory resolver's server pool.
//!
//! The pool is used below hickory's own `Resolver`: without its cache, its search list, its `/etc/hosts` and the
//! answers that it makes up for special names, so that what comes back is what that one server said. Whom to ask, and what
//! several answers mean together, is in `lookup.rs`.

use std::ffi::OsString;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use std::{io, iter};

use futures::StreamExt;
use futures::future::join_all;
use hickory_resolver::config::{NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::{
    DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime,
};
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::BindToDevice;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use phantom_types::Domain;

use crate::{AskFrom, DnsAnswer, HostError, Probe, ProbeError, Resolver, Result, Viewpoint};

mod lookup;
mod order;

/// Asks DNS servers from this machine, on port 53.
///
/// A question goes out by UDP without EDNS, again after a third of a second and once more after another, and by
/// TCP when the answer is cut. A reply that cannot be read counts as `FORMERR`, a refusal by the network (ICMP port
/// unreachable, TCP reset, no route) as [`ProbeError::Unreachable`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxResolver;

impl LinuxResolver {
    /// The resolver; nothing is opened before a question is asked.
    pub const fn new() -> Self {
        Self
    }
}

impl Resolver for LinuxResolver {
    fn probe(&self, probes: &[Probe], limit: Duration) -> Result<Vec<Result<DnsAnswer, ProbeError>>> {
        if probes.is_empty() {
            return Ok(Vec::new());
        }
        let names = probes.iter().map(question).collect::<Result<Vec<_>>>()?;
        let runtime = runtime()?;
        let questions =
            iter::zip(probes, names).map(|(probe, name)| ask(Line::own(probe.server), name, limit));
        Ok(runtime.block_on(join_all(questions)))
    }

    fn probe_by(
        &self,
        from: &AskFrom,
        probe: &Probe,
        limit: Duration,
    ) -> Result<Result<DnsAnswer, ProbeError>> {
        // Found out first: what fails inside of an exchange looks like a server that is not reachable.
        drop(bound(from).map_err(|source| match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EADDRNOTAVAIL | Errno::ENODEV) => {
                HostError::Absent { object: format!("the address {} on {}", from.address, from.interface) }
            }
            _ => HostError::io(format!("asking by {}", from.interface), source),
        })?);
        let name = question(probe)?;
        Ok(runtime()?.block_on(ask(Line::by(from.clone(), probe.server), name, limit)))
    }

    fn lookup(
        &self,
        domain: &Domain,
        from: Viewpoint,
        limit: Duration,
    ) -> Result<Result<Vec<IpAddr>, ProbeError>> {
        runtime()?.block_on(lookup::lookup(domain, from, limit))
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(|source| HostError::io("starting to ask DNS servers", source))
}

/// The name of a probe, absolute, so that nothing is appended to it.
fn question(probe: &Probe) -> Result<Name> {
    absolute(probe.domain.as_str())
}

fn absolute(domain: &str) -> Result<Name> {
    let mut name =
        Name::from_ascii(domain).map_err(|_| HostError::unexpected(format!("{domain} is no DNS name")))?;
    name.set_fqdn(true);
    Ok(name)
}

/// By which protocols a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocols {
    /// By UDP, and by TCP when the answer is cut.
    Both,
    /// By UDP alone.
    Udp,
    /// By TCP alone.
    Tcp,
}

/// How a server is reached.
#[derive(Clone, Debug)]
struct Line {
    server: IpAddr,
    /// The number of the link that a link-local server is on.
    scope: u32,
    /// The only way that packets may take.
    from: Option<AskFrom>,
    protocols: Protocols,
}

impl Line {
    /// By the host's own way.
    const fn own(server: IpAddr) -> Self {
        Self { server, scope: 0, from: None, protocols: Protocols::Both }
    }
    /// By this way alone.
    const fn by(from: AskFrom, server: IpAddr) -> Self {
        Self { server, scope: 0, from: Some(from), protocols: Protocols::Udp }
    }
}

async fn ask(line: Line, name: Name, limit: Duration) -> Result<DnsAnswer, ProbeError> {
    let start = Instant::now();
    match tokio::time::timeout(limit, exchange(line, name, RecordType::A, limit)).await {
        Ok(outcome) => verdict(outcome, start.elapsed()),
        Err(_) => Err(ProbeError::Timeout),
    }
}

async fn exchange(
    line: Line,
    name: Name,
    kind: RecordType,
    limit: Duration,
) -> Result<DnsResponse, NetError> {
    let mut options = ResolverOpts::default();
    options.timeout = limit;
    let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
    let server = match line.protocols {
        Protocols::Both => NameServerConfig::udp_and_tcp(line.server),
        Protocols::Udp => NameServerConfig::udp(line.server),
        Protocols::Tcp => NameServerConfig::tcp(line.server),
    };
    let provider = Connected { from: line.from, scope: line.scope, ..Connected::default() };
    let pool = NameServerPool::from_config([server], context, provider);
    let mut request = DnsRequestOptions::default();
    request.use_edns = false;
    let mut answers = pool.lookup(Query::query(name, kind), request);
    answers.next().await.unwrap_or(Err(NetError::NoConnections))
}

/// What an exchange means, which took this long.
fn verdict(outcome: Result<DnsResponse, NetError>, elapsed: Duration) -> Result<DnsAnswer, ProbeError> {
    let no_address = |code: ResponseCode| {
        // The names of RFC 6895 are those of the variants, in capitals; unknown codes have none.
        let rcode = match code {
            ResponseCode::Unknown(number) => format!("RCODE{number}"),
            known => format!("{known:?}").to_ascii_uppercase(),
        };
        Err(ProbeError::NoAddress { rcode, elapsed })
    };
    match outcome {
        Ok(response) => {
            let addresses = addresses_of(&response.answers);
            match response.response_code {
                ResponseCode::NoError if !addresses.is_empty() => Ok(DnsAnswer { addresses, elapsed }),
                code => no_address(code),
            }
        }
        Err(NetError::Dns(DnsError::ResponseCode(code))) => no_address(code),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => no_address(none.response_code),
        // It answered, but cut the answer short and did not give the rest by TCP.
        Err(NetError::Truncated) => no_address(ResponseCode::NoError),
        Err(NetError::Timeout) => Err(ProbeError::Timeout),
        Err(NetError::Proto(_) | NetError::ForeignClassRecord { .. }) => no_address(ResponseCode::FormErr),
        Err(_) => Err(ProbeError::Unreachable),
    }
}

fn addresses_of(records: &[Record]) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    records.iter().filter_map(|record| address(&record.data)).collect()
}

/// Tokio with UDP sockets that are connected to their server: only then does the kernel report that a port is
/// closed or a network not reachable, which else would look like silence.
#[derive(Clone, Default)]
struct Connected {
    tokio: TokioRuntimeProvider,
    /// The only way that its packets may take.
    from: Option<AskFrom>,
    /// The number of the link that a link-local server is on.
    scope: u32,
}

impl Connected {
    /// The server, on its link.
    fn at(&self, server: SocketAddr) -> SocketAddr {
        match server {
            SocketAddr::V6(six) if self.scope != 0 => {
                SocketAddrV6::new(*six.ip(), six.port(), six.flowinfo(), self.scope).into()
            }
            other => other,
        }
    }
}

/// A socket that sends by this way. Its port is the kernel's choice, from where links with a guard let answers in to.
fn bound(from: &AskFrom) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind((from.address, 0))?;
    setsockopt(&socket, BindToDevice, &OsString::from(from.interface.as_str()))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl RuntimeProvider for Connected {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = Socket;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.tokio.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        bind: Option<SocketAddr>,
        timeout: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Tcp>>>> {
        self.tokio.connect_tcp(self.at(server), bind, timeout)
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        server: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Udp>>>> {
        let (from, server) = (self.from.clone(), self.at(server));
        Box::pin(async move {
            let socket = match from {
                Some(from) => UdpSocket::from_std(bound(&from)?)?,
                None => UdpSocket::bind(local).await?,
            };
            socket.connect(server).await?;
            Ok(Socket(socket))
        })
    }
}

/// A UDP socket that wakes up for an error as well: tokio alone waits for something to read.
struct Socket(UdpSocket);

impl Socket {
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let pending = || Err(self.0.take_error()?.unwrap_or_else(|| io::ErrorKind::WouldBlock.into()));
        let nothing = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        loop {
            self.0.ready(Interest::READABLE | Interest::ERROR).await?;
            match self.0.try_recv_from(buffer) {
                Err(error) if nothing(&error) => {}
                received => return received,
            }
            match self.0.try_io(Interest::ERROR, pending) {
                Err(error) if nothing(&error) => {}
                failed => return failed,
            }
        }
    }
}

impl DnsUdpSocket for Socket {
    type Time = TokioTime;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        DnsUdpSocket::poll_recv_from(&self.0, cx, buffer)
    }

    fn recv_from<'socket, 'buffer, 'both>(
        &'socket self,
        buffer: &'buffer mut [u8],
    ) -> Pin<Box<dyn Future<Output = io::Result<(usize, SocketAddr)>> + Send + 'both>>
    where
        'socket: 'both,
        'buffer: 'both,
        Self: 'both,
    {
        Box::pin(self.receive(buffer))
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_send_to(cx, bytes, target)
    }
}

#[cfg(test)]
mod tests;
