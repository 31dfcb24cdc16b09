//! Issuance by a real authority that rejects every fifth nonce. Where `pebble` is not installed the tests say so.

#![expect(clippy::unwrap_used, reason = "a helper of these tests that fails fails the test")]
#![expect(clippy::disallowed_methods, reason = "the authority is a program, and its files are the test's")]

mod profiles;
mod proxy;
mod world;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use phantom_certs::acme::AcmeError;
use phantom_certs::challenge::{ChallengeError, ChallengeKind, Pending};
use phantom_certs::{
    CertStore, CertificateRequest, ChallengeResponse, Challenger, Issued, Listeners, commands, inspect,
    issue, now,
};
use serde_json::{Value, json};
use world::{Pebble, port};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NAME: &str = "vpn.example.com";
const DAYS: Duration = Duration::from_hours(24 * 90);

/// A store beside an authority.
struct Place {
    pebble: Pebble,
    store: CertStore,
}

impl Place {
    fn new(test: &str) -> Option<Self> {
        let pebble = Pebble::start(test, DAYS)?;
        let store = CertStore::open(&pebble.home.path().join("certs")).unwrap();
        Some(Self { pebble, store })
    }

    fn request(&self, name: &str) -> CertificateRequest {
        CertificateRequest {
            name: name.parse().unwrap(),
            directory: self.pebble.directory(),
            ca_file: Some(self.pebble.ca_file()),
            time_limit: Duration::from_mins(1),
            renew: false,
        }
    }

    /// Answers where the authority looks, or for a kind that is left out elsewhere.
    fn listeners(&self, kinds: &[ChallengeKind]) -> Listeners {
        let at = |kind, right| if kinds.contains(&kind) { right } else { port() };
        let [tls, http] = [
            at(ChallengeKind::TlsAlpn, self.pebble.tls_port),
            at(ChallengeKind::Http, self.pebble.http_port),
        ];
        Listeners::new(vec![LOOPBACK], tls, http)
    }

    async fn issue(
        &self,
        request: &CertificateRequest,
        challenger: &dyn Challenger,
    ) -> Result<Issued, AcmeError> {
        issue(request, &self.store, challenger, &now).await
    }

    /// What has to be shown is shown again, with a new account: pebble takes an earlier proof of the same account for enough
    /// once in a hundred orders even where it is told never to.
    fn become_somebody_else(&self) {
        self.store.put_account(&self.pebble.directory(), "").unwrap();
    }

    /// The issued certificate is in force, verified by others, and as expected.
    fn check(&self, issued: &Issued, name: &str) {
        self.pebble.verify(&issued.paths.chain, name);
        let name = name.parse().unwrap();
        assert_eq!(self.store.read(&name).unwrap().unwrap().pair, issued.pair);
        assert_eq!(inspect(&issued.pair, &name, now()).unwrap(), issued.inspected);
        assert_eq!(issued.pair.chain_pem.matches("BEGIN CERTIFICATE").count(), 2);
        for path in [&issued.paths.chain, &issued.paths.key] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
    }

    fn account(&self) -> String {
        self.store.account(&self.pebble.directory()).unwrap().unwrap().to_string()
    }
}

/// Counts what passes through.
struct Counted<C> {
    inner: C,
    seen: Mutex<Vec<(&'static str, ChallengeResponse)>>,
}

impl<C> Counted<C> {
    const fn new(inner: C) -> Self {
        Self { inner, seen: Mutex::new(Vec::new()) }
    }

    /// The kinds that were installed; each was removed again.
    fn kinds(&self) -> Vec<ChallengeKind> {
        let seen = self.seen.lock().unwrap();
        let of =
            |what: &str| seen.iter().filter(|(w, _)| *w == what).map(|(_, a)| a.clone()).collect::<Vec<_>>();
        assert_eq!(of("install"), of("remove"));
        of("install").iter().map(ChallengeResponse::kind).collect()
    }
}

impl<C: Challenger> Challenger for Counted<C> {
    fn install<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, Result<(), ChallengeError>> {
        self.seen.lock().unwrap().push(("install", answer.clone()));
        self.inner.install(answer)
    }

    fn remove<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, ()> {
        self.seen.lock().unwrap().push(("remove", answer.clone()));
        self.inner.remove(answer)
    }
}

/// Never gets ready.
struct Never;

impl Challenger for Never {
    fn install<'a>(&'a self, _: &'a ChallengeResponse) -> Pending<'a, Result<(), ChallengeError>> {
        Box::pin(std::future::pending())
    }

