//! The packet filter in memory: our rules by value, other people's as lines of text.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnetwork::{IpNetwork, Ipv4Network};
use phantom_types::Subnet;

use super::{FakeHost, network_words};
use crate::filter::{ChainId, FilterHook, FilterManager, Filters, RuleSpot, from_strangers};
use crate::{
    Firewall, FirewallKind, FirewallQuery, FirewallReport, Hook, HostError, Match, OwnershipTags, Port,
    Protocol, Result, Ruleset, RulesetRule, RulesetStatus, StuckRules, UfwReport, UfwRule, UfwRules, Verdict,
};

/// Accepts of ours in base chains of others.
pub(super) type LetIn = BTreeMap<ChainId, BTreeSet<Port>>;

/// What is loaded.
#[derive(Clone)]
pub(super) struct Filter {
    pub(super) kind: FirewallKind,
    /// Our rules by the text of their tags.
    pub(super) ours: BTreeMap<String, Ruleset>,
    pub(super) foreign: Vec<String>,
    /// Tables of others, as far as packets are asked about.
    pub(super) others: Filters,
    /// Our accepts in base chains of others, by the text of their tags.
    pub(super) let_in: BTreeMap<String, LetIn>,
    /// `None` while ufw is not installed.
    pub(super) ufw: Option<Ufw>,
    pub(super) forgotten: Vec<IpNetwork>,
    pub(super) stuck: Vec<StuckRules>,
    /// How often our rules were changed.
    pub(super) generation: u32,
}

#[derive(Clone, Default)]
pub(super) struct Ufw {
    pub(super) active: bool,
    /// The text of the tags of each rule of ours.
    pub(super) ours: Vec<(String, UfwRule)>,
    pub(super) foreign: Vec<String>,
    pub(super) limited: BTreeSet<Port>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            kind: FirewallKind::Nftables,
            ours: BTreeMap::new(),
            foreign: Vec::new(),
            others: Filters::new(),
            let_in: BTreeMap::new(),
            ufw: None,
            forgotten: Vec::new(),
            stuck: Vec::new(),
            generation: 0,
        }
    }
}

impl Firewall for FakeHost {
    fn kind(&self) -> Result<FirewallKind> {
        Ok(self.state().filter.kind)
    }

    fn in_force(&self, tags: &OwnershipTags, wanted: &Ruleset) -> Result<RulesetStatus> {
        let needed = self.needed(wanted)?;
        let filter = &self.state().filter;
        let let_in = filter.let_in.get(&tags.tag()).cloned().unwrap_or_default();
        Ok(match filter.ours.get(&tags.tag()) {
            None => RulesetStatus::Missing,
            Some(loaded) if loaded == wanted && let_in == needed => RulesetStatus::InSync,
            Some(_) => RulesetStatus::Drifted,
        })
    }

    fn replace(&self, tags: &OwnershipTags, wanted: &Ruleset) -> Result<()> {
        let name = format!("firewall.replace {} {} rules", tags.tag(), wanted.rules().len());
        let needed = self.needed(wanted)?;
        let mut state = self.write(&name)?;
        if needed.is_empty() {
            state.filter.let_in.remove(&tags.tag());
        } else {
            state.filter.let_in.insert(tags.tag(), needed);
        }
        state.filter.generation += 1;
        if wanted.is_empty() {
            // No empty table is left behind.
            state.filter.ours.remove(&tags.tag());
        } else {
            state.filter.ours.insert(tags.tag(), wanted.clone());
        }
        Ok(())
    }

    fn remove(&self, tags: &OwnershipTags) -> Result<()> {
        let mut state = self.write(&format!("firewall.remove {}", tags.tag()))?;
        state.filter.generation += 1;
        state.filter.ours.remove(&tags.tag());
        state.filter.let_in.remove(&tags.tag());
        Ok(())
    }

    fn generation(&self) -> Result<Option<u32>> {
        let filter = &self.state().filter;
        Ok(Some(filter.generation).filter(|_| filter.kind == FirewallKind::Nftables))
    }

    fn ufw(&self, tags: &OwnershipTags) -> Result<Option<UfwRules>> {
        let state = self.state();
        Ok(state.filter.ufw.as_ref().map(|ufw| {
            let ours = ufw.ours.iter().filter(|(mark, _)| *mark == tags.tag());
            let ours = ours.map(|(_, rule)| rule.clone()).collect();
            UfwRules { active: ufw.active, ours, limited: ufw.limited.clone() }
        }))
    }

    fn add_ufw(&self, tags: &OwnershipTags, rule: &UfwRule) -> Result<()> {
        let mut state = self.write(&format!("firewall.add_ufw {} {}", tags.tag(), ufw_text(rule)))?;
        let ufw = state.filter.ufw.as_mut().ok_or(HostError::NotInstalled { program: "ufw" })?;
        // ufw has one rule for one condition, whatever its verdict.
        ufw.ours.retain(|(_, other)| !same_condition(other, rule));
        ufw.ours.push((tags.tag(), rule.clone()));
        Ok(())
    }

