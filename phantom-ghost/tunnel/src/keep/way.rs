//! The way of a certificate authority through packet filters of this host, while it asks. The keeper may not open it: it has it done.
//!
//! Whatever goes wrong here ends no renewal. It may be open all the same, and where it is not, the authority says so.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use phantom_certs::store::write_whole;
use phantom_certs::{now, with_causes};
use phantom_types::Lang;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout_at};

use crate::log;

/// How long an answer may take: a change waits up to 30 s for another one.
const LIMIT: Duration = Duration::from_secs(45);
/// From one look for an answer to the next.
const PAUSE: Duration = Duration::from_millis(50);
/// How an answer says that it was done.
const DONE: &str = "done";

/// Whom the keeper asks to open and to close it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nobody: packet filters are somebody else's business.
    Open,
    /// A service that waits for this file, which gets a number and `open` or `close`. Its answer, in the file of this name with
    /// `-done` after it, is the number and how it ended.
    Ask(PathBuf),
    /// This program, with these words for it before `open` or `close`. It gets no environment.
    Run(Vec<String>),
}

impl Way {
    /// Has it opened or closed, and waits until that is done.
    pub(super) async fn tell(&self, word: &str, lang: Lang) {
        let done = match self {
            Self::Open => return,
            Self::Ask(file) => ask(file, word).await,
            Self::Run(words) => run(words, word).await,
        };
        if let Err(why) = done {
            let text = match word {
                "open" => format!("packet filters were not opened for the authority: {why}"),
                _ => format!("packet filters were not closed after the authority: {why}"),
            };
            log::line(lang, text);
        }
    }
}

async fn ask(file: &Path, word: &str) -> Result<(), String> {
    let mut answer = file.as_os_str().to_owned();
    answer.push("-done");
    let answer = PathBuf::from(answer);
    // A keeper that was started again does not take an answer to the one before for its own.
    let number = now().micros().to_string();
    write_whole(file, &format!("{number} {word}\n")).map_err(|error| with_causes(&error))?;
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        let text = std::fs::read_to_string(&answer).unwrap_or_default();
        if let Some((of, how)) = text.trim_end().split_once(' ')
            && of == number
        {
            let _ = nix::unistd::unlink(&answer);
            return if how == DONE { Ok(()) } else { Err(how.to_owned()) };
        }
        sleep(PAUSE).await;
    }
    // Nobody is to do it later.
    let _ = nix::unistd::unlink(file);
    Err("nobody answers".to_owned())
}

async fn run(words: &[String], word: &str) -> Result<(), String> {
    let Some((program, rest)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(rest).arg(word).env_clear();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    // One that takes longer goes on by itself: to end it would cut a change short.
    let ended: io::Result<_> = match timeout_at(Instant::now() + LIMIT, child.wait()).await {
        Ok(ended) => ended,
        Err(_) => return Err("it takes too long".to_owned()),
    };
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests prepare files by themselves")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Answers one request in this folder, and gives what it asked for.
    async fn served(file: PathBuf, how: &str) -> String {
        let text = loop {
            match fs::read_to_string(&file) {
                Ok(text) => break text,
                Err(_) => sleep(PAUSE).await,
            }
        };
        fs::remove_file(&file).unwrap();
        let (number, word) = text.trim_end().split_once(' ').unwrap();
        write_whole(&file.with_file_name("way-done"), &format!("{number} {how}\n")).unwrap();
        word.to_owned()
    }

    #[tokio::test]
    async fn a_service_is_asked_and_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("way");
        // What an earlier one was answered counts for nothing.
        fs::write(home.path().join("way-done"), "1 done\n").unwrap();
        for (word, how, expected) in [("open", "done", Ok(())), ("close", "failed: no", Err("failed: no"))] {
            let (asked, told) = tokio::join!(served(file.clone(), how), ask(&file, word));
            assert_eq!((asked.as_str(), told), (word, expected.map_err(str::to_owned)));
            assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn removal_waits_with_bounds_and_completes() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("way");
        assert_eq!(ask(&file, "open").await, Err("nobody answers".to_owned()));
        assert!(!file.exists());
        // It goes on all the same.
        Way::Ask(home.path().join("no/such/folder")).tell("open", Lang::En).await;
    }

    #[tokio::test]
    async fn program_gets_the_argument_last() {
        let home = tempfile::tempdir().unwrap();
        let (program, seen) = (home.path().join("program"), home.path().join("seen"));
        let text = format!("#!/bin/sh\necho \"$@\" > {}\n[ \"$2\" = open ]\n", seen.display());
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let words = [program.display().to_string(), "service".to_owned()];
        assert_eq!(run(&words, "open").await, Ok(()));
        assert_eq!(fs::read_to_string(&seen).unwrap(), "service open\n");
        assert!(run(&words, "close").await.is_err());
        assert!(run(&["/no/such/program".to_owned()], "open").await.is_err());
    }
}
