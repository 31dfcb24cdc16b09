//! The secret of a tunnel: who knows it may use it.

use std::fmt;
use std::str::FromStr;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Endpoint, HostName, Spoken};

/// Letters and digits: the secret is in a URL path and between quotes of a shell.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A text that is no secret of a tunnel. It is not repeated here, since it may be one with a typing error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tunnel secret is 64 letters and digits")]
pub struct SecretError;

impl Spoken for SecretError {
    fn turkish(&self) -> String {
        "tünelin gizli anahtarı 64 harf ve rakamdan oluşur".to_owned()
    }
}

/// 64 characters of `A-Z a-z 0-9` (381 bits). `Debug` prints `(hidden)`; there is no `Display`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct TunnelSecret([u8; 64]);

impl TunnelSecret {
    /// Makes a secret of random bytes, as many as it takes: `fill` is asked again for those that would favour some
    /// characters.
    pub fn generate<E>(mut fill: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self([0; 64]);
        let mut at = 0;
        let mut random = Zeroizing::new([0_u8; 80]);
        while at < 64 {
            fill(&mut *random)?;
            // 248 is the last multiple of 62 in a byte.
            for byte in random.iter().filter(|byte| **byte < 248).take(64 - at) {
                secret.0[at] = ALPHABET[usize::from(byte % 62)];
                at += 1;
            }
        }
        Ok(secret)
    }
    /// The text.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.iter().map(|byte| char::from(*byte)).collect())
    }
    /// What a status shows: the first ten characters and dots.
    pub fn masked(&self) -> String {
        let first: String = self.0[..10].iter().map(|byte| char::from(*byte)).collect();
        first + "..."
    }
}

/// What one client identifies itself with to the tunnel: 32 random bytes. `Debug` prints `(hidden)`; there is no
/// `Display`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ClientSecret([u8; 32]);

impl ClientSecret {
    /// The secret of these bytes; every 32 random bytes are one.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The 32 bytes: a secret.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// The same as the text that a tunnel is opened with: 64 hexadecimal digits.
    pub fn for_tunnel(&self) -> TunnelSecret {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut secret = TunnelSecret([0; 64]);
        for (pair, byte) in secret.0.chunks_exact_mut(2).zip(&self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        secret
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What a client needs to open a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelAccess {
    /// The name of the server, or its address.
    pub domain: HostName,
    /// The TCP port that clients connect to.
    pub public_port: u16,
    /// What it asks for.
    pub secret: TunnelSecret,
    /// The WireGuard port, at both ends.
    pub port: u16,
    /// Whether the certificate can be verified: that of a self-signed one cannot, and who does not verify gives the secret
    /// to whoever is in between.
    pub verify: bool,
}

impl TunnelAccess {
    /// The server as clients name it, as in `wss://vpn.example.org:443` or `wss://[2001:db8::1]:443`.
    pub fn url(&self) -> String {
        format!("wss://{}", Endpoint::new(self.domain.clone(), self.public_port))
    }
    /// The two parts of the command that opens the tunnel with a stock client: a secret.
    pub fn command_parts(&self) -> [Zeroizing<String>; 2] {
        let Self { secret, port, .. } = self;
        let verify = if self.verify { " --tls-verify-certificate" } else { "" };
        [
            Zeroizing::new(format!("wstunnel client --http-upgrade-path-prefix \"{}\"", *secret.reveal())),
            Zeroizing::new(format!("-L udp://127.0.0.1:{port}:127.0.0.1:{port} {}{verify}", self.url())),
        ]
    }
    /// The command in one line: a secret.
    pub fn command(&self) -> Zeroizing<String> {
        let [first, second] = self.command_parts();
        Zeroizing::new(format!("{} {}", *first, *second))
    }
}

impl FromStr for TunnelSecret {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, SecretError> {
        let bytes: [u8; 64] = text.as_bytes().try_into().map_err(|_| SecretError)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(bytes)) } else { Err(SecretError) }
    }
}

impl fmt::Debug for TunnelSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_uses_its_alphabet_and_round_trips() {
        let mut next = 0_u8;
        let counting = |bytes: &mut [u8]| {
            for byte in bytes {
                *byte = next;
                next = next.wrapping_add(1);
            }
            Ok::<_, std::convert::Infallible>(())
        };
        let Ok(secret) = TunnelSecret::generate(counting);
        assert_eq!(&secret.reveal()[..62], std::str::from_utf8(ALPHABET).unwrap());
        assert_eq!(secret.reveal().parse(), Ok(secret.clone()));
        assert_eq!((secret.masked().as_str(), format!("{secret:?}").as_str()), ("ABCDEFGHIJ...", "(hidden)"));
    }

    #[test]
    fn biased_random_bytes_are_redrawn() {
        let mut calls = 0;
        let unfit_first = |bytes: &mut [u8]| {
            calls += 1;
            bytes.fill(if calls == 1 { 250 } else { 61 });
            Ok::<_, ()>(())
        };
        assert_eq!(*TunnelSecret::generate(unfit_first).unwrap().reveal(), "9".repeat(64));
        assert_eq!(calls, 2);
        assert_eq!(TunnelSecret::generate(|_| Err(7)), Err(7));
    }

    #[test]
    fn client_secret_does_not_show_itself() {
        let secret = ClientSecret::from_bytes([7; 32]);
        assert_eq!((format!("{secret:?}").as_str(), secret.as_bytes()), ("(hidden)", &[7; 32]));
    }

    #[test]
    fn client_secret_text_holds_all_its_bytes() {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 8 + 3).unwrap());
        let secret = ClientSecret::from_bytes(bytes).for_tunnel();
        assert_eq!(*secret.reveal(), "030b131b232b333b434b535b636b737b838b939ba3abb3bbc3cbd3dbe3ebf3fb");
        assert_eq!(secret.reveal().parse(), Ok(secret));
    }

    #[test]
    fn the_command_is_that_of_the_api() {
        let access = TunnelAccess {
            domain: "157-230-114-231.sslip.io".parse().unwrap(),
            public_port: 443,
            secret: "s".repeat(64).parse().unwrap(),
            port: 51820,
            verify: true,
        };
        let command = format!(
            "wstunnel client --http-upgrade-path-prefix \"{}\" -L udp://127.0.0.1:51820:127.0.0.1:51820 \
             wss://157-230-114-231.sslip.io:443",
            "s".repeat(64)
        );
        assert_eq!(*TunnelAccess { verify: false, ..access.clone() }.command(), command);
        assert_eq!(*access.command(), command + " --tls-verify-certificate");
    }

    #[test]
    fn address_is_written_as_in_urls() {
        let access = |domain: &str, public_port| TunnelAccess {
            domain: domain.parse().unwrap(),
            public_port,
            secret: "s".repeat(64).parse().unwrap(),
            port: 51820,
            verify: true,
        };
        assert_eq!(access("157.230.114.231", 443).url(), "wss://157.230.114.231:443");
        assert_eq!(access("2001:DB8::1", 443).url(), "wss://[2001:db8::1]:443");
        assert_eq!(access("vpn.example.org", 8443).url(), "wss://vpn.example.org:8443");
        let command = access("2001:db8::1", 443).command();
        assert!(command.ends_with("51820 wss://[2001:db8::1]:443 --tls-verify-certificate"), "{}", *command);
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for text in
            ["", &"a".repeat(63), &"a".repeat(65), &("-".to_owned() + &"a".repeat(63)), &"ğ".repeat(32)]
        {
            assert_eq!(text.parse::<TunnelSecret>(), Err(SecretError), "{text}");
        }
    }
}
