//! iptables: our chains with one jump each, in either of the two implementations that a host may have, and for both
//! families.
//!
//! Listing, and putting in and taking out of jumps, go through the `iptables` crate (see [`start`]); the chains
//! themselves are filled by `iptables-restore`, which replaces all chains of a table in one step.

mod listing;
mod render;
mod start;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) use listing::{Listing, addresses, target};
pub(super) use render::{add_accepts, rules_for};
pub(super) use start::{Start, directly, through_crate};

use self::start::LOCK_WAIT;
use super::nft::kernel::SeenChain;
use super::nft::{NftTable, TableFamily};
use super::rules::{Family, RenderedRule};
use crate::linux::command::{Program, find};
use crate::{Hook, HostError, OwnershipTags, Result};

/// Who keeps the tables. A host can have both at once, and a packet then passes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variant {
    /// iptables-nft: tables of nftables.
    Nft,
    /// iptables-legacy: the kernel's older interface.
    Legacy,
}

impl Variant {
    /// The implementation behind the plain name `iptables`, if that is installed. Links are followed instead of
    /// starting it: the file is `xtables-nft-multi` or `xtables-legacy-multi` (before 1.8 `xtables-multi`).
    pub(super) fn preferred() -> Option<Self> {
        find("iptables").map(|path| Self::of_program(&path))
    }
    fn of_program(path: &Path) -> Self {
        let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if file.to_string_lossy().contains("nft") { Self::Nft } else { Self::Legacy }
    }
}

/// The tables that have chains of ours.
pub(super) const TABLES: [&str; 3] = ["filter", "mangle", "nat"];

/// One table of one implementation and family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct XtablesTable {
    /// Who keeps it.
    pub variant: Variant,
    /// Its family.
    pub family: Family,
    /// Its name.
    pub table: &'static str,
}

/// Rules by hook, for the hooks of one table.
pub(super) type Chains = BTreeMap<Hook, Vec<RenderedRule>>;

/// Table, chain of iptables and end of the name of our chain for a hook.
pub(super) fn site(hook: Hook) -> (&'static str, &'static str, &'static str) {
    match hook {
        Hook::Prerouting => ("mangle", "PREROUTING", "PRE"),
        Hook::Input => ("filter", "INPUT", "INPUT"),
        Hook::Forward => ("filter", "FORWARD", "FORWARD"),
        Hook::Output => ("filter", "OUTPUT", "OUTPUT"),
        Hook::MssClamp => ("mangle", "FORWARD", "MANGLE"),
        Hook::SourceNat => ("nat", "POSTROUTING", "NAT"),
        Hook::Postrouting => ("mangle", "POSTROUTING", "POST"),
    }
}

/// The names by which our chains and jumps are known.
#[derive(Clone, Debug)]
pub(super) struct ChainNames {
    /// The comment of jumps, and what the comments of rules begin with.
    pub mark: String,
    prefix: String,
}

impl ChainNames {
    /// Those of an installation.
    pub(super) fn from_tags(tags: &OwnershipTags) -> Self {
        Self { mark: tags.tag(), prefix: tags.chain_prefix() }
    }
    /// Our chain for a hook.
    pub(super) fn chain(&self, hook: Hook) -> String {
        format!("{}-{}", self.prefix, site(hook).2)
    }
    /// Whether another installation's chain has this name.
    pub(super) fn is_sibling(chain: &str) -> bool {
        chain.starts_with(&OwnershipTags::new(None).chain_prefix())
    }
}

/// The tables that exist. Asking iptables for others would load them.
pub(super) fn existing(chains: &[SeenChain]) -> Vec<XtablesTable> {
    let mut all = Vec::new();
    for family in Family::ALL {
        let (place, file) = match family {
            Family::V4 => (TableFamily::Ip, "/proc/net/ip_tables_names"),
            Family::V6 => (TableFamily::Ip6, "/proc/net/ip6_tables_names"),
        };
        // Missing, or not for our eyes: then there is no table of that kind that we could have filled.
        let names = fs::read_to_string(file).unwrap_or_default();
        for table in TABLES {
            let here = NftTable { family: place, table: table.to_owned() };
            if chains.iter().any(|chain| chain.table == here) {
                all.push(XtablesTable { variant: Variant::Nft, family, table });
            }
            if names.lines().any(|name| name == table) {
                all.push(XtablesTable { variant: Variant::Legacy, family, table });
            }
        }
    }
    all
}

/// Whether the kernel has this family at all.
pub(super) fn family_exists(family: Family) -> bool {
    family == Family::V4 || Path::new("/proc/net/if_inet6").exists()
}