    fn remove<'a>(&'a self, _: &'a ChallengeResponse) -> Pending<'a, ()> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn a_name_is_shown_by_tls() {
    let Some(place) = Place::new("a_name_is_shown_by_tls") else { return };
    let challenger = Counted::new(place.listeners(&[ChallengeKind::TlsAlpn]));
    let issued = place.issue(&place.request(NAME), &challenger).await.unwrap();
    place.check(&issued, NAME);
    assert!(!issued.reused && issued.warnings.is_empty());
    assert_eq!(challenger.kinds(), [ChallengeKind::TlsAlpn]);
    let life = issued.inspected.life().length();
    assert!(life <= DAYS && life + Duration::from_secs(2) >= DAYS, "{life:?}");
    assert!(
        std::net::TcpStream::connect((LOOPBACK, place.pebble.tls_port)).is_err(),
        "the port is free again"
    );
}

#[tokio::test]
async fn http_is_tried_when_tls_fails() {
    let Some(place) = Place::new("http_is_tried_when_tls_fails") else { return };
    // The authority finds nobody at the TLS port.
    let challenger = Counted::new(place.listeners(&[ChallengeKind::Http]));
    let issued = place.issue(&place.request(NAME), &challenger).await.unwrap();
    place.check(&issued, NAME);
    assert_eq!(challenger.kinds(), [ChallengeKind::TlsAlpn, ChallengeKind::Http]);
    assert!(issued.warnings[0].starts_with("tls-alpn-01: Failed to connect"), "{:?}", issued.warnings);
    // Somebody else has the TLS port: nothing can be installed.
    let _other = std::net::TcpListener::bind((LOOPBACK, place.pebble.tls_port)).unwrap();
    let challenger = Counted::new(place.listeners(&[ChallengeKind::TlsAlpn, ChallengeKind::Http]));
    place.become_somebody_else();
    let again =
        place.issue(&CertificateRequest { renew: true, ..place.request(NAME) }, &challenger).await.unwrap();
    place.check(&again, NAME);
    assert_eq!(challenger.kinds(), [ChallengeKind::TlsAlpn, ChallengeKind::Http]);
}

#[tokio::test]
async fn an_address_is_shown_by_both() {
    let Some(place) = Place::new("an_address_is_shown_by_both") else { return };
    for kind in [ChallengeKind::TlsAlpn, ChallengeKind::Http] {
        let request = CertificateRequest { renew: true, ..place.request("127.0.0.1") };
        place.become_somebody_else();
        let issued = place.issue(&request, &place.listeners(&[kind])).await.unwrap();
        place.check(&issued, "127.0.0.1");
    }
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return world::skip("an_address_is_shown_by_both (IPv6)", "there is no ::1");
    }
    let listeners = Listeners::new(vec!["::1".parse().unwrap()], place.pebble.tls_port, port());
    let issued = place.issue(&place.request("::1"), &listeners).await.unwrap();
    place.check(&issued, "::1");
}

#[tokio::test]
async fn renewal_uses_new_key_and_same_account() {
    let Some(place) = Place::new("renewal_uses_new_key_and_same_account") else { return };
    let listeners = place.listeners(&[ChallengeKind::TlsAlpn, ChallengeKind::Http]);
    let first = place.issue(&place.request(NAME), &listeners).await.unwrap();
    let account = place.account();
    let second =
        place.issue(&CertificateRequest { renew: true, ..place.request(NAME) }, &listeners).await.unwrap();
    place.check(&second, NAME);
    assert!(first.pair.key_pem != second.pair.key_pem);
    assert_ne!(first.inspected.fingerprint_sha256, second.inspected.fingerprint_sha256);
    assert_eq!(place.account(), account);
    assert_eq!(place.pebble.log().matches("There are now 1 accounts in memory").count(), 1);
    assert_eq!(place.pebble.log().matches("There are now 2 accounts in memory").count(), 0);
}

#[tokio::test]
async fn fresh_certificate_is_reused_without_the_authority() {
    let Some(mut place) = Place::new("fresh_certificate_is_reused_without_the_authority") else {
        return;
    };
    let listeners = place.listeners(&[ChallengeKind::TlsAlpn, ChallengeKind::Http]);
    let request = place.request(NAME);
    let first = place.issue(&request, &listeners).await.unwrap();
    place.pebble.end();
    let again = place.issue(&request, &listeners).await.unwrap();
    assert!(again.reused);
    assert_eq!((again.pair, again.inspected), (first.pair.clone(), first.inspected));
    // One that is for another directory, or nearly over, is not.
    let other = CertificateRequest { directory: format!("{}2", request.directory), ..request.clone() };
    assert!(matches!(place.issue(&other, &listeners).await, Err(AcmeError::Protocol { .. })));
    let later = || phantom_types::Timestamp::from_micros(now().micros() + 61 * 86_400 * 1_000_000);
    let error = issue(&request, &place.store, &listeners, &later).await.unwrap_err();
    assert_eq!(error.kind(), "acme_unavailable", "{error}");
    assert_eq!(place.store.read(&request.name).unwrap().unwrap().pair, first.pair, "it is still in force");
}

#[tokio::test]
async fn failure_keeps_certificate_and_quotes_authority() {
    let Some(place) = Place::new("failure_keeps_certificate_and_quotes_authority") else {
        return;
    };
    let first = place.issue(&place.request(NAME), &place.listeners(&[ChallengeKind::TlsAlpn])).await.unwrap();
    let challenger = Counted::new(place.listeners(&[]));
    let renewal = CertificateRequest { renew: true, ..place.request(NAME) };
    place.become_somebody_else();
    let error = place.issue(&renewal, &challenger).await.unwrap_err();
    let text = error.to_string();
    let AcmeError::Validation { tried, .. } = error else { panic!("{text}") };
    assert_eq!(
        tried.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [ChallengeKind::TlsAlpn, ChallengeKind::Http]
    );
    assert!(tried[0].1.contains("Failed to connect"), "{text}");
    assert!(tried[1].1.contains("connection refused"), "{text}");
    assert_eq!(challenger.kinds(), [ChallengeKind::TlsAlpn, ChallengeKind::Http]);
    place.check(&first, NAME);
    // A name that the authority does not want.
    let error = place.issue(&place.request("vpn.unwanted.example"), &challenger).await.unwrap_err();
    let AcmeError::Refused { problem, .. } = &error else { panic!("{error}") };
    assert_eq!(problem, "rejectedIdentifier", "{error}");
}

#[tokio::test]
async fn lost_or_damaged_account_is_recreated() {
    let Some(mut place) = Place::new("lost_or_damaged_account_is_recreated") else { return };
    let listeners = place.listeners(&[ChallengeKind::TlsAlpn, ChallengeKind::Http]);
    let renewal = CertificateRequest { renew: true, ..place.request(NAME) };
    place.issue(&renewal, &listeners).await.unwrap();
    let before = place.account();
    place.pebble.run();
    let issued = place.issue(&renewal, &listeners).await.unwrap();
    place.check(&issued, NAME);
    assert_ne!(place.account(), before);
    place.store.put_account(&place.pebble.directory(), "{ half of an acc").unwrap();
    place.issue(&renewal, &listeners).await.unwrap();
    assert!(place.account().contains("key_pkcs8"));
}

#[tokio::test]
async fn everything_together_has_a_time_limit() {
    let home = tempfile::tempdir().unwrap();
    let store = CertStore::open(&home.path().join("certs")).unwrap();
    // It accepts and is silent.
    let silent = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
    let directory = format!("https://{}/dir", silent.local_addr().unwrap());
    let time_limit = Duration::from_millis(300);
    let request = CertificateRequest {
        name: NAME.parse().unwrap(),
        directory,
        ca_file: None,
        time_limit,
        renew: false,
    };
    let begin = Instant::now();
    let error =
        issue(&request, &store, &Listeners::new(vec![LOOPBACK], port(), port()), &now).await.unwrap_err();
    assert!(matches!(error, AcmeError::TimeLimit { .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn answer_is_removed_after_a_timeout() {
    let Some(place) = Place::new("answer_is_removed_after_a_timeout") else { return };
    let challenger = Counted::new(Never);
    let request = CertificateRequest { time_limit: Duration::from_secs(5), ..place.request(NAME) };
    let error = place.issue(&request, &challenger).await.unwrap_err();
    assert!(matches!(error, AcmeError::TimeLimit { .. }), "{error}");
    assert_eq!(challenger.kinds(), [ChallengeKind::TlsAlpn]);
}

#[tokio::test]
async fn untrusted_authority_is_told_nothing() {
    let Some(place) = Place::new("untrusted_authority_is_told_nothing") else { return };
    for ca_file in [None, Some(place.pebble.root())] {
        let request = CertificateRequest { ca_file, ..place.request(NAME) };
        let error = place.issue(&request, &place.listeners(&[])).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(matches!(error, AcmeError::Protocol { step: "make an account", .. }), "{error}");
    }
}

#[test]
fn the_verb_issues() {
    let Some(pebble) = Pebble::start("the_verb_issues", DAYS) else { return };
    let certs = pebble.home.path().join("certs");
    let request = json!({"domain": NAME, "directory": pebble.directory(), "ca_file": pebble.ca_file(),
        "certs_dir": certs, "listen": ["127.0.0.1"], "tls_alpn_port": pebble.tls_port,
        "http01_port": pebble.http_port, "time_limit": 60});
    let no_server = |_: &Path| -> Box<dyn Challenger> { unreachable!("no control socket is named") };
    let call = || commands::issue(request.to_string().as_bytes(), now, &no_server);
    let reply = call();
    let answer: Value = serde_json::from_str(&reply.line).unwrap();
    assert_eq!(reply.exit_code, 0, "{answer}");
    let chain = certs.join(NAME).join("fullchain.pem");
    assert_eq!(answer["cert_path"], json!(chain));
    pebble.verify(&chain, NAME);
    let again: Value = serde_json::from_str(&call().line).unwrap();
    assert_eq!((&again["reused"], &again["expires_at"]), (&json!(true), &answer["expires_at"]));
}
