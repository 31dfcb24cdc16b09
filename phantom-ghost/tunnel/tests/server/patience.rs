//! How long visitors have while a web server behind the tunnel answers them: as long as that one says, whatever they have sent.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use phantom_tunnel::config::{Decoy, Upstream};
use phantom_tunnel::secrets::Secret;
use phantom_tunnel::server::{Server, Timeouts};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout, timeout_at};

use crate::support::{self, Client, PATIENCE, Rig, ask, client_config, connect_with, unlimited, upgrade};

/// As long as the web server waits, from when it was connected to.
const WAITS: Duration = Duration::from_millis(1500);
/// As long as the tunnel server waits: no visitor may notice it.
const SHORT: Duration = Duration::from_millis(400);

/// A web server that waits for a head's end, and tells a visitor who takes too long what it got.
async fn web_server(h2: bool) -> Upstream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let limit = tokio::time::Instant::now() + WAITS;
            tokio::spawn(async move {
                let mut got = Vec::new();
                let status = loop {
                    match timeout_at(limit, stream.read_buf(&mut got)).await {
                        Err(_) => break "408 Late",
                        Ok(Ok(1..)) if h2 && got.starts_with(b"PRI * HTTP/2.0") => {
                            let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await;
                        }
                        Ok(Ok(1..)) if got.ends_with(b"\r\n\r\n") => break "404 Whole",
                        Ok(Ok(1..)) => {}
                        Ok(_) => return,
                    }
                };
                let head = format!("HTTP/1.1 {status}\r\n\r\n");
                let _ = stream.write_all(&[head.as_bytes(), &got].concat()).await;
            });
        }
    });
    Upstream::Tcp(address)
}

async fn rig(upstream: Upstream) -> Rig {
    let timeouts = Timeouts { handshake: PATIENCE, header: SHORT, keep_alive: SHORT, ..Timeouts::default() };
    let builder = Server::builder().limits(unlimited()).timeouts(timeouts);
    Rig::with(builder, |config| config.decoy = Decoy::Upstream(upstream.into())).await
}

/// What comes back until the end of the connection, and when that end came.
async fn end(stream: &mut (impl AsyncRead + Unpin), begin: Instant) -> (String, Duration) {
    let mut got = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut got)).await.unwrap();
    (String::from_utf8_lossy(&got).into_owned(), begin.elapsed())
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), words: &str) {
    stream.write_all(words.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_request_ends_as_web_server_would() {
    let rig = rig(web_server(false).await).await;
    let stranger = Secret::generate();
    let shaped = upgrade(stranger.reveal(), rig.port());
    let half = shaped.split_at(shaped.len() - 30).0.to_owned();
    let mut visits = Vec::new();
    for words in [
        "",
        "G",
        "GET /",
        "GET /abc",
        "GET /abc/ev",
        "GET /abc/events HTTP/1.1\r\n",
        "GET /abc/eventz HTTP/1.1\r\n",
        "POST /abc/events HTTP/1.1\r\n",
        "\r\nGET /abc/events HTTP/1.1\r\n",
        &half,
    ] {
        let (mut stream, begin, words) = (rig.connect().await, Instant::now(), words.to_owned());
        visits.push(tokio::spawn(async move {
            say(&mut stream, &words).await;
            (end(&mut stream, begin).await, words)
        }));
    }
    for visit in visits {
        let ((got, lasted), words) = visit.await.unwrap();
        assert_eq!(got, format!("HTTP/1.1 408 Late\r\n\r\n{words}"), "{words:?} after {lasted:?}");
        assert!(lasted + Duration::from_millis(200) >= WAITS, "{words:?} after {lasted:?}");
        assert!(lasted < WAITS * 2, "{words:?} after {lasted:?}");
    }
}

/// The web server's patience begins with the visitor's connection, not with the visitor's words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_bytes_do_not_restart_the_timeout() {
    let rig = rig(web_server(false).await).await;
    let (mut stream, begin) = (rig.connect().await, Instant::now());
    for word in ["GET /abc", "/events", " HTTP/1.1\r\n"] {
        sleep(WAITS / 4).await;
        say(&mut stream, word).await;
    }
    let (got, lasted) = end(&mut stream, begin).await;
    assert_eq!(got, "HTTP/1.1 408 Late\r\n\r\nGET /abc/events HTTP/1.1\r\n");
    assert!(lasted < WAITS + WAITS / 2, "{lasted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_tunnel_request_never_reaches_web_server() {
    let rig = rig(web_server(false).await).await;
    let right = upgrade(rig.secret(), rig.port());
    // Its end comes in time.
    let (first, rest) = right.split_at(right.len() - 30);
    let mut stream = rig.connect().await;
    say(&mut stream, first).await;
    sleep(SHORT / 4).await;
    Client::open(stream, rest).await.map(drop).unwrap();
    // In two records, the first of which does not hold the secret yet.
    let (first, rest) = right.split_at(10);
    let mut stream = rig.connect().await;
    for part in [first, rest] {
        stream.get_mut().1.writer().write_all(part.as_bytes()).unwrap();
    }
    Client::open(stream, "").await.map(drop).unwrap();
    // Its end never comes.
    let mut stream = rig.connect().await;
    say(&mut stream, right.split_at(right.len() - 2).0).await;
    assert_eq!(end(&mut stream, Instant::now()).await.0, "");
    // Or it is another request in the end, which the web server answers as any.
    let wrong = right.replace("websocket-version: 13", "websocket-version: 12");
    let (first, rest) = wrong.split_at(right.len() - 30);
    let mut stream = rig.connect().await;
    say(&mut stream, first).await;
    sleep(SHORT / 4).await;
    say(&mut stream, rest).await;
    assert_eq!(end(&mut stream, Instant::now()).await.0, format!("HTTP/1.1 404 Whole\r\n\r\n{wrong}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_visitor_has_the_same_time() {
    let rig = rig(web_server(true).await).await;
    let mut config = client_config();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut stream = connect_with(rig.address, config, support::NAME).await.unwrap();
    let (got, lasted) = end(&mut stream, Instant::now()).await;
    assert_eq!(got, "HTTP/1.1 408 Late\r\n\r\n");
    assert!(lasted + Duration::from_millis(200) >= WAITS, "{lasted:?}");
}

/// Nobody else's patience counts then, and all beginnings are alike again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_request_times_out_without_web_server() {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let rig = rig(Upstream::Tcp(gone)).await;
    for words in ["", "G", "GET /abc/events HTTP/1.1\r\n", "POST /abc HTTP/1.1\r\n"] {
        let (mut stream, begin) = (rig.connect().await, Instant::now());
        say(&mut stream, words).await;
        let (got, lasted) = end(&mut stream, begin).await;
        assert!(got.is_empty() && lasted < SHORT * 3, "{words:?} after {lasted:?}: {got}");
    }
    let mut stream = rig.connect().await;
    say(&mut stream, "GET / HTTP/1.1\r\nHo").await;
    let answer = ask(&mut stream, "st: x\r\n\r\n").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    rig.tunnel().await;
}
