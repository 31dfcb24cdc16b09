//! A client of the tunnel, as small as can be.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use phantom_tunnel::codec::{Decoder, FrameEvent, FrameKind, encode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};
use serde_json::json;

use crate::place::NAME;
use crate::world::Pebble;

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A TLS connection to the server; with a root it is verified, without one only looked at.
pub(crate) fn connect(pebble: &Pebble, root: Option<&Path>) -> io::Result<Stream> {
    let config = ClientConfig::builder_with_provider(default_provider().into());
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = match root {
        Some(root) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
            config.with_root_certificates(roots).with_no_client_auth()
        }
        None => config.dangerous().with_custom_certificate_verifier(Arc::new(Anything)).with_no_client_auth(),
    };
    let session = ClientConnection::new(Arc::new(config), ServerName::try_from(NAME).unwrap()).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", pebble.tls_port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = StreamOwned::new(session, stream);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

/// An open tunnel.
pub(crate) struct Tunnel {
    stream: Stream,
    decoder: Decoder,
}

impl Tunnel {
    pub(crate) fn open(mut stream: Stream, secret: &str, port: u16) -> Self {
        let encoded = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = encoded(json!({"typ": "JWT", "alg": "HS256"}));
        let claims =
            encoded(json!({"id": "1", "p": {"Udp": {"timeout": null}}, "r": "127.0.0.1", "rp": port}));
        let token = format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode([0; 32]));
        let key = STANDARD.encode([7; 16]);
        write!(
            stream,
            "GET /{secret}/events HTTP/1.1\r\nhost: {NAME}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\
             sec-websocket-protocol: v1, authorization.bearer.{token}\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        Self { stream, decoder: Decoder::default() }
    }

    /// Sends a datagram and waits until it comes back.
    pub(crate) fn echo(&mut self, datagram: &[u8]) {
        let mut frame = Vec::new();
        encode(&mut frame, FrameKind::Datagram, datagram, false);
        self.stream.write_all(&frame).unwrap();
        loop {
            while let Some(event) = self.decoder.next().unwrap() {
                match event {
                    FrameEvent::Datagram(bytes) if bytes == datagram => return,
                    FrameEvent::Close => panic!("the tunnel was closed"),
                    _ => {}
                }
            }
            let mut bytes = [0; 4096];
            let length = self.stream.read(&mut bytes).unwrap();
            assert!(length > 0, "the tunnel ended");
            self.decoder.push(&bytes[..length]);
        }
    }
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
