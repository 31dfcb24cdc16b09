//! The prober against our server, and against servers that give themselves away.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use phantom_tunnel::client::Server;
use phantom_tunnel::limits::Limits;
use phantom_tunnel::probe::{ProbeOptions, ProbeReport, ProbeVerdict, probe};
use phantom_tunnel::server;
use phantom_types::Lang;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::support::{NAME, OurServer, TunnelNet};

fn options(world: &TunnelNet, port: u16, samples: usize) -> ProbeOptions {
    ProbeOptions {
        server: Server::new(NAME.parse().unwrap(), port),
        address: Some(Ipv4Addr::LOCALHOST.into()),
        secret: Some(world.secret.clone()),
        wireguard_port: world.echo.port(),
        trust: world.trust(),
        samples,
        patience: Duration::from_secs(5),
        slow: false,
    }
}

fn verdict(report: &ProbeReport, group: &str, name: &str) -> ProbeVerdict {
    let found = report.findings.iter().find(|finding| finding.group == group && finding.name == name);
    found.unwrap_or_else(|| panic!("{group} {name}: {}", report.text(Lang::En))).verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_distinguishes_our_server() {
    let world = TunnelNet::new().await;
    let mut limits = Limits::default();
    // Errors are not held back: it would take minutes.
    limits.errors.burst = 1_000_000;
    let server = OurServer::start(&world, server::Server::builder().limits(limits), 0).await;
    let report = probe(&options(&world, server.port, 300)).await.unwrap();
    println!("{}", report.text(Lang::En));
    // Times on a machine that does other things may differ once; not again and again in the same way.
    let strange = report.findings.iter().filter(|finding| finding.verdict == ProbeVerdict::Distinguishable);
    assert!(strange.clone().all(|finding| finding.group == "timing"), "{}", report.text(Lang::En));
    if strange.count() > 0 {
        let again = probe(&options(&world, server.port, 300)).await.unwrap();
        assert!(!again.distinguishable(), "{}\n{}", report.text(Lang::En), again.text(Lang::En));
    }
    assert_eq!(verdict(&report, "secret", "the secret opens a tunnel"), ProbeVerdict::Ordinary);
    assert!(report.findings.len() > 60, "{}", report.findings.len());
    // Only the right requests opened tunnels.
    assert!((2..=4).contains(&server.opened()), "{}", server.opened());
    // Each of its texts is known in Turkish: what is not would be quoted.
    let turkish = report.text(Lang::Tr);
    assert!(!turkish.contains('«'), "{turkish}");
    assert_eq!(turkish.lines().count(), report.text(Lang::En).lines().count());
    assert!(!report.json().to_string().contains(world.secret.reveal()));
}

/// The ends of idle connections, with times that a test can wait for.
#[tokio::test(flavor = "multi_thread")]
async fn idle_visitors_are_sent_away() {
    let world = TunnelNet::new().await;
    let mut limits = Limits::default();
    limits.errors.burst = 1_000_000;
    let short = Duration::from_secs(2);
    let timeouts =
        server::Timeouts { handshake: short, header: short, keep_alive: short, ..Default::default() };
    let server =
        OurServer::start(&world, server::Server::builder().limits(limits).timeouts(timeouts), 0).await;
    let report = probe(&ProbeOptions { slow: true, ..options(&world, server.port, 0) }).await.unwrap();
    for name in ["no hello", "no request", "half a request", "no second request"].into_iter().chain(HALVES) {
        assert_eq!(verdict(&report, "slow", name), ProbeVerdict::Ordinary, "{}", report.text(Lang::En));
    }
}

/// Pairs of what ends alike with every server that does not look for a tunnel's request.
const HALVES: [&str; 3] = [
    "half a tunnel's request, beside half of another",
    "half a tunnel's request, beside half of a POST",
    "the beginning of a tunnel's request, beside another one",
];

/// A server that waits for a tunnel's request alone, and hands everything else on.
#[tokio::test(flavor = "multi_thread")]
async fn single_request_server_is_detected() {
    let world = TunnelNet::new().await;
    let patience = |half: &[u8]| {
        let shaped = half.windows(8).any(|part| part == b"/events ") && half.starts_with(b"GET /");
        Duration::from_secs(if shaped { 1 } else { 6 })
    };
    let port = serve_patiently(&world, |_, _| (Duration::ZERO, MISSING.to_owned()), patience).await;
    let options = ProbeOptions { slow: true, patience: Duration::from_secs(1), ..options(&world, port, 0) };
    let report = probe(&options).await.unwrap();
    let found = HALVES.map(|name| verdict(&report, "slow", name));
    let [different, same] = [ProbeVerdict::Distinguishable, ProbeVerdict::Ordinary];
    assert_eq!(found, [different, different, same], "{}", report.text(Lang::En));
}

/// What is answered to a request's head, and after which time. The other text is the secret.
type Page = fn(&str, &str) -> (Duration, String);

/// A server on loopback that answers everything with `page`.
async fn serve(world: &TunnelNet, page: Page) -> u16 {
    serve_patiently(world, page, |_| Duration::from_mins(1)).await
}

/// The same, which waits for so long when half of a request has come.
async fn serve_patiently(world: &TunnelNet, page: Page, patience: fn(&[u8]) -> Duration) -> u16 {
    let chain = CertificateDer::pem_file_iter(&world.chain).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&world.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let secret = world.secret.reveal().to_owned();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, secret) = (acceptor.clone(), secret.clone());
            tokio::spawn(async move {
                if let Ok(Ok(stream)) = timeout(patience(b""), acceptor.accept(tcp)).await {
                    answer(stream, page, patience, &secret).await;
                }
            });
        }
    });
    port
}

