//! Puts the parts together and runs them.

use std::env;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt as _;
use phantom_types::InterfaceName;
use tokio::task::JoinSet;

use crate::device::{Device, handshakes, inbound, outbound, timers};
use crate::error::DeviceError;
use crate::log::Log;
use crate::notify;
use crate::tun::{Gone, Tun};
use crate::uapi::server::{ControlListener, SocketPath};

/// What device to run, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeviceOptions {
    /// The interface. It is attached to if it is there and a TUN, and made otherwise.
    pub name: InterfaceName,
    /// The MTU to set, in bytes. `None` gives a new link 1420 and leaves that of an old one alone.
    pub mtu: Option<u16>,
    /// How many lanes carry packets in each direction. Peers are spread over them; more than there are threads in the
    /// runtime have no use. At least 1.
    pub lanes: usize,
    /// Let the kernel cut and join packets, where it can. Without it every packet is a call of its own, about a third
    /// of the throughput: for kernels and drivers that get it wrong.
    pub offload: bool,
    /// The control socket, in a folder that is there; `None` for `NAME.sock` in [`SOCKET_DIR`](crate::uapi::SOCKET_DIR),
    /// which is made.
    pub socket: Option<PathBuf>,
    /// Where to say what happens.
    pub log: Log,
}

impl DeviceOptions {
    /// The usual options for this interface: a lane for each core, four at most.
    pub fn new(name: InterfaceName) -> Self {
        Self { name, mtu: None, lanes: default_threads(), offload: true, socket: None, log: Log::silent() }
    }
}

/// How many threads a device has a use for: one for each core, four at most.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}

/// Why a device that ran has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// It was told to.
    Shutdown,
    /// Someone has deleted its link.
    LinkGone,
}

/// Runs a device until `shutdown` is ready or its link is deleted.
///
/// The device has no keys and no peers at first: it is set up through its control socket (see [`uapi`](crate::uapi)).
/// When that accepts and the process was started with `NOTIFY_SOCKET`, the service manager is told. Afterwards the
/// socket is gone, and the link with its addresses and routes is still there.
///
/// Has to be called in a runtime of tokio with all drivers enabled, better a multi-threaded one. Dropping the future
/// ends the device as well.
pub async fn run(
    options: DeviceOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<EndReason, DeviceError> {
    let DeviceOptions { name, mtu, lanes, offload, socket, log } = options;
    let place = SocketPath::new(&name, socket);
    place.refuse_second(&name).await?;
    // Only one process can hold the TUN, so from here on the socket is ours to replace. Only then the link is to stay.
    let tun = Tun::open(&name, mtu, offload)?;
    let server = ControlListener::bind(place)?;
    tun.persist()?;
    log.line(format_args!("{}{}", tun.origin(), if tun.offloads() { "" } else { ", without offload" }));
    let device = Arc::new(Device::new(tun, lanes.max(1), offload, log));
    let (mut tasks, mut clients) = (JoinSet::new(), JoinSet::new());
    start(&mut tasks, &device, lanes.max(1));
    tell(&device, notify::READY);
    let ended = tokio::select! {
        never = server.serve(&device, &mut clients) => match never {},
        () = shutdown => Ok(EndReason::Shutdown),
        ended = end(&mut tasks) => ended,
    };
    tell(&device, notify::STOPPING);
    drop(server);
    clients.shutdown().await;
    tasks.shutdown().await;
    ended
}

/// Waits for a task that says what the end is: one that looks at the TUN. Others end after it, or by a panic.
async fn end(tasks: &mut JoinSet<Option<EndReason>>) -> Result<EndReason, DeviceError> {
    loop {
        match tasks.join_next().await {
            Some(Ok(Some(ended))) => return Ok(ended),
            Some(Ok(None)) => {}
            Some(Err(_)) | None => return Err(DeviceError::Task),
        }
    }
}

fn start(tasks: &mut JoinSet<Option<EndReason>>, device: &Arc<Device>, lanes: usize) {
    let (out, out_lanes) = outbound::lanes(lanes);
    for lane in out_lanes {
        tasks.spawn(outbound::carry(Arc::clone(device), lane).map(|()| None));
    }
    let (front, messages, recipients) = handshakes::queues();
    let (into, in_lanes) = inbound::lanes(lanes, front);
    for lane in in_lanes {
        tasks.spawn(inbound::carry(Arc::clone(device), lane).map(|()| None));
    }
    tasks.spawn(outbound::distribute(Arc::clone(device), out).map(|Gone| Some(EndReason::LinkGone)));
    tasks.spawn(inbound::distribute(Arc::clone(device), into).map(|()| None));
    tasks.spawn(handshakes::answer(Arc::clone(device), messages).map(|()| None));
    tasks.spawn(handshakes::send_cookies(Arc::clone(device), recipients).map(|()| None));
    tasks.spawn(timers::run(Arc::clone(device)).map(|Gone| Some(EndReason::LinkGone)));
}

/// Tells the service manager, if there is one that wants to hear it.
fn tell(device: &Device, state: &str) {
    if let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
        && let Err(error) = notify::send(&socket, state)
    {
        device.log().line(format_args!("cannot notify the service manager: {error}"));
    }
}
