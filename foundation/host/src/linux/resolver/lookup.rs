//! Names as the programs of the host find them: the file `/etc/hosts`, then all servers of `resolv.conf(5)`.
//!
//! A server that is silent delays the next one for a while and no longer, and stays in the race. One that fails makes room at
//! once. Both addresses are asked for at the same time, each by a socket of its own, so that nothing that happens to the
//! question for IPv6 is held against the answer for IPv4 (RFC 4074).

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use hickory_resolver::Hosts;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::op::{DnsResponse, Query};
use hickory_resolver::proto::rr::{Name, RecordType};
use phantom_types::Domain;
use tokio::time::timeout;

use super::order::in_order;
use super::{Line, Protocols, absolute, addresses_of, exchange, verdict};
use crate::resolv_conf::{NameServer, RESOLV_CONF, Settings};
use crate::{ProbeError, Result, Viewpoint};

/// Where the host's own names are.
const HOSTS: &str = "/etc/hosts";
/// With addresses of one family in hand, those of the other have this long: a question that gets lost is repeated by then.
const GRACE: Duration = Duration::from_millis(1500);

/// The addresses of a name, in the order in which they are to be tried.
pub(super) async fn lookup(
    domain: &Domain,
    from: Viewpoint,
    limit: Duration,
) -> Result<Result<Vec<IpAddr>, ProbeError>> {
    find(domain, from, limit, (&text_of(HOSTS), &text_of(RESOLV_CONF))).await
}

/// The same with the texts of the two files.
async fn find(
    domain: &Domain,
    from: Viewpoint,
    limit: Duration,
    (hosts, resolv_conf): (&str, &str),
) -> Result<Result<Vec<IpAddr>, ProbeError>> {
    let end = Instant::now() + limit;
    let known = in_hosts(hosts, &absolute(domain.as_str())?, from);
    if !known.is_empty() {
        return Ok(Ok(in_order(known)));
    }
    let settings = Settings::read(resolv_conf);
    let mut as_it_is = None;
    for (name, appended) in candidates(domain, from, &settings)? {
        let outcome = ask_servers(&name, &settings, end).await;
        let goes_on = outcome.as_ref().is_ok_and(Vec::is_empty) || (appended && outcome.is_err());
        if !goes_on {
            return Ok(outcome.map(in_order));
        }
        // What servers say of the name itself counts more than what they say of one that was made of it.
        if !appended || as_it_is.is_none() {
            as_it_is = Some(outcome);
        }
    }
    Ok(as_it_is.unwrap_or(Ok(Vec::new())))
}

/// The text of a file. One that cannot be read says nothing, as for the C library.
fn text_of(file: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()
}

/// What the host's file says of a name. For others a loopback address there means nothing: on Debian the host's own name has one.
fn in_hosts(text: &str, name: &Name, from: Viewpoint) -> Vec<IpAddr> {
    let lowered = name.to_ascii().to_ascii_lowercase();
    let wanted = lowered.trim_end_matches('.');
    // Such a file may have as many lines as there are servers of advertisements.
    let lines: Vec<&str> = text.lines().filter(|line| line.to_ascii_lowercase().contains(wanted)).collect();
    let mut hosts = Hosts::default();
    if hosts.read_hosts_conf(lines.join("\n").as_bytes()).is_err() {
        return Vec::new();
    }
    let found = [RecordType::A, RecordType::AAAA]
        .into_iter()
        .filter_map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), kind)))
        .flat_map(|found| addresses_of(found.answers()));
    found.filter(|address| from == Viewpoint::Host || !address.is_loopback()).collect()
}

/// The names that are asked for, in their order, each with whether something was appended (`resolv.conf(5)`: `search`, `ndots`,
/// `no-tld-query`). Others append nothing of this host's.
fn candidates(domain: &Domain, from: Viewpoint, settings: &Settings) -> Result<Vec<(Name, bool)>> {
    let text = domain.as_str();
    let as_it_is = (absolute(text)?, false);
    if text.ends_with('.') || from == Viewpoint::Outside {
        return Ok(vec![as_it_is]);
    }
    // One that is too long is no name.
    let appended = settings.search.iter().filter_map(|end| {
        let name = absolute(&format!("{text}.{}", end.trim_end_matches('.'))).ok()?;
        Some((name, true))
    });
    let dots = text.matches('.').count();
    let never = dots == 0 && settings.no_single_label;
    let (first, last) = if dots >= settings.dots { (Some(as_it_is), None) } else { (None, Some(as_it_is)) };
    let all = first.into_iter().chain(appended).chain(last);
    Ok(all.filter(|(_, appended)| *appended || !never).collect())
}

/// What one server says of a name.
#[derive(Debug, PartialEq, Eq)]
enum ServerAnswer {
    /// It has these addresses.
    Found(Vec<IpAddr>),
    /// It has none.
    Nothing,
    /// That is not known.
    Failed(ProbeError),
}

