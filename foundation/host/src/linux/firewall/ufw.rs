//! ufw: rules that carry our tag as their comment.
//!
//! What is there is read from ufw's own rule files, which is what `ufw show added` prints, without starting its
//! interpreter; changes go through the program. ufw keeps one rule for one condition: adding a rule that the
//! operator has made already changes that one. Ours then remembers in its comment what it was, and removing it
//! brings that back.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use phantom_types::InterfaceName;

use super::xtables::Listing;
use crate::linux::command::{Program, find};
use crate::{HostError, Port, Protocol, Result, UfwRule};

/// Whether ufw is switched on.
const CONFIG: &str = "/etc/ufw/ufw.conf";
/// Its rules for IPv4 and IPv6. A rule without addresses is in both.
const RULES: [&str; 2] = ["/etc/ufw/user.rules", "/etc/ufw/user6.rules"];

/// A rule of ufw as its files have it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tuple {
    /// For forwarded packets (`ufw route`).
    route: bool,
    /// As in `allow`, or `allow_log`.
    action: String,
    /// Its conditions: protocol, destination port and address, source port and address, direction with interface.
    conditions: String,
    comment: String,
}

/// Whether ufw is installed.
pub(super) fn installed() -> bool {
    Path::new(CONFIG).exists() && find("ufw").is_some()
}

/// Whether ufw is installed and switched on.
pub(super) fn enabled() -> Result<bool> {
    Ok(read(Path::new(CONFIG))?.is_some_and(|config| switched_on(&config)) && find("ufw").is_some())
}

/// Whether a table of iptables is filled by ufw, which then decides about forwarded packets itself. Its chains stay
/// when it is switched off.
pub(super) fn manages(listing: &Listing) -> bool {
    let of_ufw = |chain: &&str| listing.chains.contains_key(*chain);
    ["ufw-before-forward", "ufw6-before-forward"].iter().any(of_ufw) && enabled().unwrap_or(false)
}

/// Our rules, and the ports that the operator has limited.
pub(super) fn rules(mark: &str) -> Result<(BTreeSet<UfwRule>, BTreeSet<Port>)> {
    let tuples = tuples()?;
    let ours = tuples
        .iter()
        .filter(|tuple| RuleOwner::from_comment(mark, &tuple.comment).is_ours())
        .filter_map(rule_of);
    Ok((ours.collect(), limited(&of_the_operator(mark, &tuples))))
}

/// The operator's rules, those that are ours now as they were before: whether a port is limited must not depend on what we have done.
fn of_the_operator(mark: &str, tuples: &[Tuple]) -> Vec<Tuple> {
    let theirs = tuples.iter().filter_map(|tuple| match RuleOwner::from_comment(mark, &tuple.comment) {
        RuleOwner::Foreign => Some(tuple.clone()),
        RuleOwner::Made => None,
        RuleOwner::Taken { action, .. } => Some(Tuple { action: action.to_owned(), ..tuple.clone() }),
    });
    theirs.collect()
}

/// The ports that rules name for some senders or by one interface, where none lets in everybody.
fn limited(tuples: &[Tuple]) -> BTreeSet<Port> {
    let (mut some, mut all) = (BTreeSet::new(), BTreeSet::new());
    for (ports, everybody) in tuples.iter().filter_map(Tuple::lets_in) {
        let who = if everybody { &mut all } else { &mut some };
        who.extend(ports);
    }
    &some - &all
}

/// Adds a rule. An allow or a route goes behind the rules there are, a deny in front of all; but a rule that is there
/// for the same condition becomes ours where it stands.
pub(super) fn add(mark: &str, rule: &UfwRule) -> Result<()> {
    let wanted = tuple_of(rule);
    let there = tuples()?.into_iter().find(|tuple| tuple.same_condition(&wanted));
    let mut comment = mark.to_owned();
    let mut first = matches!(rule, UfwRule::Deny { .. });
    if let Some(there) = &there {
        match RuleOwner::from_comment(mark, &there.comment) {
            origin if origin.is_ours() && there.action == wanted.action => return Ok(()),
            // Changed in place it would stay where it is.
            RuleOwner::Made => ufw(&command(&there.action, rule, Placed::Deleted, None))?,
            RuleOwner::Taken { .. } => (comment, first) = (there.comment.clone(), false),
            RuleOwner::Foreign => (comment, first) = (taken(mark, there), false),
        }
    }
    let place = if first { Placed::First } else { Placed::Last };
    ufw(&command(&wanted.action, rule, place, Some(&comment)))?;
    let ours =
        |tuple: &Tuple| tuple.same_rule(&wanted) && RuleOwner::from_comment(mark, &tuple.comment).is_ours();
    if tuples()?.iter().any(ours) {
        Ok(())
    } else {
        Err(HostError::unexpected(format!("ufw did not take the rule {rule:?}")))
    }
}

