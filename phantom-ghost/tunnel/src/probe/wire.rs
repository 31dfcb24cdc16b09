//! How a prober talks to a server: TCP, TLS with any certificate, and what comes back.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http::Answer;
use crate::client::Server;

/// The most bytes of an answer that are read.
const MOST: usize = 1024 * 1024;
/// Answers that take so long are being held back, if there are several.
const HELD: Duration = Duration::from_millis(800);
const SEVERAL: u32 = 3;
/// Between two requests from then on.
const PAUSE: Duration = Duration::from_millis(1100);
/// A name that is not this server's.
const ELSEWHERE: &str = "www.example.org";

/// Whom the probes go to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) server: Server,
    pub(super) address: SocketAddr,
    /// How long an answer may take, and how long an end of the connection that is due.
    pub(super) patience: Duration,
    held: Arc<AtomicU32>,
}

/// The name in a TLS hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sni {
    Right,
    Other,
    None,
}

/// What one exchange brought.
#[derive(Debug, Clone, Default)]
pub(super) struct Exchange {
    pub(super) answer: Answer,
    /// From the start of the request to the first byte of the answer.
    pub(super) first_byte: Duration,
    /// Whether the server closed the connection in time.
    pub(super) closed: bool,
}

/// Until when an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Its own end.
    Complete,
    /// The connection's end.
    Closed,
}

/// A TLS connection for probes.
pub(super) type Tls = TlsStream<Recorder>;

impl Target {
    pub(super) fn new(server: Server, address: SocketAddr, patience: Duration) -> Self {
        Self { server, address, patience, held: Arc::default() }
    }

    pub(super) async fn tcp(&self) -> io::Result<TcpStream> {
        let tcp = timeout(self.patience, TcpStream::connect(self.address)).await;
        let tcp = tcp.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }

    /// A TLS connection with these in its hello. Every certificate is accepted.
    pub(super) async fn tls(&self, sni: Sni, alpn: &[&[u8]]) -> io::Result<Tls> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let verifier = Arc::new(Anyone(provider));
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config.enable_sni = sni != Sni::None;
        let name = match sni {
            Sni::Other => ServerName::try_from(ELSEWHERE).map_err(io::Error::other)?,
            Sni::Right | Sni::None => self.server.name(),
        };
        let tcp = Recorder { inner: self.tcp().await?, sent: Vec::new() };
        let handshake = timeout(self.patience, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await;
        handshake.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Sends a request on a connection of its own and reads the answer.
    pub(super) async fn ask(&self, request: &[u8], until: Until) -> io::Result<Exchange> {
        let mut stream = self.tls(Sni::Right, &[b"http/1.1"]).await?;
        self.exchange(&mut stream, request, until).await
    }

    /// As [`exchange`], with this target's patience. Once the server holds its answers back, it is asked as rarely as it
    /// wants: otherwise every time would be that of the hold.
    pub(super) async fn exchange(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        request: &[u8],
        until: Until,
    ) -> io::Result<Exchange> {
        if self.held.load(Ordering::Relaxed) >= SEVERAL {
            sleep(PAUSE).await;
        }
        let seen = exchange(stream, request, until, self.patience).await?;
        if seen.first_byte > HELD {
            self.held.fetch_add(1, Ordering::Relaxed);
        }
        Ok(seen)
    }
}

/// Sends `request` and reads what comes back, for at most `patience`. That nothing comes, or that the server hangs up, is
/// no error but what the probe saw.
pub(super) async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
    until: Until,
    patience: Duration,
) -> io::Result<Exchange> {
    let bodiless = request.starts_with(b"HEAD ");
    let end = Instant::now() + patience;
    // Before the request is sent: a server beside us may have answered when sending returns.
    let start = Instant::now();
    // A server may refuse a long request before it has read all of it.
    let _ = timeout_at(end, async {
        stream.write_all(request).await?;
        stream.flush().await
    })
    .await;
    let (mut bytes, mut first, mut closed) = (Vec::new(), None, false);
    loop {
        let answer = Answer::read(&bytes, bodiless, closed);
        let done = answer.complete && until == Until::Complete || bytes.len() >= MOST;
        if done || closed || Instant::now() >= end {
            return Ok(Exchange { answer, first_byte: first.unwrap_or_default(), closed });
        }
        match timeout_at(end, stream.read_buf(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => closed = true,
            Ok(Ok(_)) => {
                first.get_or_insert_with(|| start.elapsed());
            }
            Err(_) => {}
        }
    }
}

/// The number of a TLS alert that ended a handshake, if one did.
pub(super) fn alert(error: &io::Error) -> Option<u8> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(u8::from(*alert)),
        _ => None,
    }
}

/// A TCP connection that keeps what was sent over it.
#[derive(Debug)]
pub(super) struct Recorder {
    inner: TcpStream,
    /// One for each write.
    pub(super) sent: Vec<Vec<u8>>,
}

impl AsyncRead for Recorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.sent.push(bytes[..count].to_vec());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Accepts every certificate: a prober wants to see what a server does, whoever it is. Nothing secret is ever sent to it
/// but what the operator asks for by giving the secret.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
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
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, leaf, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
