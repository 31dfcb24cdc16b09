//! Statements: what a rule asks and does.

use serde_json::Value;

use super::element::{action, among};
use super::expression::{condition, expression, field};
use crate::filter::tree::{Condition, Expr, FilterAction, Lookup, Statement, Writable};

/// The steps of a rule, from its list of statements.
pub(super) fn steps(statements: &Value) -> Vec<Statement> {
    let mut steps = Vec::new();
    for statement in statements.as_array().into_iter().flatten() {
        match statement.as_object().and_then(|object| object.iter().next()) {
            Some((kind, value)) => add(&mut steps, kind, value, statement),
            // A statement without value is a word, in some versions.
            None => match statement.as_str() {
                Some(word) => add(&mut steps, word, &Value::Null, statement),
                None => steps.push(Statement::Do(FilterAction::Unknown)),
            },
        }
    }
    steps
}

fn add(steps: &mut Vec<Statement>, kind: &str, value: &Value, statement: &Value) {
    match kind {
        "match" => steps.push(condition(value).map_or(Statement::Maybe, Statement::Require)),
        "vmap" => {
            let key = expression(&value["key"]);
            let among = among(&value["data"], &key);
            steps.push(Statement::DoByMap(Lookup { key, among }));
        }
        // They go by time or by what came before. A flow table takes only connections that have been seen.
        "limit" | "quota" | "ct count" | "meter" | "connlimit" | "flow" | "last" => {
            steps.push(Statement::Maybe);
        }
        "set" | "map" if value["set"].is_string() || value["map"].is_string() => dynamic(steps, value),
        "mangle" => mangle(steps, value),
        "notrack" => steps.push(Statement::NoTrack),
        // No effect on what becomes of the packet.
        "counter" | "log" | "ct helper" | "ct timeout" | "ct expectation" | "dup" | "secmark" | "comment" => {
        }
        "xt" => foreign(steps, value),
        _ => steps.push(Statement::Do(action(statement).unwrap_or(FilterAction::Unknown))),
    }
}

/// `add @set { ip saddr limit rate over 10/second }`: the set changes, and a limit in it is a condition.
fn dynamic(steps: &mut Vec<Statement>, value: &Value) {
    let set = value["set"].as_str().or_else(|| value["map"].as_str()).unwrap_or_default();
    steps.push(Statement::Touch(set.trim_start_matches('@').to_owned()));
    let counts = |statement: &Value| statement.get("counter").is_some();
    if value["stmt"].as_array().is_some_and(|inner| !inner.iter().all(counts)) {
        steps.push(Statement::Maybe);
    }
}

fn mangle(steps: &mut Vec<Statement>, value: &Value) {
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
        steps.push(Statement::Require(Condition { lookup: lookup.as_ref().clone(), not: false }));
    }
    steps.push(Statement::Set(what, new));
}

/// A match or target of iptables, which nft lists by its name alone.
fn foreign(steps: &mut Vec<Statement>, value: &Value) {
    steps.push(match (value["type"].as_str(), value["name"].as_str()) {
        // No effect on what becomes of the packet.
        (Some("match"), Some("comment"))
        | (Some("target"), Some("LOG" | "NFLOG" | "TCPMSS" | "CHECKSUM" | "AUDIT" | "TRACE")) => return,
        (Some("target"), Some("REJECT")) => Statement::Do(FilterAction::Reject),
        (Some("target"), Some("SNAT")) => Statement::Do(FilterAction::Translate),
        (Some("target"), Some("MASQUERADE")) => Statement::Do(FilterAction::Masquerade),
        (Some("target"), Some("DNAT" | "REDIRECT" | "TPROXY")) => Statement::Do(FilterAction::Redirect),
        (Some("target"), _) => Statement::Do(FilterAction::Unknown),
        _ => Statement::Maybe,
    });
}
