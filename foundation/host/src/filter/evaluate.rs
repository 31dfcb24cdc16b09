//! A packet's walk through the base chains.
//!
//! What rules change (marks, tracking) is carried along as a [`PacketState`]. Where a condition is not known, the walk goes
//! on with both possibilities at once: states that meet again are joined, and what differs in them is not known from
//! there on. A chain is walked once for each state in which it is entered, so that jumps do not multiply.

use std::collections::HashMap;

use super::facts::{Context, PacketState, Stage, Tri};
use super::ipset;
use super::lookup::Cache;
use super::spot::spot;
use super::tree::{Base, Chain, FilterAction, Rule, Statement, Table};
use super::{FilterDoubt, FilterFamily, FilterHook, FilterVerdict, Filters, Packet, PacketPath};

/// How deep chains may be nested. nftables refuses more than 16 (`NFT_JUMP_STACK_SIZE`).
const DEPTH_MAX: usize = 64;
/// How much may be done for each rule and element there is, before a ruleset counts as one that cannot be followed.
const WORK_PER_ITEM: usize = 64;
/// And in any case.
const WORK_MIN: usize = 100_000;

/// Priorities at which the kernel asks all chains of type `nat`, whatever theirs are (`NF_IP_PRI_NAT_DST`, `_SRC`).
const NAT_DESTINATION: i64 = -100;
const NAT_SOURCE: i64 = 100;

/// A chain by the places of its table and itself.
pub(super) type ChainAt = (usize, usize);
/// A rule by its chain and place; without place the policy.
pub(super) type RuleAt = (ChainAt, Option<usize>);

/// The base chains of a hook in the order in which the kernel asks them.
pub(super) fn order(filters: &Filters, hook: FilterHook) -> Vec<ChainAt> {
    let mut found = Vec::new();
    for (at, table) in filters.tables.iter().enumerate().filter(|(_, table)| !table.dormant) {
        for (place, chain) in table.chains.iter().enumerate() {
            if let Some(base) = chain.base.as_ref().filter(|base| base.chain.hook == hook) {
                found.push((asked_at(base), base.chain.priority, (at, place)));
            }
        }
    }
    // Of several with one priority the kernel asks the one first that came last (`nf_hook_entries_grow`).
    found.reverse();
    found.sort_by_key(|(asked, priority, _)| (*asked, *priority));
    found.into_iter().map(|(_, _, at)| at).collect()
}

/// The priority at which the kernel asks a base chain.
pub(super) fn asked_at(base: &Base) -> i64 {
    match (base.nat, base.chain.hook) {
        (true, FilterHook::Prerouting | FilterHook::Output) => NAT_DESTINATION,
        (true, _) => NAT_SOURCE,
        (false, _) => base.chain.priority,
    }
}

pub(super) fn verdict(filters: &Filters, packet: &Packet) -> FilterVerdict {
    let hooks: &[FilterHook] = match packet.path {
        PacketPath::Input => &[FilterHook::Ingress, FilterHook::Prerouting, FilterHook::Input],
        PacketPath::Forward => &[
            FilterHook::Ingress,
            FilterHook::Prerouting,
            FilterHook::Forward,
            FilterHook::Postrouting,
            FilterHook::Egress,
        ],
    };
    let sizes: Vec<usize> = filters.tables.iter().map(Table::size).collect();
    let mut ends = Ends::default();
    let mut state = PacketState::new(packet);
    for hook in hooks {
        for at in order(filters, *hook) {
            let Some(base) = &filters.tables[at.0].chains[at.1].base else { continue };
            let seen = sees(base, packet);
            if seen == Tri::False {
                continue;
            }
            let mut walk = Walk::new(filters, packet, base, sizes[at.0]);
            match ends.base_chain(&mut walk, at, state, seen) {
                Some(passed) => state = passed,
                None => return ends.verdict(filters, false),
            }
        }
    }
    ends.verdict(filters, true)
}

