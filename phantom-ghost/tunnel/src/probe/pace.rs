//! Probes of time: whether wrong secrets take longer than unknown URLs, and how long idle visitors are kept.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::http::Request;
use super::report::ProbeFinding;
use super::shape::good;
use super::timing::Comparison;
use super::wire::{Sni, Target, Tls, Until, exchange};
use super::{letters, said};
use crate::client::random;
use crate::secrets::Secret;

/// Fewer answers of each kind say nothing.
const LEAST: usize = 20;
/// How long one comparison may take in all.
const BUDGET: Duration = Duration::from_mins(2);
/// How long idle connections are watched. Usual servers close them after 20 to 75 seconds.
const IDLE: Duration = Duration::from_mins(3);

/// Compares answer times, `samples` of each kind.
pub(super) async fn compare(
    target: &Target,
    secret: Option<&Secret>,
    port: u16,
    samples: usize,
    findings: &mut Vec<ProbeFinding>,
) {
    let host = target.server.authority();
    // The same request but for its URL: what differs in time is what the server makes of it.
    let tunnel = || good(&letters(64), &host, port).bytes();
    let unknown = || {
        let path = letters(64 + "/events".len());
        good("", &host, port).line(&format!("GET /{path} HTTP/1.1")).bytes()
    };
    let name = "a guessed secret, beside an unknown URL";
    findings.push(one(target, name, [&tunnel, &unknown], samples).await);
    if let Some(secret) = secret {
        let text = secret.reveal();
        let near = || {
            let (first, last) = text.split_at(text.len() - 1);
            good(&format!("{first}{}", if last == "a" { "b" } else { "a" }), &host, port).bytes()
        };
        let far = || good(&letters(text.len()), &host, port).bytes();
        let name = "all letters right but the last, beside none right";
        findings.push(one(target, name, [&near, &far], samples).await);
    }
}

async fn one(target: &Target, name: &str, kinds: [&dyn Fn() -> Vec<u8>; 2], samples: usize) -> ProbeFinding {
    match times(target, kinds, samples).await {
        Ok([a, b]) if a.len() >= LEAST && b.len() >= LEAST => {
            ProbeFinding::comparison(name, Comparison::between(&a, &b))
        }
        Ok([a, b]) => {
            let why = format!("{} and {} answers in {} s are too few", a.len(), b.len(), BUDGET.as_secs());
            ProbeFinding::unsaid("timing", name, why)
        }
        Err(error) => ProbeFinding::new("timing", name, Err(said(&error))),
    }
}

