//! What is loaded, what is to be, and the way from one to the other, over all packet filters of the host.

use std::collections::{BTreeMap, BTreeSet};

use super::foreign::{ForeignAccepts, ForeignPlan};
use super::letting::Letting;
use super::nft::kernel::SeenChain;
use super::nft::{self, NftTable, Rules};
use super::rules::{Family, NormalizedRule};
use super::ufw;
use super::xtables::{self, ChainNames, Chains, Listing, Start, TABLES, Variant, XtablesTable};
use crate::linux::command::find;
use crate::{FirewallKind, Hook, OwnershipTags, Result, Ruleset, RulesetStatus, Verdict};

/// Where our rules go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterBackend {
    /// Our own table of nftables.
    Nft,
    /// Chains of this implementation of iptables.
    Xtables(Variant),
}

impl FilterBackend {
    pub(super) fn from_kind(kind: FirewallKind) -> Self {
        match kind {
            FirewallKind::Nftables => Self::Nft,
            // Without the plain name there is nothing to run: the error comes from the first attempt to.
            FirewallKind::Iptables => Self::Xtables(Variant::preferred().unwrap_or(Variant::Nft)),
        }
    }
}

/// Names and rules of one installation, checked and rendered for every packet filter.
struct DesiredRules {
    names: ChainNames,
    own: NftTable,
    repeated: ForeignAccepts,
    input: ForeignAccepts,
    nft: Rules,
    xtables: BTreeMap<XtablesTable, Chains>,
    accepts: Vec<NormalizedRule>,
    letting: Letting,
}

impl DesiredRules {
    fn new(
        backend: FilterBackend,
        tags: &OwnershipTags,
        ruleset: &Ruleset,
        letting: Letting,
    ) -> Result<Self> {
        let names = ChainNames::from_tags(tags);
        let mut wanted = Self {
            own: NftTable::own(tags.nft_table()),
            repeated: ForeignAccepts::for_forward(tags),
            input: ForeignAccepts::for_input(tags),
            nft: Rules::new(),
            xtables: BTreeMap::new(),
            accepts: Vec::new(),
            letting,
            names,
        };
        for rule in ruleset.rules() {
            if let Some(plain) = NormalizedRule::from_rule(rule)?
                .filter(|p| rule.hook == Hook::Forward && p.verdict == Verdict::Accept)
            {
                wanted.accepts.push(plain);
            }
        }
        match backend {
            FilterBackend::Nft => wanted.nft = nft::own_rules(&wanted.names.mark, ruleset)?,
            FilterBackend::Xtables(variant) => wanted.add_xtables(variant, ruleset)?,
        }
        Ok(wanted)
    }

    /// Whether nothing of ours is to be left.
    fn is_nothing(&self) -> bool {
        self.nft.is_empty() && self.xtables.is_empty() && self.letting == Letting::default()
    }

    fn add_xtables(&mut self, variant: Variant, ruleset: &Ruleset) -> Result<()> {
        for family in Family::ALL {
            for table in TABLES {
                let at = XtablesTable { variant, family, table };
                let chains = xtables::rules_for(&self.names.mark, ruleset, family, at.hooks())?;
                // IPv4 cannot do without its program; IPv6 may be missing in the kernel or as a program.
                let possible =
                    family == Family::V4 || (xtables::family_exists(family) && at.program().is_some());
                if possible && !chains.is_empty() {
                    self.xtables.insert(at, chains);
                }
            }
        }
        Ok(())
    }

    /// What a table of iptables is to hold. One that is not ours to fill gets our accepts if it drops by default,
    /// unless that is ufw's doing, which gets rules of its own. What lets in our ports comes behind our own rules.
    fn chains(&self, backend: FilterBackend, at: XtablesTable, listing: &Listing) -> Result<Chains> {
        let mark = &self.names.mark;
        let mut chains = Chains::new();
        if backend == FilterBackend::Xtables(at.variant) {
            chains = self.xtables.get(&at).cloned().unwrap_or_default();
        } else if at.table == "filter" && listing.closed() && !ufw::manages(listing) {
            xtables::add_accepts(&mut chains, Hook::Forward, mark, &self.accepts, at.family)?;
        }
        let mut accepts = self.letting.of_iptables(at);
        if at.table == "filter" {
            let loaded = listing.loaded(&self.names, Hook::Input);
            accepts.extend(self.letting.unread().iter().filter(|plain| loaded.contains(plain)).cloned());
        }
        xtables::add_accepts(&mut chains, Hook::Input, mark, &accepts, at.family)?;
        Ok(chains)
    }
}

