//! `phantom-docs DIR`: writes the reference, the manual pages and the completions into a folder.
#![expect(clippy::disallowed_methods, reason = "a development tool writes the files that it makes")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use phantom_api::cli::{Shell, completions};
use phantom_api::{Host, Lang, Paths, Phantom, Programs, Store, docs, linux_options};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    let dir = std::env::args_os().nth(1).map(PathBuf::from).ok_or("which folder?")?;
    let phantom = phantom()?;
    for (lang, suffix, manual_dir) in [(Lang::En, "en", "man"), (Lang::Tr, "tr", "man/tr")] {
        write(&dir.join(format!("reference.{suffix}.md")), &docs::reference(&phantom, lang))?;
        for (name, text) in docs::manual(&phantom, lang) {
            write(&dir.join(manual_dir).join(name), &text)?;
        }
        let summary =
            lang.pick("the full-screen interface of Phantom-WG", "Phantom-WG'nin tam ekran arayüzü");
        let page = docs::page("phantom-wg", summary, &phantom_cli::options::help(lang), lang);
        write(&dir.join(manual_dir).join("phantom-wg.1"), &page)?;
    }
    for shell in Shell::ALL {
        // The names under which the shells look for them.
        let name = match shell {
            Shell::Bash => "phantom-api",
            Shell::Zsh => "_phantom-api",
            Shell::Fish => "phantom-api.fish",
        };
        write(&dir.join("completions").join(shell.name()).join(name), &completions(&phantom, shell))?;
    }
    Ok(())
}

/// The modules that `phantom-api` registers. Neither the host nor the store is touched: only the tables are read.
fn phantom() -> Result<Phantom> {
    let paths = Paths::default();
    let host = Host::linux(linux_options(&paths, Programs::in_dir("/usr/local/bin")));
    Ok(Phantom::builder(host, Store::new(paths)).all_modules().build()?)
}

fn write(path: &Path, text: &str) -> Result {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let end = if text.ends_with('\n') { "" } else { "\n" };
    Ok(fs::write(path, format!("{text}{end}"))?)
}
