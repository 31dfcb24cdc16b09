//! Every way in which a certificate can be wrong.

use std::error::Error as _;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair};
use time::OffsetDateTime;

use super::*;
use crate::self_sign::self_sign;

const NOW: Timestamp = Timestamp::from_micros(1_757_380_307_000_000);
const DAY: Duration = Duration::from_hours(24);

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

fn later(by: Duration) -> Timestamp {
    Timestamp::from_micros(NOW.micros() + i64::try_from(by.as_micros()).unwrap())
}

fn params(names: &[&str], days: i64) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let now = OffsetDateTime::from_unix_timestamp(NOW.seconds()).unwrap();
    params.not_before = now - DAY;
    params.not_after = now + time::Duration::days(days);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(&[], 1000);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params
}

struct TestPki {
    leaf: String,
    key: KeyPem,
    intermediate: String,
    root: String,
}

impl TestPki {
    fn new(names: &[&str], days: i64) -> Self {
        let root = CertifiedIssuer::self_signed(authority("Root"), KeyPair::generate().unwrap()).unwrap();
        let middle_key = KeyPair::generate().unwrap();
        let middle = authority("Middle").signed_by(&middle_key, &root).unwrap();
        let issuer = Issuer::new(authority("Middle"), middle_key);
        let key = KeyPair::generate().unwrap();
        let leaf = params(names, days).signed_by(&key, &issuer).unwrap();
        let key = KeyPem::new(key.serialize_pem());
        Self { leaf: leaf.pem(), key, intermediate: middle.pem(), root: root.pem() }
    }

    fn pair(&self, chain: &[&String]) -> CertificatePair {
        let chain_pem = chain.iter().map(|pem| pem.as_str()).collect();
        CertificatePair { chain_pem, key_pem: self.key.clone() }
    }
}

fn kind(pair: &CertificatePair, wanted: &str, now: Timestamp) -> &'static str {
    inspect(pair, &name(wanted), now).map_or_else(|error| error.kind(), |_| "usable")
}

#[test]
fn whole_chain_is_usable_for_every_name() {
    let world = TestPki::new(&["vpn.example.com", "*.wild.example.com", "192.0.2.7", "2001:db8::7"], 30);
    for chain in [
        vec![&world.leaf, &world.intermediate, &world.root],
        vec![&world.leaf, &world.intermediate],
        vec![&world.leaf],
    ] {
        let pair = world.pair(&chain);
        for wanted in ["vpn.example.com", "a.wild.example.com", "192.0.2.7", "2001:db8::7"] {
            let seen = inspect(&pair, &name(wanted), NOW).unwrap();
            assert_eq!(seen.not_after, later(30 * DAY));
            assert_eq!(seen.fingerprint_sha256.len(), 64);
        }
        for other in ["example.com", "a.b.wild.example.com", "192.0.2.8", "2001:db8::8"] {
            assert_eq!(kind(&pair, other, NOW), "name", "{other}");
        }
    }
}

#[test]
fn the_fingerprint_is_that_of_the_leaf() {
    let world = TestPki::new(&["vpn.example.com"], 30);
    let seen =
        inspect(&world.pair(&[&world.leaf, &world.intermediate]), &name("vpn.example.com"), NOW).unwrap();
    let leaf = CertificateDer::from_pem_slice(world.leaf.as_bytes()).unwrap();
    assert_eq!(seen.fingerprint_sha256, hex(digest(&SHA256, &leaf).as_ref()));
    assert_eq!(hex(&[0x0f, 0xa0]), "0fa0");
}

#[test]
fn the_order_of_the_chain_counts() {
    let world = TestPki::new(&["vpn.example.com"], 30);
    let stranger = TestPki::new(&["vpn.example.com"], 30);
    let at = |chain: &[&String]| match inspect(&world.pair(chain), &name("vpn.example.com"), NOW) {
        Err(InspectError::Order { position }) => position,
        other => panic!("{other:?}"),
    };
    assert_eq!(at(&[&world.intermediate, &world.leaf]), 1);
    assert_eq!(at(&[&world.leaf, &world.root, &world.intermediate]), 1);
    assert_eq!(at(&[&world.leaf, &world.intermediate, &world.leaf]), 2);
    // The same names, but another key: only the signature tells.
    assert_eq!(at(&[&world.leaf, &stranger.intermediate]), 1);
}

#[test]
fn validity_period_is_exact_to_the_second() {
    let world = TestPki::new(&["vpn.example.com"], 30);
    let pair = world.pair(&[&world.leaf]);
    let at = |now| kind(&pair, "vpn.example.com", now);
    assert_eq!(at(NOW.minus(DAY)), "usable");
    assert_eq!(at(NOW.minus(DAY + Duration::from_micros(1))), "not_yet_valid");
    assert_eq!(at(later(30 * DAY + Duration::from_millis(999))), "usable");
    assert_eq!(at(later(30 * DAY + Duration::from_secs(1))), "expired");
}

