//! The examples of `phantom-api`, compiled and run.

use phantom_tests::{Program, is_root};

#[test]
fn program_embeds_modules_with_their_types() {
    let answer = Program::example("embed").run(&[""; 0]);
    assert_eq!(answer.text(), "john-laptop has 10.8.0.2\nDNS = 9.9.9.9, 8.8.4.4\n");
}

#[test]
fn asynchronous_program_embeds_blocking_tasks() {
    let answer = Program::example("embed_async").run(&[""; 0]);
    let mut lines: Vec<&str> = answer.text().lines().collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    let names: Vec<String> = (1..=5).map(|n| format!("client-{n}")).collect();
    for (line, name) in lines.iter().zip(&names) {
        assert!(line.starts_with(&format!("\"{name}\" has \"10.8.0.")), "{line}");
    }
    lines.sort_by_key(|line| line.rsplit_once(' ').unwrap().1);
    let addresses: Vec<&str> = lines.iter().map(|line| line.rsplit_once(' ').unwrap().1).collect();
    assert_eq!(addresses, [2, 3, 4, 5, 6].map(|host| format!("\"10.8.0.{host}\"")));
}

#[test]
fn program_adds_its_own_module() {
    let program = Program::example("own_module");
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("none").display().to_string();
    let run =
        |words: &[&str]| program.run(&["--root", &root].iter().chain(words).copied().collect::<Vec<_>>());
    let counted = run(&["notes", "count", "text=Hello, world"]);
    assert_eq!(counted.ok(), serde_json::json!({ "letters": 10 }));
    let failed = run(&["notes", "count", "text=12", "--lang", "tr"]).failed("NO_LETTERS");
    assert_eq!(failed["error"], "Metinde harf yok");
    assert!(failed.get("data").is_none());
    run(&["notes", "count"]).failed("MISSING_PARAMETER");
    run(&["notes", "count", "texts=x"]).failed("INVALID_PARAMETER");
    let unknown = run(&["note", "count"]).failed("MODULE_NOT_FOUND");
    assert_eq!(unknown["data"]["available_modules"], serde_json::json!(["core", "notes"]));
    // Everything that comes from the tables knows it.
    assert!(run(&["--help"]).text().contains("notes"));
    assert!(run(&["notes", "count", "--help", "--lang", "tr"]).text().contains("Metin"));
    assert!(run(&["completions", "bash"]).text().contains("text="));
    // And the modules of the system work beside it.
    let code = if is_root() { "NOT_INITIALIZED" } else { "PERMISSION_DENIED" };
    run(&["core", "list_clients"]).failed(code);
}

/// It owns a table, and has its say where Core changes the server, in the doctor and in `phantom-api service`.
#[test]
fn fifth_module_takes_part_in_system() {
    let answer = Program::example("system_module").run(&[""; 0]);
    let expected = [
        "a second time: The server is frozen already: new switches",
        "change_subnet: [\"The freeze is active. Disable it before changing the subnet.\"]",
        "setup: port cannot be changed by setup (now 51820); disable Ghost Mode, Multihop and the freeze first",
        "doctor: The server has been frozen since 2025-09-09T01:11:47",
        "service thaw: 0",
        "doctor: The server is not frozen",
    ];
    let lines: Vec<&str> = answer.text().lines().collect();
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
}
