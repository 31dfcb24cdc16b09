//! The control socket: how a server is told its configuration, and by whom.
//!
//! Requests and replies are lines of JSON on a unix stream socket. Only root and the server's own user are heard, whoever
//! may open the socket's file: the kernel says who is at the other end (`SO_PEERCRED`, unix(7)).

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};
use zeroize::{Zeroize as _, Zeroizing};

use crate::config::{Configuration, KeyPem};
use crate::secrets::SecretDigest;
use crate::server::{Handle, State, bind_unix};

/// The longest line in bytes: a site's files in base64 fit, with room for the rest.
pub const MAX_LINE: usize = 16 * 1024 * 1024;
/// Connections that are served at once.
const CONNECTIONS: usize = 16;
/// How long a reply may take that the other end waits for.
const REPLY: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// How the reply to a line begins that is no request of this version.
pub(crate) const NOT_A_REQUEST: &str = "not a request";

/// What a server can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ControlRequest {
    /// Put this in force; see [`Handle::configure`].
    Configure(Box<Configuration>),
    /// Answer a tls-alpn-01 validation.
    Challenge(Challenge),
    /// Answer it no more.
    Unchallenge(Unchallenge),
    /// Change which clients may open tunnels; see [`Handle::change_clients`].
    Clients(Clients),
    /// Say from which ports tunnels under the operator's secrets reach WireGuard.
    SharedPorts {},
    /// Connect to the web server behind, as for a stranger, and say whether it is there; see [`Handle::visit`].
    Visit {},
    /// Say what is open and what was seen.
    State {},
}

/// A change of the clients that may open tunnels under secrets of their own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Which part of a whole list this is. Without it, these clients are added and removed at once, and all others stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Clients that may open tunnels from now on.
    #[serde(default)]
    pub add: Vec<SecretDigest>,
    /// Clients that may not.
    #[serde(default)]
    pub remove: Vec<SecretDigest>,
}

/// A part of a list of clients, which takes the place of the one before when it is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Others follow.
    First,
    /// One was before this, and others follow.
    Further,
    /// The list is whole.
    Last,
    /// It is the whole list by itself.
    Only,
}

/// A certificate for one validation (RFC 8737).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The name that the validation asks for: the domain, or for an address its name in `in-addr.arpa` or `ip6.arpa`.
    pub sni: String,
    /// The certificate as PEM, with the `acmeIdentifier` extension.
    pub certificate_pem: String,
    /// Its key as PEM.
    pub key_pem: KeyPem,
}

/// The name of a validation that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unchallenge {
    /// As in [`Challenge`].
    pub sni: String,
}

/// A server's reply: `{"ok":true}`, `{"ok":true,"state":{…}}`, `{"ok":true,"ports":[…]}` or `{"error":"…"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlReply {
    /// Whether it was done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ok: bool,
    /// The answer to [`ControlRequest::State`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The answer to [`ControlRequest::SharedPorts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<u16>>,
    /// Why it was not done, in English, with its causes. Holds nothing secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a server could not be asked, or did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is no server at the socket, or it may not be opened.
    #[error("no tunnel server answers at {path}")]
    Connect {
        /// The socket.
        path: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The connection failed, or the server took too long.
    #[error("the tunnel server's connection failed")]
    Connection(#[source] io::Error),
    /// The reply is none.
    #[error("the tunnel server's reply cannot be read")]
    Reply(#[source] serde_json::Error),
    /// It was refused, for the reason that is told.
    #[error("the tunnel server refused: {0}")]
    Refused(String),
}

/// Serves the control socket of a server.
#[derive(Debug)]
pub struct ControlServer {
    listener: UnixListener,
    handle: Handle,
    owner: u32,
}

impl ControlServer {
    /// Listens at `path`, mode 0600. A socket that a dead server left there is replaced. Needs a tokio runtime.
    pub fn bind(path: &Path, handle: Handle) -> io::Result<Self> {
        let listener = bind_unix(path, 0o600)?;
        Ok(Self { listener, handle, owner: nix::unistd::geteuid().as_raw() })
    }

    /// Serves for ever. Connections that are not root's or this user's own are closed without a word.
    pub async fn run(self) {
        let slots = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let heard = stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == self.owner);
            let Ok(slot) = std::sync::Arc::clone(&slots).try_acquire_owned() else { continue };
            if heard {
                let handle = self.handle.clone();
                tokio::spawn(async move {
                    let _slot = slot;
                    // An error is the other end's leaving.
                    drop(serve(stream, &handle).await);
                });
            }
        }
    }
}

