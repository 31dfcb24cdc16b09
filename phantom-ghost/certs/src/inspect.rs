//! Is a certificate usable for a name, now, with its key? And how long?

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use phantom_types::{HostName, Timestamp};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::pair::{CertificatePair, KeyPem};
use crate::schedule::Life;

/// Largest file that is read as a chain or a key.
const FILE_MAX: usize = 256 * 1024;
/// How many of a certificate's names an error repeats.
const NAMES_SHOWN: usize = 5;

/// What is wrong with a certificate, a key or their files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is larger than a chain or key ever is.
    #[error("{path} is larger than 256 KiB: neither a certificate chain nor a key")]
    TooLarge {
        /// Which one.
        path: PathBuf,
    },
    /// The chain holds text that is not PEM, or no certificate.
    #[error(
        "the certificate file is not PEM: it holds BEGIN CERTIFICATE blocks, the server's certificate first"
    )]
    CertificateNotPem,
    /// The key's file holds no key in PEM.
    #[error(
        "the key file is not PEM: it holds one BEGIN PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY block"
    )]
    KeyNotPem,
    /// The key has a pass phrase.
    #[error("the key is encrypted: a key without a pass phrase is needed")]
    KeyEncrypted,
    /// A block of the chain is no X.509 certificate that a TLS client would accept.
    #[error("certificate {position} of the chain is malformed: X.509 version 3 in DER is needed")]
    Malformed {
        /// 1 is the leaf.
        position: usize,
    },
    /// A certificate was not issued by the one behind it.
    #[error(
        "certificate {position} of the chain was not issued by the one behind it: the order is the server's \
         certificate, then each one's issuer"
    )]
    Order {
        /// 1 is the leaf.
        position: usize,
    },
    /// The leaf does not name the server.
    #[error("the certificate does not cover {name}: it is for {covers}")]
    Name {
        /// The name that is needed.
        name: HostName,
        /// The names that it has, at most five.
        covers: String,
    },
    /// The leaf's time is over.
    #[error("the certificate expired at {not_after} UTC")]
    Expired {
        /// Its last second.
        not_after: Timestamp,
    },
    /// The leaf's time has not begun.
    #[error(
        "the certificate is not valid before {not_before} UTC: it is a later one, or this clock is wrong"
    )]
    NotYetValid {
        /// Its first second.
        not_before: Timestamp,
    },
    /// The key is of a kind that TLS does not use here.
    #[error(
        "the key is not usable: RSA of 2048 to 8192 bits, ECDSA P-256, P-384 or P-521, or Ed25519 is needed"
    )]
    KeyType,
    /// The key belongs to another certificate.
    #[error("the key does not match the certificate")]
    KeyMismatch,
}

/// What is known of a usable certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Its first second.
    pub not_before: Timestamp,
    /// Its last second.
    pub not_after: Timestamp,
    /// SHA-256 of the leaf's DER: 64 digits of lower-case hexadecimal.
    pub fingerprint_sha256: String,
}

impl InspectError {
    /// A word for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too_large",
            Self::CertificateNotPem => "certificate_not_pem",
            Self::KeyNotPem => "key_not_pem",
            Self::KeyEncrypted => "key_encrypted",
            Self::Malformed { .. } => "malformed",
            Self::Order { .. } => "order",
            Self::Name { .. } => "name",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::KeyType => "key_type",
            Self::KeyMismatch => "key_mismatch",
        }
    }
}

impl Inspected {
    /// Whether `now` lies within its time, both ends included.
    pub fn check_time(&self, now: Timestamp) -> Result<(), InspectError> {
        let Self { not_before, not_after, .. } = *self;
        if now < not_before {
            return Err(InspectError::NotYetValid { not_before });
        }
        // Its last second is valid to the end.
        if now.seconds() > not_after.seconds() { Err(InspectError::Expired { not_after }) } else { Ok(()) }
    }
}

