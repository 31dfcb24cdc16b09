//! A rule, named for people and for who opens it.

use super::evaluate::Spot;
use super::tree::Table;
use super::{BaseChain, FilterHook, FilterManager, FilterProgram, Filters, RuleSpot};

/// Names it.
pub(super) fn spot(filters: &Filters, (base, (chain, rule)): Spot) -> RuleSpot {
    let table = &filters.tables[chain.0];
    let here = &table.chains[chain.1];
    let found = rule.and_then(|place| here.rules.get(place));
    let unnamed = BaseChain {
        table: table.id.clone(),
        name: here.name.clone(),
        hook: FilterHook::Input,
        priority: 0,
        policy_drop: false,
    };
    RuleSpot {
        base: table.chains[base.1].base.as_ref().map_or(unnamed, |base| base.chain.clone()),
        chain: here.name.clone(),
        number: found.and(rule).map(|place| place + 1),
        handle: found.and_then(|rule| rule.handle),
        text: found.map_or_else(|| policy(table, &here.name), |rule| rule.text.clone()),
        manager: manager(table),
    }
}

/// A policy that drops, as its packet filter writes it.
fn policy(table: &Table, chain: &str) -> String {
    match table.id.program {
        FilterProgram::Nftables => "policy drop".to_owned(),
        FilterProgram::IptablesNft | FilterProgram::IptablesLegacy => format!("-P {chain} DROP"),
    }
}

fn manager(table: &Table) -> FilterManager {
    let has = |names: &[&str]| names.iter().any(|name| table.by_name.contains_key(*name));
    if has(&["ufw-before-input", "ufw6-before-input", "ufw-user-input", "ufw6-user-input"]) {
        return FilterManager::Ufw;
    }
    let native = table.id.program == FilterProgram::Nftables;
    if (native && table.id.name == "firewalld") || (!native && has(&["INPUT_ZONES", "FORWARD_IN_ZONES"])) {
        return FilterManager::Firewalld;
    }
    FilterManager::Administrator
}