/// Answer times in microseconds. Pairs of both kinds in random order, on connections that stay open where they may.
async fn times(
    target: &Target,
    kinds: [&dyn Fn() -> Vec<u8>; 2],
    samples: usize,
) -> io::Result<[Vec<f64>; 2]> {
    let mut found = [Vec::new(), Vec::new()];
    let mut stream: Option<Tls> = None;
    let end = Instant::now() + BUDGET;
    // The first pair warms both ends up and does not count.
    for round in 0..=samples {
        let first = usize::from(random::<1>()[0] & 1);
        // Made before either is sent: what takes longer to make would find a server that has slept longer.
        let requests = kinds.map(|make| make());
        for kind in [first, 1 - first] {
            if Instant::now() >= end {
                return Ok(found);
            }
            let mut open = match stream.take() {
                Some(open) => open,
                None => target.tls(Sni::Right, &[b"http/1.1"]).await?,
            };
            let seen = target.exchange(&mut open, &requests[kind], Until::Complete).await?;
            if !seen.answer.complete {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if round > 0 {
                found[kind].push(seen.first_byte.as_secs_f64() * 1e6);
            }
            let closes = seen.closed || seen.answer.field("Connection") == Some("close");
            stream = (!closes).then_some(open);
        }
    }
    Ok(found)
}

/// What is kept open although nothing comes, one at a time side by side.
pub(super) async fn idle(target: &Target, findings: &mut Vec<ProbeFinding>) {
    let get = Request::get("/", &target.server.authority()).bytes();
    let (half, _) = get.split_at(get.len() / 2);
    let secret = letters(64);
    let of = |line: &str| format!("{line} HTTP/1.1\r\n").into_bytes();
    let shaped = of(&format!("GET /{secret}/events"));
    let (other, posted) = (of(&format!("GET /{secret}/eventz")), of(&format!("POST /{secret}/events")));
    let (start, unlike) = (b"GET /a", b"POST /");
    let closed = Some(Until::Closed);
    let (mute, silent, half, kept, shaped, other, posted, start, unlike) = tokio::join!(
        watch(target, None, b""),
        watch(target, closed, b""),
        watch(target, closed, half),
        watch(target, Some(Until::Complete), &get),
        watch(target, closed, &shaped),
        watch(target, closed, &other),
        watch(target, closed, &posted),
        watch(target, closed, start),
        watch(target, closed, unlike),
    );
    let halves = [
        ("half a tunnel's request, beside half of another", &shaped, &other),
        ("half a tunnel's request, beside half of a POST", &shaped, &posted),
        ("the beginning of a tunnel's request, beside another one", &start, &unlike),
    ];
    let halves = halves.map(|(name, one, other)| ProbeFinding::new("slow", name, alike(one, other)));
    for (name, seen) in
        [("no hello", mute), ("no request", silent), ("half a request", half), ("no second request", kept)]
    {
        let seen = seen.map_err(|error| said(&error)).and_then(|idle| idle.judged());
        findings.push(ProbeFinding::new("slow", name, seen));
    }
    findings.extend(halves);
}

/// The end of an idle connection.
struct Idle {
    /// When it came, if it came.
    closed: Option<Duration>,
    /// What the server said before, its first line.
    said: Option<String>,
}

/// Times that a server means to be the same may differ by so much: many look at them once a second.
const JITTER: Duration = Duration::from_secs(3);

impl Idle {
    fn judged(&self) -> Result<String, String> {
        if self.closed.is_some() { Ok(self.text()) } else { Err(self.text()) }
    }

    fn text(&self) -> String {
        let end = self.closed.map_or_else(
            || format!("still open after {} s", IDLE.as_secs()),
            |time| format!("closed after {} s", time.as_secs()),
        );
        self.said.as_ref().map_or(end.clone(), |said| format!("{said}, {end}"))
    }

    fn is_like(&self, other: &Self) -> bool {
        let together = match (self.closed, other.closed) {
            (Some(one), Some(other)) => one.abs_diff(other) < JITTER,
            (one, other) => one == other,
        };
        together && self.said == other.said
    }
}

/// Whether two idle connections ended in one way: a server that looks for one request alone shows by the difference.
fn alike(one: &io::Result<Idle>, other: &io::Result<Idle>) -> Result<String, String> {
    match (one, other) {
        (Ok(one), Ok(other)) if one.is_like(other) => Ok(one.text()),
        (Ok(one), Ok(other)) => Err(format!("{}, and {}", one.text(), other.text())),
        (Err(error), _) | (_, Err(error)) => Err(said(error)),
    }
}

/// Sends `bytes`, with TLS or without, and waits for the end of the connection.
async fn watch(target: &Target, tls: Option<Until>, bytes: &[u8]) -> io::Result<Idle> {
    let start = Instant::now();
    let seen = async {
        match tls {
            None => exchange(&mut target.tcp().await?, bytes, Until::Closed, IDLE).await,
            Some(until) => {
                let mut stream = target.tls(Sni::Right, &[b"http/1.1"]).await?;
                if until == Until::Complete {
                    target.exchange(&mut stream, bytes, until).await?;
                }
                let rest = if until == Until::Complete { b"" } else { bytes };
                exchange(&mut stream, rest, Until::Closed, IDLE).await
            }
        }
    };
    let seen = timeout(IDLE * 2, seen).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let closed = seen.closed.then(|| start.elapsed());
    Ok(Idle { closed, said: seen.answer.line })
}