/// Checks that `pair` can serve `name` at `now`: both parse, each certificate was issued by the one behind it, the leaf
/// covers the name (RFC 9525; an address needs an address in the certificate) and is valid, and the key is the leaf's.
/// Whether clients trust the last issuer is not asked.
pub fn inspect(pair: &CertificatePair, name: &HostName, now: Timestamp) -> Result<Inspected, InspectError> {
    let inspected = inspect_timeless(pair, name)?;
    inspected.check_time(now)?;
    Ok(inspected)
}

/// As [`inspect`](fn@inspect), but asks for no time: whoever has nothing better serves what expired.
pub fn inspect_timeless(pair: &CertificatePair, name: &HostName) -> Result<Inspected, InspectError> {
    let chain = chain(&pair.chain_pem)?;
    let parsed = parse(&chain)?;
    links(&parsed)?;
    covers(&chain[0], &parsed[0], name)?;
    let validity = parsed[0].validity();
    let not_before = seconds(validity.not_before.timestamp());
    let not_after = seconds(validity.not_after.timestamp());
    let fingerprint_sha256 = hex(digest(&SHA256, &chain[0]).as_ref());
    certified(chain, &pair.key_pem)?.keys_match().map_err(|_| InspectError::KeyMismatch)?;
    Ok(Inspected { not_before, not_after, fingerprint_sha256 })
}

/// From when until when a certificate in DER is valid; `None` if it is none.
pub fn life_of(certificate: &CertificateDer<'_>) -> Option<Life> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let validity = parsed.validity();
    let [not_before, not_after] =
        [validity.not_before, validity.not_after].map(|time| seconds(time.timestamp()));
    Some(Life { not_before, not_after })
}

/// Reads a chain and a key from two files. Links are followed: an operator's files often are links to the newest ones.
/// Two files of one directory are read from that directory as it is at one moment, even when it is being exchanged.
pub fn read(certificate: &Path, key: &Path) -> Result<CertificatePair, InspectError> {
    let first = read_once(certificate, key);
    // A directory that is exchanged between its opening and the reading is emptied: the new one is complete.
    if matches!(&first, Err(InspectError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound)
    {
        return read_once(certificate, key);
    }
    first
}

fn read_once(certificate: &Path, key: &Path) -> Result<CertificatePair, InspectError> {
    let chain_pem = |text: Vec<u8>| String::from_utf8(text).map_err(|_| InspectError::CertificateNotPem);
    let key_pem = |text: Vec<u8>| {
        String::from_utf8(text).map(KeyPem::new).map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            InspectError::KeyNotPem
        })
    };
    let common =
        certificate.parent().filter(|parent| key.parent() == Some(parent) && !parent.as_os_str().is_empty());
    let folder = common
        .map(|parent| open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()));
    let folder = folder.transpose().map_err(|errno| unreadable(certificate, errno.into()))?;
    Ok(CertificatePair {
        chain_pem: chain_pem(contents(folder.as_ref(), certificate)?)?,
        key_pem: key_pem(contents(folder.as_ref(), key)?)?,
    })
}

/// The certificates of a PEM text, leaf first, not looked into.
pub(crate) fn chain(chain_pem: &str) -> Result<Vec<CertificateDer<'static>>, InspectError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or(InspectError::CertificateNotPem)
}

/// The chain and key in the form that rustls serves, or what is wrong with the key. Whether they match is not asked: of a
/// challenge's certificate rustls cannot tell, because it does not know the critical extension.
pub(crate) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPem,
) -> Result<CertifiedKey, InspectError> {
    // PKCS #8 (RFC 7468, section 11) and the older form of RFC 1421.
    if ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| key.expose().contains(mark))
    {
        return Err(InspectError::KeyEncrypted);
    }
    let der = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| InspectError::KeyNotPem)?;
    let key = any_supported_type(&der).map_err(|_| InspectError::KeyType)?;
    Ok(CertifiedKey::new(chain, key))
}

