//! Authorities that offer profiles, suggest when to renew, and refuse requests for a while.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use phantom_certs::acme::{AcmeError, Advice, OrderRequest, RenewalQuery, advice, obtain};
use phantom_certs::{CertStore, CertificateRequest, Issued, Listeners, issue, now};
use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::world::Pebble;

/// An authority behind its proxy, and a store.
struct Place {
    pebble: Arc<Pebble>,
    proxy: Proxy,
    store: CertStore,
    listeners: Listeners,
}

impl Place {
    fn new(test: &str) -> Option<Self> {
        let pebble = Arc::new(Pebble::start(test, crate::DAYS)?);
        let store = CertStore::open(&pebble.home.path().join("certs")).unwrap();
        let listeners = Listeners::new(vec![crate::LOOPBACK], pebble.tls_port, pebble.http_port);
        Some(Self { proxy: Proxy::start(&pebble), pebble, store, listeners })
    }

    async fn issue(&self, name: &str, renew: bool) -> Result<Issued, AcmeError> {
        let request = CertificateRequest {
            name: name.parse().unwrap(),
            directory: self.proxy.directory.clone(),
            ca_file: Some(self.pebble.ca_file()),
            time_limit: Duration::from_mins(1),
            renew,
        };
        issue(&request, &self.store, &self.listeners, &now).await
    }

    async fn advice(&self, issued: &Issued) -> Result<Option<Advice>, AcmeError> {
        let ca_file = self.pebble.ca_file();
        let asked = RenewalQuery {
            directory: &self.proxy.directory,
            ca_file: Some(&ca_file),
            chain_pem: &issued.pair.chain_pem,
            time_limit: Duration::from_mins(1),
        };
        advice(asked, &self.store).await
    }

    fn window(&self, start: &str, end: &str, again: &str) {
        let header = format!("Retry-After: {again}");
        self.proxy.said().window = Some(([start.to_owned(), end.to_owned()], header));
    }
}

/// What an authority knows a certificate in force by (RFC 9773, section 4.1), as OpenSSL reads it.
fn identifier(issued: &Issued) -> String {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-serial", "-ext", "authorityKeyIdentifier", "-in"])
        .arg(&issued.paths.chain)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let serial = text.lines().find_map(|line| line.strip_prefix("serial=")).unwrap().to_owned();
    let mut lines = text.lines().map(str::trim).map(|line| line.strip_prefix("keyid:").unwrap_or(line));
    let key = lines.find(|line| line.matches(':').count() == 19).unwrap().replace(':', "");
    // A serial number whose first bit is set has a zero before it.
    let zero = if u8::from_str_radix(&serial[..2], 16).unwrap() >= 0x80 { "00" } else { "" };
    [key, zero.to_owned() + &serial].map(|digits| base64_url(&digits)).join(".")
}

