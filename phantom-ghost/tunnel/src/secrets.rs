//! Which secrets open a tunnel.
//!
//! A secret is the first segment of a tunnel request's path. The server keeps only digests of secrets, in an index under a key that is
//! the process's own: where a candidate is looked for does not depend on anything that a stranger knows, so that neither its
//! length nor where it differs from a secret nor how many secrets there are shows in the time an answer takes.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The length of a secret that [`Secret::generate`] makes, in characters.
pub const SECRET_LENGTH: usize = 64;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Why a text is no secret. Does not quote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret is 16 to 128 letters and digits")]
pub struct SecretError;

/// A secret in the clear: 16 to 128 ASCII letters and digits. `Debug` does not show it; its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over `text`, which is wiped if it is no secret.
    pub fn new(text: String) -> Result<Self, SecretError> {
        let text = Zeroizing::new(text);
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain && (16..=128).contains(&text.len()) { Ok(Self(text)) } else { Err(SecretError) }
    }

    /// A new secret of [`SECRET_LENGTH`] characters from the system's random source.
    ///
    /// # Panics
    /// If the system has no random source.
    pub fn generate() -> Self {
        Self(letters(|bytes| rand::fill(bytes).expect("the system has a random source")))
    }

    /// The text itself, for a path or a file; not for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What a server can be told in its place.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::digest(self.0.as_bytes())
    }

    /// The name under which this process knows it.
    ///
    /// # Panics
    /// If the system has no random source.
    pub fn id(&self) -> SecretId {
        self.digest().id()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Letters and digits, all equally likely, out of the bytes that `fill` gives.
fn letters(mut fill: impl FnMut(&mut [u8])) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(SECRET_LENGTH));
    let mut bytes = Zeroizing::new([0; 128]);
    while text.len() < SECRET_LENGTH {
        fill(bytes.as_mut());
        // 248 is four times 62: what lies above would favour the first letters.
        let fair =
            bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        let room = SECRET_LENGTH - text.len();
        text.extend(fair.take(room));
    }
    text
}

/// What a server is told in place of a secret: its SHA-256, base64 in JSON. It opens no tunnel. Nobody finds the secret by it, as long as
/// that is random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest of a candidate of any length.
    pub(crate) fn digest(candidate: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, candidate).as_ref());
        Self(bytes)
    }

    /// The name under which this process knows the secret.
    ///
    /// # Panics
    /// If the system has no random source.
    pub fn id(&self) -> SecretId {
        // The key is the process's own, so that names tell nothing to one who has not read its memory.
        static KEY: OnceLock<hmac::Key> = OnceLock::new();
        let key = KEY.get_or_init(|| {
            let mut bytes = Zeroizing::new([0; 32]);
            rand::fill(bytes.as_mut()).expect("the system has a random source");
            hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref())
        });
        let mut id = [0; 16];
        id.copy_from_slice(&hmac::sign(key, &self.0).as_ref()[..16]);
        SecretId(id)
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretDigest(..)")
    }
}

impl Serialize for SecretDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for SecretDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("a digest is the base64 of 32 bytes"))
    }
}

/// A secret's name inside one process: half of a keyed digest (128 bits), of no use outside it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretId([u8; 16]);

impl fmt::Debug for SecretId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretId(..)")
    }
}

impl Hash for SecretId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut part = [0; 8];
        part.copy_from_slice(&self.0[..8]);
        state.write_u64(u64::from_ne_bytes(part));
    }
}

/// A part of an id is its hash: ids are random already, by a key that nobody else knows.
#[derive(Debug, Clone, Copy, Default)]
struct OfId(u64);

impl Hasher for OfId {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, part: u64) {
        self.0 = part;
    }
}

/// The secrets that a server accepts: an index of their ids, which takes about 35 MiB for a million of them.
#[derive(Debug, Clone, Default)]
pub struct SecretSet(HashSet<SecretId, BuildHasherDefault<OfId>>);

impl SecretSet {
    /// Which secret `candidate` is.
    pub fn find(&self, candidate: &[u8]) -> Option<SecretId> {
        let id = SecretDigest::digest(candidate).id();
        self.contains(&id).then_some(id)
    }

    /// Whether `id` is accepted.
    pub fn contains(&self, id: &SecretId) -> bool {
        self.0.contains(id)
    }

    /// Accepts `id` as well.
    pub fn insert(&mut self, id: SecretId) {
        self.0.insert(id);
    }

    /// Accepts `id` no more.
    pub fn remove(&mut self, id: &SecretId) {
        self.0.remove(id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no secret is accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<&'a Secret> for SecretSet {
    fn from_iter<I: IntoIterator<Item = &'a Secret>>(secrets: I) -> Self {
        Self(secrets.into_iter().map(Secret::id).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_secret_is_found() {
        let (one, two) = (Secret::generate(), Secret::generate());
        let set: SecretSet = [&one, &two].into_iter().collect();
        assert_eq!(set.find(one.reveal().as_bytes()), Some(one.id()));
        assert_eq!(set.find(two.reveal().as_bytes()), Some(two.id()));
        assert_ne!(one.id(), two.id());
        let text = one.reveal();
        for near in [&text[1..], &text[..63], &format!("{text}a"), &text.swapcase(), ""] {
            assert_eq!(set.find(near.as_bytes()), None);
        }
        assert_eq!(SecretSet::default().find(text.as_bytes()), None);
    }

    trait Swap {
        fn swapcase(&self) -> String;
    }

    impl Swap for str {
        fn swapcase(&self) -> String {
            let swap = |c: char| {
                if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
            };
            self.chars().map(swap).collect()
        }
    }

    #[test]
    fn a_set_changes_by_single_secrets() {
        let (one, two) = (Secret::generate(), Secret::generate());
        let mut set = SecretSet::default();
        for _ in 0..2 {
            set.insert(one.id());
        }
        set.insert(two.id());
        assert_eq!(set.len(), 2);
        set.remove(&one.id());
        assert!(set.find(one.reveal().as_bytes()).is_none() && set.contains(&two.id()));
    }

    #[test]
    fn digest_matches_standard_and_round_trips() {
        let secret = Secret::new("a".repeat(64)).unwrap();
        // printf %064d 0 | tr 0 a | openssl dgst -sha256 -binary | base64
        let text = r#""/+BU/nrgy23GXDr5th1SCfQ5hR20PQulmXM33xVGaOs=""#;
        assert_eq!(serde_json::to_string(&secret.digest()).unwrap(), text);
        assert_eq!(serde_json::from_str::<SecretDigest>(text).unwrap(), secret.digest());
        for wrong in [r#""""#, r#""YWJj""#, r#""no base64 at all""#] {
            assert!(serde_json::from_str::<SecretDigest>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_generated_is_a_secret() {
        let secret = Secret::generate();
        assert_eq!(secret.reveal().len(), SECRET_LENGTH);
        assert!(Secret::new(secret.reveal().to_owned()).is_ok() && secret != Secret::generate());
    }

    #[test]
    fn nothing_shows_a_secret() {
        let secret = Secret::generate();
        let set: SecretSet = [&secret].into_iter().collect();
        let shown = format!(
            "{secret:?} {:?} {set:?} {:?}",
            secret.digest(),
            Secret::new("slashes/are/refused!".into())
        );
        assert_eq!(shown, "Secret(..) SecretDigest(..) SecretSet({SecretId(..)}) Err(SecretError)");
    }
}