fn parse<'c>(chain: &'c [CertificateDer<'_>]) -> Result<Vec<X509Certificate<'c>>, InspectError> {
    let parse = |(index, der): (usize, &'c CertificateDer<'_>)| match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(InspectError::Malformed { position: index + 1 }),
    };
    chain.iter().enumerate().map(parse).collect()
}

fn links(chain: &[X509Certificate<'_>]) -> Result<(), InspectError> {
    for (index, pair) in chain.windows(2).enumerate() {
        let names = pair[0].issuer().as_raw() == pair[1].subject().as_raw();
        let signature = match pair[0].verify_signature(Some(pair[1].public_key())) {
            // Rare algorithms that the library does not verify: the names have to do.
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => true,
            Err(_) => false,
        };
        if !(names && signature) {
            return Err(InspectError::Order { position: index + 1 });
        }
    }
    Ok(())
}

fn covers(
    leaf: &CertificateDer<'_>,
    parsed: &X509Certificate<'_>,
    name: &HostName,
) -> Result<(), InspectError> {
    let leaf = webpki::EndEntityCert::try_from(leaf).map_err(|_| InspectError::Malformed { position: 1 })?;
    let wanted = match name {
        HostName::Ip(address) => ServerName::IpAddress((*address).into()),
        // Every name of this type is one for TLS too; one that is not is covered by nothing.
        HostName::Domain(domain) => ServerName::try_from(domain.as_str())
            .map_err(|_| InspectError::Name { name: name.clone(), covers: names(parsed) })?,
    };
    leaf.verify_is_valid_for_subject_name(&wanted)
        .map_err(|_| InspectError::Name { name: name.clone(), covers: names(parsed) })
}

fn names(leaf: &X509Certificate<'_>) -> String {
    let Ok(Some(names)) = leaf.subject_alternative_name() else {
        return "no name".to_owned();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.chars().filter(char::is_ascii_graphic).take(253).collect()),
        GeneralName::IPAddress(octets) => match <[u8; 4]>::try_from(*octets) {
            Ok(octets) => Some(std::net::Ipv4Addr::from(octets).to_string()),
            Err(_) => {
                <[u8; 16]>::try_from(*octets).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string())
            }
        },
        _ => None,
    };
    let mut texts: Vec<String> = names.value.general_names.iter().filter_map(text).collect();
    let more = texts.len().saturating_sub(NAMES_SHOWN);
    texts.truncate(NAMES_SHOWN);
    match (texts.is_empty(), more) {
        (true, _) => "no name".to_owned(),
        (false, 0) => texts.join(", "),
        (false, more) => format!("{} and {more} more", texts.join(", ")),
    }
}

fn contents(folder: Option<&OwnedFd>, path: &Path) -> Result<Vec<u8>, InspectError> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match (folder, path.file_name()) {
        (Some(folder), Some(name)) => openat(folder.as_fd(), name, flags, Mode::empty()),
        _ => open(path, flags, Mode::empty()),
    };
    let file = File::from(file.map_err(|errno| unreadable(path, errno.into()))?);
    if !file.metadata().map_err(|error| unreadable(path, error))?.is_file() {
        return Err(unreadable(path, io::Error::new(io::ErrorKind::InvalidInput, "not an ordinary file")));
    }
    // Reserved in full: a buffer that grows would leave copies of a key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_MAX + 2));
    file.take(FILE_MAX as u64 + 1).read_to_end(&mut text).map_err(|error| unreadable(path, error))?;
    if text.len() > FILE_MAX {
        return Err(InspectError::TooLarge { path: path.to_owned() });
    }
    Ok(text.to_vec())
}

fn unreadable(path: &Path, source: io::Error) -> InspectError {
    InspectError::Unreadable { path: path.to_owned(), source }
}

const fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds.saturating_mul(1_000_000))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests prepare files by themselves")]
mod tests;
