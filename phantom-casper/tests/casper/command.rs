//! The command line: what goes where, exit statuses, the language.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::world::{CASPER, CASPER_IOS, CasperFixture, Said, golden, is_root};

#[test]
fn failure_is_one_line_and_exit_1() {
    if !is_root("failure_is_one_line_and_exit_1") {
        return;
    }
    let garbage = CasperFixture::active();
    fs::write(garbage.database(), [0x5a; 8192]).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(garbage.database().with_extension(format!("db{suffix}")));
    }
    let file = garbage.database().display().to_string();
    let cases = [
        (
            CasperFixture::active(),
            "nobody",
            "Error: Client 'nobody' not found",
            "Hata: 'nobody' istemcisi bulunamadı",
        ),
        (
            CasperFixture::active(),
            "Demo-Casper",
            "Error: Client 'Demo-Casper' not found",
            "Hata: 'Demo-Casper' istemcisi bulunamadı",
        ),
        (
            CasperFixture::inactive(),
            "demo-casper",
            "Error: Ghost Mode is not active. Enable it first: phantom-api ghost enable domain=<domain>",
            "Hata: Ghost Mode aktif değil. Önce etkinleştirin: phantom-api ghost enable domain=<alan-adı>",
        ),
        (
            CasperFixture::with_keyless("keyless"),
            "keyless",
            "Error: The private key of client 'keyless' is not stored on this server: its configuration cannot be exported",
            "Hata: 'keyless' istemcisinin özel anahtarı bu sunucuda kayıtlı değil: yapılandırması dışa aktarılamaz",
        ),
        (
            CasperFixture::bare(),
            "demo-casper",
            "Error: The system is not set up. Run: phantom-api core setup",
            "Hata: Sistem kurulmamış. Çalıştırın: phantom-api core setup",
        ),
    ];
    for (world, client, en, tr) in &cases {
        assert_eq!(world.failure(&[client]), *en);
        assert_eq!(world.failure(&["--lang", "tr", client]), *tr);
        assert_eq!(world.failure(&["--json", client]), *en, "for programs too");
    }
    let line = garbage.failure(&["demo-casper"]);
    assert!(line.starts_with(&format!("Error: Cannot read or write {file}: ")), "{line}");
    let line = garbage.failure(&["--lang=tr", "demo-casper"]);
    assert!(line.starts_with(&format!("Hata: {file} okunamıyor veya yazılamıyor: ")), "{line}");
}

#[test]
fn invalid_names_are_unknown_and_shown_safely() {
    if !is_root("invalid_names_are_unknown_and_shown_safely") {
        return;
    }
    let world = CasperFixture::active();
    let long = "a".repeat(100_000);
    let names: [&[u8]; 12] = [
        b"",
        b" ",
        b"../../etc/passwd",
        b"a\nb",
        b"\x1b[2J",
        b"$(id)",
        b"' OR 1=1 --",
        b"%",
        b"*",
        b"\xff\xfe",
        "İstanbul".as_bytes(),
        long.as_bytes(),
    ];
    for name in names {
        let line = world.failure(&[OsStr::from_bytes(name)]);
        assert!(line.starts_with("Error: Client '") && line.ends_with("' not found"), "{line}");
        assert!(!line.contains(char::is_control) && line.chars().count() < 120, "{line:?}");
    }
    let line = world.failure(&["--", "--help"]);
    assert_eq!(line, "Error: Client '--help' not found");
}

#[test]
fn nobody_but_root_is_shown_anything() {
    if !is_root("nobody_but_root_is_shown_anything") {
        return;
    }
    let world = CasperFixture::active();
    fs::set_permissions(world.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = world.dir().join("phantom-casper");
    // By another process: one that a parallel test starts right now would hold open what this one writes, and the kernel
    // starts no program that is open for writing.
    assert!(Command::new("install").args(["-m", "755", CASPER]).arg(&program).status().unwrap().success());
    let as_nobody = |words: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program).args(words);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("PHANTOM_ROOT", world.dir().join("root"));
        Said::from(command.output().unwrap())
    };
    for (words, line) in [
        (&["demo-casper"][..], "Error: Root privileges are required\n"),
        (&["nobody"], "Error: Root privileges are required\n"),
        (&["--lang", "tr", "--json", "demo-casper"], "Hata: Root yetkisi gerekir\n"),
        (&["--output", "/tmp/casper-of-nobody", "demo-casper"], "Error: Root privileges are required\n"),
    ] {
        assert_eq!(as_nobody(words), Said { exit: 1, out: String::new(), err: line.to_owned() });
    }
    assert!(!Path::new("/tmp/casper-of-nobody").exists());
    for words in [["--help"], ["--version"]] {
        assert_eq!((as_nobody(&words).exit, as_nobody(&words).err), (0, String::new()));
    }
    assert_eq!(as_nobody(&[]).exit, 2);
}

#[test]
fn unclear_command_gives_usage_and_exit_2() {
    let world = CasperFixture::bare();
    for words in [
        &[][..],
        &["--json"],
        &["--lang", "tr"],
        &["--nonsense", "demo-casper"],
        &["-x", "demo-casper"],
        &["demo-casper", "--jsonx"],
        &["--json=yes", "demo-casper"],
        &["--help=yes"],
        &["-"],
        &["--lang"],
        &["--lang", "de", "demo-casper"],
        &["--lang=", "demo-casper"],
        &["--output"],
        &["--output=", "demo-casper"],
        &["demo-casper", "other"],
        &["--root", "/x", "demo-casper"],
    ] {
        let said = world.run(words);
        assert_eq!((said.exit, said.out.as_str()), (2, ""), "{words:?}");
        let usage =
            if words == ["--lang", "tr"] { "Kullanım: phantom-casper " } else { "Usage: phantom-casper " };
        assert!(said.err.lines().any(|line| line.starts_with(usage)), "{words:?}: {}", said.err);
    }
    let ios = Said::from(world.program(CASPER_IOS).output().unwrap());
    assert!(ios.exit == 2 && ios.err.starts_with("Usage: phantom-casper-ios "), "{ios:?}");
    let hostile = world.run(&["--\u{1b}[2J\nx"]);
    assert!(hostile.exit == 2 && !hostile.err.contains('\u{1b}'), "{hostile:?}");
}