    fn remove_ufw(&self, tags: &OwnershipTags, rule: &UfwRule) -> Result<()> {
        let mut state = self.write(&format!("firewall.remove_ufw {} {}", tags.tag(), ufw_text(rule)))?;
        if let Some(ufw) = state.filter.ufw.as_mut() {
            ufw.ours.retain(|(mark, other)| *mark != tags.tag() || other != rule);
        }
        Ok(())
    }

    fn report(&self, tags: &OwnershipTags, query: &FirewallQuery) -> Result<FirewallReport> {
        Ok(self.state().filter.report(tags, query))
    }

    /// Our own rules, and the tables that [`FakeHost::set_filters`] was given, with our accepts in them.
    fn filters(&self) -> Result<Filters> {
        let filter = &self.state().filter;
        let mut all = filter.others.clone();
        for (mark, let_in) in &filter.let_in {
            let chain = format!("{}_input", mark.replace('-', "_"));
            for (base, ports) in let_in {
                all.put_accepts(base, &chain, ports);
            }
        }
        for (mark, rules) in &filter.ours {
            all.extend(Filters::of_ruleset(&mark.replace('-', "_"), rules));
        }
        Ok(all)
    }

    fn stuck(&self, _: &OwnershipTags) -> Result<Vec<StuckRules>> {
        Ok(self.state().filter.stuck.clone())
    }

    fn forget_connections(&self, of: &[IpNetwork]) -> Result<()> {
        let list = network_words(of);
        self.write(&format!("firewall.forget_connections{list}"))?.filter.forgotten.extend(of);
        Ok(())
    }
}

impl FakeHost {
    /// Where accepts of ours are needed so that others let these ports in, as [`crate::linux`] finds it.
    fn needed(&self, wanted: &Ruleset) -> Result<LetIn> {
        let (others, ufw) = {
            let filter = &self.state().filter;
            (filter.others.clone(), filter.ufw.as_ref().is_some_and(|ufw| ufw.active))
        };
        let by_ufw = |spot: &RuleSpot| ufw && spot.manager == FilterManager::Ufw;
        let can = |spot: &RuleSpot| {
            matches!(spot.base.hook, FilterHook::Prerouting | FilterHook::Input) && !by_ufw(spot)
        };
        let mut needed = LetIn::new();
        for port in wanted.openings() {
            let tags = OwnershipTags::new(None);
            if others.limit(&tags, self, *port, |spot| !by_ufw(spot))?.is_some() {
                continue;
            }
            for packets in from_strangers(self, true, *port)? {
                for chain in others.refusing(&packets, can) {
                    needed.entry(chain).or_default().insert(*port);
                }
            }
        }
        Ok(needed)
    }
}

fn same_condition(one: &UfwRule, other: &UfwRule) -> bool {
    let port = |rule: &UfwRule| match rule {
        UfwRule::Allow { protocol, port } | UfwRule::Deny { protocol, port } => Some((*protocol, *port)),
        UfwRule::RouteFrom { .. } => None,
    };
    one == other || (port(one).is_some() && port(one) == port(other))
}

/// A rule as ufw's command line has it.
pub(super) fn ufw_text(rule: &UfwRule) -> String {
    let port = |protocol: &Protocol, port: &u16| format!("{port}/{}", protocol_text(*protocol));
    match rule {
        UfwRule::Allow { protocol, port: number } => format!("allow {}", port(protocol, number)),
        UfwRule::Deny { protocol, port: number } => format!("deny {}", port(protocol, number)),
        UfwRule::RouteFrom { interface } => format!("route allow in on {interface}"),
    }
}

