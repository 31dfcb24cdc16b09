//! What nft lists as JSON (libnftables-json(5)), read as far as it concerns us.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use serde_json::{Map, Value};

use super::super::rules::{InstalledRule, NormalizedRule, same};
use super::render::{Base, base};
use super::{NftTable, Rules, TableFamily};
use crate::{Match, Protocol, Verdict};

/// Tables as they are loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::linux::firewall) struct Listing {
    /// The tables of the families that see IP packets.
    pub tables: BTreeMap<NftTable, Table>,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::linux::firewall) struct Table {
    /// It has flags, as in `dormant`. Which ones is not said by every version of nft.
    flagged: bool,
    /// Its sets, maps and other objects.
    objects: Vec<Object>,
    /// Its chains by name.
    pub chains: BTreeMap<String, Chain>,
}

/// Something in a table that is neither a chain nor a rule.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::linux::firewall) struct Object {
    /// Its kind in the words of nft, as in `set` or `ct helper`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::linux::firewall) struct Chain {
    /// Its type, hook, priority and policy, if the kernel itself asks it.
    base: Option<BaseSeen>,
    /// Its rules in order.
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
struct BaseSeen {
    kind: String,
    hook: String,
    priority: i64,
    policy: String,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::linux::firewall) struct Rule {
    /// What it is deleted by.
    pub handle: u64,
    /// Its comment.
    pub comment: Option<String>,
    /// Its statements.
    pub statements: Vec<Value>,
}

impl Listing {
    /// Reads what `nft -j list ...` wrote.
    pub(in crate::linux::firewall) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(serde::Deserialize)]
        struct Document {
            nftables: Vec<Map<String, Value>>,
        }
        let document: Document = serde_json::from_slice(json)?;
        let mut listing = Self::default();
        for (kind, object) in document.nftables.iter().flatten() {
            listing.add(kind, object);
        }
        Ok(listing)
    }

    fn add(&mut self, kind: &str, object: &Value) {
        let Some(family) = object["family"].as_str().and_then(TableFamily::of_name) else { return };
        let name = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let table = if kind == "table" { name("name") } else { name("table") };
        let table = self.tables.entry(NftTable { family, table }).or_default();
        match kind {
            "table" => table.flagged = object.get("flags").is_some(),
            "chain" => table.chains.entry(name("name")).or_default().base = BaseSeen::from_json(object),
            "rule" => table.chains.entry(name("chain")).or_default().rules.push(Rule::from_json(object)),
            kind => table.objects.push(Object { kind: kind.to_owned(), name: name("name") }),
        }
    }
}

impl Table {
    /// Whether this is our table with exactly these rules, and nothing beside them.
    pub(in crate::linux::firewall) fn holds(&self, rules: &Rules) -> bool {
        let chain_holds = |(hook, rules): (&crate::Hook, &Vec<_>)| {
            let want = base(*hook);
            self.chains.get(want.name).is_some_and(|chain| {
                let as_wanted = |seen: &BaseSeen| seen.is_at(&want) && seen.policy == "accept";
                chain.base.as_ref().is_some_and(as_wanted) && same(rules, &chain.loaded())
            })
        };
        !self.flagged
            && self.objects.is_empty()
            && self.chains.len() == rules.len()
            && rules.iter().all(chain_holds)
    }

    /// What it has beside chains and rules: none of that is ours. Sets and maps come first, as they refer to the others.
    pub(in crate::linux::firewall) fn surplus_objects(&self) -> impl Iterator<Item = &Object> {
        let refers = |object: &&Object| matches!(object.kind.as_str(), "set" | "map");
        self.objects.iter().filter(refers).chain(self.objects.iter().filter(move |object| !refers(object)))
    }

    /// The chains that have to go before it can have these rules: those of others, and those that the kernel would ask at
    /// another place, which cannot be changed.
    pub(in crate::linux::firewall) fn surplus_chains(&self, rules: &Rules) -> impl Iterator<Item = &String> {
        let wanted = |name: &str, chain: &Chain| {
            let mut places = rules.keys().map(|hook| base(*hook)).filter(|want| want.name == name);
            places.any(|want| chain.base.as_ref().is_some_and(|seen| seen.is_at(&want)))
        };
        self.chains.iter().filter(move |(name, chain)| !wanted(name, chain)).map(|(name, _)| name)
    }
}

