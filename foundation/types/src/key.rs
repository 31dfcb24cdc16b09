//! WireGuard keys. The secret ones never show themselves and are wiped when dropped.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Spoken;

/// A text that is no key: not the base64 of exactly 32 bytes. The text itself is not repeated here, since it may
/// be a secret with a typing error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is the base64 of 32 bytes (44 characters)")]
pub struct KeyError;

impl Spoken for KeyError {
    fn turkish(&self) -> String {
        "bir anahtar 32 baytın base64 biçimidir (44 karakter)".to_owned()
    }
}

fn decode(text: &str) -> Result<[u8; 32], KeyError> {
    if text.len() != 44 {
        return Err(KeyError);
    }
    let mut bytes = Zeroizing::new([0; 33]); // the decoder wants room for 44 characters' worth
    match STANDARD.decode_slice(text, bytes.as_mut()) {
        Ok(32) => {
            let mut key = [0; 32];
            key.copy_from_slice(&bytes[..32]);
            Ok(key)
        }
        Ok(_) | Err(_) => Err(KeyError),
    }
}

/// A Curve25519 public key: names a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// A Curve25519 private key. `Debug` prints `(hidden)`; there is no `Display`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey([u8; 32]);

/// A preshared key, mixed into the handshake. `Debug` prints `(hidden)`; there is no `Display`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PresharedKey([u8; 32]);

impl PublicKey {
    /// The key of these bytes; any 32 bytes are a public key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// Whether this is a point of low order, such as zero: whatever the other key is, the secret that both share is zero
    /// (RFC 7748, section 6.1), so that WireGuard completes no handshake with it (one scalar multiplication).
    pub fn is_low_order(&self) -> bool {
        // Any private key shows it: clamping makes each a multiple of the cofactor.
        let secret = x25519_dalek::StaticSecret::from([0x40; 32]);
        !secret.diffie_hellman(&x25519_dalek::PublicKey::from(self.0)).was_contributory()
    }
}

impl PrivateKey {
    /// Makes a private key of 32 random bytes, clamped as X25519 wants it (RFC 7748, section 5), which is also the
    /// form that `wg genkey` prints.
    pub fn from_random(mut bytes: [u8; 32]) -> Self {
        bytes[0] &= 0b1111_1000;
        bytes[31] = (bytes[31] & 0b0111_1111) | 0b0100_0000;
        Self(bytes)
    }
    /// The key of these bytes as they are, for a key that was stored or read.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The 32 bytes: a secret.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// Whether all bytes are zero, which WireGuard takes for "no key".
    pub fn is_zero(&self) -> bool {
        self.0.iter().fold(0, |all, byte| all | byte) == 0
    }
    /// The public key that belongs to this one (one scalar multiplication, about 30 µs).
    pub fn public_key(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        PublicKey(*x25519_dalek::PublicKey::from(&secret).as_bytes())
    }
    /// The base64 text: a secret, wiped when dropped.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }
}

impl PresharedKey {
    /// The key of these bytes; every 32 random bytes are a preshared key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The 32 bytes: a secret.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// The base64 text: a secret, wiped when dropped.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(Self)
    }
}

impl FromStr for PrivateKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(Self)
    }
}

impl FromStr for PresharedKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(Self)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 44];
        let length = STANDARD.encode_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl schemars::JsonSchema for PublicKey {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PublicKey".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "wireguard-key", "minLength": 44, "maxLength": 44 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair of RFC 7748, section 6.1 (Alice).
    #[test]
    fn public_key_matches_rfc_7748() {
        let private: [u8; 32] = [
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
            0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
        ];
        let public = PrivateKey::from_bytes(private).public_key();
        assert_eq!(public.to_string(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
        assert_eq!(public.to_string().parse(), Ok(public));
    }

    /// The points of order 1, 2, 4 and 8 with their other encodings: Curve25519's home page, "Do I need to validate keys?".
    #[test]
    fn low_order_points_are_not_keys() {
        let low = [
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ];
        let zero = "00".repeat(32);
        let one = format!("01{}", "00".repeat(31));
        for text in low.into_iter().chain([zero.as_str(), &one]) {
            let bytes = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
            let key = PublicKey::from_bytes(std::array::from_fn(bytes));
            assert!(key.is_low_order(), "{text}");
        }
        for seed in 0..=u8::MAX {
            let private = PrivateKey::from_random([seed; 32]);
            assert!(!private.public_key().is_low_order() && !private.is_zero());
        }
        assert!(PrivateKey::from_bytes([0; 32]).is_zero());
        let mut last = [0; 32];
        last[31] = 1;
        assert!(!PrivateKey::from_bytes(last).is_zero());
    }

    #[test]
    fn secrets_do_not_show_themselves() {
        let private = PrivateKey::from_random([7; 32]);
        assert_eq!(format!("{private:?} {:?}", PresharedKey::from_bytes([7; 32])), "(hidden) (hidden)");
        assert_eq!(private.reveal().parse(), Ok(private));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let forty_four_letters = "A".repeat(44);
        for text in ["", "short", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo", &forty_four_letters] {
            assert_eq!(text.parse::<PublicKey>(), Err(KeyError), "{text}");
        }
    }
}
