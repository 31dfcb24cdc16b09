//! Golden answers: every sample of the API and of the published documentation, in both languages, as values and as
//! printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use phantom_tests::{Answer, Said, Texts, differences, golden_dir, read_golden_json, redact};
use serde_json::Value;

use crate::cases::{API, Case, PUBLISHED};

fn answer(case: &Case, options: &[&str]) -> Answer {
    let server = (case.server)();
    let words: Vec<&str> = case.words.iter().chain(options).copied().collect();
    server.plain(&server.api(&words))
}

/// What the answer has in other places than the sample.
fn wrong(case: &Case) -> Vec<String> {
    let mut expected = read_golden_json(&format!("{}.json", case.golden));
    let mut actual = answer(case, &[]).json();
    for path in case.any {
        blank(&mut expected, path);
        blank(&mut actual, path);
    }
    redact(&mut expected);
    redact(&mut actual);
    differences(&expected, &actual, case.more)
        .into_iter()
        .map(|line| format!("{}: {line}", case.golden))
        .collect()
}

/// Blanks a field that is there; `[]` behind a name is each of a list.
fn blank(value: &mut Value, path: &str) {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
    let Some(field) = value.get_mut(name) else { return };
    let fields = if list { field.as_array_mut().into_iter().flatten().collect() } else { vec![field] };
    for field in fields {
        if rest.is_empty() { *field = "<any>".into() } else { blank(field, rest) }
    }
}

#[test]
fn contract_samples_match_the_command() {
    let wrong: Vec<String> = API.iter().flat_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn published_samples_match_the_command() {
    let wrong: Vec<String> = PUBLISHED.iter().flat_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_sample_is_tried() {
    let mut files = BTreeSet::new();
    for dir in ["core", "dns", "ghost", "multihop", "published/core", "published/dns", "published/ghost"] {
        for entry in fs::read_dir(golden_dir().join(dir)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            files.insert(format!("{dir}/{}", Path::new(&name).file_stem().unwrap().to_str().unwrap()));
        }
    }
    let tried: BTreeSet<String> = API.iter().chain(PUBLISHED).map(|case| case.golden.to_owned()).collect();
    assert_eq!(files, tried);
}

#[test]
fn default_configuration_starts_as_published() {
    let text = |name: &str| read_golden_json(name)["data"]["config"].as_str().unwrap().to_owned();
    let (ours, published) = (text("core/export_client.json"), text("published/core/export_client.json"));
    let allowed = |text: &str| text.lines().find(|line| line.starts_with("AllowedIPs")).unwrap().to_owned();
    assert_eq!(allowed(&ours), format!("{}, ::/0", allowed(&published)));
    assert_eq!(ours.replace(", ::/0", ""), published);
}

#[test]
fn default_client_command_starts_as_published() {
    let command =
        |name: &str| read_golden_json(name)["data"]["connection_command"].as_str().unwrap().to_owned();
    let published = command("published/ghost/enable.json");
    for ours in ["ghost/enable.json", "ghost/status.active.json"] {
        assert_eq!(command(ours), format!("{published} --tls-verify-certificate"));
    }
}

#[test]
fn turkish_differs_in_listed_sentences_only() {
    let texts = Texts::read();
    let mut said = Said::default();
    for case in API {
        said.compare(
            &texts,
            &answer(case, &["--lang", "en"]).json(),
            &answer(case, &["--lang", "tr"]).json(),
        );
    }
    assert!(said.ids().len() > 10, "{:?}", said.ids());
}

#[test]
fn answers_have_the_envelope_order() {
    for case in API {
        let pretty = answer(case, &[]);
        let value = pretty.json();
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let expected: &[&str] = match (value["success"] == true, value.get("data").is_some()) {
            (true, _) => &["success", "data", "metadata"],
            (false, true) => &["success", "data", "error", "code", "metadata"],
            (false, false) => &["success", "error", "code", "metadata"],
        };
        assert_eq!(keys, expected, "{}", case.golden);
        let metadata: Vec<&str> = value["metadata"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(metadata, ["module", "action", "timestamp", "version"], "{}", case.golden);
        assert_eq!(pretty.out, format!("{value:#}\n"), "{}: two spaces", case.golden);
        assert_eq!(pretty.err, "", "{}", case.golden);
        let compact = answer(case, &["--compact"]);
        assert_eq!(compact.out, format!("{value}\n"), "{}: one line", case.golden);
    }
}
