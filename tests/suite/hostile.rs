//! Hostile inputs through the real command: each gets valid JSON with the right code, and none changes anything.

mod ghost;
mod table;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use phantom_tests::{Program, Run, Server, dump_tree, is_root, skip};

use table::{Hostile, harmless, refused};

fn words(line: &Hostile) -> Vec<OsString> {
    line.words.iter().map(|word| OsString::from_vec(word.clone())).collect()
}

/// What must not change: the folder of the test, and where a slip would leave something.
fn scene(dir: &Path) -> String {
    let run: Vec<String> = std::fs::read_dir("/run")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("phantom-wg"))
        .map(|entry| dump_tree(&entry.path()))
        .collect();
    let folders =
        ["/etc/wireguard", "/etc/sysctl.d", "/etc/systemd/system", "/opt/phantom-wg", "/usr/local/bin"];
    let folders: Vec<String> = folders.iter().map(|path| dump_tree(Path::new(path))).collect();
    let rest = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().count();
    let counts = [Path::new("/etc"), Path::new("/"), Path::new("/root")].map(rest);
    format!("{}{}{}{counts:?}", dump_tree(dir), run.concat(), folders.concat())
}

#[test]
fn the_table_is_long_enough() {
    assert!(refused().len() + harmless().len() >= 150, "{} + {}", refused().len(), harmless().len());
}

#[test]
fn hostile_arguments_change_nothing() {
    if !is_root() {
        return skip("hostile_arguments_change_nothing", "as nobody every action is denied");
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = Program::api().copied_to(dir.path());
    let root = dir.path().join("install");
    let before = scene(dir.path());
    let mut wrong = Vec::new();
    for line in refused().iter().chain(&harmless()) {
        let mut all = vec![OsString::from("--root"), root.clone().into()];
        if line.words.iter().any(|word| word.starts_with(b"--root")) {
            all.clear();
        }
        all.extend(words(line));
        // A setup that gets through would set this machine up: it has no right to.
        let setup = line.words.iter().any(|word| word == b"setup");
        let env = vec![("PHANTOM_ROOT".to_owned(), root.clone().into())];
        let run = Run { as_nobody: setup, dir: Some(dir.path().to_owned()), env, ..Run::default() };
        let answer = program.run_as(&all, &run);
        if line.code.is_empty() {
            if (answer.exit, answer.out.as_str()) != (2, "") {
                wrong.push(format!("{}: not the usage: {answer:?}", line.shown()));
            }
            continue;
        }
        let code = if setup && line.code == "NOT_INITIALIZED" { "PERMISSION_DENIED" } else { line.code };
        if answer.code() != code {
            wrong.push(format!("{}: {} in place of {code}", line.shown(), answer.out));
        }
        if answer.exit != 1 || answer.err.contains("panicked") {
            wrong.push(format!("{}: {answer:?}", line.shown()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(scene(dir.path()), before);
}

#[test]
fn hostile_input_leaves_a_set_up_server() {
    let server = Server::ready().with(&["john-laptop"]);
    let (before, tree) = (server.dump(), server.tree());
    for line in refused().iter().filter(|line| !line.code.is_empty() && !line.standard_input()) {
        let answer = server.run(words(line));
        assert_eq!(answer.code(), line.code, "{}: {}", line.shown(), answer.out);
        assert_eq!(server.dump(), before, "{}", line.shown());
    }
    assert_eq!(server.tree(), tree);
}

#[test]
fn hostile_lookups_find_nobody() {
    let server = Server::ready().with(&["john-laptop"]);
    let before = server.dump();
    for line in harmless() {
        let name = line.words.last().unwrap();
        for action in ["export_client", "remove_client"] {
            let word = OsString::from_vec(name.clone());
            if !name.starts_with(b"client_name=") {
                continue;
            }
            let answer = server.run(vec!["core".into(), action.into(), word]);
            assert_eq!(answer.code(), "CLIENT_NOT_FOUND", "{}: {}", line.shown(), answer.out);
        }
    }
    assert_eq!(server.dump(), before);
}

#[test]
fn hostile_search_is_text_not_pattern() {
    let server = Server::ready().with(&["john-laptop", "a_b"]);
    for (search, total) in [
        ("%", 0),
        ("_", 1),
        ("a_b", 1),
        ("' OR 1=1 --", 0),
        ("\\", 0),
        ("*", 0),
        ("[a-z]", 0),
        ("-", 1),
        ("10.8.0.", 2),
    ] {
        let found = server.action("core", "list_clients", &[format!("search={search}")]).ok();
        assert_eq!(found["total"], total, "{search}");
    }
}
