//! As whom a web server behind the tunnel sees strangers, and what it therefore shows them.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phantom_tunnel::config::{Decoy, Upstream, WebServer};
use phantom_tunnel::server::{ConfigureError, Server, private_pages};
use phantom_types::ProxyVersion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

use crate::support::{self, Rig, ask, client_config, connect_with, unlimited};

const PAGE: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
/// An address that this host does not have (RFC 5737).
const FOREIGN: &str = "198.51.100.77";

/// An IPv4 address of this host that is none of loopback. Without one, says that `test` is skipped.
pub(crate) fn own_address(test: &str) -> Option<IpAddr> {
    let addresses = nix::ifaddrs::getifaddrs().unwrap().filter_map(|found| found.address);
    let mut four = addresses.filter_map(|address| Some(address.as_sockaddr_in()?.ip()));
    let own = four.find(|address| !address.is_loopback());
    if own.is_none() {
        let line = format!("\nSKIPPED {test}: this host has loopback addresses only\n");
        drop(std::io::stderr().write_all(line.as_bytes()));
    }
    own.map(IpAddr::V4)
}

/// A web server of this machine that tells each visitor who it is seen as, and remembers it. What comes before a request (a
/// header of a proxy) is told too, as text. It speaks HTTP/2 as far as a question for it goes.
struct Teller {
    at: SocketAddr,
    seen: Arc<Mutex<Vec<IpAddr>>>,
}

impl Teller {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<IpAddr>>> = Arc::default();
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, from) = listener.accept().await.unwrap();
                noted.lock().unwrap().push(from.ip());
                tokio::spawn(tell(stream, from.ip().to_string()));
            }
        });
        Self { at, seen }
    }

    fn server(&self, source: Option<IpAddr>, proxy: Option<ProxyVersion>) -> WebServer {
        WebServer { at: Upstream::Tcp(self.at), source, proxy }
    }

    /// The strangers that have come since this was asked last.
    fn seen(&self) -> Vec<IpAddr> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn tell(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, from: String) {
    let mut got = Vec::new();
    while stream.read_buf(&mut got).await.unwrap_or(0) > 0 {
        if got.windows(3).any(|three| three == b"PRI") {
            let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await;
            let _ = stream.write_all(from.as_bytes()).await;
            return;
        }
        // Both headers end before the request's own method.
        if let Some(start) = got.windows(4).position(|four| four == b"GET ")
            && got.ends_with(b"\r\n\r\n")
        {
            let body = format!("{from} {}", got[..start].escape_ascii());
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes()).await;
            got.clear();
        }
    }
}

async fn rig(server: WebServer) -> Rig {
    let builder = Server::builder().limits(unlimited());
    Rig::with(builder, |config| config.decoy = Decoy::Upstream(server)).await
}

/// What the web server says to a stranger.
async fn told(rig: &Rig) -> String {
    let answer = ask(&mut rig.connect().await, PAGE).await.unwrap();
    answer.split_once("\r\n\r\n").map_or(answer.clone(), |(_, body)| body.to_owned())
}

/// The same by HTTP/2.
async fn told_by_h2(rig: &Rig) -> String {
    let mut config = client_config();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut stream = connect_with(rig.address, config, support::NAME).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got).await;
    String::from_utf8_lossy(&got[9.min(got.len())..]).into_owned()
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len().try_into().unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
}