/// Answers the requests of one connection.
async fn serve(stream: UnixStream, handle: &Handle) -> io::Result<()> {
    let mut lines = Lines::new(stream);
    while let Some(line) = lines.next().await? {
        let reply = match serde_json::from_slice::<ControlRequest>(&line) {
            Ok(request) => answer(request, handle).await,
            // The parser's own words may quote what it read, and that may be secret.
            Err(error) => failure(&format!("{NOT_A_REQUEST}: column {}", error.column())),
        };
        lines.send(&reply).await?;
    }
    Ok(())
}

async fn answer(request: ControlRequest, handle: &Handle) -> ControlReply {
    let done = |result: Result<(), String>| match result {
        Ok(()) => ControlReply { ok: true, ..ControlReply::default() },
        Err(error) => failure(&error),
    };
    match request {
        ControlRequest::Configure(configuration) => {
            done(handle.configure(*configuration).await.map_err(|error| with_causes(&error)))
        }
        ControlRequest::Challenge(Challenge { sni, certificate_pem, key_pem }) => {
            let set = handle.challenge(&sni, &certificate_pem, key_pem.reveal());
            done(set.map_err(|error| with_causes(&error)))
        }
        ControlRequest::Unchallenge(Unchallenge { sni }) => {
            handle.unchallenge(&sni);
            done(Ok(()))
        }
        ControlRequest::Clients(clients) => {
            done(handle.change_clients(&clients).map_err(|error| with_causes(&error)))
        }
        ControlRequest::SharedPorts {} => {
            ControlReply { ok: true, ports: Some(handle.shared_ports()), ..ControlReply::default() }
        }
        ControlRequest::Visit {} => done(handle.visit().await.map_err(|error| error.to_string())),
        ControlRequest::State {} => {
            ControlReply { ok: true, state: Some(handle.state()), ..ControlReply::default() }
        }
    }
}

