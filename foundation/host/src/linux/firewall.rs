//! The packet filter of the real host.
//!
//! Which one it is: nftables where its program is installed and the kernel has it, else iptables. Our rules are in
//! one of the two only; but packets pass both, and all tables in them, so that [`state`] looks at every place where
//! something of ours is, or where somebody drops what we accept.

mod filters;
mod foreign;
mod letting;
mod nft;
mod report;
mod rules;
#[cfg(test)]
mod samples;
mod state;
mod stuck;
mod ufw;
mod xtables;

use std::path::Path;
use std::sync::OnceLock;

use ipnetwork::IpNetwork;

use self::state::{FilterBackend, ObservedFirewall};
use self::xtables::{Start, Variant};
use super::command::{Program, find};
use crate::filter::Filters;
use crate::{
    Firewall, FirewallKind, FirewallQuery, FirewallReport, HostError, OwnershipTags, Result, Ruleset,
    RulesetStatus, StuckRules, UfwRule, UfwRules,
};

/// How often conntrack is asked to delete connections while others end by themselves.
const FORGET_TRIES: u32 = 200;

/// The host's packet filter.
#[derive(Debug)]
pub struct LinuxFirewall {
    start: Start,
    forced: Option<FirewallKind>,
    found: OnceLock<FirewallKind>,
}

impl LinuxFirewall {
    /// Takes the packet filter that the host has; looks for it when it is first needed.
    pub fn new() -> Self {
        Self { start: xtables::through_crate, forced: None, found: OnceLock::new() }
    }
    /// The same without the `iptables` crate, for a small program: it works alike, and brings no regular expressions.
    pub fn small() -> Self {
        Self { start: xtables::directly, ..Self::new() }
    }
    /// Takes this packet filter, whatever else there is.
    pub fn with_kind(kind: FirewallKind) -> Self {
        Self::new().of_kind(kind)
    }
    /// The same, but with this packet filter.
    #[must_use]
    pub fn of_kind(self, kind: FirewallKind) -> Self {
        Self { forced: Some(kind), ..self }
    }

    fn observe(&self, tags: &OwnershipTags, wanted: &Ruleset) -> Result<ObservedFirewall> {
        ObservedFirewall::observe(self.start, FilterBackend::from_kind(self.kind()?), tags, wanted, None)
    }
}

impl Default for LinuxFirewall {
    fn default() -> Self {
        Self::new()
    }
}

impl Firewall for LinuxFirewall {
    fn kind(&self) -> Result<FirewallKind> {
        if let Some(kind) = self.forced.or_else(|| self.found.get().copied()) {
            return Ok(kind);
        }
        let kind = if find("nft").is_some() && nft::kernel::chains()?.is_some() {
            FirewallKind::Nftables
        } else if find("iptables").is_some() {
            FirewallKind::Iptables
        } else {
            let what =
                "filter packets: install the package nftables (or iptables, on a kernel without nf_tables)";
            return Err(HostError::Unsupported { what: what.to_owned() });
        };
        Ok(*self.found.get_or_init(|| kind))
    }

    fn generation(&self) -> Result<Option<u32>> {
        match FilterBackend::from_kind(self.kind()?) {
            FilterBackend::Nft | FilterBackend::Xtables(Variant::Nft) => nft::kernel::generation(),
            FilterBackend::Xtables(Variant::Legacy) => Ok(None),
        }
    }

    fn in_force(&self, tags: &OwnershipTags, wanted: &Ruleset) -> Result<RulesetStatus> {
        Ok(self.observe(tags, wanted)?.in_force())
    }

    /// Without rules this is the same as [`Self::remove`]: no empty table or chain is left.
    fn replace(&self, tags: &OwnershipTags, wanted: &Ruleset) -> Result<()> {
        let before = self.observe(tags, wanted)?;
        before.apply()?;
        let backend = FilterBackend::from_kind(self.kind()?);
        // With the same accepts: others may have changed their rules meanwhile, and that is no failure of ours.
        if ObservedFirewall::observe(self.start, backend, tags, wanted, Some(before.letting()))?.is_right() {
            return Ok(());
        }
        Err(HostError::unexpected("the packet filter does not show the rules it was given a moment ago"))
    }

    fn remove(&self, tags: &OwnershipTags) -> Result<()> {
        match self.kind() {
            Ok(_) => self.replace(tags, &Ruleset::default()),
            // Where there is no packet filter, there is nothing of ours in one.
            Err(HostError::Unsupported { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn ufw(&self, tags: &OwnershipTags) -> Result<Option<UfwRules>> {
        if !ufw::installed() {
            return Ok(None);
        }
        let active = ufw::enabled()?;
        match ufw::rules(&tags.tag()) {
            Ok((ours, limited)) => Ok(Some(UfwRules { active, ours, limited })),
            // Rules that are not in force and that we may not read are not ours.
            Err(_) if !active => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn add_ufw(&self, tags: &OwnershipTags, rule: &UfwRule) -> Result<()> {
        ufw::add(&tags.tag(), rule)
    }

    fn remove_ufw(&self, tags: &OwnershipTags, rule: &UfwRule) -> Result<()> {
        ufw::remove(&tags.tag(), rule)
    }

    fn report(&self, tags: &OwnershipTags, query: &FirewallQuery) -> Result<FirewallReport> {
        Ok(report::report(self.start, tags, query))
    }

    fn filters(&self) -> Result<Filters> {
        filters::filters(filters::Sets::Read)
    }

    fn stuck(&self, tags: &OwnershipTags) -> Result<Vec<StuckRules>> {
        stuck::stuck(self.start, tags)
    }

    /// By the `conntrack` program; without it [`HostError::Unsupported`].
    fn forget_connections(&self, of: &[IpNetwork]) -> Result<()> {
        let Some(program) = find("conntrack") else {
            let what = "forget tracked connections: install the package conntrack".to_owned();
            return Err(HostError::Unsupported { what });
        };
        for network in of {
            forget(&program, *network)?;
        }
        Ok(())
    }
}

/// Connections come and go while they are deleted one by one, and conntrack gives up at one that has gone meanwhile: then
/// the others are still there, and it is asked again.
fn forget(conntrack: &Path, network: IpNetwork) -> Result<()> {
    let family = if network.is_ipv4() { "ipv4" } else { "ipv6" };
    let args = ["-D".to_owned(), "-f".to_owned(), family.to_owned(), "-s".to_owned(), network.to_string()];
    for _ in 1..FORGET_TRIES {
        let output = Program::at(conntrack).args(&args).output()?;
        // It ends with 1 both when it failed and when there was nothing to delete.
        if output.errors().contains("flow entries have been deleted") {
            return Ok(());
        }
        if !output.errors().contains("such conntrack doesn't exist") {
            return output.success().map(drop);
        }
    }
    let what = "conntrack -D: connections go faster than they can be deleted";
    Err(HostError::unexpected(what))
}
