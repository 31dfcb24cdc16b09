//! The proof of service: one DNS question of the server, by the exit, to whom clients ask anyway, and its answer.
//!
//! A handshake says that somebody holds the key. That packets come back from the Internet, only a packet that comes back says.
//! It is asked by the exit in use and never by the link on which another exit is tried: nothing comes in there, and what would
//! let an answer in would let in more. So an exit that a switch leads to is asked right behind the switch, when the walls stand
//! round it: the answer comes in by the rules that let answers to the server's own connections in, and if it does not come,
//! the exit of before is back.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use phantom_engine::Engine;
use phantom_host::{AskFrom, ForwardedPacket, Probe, ProbeError};
use phantom_module::TypedModule as _;
use phantom_store::{State, StoreError, Transaction};
use phantom_types::{Domain, ExitName, Timestamp};
use serde_json::{Value, json};

use crate::collision::is_unicast;
use crate::desired::vpn_ip;
use crate::model::Exit;
use crate::switch::SwitchContext;
use crate::{Multihop, MultihopError};

/// A name that every resolver knows, the one that `dns test_dns_servers` asks for.
const NAME: &str = "google.com";
/// How long a server has to answer while an exit is enabled.
pub(crate) const LIMIT: Duration = Duration::from_secs(2);
/// How long all of them have: clients have two.
pub(crate) const ALL_LIMIT: Duration = LIMIT.saturating_mul(2);
/// The word for nobody.
const OFF: &str = "off";
/// Where it is stored who is asked, and what came of it the last time.
const TARGET: &str = "probe";
const LAST: &str = "proof";

/// What is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// The DNS servers of the clients.
    #[default]
    Clients,
    /// This server.
    Address(Ipv4Addr),
    /// Nobody.
    Nobody,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The exit that it went by.
    pub(crate) exit: ExitName,
    /// The resolver that was asked last: the one that answered, if one did.
    pub(crate) asked: Ipv4Addr,
    /// When.
    pub(crate) at: Timestamp,
    /// An answer came back.
    pub(crate) passed: bool,
}

impl Target {
    /// The one that is meant by the value of a parameter.
    pub(crate) fn named(given: Option<&str>) -> Result<Self, MultihopError> {
        match given {
            None => Ok(Self::Clients),
            Some(OFF) => Ok(Self::Nobody),
            Some(word) => {
                let address = word.parse().ok().filter(|address| is_unicast(*address));
                address.map(Self::Address).ok_or(MultihopError::Probe)
            }
        }
    }
    /// The one that is stored.
    pub(crate) fn stored(state: &State<'_>) -> Result<Self, StoreError> {
        let stored = state.document(Multihop::NAME, TARGET)?;
        let word = stored.as_ref().and_then(Value::as_str);
        Ok(match word {
            Some(OFF) => Self::Nobody,
            Some(word) => word.parse().map_or(Self::Clients, Self::Address),
            None => Self::Clients,
        })
    }
    /// Stores it.
    pub(crate) fn store(self, state: &Transaction<'_>) -> Result<(), StoreError> {
        let word = self.word().map(Value::from);
        state.set_document(Multihop::NAME, TARGET, word.as_ref())
    }
    /// Its word, where it is not the one that is meant without any.
    pub(crate) fn word(self) -> Option<String> {
        match self {
            Self::Clients => None,
            Self::Address(address) => Some(address.to_string()),
            Self::Nobody => Some(OFF.to_owned()),
        }
    }
}

impl Proof {
    /// The last one; of any exit.
    pub(crate) fn last(state: &State<'_>) -> Result<Option<Self>, StoreError> {
        let stored = state.document(Multihop::NAME, LAST)?;
        Ok(stored.as_ref().and_then(|stored| {
            Some(Self {
                exit: stored["exit"].as_str()?.parse().ok()?,
                asked: stored["asked"].as_str()?.parse().ok()?,
                at: Timestamp::from_micros(stored["at"].as_i64()?),
                passed: stored["passed"].as_bool()?,
            })
        }))
    }
    /// Stores it as the last one.
    pub(crate) fn store(of: Option<&Self>, state: &Transaction<'_>) -> Result<(), StoreError> {
        let value = of.map(|Self { exit, asked, at, passed }| {
            json!({ "exit": exit, "asked": asked.to_string(), "at": at.micros(), "passed": passed })
        });
        state.set_document(Multihop::NAME, LAST, value.as_ref())
    }
}

/// Whom to ask by this exit, in this order. Of the clients' own servers those that clients reach by the exit: one that is the
/// server itself, or in the VPN, says nothing of the exit.
pub(crate) fn servers(
    engine: &Engine,
    state: &State<'_>,
    place: &SwitchContext,
    target: Target,
) -> Result<Vec<Ipv4Addr>, StoreError> {
    let dns = match target {
        Target::Nobody => return Ok(Vec::new()),
        Target::Address(address) => return Ok(vec![address]),
        Target::Clients => state.dns()?,
    };
    let SwitchContext { server, interface } = place;
    let by_exit = |to: &Ipv4Addr| {
        let packet = ForwardedPacket {
            from: server.subnet.first_client(),
            to: *to,
            in_interface: server.interface.clone(),
        };
        engine.host().network.route_for(&packet).ok().flatten().as_deref() == Some(interface.as_str())
    };
    let four = |address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    let mut servers: Vec<_> =
        [dns.primary, dns.secondary].into_iter().filter_map(four).filter(by_exit).collect();
    servers.dedup();
    Ok(servers)
}

/// Asks them one after the other until one answers. Any answer of the server is one: it has come back. `None` where there is
/// nobody to ask.
pub(crate) fn ask(
    engine: &Engine,
    place: &SwitchContext,
    exit: &Exit,
    servers: &[Ipv4Addr],
    limit: Duration,
) -> Option<Proof> {
    let (host, from) =
        (engine.host(), AskFrom { interface: place.interface.clone(), address: vpn_ip(exit)? });
    let domain: Domain = NAME.parse().ok()?;
    let mut last = None;
    for server in servers {
        let probe = Probe { server: IpAddr::V4(*server), domain: domain.clone() };
        let answer = host.resolver.probe_by(&from, &probe, limit);
        let passed = matches!(answer, Ok(Ok(_) | Err(ProbeError::NoAddress { .. })));
        last = Some(Proof { exit: exit.name.clone(), asked: *server, at: host.clock.now(), passed });
        if passed || host.interrupt.is_requested() {
            break;
        }
    }
    last
}