/// Removes a rule of ours, or makes it again what it was before it was ours.
pub(super) fn remove(mark: &str, rule: &UfwRule) -> Result<()> {
    let wanted = tuple_of(rule);
    let Some(there) = tuples()?.into_iter().find(|tuple| tuple.same_rule(&wanted)) else { return Ok(()) };
    match RuleOwner::from_comment(mark, &there.comment) {
        RuleOwner::Foreign => Ok(()),
        RuleOwner::Made => ufw(&command(&there.action, rule, Placed::Deleted, None)),
        RuleOwner::Taken { action, comment } => ufw(&command(action, rule, Placed::Last, Some(comment))),
    }
}

/// What `ufw status verbose` prints. Empty when it cannot be run.
pub(super) fn status() -> String {
    let output = Program::named("ufw").and_then(|ufw| ufw.args(["status", "verbose"]).run());
    output.map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

/// The lines of a status that carry the mark or hold one of these words, without comment and trailing blanks.
pub(super) fn status_lines(status: &str, mark: &str, words: &[String]) -> Vec<String> {
    let rules = status.lines().skip_while(|line| !line.starts_with("--"));
    let concerning = rules.skip(1).filter_map(|line| {
        let (rule, comment) = line.split_once(" # ").unwrap_or((line, ""));
        let named = || rule.split_whitespace().any(|word| words.iter().any(|wanted| wanted == word));
        (RuleOwner::from_comment(mark, comment).is_ours() || named()).then(|| rule.trim_end().to_owned())
    });
    concerning.collect()
}

/// Where a rule is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placed {
    First,
    Last,
    Deleted,
}

/// The arguments of ufw for a rule with this action.
fn command(action: &str, rule: &UfwRule, placed: Placed, comment: Option<&str>) -> Vec<String> {
    // "allow_log" in the files is "allow log" to the program.
    let (verb, log) = action.split_once('_').map_or((action, None), |(verb, log)| (verb, Some(log)));
    let mut words: Vec<String> = Vec::new();
    let mut push = |word: &str| words.push(word.to_owned());
    if matches!(rule, UfwRule::RouteFrom { .. }) {
        push("route");
    }
    match placed {
        Placed::First => push("prepend"),
        Placed::Last => {}
        Placed::Deleted => push("delete"),
    }
    push(verb);
    match rule {
        UfwRule::Allow { protocol, port } | UfwRule::Deny { protocol, port } => {
            log.into_iter().for_each(&mut push);
            push(&format!("{port}/{}", name(*protocol)));
        }
        UfwRule::RouteFrom { interface } => {
            ["in", "on", interface.as_str()].into_iter().chain(log).for_each(&mut push);
        }
    }
    if let Some(text) = comment {
        push("comment");
        push(text);
    }
    words
}

fn ufw(args: &[String]) -> Result<()> {
    Program::named("ufw")?.args(args.iter().cloned()).run().map(drop)
}

fn name(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Tcp { "tcp" } else { "udp" }
}

/// Whose a rule is, by its comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RuleOwner<'a> {
    /// The operator's.
    Foreign,
    /// Made by us.
    Made,
    /// The operator's, taken over by us; it had this action and this comment.
    Taken { action: &'a str, comment: &'a str },
}

impl<'a> RuleOwner<'a> {
    fn from_comment(mark: &str, comment: &'a str) -> Self {
        match comment.strip_prefix(mark) {
            Some("") => Self::Made,
            Some(rest) => rest.strip_prefix(WAS).map_or(Self::Foreign, |was| {
                let (action, comment) = was.split_once(": ").unwrap_or((was, ""));
                Self::Taken { action, comment }
            }),
            None => Self::Foreign,
        }
    }
    fn is_ours(self) -> bool {
        self != Self::Foreign
    }
}

/// What stands between our tag and what a rule was that we took over.
const WAS: &str = "; was ";