/// Whether a base chain is asked about the packet at all.
fn sees(base: &Base, packet: &Packet) -> Tri {
    let by_family = match base.chain.table.family {
        FilterFamily::Inet | FilterFamily::Netdev => true,
        FilterFamily::Ip => packet.is_ipv4(),
        FilterFamily::Ip6 => !packet.is_ipv4(),
    };
    let interface = match base.chain.hook {
        FilterHook::Ingress => Some(packet.in_interface.as_str()),
        FilterHook::Egress => packet.out_interface.as_deref(),
        _ => return Tri::from_bool(by_family),
    };
    match (interface, &base.devices) {
        (Some(interface), Some(devices)) => Tri::from_bool(devices.iter().any(|device| device == interface)),
        _ => Tri::Maybe,
    }
}

/// What ended, or may have ended, a packet until now.
#[derive(Default)]
struct Ends {
    stop: Option<(Stop, Spot)>,
    /// The first rule that may have ended it, and may not.
    doubt: Option<Spot>,
}

/// How a rule ends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Drop,
    Reject,
    Redirect,
}

/// A rule with the base chain by which it was reached.
pub(super) type Spot = (ChainAt, RuleAt);

impl Ends {
    /// Walks a base chain. Gives the state in which the packet passes it, if it may.
    fn base_chain(
        &mut self,
        walk: &mut Walk<'_>,
        at: ChainAt,
        state: PacketState,
        seen: Tri,
    ) -> Option<PacketState> {
        let base = walk.filters.tables[at.0].chains[at.1].base.as_ref();
        let drops = base.is_some_and(|base| base.chain.policy_drop);
        // Where it is not sure that the chain is asked, the packet may pass without it.
        let context = Context { packet: walk.packet, stage: walk.stage, state: &state };
        // Chains of type nat are asked for the first packet of a connection.
        let asked = if base.is_some_and(|base| base.nat) { context.opens_connection() } else { Tri::True };
        let aside = match seen.and(asked) {
            Tri::False => return Some(state),
            Tri::Maybe => Some(state.clone()),
            Tri::True => None,
        };
        let doubted = aside.is_some();
        let mut flow = walk.chain(at, state, 0);
        let mut passed = PacketState::join(flow.accepted.take(), aside);
        match flow.rest.take() {
            Some(_) if drops => flow.stop = Some((Stop::Drop, (at, None))),
            rest => passed = PacketState::join(passed, rest),
        }
        if let Some((stop, rule)) = flow.stop {
            self.stop = Some((stop, (at, rule)));
            let doubt = flow.may_stop.or(flow.may_pass).or(doubted.then_some(rule));
            self.doubt = self.doubt.or(doubt.map(|rule| (at, rule)));
        }
        passed
    }

    fn verdict(self, filters: &Filters, passes: bool) -> FilterVerdict {
        let Some((stop, at)) = self.stop else {
            let unread = filters.unread.first().map(|table| FilterDoubt::Unread(table.clone()));
            return unread.map_or(FilterVerdict::Accepted, FilterVerdict::Unknown);
        };
        let named = |at| Box::new(spot(filters, at));
        match stop {
            _ if passes => FilterVerdict::Unknown(FilterDoubt::Rule(named(self.doubt.unwrap_or(at)))),
            Stop::Drop => FilterVerdict::Dropped(named(at)),
            Stop::Reject => FilterVerdict::Rejected(named(at)),
            Stop::Redirect => FilterVerdict::Redirected(named(at)),
        }
    }
}

/// Where packets go that come to a chain, or to a part of it.
#[derive(Clone, Debug, Default)]
struct Flow {
    /// They leave it by its end or by a return.
    rest: Option<PacketState>,
    /// They are accepted.
    accepted: Option<PacketState>,
    /// They are ended; of several the last one, which takes what the others leave.
    stop: Option<(Stop, RuleAt)>,
    /// The first rule of which it is not known whether it ends them.
    may_stop: Option<RuleAt>,
    /// The same for letting them pass.
    may_pass: Option<RuleAt>,
}

