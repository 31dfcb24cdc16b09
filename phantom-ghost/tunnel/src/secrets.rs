//! Which secrets open a tunnel.
//!
//! A secret is the first segment of a tunnel request's path. The server keeps only digests of them. A candidate's digest is
//! compared with every one of them in constant time and without leaving early, so that neither its length nor where it
//! differs nor how many secrets there are before the right one shows in the time an answer takes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
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

    /// The secret of one client, derived from this one: the same for the same name, and without this one of no use to
    /// find another's. A server that is given the derived secrets of all clients can be told to drop a single one.
    #[must_use]
    pub fn for_client(&self, name: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes());
        let mut block = 0_u32;
        Self(letters(|bytes| {
            for piece in bytes.chunks_mut(32) {
                let mut context = hmac::Context::with_key(&key);
                context.update(b"phantom-ghost client\0");
                context.update(&block.to_be_bytes());
                context.update(name.as_bytes());
                piece.copy_from_slice(&context.sign().as_ref()[..piece.len()]);
                block += 1;
            }
        }))
    }

    /// The text itself, for a path or a file; not for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The digest under which the server knows it.
    pub fn id(&self) -> SecretId {
        SecretId::of(self.0.as_bytes())
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

/// A secret's name inside one process: a keyed digest, of no use outside it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretId([u8; 32]);

impl SecretId {
    /// The digest of a candidate of any length.
    fn of(candidate: &[u8]) -> Self {
        // The key is the process's own, so that digests tell nothing to one who has not read its memory.
        static KEY: OnceLock<hmac::Key> = OnceLock::new();
        let key = KEY.get_or_init(|| {
            let mut bytes = Zeroizing::new([0; 32]);
            rand::fill(bytes.as_mut()).expect("the system has a random source");
            hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref())
        });
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(key, candidate).as_ref());
        Self(digest)
    }
}

impl fmt::Debug for SecretId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretId(..)")
    }
}

/// The secrets that a server accepts, as digests.
#[derive(Debug, Clone, Default)]
pub struct SecretSet(BTreeSet<SecretId>);

impl SecretSet {
    /// Which secret `candidate` is. Takes the same time for every candidate of the same length.
    pub fn find(&self, candidate: &[u8]) -> Option<SecretId> {
        let digest = SecretId::of(candidate);
        let mut matches = 0_u8;
        for known in &self.0 {
            matches |= u8::from(verify_slices_are_equal(&known.0, &digest.0).is_ok());
        }
        (matches == 1).then_some(digest)
    }

    /// Whether `id` is still accepted.
    pub fn contains(&self, id: &SecretId) -> bool {
        self.0.contains(id)
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
    fn a_client_has_a_secret_of_its_own() {
        let master = Secret::generate();
        let (a, b) = (master.for_client("a"), master.for_client("b"));
        assert!(
            a != b && a != master && a == master.for_client("a") && a != Secret::generate().for_client("a")
        );
        for secret in [&master, &a, &b] {
            assert_eq!(secret.reveal().len(), SECRET_LENGTH);
            assert!(Secret::new(secret.reveal().to_owned()).is_ok());
        }
    }

    #[test]
    fn a_derived_secret_never_changes() {
        let master = Secret::new("A".repeat(64)).unwrap();
        let derived = master.for_client("laptop");
        assert_eq!(derived.reveal(), EXPECTED, "clients in the field hold secrets of this form");
    }

    /// Computed independently with another language's HMAC.
    const EXPECTED: &str = "RzCk1hCUVkiXBJn9yCiLuWzfODyzb2y9CpkI6gtrhVmpo6PDHIiUbs93MdhguQXu";

    #[test]
    fn nothing_shows_a_secret() {
        let secret = Secret::generate();
        let set: SecretSet = [&secret].into_iter().collect();
        let shown = format!("{secret:?} {set:?} {:?}", Secret::new("slashes/are/refused!".into()));
        assert_eq!(shown, "Secret(..) SecretSet({SecretId(..)}) Err(SecretError)");
    }
}
