//! Manual pages and the API reference, from the action tables alone.

use std::fmt::Write as _;

use phantom_module::{Effect, Lang, Module, Spec, parameters};
use serde_json::Value;

use crate::cli::{action_help, program_help};
use crate::{API_VERSION, Phantom};

/// The API reference as Markdown: every module, every action, its parameters, the fields of its answer, its errors.
pub fn reference(phantom: &Phantom, lang: Lang) -> String {
    let title = lang.pick("API reference", "API başvurusu");
    let intro = lang.pick(
        "Generated from the action tables of the modules; the answers are wrapped as described in the README.",
        "Modüllerin eylem tablolarından üretilmiştir; yanıtlar README'de anlatılan zarf içindedir.",
    );
    let mut text = format!("# {title} ({API_VERSION})\n\n{intro}\n");
    for module in phantom.modules() {
        let _ = write!(text, "\n## {}\n\n{}\n", module.name(), module.summary().get(lang));
        for spec in module.specs() {
            action_section(&mut text, module.name(), &spec, lang);
        }
    }
    text
}

fn action_section(text: &mut String, module: &str, spec: &Spec, lang: Lang) {
    let _ = write!(text, "\n### {module} {}\n\n{}.", spec.name, spec.summary.get(lang));
    if spec.effect != Effect::Read {
        text.push_str(lang.pick(" Changes the system.", " Sistemi değiştirir."));
    }
    let _ = write!(text, "\n\n```\n{}\n```\n", crate::cli::example(module, spec));
    let declared = parameters(spec);
    if !declared.is_empty() {
        let (name, what, facts) =
            (lang.pick("Parameter", "Parametre"), lang.pick("Meaning", "Anlamı"), lang.pick("Type", "Tür"));
        let _ = write!(text, "\n| {name} | {what} | {facts} |\n|---|---|---|\n");
        for param in &declared {
            let facts = crate::cli::facts(param, lang).replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | {} | {facts} |", param.name, param.help(lang));
        }
    }
    let schema = (spec.output)();
    let mut rows = Vec::new();
    let root = schema.as_value();
    fields(&Fields { root, lang }, root, "", 0, &mut rows);
    if !rows.is_empty() {
        let (field, kind, what) =
            (lang.pick("Field", "Alan"), lang.pick("Type", "Tür"), lang.pick("Meaning", "Anlamı"));
        let _ = write!(text, "\n| {field} | {kind} | {what} |\n|---|---|---|\n");
        for (name, kind, what) in rows {
            let _ = writeln!(text, "| `{name}` | {kind} | {} |", what.replace('|', "\\|"));
        }
    }
    let _ = write!(text, "\n{}: {}\n", lang.pick("Errors", "Hatalar"), crate::cli::errors(spec).join(", "));
}

/// Where the fields of an answer are read from, and for whom.
struct Fields<'a> {
    root: &'a Value,
    lang: Lang,
}

/// The fields of an answer's schema, nested ones with their path.
fn fields(of: &Fields<'_>, schema: &Value, path: &str, depth: u8, rows: &mut Vec<(String, String, String)>) {
    let schema = follow(schema, of.root);
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let inner = follow(property, of.root);
        let item = inner.get("items").map(|items| follow(items, of.root));
        let suffix = if item.is_some() { "[]" } else { "" };
        let full = format!("{path}{name}{suffix}");
        rows.push((full.clone(), type_name(inner), meaning(property, inner, of.lang)));
        if depth < 4 {
            fields(of, item.unwrap_or(inner), &format!("{full}."), depth + 1, rows);
        }
    }
    // An object keyed by names that are not known beforehand.
    let named = schema.get("additionalProperties").filter(|value| value.is_object());
    if let Some(named) = named.map(|named| follow(named, of.root))
        && depth < 4
    {
        fields(of, named, &format!("{path}*."), depth + 1, rows);
    }
}

/// What a field means: its own text before that of the schema it refers to, and English where a language has none.
fn meaning(property: &Value, inner: &Value, lang: Lang) -> String {
    let text = |key: &str| property.get(key).or_else(|| inner.get(key)).and_then(Value::as_str);
    let what = match lang {
        Lang::En => text("description"),
        Lang::Tr => text("x-tr").or_else(|| text("description")),
    };
    what.unwrap_or_default().split("\n\n").next().unwrap_or_default().replace('\n', " ")
}

fn follow<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        return root.pointer(path.trim_start_matches('#')).unwrap_or(schema);
    }
    let branches = schema.get("anyOf").and_then(Value::as_array);
    let some =
        branches.and_then(|list| list.iter().find(|one| one.get("type") != Some(&Value::from("null"))));
    some.map_or(schema, |one| follow(one, root))
}

