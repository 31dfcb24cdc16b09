//! Puts the parts together and runs them.

use std::env;
use std::future::Future;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use futures::FutureExt as _;
use phantom_types::InterfaceName;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::device::worker::Worker;
use crate::device::{Device, handshakes, timers};
use crate::error::DeviceError;
use crate::log::Log;
use crate::notify;
use crate::tun::{Gone, Tun};
use crate::uapi::server::{Place, Server};

/// What device to run, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The interface. It is attached to if it is there and a TUN, and made otherwise.
    pub name: InterfaceName,
    /// The MTU to set, in bytes. `None` gives a new link 1420 and leaves that of an old one alone.
    pub mtu: Option<u16>,
    /// How many threads carry packets. Connections and peers are spread over them. At least 1.
    pub workers: usize,
    /// Let the kernel cut and join packets, where it can. Without it every packet is a call of its own, about a third
    /// of the throughput: for kernels and drivers that get it wrong.
    pub offload: bool,
    /// The control socket, in a folder that is there; `None` for `NAME.sock` in [`SOCKET_DIR`](crate::uapi::SOCKET_DIR),
    /// which is made.
    pub socket: Option<PathBuf>,
    /// Where to say what happens.
    pub log: Log,
}

impl Options {
    /// The usual options for this interface: a worker for each core, four at most.
    pub fn new(name: InterfaceName) -> Self {
        Self { name, mtu: None, workers: default_threads(), offload: true, socket: None, log: Log::silent() }
    }
}

/// How many threads a device has a use for: one for each core, four at most.
pub fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}

/// Why a device that ran has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
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
pub async fn run(options: Options, shutdown: impl Future<Output = ()>) -> Result<Ended, DeviceError> {
    let Options { name, mtu, workers, offload, socket, log } = options;
    let workers = workers.max(1);
    let place = Place::new(&name, socket);
    place.refuse_second(&name).await?;
    // Only one process can hold the TUN, so from here on the socket is ours to replace. Only then the link is to stay.
    let tun = Tun::open(&name, mtu, offload, workers)?;
    let server = Server::bind(place)?;
    tun.persist()?;
    log.line(format_args!("{}{}", tun.origin(), if tun.offloads() { "" } else { ", without offload" }));
    let device = Arc::new(Device::new(tun, workers, offload, log));
    let (mut tasks, mut clients) = (JoinSet::new(), JoinSet::new());
    let started = start(&mut tasks, &device, workers)?;
    tell(&device, notify::READY);
    let ended = tokio::select! {
        never = server.serve(&device, &mut clients) => match never {},
        () = shutdown => Ok(Ended::Shutdown),
        ended = end(&mut tasks) => ended,
    };
    tell(&device, notify::STOPPING);
    drop(server);
    clients.shutdown().await;
    started.end().await;
    tasks.shutdown().await;
    ended
}

/// Waits for a task that says what the end is: one that looks at the TUN. Others end after it, or by a panic.
async fn end(tasks: &mut JoinSet<Result<Option<Ended>, DeviceError>>) -> Result<Ended, DeviceError> {
    loop {
        match tasks.join_next().await {
            Some(Ok(Ok(Some(ended)))) => return Ok(ended),
            Some(Ok(Ok(None))) => {}
            Some(Ok(Err(error))) => return Err(error),
            Some(Err(_)) | None => return Err(DeviceError::Task),
        }
    }
}

/// The threads that carry packets. They end when this is dropped.
struct Workers {
    device: Arc<Device>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Has them end, and waits for it.
    async fn end(mut self) {
        self.device.end();
        let threads = mem::take(&mut self.threads);
        let all = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        // One that has panicked has been told of.
        let _ = tokio::task::spawn_blocking(all).await;
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.device.end();
    }
}

fn start(
    tasks: &mut JoinSet<Result<Option<Ended>, DeviceError>>,
    device: &Arc<Device>,
    workers: usize,
) -> Result<Workers, DeviceError> {
    let (front, messages, recipients) = handshakes::queues();
    let front = Arc::new(front);
    let mut started = Workers { device: Arc::clone(device), threads: Vec::new() };
    for number in 0..workers {
        let bell = device.bell().map_err(|source| DeviceError::Worker { source })?;
        let worker = Worker::new(Arc::clone(device), number, Arc::clone(&front), bell);
        let (done, ended) = oneshot::channel();
        // Nobody waits for it where the device has been dropped.
        let carry = move || {
            let _ = done.send(worker.run().map(|Gone| Ended::LinkGone));
        };
        let thread = thread::Builder::new().name(format!("worker{number}")).spawn(carry);
        started.threads.push(thread.map_err(|source| DeviceError::Worker { source })?);
        // One that says nothing at its end has panicked.
        tasks.spawn(ended.map(|ended| ended.map_err(|_| DeviceError::Task)));
    }
    tasks.spawn(handshakes::answer(Arc::clone(device), messages).map(|()| Ok(None)));
    tasks.spawn(handshakes::send_cookies(Arc::clone(device), recipients).map(|()| Ok(None)));
    tasks.spawn(timers::run(Arc::clone(device)).map(|Gone| Ok(Some(Ended::LinkGone))));
    Ok(started)
}

/// Tells the service manager, if there is one that wants to hear it.
fn tell(device: &Device, state: &str) {
    if let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
        && let Err(error) = notify::send(&socket, state)
    {
        device.log().line(format_args!("cannot notify the service manager: {error}"));
    }
}