impl Chain {
    /// The kernel asks it about this, as in `forward`.
    pub(in crate::linux::firewall) fn is_at(&self, hook: &str) -> bool {
        self.base.as_ref().is_some_and(|base| base.hook == hook)
    }
    /// It filters forwarded packets, and drops those that none of its rules decides: by its policy, or by a rule
    /// without conditions.
    pub(in crate::linux::firewall) fn closed(&self) -> bool {
        let by_policy = self.base.as_ref().is_some_and(|base| base.policy == "drop");
        by_policy || self.rules.iter().any(Rule::drops_all)
    }
    #[cfg(test)]
    pub(in crate::linux::firewall) fn open_for_test(&mut self) {
        self.rules.retain(|rule| !rule.drops_all());
        self.base.as_mut().unwrap().policy = "accept".into();
    }
    /// Its rules, to be compared.
    pub(in crate::linux::firewall) fn loaded(&self) -> Vec<InstalledRule> {
        self.rules.iter().map(Rule::loaded).collect()
    }
}

impl Rule {
    fn from_json(object: &Value) -> Self {
        Self {
            handle: object["handle"].as_u64().unwrap_or_default(),
            comment: object["comment"].as_str().map(str::to_owned),
            statements: object["expr"].as_array().cloned().unwrap_or_default(),
        }
    }
    fn loaded(&self) -> InstalledRule {
        InstalledRule { comment: self.comment.clone(), plain: plain(&self.statements) }
    }
    /// The chain it hands packets on to.
    pub(in crate::linux::firewall) fn target(&self) -> Option<&str> {
        let statement = |kind| self.statements.iter().find_map(|s| s.get(kind)?.get("target")?.as_str());
        statement("jump").or_else(|| statement("goto"))
    }
    /// It has this statement, as in `accept`.
    pub(in crate::linux::firewall) fn has(&self, statement: &str) -> bool {
        self.statements.iter().any(|s| s.get(statement).is_some())
    }
    fn drops_all(&self) -> bool {
        let counts = |s: &Value| s.get("counter").is_some() || s.get("log").is_some();
        match self.statements.as_slice() {
            [before @ .., last] => {
                before.iter().all(counts) && (last.get("drop").is_some() || last.get("reject").is_some())
            }
            [] => false,
        }
    }
}

impl BaseSeen {
    /// It is asked where this chain of ours is.
    fn is_at(&self, want: &Base) -> bool {
        self.kind == want.kind && self.hook == want.hook && self.priority == want.number
    }
    fn from_json(object: &Value) -> Option<Self> {
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        object.get("hook")?;
        // Priorities are numbers; anything else is none of ours.
        let priority = object["prio"].as_i64().unwrap_or(i64::MIN);
        Some(Self { kind: text("type"), hook: text("hook"), priority, policy: text("policy") })
    }
}

/// What a rule's statements say in our words, or `None` if they say more than a rule of ours.
fn plain(statements: &[Value]) -> Option<NormalizedRule> {
    let (last, conditions) = statements.split_last()?;
    let mut plain = NormalizedRule::new(verdict(last)?);
    for statement in conditions {
        plain.add(&condition(statement.get("match")?)?).then_some(())?;
    }
    Some(plain)
}

