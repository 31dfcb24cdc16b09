//! Probes of time: whether wrong secrets take longer than unknown URLs, and how long idle visitors are kept.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::http::Request;
use super::report::Finding;
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
    findings: &mut Vec<Finding>,
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

async fn one(target: &Target, name: &str, kinds: [&dyn Fn() -> Vec<u8>; 2], samples: usize) -> Finding {
    match times(target, kinds, samples).await {
        Ok([a, b]) if a.len() >= LEAST && b.len() >= LEAST => {
            Finding::comparison(name, Comparison::of(&a, &b))
        }
        Ok([a, b]) => {
            let why = format!("{} and {} answers in {} s are too few", a.len(), b.len(), BUDGET.as_secs());
            Finding::unsaid("timing", name, why)
        }
        Err(error) => Finding::new("timing", name, Err(said(&error))),
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
pub(super) async fn idle(target: &Target, findings: &mut Vec<Finding>) {
    let get = Request::get("/", &target.server.authority()).bytes();
    let (half, _) = get.split_at(get.len() / 2);
    let (mute, silent, half, kept) = tokio::join!(
        watch(target, None, b""),
        watch(target, Some(Until::Closed), b""),
        watch(target, Some(Until::Closed), half),
        watch(target, Some(Until::Complete), &get),
    );
    for (name, seen) in
        [("no hello", mute), ("no request", silent), ("half a request", half), ("no second request", kept)]
    {
        findings.push(Finding::new("slow", name, seen));
    }
}

/// Sends `bytes`, with TLS or without, and waits for the end of the connection.
async fn watch(target: &Target, tls: Option<Until>, bytes: &[u8]) -> Result<String, String> {
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
    let seen = timeout(IDLE * 2, seen).await.map_err(|_| "never closed".to_owned())?;
    let (closed, time) = (seen.map_err(|error| said(&error))?.closed, start.elapsed().as_secs());
    if closed { Ok(format!("closed after {time} s")) } else { Err(format!("still open after {time} s")) }
}
