//! What strangers see, and that nothing but the right secret shows them anything else.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::support::{self, Client, Rig, ask, client_config, connect_with, unlimited, upgrade, without_date};
use phantom_tunnel::config::{Decoy, FileBytes, Upstream};
use phantom_tunnel::limits::{Limits, Rate};
use phantom_tunnel::server::{Server, Timeouts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const STRANGER: &str = "Ui1RVMCxicaByr7C5XrgqS5yCilLmkCAXMcF8oZP4ZcVkQAvZhRCht3hsHeJENac";

async fn fresh(rig: &Rig, request: &str) -> String {
    ask(&mut rig.connect().await, request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_secret_looks_like_unknown_page() {
    let file = |text: &str| FileBytes(text.as_bytes().to_vec());
    let files = Decoy::Files(BTreeMap::from([
        ("index.html".into(), file("mine")),
        ("404.html".into(), file("gone")),
    ]));
    for decoy in [Decoy::Builtin, files] {
        let rig = Rig::with(Server::builder().limits(unlimited()), |config| config.decoy = decoy).await;
        let unknown = fresh(&rig, "GET /unknown HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(unknown.starts_with("HTTP/1.1 404 Not Found\r\nDate: "), "{unknown}");
        let right = upgrade(rig.secret(), rig.port());
        let variants = [
            upgrade(STRANGER, rig.port()),
            upgrade(rig.secret(), rig.port() ^ 1),
            right.replace("\r\nsec-websocket-version: 13", ""),
            right.replace("websocket-version: 13", "websocket-version: 12"),
            right.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"),
            right.replace("upgrade: websocket", "upgrade: h2c"),
            right.replace("bearer.", "bearer"),
            right.replace("/events ", "/events/ "),
            right.replace("/events ", "/Events "),
            right.replace("/events ", "/events?x "),
            right.replace("GET ", "POST "),
        ];
        for request in variants {
            assert_ne!(request, right);
            let refused = fresh(&rig, &request).await;
            assert_eq!(without_date(&refused), without_date(&unknown), "{request}");
        }
        Client::open(rig.connect().await, &right).await.map(drop).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visit_looks_like_a_web_site() {
    let rig = Rig::with(Server::builder().limits(unlimited()), |_| {}).await;
    let mut stream = rig.connect().await;
    for _ in 0..3 {
        let page = ask(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(
            page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("\r\nConnection: keep-alive\r\n"),
            "{page}"
        );
        assert!(!page.to_lowercase().contains("server:") && page.contains("\r\nContent-Type: text/html"));
    }
    let mut both = rig.connect().await;
    let last = "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    both.write_all(format!("GET /a HTTP/1.1\r\nHost: x\r\n\r\n{last}").as_bytes()).await.unwrap();
    let mut answers = String::new();
    both.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 2, "pipelined requests: {answers}");
    // A tunnel may be opened on a connection that was used for visits.
    Client::open(stream, &upgrade(rig.secret(), rig.port())).await.map(drop).unwrap();

    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("nonsense\r\n\r\n", "400"),
        ("GET / HTTP/3.7\r\nHost: x\r\n\r\n", "505"),
        ("BREW / HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405"),
        (&format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(20_000)), "414"),
        (&format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(200)), "431"),
    ] {
        let got = fresh(&rig, request).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {got}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_visitors_are_left_in_time() {
    let short = Duration::from_millis(300);
    let timeouts = Timeouts { handshake: short, header: short, keep_alive: short, ..Timeouts::default() };
    let rig = Rig::with(Server::builder().timeouts(timeouts), |_| {}).await;
    let begin = Instant::now();
    let mut silent = TcpStream::connect(rig.address).await.unwrap();
    let mut half = TcpStream::connect(rig.address).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    let mut idle = rig.connect().await;
    let mut slow = rig.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let mut kept = rig.connect().await;
    ask(&mut kept, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(silent.read(&mut [0; 9]).await.unwrap_or(0), 0);
    assert_eq!(half.read(&mut [0; 9]).await.unwrap_or(0), 0);
    for stream in [&mut idle, &mut slow, &mut kept] {
        assert_eq!(stream.read(&mut [0; 9]).await.unwrap_or(0), 0);
    }
    let lasted = begin.elapsed();
    assert!(lasted >= short && lasted < short * 10, "{lasted:?}");
}

/// Asks on a connection of its own, and says how long the answer took.
async fn timed(address: std::net::SocketAddr, request: String) -> Duration {
    let mut stream = support::connect(address).await;
    let begin = Instant::now();
    ask(&mut stream, &request).await.unwrap();
    begin.elapsed()
}

/// What is not held back is answered while what was asked for before it is still held back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_errors_of_any_kind_are_throttled() {
    let hold = (Duration::from_secs(4), Duration::from_millis(4100));
    let limits = Limits { errors: Rate { burst: 3, per_second: 0 }, hold, ..Limits::default() };
    for tunnel_first in [true, false] {
        let rig = Rig::with(Server::builder().limits(limits.clone()), |_| {}).await;
        let shaped = upgrade(STRANGER, rig.port());
        let unknown = "GET /unknown HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
        let [first, then] = if tunnel_first { [shaped, unknown] } else { [unknown, shaped] };
        for _ in 0..3 {
            assert!(timed(rig.address, first.clone()).await < hold.0);
        }
        let waiting = [first, then].map(|request| tokio::spawn(timed(rig.address, request)));
        let begin = Instant::now();
        while rig.handle.state().refusals < 5 {
            assert!(begin.elapsed() < hold.0, "{} refusals", rig.handle.state().refusals);
            tokio::task::yield_now().await;
        }
        timed(rig.address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()).await;
        timed(rig.address, upgrade(rig.secret(), rig.port())).await;
        assert!(
            waiting.iter().all(|one| !one.is_finished()),
            "pages and the right secret are never held back"
        );
        for one in waiting {
            assert!(one.await.unwrap() >= hold.0);
        }
        assert_eq!(rig.handle.state().refusals, 5);
    }
}

/// A web server that says what it got, until the empty line, and then closes.
async fn mirror() -> (TcpListener, Upstream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, Upstream::Tcp(address))
}

async fn serve_mirror(listener: TcpListener, h2: bool) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut got = Vec::new();
            loop {
                if stream.read_buf(&mut got).await.unwrap() == 0 {
                    return;
                }
                if got.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
                    if h2 {
                        stream.write_all(b"\0\0\0\x04\0\0\0\0\0 settings").await.unwrap();
                    }
                    return;
                }
                if got.ends_with(b"\r\n\r\n") || got.ends_with(b"end") {
                    let head = format!("HTTP/1.1 404 Mine\r\nContent-Length: {}\r\n\r\n", got.len());
                    stream.write_all(&[head.as_bytes(), &got].concat()).await.unwrap();
                    got.clear();
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_server_gets_strangers_but_no_tunnels() {
    let (listener, upstream) = mirror().await;
    let serving = tokio::spawn(serve_mirror(listener, false));
    let rig = Rig::with(Server::builder().limits(unlimited()), |config| {
        config.decoy = Decoy::Upstream(upstream.into());
    })
    .await;
    let large = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(50_000));
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "nonsense\n \0 end".to_owned(),
        "POST /x/events HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nend".to_owned(),
        "GET /s/events HTTP/1.1\r\n broken\r\n\r\n".to_owned(),
        upgrade(STRANGER, rig.port()),
        large,
    ] {
        let got = fresh(&rig, &request).await;
        let expected = format!("HTTP/1.1 404 Mine\r\nContent-Length: {}\r\n\r\n{request}", request.len());
        assert!(got == expected, "{got}\n{expected}");
    }
    let mut twice = rig.connect().await;
    for _ in 0..2 {
        let got = ask(&mut twice, "GET /again HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(got.contains("GET /again"));
    }
    Client::open(rig.connect().await, &upgrade(rig.secret(), rig.port())).await.map(drop).unwrap();
    let mut config = client_config();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = connect_with(rig.address, config, support::NAME).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    serving.abort();
    let _ = serving.await;
    let gone = fresh(&rig, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(gone.starts_with("HTTP/1.1 502 "), "{gone}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_offered_with_capable_web_server() {
    let (listener, upstream) = mirror().await;
    tokio::spawn(serve_mirror(listener, true));
    let rig = Rig::with(Server::builder(), |config| config.decoy = Decoy::Upstream(upstream.into())).await;
    let mut config = client_config();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut stream = connect_with(rig.address, config, support::NAME).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"\0\0\0\x04\0\0\0\0\0 settings");
    Client::open(rig.connect().await, &upgrade(rig.secret(), rig.port())).await.map(drop).unwrap();
}

/// What a censor does who has recorded a visit: all of the client's bytes again, in one segment or after the first byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_visit_ends_at_once() {
    let rig = Rig::with(Server::builder().limits(unlimited()), |_| {}).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (between, address) = (listener.local_addr().unwrap(), rig.address);
    let recording = tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(address).await.unwrap().into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let mut recorded = Vec::new();
        while let Ok(1..) = {
            let before = recorded.len();
            let read = from_client.read_buf(&mut recorded).await;
            to_server.write_all(&recorded[before..]).await.unwrap();
            read
        } {}
        recorded
    });
    let mut visitor = support::connect(between).await;
    let page = ask(&mut visitor, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200"));
    drop(visitor);
    let recorded = recording.await.unwrap();
    for first in [0, 1, 3, 5, 100] {
        let mut again = TcpStream::connect(rig.address).await.unwrap();
        again.set_nodelay(true).unwrap();
        again.write_all(&recorded[..first]).await.unwrap();
        tokio::task::yield_now().await;
        again.write_all(&recorded[first..]).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), again.read_to_end(&mut answer)).await;
        assert!(ended.is_ok() && answer.starts_with(&[0x16, 3, 3]), "cut at {first}");
    }
}

/// Connections that are open, once there are no more than this.
async fn connections_fall_to(rig: &Rig, wanted: usize) -> Duration {
    let begin = Instant::now();
    while rig.handle.state().connections > wanted {
        assert!(begin.elapsed() < Duration::from_secs(20), "{} connections", rig.handle.state().connections);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_web_server_holds_no_stranger() {
    let (listener, upstream) = mirror().await;
    let (send, linger) = (Duration::from_secs(3), Duration::from_millis(100));
    let timeouts = Timeouts { send, linger, ..Timeouts::default() };
    let builder = Server::builder().limits(unlimited()).timeouts(timeouts);
    let rig = Rig::with(builder, |config| config.decoy = Decoy::Upstream(upstream.into())).await;
    let ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    // The server's own question, whether it speaks HTTP/2.
    drop(listener.accept().await.unwrap());
    // It accepts and says nothing.
    let mut held = Vec::new();
    let mut visit = async || {
        let mut stream = rig.connect().await;
        stream.write_all(ask.as_bytes()).await.unwrap();
        held.push(listener.accept().await.unwrap().0);
        stream
    };
    drop(visit().await);
    assert!(connections_fall_to(&rig, 0).await < send * 2, "a stranger that leaves is gone");
    let mut stays = visit().await;
    assert_eq!(stays.read(&mut [0; 9]).await.unwrap_or(0), 0);
    connections_fall_to(&rig, 0).await;
    // It answers and says goodbye, and the stranger does not.
    let mut lazy = visit().await;
    let mut server = held.pop().unwrap();
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    drop(server);
    assert!(support::answer(&mut lazy).await.unwrap().starts_with("HTTP/1.1 200"));
    connections_fall_to(&rig, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_offered_once_web_server_runs() {
    let (listener, upstream) = mirror().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let timeouts = Timeouts { ask_again: Duration::from_millis(50), ..Timeouts::default() };
    let builder = Server::builder().limits(unlimited()).timeouts(timeouts);
    let rig = Rig::with(builder, |config| config.decoy = Decoy::Upstream(upstream.into())).await;
    let speaks = async |wanted: &[u8]| {
        let begin = Instant::now();
        loop {
            let mut config = client_config();
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            let stream = connect_with(rig.address, config, support::NAME).await.unwrap();
            if stream.get_ref().1.alpn_protocol() == Some(wanted) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    speaks(b"http/1.1").await;
    let again = TcpListener::bind(address).await.unwrap();
    let serving = tokio::spawn(serve_mirror(again, true));
    speaks(b"h2").await;
    // Another web server comes in its place, which a visit by HTTP/2 brings to light.
    serving.abort();
    let _ = serving.await;
    tokio::spawn(serve_mirror(TcpListener::bind(address).await.unwrap(), false));
    speaks(b"http/1.1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_reports_whether_strangers_reach_web_server() {
    let rig = Rig::start().await;
    rig.handle.visit().await.expect("its own page is always there");
    let (listener, upstream) = mirror().await;
    let rig = Rig::with(Server::builder(), |config| config.decoy = Decoy::Upstream(upstream.into())).await;
    rig.handle.visit().await.unwrap();
    drop(listener);
    assert!(rig.handle.visit().await.is_err());
    let nowhere = Upstream::Unix("/nonexistent/web.sock".into());
    let rig = Rig::with(Server::builder(), |config| config.decoy = Decoy::Upstream(nowhere.into())).await;
    assert!(rig.handle.visit().await.is_err());
}
