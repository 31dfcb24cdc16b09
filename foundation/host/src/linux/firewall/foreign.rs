//! Tables of others in nftables that drop forwarded packets, or packets for a port of ours.
//!
//! An accept is final only for the chain it is in: a packet that our table accepts is still asked about in every
//! other table, and one of them with policy drop ends it. There our accepts are repeated, in a chain of ours inside
//! that table, with one marked jump to it. Nothing else in the table is changed.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::letting::Letting;
use super::nft::{Chain, Listing, NftTable, Table, rules_of};
use super::rules::{NormalizedRule, RenderedRule, same};
use crate::OwnershipTags;

/// A chain of ours in tables of others.
#[derive(Clone, Debug)]
pub(super) struct ForeignAccepts {
    mark: String,
    chain: String,
}

/// What is to be done in the tables of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ForeignPlan {
    /// Something of ours is in one of them.
    pub present: bool,
    /// The lines that bring them to what is wanted; empty when they are so.
    pub script: String,
}

impl ForeignAccepts {
    /// That of an installation for packets that pass through.
    pub(super) fn for_forward(tags: &OwnershipTags) -> Self {
        Self { mark: tags.tag(), chain: tags.repeated_chain() }
    }

    /// That for packets to this host.
    pub(super) fn for_input(tags: &OwnershipTags) -> Self {
        Self { mark: tags.tag(), chain: tags.input_chain() }
    }

    /// Whether a chain has the name of ours.
    pub(super) fn is_ours(&self, chain: &str) -> bool {
        chain == self.chain
    }

    /// Compares all tables but those in `not_these` with what is wanted: `accepts` in each that is closed.
    pub(super) fn plan(
        &self,
        listing: &Listing,
        not_these: &BTreeSet<NftTable>,
        accepts: &[NormalizedRule],
    ) -> ForeignPlan {
        let closed = |_: &str, chain: &Chain| chain.is_at("forward") && chain.closed();
        let mut plan = ForeignPlan::default();
        for (place, table) in listing.tables.iter().filter(|(place, _)| !not_these.contains(*place)) {
            self.plan_table(place, table, accepts, &closed, &mut plan);
        }
        plan
    }

    /// The same with the accepts that let in our ports.
    pub(super) fn plan_input(
        &self,
        listing: &Listing,
        not_these: &BTreeSet<NftTable>,
        letting: &Letting,
    ) -> ForeignPlan {
        let mut plan = ForeignPlan::default();
        for (place, table) in listing.tables.iter().filter(|(place, _)| !not_these.contains(*place)) {
            let unread = letting.unread();
            if unread.is_empty() {
                let closed = |name: &str, _: &Chain| letting.wants(place, name);
                self.plan_table(place, table, &letting.of_table(place), &closed, &mut plan);
                continue;
            }
            let loaded = table.chains.get(&self.chain).map(Chain::loaded).unwrap_or_default();
            let holds =
                |plain: &&NormalizedRule| loaded.iter().any(|rule| rule.plain.as_ref() == Some(plain));
            let kept: Vec<NormalizedRule> = unread.iter().filter(holds).cloned().collect();
            let led = |_: &str, chain: &Chain| {
                chain.rules.iter().any(|rule| rule.target() == Some(self.chain.as_str()))
            };
            self.plan_table(place, table, &kept, &led, &mut plan);
        }
        plan
    }

    /// One table: `accepts` in our chain, and a jump to it from each base chain that is `closed`.
    fn plan_table(
        &self,
        place: &NftTable,
        table: &Table,
        accepts: &[NormalizedRule],
        closed: &dyn Fn(&str, &Chain) -> bool,
        plan: &mut ForeignPlan,
    ) {
        let rules = rules_of(&self.mark, accepts, place.family.only());
        // The chain is filled before anything leads to it.
        let filled_at = plan.script.len();
        let mut jumped_to = false;
        for (name, chain) in &table.chains {
            let nameable = is_word(&place.table) && is_word(name);
            let want = !rules.is_empty() && nameable && closed(name, chain);
            jumped_to |= want;
            plan.present |= chain.rules.iter().any(|rule| rule.target() == Some(&self.chain));
            self.plan_jump(place, name, chain, want, &mut plan.script);
        }
        let loaded = table.chains.get(&self.chain);
        plan.present |= loaded.is_some();
        let chain = format!("{place} {}", self.chain);
        // The chain has to be there before the jumps to it, and to be gone after them.
        match (jumped_to, loaded) {
            (true, Some(loaded)) if same(&rules, &loaded.loaded()) => {}
            (true, _) => plan.script.insert_str(filled_at, &fill(&chain, &rules)),
            (false, Some(_)) => {
                let _ = writeln!(plan.script, "flush chain {chain}\ndelete chain {chain}");
            }
            (false, None) => {}
        }
    }

    /// One jump to our chain, in front of all rules but such jumps of other installations; or none.
    fn plan_jump(&self, place: &NftTable, name: &str, chain: &Chain, want: bool, script: &mut String) {
        let ours = || chain.rules.iter().filter(|rule| rule.target() == Some(&self.chain));
        let sibling = |comment: &Option<String>| {
            comment.as_ref().is_some_and(|c| c.starts_with(&OwnershipTags::new(None).tag()))
        };
        let first =
            chain.rules.iter().find(|rule| rule.target() == Some(&self.chain) || !sibling(&rule.comment));
        let right = first.is_some_and(|rule| {
            rule.target() == Some(&self.chain)
                && rule.comment.as_ref() == Some(&self.mark)
                && rule.statements.len() == 1
        });
        if want && right && ours().count() == 1 {
            return;
        }
        // Writing to a string does not fail.
        for rule in ours() {
            let _ = writeln!(script, "delete rule {place} {name} handle {}", rule.handle);
        }
        if want {
            let _ =
                writeln!(script, "insert rule {place} {name} jump {} comment \"{}\"", self.chain, self.mark);
        }
    }
}

/// The lines that fill our chain, whether it is there or not.
fn fill(chain: &str, rules: &[RenderedRule]) -> String {
    let mut script = format!("add chain {chain}\nflush chain {chain}\n");
    for rule in rules {
        let _ = writeln!(script, "add rule {chain} {} comment \"{}\"", rule.text, rule.comment);
    }
    script
}

/// Whether nft takes a name literally. Others can only be made by netlink; such a table is left alone.
fn is_word(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    name.bytes().all(plain) && name.starts_with(|first: char| first.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests;
