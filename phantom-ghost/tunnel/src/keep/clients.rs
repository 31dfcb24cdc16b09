//! The clients that may open tunnels under secrets of their own: a file that lists them, and what a server knows of it.
//!
//! The file is read again only when it has changed, and a server that is told once is told what has changed since, client by client.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::control::{Clients, Control, ControlError, NOT_A_REQUEST, Part};
use crate::secrets::{Secret, SecretDigest};

/// So many clients are told at once.
const TOGETHER: usize = 50_000;

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    file: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn read(path: &Path) -> io::Result<Self> {
        let info = fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            file: (info.dev(), info.ino()),
            size: info.size(),
            changed: (info.ctime(), info.ctime_nsec()),
        })
    }
}

/// The list as it was read last, and as the server knows it. Both hold no secret, and are sorted.
#[derive(Debug, Default)]
pub(super) struct ClientList {
    stamp: Option<Stamp>,
    /// `None` until it was read: then nothing is told, so that a server keeps the clients that it knows.
    wanted: Option<Vec<SecretDigest>>,
    known: Option<Vec<SecretDigest>>,
}

/// How a server was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushResult {
    /// It knows the clients by their digests.
    Singly,
    /// It was started by a program of before clients had secrets of their own. It takes them among the operator's.
    InConfiguration,
}

impl ClientList {
    /// Reads the list again if it has changed; without a file it is empty. A list that cannot be read leaves the one before. Whether the
    /// server has to be told something.
    pub(super) fn read(&mut self, path: Option<&Path>) -> Result<bool, String> {
        let Some(path) = path else {
            (self.stamp, self.wanted) = (None, Some(Vec::new()));
            return Ok(self.is_news());
        };
        let failed = |error: &dyn std::fmt::Display| {
            format!("the clients in {} cannot be read: {error}", path.display())
        };
        // Looked at before it is read: a change in between is seen the next time.
        let stamp = Stamp::read(path).map_err(|error| failed(&error))?;
        if self.stamp.as_ref() != Some(&stamp) {
            let text = fs::read(path).map(Zeroizing::new).map_err(|error| failed(&error))?;
            let secrets =
                parse(&text).map_err(|line| failed(&format_args!("line {line} names no client")))?;
            self.wanted = Some(digests(&secrets));
            self.stamp = Some(stamp);
        }
        Ok(self.is_news())
    }

    fn is_news(&self) -> bool {
        self.wanted.is_some() && self.known != self.wanted
    }

    /// The server may know something else by now, or be another one.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// Tells the server what it does not know yet.
    pub(super) async fn push(&mut self, link: &mut Control) -> Result<PushResult, ControlError> {
        let told = match self.tell(link).await {
            Ok(()) => PushResult::Singly,
            Err(ControlError::Refused(why)) if why.starts_with(NOT_A_REQUEST) => PushResult::InConfiguration,
            Err(error) => return Err(error),
        };
        self.known.clone_from(&self.wanted);
        Ok(told)
    }

    async fn tell(&self, link: &mut Control) -> Result<(), ControlError> {
        let Some(wanted) = &self.wanted else { return Ok(()) };
        let Some(known) = &self.known else {
            for change in whole(wanted) {
                link.change_clients(change).await?;
            }
            return Ok(());
        };
        let (add, remove) = difference(known, wanted);
        // Those that lose something first: that is what somebody waits for.
        for remove in remove.chunks(TOGETHER) {
            link.change_clients(Clients { remove: remove.to_vec(), ..Clients::default() }).await?;
        }
        for add in add.chunks(TOGETHER) {
            link.change_clients(Clients { add: add.to_vec(), ..Clients::default() }).await?;
        }
        Ok(())
    }
}

/// The secrets of the clients that are listed now, at most so many; none where the list cannot be read.
pub(super) fn secrets(path: Option<&Path>, most: usize) -> Vec<Secret> {
    let text = path.and_then(|path| fs::read(path).ok()).map(Zeroizing::new).unwrap_or_default();
    let mut secrets = parse(&text).unwrap_or_default();
    secrets.truncate(most);
    secrets
}

/// The secrets of a list. A line is a client's public key, a blank and its secret; one that begins with `#` says nothing, and neither
/// does what is behind the last line feed: it is being written. The error is a line's number, from 1.
fn parse(text: &[u8]) -> Result<Vec<Secret>, usize> {
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = text[..whole].split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && line[0] != b'#');
    let secret = |line: &[u8]| {
        let (_, secret) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        Secret::new(secret.to_owned()).ok()
    };
    lines.map(|(at, line)| secret(line).ok_or(at + 1)).collect()
}