/// By HTTP/2 too an error is told as one: an answer to the request, and the connection's end in all forms.
async fn answers_502_by_h2(rig: &Rig) {
    let mut config = client_config();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut stream = connect_with(rig.address, config, support::NAME).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    // GET, https, /, and no authority: indexed fields of HPACK. The request is whole.
    stream.write_all(&frame(1, 5, 1, &[0x82, 0x87, 0x84])).await.unwrap();
    stream.flush().await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.expect("TLS is ended as it should be");
    let mut frames = Vec::new();
    let mut rest = &got[..];
    while let [0, 0, length, kind, flags, 0, 0, 0, stream, after @ ..] = rest {
        let (payload, after) = after.split_at(usize::from(*length));
        frames.push((*kind, *flags, *stream, payload));
        rest = after;
    }
    let [settings, acknowledged, headers, goaway] = frames[..] else { panic!("{frames:?}") };
    assert_eq!((settings, acknowledged), ((4, 0, 0, &b""[..]), (4, 1, 0, &b""[..])));
    assert_eq!((headers.0, headers.1, headers.2), (1, 5, 1));
    assert!(headers.3.starts_with(b"\x08\x03502\0\x04date\x1d"), "{}", headers.3.escape_ascii());
    assert!(headers.3.ends_with(b"\0\x0econtent-length\x010"), "{}", headers.3.escape_ascii());
    assert_eq!(goaway, (7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0][..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_server_sees_strangers_from_the_source() {
    let Some(own) = own_address("source::web_server_sees_strangers_from_the_source") else { return };
    let teller = Teller::start().await;
    let rig = rig(teller.server(Some(own), None)).await;
    teller.seen();
    assert_eq!(told(&rig).await, format!("{own} "));
    assert_eq!(told_by_h2(&rig).await, own.to_string());
    assert_eq!(teller.seen(), [own, own], "nobody comes from loopback");
}

/// The address of a VPN that is stopped is on no interface. Then nobody visits: there is no other way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_missing_on_host_leads_nowhere() {
    let teller = Teller::start().await;
    let rig = rig(teller.server(Some(FOREIGN.parse().unwrap()), None)).await;
    teller.seen();
    for _ in 0..3 {
        let answer = ask(&mut rig.connect().await, PAGE).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
    answers_502_by_h2(&rig).await;
    // One of the other family leads nowhere either.
    let mut configuration = rig.configuration.clone();
    configuration.decoy = Decoy::Upstream(teller.server("2001:db8::1".parse().ok(), None));
    rig.handle.configure(configuration).await.unwrap();
    teller.seen();
    assert!(ask(&mut rig.connect().await, PAGE).await.unwrap().starts_with("HTTP/1.1 502 "));
    assert!(teller.seen().is_empty(), "a stranger was let in by another address");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_changes_without_a_restart() {
    let Some(own) = own_address("source::the_source_changes_without_a_restart") else { return };
    let teller = Teller::start().await;
    let rig = rig(teller.server(Some(FOREIGN.parse().unwrap()), None)).await;
    let mut tunnel = rig.tunnel().await;
    assert!(ask(&mut rig.connect().await, PAGE).await.unwrap().starts_with("HTTP/1.1 502 "));
    let mut configuration = rig.configuration.clone();
    configuration.decoy = Decoy::Upstream(teller.server(Some(own), Some(ProxyVersion::V1)));
    rig.handle.configure(configuration).await.unwrap();
    let answer = told(&rig).await;
    assert!(answer.starts_with(&format!("{own} PROXY TCP4 127.0.0.1 127.0.0.1 ")), "{answer}");
    assert!(tunnel.is_alive().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_source_address_is_refused() {
    let rig = Rig::start().await;
    let teller = Teller::start().await;
    for source in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "224.0.0.1"] {
        let mut configuration = rig.configuration.clone();
        configuration.decoy = Decoy::Upstream(teller.server(source.parse().ok(), None));
        let refused = rig.handle.configure(configuration).await.unwrap_err();
        assert!(matches!(refused, ConfigureError::Source), "{source}: {refused}");
    }
}

/// The header as the web server would have it, with the stranger's own address and port.
fn expected(version: ProxyVersion, from: SocketAddr, to: SocketAddr) -> String {
    if version == ProxyVersion::V1 {
        let (from, to) = ((from.ip(), from.port()), (to.ip(), to.port()));
        return format!("PROXY TCP4 {} {} {} {}\\r\\n", from.0, to.0, from.1, to.1);
    }
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    bytes.extend([127, 0, 0, 1, 127, 0, 0, 1]);
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes.escape_ascii().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_tells_the_stranger_address_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let unix = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = unix.accept().await.unwrap();
            tokio::spawn(tell(stream, "socket".to_owned()));
        }
    });
    let teller = Teller::start().await;
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let by_socket = WebServer { at: Upstream::Unix(path.clone()), source: None, proxy: Some(version) };
        for (server, from) in [(teller.server(None, Some(version)), "127.0.0.1"), (by_socket, "socket")] {
            let rig = rig(server).await;
            let mut stream = rig.connect().await;
            let stranger = stream.get_ref().0.local_addr().unwrap();
            let answer = ask(&mut stream, PAGE).await.unwrap();
            let header = expected(version, stranger, rig.address);
            assert!(answer.ends_with(&format!("\r\n\r\n{from} {header}")), "{answer}\n{header}");
            // The second request of the connection has none.
            let answer = ask(&mut stream, PAGE).await.unwrap();
            assert!(answer.ends_with(&format!("\r\n\r\n{from} ")), "{answer}");
            // A header of the stranger's own is a part of what he says, behind the true one.
            let forged = format!("PROXY TCP4 127.0.0.1 127.0.0.1 1 80\r\n{PAGE}");
            let answer = ask(&mut rig.connect().await, &forged).await.unwrap();
            let (_, body) = answer.split_once(&format!("\r\n\r\n{from} ")).unwrap();
            let first = if version == ProxyVersion::V1 {
                "PROXY TCP4 127.0.0.1 127.0.0.1 "
            } else {
                "\\r\\n\\r\\n\\x00"
            };
            assert!(body.starts_with(first) && body.ends_with(" 1 80\\r\\n"), "{body}");
            assert!(!body.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 1 80"), "{body}");
        }
    }
}

/// A web server with rules as Debian's Apache has them: `/server-status` for this machine alone, whether by the connection's
/// address or by a header's, and what `other` says for every other path.
async fn apache(reads_header: bool, other: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, from) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut got = Vec::new();
                while !got.ends_with(b"\r\n\r\n") && stream.read_buf(&mut got).await.unwrap() > 0 {}
                let text = String::from_utf8_lossy(&got);
                let local =
                    if reads_header { text.starts_with("PROXY TCP4 127.") } else { from.ip().is_loopback() };
                let answer = match (text.contains("GET /server-status "), local) {
                    (true, true) => "200 OK\r\n\r\nrequests of all visitors",
                    (true, false) => "403 Forbidden\r\n\r\n",
                    _ => other,
                };
                stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.unwrap();
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exposed_local_pages_are_found() {
    let Some(own) = own_address("source::exposed_local_pages_are_found") else {
        return;
    };
    let domain = "vpn.example".parse().unwrap();
    let none: [&str; 0] = [];
    let status = ["/server-status"];
    let (not_found, everything) = ("404 Not Found\r\n\r\n", "200 OK\r\n\r\none page for all");
    for (reads_header, other, source, proxy, pages) in [
        (false, not_found, None, None, &status[..]),
        (false, not_found, Some(own), None, &none[..]),
        (true, not_found, Some(own), Some(ProxyVersion::V1), &none[..]),
        // What answers everything with one page shows something only where it answers with another one.
        (false, everything, None, None, &status[..]),
        (false, everything, Some(own), None, &none[..]),
    ] {
        let at = Upstream::Tcp(apache(reads_header, other).await);
        let server = WebServer { at, source, proxy };
        let found = private_pages(&server, &domain).await.unwrap();
        assert_eq!(found, pages, "{server:?} {other}");
    }
    let server =
        WebServer { source: FOREIGN.parse().ok(), ..Upstream::Tcp(apache(false, not_found).await).into() };
    private_pages(&server, &domain).await.unwrap_err();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = WebServer::from(Upstream::Tcp(silent.local_addr().unwrap()));
    let late = tokio::time::timeout(Duration::from_secs(5), private_pages(&server, &domain)).await.unwrap();
    assert_eq!(late.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}
