//! Files of expected answers.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// Where they lie.
pub fn golden_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// One of them, by its path below the folder.
#[track_caller]
pub fn read_golden(name: &str) -> String {
    let path = golden_dir().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One of them that is JSON.
#[track_caller]
pub fn read_golden_json(name: &str) -> Value {
    serde_json::from_str(&read_golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compares a text with the committed one. With `UPDATE_GOLDEN=1` in the environment it is written instead.
#[track_caller]
pub fn same_as_golden(name: &str, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(golden_dir().join(name), text).unwrap();
        return;
    }
    let expected = read_golden(name);
    if let Some((line, (one, other))) =
        (1..).zip(expected.lines().zip(text.lines())).find(|(_, (one, other))| one != other)
    {
        panic!(
            "golden/{name}, line {line} (UPDATE_GOLDEN=1 writes it again):\n  committed: {one}\n  now:       {other}"
        );
    }
    assert_eq!(
        expected.len(),
        text.len(),
        "golden/{name} has another length (UPDATE_GOLDEN=1 writes it again)"
    );
}
