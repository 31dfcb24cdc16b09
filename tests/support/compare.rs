//! Answers as values: what changes from run to run is taken out, the rest is compared.

use std::collections::BTreeMap;

use serde_json::Value;

/// Replaces what no run repeats: WireGuard keys by `<key 1>`, `<key 2>` … (the same key by the same number, counted
/// in the order of the sorted paths, so that which key stands where still counts), secrets of tunnels by `<secret 1>` and
/// the beginning of one by `<secret 1>...`, and times by `<time>`, with a `Z` where there was one. Texts of another form
/// stay, so that a time without its six digits is found.
pub fn redact(value: &mut Value) {
    fn walk(value: &mut Value, seen: &mut Seen) {
        match value {
            Value::String(text) => *text = seen.redact(text),
            Value::Array(list) => list.iter_mut().for_each(|one| walk(one, seen)),
            Value::Object(map) => {
                let mut fields: Vec<_> = map.iter_mut().collect();
                fields.sort_by(|one, other| one.0.cmp(other.0));
                for (_, one) in fields {
                    walk(one, seen);
                }
            }
            _ => {}
        }
    }
    walk(value, &mut Seen::default());
}

/// What has been replaced so far, with its numbers.
#[derive(Default)]
struct Seen {
    keys: BTreeMap<String, usize>,
    secrets: BTreeMap<String, usize>,
}

impl Seen {
    fn redact(&mut self, text: &str) -> String {
        if is_time(text) {
            return "<time>".to_owned();
        }
        if text.strip_suffix('Z').is_some_and(is_time) {
            return "<time>Z".to_owned();
        }
        let begins = |start: &str| self.secrets.iter().find(|(secret, _)| secret.starts_with(start));
        if let Some((_, number)) = text.strip_suffix("...").filter(|start| start.len() == 10).and_then(begins)
        {
            return format!("<secret {number}>...");
        }
        let text = replaced(text, 44, key_in, "key", &mut self.keys);
        replaced(&text, 64, secret_in, "secret", &mut self.secrets)
    }
}

/// The text with every word of this length that `find` finds replaced by its name and number.
fn replaced(
    text: &str,
    length: usize,
    find: fn(&str) -> Option<usize>,
    name: &str,
    seen: &mut BTreeMap<String, usize>,
) -> String {
    let mut redacted = String::new();
    let mut rest = text;
    while let Some(at) = find(rest) {
        let (before, from) = rest.split_at(at);
        let (word, behind) = from.split_at(length);
        let next = seen.len() + 1;
        let number = *seen.entry(word.to_owned()).or_insert(next);
        redacted.extend([before, &format!("<{name} {number}>")]);
        rest = behind;
    }
    redacted + rest
}

/// Where a key begins: 43 base64 digits and `=`, with none of them before.
fn key_in(text: &str) -> Option<usize> {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let bytes = text.as_bytes();
    let is_key = |at: &usize| {
        let word = bytes.get(*at..*at + 44);
        let begins = *at == 0 || !digit(bytes[*at - 1]);
        begins && word.is_some_and(|word| word[..43].iter().all(|byte| digit(*byte)) && word[43] == b'=')
    };
    (0..bytes.len()).find(is_key)
}

/// Where a secret of a tunnel begins: 64 letters and digits, with none of them before and behind.
fn secret_in(text: &str) -> Option<usize> {
    let mut at = 0;
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        if word.len() == 64 {
            return Some(at);
        }
        // All that divides words need not be one byte long.
        at += word.len() + text[at + word.len()..].chars().next().map_or(0, char::len_utf8);
    }
    None
}

/// `2025-09-09T01:14:22.076656`.
fn is_time(text: &str) -> bool {
    let form = "dddd-dd-ddTdd:dd:dd.dddddd";
    let fits = |(want, is): (char, char)| if want == 'd' { is.is_ascii_digit() } else { want == is };
    text.len() == form.len() && form.chars().zip(text.chars()).all(fits)
}

/// Where an answer is not what is expected, a line per place. Fields that are not expected are differences too, unless
/// their path is in `more` (as in `data.system.backend`; array indexes are written `[]`).
pub fn differences(expected: &Value, actual: &Value, more: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    compare("", expected, actual, more, &mut found);
    found
}

fn compare(path: &str, expected: &Value, actual: &Value, more: &[&str], found: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (name, value) in expected {
                match actual.get(name) {
                    Some(other) => compare(&below(name), value, other, more, found),
                    None => found.push(format!("{} is missing", below(name))),
                }
            }
            let extra = actual.keys().filter(|name| !expected.contains_key(*name)).map(|name| below(name));
            found.extend(
                extra.filter(|path| !more.contains(&path.as_str())).map(|path| format!("{path} is new")),
            );
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (value, other) in expected.iter().zip(actual) {
                compare(&format!("{path}[]"), value, other, more, found);
            }
        }
        // 1 and 1.0 are the same number.
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        _ if expected == actual => {}
        _ => found.push(format!("{path}: {actual} in place of {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_keys_and_times_are_masked() {
        let (one, two) =
            ("SKv9YRp0MgHuMCthVIMBRs4Jfwb+mO3vbfvm9jOrLSY=", "y43/xUvLJBHe7RvsGFoHnURcTzWwrEOcJxx/tT+GQVo=");
        let mut value = json!({
            "b": format!("A = {two}\nB = {one}"), "a": one, "c": "2025-09-09T01:14:22.076656",
            "d": "2025-09-09T01:14:22.076656Z", "e": "2025-09-09T01:14:22Z", "f": format!("x{one}")
        });
        redact(&mut value);
        let long = format!("x{one}");
        let expected = json!({
            "b": "A = <key 2>\nB = <key 1>", "a": "<key 1>", "c": "<time>", "d": "<time>Z", "e": "2025-09-09T01:14:22Z", "f": long
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn tunnel_secrets_are_masked_but_compared() {
        let (secret, other) = ("aB1".repeat(21) + "z", "x".repeat(65));
        let mut value = json!({
            "a": format!("ş \"{secret}\" ş"), "b": &secret, "c": "aB1aB1aB1a...", "d": "aB1aB1aB1b...", "e": &other
        });
        redact(&mut value);
        let expected = json!({
            "a": "ş \"<secret 1>\" ş", "b": "<secret 1>", "c": "<secret 1>...", "d": "aB1aB1aB1b...", "e": other
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let expected = json!({ "a": 1, "b": [{ "c": 1 }], "d": null });
        assert_eq!(differences(&expected, &json!({ "a": 1.0, "b": [{ "c": 1 }], "d": null }), &[]), [""; 0]);
        let actual = json!({ "a": 2, "b": [{ "c": 1, "x": 1 }], "e": 1 });
        let found = differences(&expected, &actual, &["b[].x"]);
        assert_eq!(found, ["a: 2 in place of 1", "d is missing", "e is new"]);
        assert_eq!(differences(&json!([1]), &json!([1, 2]), &[]).len(), 1);
    }
}
