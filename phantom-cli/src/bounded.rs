//! Answers as JSON trees of bounded size, lists and maps alike: a server with ten thousand peers must not fill the memory of a screen that
//! shows twenty of them.

use std::fmt;

use phantom_api::Answer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Most elements of a list, and entries of a map, that are kept.
const KEPT: usize = 1_000;

/// The answer as a tree. Of a longer list or map the first thousand elements are kept, and one more that says how many
/// follow: a text in a list, a name without a value in a map.
pub(crate) fn value(answer: &Answer) -> Value {
    let text = text(answer);
    let mut from = serde_json::Deserializer::from_slice(&text);
    Tree.deserialize(&mut from).unwrap_or_default()
}

/// The fields of the answer that `T` has; the others are read over.
pub(crate) fn fields<T: DeserializeOwned>(answer: &Answer) -> Option<T> {
    serde_json::from_slice(&text(answer)).ok()
}

/// Wiped when dropped: an answer may hold keys.
fn text(answer: &Answer) -> zeroize::Zeroizing<Vec<u8>> {
    zeroize::Zeroizing::new(serde_json::to_vec(answer).unwrap_or_default())
}

struct Tree;

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while list.len() < KEPT {
            match from.next_element_seed(Tree)? {
                Some(element) => list.push(element),
                None => return Ok(Value::Array(list)),
            }
        }
        let mut more = 0_usize;
        while from.next_element::<IgnoredAny>()?.is_some() {
            more += 1;
        }
        if more > 0 {
            list.push(Value::String(format!("… +{more}")));
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while map.len() < KEPT {
            match from.next_key::<String>()? {
                Some(key) => drop(map.insert(key, from.next_value_seed(Tree)?)),
                None => return Ok(Value::Object(map)),
            }
        }
        let mut more = 0_usize;
        while from.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            more += 1;
        }
        if more > 0 {
            map.insert(format!("… +{more}"), Value::Null);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_list_is_cut_and_says_so() {
        let long = value(&Answer::new((0..1_500).collect::<Vec<u32>>()));
        let list = long.as_array().unwrap();
        assert_eq!((list.len(), &list[1_000]), (1_001, &Value::from("… +500")));
    }

    #[test]
    fn long_map_is_cut_and_says_so() {
        let clients: Map<String, Value> =
            (0..1_500).map(|n| (format!("client-{n:04}"), serde_json::json!({ "ip": n }))).collect();
        let long = value(&Answer::new(serde_json::json!({ "clients": clients })));
        let map = long["clients"].as_object().unwrap();
        assert_eq!((map.len(), &map["client-0999"]["ip"]), (1_001, &Value::from(999)));
        assert_eq!(map.get("… +500"), Some(&Value::Null));
    }

    #[test]
    fn a_tree_is_the_answer() {
        let answer = serde_json::json!({ "b": [1, -2, 2.5, null, true, "x"], "a": { "c": [] } });
        assert_eq!(value(&Answer::new(answer.clone())), answer);
    }
}