pub(super) fn protocol_text(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

impl Filter {
    fn report(&self, tags: &OwnershipTags, query: &FirewallQuery) -> FirewallReport {
        let rules = self.ours.get(&tags.tag()).map(Ruleset::rules).unwrap_or_default();
        let subnet = subnet_network(query.subnet);
        let names = |line: &&String| {
            let words = [query.interface.to_string(), query.subnet.to_string(), query.port.to_string()];
            words.iter().any(|word| line.contains(word.as_str()))
        };
        let chosen = |nat: bool| {
            let foreign = self.foreign.iter().filter(names);
            foreign.filter(|line| line.contains("-t nat") == nat).cloned().collect()
        };
        let loaded = self.ours.contains_key(&tags.tag());
        FirewallReport {
            ufw: self.ufw_report(tags, &names),
            nat_rules: chosen(true),
            filter_rules: chosen(false),
            masquerade: rules.iter().filter_map(|rule| masquerade(rule, subnet)).collect(),
            forwarding: rules.iter().any(|rule| accepts_forward(rule, query, subnet)),
            table_loaded: loaded && self.kind == FirewallKind::Nftables,
        }
    }

    fn ufw_report(&self, tags: &OwnershipTags, names: &dyn Fn(&&String) -> bool) -> UfwReport {
        let Some(ufw) = self.ufw.as_ref().filter(|ufw| ufw.active) else { return UfwReport::default() };
        let ours = ufw.ours.iter().filter(|(mark, _)| *mark == tags.tag()).map(|(_, rule)| ufw_text(rule));
        let foreign = ufw.foreign.iter().filter(names).cloned();
        UfwReport { enabled: true, lines: ours.chain(foreign).collect() }
    }
}

fn subnet_network(subnet: Subnet) -> IpNetwork {
    let network = Ipv4Network::new(subnet.network(), subnet.prefix());
    network.map_or(IpNetwork::V4(Ipv4Network::from(Ipv4Addr::UNSPECIFIED)), IpNetwork::V4)
}

fn masquerade(rule: &RulesetRule, subnet: IpNetwork) -> Option<(IpNetwork, IpNetwork)> {
    let from = rule.matches.contains(&Match::From { network: subnet, not: false });
    let to = rule.matches.iter().find_map(|condition| match condition {
        Match::To { network, not: false } => Some(*network),
        _ => None,
    });
    let everywhere = IpNetwork::V4(Ipv4Network::new(Ipv4Addr::UNSPECIFIED, 0).ok()?);
    (rule.hook == Hook::SourceNat && rule.verdict == Verdict::Masquerade && from)
        .then(|| (subnet, to.unwrap_or(everywhere)))
}

fn accepts_forward(rule: &RulesetRule, query: &FirewallQuery, subnet: IpNetwork) -> bool {
    let ours = |condition: &Match| match condition {
        Match::In { interface, not: false } => interface == query.interface.as_str(),
        Match::From { network, not: false } => *network == subnet,
        _ => false,
    };
    rule.hook == Hook::Forward && rule.verdict == Verdict::Accept && rule.matches.iter().any(ours)
}

impl FakeHost {
    /// Chooses the packet filter that the host has. What is loaded stays.
    pub fn set_firewall_kind(&self, kind: FirewallKind) {
        self.state().filter.kind = kind;
    }
    /// Drops every rule of ours, as a flush by hand does. Foreign ones stay.
    pub fn flush_firewall(&self) {
        self.state().filter.ours.clear();
        self.state().filter.let_in.clear();
    }
    /// Adds a rule of somebody else, any text. It is in the dump, nothing of ours may change it, and reports show it
    /// where it names what they are about: with `-t nat` in it as a rule of the NAT table, else of the filter table.
    pub fn add_foreign_rule(&self, line: &str) {
        self.state().filter.foreign.push(line.to_owned());
    }
    /// Puts tables of somebody else into force, in the place of those that this has put there before. They decide
    /// about the packets that [`Firewall::filters`] is asked about, and nothing else: reports do not show them.
    pub fn set_filters(&self, others: Filters) {
        self.state().filter.others = others;
    }
    /// Says that rules of ours are loaded that nobody can take out.
    pub fn set_stuck(&self, stuck: &[StuckRules]) {
        self.state().filter.stuck = stuck.to_vec();
    }
    /// Our rules, `None` when nothing is loaded under these tags.
    pub fn firewall_rules(&self, tags: &OwnershipTags) -> Option<Ruleset> {
        self.state().filter.ours.get(&tags.tag()).cloned()
    }
    /// Installs ufw, active or not, with its rules kept if it is there; `None` removes it.
    pub fn set_ufw(&self, active: Option<bool>) {
        let filter = &mut self.state().filter;
        filter.ufw = active.map(|active| Ufw { active, ..filter.ufw.take().unwrap_or_default() });
    }
    /// Adds a rule of somebody else to ufw, as a line of its status. Installs and activates ufw if need be.
    pub fn add_foreign_ufw(&self, line: &str) {
        let filter = &mut self.state().filter;
        filter.ufw.get_or_insert(Ufw { active: true, ..Ufw::default() }).foreign.push(line.to_owned());
    }
    /// Adds a rule of somebody else to ufw that lets a port in for some senders alone. Installs and activates ufw if need be.
    pub fn limit_ufw(&self, port: Port) {
        let filter = &mut self.state().filter;
        filter.ufw.get_or_insert(Ufw { active: true, ..Ufw::default() }).limited.insert(port);
    }
    /// Networks whose tracked connections were forgotten, in order.
    pub fn forgotten_connections(&self) -> Vec<IpNetwork> {
        self.state().filter.forgotten.clone()
    }
}