fn digests(secrets: &[Secret]) -> Vec<SecretDigest> {
    let mut digests: Vec<_> = secrets.iter().map(Secret::digest).collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}

/// The parts of a whole list.
fn whole(list: &[SecretDigest]) -> impl Iterator<Item = Clients> {
    let count = list.len().div_ceil(TOGETHER).max(1);
    (0..count).map(move |at| {
        let part = match (at == 0, at + 1 == count) {
            (true, true) => Part::Only,
            (true, false) => Part::First,
            (false, false) => Part::Further,
            (false, true) => Part::Last,
        };
        let add = list.chunks(TOGETHER).nth(at).unwrap_or_default().to_vec();
        Clients { part: Some(part), add, remove: Vec::new() }
    })
}

/// What is in the second of two sorted lists alone, and what in the first alone.
fn difference(old: &[SecretDigest], new: &[SecretDigest]) -> (Vec<SecretDigest>, Vec<SecretDigest>) {
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return (add, remove),
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(old), Some(new)) => old.cmp(new),
        };
        if order == Ordering::Less {
            remove.extend(old.next());
        } else if order == Ordering::Greater {
            add.extend(new.next());
        } else {
            (_, _) = (old.next(), new.next());
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests prepare files by themselves")]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn line(number: usize) -> String {
        format!("key{number} {number:064}\n")
    }

    fn sorted(numbers: impl IntoIterator<Item = usize>) -> Vec<SecretDigest> {
        let secret = |number| Secret::new(format!("{number:064}")).unwrap();
        digests(&numbers.into_iter().map(secret).collect::<Vec<_>>())
    }

    fn parsed(text: &str) -> Result<Vec<SecretDigest>, usize> {
        parse(text.as_bytes()).map(|secrets| digests(&secrets))
    }

    #[test]
    fn complete_lines_are_read_unfinished_ones_wait() {
        let text = format!("# mark\n\n{}{}{}", line(2), line(1), line(2));
        assert_eq!(parsed(&text).unwrap(), sorted([1, 2]));
        assert_eq!(parsed(&text[..text.len() - 1]).unwrap(), sorted([1, 2]));
        assert_eq!(parsed("").unwrap(), []);
        assert_eq!(parsed(&format!("{}nonsense\n", line(1))).unwrap_err(), 2);
        assert_eq!(parsed("# a\nkey short\n").unwrap_err(), 2);
    }

    #[test]
    fn a_difference_is_told_by_single_clients() {
        let (old, new) = (sorted([1, 2, 3, 4]), sorted([2, 4, 5]));
        assert_eq!(difference(&old, &new), (sorted([5]), sorted([1, 3])));
        assert_eq!(difference(&old, &old), (Vec::new(), Vec::new()));
        assert_eq!(difference(&[], &new), (new.clone(), Vec::new()));
    }

    #[test]
    fn a_whole_list_comes_in_parts() {
        let parts = |count| {
            let list = vec![sorted([1])[0]; count];
            whole(&list).map(|change| (change.part.unwrap(), change.add.len())).collect::<Vec<_>>()
        };
        assert_eq!(parts(0), [(Part::Only, 0)]);
        assert_eq!(parts(TOGETHER), [(Part::Only, TOGETHER)]);
        let three = [(Part::First, TOGETHER), (Part::Further, TOGETHER), (Part::Last, 1)];
        assert_eq!(parts(2 * TOGETHER + 1), three);
    }

    #[test]
    fn file_is_news_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clients");
        let mut list = ClientList::default();
        assert!(list.read(Some(&path)).unwrap_err().contains("cannot be read") && !list.is_news());
        assert!(list.read(None).unwrap(), "a server may know clients that are gone");
        assert!(list.read(Some(&path)).unwrap_err().contains("cannot be read"));
        fs::write(&path, line(1)).unwrap();
        list.known = Some(Vec::new());
        assert!(list.read(Some(&path)).unwrap());
        list.known = list.wanted.clone();
        assert!(!list.read(Some(&path)).unwrap());
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(line(2).as_bytes()).unwrap();
        assert!(list.read(Some(&path)).unwrap());
        assert_eq!(list.wanted, Some(sorted([1, 2])));
        fs::write(&path, "nonsense\n").unwrap();
        let error = list.read(Some(&path)).unwrap_err();
        assert!(error.ends_with("line 1 names no client"), "{error}");
        assert_eq!(list.wanted, Some(sorted([1, 2])), "the list before is kept");
        list.forget();
        assert!(list.is_news());
        fs::write(&path, line(1) + &line(2)).unwrap();
        assert_eq!(
            (secrets(Some(&path), 9).len(), secrets(Some(&path), 1).len(), secrets(None, 9).len()),
            (2, 1, 0)
        );
    }
}
