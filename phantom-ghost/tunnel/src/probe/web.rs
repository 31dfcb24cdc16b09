//! Probes of a visitor who knows nothing: good and bad requests to a web server.

use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::http::Request;
use super::report::ProbeFinding;
use super::wire::{Exchange, Sni, Target, Until};
use super::{letters, said};
use crate::client::{random, sign};

const GROUP: &str = "web";
/// What servers answer to a page that may or may not be there.
const ANYTHING: &[RangeInclusive<u16>] = &[200..=499, 501..=501];
/// What servers answer to a page that is not there: an error, a page for everything, or a way elsewhere.
const MISSING: &[RangeInclusive<u16>] = &[200..=399, 401..=401, 403..=404, 410..=410];

/// A request and what may be answered to it.
struct Probe {
    name: &'static str,
    request: Vec<u8>,
    statuses: &'static [RangeInclusive<u16>],
    /// Whether an answer without HTTP, or an end without an answer, is ordinary too.
    bare: bool,
    /// Whether the connection must end: nobody can tell where the next request would begin.
    ends: bool,
}

impl Probe {
    fn new(name: &'static str, request: Vec<u8>, statuses: &'static [RangeInclusive<u16>]) -> Self {
        Self { name, request, statuses, bare: false, ends: false }
    }

    fn ends(self) -> Self {
        Self { ends: true, ..self }
    }

    fn bare(self) -> Self {
        Self { bare: true, ..self }
    }
}

/// All of them.
pub(super) async fn run(target: &Target, findings: &mut Vec<ProbeFinding>) {
    for probe in probes(&target.server.authority()) {
        let until = if probe.ends { Until::Closed } else { Until::Complete };
        let seen = match target.ask(&probe.request, until).await {
            Ok(seen) => judge(&probe, &seen),
            Err(error) => Err(said(&error)),
        };
        findings.push(ProbeFinding::new(GROUP, probe.name, seen));
    }
    for (name, sni) in [("no name in the hello", Sni::None), ("another name in the hello", Sni::Other)] {
        findings.push(ProbeFinding::new(GROUP, name, named(target, sni).await));
    }
    findings.push(ProbeFinding::new(GROUP, "upgrade on /", upgrade(target).await));
    findings.push(ProbeFinding::new(GROUP, "two requests on one connection", keep_alive(target).await));
    findings.push(ProbeFinding::new(GROUP, "a request in small pieces", pieces(target).await));
    findings.push(http2(target).await);
}

fn probes(host: &str) -> Vec<Probe> {
    let get = |target: &str| Request::get(target, host);
    let mut many = get("/");
    for number in 0..200 {
        many = many.with(&format!("X-Field-{number}"), "value");
    }
    let garbage = [&random::<256>()[..], b"\r\n\r\n", &random::<256>(), b"\r\n\r\n"].concat();
    let brew = get("/").line("BREW / HTTP/1.1").bytes();
    let future = get("/").line("GET / HTTP/3.7").bytes();
    let missing = format!("/{}", letters(12));
    let bad = format!("GET / HTTP/1.1\r\nHost: {host}\r\nno colon in here\r\n\r\n").into_bytes();
    vec![
        Probe::new("GET /", get("/").bytes(), &[200..=399, 401..=401, 403..=404]),
        Probe::new("GET of an unknown URL", get(&missing).bytes(), MISSING),
        Probe::new("HEAD /", get("/").line("HEAD / HTTP/1.1").bytes(), ANYTHING),
        Probe::new("another Host", get("/").but("Host", "www.example.org").bytes(), ANYTHING),
        Probe::new("POST /", get("/").line("POST / HTTP/1.1").body("").bytes(), ANYTHING),
        Probe::new("a method that does not exist", brew, ANYTHING),
        Probe::new("garbage after TLS", garbage, &[400..=400]).ends().bare(),
        Probe::new("a field without a colon", bad, &[200..=404]),
        Probe::new("no Host", get("/").without("Host").bytes(), &[400..=400]).ends(),
        Probe::new(
            "a URL of 20,000 bytes",
            get(&format!("/{}", "a".repeat(20_000))).bytes(),
            &[400..=400, 404..=404, 414..=414, 431..=431],
        ),
        Probe::new("200 fields", many.bytes(), &[200..=404, 413..=413, 431..=431]),
        Probe::new("HTTP/0.9", b"GET /\r\n".to_vec(), &[200..=404, 426..=426, 505..=505]).ends().bare(),
        Probe::new("HTTP/3.7", future, &[400..=400, 426..=426, 505..=505]).ends(),
    ]
}