impl XtablesTable {
    /// The table's hooks of ours.
    pub(super) fn hooks(self) -> impl Iterator<Item = Hook> {
        super::rules::HOOKS.into_iter().filter(move |hook| site(*hook).0 == self.table)
    }

    /// The program for this implementation and family, as in `/usr/sbin/ip6tables-nft`.
    pub(super) fn program(self) -> Option<PathBuf> {
        let plain = if self.family == Family::V4 { "iptables" } else { "ip6tables" };
        let suffix = if self.variant == Variant::Nft { "nft" } else { "legacy" };
        find(&format!("{plain}-{suffix}"))
            .or_else(|| find(plain).filter(|path| Variant::of_program(path) == self.variant))
    }

    /// Its chains and rules.
    pub(super) fn list(self, start: Start) -> Result<Listing> {
        let text = self.execute(start, "-S")?;
        Ok(Listing::parse(&String::from_utf8_lossy(&text)))
    }

    /// The same, if it exists; listing one that does not would load it.
    pub(super) fn list_if(self, start: Start, exists: bool) -> Result<Listing> {
        if exists { self.list(start) } else { Ok(Listing::default()) }
    }

    /// The table of nftables that it is.
    pub(super) fn place(self) -> Option<NftTable> {
        let family = if self.family == Family::V4 { TableFamily::Ip } else { TableFamily::Ip6 };
        (self.variant == Variant::Nft).then(|| NftTable { family, table: self.table.to_owned() })
    }

    /// Brings our chains in this table to exactly these, from what was listed. Chains and the jumps to them come in one step, so
    /// that there is no moment without them. Chains that go are no longer jumped to before they are removed.
    pub(super) fn apply(
        self,
        start: Start,
        names: &ChainNames,
        listed: &Listing,
        wanted: &Chains,
    ) -> Result<()> {
        let misplaced = |hook: &Hook| wanted.contains_key(hook) && !listed.jump_holds(names, *hook);
        let jumps: Vec<Hook> = self.hooks().filter(misplaced).collect();
        if !wanted.is_empty() {
            let script = render::restore_script(self.table, names, listed, wanted, &jumps);
            self.restore_program()?.args(["--noflush", "-w", LOCK_WAIT]).input(script).run()?;
        }
        for hook in self.hooks().filter(|hook| !wanted.contains_key(hook)) {
            let chain = names.chain(hook);
            for jump in listed.jumps_to(&chain) {
                self.execute(start, &format!("-D {jump}"))?;
            }
            if listed.chains.contains_key(&chain) {
                self.execute(start, &format!("-F {chain}"))?;
                self.execute(start, &format!("-X {chain}"))?;
            }
        }
        Ok(())
    }

    /// Runs a command of iptables on this table.
    fn execute(self, start: Start, command: &str) -> Result<Vec<u8>> {
        let program = self.program().ok_or(HostError::NotInstalled { program: self.plain_name() })?;
        start(&program, self.table, command)?.success()
    }

    fn restore_program(self) -> Result<Program> {
        let program = self.program().ok_or(HostError::NotInstalled { program: self.plain_name() })?;
        // `iptables-restore` lies beside `iptables`, and is the same file by another name.
        let mut path = program.into_os_string();
        path.push("-restore");
        Ok(Program::at(path))
    }

    fn plain_name(self) -> &'static str {
        if self.family == Family::V4 { "iptables" } else { "ip6tables" }
    }
}

#[cfg(test)]
mod tests {
    use super::{ChainNames, Variant};
    use crate::{Hook, OwnershipTags};
    use std::path::Path;

    #[test]
    fn chain_names_fit() {
        let names = |instance| ChainNames::from_tags(&OwnershipTags::new(instance));
        assert_eq!(names(None).chain(Hook::SourceNat), "PHANTOM-WG-NAT");
        assert_eq!(names(Some("test")).chain(Hook::Forward), "PHANTOM-WG-test-FORWARD");
        let (long, other) = (names(Some("a-very-long-instance")), names(Some("a-very-long-instancf")));
        assert_eq!(long.chain(Hook::Forward).len(), 27);
        assert_ne!(long.chain(Hook::Forward), other.chain(Hook::Forward));
        assert!(ChainNames::is_sibling(&long.chain(Hook::Input)) && !ChainNames::is_sibling("DOCKER"));
    }

    #[test]
    fn implementations_are_told_by_their_file() {
        assert_eq!(Variant::of_program(Path::new("/nonexistent/xtables-nft-multi")), Variant::Nft);
        assert_eq!(Variant::of_program(Path::new("/nonexistent/xtables-legacy-multi")), Variant::Legacy);
        assert_eq!(Variant::of_program(Path::new("/nonexistent/xtables-multi")), Variant::Legacy);
    }
}