fn verdict(statement: &Value) -> Option<Verdict> {
    let (kind, value) = statement.as_object()?.iter().next()?;
    let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
    match kind.as_str() {
        "accept" => Some(Verdict::Accept),
        "drop" => Some(Verdict::Drop),
        "masquerade" if empty => Some(Verdict::Masquerade),
        "masquerade" => {
            let (1, [first, last]) =
                (value.as_object()?.len(), value["port"]["range"].as_array()?.as_slice())
            else {
                return None;
            };
            let port = |value: &Value| value.as_u64()?.try_into().ok();
            Some(Verdict::MasqueradeTo { first: port(first)?, last: port(last)? })
        }
        "reject" if value["type"] == "icmpx" && value["expr"] == "admin-prohibited" => Some(Verdict::Reject),
        "mangle" => {
            let option = &value["key"]["tcp option"];
            (option["name"] == "maxseg" && option["field"] == "size").then_some(())?;
            match &value["value"] {
                Value::Number(bytes) => Some(Verdict::SetMss(bytes.as_u64()?.try_into().ok()?)),
                route if route["rt"]["key"] == "mtu" => Some(Verdict::ClampMss),
                _ => None,
            }
        }
        _ => None,
    }
}

fn condition(value: &Value) -> Option<Match> {
    let (left, right) = (&value["left"], &value["right"]);
    let not = match value["op"].as_str()? {
        "==" | "in" => false,
        "!=" => true,
        _ => return None,
    };
    let interface = || right.as_str().map(str::to_owned);
    let (meta, payload) = (left["meta"]["key"].as_str(), &left["payload"]);
    let field = payload["protocol"].as_str().zip(payload["field"].as_str());
    let port = |protocol| Some(Match::Port { protocol, port: right.as_u64()?.try_into().ok()? });
    match (meta, field, not) {
        (Some("iifname"), _, not) => Some(Match::In { interface: interface()?, not }),
        (Some("oifname"), _, not) => Some(Match::Out { interface: interface()?, not }),
        (Some("nfproto"), _, false) if right == "ipv4" => Some(Match::Ipv4),
        (Some("nfproto"), _, false) if right == "ipv6" => Some(Match::Ipv6),
        (Some("l4proto"), _, false) if right == "tcp" => Some(Match::Is { protocol: Protocol::Tcp }),
        (Some("l4proto"), _, false) if right == "udp" => Some(Match::Is { protocol: Protocol::Udp }),
        (_, Some(("ip" | "ip6", "saddr")), not) => Some(Match::From { network: network(right)?, not }),
        (_, Some(("ip" | "ip6", "daddr")), not) => Some(Match::To { network: network(right)?, not }),
        (_, Some(("udp", "dport")), false) => port(Protocol::Udp),
        (_, Some(("tcp", "dport")), false) => port(Protocol::Tcp),
        (None, None, false) if left["ct"]["dir"] == "original" => {
            let of_source = ["ip saddr", "ip6 saddr"].iter().any(|key| left["ct"]["key"] == *key);
            of_source.then(|| network(right).map(|network| Match::CtOriginalSource { network }))?
        }
        (None, None, false) if left["ct"]["key"] == "state" => match words(right)?.as_slice() {
            ["established", "related"] => Some(Match::Established),
            ["invalid", "untracked"] => Some(Match::Unconnected),
            _ => None,
        },
        (None, None, false) => {
            let [flags, mask] = left["&"].as_array()?.as_slice() else { return None };
            let flags = &flags["payload"];
            let ours = flags["protocol"] == "tcp" && flags["field"] == "flags" && right == "syn";
            (ours && words(mask)? == ["rst", "syn"]).then_some(Match::TcpSyn)
        }
        _ => None,
    }
}

/// An address, or a prefix.
pub(in crate::linux::firewall) fn network(value: &Value) -> Option<IpNetwork> {
    if let Some(address) = value.as_str() {
        return address.parse().ok();
    }
    let prefix = &value["prefix"];
    let address = prefix["addr"].as_str()?.parse().ok()?;
    IpNetwork::new(address, prefix["len"].as_u64()?.try_into().ok()?).ok()
}

/// The words of a list, which is an array, a set or a chain of "or" depending on the version of nft; sorted.
fn words(value: &Value) -> Option<Vec<&str>> {
    let list = value.as_array().or_else(|| value["set"].as_array()).or_else(|| value["|"].as_array())?;
    let mut words: Vec<&str> = list.iter().map(Value::as_str).collect::<Option<_>>()?;
    words.sort_unstable();
    Some(words)
}

#[cfg(test)]
mod tests;