/// What was seen, or what is wrong with it.
fn judge(probe: &Probe, seen: &Exchange) -> Result<String, String> {
    let summary = seen.answer.summary();
    let Some(status) = seen.answer.status() else {
        let ordinary = probe.bare && seen.closed;
        return if ordinary {
            Ok(format!("{summary}, then the end"))
        } else {
            Err(format!("{summary}, no status"))
        };
    };
    if !probe.statuses.iter().any(|range| range.contains(&status)) {
        return Err(format!("{summary}: no usual status for this"));
    }
    if let Some(oddity) = seen.answer.oddity() {
        return Err(format!("{summary}: {oddity}"));
    }
    if probe.ends && !seen.closed {
        return Err(format!("{summary}: the connection stays open after it"));
    }
    Ok(summary)
}

/// A plain visit with another name, or none, in the TLS hello.
async fn named(target: &Target, sni: Sni) -> Result<String, String> {
    let mut stream = match target.tls(sni, &[b"http/1.1"]).await {
        Ok(stream) => stream,
        // Servers with several sites may refuse a name that is none of theirs.
        Err(error) => {
            return super::wire::alert(&error).map(|alert| format!("alert {alert}")).ok_or(said(&error));
        }
    };
    let request = Request::get("/", &target.server.authority()).bytes();
    let seen = target.exchange(&mut stream, &request, Until::Complete).await;
    judge(&Probe::new("", Vec::new(), ANYTHING), &seen.map_err(|error| said(&error))?)
}

/// A good request for a WebSocket where there is none is answered like any other.
async fn upgrade(target: &Target) -> Result<String, String> {
    let host = target.server.authority();
    let plain = Request::get("/", &host).bytes();
    let upgrade = Request::tunnel("/", &host, &sign("{}")).bytes();
    let mut answers = Vec::new();
    for request in [&plain, &plain, &upgrade] {
        answers.push(target.ask(request, Until::Complete).await.map_err(|error| said(&error))?.answer);
    }
    let volatile = answers[0].volatile(&answers[1]);
    if answers[2].status() == Some(101) {
        return Err("101: a WebSocket opens without a secret".to_owned());
    }
    if answers[0].normal(&volatile, "") == answers[2].normal(&volatile, "") {
        Ok("answered like GET /".to_owned())
    } else {
        Err(format!("{}, but GET / {}", answers[2].summary(), answers[0].summary()))
    }
}

/// Web servers answer more than one request on a connection.
async fn keep_alive(target: &Target) -> Result<String, String> {
    let request = Request::get("/", &target.server.authority()).bytes();
    let seen = async {
        let mut stream = target.tls(Sni::Right, &[b"http/1.1"]).await?;
        let first = target.exchange(&mut stream, &request, Until::Complete).await?;
        Ok((first, target.exchange(&mut stream, &request, Until::Complete).await?))
    };
    let (first, second) = seen.await.map_err(|error: std::io::Error| said(&error))?;
    match (first.answer.status(), second.answer.status()) {
        (Some(one), Some(two)) if one == two => Ok(format!("{one} twice")),
        _ => Err(format!("{}, then {}", first.answer.summary(), second.answer.summary())),
    }
}

/// The same bytes get the same answer, however they are cut.
async fn pieces(target: &Target) -> Result<String, String> {
    let request = Request::get("/", &target.server.authority()).bytes();
    let seen = async {
        let whole = target.ask(&request, Until::Complete).await?;
        let mut stream = target.tls(Sni::Right, &[b"http/1.1"]).await?;
        let (last, first) = request.split_last().unwrap_or((&b'\n', &[]));
        for piece in first.chunks(7) {
            stream.write_all(piece).await?;
            stream.flush().await?;
            sleep(Duration::from_millis(5)).await;
        }
        let cut = target.exchange(&mut stream, &[*last], Until::Complete).await?;
        Ok((whole.answer, cut.answer))
    };
    let (whole, cut) = seen.await.map_err(|error: std::io::Error| said(&error))?;
    if whole.status() == cut.status() && whole.body == cut.body {
        Ok(cut.summary())
    } else {
        Err(format!("{}, but in one piece {}", cut.summary(), whole.summary()))
    }
}

/// A server that chooses HTTP/2 has to speak it: its first frame is SETTINGS (RFC 9113 section 3.4).
async fn http2(target: &Target) -> ProbeFinding {
    let name = "HTTP/2";
    let mut stream = match target.tls(Sni::Right, &[b"h2", b"http/1.1"]).await {
        Ok(stream) => stream,
        Err(error) => return ProbeFinding::new(GROUP, name, Err(said(&error))),
    };
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return ProbeFinding::new(GROUP, name, Ok("not offered; HTTP/1.1 is chosen".to_owned()));
    }
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut frame = [0; 9];
    let asked = async {
        stream.write_all(hello).await?;
        stream.flush().await?;
        stream.read_exact(&mut frame).await
    };
    let seen = match timeout(target.patience, asked).await {
        Ok(Ok(_)) if frame[3] == 4 && frame[4] & 1 == 0 => Ok("SETTINGS".to_owned()),
        Ok(Ok(_)) => Err("chosen, but the first frame is not SETTINGS".to_owned()),
        _ => Err("chosen, but not spoken".to_owned()),
    };
    ProbeFinding::new(GROUP, name, seen)
}