/// A table of iptables with what is to be in it.
struct Xtable {
    at: XtablesTable,
    listing: Listing,
    chains: Chains,
}

/// The packet filters as they are, beside what is wanted of them.
pub(super) struct ObservedFirewall {
    start: Start,
    backend: FilterBackend,
    wanted: DesiredRules,
    /// Our own table is loaded.
    own_loaded: bool,
    /// It holds exactly what is wanted.
    own_right: bool,
    /// What it holds, where that was looked at.
    own: Option<nft::Table>,
    foreign: ForeignPlan,
    xtables: Vec<Xtable>,
}

impl ObservedFirewall {
    /// Looks at what is loaded. On a host that uses nothing but nftables this is one process; each table of
    /// iptables that forwarded packets pass is one more, and where others filter packets for this host, so are all of theirs.
    ///
    /// Where others need accepts of ours is found out, unless `letting` says it.
    pub(super) fn observe(
        start: Start,
        backend: FilterBackend,
        tags: &OwnershipTags,
        ruleset: &Ruleset,
        letting: Option<Letting>,
    ) -> Result<Self> {
        let chains = nft::kernel::chains()?.unwrap_or_default();
        let letting = letting.unwrap_or_else(|| Letting::for_ruleset(tags, ruleset, &chains));
        let wanted = DesiredRules::new(backend, tags, ruleset, letting)?;
        let (xtables, managed) = observe_xtables(start, backend, &wanted, &chains)?;
        let (own_loaded, own_right) = (false, false);
        let mut state = Self {
            start,
            own_loaded,
            own_right,
            own: None,
            foreign: ForeignPlan::default(),
            backend,
            wanted,
            xtables,
        };
        state.observe_nft(&chains, managed)?;
        Ok(state)
    }

    fn observe_nft(&mut self, chains: &[SeenChain], mut not_these: BTreeSet<NftTable>) -> Result<()> {
        let own = self.wanted.own.clone();
        let tables = nft::kernel::tables()?;
        self.own_loaded = tables.contains_key(&own);
        self.own_right = !self.own_loaded && self.wanted.nft.is_empty();
        // Without the program, tables of nftables cannot be changed, and then need not be looked at. Where ours is loaded all the
        // same it stays until the next boot: no change can do anything about it, and none is held up by it (`stuck` names it).
        if find("nft").is_none() {
            (self.own_loaded, self.own_right) = (false, self.wanted.nft.is_empty());
            return Ok(());
        }
        not_these.insert(own.clone());
        not_these.extend(tables.into_iter().filter(|(_, owned)| *owned).map(|(table, _)| table));
        let others = chains.iter().any(|chain| {
            let ours = [&self.wanted.repeated, &self.wanted.input].iter().any(|one| one.is_ours(&chain.name));
            let lets_in = chain.at_input && self.wanted.letting.concerns(&chain.table);
            !not_these.contains(&chain.table) && (chain.at_forward || lets_in || ours)
        });
        let mut listing = match (others, self.own_loaded) {
            (true, _) => nft::list_all()?,
            (false, true) => nft::list_table(&own)?,
            (false, false) => return Ok(()),
        };
        self.own = listing.tables.remove(&own);
        if let Some(table) = &self.own {
            self.own_right = !self.wanted.nft.is_empty() && table.holds(&self.wanted.nft);
        }
        let accepts = if self.backend == FilterBackend::Nft { self.wanted.accepts.as_slice() } else { &[] };
        self.foreign = self.wanted.repeated.plan(&listing, &not_these, accepts);
        let input = self.wanted.input.plan_input(&listing, &not_these, &self.wanted.letting);
        self.foreign.present |= input.present;
        self.foreign.script.push_str(&input.script);
        Ok(())
    }

