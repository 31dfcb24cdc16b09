//! The certificate directory: issued certificates by name, and the accounts at certificate authorities.
//!
//! ```text
//! certs/                             0700
//!   vpn.example.com/                 0700   exchanged as a whole
//!     fullchain.pem  privkey.pem     0600
//!     origin                         0600   the ACME directory's URL, or self-signed
//!     challenge                      0600   tls-alpn-01 or http-01; where an authority was asked
//!   account_6b0f1a4c5d2e3f70.json    0600   named by a digest of the ACME directory's URL
//! ```
//!
//! A certificate and its key come into force together: they are written and flushed as a new directory beside, which
//! then takes the old one's place in one step (`renameat2(2)`, `RENAME_EXCHANGE`). Cut short anywhere, the old pair or
//! the new one is in force, never a mixture. What a cut-short write left is swept up by the next one. Where the file
//! system cannot exchange, two renames do it, and a cut between them is repaired by whoever opens the store next.
//!
//! Links in the place of these files are not followed, and modes are those above from the moment a file exists.

mod files;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, RenameFlags, renameat, renameat2};
use nix::sys::stat::fstatat;
use phantom_types::HostName;
use zeroize::Zeroizing;

use crate::challenge::ChallengeKind;
use crate::inspect::hex;
use crate::pair::{CertificatePair, KeyPem};

/// The chain of a certificate, leaf first.
pub const CHAIN_FILE: &str = "fullchain.pem";
/// Its private key.
pub const KEY_FILE: &str = "privkey.pem";
/// Where it came from.
const ORIGIN_FILE: &str = "origin";
/// By which challenge it was obtained: the next one is obtained the same way.
const CHALLENGE_FILE: &str = "challenge";
/// The origin of a certificate that nobody vouches for.
pub const SELF_SIGNED: &str = "self-signed";
/// Beginning of the names of what is being written. No host's name begins with a dot.
const DRAFT: &str = ".draft_";
/// Beginning of the name of a directory that is being replaced without an exchange.
const REPLACED: &str = ".replaced_";

/// The certificate directory could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertStoreError {
    /// A system call failed.
    #[error("{path} cannot be {what}")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory belongs to another user, who could exchange keys in it.
    #[error(
        "{path} belongs to user {owner} and not to the user of this process: its owner could exchange the keys"
    )]
    Owner {
        /// The directory.
        path: PathBuf,
        /// The user's number.
        owner: u32,
    },
    /// A stored file is not text.
    #[error("{path} is damaged: it is not text")]
    NotText {
        /// Which one.
        path: PathBuf,
    },
}

/// The certificate directory, opened.
#[derive(Debug)]
pub struct CertStore {
    folder: OwnedFd,
    path: PathBuf,
}

/// A stored certificate.
#[derive(Clone, Debug)]
pub struct StoredCertificate {
    /// Chain and key, as they were written together.
    pub pair: CertificatePair,
    /// The ACME directory's URL, or [`SELF_SIGNED`].
    pub origin: String,
}

/// Where the files of a name lie, whether or not they exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertPaths {
    /// The chain.
    pub chain: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl CertStoreError {
    /// A word for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Io { .. } => "store",
            Self::Owner { .. } => "store_owner",
            Self::NotText { .. } => "store_damaged",
        }
    }
}

impl CertStore {
    /// Opens the directory, and makes it (not its parents) when it does not exist. A wider mode than 0700 is corrected; a
    /// foreign owner and a link in its place are errors.
    pub fn open(path: &Path) -> Result<Self, CertStoreError> {
        let folder = files::own_folder(path)?;
        let store = Self { folder, path: path.to_owned() };
        store.repair()?;
        Ok(store)
    }

    /// Where the files of `name` lie.
    pub fn paths(&self, name: &HostName) -> CertPaths {
        let folder = self.path.join(name.to_string());
        CertPaths { chain: folder.join(CHAIN_FILE), key: folder.join(KEY_FILE) }
    }

