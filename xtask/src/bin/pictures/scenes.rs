//! What the pictures show.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::terminal::Terminal;
use crate::{Result, svg};

/// What is waited for on the screens in one language.
struct Seen {
    main: &'static str,
    clients: &'static str,
    add: &'static str,
    added: &'static str,
    code: &'static str,
}

const ENGLISH: Seen = Seen {
    main: "Core Management",
    clients: "Client Operations",
    add: "Name of the client",
    added: "Client added successfully",
    code: "Invert",
};
const TURKISH: Seen = Seen {
    main: "Core Yönetimi",
    clients: "İstemci İşlemleri",
    add: "İstemcinin adı",
    added: "İstemci başarıyla eklendi",
    code: "Ters çevir",
};

/// Takes all pictures in the language and puts them into the folder that the words name.
pub(crate) fn take(words: impl Iterator<Item = OsString>) -> Result {
    let words: Vec<OsString> = words.collect();
    let [lang, folder] = words.as_slice() else { return Err("usage: phantom-pictures en|tr FOLDER".into()) };
    let (lang, folder) = (lang.to_str().unwrap_or_default(), PathBuf::from(folder));
    let seen = if lang == "tr" { TURKISH } else { ENGLISH };
    if lang == "en" {
        list(lang, &folder)?; // keys of JSON are the same in all languages
    }
    clients(lang, &seen, &folder)?;
    code(lang, &seen, &folder)
}

/// The command and its answer, at a shell's prompt.
fn list(lang: &str, folder: &Path) -> Result {
    let mut terminal = Terminal::start(78, 52, &["bash", "--norc", "--noediting", "-i"], lang)?;
    // The prompt behind the answer says that it is whole.
    terminal.until(&["# "])?.keys("phantom-api core list_clients search=laptop\n")?;
    terminal.until(&["\"timestamp\"", "}\n# "])?;
    save(&terminal, folder, "list-clients", "phantom-api core list_clients search=laptop")
}

/// The clients, some of them connected.
fn clients(lang: &str, seen: &Seen, folder: &Path) -> Result {
    let mut terminal = Terminal::start(104, 18, &["phantom-wg"], lang)?;
    terminal.until(&[seen.main])?.keys("1")?.until(&[seen.clients])?.keys("1")?;
    terminal.until(&["john-laptop", "guest", "3/6"])?;
    save(&terminal, folder, &format!("phantom-wg.{lang}"), "phantom-wg")
}

/// A client is added, and its configuration shown as a code.
fn code(lang: &str, seen: &Seen, folder: &Path) -> Result {
    let mut terminal = Terminal::start(84, 42, &["phantom-wg"], lang)?;
    terminal.until(&[seen.main])?.keys("1")?.until(&[seen.clients])?.keys("1")?.until(&["john-laptop"])?;
    let name = format!("my-phone-{lang}");
    terminal.keys("1")?.until(&[seen.add])?.keys(&name)?.until(&[&name])?.keys("\r")?;
    terminal.until(&[seen.added])?.keys("q")?.until(&[seen.code, "█"])?;
    save(&terminal, folder, &format!("add-client.{lang}"), "phantom-wg")
}

fn save(terminal: &Terminal, folder: &Path, name: &str, title: &str) -> Result {
    let path = folder.join(format!("{name}.svg"));
    std::fs::write(&path, svg::draw(terminal.screen(), title))?;
    println!("{name}.svg: {} bytes", std::fs::metadata(&path)?.len());
    Ok(())
}