/// Base64 for URLs, without padding, of what hexadecimal digits say.
fn base64_url(digits: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bytes: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    let group = |group: &[u8]| {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        (0..=group.len())
            .map(|at| char::from(ALPHABET[(bits >> (18 - 6 * at) & 63) as usize]))
            .collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[tokio::test]
async fn addresses_get_the_short_profile() {
    let Some(place) = Place::new("addresses_get_the_short_profile") else {
        return;
    };
    for (name, profile) in [("127.0.0.1", Some("shortlived")), (crate::NAME, None)] {
        place.proxy.said().orders.clear();
        place.issue(name, false).await.unwrap();
        let said = place.proxy.said();
        assert!(!said.orders.is_empty());
        assert!(
            said.orders.iter().all(|order| order.get("profile").and_then(Value::as_str) == profile),
            "{:?}",
            said.orders
        );
    }
}

#[tokio::test]
async fn authority_advises_renewal_and_learns_replacement() {
    let Some(place) = Place::new("authority_advises_renewal_and_learns_replacement") else {
        return;
    };
    let first = place.issue("127.0.0.1", false).await.unwrap();
    // It does not say, and is not told.
    assert_eq!(place.advice(&first).await.unwrap(), None);
    place.issue("127.0.0.1", true).await.unwrap();
    assert!(place.proxy.said().orders.iter().all(|order| order.get("replaces").is_none()));

    place.window("2025-01-02T04:00:00Z", "2025-01-03T04:00:00.5Z", "21600");
    let second = place.issue("127.0.0.1", true).await.unwrap();
    let said = place.advice(&second).await.unwrap().unwrap();
    let window = [said.window.start, said.window.end].map(|time| time.to_string());
    assert_eq!(window, ["2025-01-02T04:00:00.000000", "2025-01-03T04:00:00.500000"]);
    assert!(said.again.abs_diff(Duration::from_hours(6)) < Duration::from_secs(30), "{said:?}");
    let of_second = identifier(&second);
    assert_eq!(place.proxy.said().asked, [of_second.as_str()]);
    let third = place.issue("127.0.0.1", true).await.unwrap();
    let replaced = place.proxy.said().orders.last().unwrap()["replaces"].clone();
    assert_eq!(replaced, of_second);
    assert_ne!(third.inspected.fingerprint_sha256, second.inspected.fingerprint_sha256);
    place.pebble.verify(&third.paths.chain, "127.0.0.1");

    // Neither every second nor once a year.
    for (again, expected) in [("0", Duration::from_mins(1)), ("31536000", Duration::from_hours(24))] {
        place.window("2025-01-02T04:00:00Z", "2025-01-03T04:00:00Z", again);
        assert_eq!(place.advice(&third).await.unwrap().unwrap().again, expected);
    }
    // A window that ends before it begins is none.
    place.window("2025-01-03T04:00:00Z", "2025-01-02T04:00:00Z", "21600");
    assert_eq!(place.advice(&third).await.unwrap_err().kind(), "acme_unavailable");
}

#[tokio::test]
async fn irreplaceable_certificate_is_renewed_anyway() {
    let Some(place) = Place::new("irreplaceable_certificate_is_renewed_anyway") else { return };
    place.window("2025-01-02T04:00:00Z", "2025-01-03T04:00:00Z", "21600");
    place.issue(crate::NAME, false).await.unwrap();
    for problem in ["alreadyReplaced", "malformed", "unauthorized"] {
        let problem =
            json!({ "type": format!("urn:ietf:params:acme:error:{problem}"), "detail": "not that one" });
        place.proxy.said().orders.clear();
        place.proxy.said().refuse = Some((409, "X-Of: test".to_owned(), problem, true));
        place.issue(crate::NAME, true).await.unwrap();
        let said = place.proxy.said();
        let replacing: Vec<bool> = said.orders.iter().map(|order| order.get("replaces").is_some()).collect();
        assert_eq!((replacing[0], *replacing.last().unwrap()), (true, false), "{replacing:?}");
    }
}

#[tokio::test]
async fn exhausted_limit_says_when_to_retry() {
    let Some(place) = Place::new("exhausted_limit_says_when_to_retry") else { return };
    let limited = json!({
        "type": "urn:ietf:params:acme:error:rateLimited", "status": 429,
        "detail": "too many certificates (5) already issued for this exact set of identifiers",
    });
    for (header, wait) in
        [("Retry-After: 122400", Duration::from_hours(34)), ("X-Of: test", Duration::from_hours(1))]
    {
        place.proxy.said().orders.clear();
        place.proxy.said().refuse = Some((429, header.to_owned(), limited.clone(), false));
        let error = place.issue("127.0.0.1", false).await.unwrap_err();
        assert_eq!((error.kind(), error.wait()), ("acme_wait", wait), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("exact set of identifiers") && text.contains("requests again from 20"),
            "{text}"
        );
        assert_eq!(place.proxy.said().orders.len(), 1, "one request, and no other kind of challenge");
    }
    // Busy, in a page for people.
    let busy = (503, "Retry-After: 60".to_owned(), json!("Service busy"), false);
    place.proxy.said().refuse = Some(busy);
    let error = place.issue("127.0.0.1", false).await.unwrap_err();
    assert_eq!((error.kind(), error.wait()), ("acme_wait", Duration::from_mins(1)), "{error}");
    place.proxy.said().refuse = None;
    place.issue("127.0.0.1", false).await.unwrap();
}

/// Nothing of it is ours: the newest `pebble` certifies an address for six days, suggests when to renew, and is told what is replaced.
#[tokio::test]
async fn newest_pebble_does_it_all_by_itself() {
    let Some(pebble) = Pebble::start_newest("newest_pebble_does_it_all_by_itself") else { return };
    let store = CertStore::open(&pebble.home.path().join("certs")).unwrap();
    let listeners = Listeners::new(vec![crate::LOOPBACK], pebble.tls_port, pebble.http_port);
    let request = CertificateRequest {
        name: "127.0.0.1".parse().unwrap(),
        directory: pebble.directory(),
        ca_file: Some(pebble.ca_file()),
        time_limit: Duration::from_mins(1),
        renew: true,
    };
    let mut before: Option<Issued> = None;
    for _ in 0..3 {
        let issued = issue(&request, &store, &listeners, &now).await.unwrap();
        pebble.verify(&issued.paths.chain, "127.0.0.1");
        let life = issued.inspected.life();
        assert!(life.length().abs_diff(Duration::from_hours(6 * 24)) < Duration::from_mins(1), "{life:?}");
        let asked = RenewalQuery {
            directory: &request.directory,
            ca_file: request.ca_file.as_deref(),
            chain_pem: &issued.pair.chain_pem,
            time_limit: Duration::from_mins(1),
        };
        let said = advice(asked, &store).await.unwrap().expect("it says when to renew");
        assert!(
            life.not_before < said.window.start && said.window.end < life.not_after,
            "{said:?}, {life:?}"
        );
        before.get_or_insert(issued);
    }
    // The first one was replaced: to replace it again is refused, and the order is taken without that.
    let before = before.unwrap();
    let wanted = OrderRequest {
        name: &request.name,
        directory: &request.directory,
        ca_file: request.ca_file.as_deref(),
        time_limit: Duration::from_mins(1),
        replaces: Some(&before.pair.chain_pem),
    };
    obtain(wanted, &store, &listeners).await.unwrap();
    let log = pebble.log();
    assert_eq!(log.matches(" is a replacement of ").count(), 2, "{log}");
}
