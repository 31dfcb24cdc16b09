//! The answer of any action, worded by its schema: the fields' descriptions in both languages are the labels.

use phantom_api::{Effect, Lang, Spec};
use serde_json::Value;

use crate::rows::Row;
use crate::text;
use crate::theme::Tone;

/// Content of an answer.
pub(super) fn rows(value: &Value, spec: &Spec, lang: Lang) -> Vec<Row> {
    let schema = (spec.output)();
    let root = schema.as_value();
    let mut rows = Vec::new();
    object(value, root, root, lang, &mut rows);
    if let (Effect::Read, Some(Row::Text(mood, _))) = (spec.effect, rows.first_mut()) {
        *mood = Tone::Plain; // nothing was done that could have gone well
    }
    while rows.last() == Some(&Row::Blank) {
        rows.pop();
    }
    rows
}

/// Plain fields first as one block, then everything that is larger under headings of its own.
fn object(value: &Value, schema: &Value, root: &Value, lang: Lang, rows: &mut Vec<Row>) {
    let Some(fields) = value.as_object() else {
        rows.push(Row::text(plain(value, lang)));
        return;
    };
    let mut larger = Vec::new();
    for (name, value) in fields {
        let property = property(schema, root, name);
        let label = label(property, root, name, lang);
        match value {
            Value::Object(map) if map.is_empty() => {}
            Value::Object(_) => larger.push((label, property, value)),
            Value::Array(list) if list.iter().any(Value::is_object) => larger.push((label, property, value)),
            Value::Array(list) => {
                let words: Vec<String> = list.iter().map(|word| plain(word, lang)).collect();
                rows.push(Row::Pair(label, Tone::Plain, words.join("\n")));
            }
            Value::String(text) if name == "message" => {
                rows.insert(0, Row::Blank);
                rows.insert(0, Row::Text(Tone::Good, text.clone()));
            }
            other => rows.push(Row::Pair(label, Tone::Plain, plain(other, lang))),
        }
    }
    for (label, property, value) in larger {
        if !rows.is_empty() && rows.last() != Some(&Row::Blank) {
            rows.push(Row::Blank);
        }
        rows.push(Row::Heading(label));
        let below = property.map_or(&Value::Null, |property| resolve(property, root));
        match value {
            Value::Array(list) => {
                let items = resolve(below.get("items").unwrap_or(&Value::Null), root);
                for element in list {
                    object(element, items, root, lang, rows);
                    if rows.last() != Some(&Row::Blank) {
                        rows.push(Row::Blank);
                    }
                }
            }
            other => object(other, below, root, lang, rows),
        }
    }
}

/// The schema of a field; of a map with free keys, that of its values.
fn property<'a>(schema: &'a Value, root: &'a Value, name: &str) -> Option<&'a Value> {
    let schema = resolve(schema, root);
    let own = schema.get("properties").and_then(|all| all.get(name));
    let inherited = || {
        let parts = schema.get("allOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array)?;
        parts.iter().find_map(|part| property(part, root, name))
    };
    own.or_else(inherited).or_else(|| schema.get("additionalProperties").filter(|other| other.is_object()))
}

/// Follows a reference, and takes the branch of `anyOf` that is not null.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        return root.pointer(path.trim_start_matches('#')).unwrap_or(schema);
    }
    let branches = schema.get("anyOf").and_then(Value::as_array);
    let branch = branches.and_then(|list| list.iter().find(|one| one.get("type") != Some(&"null".into())));
    match branch {
        Some(one) if schema.get("properties").is_none() => resolve(one, root),
        _ => schema,
    }
}

/// What a field is called; without a description, its name.
fn label(property: Option<&Value>, root: &Value, name: &str, lang: Lang) -> String {
    let key = lang.pick("description", "x-tr");
    let own = property.and_then(|property| property.get(key)).and_then(Value::as_str);
    let text = own.or_else(|| resolve(property?, root).get(key)?.as_str());
    // What stands behind a semicolon or in brackets explains the programs' side.
    let text = text.and_then(|text| text.split([';', '\n']).next()).filter(|text| !text.is_empty());
    text.map_or_else(|| name.replace('_', " "), |text| text.replace('`', ""))
}

/// A plain value in words.
pub(super) fn plain(value: &Value, lang: Lang) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(value) => text::yes(lang, *value),
        Value::String(text) => stamp(text).unwrap_or_else(|| text.clone()),
        Value::Array(list) => list.iter().map(|one| plain(one, lang)).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A time stamp to the second: `2025-09-09T01:14:22.076656` has exactly this form.
fn stamp(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_stamp = bytes.len() == 26 && bytes[4] == b'-' && bytes[10] == b'T' && bytes[19] == b'.';
    is_stamp.then(|| text::moment(text))
}