    /// The stored certificate of `name`, unchecked; nothing when there is none or its files are incomplete, which only
    /// somebody else can have brought about.
    pub fn read(&self, name: &HostName) -> Result<Option<StoredCertificate>, CertStoreError> {
        let place = self.path.join(name.to_string());
        // Kept open, so that its number does not become another directory's.
        let mut before: Option<(_, OwnedFd)> = None;
        loop {
            let Some(folder) = files::folder(&self.folder, &place)? else {
                return Ok(None);
            };
            // Everything from the directory as it was opened: an exchange meanwhile does not mix two pairs.
            if let Some(stored) = stored(&folder, &place)? {
                return Ok(Some(stored));
            }
            // A directory that was exchanged and swept up meanwhile is empty: there is another one in its place then.
            let which = files::identity(&folder, &place)?;
            if before.replace((which, folder)).is_some_and(|(before, _)| before == which) {
                return Ok(None);
            }
        }
    }

    /// Puts a certificate into force: all of it or, on an error or a crash, nothing of it. The caller has checked it.
    pub fn write(
        &self,
        name: &HostName,
        pair: &CertificatePair,
        origin: &str,
    ) -> Result<CertPaths, CertStoreError> {
        self.write_obtained(name, pair, origin, None)
    }

    /// As [`write`](Self::write), and notes by which challenge the certificate was obtained.
    pub fn write_obtained(
        &self,
        name: &HostName,
        pair: &CertificatePair,
        origin: &str,
        by: Option<ChallengeKind>,
    ) -> Result<CertPaths, CertStoreError> {
        let _lock = self.lock()?;
        self.sweep()?;
        let (draft, place) = (self.path.join(format!("{DRAFT}{name}")), self.path.join(name.to_string()));
        let folder = files::make_folder(&self.folder, &draft)?;
        files::create(&folder, &draft.join(KEY_FILE), pair.key_pem.expose())?;
        files::create(&folder, &draft.join(CHAIN_FILE), &pair.chain_pem)?;
        files::create(&folder, &draft.join(ORIGIN_FILE), &format!("{origin}\n"))?;
        if let Some(by) = by {
            files::create(&folder, &draft.join(CHALLENGE_FILE), &format!("{by}\n"))?;
        }
        files::sync(&folder, &draft)?;
        self.exchange(&draft, &place, name)?;
        files::sync(&self.folder, &self.path)?;
        self.sweep()?;
        Ok(self.paths(name))
    }

    /// The credentials of the account at the authority with this directory URL, as they were stored.
    pub fn account(&self, directory: &str) -> Result<Option<Zeroizing<String>>, CertStoreError> {
        files::read(&self.folder, &self.path.join(account_file(directory)))
    }

    /// Stores credentials, in the place of earlier ones for the same directory URL.
    pub fn put_account(&self, directory: &str, credentials: &str) -> Result<(), CertStoreError> {
        let _lock = self.lock()?;
        self.sweep()?;
        let (draft, place) =
            (self.path.join(format!("{DRAFT}account")), self.path.join(account_file(directory)));
        files::create(&self.folder, &draft, credentials)?;
        renameat(&self.folder, files::name(&draft), &self.folder, files::name(&place))
            .map_err(files::because("written", &place))?;
        files::sync(&self.folder, &self.path)
    }

    /// Writers wait for each other: `flock(2)` on the directory, which ends with the process.
    fn lock(&self) -> Result<Flock<OwnedFd>, CertStoreError> {
        let folder = files::own_folder(&self.path)?;
        Flock::lock(folder, FlockArg::LockExclusive)
            .map_err(|(_, errno)| files::because("locked", &self.path)(errno))
    }