impl Flow {
    /// Adds what becomes of others, but for what leaves them by their end.
    fn add(&mut self, other: Self) -> Option<PacketState> {
        self.accepted = PacketState::join(self.accepted.take(), other.accepted);
        self.stop = other.stop.or(self.stop);
        self.may_stop = self.may_stop.or(other.may_stop);
        self.may_pass = self.may_pass.or(other.may_pass);
        other.rest
    }
    fn stopped(stop: Stop, at: RuleAt) -> Self {
        Self { stop: Some((stop, at)), ..Self::default() }
    }
    /// Anything may become of it.
    fn unknown(mut state: PacketState, at: RuleAt) -> Self {
        state.blur();
        Self {
            rest: Some(state.clone()),
            accepted: Some(state),
            may_stop: Some(at),
            ..Self::stopped(Stop::Drop, at)
        }
    }
    /// What a rule does of which it is not known whether it applies. `leaves`: what comes back from it leaves the
    /// chain.
    fn doubted(self, at: RuleAt, leaves: bool) -> Self {
        let may_stop = self.stop.map_or(self.may_stop, |_| Some(at));
        let passes = self.accepted.is_some() || leaves;
        let may_pass = if passes { Some(at) } else { self.may_pass };
        Self { may_stop, may_pass, ..self }
    }
}

/// How packets go on after a rule, or after an action of it.
#[derive(Default)]
struct Next {
    /// To the next rule.
    on: Option<PacketState>,
    /// Out of the chain.
    out: Option<PacketState>,
}

struct Walk<'a> {
    filters: &'a Filters,
    packet: &'a Packet,
    stage: Stage,
    cache: Cache,
    done: HashMap<(ChainAt, PacketState), Flow>,
    work: usize,
}

impl<'a> Walk<'a> {
    fn new(filters: &'a Filters, packet: &'a Packet, base: &Base, size: usize) -> Self {
        let work = WORK_MIN.max(size.saturating_mul(WORK_PER_ITEM));
        let stage = Stage { hook: base.chain.hook, priority: asked_at(base) };
        Self { filters, packet, stage, cache: Cache::default(), done: HashMap::new(), work }
    }

    /// Spends some work. `false` when there is none left.
    fn spend(&mut self, amount: usize) -> bool {
        self.work = self.work.saturating_sub(amount);
        self.work > 0
    }

    fn chain(&mut self, at: ChainAt, state: PacketState, depth: usize) -> Flow {
        let key = (at, state.clone());
        if let Some(flow) = self.done.get(&key) {
            return flow.clone();
        }
        let unknown = Flow::unknown(state.clone(), (at, None));
        if depth > DEPTH_MAX {
            return unknown;
        }
        // A chain that jumps to itself, which no kernel takes, finds this.
        self.done.insert(key.clone(), unknown);
        let filters = self.filters;
        let chain: &Chain = &filters.tables[at.0].chains[at.1];
        let (mut flow, mut on, mut out) = (Flow::default(), Some(state), None);
        for (place, rule) in chain.rules.iter().enumerate() {
            let Some(state) = on.take() else { break };
            if !self.spend(1) {
                let unknown = Flow::unknown(state, (at, Some(place)));
                out = PacketState::join(out, flow.add(unknown));
                break;
            }
            let next = self.rule((at, Some(place)), rule, state, depth, &mut flow);
            on = next.on;
            out = PacketState::join(out, next.out);
        }
        flow.rest = PacketState::join(on, out);
        self.done.insert(key, flow.clone());
        flow
    }

