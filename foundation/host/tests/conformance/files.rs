//! Files.

use std::path::{Path, PathBuf};

use phantom_host::FileInfo;

use crate::bench::{Bench, kind};

pub(crate) fn check(bench: &Bench) {
    let files = &bench.host.files;
    let dir = Path::new("/run/conformance");
    let file = dir.join("file");

    // Nothing there: no content, no names, and nothing to remove is no error.
    assert_eq!(files.read(&file).unwrap(), None);
    assert_eq!(files.info(&file).unwrap(), None);
    assert_eq!(files.list(dir).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(kind(files.remove(&file)), "ok");
    assert_eq!(kind(files.remove_dir(dir)), "ok");

    // A file needs its folder; folders are made with what is above them.
    assert_eq!(kind(files.write(&file, b"x", 0o600)), "io ENOENT");
    assert_eq!(kind(files.append(&file, b"x")), "absent");
    assert_eq!(kind(files.set_mode(&file, 0o600)), "io ENOENT");
    files.make_dir(&dir.join("a/b"), 0o700).unwrap();
    let folder = files.info(dir).unwrap().unwrap();
    assert_eq!((folder.mode, folder.uid, folder.dir), (0o700, 0, true));
    files.make_dir(dir, 0o755).unwrap();
    assert_eq!(files.info(dir).unwrap().unwrap().mode, 0o700, "one that is there stays as it is");

    files.write(&file, b"first\n", 0o640).unwrap();
    assert_eq!(files.info(&file).unwrap(), Some(FileInfo { mode: 0o640, uid: 0, len: 6, dir: false }));
    files.append(&file, b"second\n").unwrap();
    assert_eq!(files.read(&file).unwrap().as_deref(), Some(&b"first\nsecond\n"[..]));
    files.write(&file, b"", 0o600).unwrap();
    assert_eq!(files.info(&file).unwrap(), Some(FileInfo { mode: 0o600, uid: 0, len: 0, dir: false }));
    files.set_mode(&file, 0o644).unwrap();
    assert_eq!(files.info(&file).unwrap().unwrap().mode, 0o644);
    files.write(&dir.join("Z"), b"", 0o600).unwrap();
    assert_eq!(files.list(dir).unwrap(), ["Z", "a", "file"].map(PathBuf::from));

    files_where_folders_are(bench, dir, &file);

    files.remove_dir(dir).unwrap();
    assert_eq!(files.info(&file).unwrap(), None);
    assert_eq!(files.info(dir).unwrap(), None);
}

/// A file in the place of a folder, and the other way round.
fn files_where_folders_are(bench: &Bench, dir: &Path, file: &Path) {
    let files = &bench.host.files;
    let folder = dir.join("a");
    assert_eq!(kind(files.write(&folder, b"x", 0o600)), "io EISDIR");
    assert_eq!(kind(files.read(&folder)), "io EISDIR");
    assert_eq!(kind(files.append(&folder, b"x")), "io EISDIR");
    assert_eq!(kind(files.remove(&folder)), "io EISDIR");
    assert_eq!(kind(files.make_dir(file, 0o700)), "io EEXIST");
    assert_eq!(kind(files.make_dir(&file.join("below"), 0o700)), "io ENOTDIR");
    assert_eq!(kind(files.write(&file.join("below"), b"x", 0o600)), "io ENOTDIR");
    assert_eq!(kind(files.write(&dir.join("n".repeat(256)), b"x", 0o600)), "io ENAMETOOLONG");
    assert_eq!(kind(files.write(Path::new("relative"), b"x", 0o600)), "unexpected");
    assert_eq!(files.read(&file.join("below")).unwrap(), None);
    assert_eq!(files.info(&file.join("below")).unwrap(), None);
    assert_eq!(files.list(file).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(kind(files.remove_dir(file)), "ok");
    assert_eq!(files.info(file).unwrap().map(|info| info.dir), Some(false), "a file is no folder");
    assert_eq!(
        files.list(dir).unwrap(),
        ["Z", "a", "file"].map(PathBuf::from),
        "nothing is left of failed writes"
    );
}
