//! That an exit changes nothing of the routes by which the server itself reaches others and is reached.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use phantom_engine::{Change, Engine};
use phantom_host::OwnRoute;

use crate::MultihopError;
use crate::collision::Places;
use crate::desired::leads_to_exit;
use crate::error::MultihopStep;
use crate::switch::SwitchContext;
use crate::verify::{OWN_ROUTE, SOMEWHERE};

/// A source, where the question is about an answer from there, and a destination.
type Question = (Option<Ipv4Addr>, Ipv4Addr);

/// The routes that the server's own packets take at one moment, as the kernel says: to the Internet, to its gateways, to its
/// resolvers and those of the clients, to the exit; and to the Internet from each address of its own.
pub(crate) struct OwnRoutes(Vec<(Question, Option<OwnRoute>)>);

impl OwnRoutes {
    /// Those of now, before an exit is sought at these places.
    pub(crate) fn now(
        change: &Change<'_>,
        place: &SwitchContext,
        at: &Places,
    ) -> Result<Self, MultihopError> {
        let engine = change.engine();
        let installation = engine.installation()?;
        let (host, dns) = (installation.host_addresses(), change.dns()?);
        let gateways = host.gateways.iter().map(|(_, gateway)| *gateway);
        let others = [dns.primary, dns.secondary].into_iter().chain(gateways);
        let others = others.chain(at.all().map(|at| at.ip())).chain(host.resolvers.iter().copied());
        let to: BTreeSet<Ipv4Addr> = others.filter_map(ipv4).chain([SOMEWHERE]).collect();
        // What clients are answered from the server's address in their subnet goes by the exit with all that is theirs.
        let other =
            |name: &str| name != place.server.interface.as_str() && !leads_to_exit(&place.interface, name);
        let own =
            host.own.iter().filter(|(name, _)| other(name)).filter_map(|(_, network)| ipv4(network.ip()));
        let from: BTreeSet<Ipv4Addr> = own.filter(|address| !address.is_loopback()).collect();
        let questions =
            to.into_iter().map(|to| (None, to)).chain(from.into_iter().map(|from| (Some(from), SOMEWHERE)));
        Ok(Self(questions.map(|question| (question, ask(engine, question))).collect()))
    }

    /// That they are the same.
    pub(crate) fn check(&self, engine: &Engine) -> Result<(), MultihopError> {
        let same = self.0.iter().all(|(question, before)| ask(engine, *question) == *before);
        if same { Ok(()) } else { Err(MultihopError::found(MultihopStep::Verify, OWN_ROUTE)) }
    }
}

/// The route of one packet; a kernel that does not answer has none, before and after.
fn ask(engine: &Engine, (from, to): Question) -> Option<OwnRoute> {
    engine.host().network.own_route(from, to).ok().flatten()
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