#[test]
fn a_key_must_be_the_leafs() {
    let world = TestPki::new(&["vpn.example.com"], 30);
    let mut pair = TestPki::new(&["vpn.example.com"], 30).pair(&[&world.leaf]);
    assert_eq!(kind(&pair, "vpn.example.com", NOW), "key_mismatch");
    pair.key_pem = KeyPem::new("hello".into());
    assert_eq!(kind(&pair, "vpn.example.com", NOW), "key_not_pem");
    pair.key_pem = KeyPem::new("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".into());
    assert_eq!(kind(&pair, "vpn.example.com", NOW), "key_type");
    for encrypted in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        pair.key_pem = KeyPem::new(encrypted.into());
        assert_eq!(kind(&pair, "vpn.example.com", NOW), "key_encrypted");
    }
}

#[test]
fn what_is_no_certificate_is_said_so() {
    let world = TestPki::new(&["vpn.example.com"], 30);
    let with = |chain: &str| {
        let pair = CertificatePair { chain_pem: chain.into(), key_pem: world.key.clone() };
        kind(&pair, "vpn.example.com", NOW)
    };
    assert_eq!(with(""), "certificate_not_pem");
    assert_eq!(with("hello"), "certificate_not_pem");
    assert_eq!(with(world.key.expose()), "certificate_not_pem");
    assert_eq!(with("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"), "certificate_not_pem");
    assert_eq!(with("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "malformed");
    let behind = format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", world.leaf);
    assert_eq!(with(&behind), "malformed");
}

#[test]
fn no_error_shows_the_key() {
    let world = TestPki::new(&["vpn.example.com"], 30);
    let body: Vec<&str> = world.key.expose().lines().filter(|line| !line.starts_with("---")).collect();
    let broken = world.key.expose().replace("END", "EMD");
    for key in [world.key.expose(), &broken] {
        let pair = CertificatePair { chain_pem: self_signed().chain_pem, key_pem: KeyPem::new(key.into()) };
        let error = inspect(&pair, &name("vpn.example.com"), NOW).unwrap_err();
        let all = format!("{error} {error:?} {:?} {pair:?}", error.source());
        assert!(body.iter().all(|line| !all.contains(line)), "{all}");
    }
}

fn self_signed() -> CertificatePair {
    self_sign(&name("vpn.example.com"), NOW).unwrap()
}

#[test]
fn error_names_the_certificate_subject() {
    let covers = |world: &TestPki| match inspect(&world.pair(&[&world.leaf]), &name("nope.example.com"), NOW)
    {
        Err(InspectError::Name { covers, .. }) => covers,
        other => panic!("{other:?}"),
    };
    assert_eq!(covers(&TestPki::new(&["vpn.example.com", "192.0.2.7"], 1)), "vpn.example.com, 192.0.2.7");
    assert_eq!(covers(&TestPki::new(&[], 1)), "no name");
    let many: Vec<String> = (0..8).map(|n| format!("n{n}.example.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(covers(&TestPki::new(&many, 1)).ends_with("n4.example.com and 3 more"));
}

#[test]
fn files_are_read_and_unreadable_ones_named() {
    let folder = tempfile::tempdir().unwrap();
    let pair = self_signed();
    let [chain, key, link, big] =
        ["chain.pem", "key.pem", "link.pem", "big.pem"].map(|file| folder.path().join(file));
    std::fs::write(&chain, &pair.chain_pem).unwrap();
    std::fs::write(&key, pair.key_pem.expose()).unwrap();
    symlink("chain.pem", &link).unwrap();
    std::fs::write(&big, vec![b'x'; 256 * 1024 + 1]).unwrap();
    assert_eq!(read(&chain, &key).unwrap(), pair);
    assert_eq!(read(&link, &key).unwrap(), pair);

    let wrong = |chain: &Path, key: &Path| {
        let error = read(chain, key).unwrap_err();
        (error.kind(), error.to_string())
    };
    let absent = folder.path().join("absent.pem");
    let (kind, text) = wrong(&chain, &absent);
    assert_eq!(kind, "unreadable");
    assert!(text.contains("absent.pem"), "{text}");
    assert_eq!(wrong(&big, &key).0, "too_large");
    assert_eq!(wrong(folder.path(), &key).0, "unreadable");
    assert_eq!(wrong(Path::new("/dev/zero"), &key).0, "unreadable");
    std::fs::write(&key, [0xff, 0xfe]).unwrap();
    assert_eq!(wrong(&chain, &key).0, "key_not_pem");
}
