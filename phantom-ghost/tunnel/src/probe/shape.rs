//! Probes of a visitor who knows how tunnels are asked for, without and with the secret.
//!
//! Every wrong request must get, byte for byte, what the same request gets for an unknown URL. What differs by itself (the
//! date, and what differs between two equal requests) is not compared, and neither is the URL where it is repeated.

use std::collections::BTreeSet;
use std::io;

use super::http::{Answer, Request};
use super::report::ProbeFinding;
use super::wire::{Sni, Target, Until};
use super::{letters, said};
use crate::client::sign;
use crate::secrets::Secret;

/// The length of a guessed secret.
const LENGTH: usize = 64;

/// The claims of a good token, and of one that asks for what is not served.
pub(super) fn claims(protocol: &str, host: &str, port: u16) -> String {
    format!(r#"{{"id":"01a1fbf8-0428-7683-8960-bf786a2b7dd0","p":{protocol},"r":"{host}","rp":{port}}}"#)
}

const UDP: &str = r#"{"Udp":{"timeout":null}}"#;

/// A request for a tunnel to `port`, good if `segment` is the secret.
pub(super) fn good(segment: &str, host: &str, port: u16) -> Request {
    Request::tunnel(&format!("/{segment}/events"), host, &sign(&claims(UDP, "127.0.0.1", port)))
}

/// Ways to ask for a tunnel that are wrong even under the secret.
type Wrong = fn(&str, &str, u16) -> Request;

const WRONG: &[(&str, Wrong)] = &[
    ("a plain GET", |segment, host, _| Request::get(&format!("/{segment}/events"), host)),
    ("POST", |segment, host, port| {
        good(segment, host, port).line(&format!("POST /{segment}/events HTTP/1.1"))
    }),
    ("HTTP/1.0", |segment, host, port| {
        good(segment, host, port).line(&format!("GET /{segment}/events HTTP/1.0"))
    }),
    ("no Upgrade", |segment, host, port| good(segment, host, port).without("Upgrade")),
    ("Connection: keep-alive", |segment, host, port| {
        good(segment, host, port).but("Connection", "keep-alive")
    }),
    ("another WebSocket version", |segment, host, port| {
        good(segment, host, port).but("Sec-WebSocket-Version", "12")
    }),
    ("no key", |segment, host, port| good(segment, host, port).without("Sec-WebSocket-Key")),
    ("a short key", |segment, host, port| good(segment, host, port).but("Sec-WebSocket-Key", "c2hvcnQ=")),
    ("no token", |segment, host, port| good(segment, host, port).but("Sec-WebSocket-Protocol", "v1")),
    ("a broken token", |segment, host, port| {
        good(segment, host, port).but("Sec-WebSocket-Protocol", "v1, authorization.bearer.a.b.c")
    }),
    ("a token for TCP", |segment, host, port| {
        let tcp = sign(&claims(r#"{"Tcp":{"proxy_protocol":false}}"#, "127.0.0.1", port));
        Request::tunnel(&format!("/{segment}/events"), host, &tcp)
    }),
    ("a token for another host", |segment, host, port| {
        Request::tunnel(&format!("/{segment}/events"), host, &sign(&claims(UDP, "192.0.2.1", port)))
    }),
    ("a token for another port", |segment, host, port| good(segment, host, port ^ 1)),
    ("a body", |segment, host, port| good(segment, host, port).body("hello")),
    ("only the secret in the path", |segment, host, port| {
        good(segment, host, port).line(&format!("GET /{segment} HTTP/1.1"))
    }),
    ("a slash at the end", |segment, host, port| {
        good(segment, host, port).line(&format!("GET /{segment}/events/ HTTP/1.1"))
    }),
    ("more in the path", |segment, host, port| {
        good(segment, host, port).line(&format!("GET /{segment}/x/events HTTP/1.1"))
    }),
    ("a query", |segment, host, port| {
        good(segment, host, port).line(&format!("GET /{segment}/events?x=1 HTTP/1.1"))
    }),
];

/// Without the secret: a whole tunnel request under a guess is an unknown URL like any other.
pub(super) async fn stranger(target: &Target, port: u16, findings: &mut Vec<ProbeFinding>) {
    let host = target.server.authority();
    let guess = letters(LENGTH);
    let request = good(&guess, &host, port);
    let plain = |path: String| Request::get(&path, &host);
    let unknown = letters(LENGTH);
    let other = letters(LENGTH + "/events".len());
    for (name, compared, word) in [
        ("a guessed secret, beside the plain URL", plain(format!("/{guess}/events")), &guess),
        ("a guessed secret, beside another such URL", plain(format!("/{unknown}/events")), &unknown),
        ("a guessed secret, beside an unknown URL", plain(format!("/{other}")), &other),
    ] {
        let blank = if *word == other {
            (format!("{guess}/events"), other.clone())
        } else {
            (guess.clone(), word.clone())
        };
        findings.push(ProbeFinding::new(
            "shape",
            name,
            same(target, [&request, &compared], [&blank.0, &blank.1]).await,
        ));
    }
    for (name, wrong) in WRONG {
        let (one, two) = (letters(LENGTH), letters(LENGTH));
        let requests = [&wrong(&one, &host, port), &wrong(&two, &host, port)];
        findings.push(ProbeFinding::new("shape", *name, same(target, requests, [&one, &two]).await));
    }
}

/// With the secret: it opens a tunnel, and nothing that is only nearly right differs from an unknown URL.
pub(super) async fn owner(target: &Target, secret: &Secret, port: u16, findings: &mut Vec<ProbeFinding>) {
    let host = target.server.authority();
    let segment = secret.reveal();
    let right = good(segment, &host, port).bytes();
    let name = "the secret opens a tunnel";
    match opens(target, &right).await {
        Ok(true) => findings.push(ProbeFinding::new("secret", name, Ok("101".to_owned()))),
        Ok(false) => {
            findings.push(ProbeFinding::unsaid("secret", name, "it does not: what follows it says nothing"));
            return;
        }
        Err(error) => {
            findings.push(ProbeFinding::unsaid("secret", name, said(&error)));
            return;
        }
    }
    let again = match opens(target, &right).await {
        Ok(true) => "it opens one again: whoever can read the request, inside TLS, has the secret",
        _ => "it opens none again",
    };
    findings.push(ProbeFinding::unsaid("secret", "the same request once more", again));
    for (name, near) in near(segment) {
        let random = letters(near.len());
        let requests = [&good(&near, &host, port), &good(&random, &host, port)];
        findings.push(ProbeFinding::new("secret", name, same(target, requests, [&near, &random]).await));
    }
    for (name, wrong) in WRONG {
        let random = letters(segment.len());
        let requests = [&wrong(segment, &host, port), &wrong(&random, &host, port)];
        findings.push(ProbeFinding::new("secret", *name, same(target, requests, [segment, &random]).await));
    }
}

/// Texts that are nearly the secret.
fn near(secret: &str) -> Vec<(&'static str, String)> {
    let (first, last) = secret.split_at(secret.len() - 1);
    let other = if last == "a" { "b" } else { "a" };
    let swapped = secret
        .chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
    vec![
        ("all but the last letter", first.to_owned()),
        ("another last letter", format!("{first}{other}")),
        ("one letter more", format!("{secret}a")),
        ("the other case", swapped.collect()),
    ]
}

async fn opens(target: &Target, request: &[u8]) -> io::Result<bool> {
    Ok(target.ask(request, Until::Complete).await?.answer.status() == Some(101))
}

/// Whether two requests get the same answer, but for the word that each repeats, and so does whoever asks next on the
/// same connection. Text about it, either way; never a word of either request.
async fn same(target: &Target, requests: [&Request; 2], words: [&str; 2]) -> Result<String, String> {
    let control = visit(target, requests[1]).await.map_err(|error| said(&error))?;
    let again = visit(target, requests[1]).await.map_err(|error| said(&error))?;
    let probed = visit(target, requests[0]).await.map_err(|error| said(&error))?;
    let volatile: BTreeSet<String> =
        control.iter().zip(&again).flat_map(|(one, two)| one.volatile(two)).collect();
    let normal = |answers: &[Answer], word: &str| -> Vec<Vec<u8>> {
        answers.iter().map(|answer| answer.normal(&volatile, word)).collect()
    };
    let summary =
        |answers: &[Answer]| answers.iter().map(Answer::summary).collect::<Vec<_>>().join(", then ");
    if probed.iter().any(|answer| answer.status() == Some(101)) {
        return Err("101: a tunnel opens".to_owned());
    }
    if normal(&control, words[1]) == normal(&probed, words[0]) {
        Ok(format!("the same: {}", summary(&probed)))
    } else {
        Err(format!("{}, but an unknown URL {}", summary(&probed), summary(&control)))
    }
}

/// The answer to a request, and to another one on the same connection.
async fn visit(target: &Target, request: &Request) -> io::Result<Vec<Answer>> {
    let mut stream = target.tls(Sni::Right, &[b"http/1.1"]).await?;
    let first = target.exchange(&mut stream, &request.bytes(), Until::Complete).await?;
    let mut answers = vec![first.answer];
    if !first.closed {
        let next = Request::get("/", &target.server.authority()).bytes();
        answers.push(target.exchange(&mut stream, &next, Until::Complete).await?.answer);
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{self, Parsed};
    use crate::token;

    #[test]
    fn probe_requests_are_as_intended() {
        let bytes = good("secret", "vpn.example.com", 51820).bytes();
        let Parsed::Complete(head, _) = request::parse(&bytes) else { panic!() };
        assert!(token::parse(token::find(&head).unwrap()).unwrap().is_loopback_udp(51820));
        for (name, wrong) in WRONG {
            let changed = wrong("secret", "vpn.example.com", 51820).bytes();
            assert!(matches!(request::parse(&changed), Parsed::Complete(..)), "{name}");
        }
    }

    #[test]
    fn what_is_near_is_never_the_secret() {
        let secret = "AbcdefghijklmnoA";
        for (name, near) in near(secret) {
            assert_ne!(near, secret, "{name}");
        }
    }
}
