//! The resolver of programs that ask nobody.

use std::net::IpAddr;
use std::time::Duration;

use phantom_types::Domain;

use crate::{AskFrom, DnsAnswer, Probe, ProbeError, Resolver, Result, Viewpoint};

/// Reaches no DNS server: every question ends with [`ProbeError::Unreachable`], at once and without a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoResolver;

impl Resolver for NoResolver {
    fn probe(&self, probes: &[Probe], _: Duration) -> Result<Vec<Result<DnsAnswer, ProbeError>>> {
        Ok(probes.iter().map(|_| Err(ProbeError::Unreachable)).collect())
    }

    fn probe_by(&self, _: &AskFrom, _: &Probe, _: Duration) -> Result<Result<DnsAnswer, ProbeError>> {
        Ok(Err(ProbeError::Unreachable))
    }

    fn lookup(&self, _: &Domain, _: Viewpoint, _: Duration) -> Result<Result<Vec<IpAddr>, ProbeError>> {
        Ok(Err(ProbeError::Unreachable))
    }
}