    fn exchange(&self, draft: &Path, place: &Path, name: &HostName) -> Result<(), CertStoreError> {
        let (from, to) = (files::name(draft), files::name(place));
        let failed = files::because("put in place", place);
        match renameat2(&self.folder, from, &self.folder, to, RenameFlags::RENAME_EXCHANGE) {
            Ok(()) => Ok(()),
            Err(Errno::ENOENT) => renameat(&self.folder, from, &self.folder, to).map_err(failed),
            // The file system cannot exchange.
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::ENOTSUP) => {
                let aside = format!("{REPLACED}{name}");
                renameat(&self.folder, to, &self.folder, aside.as_str()).map_err(&failed)?;
                renameat(&self.folder, from, &self.folder, to).map_err(failed)
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Completes a replacement that was cut between its two renames: the old directory comes back.
    fn repair(&self) -> Result<(), CertStoreError> {
        let aside = |entry: &String| entry.starts_with(REPLACED);
        if !files::entries(&self.path)?.iter().any(aside) {
            return Ok(());
        }
        let _lock = self.lock()?;
        self.restore()
    }

    fn restore(&self) -> Result<(), CertStoreError> {
        for entry in files::entries(&self.path)? {
            if let Some(name) = entry.strip_prefix(REPLACED) {
                let place = self.path.join(name);
                match self.bring_back(&entry, name, RenameFlags::RENAME_NOREPLACE) {
                    // The new one is in place: the old one goes.
                    Err(Errno::EEXIST | Errno::ENOTEMPTY) => {
                        files::remove(&self.folder, &self.path.join(&entry))?;
                    }
                    other => other.map_err(files::because("brought back", &place))?,
                }
            }
        }
        Ok(())
    }

    /// Renames unless something is in place. A file system that cannot exchange cannot be asked for that either: under the lock
    /// nobody puts anything there between a look and the rename.
    fn bring_back(&self, entry: &str, name: &str, only_new: RenameFlags) -> nix::Result<()> {
        match renameat2(&self.folder, entry, &self.folder, name, only_new) {
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::ENOTSUP) => {
                match fstatat(&self.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                    Ok(_) => Err(Errno::EEXIST),
                    Err(Errno::ENOENT) => renameat(&self.folder, entry, &self.folder, name),
                    Err(errno) => Err(errno),
                }
            }
            done => done,
        }
    }

    /// Removes what writers left that did not finish. Only under the lock: every draft is then nobody's.
    fn sweep(&self) -> Result<(), CertStoreError> {
        self.restore()?;
        for entry in files::entries(&self.path)? {
            if entry.starts_with(DRAFT) {
                files::remove(&self.folder, &self.path.join(entry))?;
            }
        }
        Ok(())
    }
}

fn stored(folder: &OwnedFd, place: &Path) -> Result<Option<StoredCertificate>, CertStoreError> {
    let text = |file: &str| files::read(folder, &place.join(file));
    let (Some(chain), Some(key), Some(origin)) = (text(CHAIN_FILE)?, text(KEY_FILE)?, text(ORIGIN_FILE)?)
    else {
        return Ok(None);
    };
    let pair = CertificatePair { chain_pem: chain.to_string(), key_pem: KeyPem::new(key.to_string()) };
    Ok(Some(StoredCertificate { pair, origin: origin.trim_end().to_owned() }))
}

/// No host's name has a `_`, so that no certificate's directory has such a name.
fn account_file(directory: &str) -> String {
    format!("account_{}.json", &hex(digest(&SHA256, directory.as_bytes()).as_ref())[..16])
}

/// Writes `text` as the file `path` with mode 0600: whole, or on an error or a crash not at all. Not for the certificate
/// directory itself, whose writers wait for each other.
pub fn write_whole(path: &Path, text: &str) -> Result<(), CertStoreError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = OwnedFd::from(File::open(parent).map_err(|source| CertStoreError::Io {
        what: "opened",
        path: parent.to_owned(),
        source,
    })?);
    let file = files::name(path).to_string_lossy().into_owned();
    let draft = parent.join(format!("{DRAFT}{file}.{}", std::process::id()));
    files::remove(&folder, &draft)?;
    let written = files::create(&folder, &draft, text).and_then(|()| {
        renameat(&folder, files::name(&draft), &folder, files::name(path))
            .map_err(files::because("written", path))
    });
    if written.is_err() {
        files::remove(&folder, &draft)?;
    }
    written.and_then(|()| files::sync(&folder, parent))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests prepare files by themselves")]
mod tests;