#[test]
fn requested_texts_go_to_standard_output() {
    let world = CasperFixture::bare();
    for words in
        [&["--help"][..], &["-h"], &["--help", "nobody"], &["nobody", "-h"], &["--version", "--help"]]
    {
        let said = world.run(words);
        assert_eq!((said.exit, said.err.as_str()), (0, ""), "{words:?}");
        assert!(
            said.out.starts_with("Usage: phantom-casper ") && said.out.contains("--output FILE"),
            "{}",
            said.out
        );
    }
    assert!(world.text(&["--help", "--lang", "tr"]).starts_with("Kullanım: phantom-casper "));
    let version = format!("phantom-casper {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(world.text(&["--version"]), version);
    let ios = Said::from(world.program(CASPER_IOS).arg("--version").output().unwrap());
    assert_eq!(ios.out, format!("phantom-casper-ios {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(fs::read_dir(world.dir()).unwrap().count(), 0, "something was made");
}

#[test]
fn option_precedes_variable_which_precedes_setting() {
    if !is_root("option_precedes_variable_which_precedes_setting") {
        return;
    }
    let world = CasperFixture::active();
    let (en, tr) = (golden("export.en.txt"), golden("export.tr.txt"));
    let client = ["demo-casper"];
    for name in ["tr", "TR", "tr_TR.UTF-8", "tr@x"] {
        assert_eq!(world.run_in(name, &client).out, tr, "{name}");
    }
    assert_eq!(world.run_in("tr", &["demo-casper", "--lang=en"]).out, en);
    world.set_settings(|settings| settings.language = Some(phantom_casper::Language::Tr));
    assert_eq!(world.run(&client).out, tr);
    assert!(world.run(&["--help"]).out.starts_with("Kullanım:"));
    assert!(world.run(&[""; 0]).err.starts_with("Kullanım:"));
    assert_eq!(world.run_in("en_US.UTF-8", &client).out, en);
    assert_eq!(world.run_in("", &client).out, tr);
    assert_eq!(world.failure(&["nobody"]), "Hata: 'nobody' istemcisi bulunamadı");
    // An unknown one is ignored with a line, and the option leaves nothing to ignore.
    let said = world.run_in("de\u{1b}", &client);
    assert_eq!((said.exit, said.out.as_str(), said.err.lines().count()), (0, tr.as_str(), 1), "{said:?}");
    assert!(
        said.err.starts_with("phantom-casper: PHANTOM_LANG ") && !said.err.contains('\u{1b}'),
        "{said:?}"
    );
    assert_eq!(world.run_in("de", &["--lang=en", "demo-casper"]).err, "");
}

#[test]
fn options_are_accepted_anywhere_in_both_forms() {
    if !is_root("options_are_accepted_anywhere_in_both_forms") {
        return;
    }
    let world = CasperFixture::active();
    let expected = golden("export.tr.txt");
    for words in [
        &["--lang", "tr", "demo-casper"][..],
        &["demo-casper", "--lang", "tr"],
        &["demo-casper", "--lang=tr"],
        &["--lang", "en", "--lang", "tr", "demo-casper"],
        &["--lang=tr", "--", "demo-casper"],
    ] {
        assert_eq!(world.text(words), expected, "{words:?}");
    }
}

#[test]
fn reading_changes_nothing_and_waits_for_nobody() {
    if !is_root("reading_changes_nothing_and_waits_for_nobody") {
        return;
    }
    let world = CasperFixture::active();
    // The log of the database and its index come and go with reading.
    let contents = || {
        let root = world.dir().join("root");
        let folders = [root.join("data"), root, world.dir().join("run"), world.dir().to_owned()];
        let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
        let paths = entries.map(|entry| entry.unwrap().path());
        let settled = paths.filter(|path| !path.display().to_string().contains(".db-"));
        settled.map(|path| (fs::read(&path).ok(), path)).collect::<std::collections::BTreeSet<_>>()
    };
    let before = contents();
    assert!(before.len() > 5, "{before:?}");
    for words in [&["demo-casper"][..], &["--json", "demo-casper"], &["nobody"], &["--bad"], &["--help"]] {
        world.run(words);
        assert!(contents() == before, "{words:?}");
    }
    world.change(|_| {
        assert_eq!(world.text(&["demo-casper"]), golden("export.en.txt"), "a change is under way");
    });
    let bare = CasperFixture::bare();
    bare.run(&["demo-casper"]);
    assert_eq!(fs::read_dir(bare.dir()).unwrap().count(), 0, "something was made");
}

#[test]
fn closed_output_is_no_loud_error() {
    if !is_root("closed_output_is_no_loud_error") {
        return;
    }
    let world = CasperFixture::active();
    let mut shell = world.program("bash");
    shell.args([
        "-c",
        "\"$0\" demo-casper >&-; echo $? >&2; \"$0\" demo-casper | head -c 1 >/dev/null",
        CASPER,
    ]);
    let said = Said::from(shell.env("PATH", "/usr/bin:/bin").output().unwrap());
    assert!(!said.err.contains("panicked"), "{said:?}");
}
