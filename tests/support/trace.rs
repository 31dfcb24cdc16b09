//! What strace saw a program do with files.

use std::path::{Path, PathBuf};

/// A call that changes what a power failure would leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Content of a file was written or cut.
    Write(PathBuf),
    /// A file, or the names in a folder, were flushed to the disk.
    Sync(PathBuf),
    /// A folder was made.
    Make(PathBuf),
    /// Something got the name of something else, which is gone.
    Rename(PathBuf, PathBuf),
    /// Two things got each other's names.
    Exchange(PathBuf, PathBuf),
}

/// The calls in a trace of `strace -y` without `-f`; what failed is left out, and paths that are relative to nothing that
/// the trace names.
pub fn calls_of_trace(trace: &str) -> Vec<Call> {
    trace.lines().filter(|line| !line.contains(" = -1 ")).filter_map(call).collect()
}

fn call(line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let paths = paths(rest);
    let one = || paths.first().cloned();
    Some(match name {
        "write" | "pwrite64" | "writev" | "ftruncate" => Call::Write(one()?),
        "fsync" | "fdatasync" => Call::Sync(one()?),
        "mkdir" | "mkdirat" => Call::Make(one()?),
        "rename" | "renameat" | "renameat2" => match paths.as_slice() {
            [one, other] if rest.contains("RENAME_EXCHANGE") => Call::Exchange(one.clone(), other.clone()),
            [from, to] => Call::Rename(from.clone(), to.clone()),
            _ => return None,
        },
        _ => return None,
    })
}

/// The paths among the arguments: `3</path>` is a descriptor, `"name"` a path or, behind a descriptor, a name in it.
fn paths(arguments: &str) -> Vec<PathBuf> {
    let (mut found, mut folder, mut rest): (Vec<PathBuf>, Option<PathBuf>, _) = (Vec::new(), None, arguments);
    while let Some(at) = rest.find(['<', '"', ')']) {
        let (mark, behind) = (&rest[at..=at], &rest[at + 1..]);
        let end = match mark {
            "<" => '>',
            "\"" => '"',
            _ => break,
        };
        let Some((word, after)) = behind.split_once(end) else { break };
        if mark == "<" {
            found.extend(folder.replace(word.into()));
        } else if !word.is_empty() {
            found.push(folder.take().unwrap_or_default().join(word));
        }
        rest = after;
    }
    found.extend(folder);
    found.retain(|path| path.is_absolute() && path != Path::new("/"));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_path_is_read() {
        let trace = r#"
write(4</etc/.x.01>, ""..., 12) = 12
fsync(4</etc/.x.01>) = 0
rename("/etc/.x.01", "/etc/x") = 0
rename("/etc/.y.01", "/etc/y") = -1 ENOENT (No such file or directory)
renameat(5</certs>, ".draft", 5</certs>, "name") = 0
renameat2(5</certs>, ".draft", 5</certs>, "name", RENAME_EXCHANGE) = 0
mkdirat(5</certs>, "new", 0700) = 0
fdatasync(3</opt/a b/phantom.db-wal>) = 0
write(1<pipe:[77]>, ""..., 3) = 3
"#;
        let path = PathBuf::from;
        let pair = (path("/certs/.draft"), path("/certs/name"));
        let expected = [
            Call::Write(path("/etc/.x.01")),
            Call::Sync(path("/etc/.x.01")),
            Call::Rename(path("/etc/.x.01"), path("/etc/x")),
            Call::Rename(pair.0.clone(), pair.1.clone()),
            Call::Exchange(pair.0, pair.1),
            Call::Make(path("/certs/new")),
            Call::Sync(path("/opt/a b/phantom.db-wal")),
        ];
        assert_eq!(calls_of_trace(trace), expected);
    }
}