/// Asks all servers, each one a while after the one before, or at once when that one failed. The first that knows something is
/// believed; that there is nothing is believed once no server that was asked before is still to answer.
async fn ask_servers(name: &Name, settings: &Settings, end: Instant) -> Result<Vec<IpAddr>, ProbeError> {
    let count = settings.servers.len();
    let first = if settings.rotate { chance() } else { 0 };
    let turns = (0..count.saturating_mul(settings.attempts as usize)).map(|turn| (first + turn) % count);
    let mut turns = turns.filter_map(|at| settings.servers.get(at));
    // Every server has its turn within the limit.
    let shares = u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
    let patience = settings.timeout.min(left(end) / shares);
    let (mut asked, mut nothing, mut fault) = (FuturesUnordered::new(), false, None);
    loop {
        let next = if nothing { None } else { turns.next() };
        let waits = if next.is_some() { patience.min(left(end)) } else { left(end) };
        if let Some(server) = next {
            asked.push(ask_both(server, name, settings, settings.timeout.min(left(end))));
        }
        if asked.is_empty() || left(end).is_zero() {
            break;
        }
        match timeout(waits, asked.next()).await {
            Ok(Some(ServerAnswer::Found(addresses))) => return Ok(addresses),
            Ok(Some(ServerAnswer::Nothing)) => nothing = true,
            Ok(Some(ServerAnswer::Failed(error))) => fault = Some(more_telling(fault, error)),
            Ok(None) | Err(_) => {}
        }
    }
    if nothing { Ok(Vec::new()) } else { Err(fault.unwrap_or(ProbeError::Timeout)) }
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// A number that is another one with each question. Nothing depends on whether it can be guessed.
fn chance() -> usize {
    let [byte, ..] = RandomState::new().hash_one(()).to_le_bytes();
    byte.into()
}

/// Which of two faults says more: an answer does, and silence says more than a server that cannot be reached.
fn more_telling(one: Option<ProbeError>, other: ProbeError) -> ProbeError {
    let weight = |error: &ProbeError| match error {
        ProbeError::NoAddress { .. } => 2,
        ProbeError::Timeout => 1,
        ProbeError::Unreachable => 0,
    };
    match one {
        Some(one) if weight(&one) >= weight(&other) => one,
        _ => other,
    }
}

/// What came of a question for addresses of one family.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    /// These.
    Addresses(Vec<IpAddr>),
    /// The name has none of this family.
    None,
    /// There is no such name.
    NoName,
    /// No answer, or none of use.
    Failed(ProbeError),
}

/// Asks one server for both families at once.
async fn ask_both(server: &NameServer, name: &Name, settings: &Settings, limit: Duration) -> ServerAnswer {
    let protocols = if settings.tcp { Protocols::Tcp } else { Protocols::Both };
    let line = Line { server: server.address, scope: scope(server), from: None, protocols };
    let ask = |kind| exchange(line.clone(), name.clone(), kind, limit);
    if settings.no_ipv6 {
        return both(reply(ask(RecordType::A).await), Reply::None);
    }
    let (four, six) = (pin!(ask(RecordType::A)), pin!(ask(RecordType::AAAA)));
    // The other one may be what a server drops, and that takes as long as silence does.
    let grace = GRACE.min(limit / 2);
    match select(four, six).await {
        Either::Left((four, six)) => match reply(four) {
            Reply::NoName => ServerAnswer::Nothing,
            Reply::None => both(Reply::None, reply(six.await)),
            four => both(four, within(grace, six).await),
        },
        Either::Right((six, four)) => match reply(six) {
            Reply::Addresses(found) => both(within(grace, four).await, Reply::Addresses(found)),
            six => both(reply(four.await), six),
        },
    }
}

/// The reply to a question that has a part of the time only.
async fn within(grace: Duration, outcome: impl Future<Output = Result<DnsResponse, NetError>>) -> Reply {
    timeout(grace, outcome).await.map_or(Reply::Failed(ProbeError::Timeout), reply)
}

fn reply(outcome: Result<DnsResponse, NetError>) -> Reply {
    // The rest of it did not come: it is not known what it says.
    let cut = matches!(outcome, Err(NetError::Truncated));
    match verdict(outcome, Duration::ZERO) {
        Ok(answer) => Reply::Addresses(answer.addresses.iter().map(IpAddr::to_canonical).collect()),
        Err(ProbeError::NoAddress { rcode, .. }) if rcode == "NOERROR" && !cut => Reply::None,
        Err(ProbeError::NoAddress { rcode, .. }) if rcode == "NXDOMAIN" => Reply::NoName,
        Err(error) => Reply::Failed(error),
    }
}

/// What the replies for IPv4 and for IPv6 mean together. Some servers say of a name without IPv6 addresses that there is no such
/// name (RFC 4074, section 4.2); nobody says so of IPv4.
fn both(four: Reply, six: Reply) -> ServerAnswer {
    match (four, six) {
        (Reply::Addresses(mut found), Reply::Addresses(more)) => {
            found.extend(more);
            ServerAnswer::Found(found)
        }
        (Reply::Addresses(found), _) | (_, Reply::Addresses(found)) => ServerAnswer::Found(found),
        (Reply::NoName, _) | (Reply::None, Reply::None | Reply::NoName) => ServerAnswer::Nothing,
        (Reply::Failed(error), _) | (Reply::None, Reply::Failed(error)) => ServerAnswer::Failed(error),
    }
}

/// The number of the link that a link-local server is on; 0 for none.
fn scope(server: &NameServer) -> u32 {
    let Some(zone) = &server.zone else { return 0 };
    zone.parse().ok().or_else(|| nix::net::if_::if_nametoindex(zone.as_str()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
