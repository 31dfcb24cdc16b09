//! A certificate chain with its private key, as PEM.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A private key as PEM text. Its `Debug` form hides it, and its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct KeyPem(String);

/// A certificate chain (leaf first) and the leaf's private key. Nothing is checked here: see [`inspect`](crate::inspect()).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePair {
    /// `CERTIFICATE` blocks, the leaf first.
    pub chain_pem: String,
    /// One private key block: PKCS #8, PKCS #1 or SEC 1, without a pass phrase.
    pub key_pem: KeyPem,
}

impl KeyPem {
    /// Takes a key's text over.
    pub const fn new(pem: String) -> Self {
        Self(pem)
    }

    /// The text itself, for whoever writes or sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
