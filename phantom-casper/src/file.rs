//! The output file: for its owner alone, complete or not there at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::CasperError;

/// So many names are tried for a draft.
const DRAFTS: u32 = 16;

/// Writes a file with mode 0600 in place of a file or a symbolic link of its name; a link is not followed. What else has
/// that name, a folder or a device, stays.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), CasperError> {
    let failed = |source| CasperError::Output { file: path.to_owned(), source };
    check(path).map_err(failed)?;
    let (draft, mut file) = draft_of(path).map_err(failed)?;
    let filled = file.write_all(content).and_then(|()| file.sync_all());
    if let Err(source) = filled.and_then(|()| fs::rename(&draft, path)) {
        discard(&draft);
        return Err(failed(source));
    }
    // The name is in force; that it is so after a power failure too needs the folder on disk.
    let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// That a file of this name can be written, as far as its name tells and what has it.
fn check(path: &Path) -> io::Result<()> {
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    match fs::symlink_metadata(path).map(|found| found.file_type()) {
        Ok(kind) if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(kind) if !kind.is_file() && !kind.is_symlink() => Err(io::Error::other("it is no regular file")),
        _ => Ok(()),
    }
}

/// A new file beside the one that is to be written, for its owner alone from the beginning.
fn draft_of(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    // What another process left that died in between may have the first name.
    let mut taken = io::ErrorKind::AlreadyExists.into();
    for attempt in 0..DRAFTS {
        let mut draft = OsString::from(".");
        draft.push(name);
        draft.push(format!(".{}-{attempt}", std::process::id()));
        let draft = path.with_file_name(draft);
        match options.open(&draft) {
            Ok(file) => return Ok((draft, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

#[expect(clippy::disallowed_methods, reason = "this command links no host; the draft is its own")]
fn discard(draft: &Path) {
    // The error that is reported is the first one.
    let _ = fs::remove_file(draft);
}
