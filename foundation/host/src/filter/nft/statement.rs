//! Statements: what a rule asks and does.

use serde_json::Value;

use super::element::{action, among};
use super::expression::{condition, expression, field};
use crate::filter::tree::{Action, Condition, Expr, Lookup, Step, Writable};

/// The steps of a rule, from its list of statements.
pub(super) fn steps(statements: &Value) -> Vec<Step> {
    let mut steps = Vec::new();
    for statement in statements.as_array().into_iter().flatten() {
        match statement.as_object().and_then(|object| object.iter().next()) {
            Some((kind, value)) => add(&mut steps, kind, value, statement),
            // A statement without value is a word, in some versions.
            None => match statement.as_str() {
                Some(word) => add(&mut steps, word, &Value::Null, statement),
                None => steps.push(Step::Do(Action::Unknown)),
            },
        }
    }
    steps
}

fn add(steps: &mut Vec<Step>, kind: &str, value: &Value, statement: &Value) {
    match kind {
        "match" => steps.push(condition(value).map_or(Step::Maybe, Step::Require)),
        "vmap" => {
            let key = expression(&value["key"]);
            let among = among(&value["data"], &key);
            steps.push(Step::DoByMap(Lookup { key, among }));
        }
        // They go by time or by what came before. A flow table takes only connections that have been seen.
        "limit" | "quota" | "ct count" | "meter" | "connlimit" | "flow" | "last" => steps.push(Step::Maybe),
        "set" | "map" if value["set"].is_string() || value["map"].is_string() => dynamic(steps, value),
        "mangle" => mangle(steps, value),
        "notrack" => steps.push(Step::NoTrack),
        // No effect on what becomes of the packet.
        "counter" | "log" | "ct helper" | "ct timeout" | "ct expectation" | "dup" | "secmark" | "comment" => {
        }
        "xt" => foreign(steps, value),
        _ => steps.push(Step::Do(action(statement).unwrap_or(Action::Unknown))),
    }
}

/// `add @set { ip saddr limit rate over 10/second }`: the set changes, and a limit in it is a condition.
fn dynamic(steps: &mut Vec<Step>, value: &Value) {
    let set = value["set"].as_str().or_else(|| value["map"].as_str()).unwrap_or_default();
    steps.push(Step::Touch(set.trim_start_matches('@').to_owned()));
    let counts = |statement: &Value| statement.get("counter").is_some();
    if value["stmt"].as_array().is_some_and(|inner| !inner.iter().all(counts)) {
        steps.push(Step::Maybe);
    }
}

fn mangle(steps: &mut Vec<Step>, value: &Value) {
    let what = match (value["key"]["meta"]["key"].as_str(), value["key"]["ct"]["key"].as_str()) {
        (Some("mark"), _) => Some(Writable::Mark),
        (_, Some("mark")) => Some(Writable::ConnectionMark),
        _ => field(&value["key"]).map(Writable::Header),
    };
    let Some(what) = what else { return };
    let new = match expression(&value["value"]).as_slice() {
        [one] => one.clone(),
        _ => Expr::Unknown,
    };
    // Where the map has no such element, the rule ends.
    if let Expr::Map(lookup) = &new {
        steps.push(Step::Require(Condition { lookup: lookup.as_ref().clone(), not: false }));
    }
    steps.push(Step::Set(what, new));
}

/// A match or target of iptables, which nft lists by its name alone.
fn foreign(steps: &mut Vec<Step>, value: &Value) {
    steps.push(match (value["type"].as_str(), value["name"].as_str()) {
        // No effect on what becomes of the packet.
        (Some("match"), Some("comment"))
        | (Some("target"), Some("LOG" | "NFLOG" | "TCPMSS" | "CHECKSUM" | "AUDIT" | "TRACE")) => return,
        (Some("target"), Some("REJECT")) => Step::Do(Action::Reject),
        (Some("target"), Some("SNAT")) => Step::Do(Action::Translate),
        (Some("target"), Some("MASQUERADE")) => Step::Do(Action::Masquerade),
        (Some("target"), Some("DNAT" | "REDIRECT" | "TPROXY")) => Step::Do(Action::Redirect),
        (Some("target"), _) => Step::Do(Action::Unknown),
        _ => Step::Maybe,
    });
}