fn type_name(schema: &Value) -> String {
    match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" / "),
        _ if schema.get("enum").is_some() || schema.get("oneOf").is_some() => "string".to_owned(),
        // Any value, as the setting that it belongs to has it.
        _ => "boolean / number / string".to_owned(),
    }
}

/// The manual pages: file name and roff text. `phantom-api.1` is about the command, `phantom-api-MODULE.1` about a
/// module's actions.
pub fn manual(phantom: &Phantom, lang: Lang) -> Vec<(String, String)> {
    let summary = lang.pick("manage a Phantom-WG VPN server", "Phantom-WG VPN sunucusunu yönet");
    let mut pages =
        vec![("phantom-api.1".to_owned(), page("phantom-api", summary, &program_help(phantom, lang), lang))];
    for module in phantom.modules() {
        let name = format!("phantom-api-{}", module.name());
        let body = module_page(&**module, lang);
        pages.push((format!("{name}.1"), page(&name, module.summary().get(lang), &body, lang)));
    }
    pages
}

fn module_page(module: &dyn Module, lang: Lang) -> String {
    let helps: Vec<String> =
        module.specs().iter().map(|spec| action_help(module.name(), spec, lang)).collect();
    helps.join("\n\n")
}

/// The manual page of any command of section 1: its help text, kept as it is laid out.
pub fn page(name: &str, summary: &str, body: &str, lang: Lang) -> String {
    let (title, text) = (lang.pick("NAME", "AD"), lang.pick("DESCRIPTION", "AÇIKLAMA"));
    let upper = name.to_ascii_uppercase();
    let mut roff = format!(
        ".TH {upper} 1 \"\" \"Phantom-WG {}\" \"Phantom-WG\"\n.SH {title}\n{} \\- {}\n.SH {text}\n.nf\n",
        env!("CARGO_PKG_VERSION"),
        escape(name),
        escape(summary)
    );
    for line in body.lines() {
        // A dot or an apostrophe at the start of a line would be a request.
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        let _ = writeln!(roff, "{guard}{}", escape(line));
    }
    roff.push_str(".fi\n");
    roff
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(schema: &Value, lang: Lang) -> Vec<String> {
        let mut rows = Vec::new();
        fields(&Fields { root: schema, lang }, schema, "", 0, &mut rows);
        rows.into_iter().map(|(name, _, what)| format!("{name}: {what}")).collect()
    }

    #[test]
    fn field_description_has_three_sources_in_order() {
        let schema = json!({
            "properties": {
                "a": { "description": "own", "x-tr": "kendi", "$ref": "#/$defs/Both" },
                "b": { "$ref": "#/$defs/Both" },
                "c": { "anyOf": [{ "$ref": "#/$defs/Both" }, { "type": "null" }], "description": "own" },
                "d": { "description": "in two\nlines\n\nand more" },
            },
            "$defs": { "Both": { "description": "the schema's", "x-tr": "şemanın" } },
        });
        assert_eq!(rows(&schema, Lang::En), ["a: own", "b: the schema's", "c: own", "d: in two lines"]);
        assert_eq!(rows(&schema, Lang::Tr), ["a: kendi", "b: şemanın", "c: şemanın", "d: in two lines"]);
    }

    /// The path of every property below a schema, definitions included, with its Turkish text.
    #[cfg(feature = "modules")]
    fn turkish(schema: &Value, path: &str, found: &mut Vec<(String, Option<String>)>) {
        match schema {
            Value::Object(object) => {
                for (key, value) in object {
                    if let ("properties", Some(properties)) = (key.as_str(), value.as_object()) {
                        for (name, property) in properties {
                            let text = property.get("x-tr").and_then(Value::as_str).map(str::to_owned);
                            found.push((format!("{path}.{name}"), text));
                        }
                    }
                    turkish(value, &format!("{path}.{key}"), found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| turkish(item, path, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    #[cfg(feature = "modules")]
    fn every_answer_field_has_turkish_text() {
        let (host, _) = phantom_host::Host::fake();
        let nowhere = phantom_store::Paths::with_run_dir("/nonexistent", "/nonexistent");
        let phantom =
            Phantom::builder(host, phantom_store::Store::new(nowhere)).all_modules().build().unwrap();
        for spec in phantom.modules().iter().flat_map(|module| module.specs()) {
            let mut found = Vec::new();
            turkish((spec.output)().as_value(), spec.name, &mut found);
            assert!(!found.is_empty(), "{} answers nothing", spec.name);
            for (path, text) in found {
                assert!(text.is_some_and(|text| !text.trim().is_empty()), "{path} has no x-tr");
            }
        }
    }
}