    fn rule(
        &mut self,
        at: RuleAt,
        rule: &Rule,
        mut state: PacketState,
        depth: usize,
        flow: &mut Flow,
    ) -> Next {
        let mut next = Next::default();
        // Whether it is not known that the rule applies.
        let mut may = false;
        for step in &rule.steps {
            match step {
                Statement::Require(condition) => {
                    let table = &self.filters.tables[at.0.0];
                    let context = Context { packet: self.packet, stage: self.stage, state: &state };
                    let met = self.cache.condition(condition, table, context);
                    let cost = self.cache.cost();
                    match if self.spend(cost) { met } else { Tri::Maybe } {
                        Tri::True => {}
                        Tri::False => return next.with(state),
                        Tri::Maybe => (may, next) = (true, next.with(state.clone())),
                    }
                }
                Statement::Maybe => (may, next) = (true, next.with(state.clone())),
                Statement::Do(action) => return self.act(at, action, (state, may), depth, flow, next),
                Statement::DoByMap(lookup) => {
                    let table = &self.filters.tables[at.0.0];
                    let context = Context { packet: self.packet, stage: self.stage, state: &state };
                    let found = self.cache.actions(lookup, table, context);
                    let cost = self.cache.cost();
                    if !self.spend(cost) {
                        return self.act(at, &FilterAction::Unknown, (state, true), depth, flow, next);
                    }
                    if found.may_miss {
                        next = next.with(state.clone());
                    }
                    may |= found.may_miss || found.actions.len() > 1;
                    for action in &found.actions {
                        next = self.act(at, action, (state.clone(), may), depth, flow, next);
                    }
                    return next;
                }
                Statement::Set(what, value) => {
                    let table = &self.filters.tables[at.0.0];
                    let context = Context { packet: self.packet, stage: self.stage, state: &state };
                    let value = self.cache.number(value, table, context);
                    state.set(*what, value);
                }
                Statement::NoTrack => state.untrack(self.stage),
                Statement::Touch(set) => state.touch(&self.filters.tables[at.0.0].id, set),
                Statement::TouchIpSet(set) => state.touch(&ipset::place(), set),
            }
        }
        next.with(state)
    }

    fn act(
        &mut self,
        at: RuleAt,
        action: &FilterAction,
        (mut state, may): (PacketState, bool),
        depth: usize,
        flow: &mut Flow,
        mut next: Next,
    ) -> Next {
        let (mut done, mut out) = (Flow::default(), None);
        match action {
            FilterAction::Continue => return next.with(state),
            FilterAction::Accept => done.accepted = Some(state),
            FilterAction::Translate => {
                let protocol = self.packet.protocol;
                state.translate_source(protocol);
                done.accepted = Some(state);
            }
            FilterAction::Masquerade => {
                state.masquerade(self.packet);
                done.accepted = Some(state);
            }
            FilterAction::Return => done.rest = Some(state),
            FilterAction::Drop => done = Flow::stopped(Stop::Drop, at),
            FilterAction::Reject => done = Flow::stopped(Stop::Reject, at),
            FilterAction::Redirect => done = Flow::stopped(Stop::Redirect, at),
            FilterAction::Unknown => {
                done = Flow::unknown(state, at);
                next = next.with_some(done.rest.clone());
            }
            FilterAction::Jump(name) | FilterAction::Goto(name) => {
                done = match self.filters.tables[at.0.0].by_name.get(name) {
                    Some(place) => self.chain((at.0.0, *place), state, depth + 1),
                    None => Flow::unknown(state, at),
                };
            }
        }
        if may {
            done = done.doubted(at, matches!(action, FilterAction::Return | FilterAction::Goto(_)));
        }
        let rest = flow.add(done);
        match action {
            FilterAction::Jump(_) => next = next.with_some(rest),
            _ => out = rest,
        }
        Next { out: PacketState::join(next.out, out), ..next }
    }
}

impl Next {
    fn with(self, on: PacketState) -> Self {
        self.with_some(Some(on))
    }
    fn with_some(self, on: Option<PacketState>) -> Self {
        Self { on: PacketState::join(self.on, on), ..self }
    }
}
