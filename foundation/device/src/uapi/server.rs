//! Serves the protocol on its socket.

use std::convert::Infallible;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Uid, unlink};
use phantom_types::{InterfaceName, PublicKey};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{GetRequest, SetRequest, UapiError, parse_get, parse_set, reply};
use crate::device::Device;
use crate::error::DeviceError;

/// Where the sockets are, one `NAME.sock` for each device: where `wg` looks for them.
pub const SOCKET_DIR: &str = "/var/run/wireguard";
/// The largest request, in bytes: some 200,000 peers with a key, a preshared key and an address each.
pub const MAX_REQUEST: usize = 64 << 20;
/// How long a request may take to arrive, and each part of its answer to be fetched.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How many clients are served at a time. Others wait to be accepted.
const CLIENTS: usize = 64;
/// How much of an answer is written at once.
const CHUNK: usize = 64 << 10;

/// The socket of a device.
pub fn socket_path(name: &InterfaceName) -> PathBuf {
    Path::new(SOCKET_DIR).join(format!("{}.sock", name.as_str()))
}

/// A socket that is listened on. Dropping it removes it.
pub(crate) struct ControlListener {
    path: PathBuf,
    listener: UnixListener,
}

/// Where a socket is to be.
pub(crate) struct SocketPath {
    path: PathBuf,
    /// In the folder where `wg` looks, which may have to be made.
    usual: bool,
}

impl SocketPath {
    /// The place for a device, or the one that somebody has chosen for it.
    pub(crate) fn new(name: &InterfaceName, chosen: Option<PathBuf>) -> Self {
        let usual = chosen.is_none();
        Self { path: chosen.unwrap_or_else(|| socket_path(name)), usual }
    }

    /// Refuses if a process answers there already.
    pub(crate) async fn refuse_second(&self, name: &InterfaceName) -> Result<(), DeviceError> {
        // One that is there but has no time to accept counts as well.
        match timeout(Duration::from_secs(1), UnixStream::connect(&self.path)).await {
            Ok(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => Ok(()),
            _ => Err(DeviceError::AlreadyRunning { name: name.clone() }),
        }
    }

    /// The mode of the socket. In the usual folder its owner alone may connect. Elsewhere the folder says who reaches it, and
    /// root may be without the capability to connect to what another user owns.
    fn mode(&self) -> Mode {
        let owner = Mode::S_IRUSR | Mode::S_IWUSR;
        if self.usual { owner } else { owner | Mode::S_IRGRP | Mode::S_IWGRP | Mode::S_IROTH | Mode::S_IWOTH }
    }
}

impl ControlListener {
    /// Makes the socket, and the usual folder if it is not there; a socket that a dead process has left behind is
    /// replaced. The usual folder has mode 0700 and the socket in it 0600 from the moment that it exists.
    pub(crate) fn bind(place: SocketPath) -> Result<Self, DeviceError> {
        match try_bind(&place) {
            Ok(listener) => Ok(Self { path: place.path, listener }),
            Err(source) => Err(DeviceError::Socket { path: place.path, source }),
        }
    }