/// The comment of a rule of the operator that becomes ours.
fn taken(mark: &str, was: &Tuple) -> String {
    let before = if was.comment.is_empty() { String::new() } else { format!(": {}", was.comment) };
    format!("{mark}{WAS}{}{before}", was.action)
}

fn tuples() -> Result<Vec<Tuple>> {
    let mut tuples = Vec::new();
    for file in RULES {
        tuples.extend(read(Path::new(file))?.unwrap_or_default().lines().filter_map(Tuple::parse));
    }
    Ok(tuples)
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(HostError::io(format!("reading {}", path.display()), e)),
    }
}

fn switched_on(config: &str) -> bool {
    let value = config.lines().filter_map(|line| line.trim().strip_prefix("ENABLED=")).next_back();
    value.is_some_and(|value| value.trim_matches(['"', '\'', ' ']).eq_ignore_ascii_case("yes"))
}

impl Tuple {
    /// Reads a line as `### tuple ### allow udp 51820 0.0.0.0/0 any 0.0.0.0/0 in comment=7068`.
    fn parse(line: &str) -> Option<Self> {
        let mut words: Vec<_> = line.strip_prefix("### tuple ### ")?.split_whitespace().collect();
        let comment = words.last().and_then(|word| word.strip_prefix("comment=")).map(text_of_hex);
        if comment.is_some() {
            words.pop();
        }
        let (action, conditions) = words.split_first()?;
        Some(Self {
            route: action.starts_with("route:"),
            action: action.trim_start_matches("route:").to_owned(),
            conditions: conditions.join(" ").replace("0.0.0.0/0", "any").replace("::/0", "any"),
            comment: comment.unwrap_or_default(),
        })
    }
    /// The ports of this host that it names and lets in, and whether for everybody.
    fn lets_in(&self) -> Option<(Vec<Port>, bool)> {
        let words: Vec<&str> = self.conditions.split_whitespace().collect();
        let [protocol, ports, to, _, from, .., direction] = words[..] else { return None };
        let lets_in = ["allow", "limit"].iter().any(|action| self.action.starts_with(action));
        if self.route || !lets_in || !direction.starts_with("in") {
            return None;
        }
        let protocols = match protocol {
            "tcp" => &[Protocol::Tcp][..],
            "udp" => &[Protocol::Udp],
            _ => &[Protocol::Tcp, Protocol::Udp],
        };
        let numbers = ports.split(',').filter_map(|port| port.parse().ok());
        let ports = numbers
            .flat_map(|number| protocols.iter().map(move |protocol| Port { protocol: *protocol, number }));
        Some((ports.collect(), [to, from] == ["any"; 2] && direction == "in"))
    }
    fn same_condition(&self, other: &Self) -> bool {
        (self.route, &self.conditions) == (other.route, &other.conditions)
    }
    fn same_rule(&self, other: &Self) -> bool {
        self.same_condition(other) && self.action == other.action
    }
}

fn tuple_of(rule: &UfwRule) -> Tuple {
    let (route, action, conditions) = match rule {
        UfwRule::Allow { protocol, port } => {
            (false, "allow", format!("{} {port} any any any in", name(*protocol)))
        }
        UfwRule::Deny { protocol, port } => {
            (false, "deny", format!("{} {port} any any any in", name(*protocol)))
        }
        UfwRule::RouteFrom { interface } => (true, "allow", format!("any any any any any in_{interface}")),
    };
    Tuple { route, action: action.to_owned(), conditions, comment: String::new() }
}

fn rule_of(tuple: &Tuple) -> Option<UfwRule> {
    if tuple.route {
        let interface: InterfaceName =
            tuple.conditions.strip_prefix("any any any any any in_")?.parse().ok()?;
        return (tuple.action == "allow").then_some(UfwRule::RouteFrom { interface });
    }
    let (protocol, port) = tuple.conditions.strip_suffix(" any any any in")?.split_once(' ')?;
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    let port = port.parse().ok()?;
    match tuple.action.as_str() {
        "allow" => Some(UfwRule::Allow { protocol, port }),
        "deny" => Some(UfwRule::Deny { protocol, port }),
        _ => None,
    }
}

fn text_of_hex(hex: &str) -> String {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or_default(), 16).ok();
    let bytes: Vec<u8> = hex.as_bytes().chunks(2).map_while(digits).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
