//! A way through an HTTP proxy: `CONNECT` (RFC 9110 section 9.3.6), with a user and a password if it asks for them.

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use phantom_types::Endpoint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::answer::Answer;

/// A proxy: `http://HOST:PORT`. What passes it is TLS from one end of the tunnel to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where it is.
    pub place: Endpoint,
    /// What it is told about the user.
    pub login: Option<Login>,
}

/// A text that is no [`Proxy`]. It is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not of the form, or a proxy of another kind.
    #[error("a proxy is given as http://HOST:PORT; proxies that speak TLS or SOCKS are not supported")]
    Form,
    /// User and password beside the host.
    #[error(
        "other users of this machine can read a password in a command line: put user:password into a file and name it with \
         --proxy-login-file"
    )]
    Login,
}

/// A user and a password for a proxy, as `user:password`. `Debug` does not show it; its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Login(Zeroizing<String>);

/// Why a text is no login. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user and a password are given as user:password on one line, without control characters")]
pub struct LoginError;

/// Why a proxy leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyRefusal {
    /// It wants to know who asks, and was not told or does not know that user and password.
    #[error(
        "the proxy asks for a user and a password that it knows (status {0}): --proxy-login-file names the file that holds them"
    )]
    Login(u16),
    /// It does not connect to the server.
    #[error("the proxy does not connect to the server: status {0}")]
    Status(u16),
    /// What it says is no answer of a proxy.
    #[error("the proxy's answer is not that of an HTTP proxy")]
    Malformed,
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let place = text.strip_prefix("http://").ok_or(ProxyError::Form)?;
        let place = place.strip_suffix('/').unwrap_or(place);
        if place.contains('@') {
            return Err(ProxyError::Login);
        }
        place.parse().map(|place| Self { place, login: None }).map_err(|_| ProxyError::Form)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}", self.place)
    }
}

impl Login {
    /// Takes over `text`, which is wiped if it is no login.
    pub fn new(text: String) -> Result<Self, LoginError> {
        let text = Zeroizing::new(text);
        let plain = text.contains(':') && !text.contains(char::is_control);
        if plain { Ok(Self(text)) } else { Err(LoginError) }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Login(..)")
    }
}

/// The request for a connection to `target`, RFC 9112 section 3.2.3; the login as RFC 7617 has it.
fn request(target: &Endpoint, login: Option<&Login>) -> Zeroizing<String> {
    let target = target.to_string();
    let login = login.map(|login| {
        let mut text = Zeroizing::new(String::with_capacity(login.0.len() * 2 + 4));
        STANDARD.encode_string(login.0.as_bytes(), &mut text);
        text
    });
    let room = 128 + 2 * target.len() + login.as_ref().map_or(0, |login| login.len());
    let mut head = Zeroizing::new(String::with_capacity(room));
    for part in ["CONNECT ", &target, " HTTP/1.1\r\nHost: ", &target, "\r\n"] {
        head.push_str(part);
    }
    if let Some(login) = &login {
        for part in ["Proxy-Authorization: Basic ", login, "\r\n"] {
            head.push_str(part);
        }
    }
    head.push_str("\r\n");
    head
}

/// Asks the proxy at the other end of `stream` for `target`; behind it, the stream is one to `target`.
pub(super) async fn connect(
    stream: &mut TcpStream,
    target: &Endpoint,
    login: Option<&Login>,
) -> io::Result<Result<(), ProxyRefusal>> {
    stream.write_all(request(target, login).as_bytes()).await?;
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let Ok(answer) = Answer::read(&bytes) else { return Ok(Err(ProxyRefusal::Malformed)) };
        if let Some(answer) = answer {
            return Ok(match answer.status {
                // The server says nothing before the client does: what comes behind the head is not the server's.
                200..300 if answer.length == bytes.len() => Ok(()),
                200..300 => Err(ProxyRefusal::Malformed),
                // 407 is the right one; tinyproxy says 401 where user or password are wrong.
                status @ (401 | 407) => Err(ProxyRefusal::Login(status)),
                status => Err(ProxyRefusal::Status(status)),
            });
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_and_written() {
        for text in ["http://proxy.example.com:3128", "http://192.0.2.1:80", "http://[2001:db8::1]:8080"] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!((proxy.to_string().as_str(), proxy.login), (text, None));
            assert_eq!(format!("{text}/").parse::<Proxy>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "proxy:3128",
            "http://proxy.example.com",
            "https://a.example.com:1",
            "socks5://a.example.com:1",
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(ProxyError::Form), "{text}");
        }
        let error = "http://john:topsecret@proxy.example.com:3128".parse::<Proxy>().unwrap_err();
        assert!(error == ProxyError::Login && !error.to_string().contains("topsecret"));
    }

    #[test]
    fn request_names_the_server_and_the_user() {
        let target: Endpoint = "vpn.example.com:443".parse().unwrap();
        let plain = "CONNECT vpn.example.com:443 HTTP/1.1\r\nHost: vpn.example.com:443\r\n\r\n";
        assert_eq!(*request(&target, None), plain);
        // The example of RFC 7617, section 2.
        let login = Login::new("Aladdin:open sesame".to_owned()).unwrap();
        let line = "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
        assert!(request(&target, Some(&login)).ends_with(line));
        assert_eq!(format!("{login:?}"), "Login(..)");
        for wrong in ["", "user", "user:pass\nword"] {
            assert_eq!(Login::new(wrong.to_owned()), Err(LoginError));
        }
    }
}
