//! A server on loopback, a WireGuard that is a plain socket, and a small client of the tunnel's protocol.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phantom_tunnel::codec::{self, Decoder, FrameEvent, FrameKind};
use phantom_tunnel::config::{Configuration, Decoy, KeyPem};
use phantom_tunnel::limits::Limits;
use phantom_tunnel::secrets::Secret;
use phantom_tunnel::server::{Handle, Listen, Server, ServerBuilder};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const NAME: &str = "vpn.example";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate for [`NAME`] with its key, as PEM.
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

pub(crate) fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    Certificate { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

/// The certificate of a tls-alpn-01 validation of [`NAME`], with its critical extension.
pub(crate) fn validation_certificate() -> Certificate {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    params.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(&[7; 32])];
    let made = params.self_signed(&key).unwrap();
    Certificate { chain: made.pem(), key: key.serialize_pem() }
}

/// A running server.
pub(crate) struct Rig {
    pub(crate) handle: Handle,
    pub(crate) address: SocketAddr,
    pub(crate) configuration: Configuration,
    pub(crate) wireguard: UdpSocket,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Rig {
    /// A server with generous limits: everything here comes from one address.
    pub(crate) async fn start() -> Self {
        Self::with(Server::builder(), |_| {}).await
    }

    pub(crate) async fn with(builder: ServerBuilder, change: impl FnOnce(&mut Configuration)) -> Self {
        let wireguard = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        wireguard.set_read_timeout(Some(PATIENCE)).unwrap();
        let Certificate { chain, key } = certificate();
        let mut configuration = Configuration {
            secrets: vec![Secret::generate()],
            wireguard_port: wireguard.local_addr().unwrap().port(),
            certificate_pem: chain,
            key_pem: KeyPem::new(key),
            decoy: Decoy::Builtin,
            padding: false,
        };
        change(&mut configuration);
        let server = builder.listen(Listen::Tcp((Ipv4Addr::LOCALHOST, 0).into())).bind().unwrap();
        let (handle, address) = (server.handle(), server.addresses()[0]);
        handle.configure(configuration.clone()).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));
        Self { handle, address, configuration, wireguard, stop: Some(stop), running }
    }

    pub(crate) fn secret(&self) -> &str {
        self.configuration.secrets[0].reveal()
    }

    pub(crate) fn port(&self) -> u16 {
        self.configuration.wireguard_port
    }

    /// A TLS connection.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        connect(self.address).await
    }

    /// An open tunnel under the server's first secret.
    pub(crate) async fn tunnel(&self) -> Client<TlsStream<TcpStream>> {
        Client::open(self.connect().await, &upgrade(self.secret(), self.port())).await.unwrap()
    }

    /// What WireGuard got.
    pub(crate) fn arrived(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 65_536];
        let (length, from) = self.wireguard.recv_from(&mut buffer).unwrap();
        buffer.truncate(length);
        (buffer, from)
    }

    pub(crate) async fn stop(mut self) {
        self.stop.take();
        timeout(PATIENCE, &mut self.running).await.unwrap().unwrap();
    }
}

/// Limits under which one address may do anything.
pub(crate) fn unlimited() -> Limits {
    let mut limits = Limits::default();
    limits.errors.burst = 1_000_000;
    limits
}

pub(crate) fn client_config() -> ClientConfig {
    client_config_with(rustls::crypto::aws_lc_rs::default_provider().kx_groups)
}

/// A client that offers these key exchanges only.
pub(crate) fn client_config_with(
    kx_groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>,
) -> ClientConfig {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let provider = Arc::new(rustls::crypto::CryptoProvider { kx_groups, ..provider });
    ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth()
}

pub(crate) async fn connect(address: SocketAddr) -> TlsStream<TcpStream> {
    connect_with(address, client_config(), NAME).await.unwrap()
}

pub(crate) async fn connect_with(
    address: SocketAddr,
    mut config: ClientConfig,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    if config.alpn_protocols.is_empty() {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// Roots that trust `chain` alone.
pub(crate) fn trusting(chain: &str) -> ClientConfig {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The request of a wstunnel client.
pub(crate) fn upgrade(secret: &str, port: u16) -> String {
    let claims = format!(
        r#"{{"id":"01a1fbf8-0428-7683-8960-bf786a2b7dd0","p":{{"Udp":{{"timeout":null}}}},"r":"127.0.0.1","rp":{port}}}"#
    );
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    let token = format!("{header}.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims));
    format!(
        "GET /{secret}/events HTTP/1.1\r\nhost: {NAME}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\
         sec-websocket-protocol: v1, authorization.bearer.{token}\r\n\r\n"
    )
}

/// Sends `request` and reads one answer: its head, and a body of the length it tells.
pub(crate) async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &str,
) -> std::io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    answer(stream).await
}

pub(crate) async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let head = loop {
        if timeout(PATIENCE, stream.read_buf(&mut bytes)).await?? == 0 {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head + length {
        if timeout(PATIENCE, stream.read_buf(&mut bytes)).await?? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Without the one line that may differ between two answers.
pub(crate) fn without_date(answer: &str) -> String {
    answer.split("\r\n").filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\r\n")
}

/// The client's end of a tunnel.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    decoder: Decoder,
    pub(crate) masked: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Asks for a tunnel; the answer if it is refused.
    pub(crate) async fn open(mut stream: S, request: &str) -> Result<Self, String> {
        let answer = ask(&mut stream, request).await.map_err(|error| error.to_string())?;
        if answer.starts_with("HTTP/1.1 101 ") {
            Ok(Self { stream, decoder: Decoder::default(), masked: false })
        } else {
            Err(answer)
        }
    }

    pub(crate) async fn send(&mut self, datagram: &[u8]) -> std::io::Result<()> {
        self.send_kind(FrameKind::Datagram, datagram).await
    }

    pub(crate) async fn send_kind(&mut self, kind: FrameKind, payload: &[u8]) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, kind, payload, self.masked);
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// The next frame: `d`atagram, p`i`ng, p`o`ng or `c`lose; `None` at the end.
    pub(crate) async fn event(&mut self) -> Option<(char, Vec<u8>)> {
        loop {
            let event = self.decoder.next().unwrap().map(|event| match event {
                FrameEvent::Datagram(bytes) => ('d', bytes.to_vec()),
                FrameEvent::Ping(bytes) => ('i', bytes.to_vec()),
                FrameEvent::Pong(bytes) => ('o', bytes.to_vec()),
                FrameEvent::Close => ('c', Vec::new()),
            });
            if event.is_some() {
                return event;
            }
            let mut buffer = vec![0; 16 * 1024];
            match timeout(PATIENCE, self.stream.read(&mut buffer)).await {
                Ok(Ok(read @ 1..)) => self.decoder.push(&buffer[..read]),
                Ok(_) => return None,
                Err(late) => panic!("nothing came: {late}"),
            }
        }
    }

    /// One ping and its answer: the tunnel lives.
    pub(crate) async fn is_alive(&mut self) -> bool {
        if self.send_kind(FrameKind::Ping, b"alive?").await.is_err() {
            return false;
        }
        loop {
            match self.event().await {
                Some(('o', payload)) => return payload == b"alive?",
                Some(('c', _)) | None => return false,
                Some(_) => {}
            }
        }
    }
}

/// Trusts every certificate.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

mod any {
    use rustls::DigitallySignedStruct;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    impl ServerCertVerifier for super::AnyCertificate {
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

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
