//! Certificates that nobody vouches for: for tests, and for a server whose operator asks for one.

use std::time::Duration;

use phantom_types::{HostName, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use time::OffsetDateTime;

use crate::pair::{CertificatePair, KeyPem};

/// How long such a certificate is valid.
const LIFE: Duration = Duration::from_hours(365 * 24);
/// How far back its time begins, for clients whose clock is slow.
const BACKDATED: Duration = Duration::from_hours(1);
/// Longest common name (RFC 5280, appendix A: `ub-common-name`).
const COMMON_NAME_MAX: usize = 64;

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the certificate of {name} could not be made")]
pub struct SelfSignError {
    /// For whom.
    name: HostName,
    /// Why.
    #[source]
    source: rcgen::Error,
}

/// Makes a P-256 key and a certificate of it for `name` (a DNS name or an address), valid from an hour before `now` until
/// a year after.
pub fn self_sign(name: &HostName, now: Timestamp) -> Result<CertificatePair, SelfSignError> {
    make(name, now).map_err(|source| SelfSignError { name: name.clone(), source })
}

fn make(name: &HostName, now: Timestamp) -> Result<CertificatePair, rcgen::Error> {
    let text = name.to_string();
    let mut params = CertificateParams::new(vec![text.clone()])?;
    params.distinguished_name = DistinguishedName::new();
    if text.len() <= COMMON_NAME_MAX {
        params.distinguished_name.push(DnType::CommonName, text);
    }
    params.not_before = date(now.minus(BACKDATED))?;
    params.not_after = date(now)? + LIFE;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let chain_pem = params.self_signed(&key)?.pem();
    Ok(CertificatePair { chain_pem, key_pem: KeyPem::new(key.serialize_pem()) })
}

fn date(time: Timestamp) -> Result<OffsetDateTime, rcgen::Error> {
    OffsetDateTime::from_unix_timestamp(time.seconds()).map_err(|_| rcgen::Error::Time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::inspect;

    #[test]
    fn certificate_covers_its_name_for_a_year() {
        let now = Timestamp::from_micros(1_757_380_307_000_000);
        let long = format!("{}.example.com", ["a"; 30].join("-"));
        for name in ["vpn.example.com", "192.0.2.7", "2001:db8::7", &long] {
            let name: HostName = name.parse().unwrap();
            let pair = self_sign(&name, now).unwrap();
            let seen = inspect(&pair, &name, now).unwrap();
            assert_eq!(now.since(seen.not_before), BACKDATED);
            assert_eq!(seen.not_after.since(now), LIFE);
            assert!(inspect(&pair, &"other.example.com".parse().unwrap(), now).is_err());
        }
    }

    #[test]
    fn two_have_different_keys() {
        let now = Timestamp::from_micros(1_757_380_307_000_000);
        let name: HostName = "vpn.example.com".parse().unwrap();
        let [one, two] = [self_sign(&name, now).unwrap(), self_sign(&name, now).unwrap()];
        assert!(one.key_pem != two.key_pem);
        assert_eq!(format!("{:?}", one.key_pem), "(hidden)");
    }
}