    /// Where others need accepts of ours.
    pub(super) fn letting(&self) -> Letting {
        self.wanted.letting.clone()
    }

    /// How it compares.
    pub(super) fn in_force(&self) -> RulesetStatus {
        let names = &self.wanted.names;
        let present = self.own_loaded
            || self.foreign.present
            || self.xtables.iter().any(|table| table.listing.has_ours(names, table.at));
        match (present, self.is_right()) {
            (false, _) => RulesetStatus::Missing,
            (true, true) => RulesetStatus::InSync,
            (true, false) => RulesetStatus::Drifted,
        }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_right(&self) -> bool {
        self.own_right
            && self.foreign.script.is_empty()
            && self.xtables.iter().all(|table| table.holds(&self.wanted.names))
    }

    /// Brings it to what is wanted: nftables in one transaction, then each table of iptables that differs. What is
    /// right already is not touched.
    pub(super) fn apply(&self) -> Result<()> {
        let own = match (self.wanted.nft.is_empty(), self.own_loaded) {
            _ if self.own_right => String::new(),
            (false, _) => nft::own_table(&self.wanted.own, self.own.as_ref(), &self.wanted.nft),
            (true, true) => nft::without_own_table(&self.wanted.own),
            (true, false) => String::new(),
        };
        let script = own + &self.foreign.script;
        if !script.is_empty() {
            nft::apply(&script)?;
        }
        for table in &self.xtables {
            if !table.holds(&self.wanted.names) {
                table.at.apply(self.start, &self.wanted.names, &table.listing, &table.chains)?;
            }
        }
        Ok(())
    }
}

impl Xtable {
    fn holds(&self, names: &ChainNames) -> bool {
        self.listing.holds(names, self.at, &self.chains)
    }
}

/// The tables of iptables that concern us, and the tables of nftables that are iptables' business.
fn observe_xtables(
    start: Start,
    backend: FilterBackend,
    wanted: &DesiredRules,
    chains: &[SeenChain],
) -> Result<(Vec<Xtable>, BTreeSet<NftTable>)> {
    let existing = xtables::existing(chains);
    let mut all: BTreeSet<XtablesTable> = existing.iter().copied().collect();
    // Tables that are still to be made.
    all.extend(wanted.xtables.keys());
    let (mut tables, mut managed) = (Vec::new(), BTreeSet::new());
    for at in all {
        if !concerns(backend, wanted, at, chains)
            || (at.program().is_none() && !wanted.xtables.contains_key(&at))
        {
            continue;
        }
        let listing = match at.list_if(start, existing.contains(&at)) {
            Ok(listing) => listing,
            // Somebody put rules there that iptables does not understand: then it is a table of nftables.
            Err(_) if at.variant == Variant::Nft && backend == FilterBackend::Nft => continue,
            // A removal goes on with the rest. What stays there is named (`stuck`).
            Err(_) if wanted.is_nothing() => continue,
            Err(error) => return Err(error),
        };
        managed.extend(at.place());
        let chains = wanted.chains(backend, at, &listing)?;
        tables.push(Xtable { at, listing, chains });
    }
    Ok((tables, managed))
}

/// Whether a table can hold something of ours, or drop what we accept.
fn concerns(backend: FilterBackend, wanted: &DesiredRules, at: XtablesTable, chains: &[SeenChain]) -> bool {
    if backend == FilterBackend::Xtables(at.variant) || at.variant == Variant::Legacy {
        return true;
    }
    let ours = |name: &str| at.hooks().any(|hook| wanted.names.chain(hook) == name);
    chains.iter().filter(|chain| at.place().as_ref() == Some(&chain.table)).any(|chain| {
        ours(&chain.name) || (at.table == "filter" && chain.at_forward && chain.name == "FORWARD")
    }) || !wanted.letting.of_iptables(at).is_empty()
}
