//! The answers as an authority would see them.

use std::net::Ipv4Addr;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DIGEST: [u8; 32] = [7; 32];

/// Ports that nobody has at the moment.
fn ports() -> [u16; 2] {
    let free = [0; 2].map(|_| std::net::TcpListener::bind((LOOPBACK, 0)).unwrap());
    free.map(|listener| listener.local_addr().unwrap().port())
}

async fn get(port: u16, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((LOOPBACK, port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The leaf that a visitor with this name and protocol gets.
async fn handshake(port: u16, sni: &str, alpn: &[u8]) -> io::Result<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(default_provider().into());
    let config = config.with_safe_default_protocol_versions().unwrap().dangerous();
    let mut config = config.with_custom_certificate_verifier(Arc::new(Anything)).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect((LOOPBACK, port)).await?;
    let name = ServerName::try_from(sni.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let session = stream.get_ref().1;
    assert_eq!(session.alpn_protocol(), Some(ACME_ALPN));
    Ok(session.peer_certificates().unwrap()[0].to_vec())
}

#[test]
fn addresses_are_requested_by_reverse_names() {
    let name = |text: &str| server_name(&text.parse().unwrap());
    assert_eq!(name("vpn.Example.com"), "vpn.example.com");
    assert_eq!(name("192.0.2.7"), "7.2.0.192.in-addr.arpa");
    assert_eq!(
        name("2001:db8::567:89ab"),
        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
    );
}

#[tokio::test]
async fn tls_answer_exists_only_while_installed() {
    let [tls, http] = ports();
    let listeners = Listeners::new(vec![LOOPBACK], tls, http);
    for name in ["vpn.example.com", "192.0.2.7"] {
        let name: HostName = name.parse().unwrap();
        let answer = ChallengeResponse::tls_alpn(&name, &DIGEST).unwrap();
        assert!(handshake(tls, &server_name(&name), ACME_ALPN).await.is_err(), "nobody listens yet");
        listeners.install(&answer).await.unwrap();
        let der = handshake(tls, &server_name(&name), ACME_ALPN).await.unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let extension =
            leaf.extensions().iter().find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(extension.critical);
        assert_eq!(extension.value, [&[4, 32][..], &DIGEST].concat());
        assert!(handshake(tls, "other.example.com", ACME_ALPN).await.is_err(), "another name");
        assert!(handshake(tls, &server_name(&name), b"http/1.1").await.is_err(), "another protocol");
        listeners.remove(&answer).await;
        assert!(TcpStream::connect((LOOPBACK, tls)).await.is_err(), "the port is free again");
    }
}

#[tokio::test]
async fn http_answer_is_found_by_its_token() {
    let [tls, http] = ports();
    let listeners = Listeners::new(vec![LOOPBACK], tls, http);
    let answers = ["one", "two"]
        .map(|token| ChallengeResponse::Http { token: token.into(), body: format!("{token}.thumb") });
    for answer in &answers {
        listeners.install(answer).await.unwrap();
    }
    let path = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    for token in ["one", "two"] {
        let text = get(http, &path(&format!("{PREFIX}{token}"))).await.unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200 ") && text.ends_with(&format!("\r\n\r\n{token}.thumb")),
            "{text}"
        );
    }
    for other in ["/", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/three", "/one"] {
        assert!(get(http, &path(other)).await.unwrap().starts_with("HTTP/1.1 404 "), "{other}");
    }
    let post = "POST /.well-known/acme-challenge/one HTTP/1.1\r\n\r\n";
    assert!(get(http, post).await.unwrap().starts_with("HTTP/1.1 404 "));
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(8192));
    assert!(!get(http, &long).await.is_ok_and(|text| text.contains("200")));
    listeners.remove(&answers[0]).await;
    assert!(get(http, &path(&format!("{PREFIX}one"))).await.unwrap().starts_with("HTTP/1.1 404 "));
    listeners.remove(&answers[1]).await;
    assert!(TcpStream::connect((LOOPBACK, http)).await.is_err());
}

const PREFIX: &str = "/.well-known/acme-challenge/";

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let [tls, http] = ports();
    let _taken = std::net::TcpListener::bind((LOOPBACK, http)).unwrap();
    let listeners = Listeners::new(vec![LOOPBACK], tls, http);
    let error = listeners
        .install(&ChallengeResponse::Http { token: "a".into(), body: "b".into() })
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), format!("127.0.0.1:{http} cannot be listened on"));
}

#[tokio::test]
async fn both_families_are_listened_on_by_default() {
    let [tls, http] = ports();
    let listeners = Listeners::new(Vec::new(), tls, http);
    let answer = ChallengeResponse::Http { token: "a".into(), body: "b".into() };
    listeners.install(&answer).await.unwrap();
    assert!(get(http, "GET / HTTP/1.1\r\n\r\n").await.unwrap().starts_with("HTTP/1.1 404 "));
    listeners.remove(&answer).await;
}

#[tokio::test]
async fn each_kind_goes_to_its_own_challenger() {
    let [tls, http] = ports();
    let split = Split { tls_alpn: Nobody, http: Listeners::new(vec![LOOPBACK], tls, http) };
    let answer = ChallengeResponse::tls_alpn(&"vpn.example.com".parse().unwrap(), &DIGEST).unwrap();
    assert!(matches!(split.install(&answer).await, Err(ChallengeError::NotOffered(ChallengeKind::TlsAlpn))));
    let answer = ChallengeResponse::Http { token: "a".into(), body: "b".into() };
    split.install(&answer).await.unwrap();
    split.remove(&answer).await;
}

struct Nobody;

impl Challenger for Nobody {
    fn install<'a>(&'a self, answer: &'a ChallengeResponse) -> Pending<'a, Result<(), ChallengeError>> {
        Box::pin(async { Err(ChallengeError::NotOffered(answer.kind())) })
    }
    fn remove<'a>(&'a self, _: &'a ChallengeResponse) -> Pending<'a, ()> {
        Box::pin(async {})
    }
}