fn failure(text: &str) -> ControlReply {
    ControlReply { error: Some(text.to_owned()), ..ControlReply::default() }
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A connection to a server's control socket.
#[derive(Debug)]
pub struct Control {
    lines: Lines,
}

impl Control {
    /// Connects to the socket at `path`. Fails at once if nobody listens there, or somebody else than root and the user whom
    /// the socket's folder belongs to.
    pub async fn connect(path: &Path) -> Result<Self, ControlError> {
        let stream = reach(path).await;
        let stream =
            stream.map_err(|source| ControlError::Connect { path: path.display().to_string(), source })?;
        Ok(Self { lines: Lines::new(stream) })
    }

    /// Puts `configuration` in force.
    pub async fn configure(&mut self, configuration: Configuration) -> Result<(), ControlError> {
        self.ask(&ControlRequest::Configure(Box::new(configuration))).await.map(drop)
    }

    /// Answers a validation until [`Control::unchallenge`].
    pub async fn challenge(&mut self, challenge: Challenge) -> Result<(), ControlError> {
        self.ask(&ControlRequest::Challenge(challenge)).await.map(drop)
    }

    /// Answers a validation no more.
    pub async fn unchallenge(&mut self, sni: &str) -> Result<(), ControlError> {
        self.ask(&ControlRequest::Unchallenge(Unchallenge { sni: sni.to_owned() })).await.map(drop)
    }

    /// Changes which clients may open tunnels.
    pub async fn change_clients(&mut self, clients: Clients) -> Result<(), ControlError> {
        self.ask(&ControlRequest::Clients(clients)).await.map(drop)
    }

    /// From which ports on 127.0.0.1 tunnels under the operator's secrets reach WireGuard.
    pub async fn shared_ports(&mut self) -> Result<Vec<u16>, ControlError> {
        Ok(self.ask(&ControlRequest::SharedPorts {}).await?.ports.unwrap_or_default())
    }

    /// Has the server connect to the web server behind. A server of an earlier version cannot do that: nothing is known then.
    pub async fn visit(&mut self) -> Result<(), ControlError> {
        match self.ask(&ControlRequest::Visit {}).await {
            Err(ControlError::Refused(why)) if why.starts_with(NOT_A_REQUEST) => Ok(()),
            visited => visited.map(drop),
        }
    }

    /// What is open and what was seen.
    pub async fn state(&mut self) -> Result<State, ControlError> {
        Ok(self.ask(&ControlRequest::State {}).await?.state.unwrap_or_default())
    }

    /// Waits until the server has closed the connection, as it does when it ends. Nothing may be asked meanwhile.
    pub async fn closed(&mut self) {
        // A server says nothing unasked.
        while let Ok(Some(_)) = self.lines.next().await {}
    }

    /// Asks anything and waits for the reply, at most half a minute.
    pub async fn ask(&mut self, request: &ControlRequest) -> Result<ControlReply, ControlError> {
        let asking = async {
            self.lines.send(request).await?;
            self.lines.next().await
        };
        let line = timeout(REPLY, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let closed = || ControlError::Connection(io::ErrorKind::UnexpectedEof.into());
        let line = line.map_err(ControlError::Connection)?.ok_or_else(closed)?;
        let reply: ControlReply = serde_json::from_slice(&line).map_err(ControlError::Reply)?;
        match reply.error {
            Some(error) => Err(ControlError::Refused(error)),
            None => Ok(reply),
        }
    }
}

/// Connects to a socket, and to nothing else that its name leads to: what is told there is secret, and the folder belongs to a
/// process that faces the network. Whom the folder belongs to, the service manager has said when it made it.
async fn reach(path: &Path) -> io::Result<UnixStream> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let folder = open(folder, flags | OFlag::O_DIRECTORY, Mode::empty())?;
    let owner = fstat(&folder)?.st_uid;
    let socket = openat(&folder, name, flags | OFlag::O_NOFOLLOW, Mode::empty())?;
    let found = fstat(&socket)?;
    // A second name would be that of a socket elsewhere.
    if SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT != SFlag::S_IFSOCK || found.st_nlink != 1 {
        return Err(io::Error::other("what has this name is no socket of the server"));
    }
    // The kernel's own link to what was opened.
    let stream = UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await?;
    let listens = stream.peer_cred()?.uid();
    if !may_listen(listens, owner) {
        let text = format!("the user {listens} listens there, and its folder belongs to the user {owner}");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(stream)
}

/// A server may listen as root and become another user afterwards. From version 257 on, systemd maps the owner of such a folder:
/// seen from outside it is nobody's, and the server has one of the numbers that systemd gives to users made for one service
/// (`systemd.exec(5)`).
fn may_listen(listens: u32, owner: u32) -> bool {
    let mapped = owner == NOBODY && (DYNAMIC.0..=DYNAMIC.1).contains(&listens);
    listens == owner || listens == 0 || mapped
}

/// The user of what belongs to nobody here.
const NOBODY: u32 = 65_534;
/// The first and the last user that systemd makes for a service.
const DYNAMIC: (u32, u32) = (61_184, 65_519);

/// Lines both ways. What was read is wiped: it may hold keys.
#[derive(Debug)]
struct Lines {
    stream: UnixStream,
    read: Zeroizing<Vec<u8>>,
}

impl Lines {
    fn new(stream: UnixStream) -> Self {
        Self { stream, read: Zeroizing::new(Vec::new()) }
    }

    /// The next line without its end; `None` when the other end has closed.
    async fn next(&mut self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut looked = 0;
        loop {
            if let Some(end) = self.read[looked..].iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(looked + end + 1);
                let mut line = std::mem::replace(&mut self.read, Zeroizing::new(rest));
                line.pop();
                return Ok(Some(line));
            }
            looked = self.read.len();
            if looked > MAX_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.reserve();
            if self.stream.read_buf(&mut *self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Makes room. The vector's own growth would leave a copy behind that is not wiped.
    fn reserve(&mut self) {
        if self.read.capacity() - self.read.len() < 4096 {
            let mut larger = Vec::with_capacity(self.read.capacity() * 2 + 8192);
            larger.extend_from_slice(&self.read);
            self.read.zeroize();
            self.read = Zeroizing::new(larger);
        }
    }

    async fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = Zeroizing::new(serde_json::to_vec(message).map_err(io::Error::from)?);
        line.push(b'\n');
        self.stream.write_all(&line).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form() {
        let request: ControlRequest = serde_json::from_str(r#"{"state":{}}"#).unwrap();
        assert!(matches!(request, ControlRequest::State {}));
        let text = r#"{"unchallenge":{"sni":"a.example"}}"#;
        let request: ControlRequest = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        assert!(serde_json::from_str::<ControlRequest>(r#"{"unchallenge":{"sni":"a","x":1}}"#).is_err());
        let digest = "/+BU/nrgy23GXDr5th1SCfQ5hR20PQulmXM33xVGaOs=";
        let text = format!(r#"{{"clients":{{"part":"last","add":["{digest}"],"remove":[]}}}}"#);
        let request: ControlRequest = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        let text = format!(r#"{{"clients":{{"remove":["{digest}"]}}}}"#);
        assert!(matches!(
            serde_json::from_str(&text).unwrap(),
            ControlRequest::Clients(Clients { part: None, .. })
        ));
        let ok = ControlReply { ok: true, ..ControlReply::default() };
        assert_eq!(serde_json::to_string(&ok).unwrap(), r#"{"ok":true}"#);
        assert_eq!(serde_json::to_string(&failure("no")).unwrap(), r#"{"error":"no"}"#);
    }

    #[tokio::test]
    async fn only_the_server_socket_receives_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (dir.path().join("server"), dir.path().join("elsewhere"));
        std::fs::create_dir(&folder).unwrap();
        let _elsewhere = UnixListener::bind(&elsewhere).unwrap();
        let refused = async |name: &str| {
            let error = Control::connect(&folder.join(name)).await.unwrap_err();
            assert!(with_causes(&error).ends_with("no socket of the server"), "{}", with_causes(&error));
        };
        std::os::unix::fs::symlink(&elsewhere, folder.join("link")).unwrap();
        refused("link").await;
        std::fs::hard_link(&elsewhere, folder.join("second")).unwrap();
        refused("second").await;
        nix::unistd::mkfifo(&folder.join("file"), Mode::S_IRUSR).unwrap();
        refused("file").await;

        let _own = UnixListener::bind(folder.join("control")).unwrap();
        Control::connect(&folder.join("control")).await.unwrap();
        // By a link to the folder, as the service manager makes it for users that exist while a service runs.
        std::os::unix::fs::symlink(&folder, dir.path().join("public")).unwrap();
        Control::connect(&dir.path().join("public/control")).await.unwrap();
        assert!(may_listen(0, 61_184) && may_listen(61_184, 61_184) && !may_listen(61_185, 61_184));
    }

    #[tokio::test]
    async fn lines_are_cut_anywhere_and_bounded() {
        let (mut one, two) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(two);
        let writing = tokio::spawn(async move {
            one.write_all(b"ab").await.unwrap();
            tokio::task::yield_now().await;
            one.write_all(b"c\nsecond\nthi").await.unwrap();
            one.write_all(&vec![b'x'; 20_000]).await.unwrap();
            one.write_all(b"\n").await.unwrap();
            // More than a line may have: the reader gives up, so that this fails at some time.
            let piece = vec![b'y'; 1024 * 1024];
            for _ in 0..20 {
                if one.write_all(&piece).await.is_err() {
                    return;
                }
            }
        });
        assert_eq!(lines.next().await.unwrap().unwrap().as_slice(), b"abc");
        assert_eq!(lines.next().await.unwrap().unwrap().as_slice(), b"second");
        assert_eq!(lines.next().await.unwrap().unwrap().len(), 20_003);
        assert_eq!(lines.next().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(lines);
        writing.await.unwrap();
    }
}
