//! Reads what the keeper has to push: its configuration, the certificate's files and the decoy's.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::digest::SHA256;
use phantom_certs::inspect::{self, InspectError, inspect_timeless};
use phantom_certs::schedule::Life;
use phantom_certs::{CertificatePair, with_causes};
use zeroize::Zeroizing;

use super::file::{DecoySource, KeeperFile, Source};
use super::watch::Folders;
use crate::config::{Configuration, Decoy, FileBytes, KeyPem, MAX_SITE};

/// Most files of a decoy site.
const FILES_MAX: usize = 1000;
/// How deep they may lie.
const DEPTH_MAX: usize = 8;

/// What is to be in force.
#[derive(Debug)]
pub(super) struct Bundle {
    /// What the server is told.
    pub(super) configuration: Configuration,
    /// Tells one configuration from another.
    pub(super) digest: [u8; 32],
    /// From when until when the certificate is valid; nothing where a web server in front has one.
    pub(super) life: Option<Life>,
    pub(super) file: KeeperFile,
    /// What is wrong although it can be used.
    pub(super) warning: Option<String>,
}

/// Nothing that could be put into force.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) text: String,
    /// The configuration, when only the certificate is wrong.
    pub(super) file: Option<KeeperFile>,
}

/// Reads everything. An expired certificate, or one that is not valid yet, is used: it may be the only way in, and a
/// clock can be wrong.
pub(super) fn load(path: &Path) -> Result<Bundle, Box<Unusable>> {
    let unusable = |text| Box::new(Unusable { text, file: None });
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| unusable(format!("{} cannot be read: {error}", path.display())))?;
    let file = KeeperFile::parse(&text).map_err(|error| unusable(error.to_string()))?;
    let (pair, life) = match certificate(&file) {
        Ok(found) => found,
        Err(error) => return Err(Box::new(Unusable { text: with_causes(&error), file: Some(file) })),
    };
    let (decoy, warning) = match &file.decoy {
        None => (Decoy::Builtin, None),
        Some(DecoySource::Upstream(upstream)) => (Decoy::Upstream(upstream.clone()), None),
        Some(DecoySource::Dir(folder)) => match site(folder) {
            Ok(files) if files.is_empty() => (Decoy::Builtin, None),
            Ok(files) => (Decoy::Files(files), None),
            Err(error) => {
                (Decoy::Builtin, Some(format!("the decoy in {} is not used: {error}", folder.display())))
            }
        },
    };
    let configuration = Configuration {
        secrets: file.secrets.clone(),
        wireguard_port: file.wireguard_port,
        certificate_pem: pair.chain_pem.clone(),
        key_pem: KeyPem::new(pair.key_pem.expose().to_owned()),
        decoy,
        padding: true,
    };
    let digest = digest(&configuration).map_err(|error| unusable(error.to_string()))?;
    Ok(Bundle { configuration, digest, life, file, warning })
}

/// The certificate in its files, and its life; an empty one where a web server in front has it.
fn certificate(file: &KeeperFile) -> Result<(CertificatePair, Option<Life>), InspectError> {
    let Some(files) = &file.certificate else {
        return Ok((
            CertificatePair { chain_pem: String::new(), key_pem: phantom_certs::KeyPem::new(String::new()) },
            None,
        ));
    };
    let pair = inspect::read(&files.cert_path, &files.key_path)?;
    let seen = inspect_timeless(&pair, &file.domain)?;
    Ok((pair, Some(seen.life())))
}

/// What tells one configuration from another.
pub(super) fn digest(configuration: &Configuration) -> serde_json::Result<[u8; 32]> {
    let text = serde_json::to_vec(configuration).map(Zeroizing::new)?;
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, &text).as_ref());
    Ok(digest)
}

/// The directories in which a change can mean that something else is to be in force. That of a file's name and the one
/// above it, since the certificate's directory is exchanged as a whole, and the configuration's can come again; and where a
/// link leads. Of the configuration's directory only its files count: the keeper and others write there all the time.
pub(super) fn folders(path: &Path, file: Option<&KeeperFile>) -> Folders {
    let mut folders = Folders::default();
    let mut rendered = |path: &Path| {
        folders.add_entry(path);
        path.parent().into_iter().for_each(|folder| folders.add_entry(folder));
    };
    rendered(path);
    let Some(file) = file else {
        return folders;
    };
    file.clients.iter().for_each(|path| rendered(path));
    let files = file.certificate.as_ref();
    for path in files.into_iter().flat_map(|files| [&files.cert_path, &files.key_path]) {
        let leads = || path.canonicalize().ok().filter(|_| file.source() == Some(Source::Operator));
        for folder in [Some(path.clone()), leads()].iter().flatten().filter_map(|path| path.parent()) {
            folders.add(folder);
            folders.add_entry(folder);
        }
    }
    if let Some(DecoySource::Dir(folder)) = &file.decoy {
        folders.add_entry(folder);
        let below = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        below.filter(|path| path.is_dir()).take(64).for_each(|path| folders.add(&path));
        folders.add(folder);
    }
    folders
}

/// A directory's ordinary files, by their path in it. That it does not exist is no error; links and hidden files are
/// left out.
fn site(folder: &Path) -> io::Result<BTreeMap<String, FileBytes>> {
    let mut files = BTreeMap::new();
    let mut room = MAX_SITE;
    let mut open = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if depth == 0 && error.kind() == io::ErrorKind::NotFound => return Ok(files),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let Some(name) =
                entry.file_name().to_str().filter(|name| !name.starts_with('.')).map(str::to_owned)
            else {
                continue;
            };
            let kind = entry.file_type()?;
            if kind.is_dir() && depth < DEPTH_MAX {
                open.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
            } else if kind.is_file() {
                let size = usize::try_from(entry.metadata()?.len()).unwrap_or(usize::MAX);
                let bytes = if size <= room { fs::read(entry.path())? } else { Vec::new() };
                room = room
                    .checked_sub(size.max(bytes.len()))
                    .ok_or_else(|| io::Error::other("more than 8 MiB"))?;
                files.insert(format!("{prefix}{name}"), FileBytes(bytes));
            }
            if files.len() > FILES_MAX {
                return Err(io::Error::other("more than 1000 files"));
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests prepare files by themselves")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn site_has_ordinary_files_within_limits() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("decoy");
        assert!(site(&folder).unwrap().is_empty());
        fs::create_dir_all(folder.join("css/deep")).unwrap();
        for file in ["index.html", "css/a.css", "css/deep/b.css", ".hidden"] {
            fs::write(folder.join(file), file).unwrap();
        }
        symlink("/etc/passwd", folder.join("passwd")).unwrap();
        let files = site(&folder).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["css/a.css", "css/deep/b.css", "index.html"]);
        assert_eq!(files["css/a.css"].0, b"css/a.css");
        fs::write(folder.join("big"), vec![0; MAX_SITE]).unwrap();
        assert!(site(&folder).unwrap_err().to_string().contains("8 MiB"));
    }
}
