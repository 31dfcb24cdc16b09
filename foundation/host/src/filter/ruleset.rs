//! Our own rules in the form of everybody's, for the host in memory.

use std::collections::BTreeSet;

use ipnetwork::IpNetwork;

use super::facts::address_number;
use super::names::{ESTABLISHED, INVALID, NFPROTO_IPV4, NFPROTO_IPV6, RELATED, SYN, TCP, UDP, UNTRACKED};
use super::tree::{
    Among, Base, BitOp, Condition, Element, Expr, Field, FilterAction, Lookup, Pattern, Ports, Rule,
    Statement, Table, Version,
};
use super::{BaseChain, ChainId, FilterFamily, FilterHook, FilterProgram, Filters, TableId};
use crate::{Hook, Match, Port, Protocol, Ruleset, Verdict};

impl Filters {
    /// The table of nftables in which these rules would be.
    pub(crate) fn of_ruleset(name: &str, rules: &Ruleset) -> Self {
        let id =
            TableId { program: FilterProgram::Nftables, family: FilterFamily::Inet, name: name.to_owned() };
        let mut table = Table::new(id.clone());
        for rule in rules.rules() {
            let (chain, hook, priority) = base(rule.hook);
            let handle = u64::try_from(table.size()).ok();
            let chain = table.chain(chain);
            chain.base.get_or_insert_with(|| Base {
                chain: BaseChain {
                    table: id.clone(),
                    name: chain.name.clone(),
                    hook,
                    priority,
                    policy_drop: false,
                },
                nat: rule.hook == Hook::SourceNat,
                devices: None,
            });
            let mut steps: Vec<Statement> =
                rule.matches.iter().flat_map(conditions).map(Statement::Require).collect();
            steps.extend(action(rule.verdict).map(Statement::Do));
            chain.rules.push(Rule { handle, text: format!("{:?} {:?}", rule.matches, rule.verdict), steps });
        }
        let mut filters = Self::new();
        filters.put(table);
        filters
    }

    /// Puts accepts for these ports into a chain of this name, and a rule at the head of a base chain that leads to it.
    pub(crate) fn put_accepts(&mut self, base: &ChainId, name: &str, ports: &BTreeSet<Port>) {
        let Some(table) = self.tables.iter_mut().find(|table| table.id == base.table) else { return };
        let accept = |port: &Port| {
            let asked = conditions(&Match::Port { protocol: port.protocol, port: port.number });
            let mut steps: Vec<Statement> = asked.into_iter().map(Statement::Require).collect();
            steps.push(Statement::Do(FilterAction::Accept));
            Rule { steps, ..Rule::default() }
        };
        table.chain(name).rules = ports.iter().map(accept).collect();
        let jump =
            Rule { steps: vec![Statement::Do(FilterAction::Jump(name.to_owned()))], ..Rule::default() };
        table.chain(&base.name).rules.insert(0, jump);
    }
}

fn base(hook: Hook) -> (&'static str, FilterHook, i64) {
    match hook {
        Hook::Prerouting => ("prerouting", FilterHook::Prerouting, -150),
        Hook::Input => ("input", FilterHook::Input, 0),
        Hook::Forward => ("forward", FilterHook::Forward, 0),
        Hook::Output => ("output", FilterHook::Output, 0),
        Hook::MssClamp => ("mangle", FilterHook::Forward, -150),
        Hook::SourceNat => ("srcnat", FilterHook::Postrouting, 100),
        Hook::Postrouting => ("postrouting", FilterHook::Postrouting, 200),
    }
}

fn action(verdict: Verdict) -> Option<FilterAction> {
    match verdict {
        Verdict::Accept => Some(FilterAction::Accept),
        Verdict::Drop => Some(FilterAction::Drop),
        Verdict::Reject => Some(FilterAction::Reject),
        Verdict::Masquerade | Verdict::MasqueradeTo { .. } => Some(FilterAction::Masquerade),
        Verdict::ClampMss | Verdict::SetMss(_) => None,
    }
}

fn conditions(of: &Match) -> Vec<Condition> {
    let number = |number| vec![Pattern::Range(number, number)];
    let interface = |field, name: &String, not: &bool| {
        vec![Condition::matching(field, vec![Pattern::Name(name.clone())], *not)]
    };
    match of {
        Match::In { interface: name, not } => interface(Field::InInterface, name, not),
        Match::Out { interface: name, not } => interface(Field::OutInterface, name, not),
        Match::From { network, not } => vec![within(Field::Source, *network, *not)],
        Match::To { network, not } => vec![within(Field::Destination, *network, *not)],
        Match::CtOriginalSource { network } => vec![within(Field::OriginalSource, *network, false)],
        Match::Port { protocol, port } => {
            let field = Field::DestinationPort(Ports::Of(protocol_number(*protocol)));
            vec![Condition::matching(field, number((*port).into()), false)]
        }
        Match::Is { protocol } => {
            vec![Condition::matching(Field::Protocol, number(protocol_number(*protocol).into()), false)]
        }
        Match::Unconnected => vec![Condition::any_bit(Field::State, INVALID | UNTRACKED, false)],
        Match::Established => vec![Condition::any_bit(Field::State, ESTABLISHED | RELATED, false)],
        Match::TcpSyn => {
            // RST is 4.
            let flags = (Expr::Field(Field::TcpFlags), Expr::Number(SYN | 4));
            let key = vec![Expr::Bits(BitOp::And, Box::new(flags))];
            let among = Among::Elements(vec![Element::plain(number(SYN))]);
            vec![Condition { lookup: Lookup { key, among }, not: false }]
        }
        Match::Ipv4 => vec![Condition::matching(Field::Family, number(NFPROTO_IPV4), false)],
        Match::Ipv6 => vec![Condition::matching(Field::Family, number(NFPROTO_IPV6), false)],
    }
}

fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    }
}

fn within(field: fn(Version) -> Field, network: IpNetwork, not: bool) -> Condition {
    let version = if network.is_ipv4() { Version::V4 } else { Version::V6 };
    let (first, last) = (address_number(network.network()), address_number(network.broadcast()));
    Condition::matching(field(version), vec![Pattern::Range(first, last)], not)
}
