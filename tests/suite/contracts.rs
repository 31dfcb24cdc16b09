//! The tables of actions: names, both languages, schemas, codes; and that no file of the suite is forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use phantom_module::{Effect, Lang, Spec, parameters};
use phantom_tests::{Server, read_golden_json, same_as_golden};
use serde_json::{Map, Value, json};

/// Every module with its actions.
fn tables() -> Vec<(&'static str, Vec<Spec>)> {
    let phantom = Server::bare().phantom();
    phantom.modules().iter().map(|module| (module.name(), module.specs())).collect()
}

fn specs() -> Vec<Spec> {
    tables().into_iter().flat_map(|(_, specs)| specs).collect()
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

#[test]
fn modules_have_the_contract_actions_in_order() {
    let core = [
        "add_client",
        "remove_client",
        "list_clients",
        "export_client",
        "latest_clients",
        "server_status",
        "service_logs",
        "restart_service",
        "get_firewall_status",
        "get_tweak_settings",
        "update_tweak_setting",
        "get_subnet_info",
        "validate_subnet_change",
        "change_subnet",
        "setup",
        "start_service",
        "stop_service",
        "reconcile",
        "doctor",
        "backup",
        "restore",
    ];
    let dns = ["change_dns_servers", "test_dns_servers", "status", "get_dns_servers"];
    let ghost = ["enable", "disable", "status"];
    let multihop = [
        "import_vpn_config",
        "enable_multihop",
        "disable_multihop",
        "list_exits",
        "remove_vpn_config",
        "status",
        "test_vpn",
        "reset_state",
        "get_session_log",
    ];
    let tables = tables();
    let names: Vec<(&str, Vec<&str>)> = tables
        .iter()
        .map(|(module, specs)| (*module, specs.iter().map(|spec| spec.name).collect()))
        .collect();
    let expected = [("core", &core[..]), ("dns", &dns), ("ghost", &ghost), ("multihop", &multihop)];
    assert_eq!(names, expected.map(|(module, actions)| (module, actions.to_vec())));
}

#[test]
fn names_are_unique_and_plain() {
    let mut modules = BTreeSet::new();
    for (module, specs) in tables() {
        assert!(is_name(module) && modules.insert(module), "{module}");
        assert!(!["help", "completions", "service"].contains(&module), "{module} is reserved");
        let mut actions = BTreeSet::new();
        for spec in specs {
            assert!(is_name(spec.name) && actions.insert(spec.name), "{module} {}", spec.name);
            let mut keys = BTreeSet::new();
            for param in parameters(&spec) {
                assert!(
                    is_name(&param.name) && keys.insert(param.name.clone()),
                    "{} {}",
                    spec.name,
                    param.name
                );
            }
        }
    }
}

#[test]
fn everything_is_said_in_both_languages() {
    let phantom = Server::bare().phantom();
    let both = |what: &str, en: &str, tr: &str| {
        let sound = |text: &str| !text.is_empty() && text.trim() == text && !text.contains('\n');
        assert!(sound(en) && sound(tr) && en != tr, "{what}: {en:?} / {tr:?}");
    };
    for module in phantom.modules() {
        both(module.name(), module.summary().en, module.summary().tr);
        for spec in module.specs() {
            both(spec.name, spec.summary.en, spec.summary.tr);
            for param in parameters(&spec) {
                both(&param.name, param.help(Lang::En), param.help(Lang::Tr));
            }
        }
    }
}

#[test]
fn schemas_are_closed_with_optional_defaults() {
    for spec in specs() {
        let schema = (spec.params)();
        assert_eq!(schema.get("additionalProperties"), Some(&false.into()), "{}", spec.name);
        assert_eq!(schema.get("type"), Some(&"object".into()), "{}", spec.name);
        for param in parameters(&spec) {
            assert!(!(param.required && param.default.is_some()), "{} {}", spec.name, param.name);
        }
        let output = (spec.output)();
        let properties =
            output.get("properties").and_then(Value::as_object).unwrap_or_else(|| panic!("{}", spec.name));
        for (field, property) in properties {
            let described = property.get("description").is_some() || property.get("$ref").is_some();
            assert!(is_name(field) && described, "{} {field}", spec.name);
        }
    }
}

#[test]
fn examples_parse_without_a_usage_error() {
    let mut server = Server::ready();
    server.host.privileged = false;
    for (module, specs) in tables() {
        for spec in specs {
            let words: Vec<&str> =
                [module, spec.name].into_iter().chain(spec.example.split_whitespace()).collect();
            server.api(&words).failed("PERMISSION_DENIED");
            let needed = parameters(&spec).iter().filter(|param| param.required).count();
            assert!(spec.example.split_whitespace().count() >= needed, "{}", spec.name);
        }
    }
}

#[test]
fn codes_are_those_of_chapter_3() {
    let table = read_golden_json("codes.json");
    let known = |list: &str, code: &str| table[list].as_array().unwrap().iter().any(|known| known == code);
    let common =
        ["MISSING_PARAMETER", "INVALID_PARAMETER", "PERMISSION_DENIED", "NOT_INITIALIZED", "STATE_LOCKED"];
    for spec in specs() {
        let mut seen = BTreeSet::new();
        for code in spec.errors {
            assert!(
                known("codes", code) && !known("reserved", code) && seen.insert(code),
                "{} {code}",
                spec.name
            );
            assert!(!common.contains(code), "{} {code} is common to all", spec.name);
        }
    }
}

#[test]
fn changing_actions_say_so() {
    let reads = [
        "list_clients",
        "export_client",
        "latest_clients",
        "server_status",
        "service_logs",
        "get_firewall_status",
        "get_tweak_settings",
        "get_subnet_info",
        "validate_subnet_change",
        "doctor",
        "test_dns_servers",
        "status",
        "get_dns_servers",
        "list_exits",
        "test_vpn",
        "get_session_log",
    ];
    for spec in specs() {
        assert_eq!(spec.effect == Effect::Read, reads.contains(&spec.name), "{}", spec.name);
    }
    let destroying: Vec<&str> =
        specs().iter().filter(|spec| spec.effect == Effect::Destroy).map(|spec| spec.name).collect();
    assert_eq!(destroying, ["remove_client", "change_subnet", "restore", "remove_vpn_config", "reset_state"]);
}

#[test]
fn the_schemas_are_the_committed_ones() {
    let mut modules = Map::new();
    for (module, specs) in tables() {
        let mut actions = Map::new();
        for spec in specs {
            let schemas = json!({
                "effect": format!("{:?}", spec.effect), "errors": spec.errors, "example": spec.example,
                "parameters": (spec.params)().as_value(), "answer": (spec.output)().as_value()
            });
            actions.insert(spec.name.to_owned(), schemas);
        }
        modules.insert(module.to_owned(), actions.into());
    }
    same_as_golden("schemas.json", &format!("{:#}\n", Value::Object(modules)));
}

#[test]
fn every_answer_matches_its_schema() {
    for case in crate::cases::API {
        let server = (case.server)();
        let answer = server.api(case.words).json();
        if answer["success"] != true {
            continue;
        }
        let (_, of_module) = tables().into_iter().find(|(module, _)| *module == case.words[0]).unwrap();
        let spec = of_module.into_iter().find(|spec| spec.name == case.words[1]).unwrap();
        let schema = (spec.output)();
        let root = schema.as_value();
        let mut wrong = Vec::new();
        fits(root, root, &answer["data"], "data", &mut wrong);
        assert!(wrong.is_empty(), "{}: {}", case.golden, wrong.join("\n"));
    }
}

/// Compares a value with its schema: fields that are missing or unknown, and values of another type.
fn fits(root: &Value, schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return fits(root, root.pointer(&reference[1..]).unwrap(), value, path, wrong);
    }
    if let Some(branches) = schema.get("anyOf").or(schema.get("oneOf")).and_then(Value::as_array) {
        let one_fits = branches.iter().any(|branch| {
            let mut found = Vec::new();
            fits(root, branch, value, path, &mut found);
            found.is_empty()
        });
        if !one_fits {
            wrong.push(format!("{path}: {value} is none of {branches:?}"));
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = |word: &Value| word == kind || (word == "number" && kind == "integer");
    let type_fits = match schema.get("type") {
        Some(Value::Array(list)) => list.iter().any(allowed),
        Some(word) => allowed(word),
        None => true,
    };
    if !type_fits {
        wrong.push(format!("{path}: {kind} in place of {}", schema["type"]));
    }
    if let (Some(words), Value::String(_)) = (schema.get("const").or(schema.get("enum")), value) {
        let known = words == value || words.as_array().is_some_and(|list| list.contains(value));
        if !known {
            wrong.push(format!("{path}: {value} is none of {words}"));
        }
    }
    inside(root, schema, value, path, wrong);
}

/// The elements of a list and the fields of an object.
fn inside(root: &Value, schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            let items = schema.get("items").cloned().unwrap_or_default();
            for one in list {
                fits(root, &items, one, &format!("{path}[]"), wrong);
            }
        }
        Value::Object(map) => {
            let none = Map::new();
            let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
            for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
                if !map.contains_key(name.as_str().unwrap()) {
                    wrong.push(format!("{path}.{name} is missing"));
                }
            }
            for (name, one) in map {
                match properties
                    .get(name)
                    .or(schema.get("additionalProperties").filter(|other| other.is_object()))
                {
                    Some(schema) => fits(root, schema, one, &format!("{path}.{name}"), wrong),
                    None => wrong.push(format!("{path}.{name} is not in the schema")),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn every_file_of_suite_is_compiled() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite");
    let mut files = vec![suite.join("main.rs")];
    let mut named = BTreeSet::from(["main".to_owned()]);
    let mut found = BTreeSet::new();
    let mut folders = vec![suite];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
                files.push(path);
            }
        }
    }
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let modules = text.lines().filter_map(|line| {
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            line.strip_prefix("mod ")?.strip_suffix(';')
        });
        named.extend(modules.map(str::to_owned));
    }
    assert_eq!(named, found);
}