/// Reads one head after the other and answers it.
async fn answer(mut stream: TlsStream<TcpStream>, page: Page, patience: fn(&[u8]) -> Duration, secret: &str) {
    let mut bytes = Vec::new();
    loop {
        while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let (time, text) = page(&String::from_utf8_lossy(&bytes[..end]), secret);
            bytes.drain(..end + 4);
            sleep(time).await;
            if stream.write_all(text.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
        let wait = patience(&bytes);
        if !matches!(timeout(wait, stream.read_buf(&mut bytes)).await, Ok(Ok(1..))) {
            return;
        }
    }
}

const MISSING: &str =
    "HTTP/1.1 404 Not Found\r\nDate: x\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nnone";

/// What wstunnel's own server answers to everything.
#[tokio::test(flavor = "multi_thread")]
async fn the_answers_of_wstunnel_are_found() {
    let world = TunnelNet::new().await;
    let page: Page = |_, _| {
        let text = "HTTP/1.1 400 Bad Request\r\ncontent-length: 15\r\n\r\nInvalid request";
        (Duration::ZERO, text.to_owned())
    };
    let port = serve(&world, page).await;
    let mut options = options(&world, port, 0);
    options.patience = Duration::from_secs(1);
    let report = probe(&options).await.unwrap();
    assert!(report.distinguishable());
    for name in ["GET /", "GET of an unknown URL", "no Host"] {
        assert_eq!(verdict(&report, "web", name), ProbeVerdict::Distinguishable, "{}", report.text(Lang::En));
    }
}

/// A server that takes 3 ms longer for whatever has the shape of a tunnel's URL.
#[tokio::test(flavor = "multi_thread")]
async fn a_difference_in_time_is_found() {
    let world = TunnelNet::new().await;
    let page: Page = |head, _| {
        let time = if head.contains("/events HTTP") { Duration::from_millis(3) } else { Duration::ZERO };
        (time, MISSING.to_owned())
    };
    let port = serve(&world, page).await;
    let mut options = options(&world, port, 60);
    options.patience = Duration::from_secs(1);
    let report = probe(&options).await.unwrap();
    let name = "a guessed secret, beside an unknown URL";
    assert_eq!(verdict(&report, "timing", name), ProbeVerdict::Distinguishable, "{}", report.text(Lang::En));
    assert_eq!(verdict(&report, "shape", name), ProbeVerdict::Ordinary, "{}", report.text(Lang::En));
}

/// A server that tells a wrong request under the right secret from one under a wrong secret.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_shows_is_found() {
    let world = TunnelNet::new().await;
    let page: Page = |head, secret| {
        let right = head.contains(&format!("/{secret}/events HTTP/1.1"));
        let text = match (right, head.starts_with("GET") && head.contains("Version: 13")) {
            (true, false) => MISSING.replace("none", "what"),
            (true, true) => "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
            _ => MISSING.to_owned(),
        };
        (Duration::ZERO, text)
    };
    let port = serve(&world, page).await;
    let mut options = options(&world, port, 0);
    options.patience = Duration::from_secs(1);
    let report = probe(&options).await.unwrap();
    for name in ["another WebSocket version", "POST", "no token"] {
        assert_eq!(
            verdict(&report, "secret", name),
            ProbeVerdict::Distinguishable,
            "{name}: {}",
            report.text(Lang::En)
        );
    }
    assert_eq!(
        verdict(&report, "secret", "another last letter"),
        ProbeVerdict::Ordinary,
        "{}",
        report.text(Lang::En)
    );
    assert_eq!(verdict(&report, "shape", "POST"), ProbeVerdict::Ordinary, "{}", report.text(Lang::En));
}