    /// Answers requests, each client in a task of `clients`. Never ends.
    pub(crate) async fn serve(&self, device: &Arc<Device>, clients: &mut JoinSet<()>) -> Infallible {
        loop {
            tokio::select! {
                Some(ended) = clients.join_next() => if ended.is_err() {
                    device.log().line(format_args!("a request has failed"));
                },
                client = self.listener.accept(), if clients.len() < CLIENTS => match client {
                    Ok((stream, _)) => {
                        let device = Arc::clone(device);
                        clients.spawn(async move {
                            // A client that goes away in the middle is its own affair.
                            let _ = converse(stream, &device).await;
                        });
                    }
                    Err(error) => {
                        device.log().line(format_args!("cannot accept: {error}"));
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }
}

impl Drop for ControlListener {
    fn drop(&mut self) {
        // One that is not there is what was wanted.
        let _ = unlink(&self.path);
    }
}

fn try_bind(place: &SocketPath) -> io::Result<UnixListener> {
    if place.usual {
        make_usual_folder()?;
    }
    let path = &place.path;
    match unlink(path) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The kernel gives the socket's own mode to the file (`unix_bind_bsd`), less the umask, which can only take away.
    fchmod(fd.as_fd(), place.mode())?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    if !place.usual {
        // What the umask has taken.
        std::fs::set_permissions(path, Permissions::from_mode(place.mode().bits()))?;
    }
    listen(&fd, Backlog::MAXCONN)?;
    UnixListener::from_std(fd.into())
}

fn make_usual_folder() -> io::Result<()> {
    let dir = Path::new(SOCKET_DIR);
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(dir, Permissions::from_mode(0o700))
        }
        result => result,
    }
}

/// Answers the requests of one client, one after the other.
async fn converse(stream: UnixStream, device: &Device) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(CHUNK, reader);
    if uid != 0 && uid != Uid::effective().as_raw() {
        // A client that is still writing would not come to read the answer.
        let _ = timeout(REQUEST_TIMEOUT, read_request(&mut reader, &mut Vec::new(), CHUNK)).await;
        return answer_errno(&mut writer, Errno::EACCES as i32).await;
    }
    loop {
        let mut text = Zeroizing::new(Vec::new());
        // Between requests a client may think as long as it likes.
        if reader.fill_buf().await?.is_empty() {
            return Ok(());
        }
        let read = timeout(REQUEST_TIMEOUT, read_request(&mut reader, &mut text, MAX_REQUEST)).await;
        let errno = match read.unwrap_or(Ok(Arrived::Late))? {
            Arrived::Whole if text.is_empty() => return Ok(()),
            Arrived::Whole => {
                answer(text, device, &mut writer).await?;
                continue;
            }
            Arrived::Late => Errno::ETIMEDOUT,
            Arrived::TooLong => Errno::EMSGSIZE,
            Arrived::Partly => Errno::EPROTO,
        };
        return answer_errno(&mut writer, errno as i32).await;
    }
}

/// What came of reading a request.
enum Arrived {
    Whole,
    Partly,
    TooLong,
    Late,
}

/// Reads up to the empty line, `limit` bytes at most. Empty lines in front are passed over.
async fn read_request(
    reader: &mut BufReader<OwnedReadHalf>,
    text: &mut Vec<u8>,
    limit: usize,
) -> io::Result<Arrived> {
    loop {
        let start = text.len();
        let room = (limit - start) as u64;
        if reader.take(room).read_until(b'\n', text).await? as u64 == room {
            return Ok(Arrived::TooLong);
        }
        match &text[start..] {
            b"\n" if start == 0 => text.clear(),
            b"\n" => return Ok(Arrived::Whole),
            line if line.ends_with(b"\n") => {}
            b"" if start == 0 => return Ok(Arrived::Whole),
            _ => return Ok(Arrived::Partly),
        }
    }
}

async fn answer(text: Zeroizing<Vec<u8>>, device: &Device, writer: &mut OwnedWriteHalf) -> io::Result<()> {
    // A large request is read beside, so that packets on this thread do not wait.
    let request = if text.len() <= CHUNK {
        parse(&text)
    } else {
        tokio::task::spawn_blocking(move || parse(&text)).await.map_err(io::Error::other)?
    };
    let errno = match request {
        Ok(Request::Get(get)) => return show(device, get.peers.as_deref(), writer).await,
        Ok(Request::Set(set)) => device.apply(set).await.err().map_or(0, |errno| errno as i32),
        Err(errno) => errno,
    };
    if errno != 0 {
        device.log().line(format_args!("a request is refused: {}", Errno::from_raw(errno).desc()));
    }
    answer_errno(writer, errno).await
}

enum Request {
    Get(GetRequest),
    Set(SetRequest),
}

fn parse(text: &[u8]) -> Result<Request, i32> {
    let text = str::from_utf8(text).map_err(|_| Errno::EPROTO as i32)?;
    let (operation, lines) = text.split_once('\n').unwrap_or((text, ""));
    match operation {
        "get=1" => parse_get(lines).map(Request::Get).map_err(UapiError::errno),
        "set=1" => parse_set(lines).map(Request::Set).map_err(UapiError::errno),
        _ => Err(Errno::EINVAL as i32),
    }
}

/// Writes the device and its peers, or those of them that are asked for, in pieces.
async fn show(device: &Device, keys: Option<&[PublicKey]>, writer: &mut OwnedWriteHalf) -> io::Result<()> {
    let mut out = Zeroizing::new(String::with_capacity(CHUNK + 4096));
    reply::write_status(&mut out, &device.status());
    let peers = keys.map_or_else(|| device.table.all(), |keys| device.table.some(keys));
    for peer in peers {
        reply::write_peer(&mut out, &peer.status());
        if out.len() >= CHUNK {
            write(writer, &out).await?;
            out.clear();
        }
    }
    reply::write_errno(&mut out, 0);
    write(writer, &out).await
}

async fn answer_errno(writer: &mut OwnedWriteHalf, errno: i32) -> io::Result<()> {
    let mut out = String::new();
    reply::write_errno(&mut out, errno);
    write(writer, &out).await
}

async fn write(writer: &mut OwnedWriteHalf, text: &str) -> io::Result<()> {
    timeout(REQUEST_TIMEOUT, writer.write_all(text.as_bytes())).await?
}
