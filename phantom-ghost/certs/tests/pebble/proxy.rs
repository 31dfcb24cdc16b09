//! What Debian's `pebble` lacks: a proxy before it adds profiles and renewal information (RFC 9773) to its directory, refuses orders
//! for a while if it is told to, and writes down what it was asked.

use std::io::{self, Read, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::world::Pebble;

/// What the proxy says in the authority's place, and what it has heard.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// The orders that came, refused ones among them.
    pub(crate) orders: Vec<Value>,
    /// The certificates whose renewal was asked about.
    pub(crate) asked: Vec<String>,
    /// The answer to each order: its status, its further header and its problem. Only to those that replace a certificate, if the last
    /// member says so.
    pub(crate) refuse: Option<(u16, String, Value, bool)>,
    /// What is said about every certificate: the window's ends, and the header that says when to ask again.
    pub(crate) window: Option<([String; 2], String)>,
}

/// A proxy, as long as its authority is held elsewhere.
pub(crate) struct Proxy {
    /// The URL of its directory.
    pub(crate) directory: String,
    said: Arc<Mutex<Said>>,
}

/// Base64 without padding (RFC 4648, section 5), which JWS has its parts in.
fn decoded(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = |byte: u8| u32::try_from(alphabet.iter().position(|a| *a == byte).unwrap()).unwrap();
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0, |bits, byte| bits << 6 | value(*byte)) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    text.as_bytes().chunks(4).flat_map(group).collect()
}

/// A request's head and body.
fn request(stream: &mut impl Read) -> io::Result<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    Ok((head, String::from_utf8(body).unwrap()))
}

/// One answer.
struct Reply {
    status: String,
    headers: Vec<String>,
    content: String,
}

impl Reply {
    fn new(status: &str, header: &str, content: &Value) -> Self {
        let kind = if status.starts_with('2') { "application/json" } else { "application/problem+json" };
        let headers = vec![format!("Content-Type: {kind}"), header.to_owned()];
        Self { status: status.to_owned(), headers, content: content.to_string() }
    }

    /// The authority's own.
    fn to_request(pebble: &Pebble, head: &str, body: &str) -> io::Result<Self> {
        // It has to close, for the answer's end to be seen.
        let head = head.replacen(" HTTP/1.1\r\n", " HTTP/1.1\r\nconnection: close\r\n", 1);
        let text = pebble.ask(&(head + body))?;
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap();
        let status = status.split_once(' ').unwrap().1.to_owned();
        let headers = headers.split("\r\n").map(str::to_owned).collect();
        Ok(Self { status, headers, content: content.to_owned() })
    }

    /// Changes its content, which is JSON.
    fn change(&mut self, change: impl FnOnce(&mut Value)) {
        let mut content = serde_json::from_str(&self.content).unwrap();
        change(&mut content);
        self.content = content.to_string();
    }

    fn bytes(mut self) -> Vec<u8> {
        self.headers.retain(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
        let headers = self.headers.join("\r\n");
        let (status, length) = (self.status, self.content.len());
        format!("HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {length}\r\n\r\n{}", self.content)
            .into_bytes()
    }
}

impl Proxy {
    pub(crate) fn start(pebble: &Arc<Pebble>) -> Self {
        let home = pebble.home.path();
        let chain = vec![CertificateDer::from_pem_file(home.join("own.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(home.join("own.key")).unwrap();
        let config =
            ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(chain, key).unwrap());
        let pebble = Arc::downgrade(pebble);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let said: Arc<Mutex<Said>> = Arc::default();
        let (own, heard) = (format!("https://{address}"), Arc::clone(&said));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(session, stream.unwrap());
                let Some(pebble) = pebble.upgrade() else { return };
                if answer(&pebble, &mut stream, &own, &heard).is_ok() {
                    stream.conn.send_close_notify();
                    drop(stream.flush());
                }
            }
        });
        Self { directory: format!("https://{address}/dir"), said }
    }

    /// What it says and has heard.
    pub(crate) fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap()
    }
}

fn answer(
    pebble: &Pebble,
    stream: &mut (impl Read + io::Write),
    own: &str,
    said: &Mutex<Said>,
) -> io::Result<()> {
    let (head, body) = request(stream)?;
    let reply = reply(pebble, (&head, &body), own, &mut said.lock().unwrap())?;
    stream.write_all(&reply.bytes())
}

fn reply(pebble: &Pebble, (head, body): (&str, &str), own: &str, said: &mut Said) -> io::Result<Reply> {
    if let Some(rest) = head.strip_prefix("GET /renewal-info/") {
        said.asked.push(rest.split(' ').next().unwrap().to_owned());
        let ([start, end], again) = said.window.clone().unwrap();
        let window = json!({ "suggestedWindow": { "start": start, "end": end } });
        return Ok(Reply::new("200 OK", &again, &window));
    }
    let mut replaces = None;
    if head.starts_with("POST /order-plz ") {
        let message: Value = serde_json::from_str(body).unwrap();
        let order: Value = serde_json::from_slice(&decoded(message["payload"].as_str().unwrap())).unwrap();
        replaces = order.get("replaces").cloned();
        said.orders.push(order);
        if let Some((status, header, problem, replacing_only)) = &said.refuse
            && (replaces.is_some() || !replacing_only)
        {
            return Ok(Reply::new(&format!("{status} Refused"), header, problem));
        }
    }
    let mut reply = Reply::to_request(pebble, head, body)?;
    if head.starts_with("GET /dir ") {
        reply.change(|directory| {
            directory["meta"]["profiles"] = json!({ "classic": "ninety days", "shortlived": "six days" });
            if said.window.is_some() {
                directory["renewalInfo"] = json!(format!("{own}/renewal-info"));
            }
        });
    }
    if let Some(replaces) = replaces.filter(|_| reply.status.starts_with('2')) {
        reply.change(|order| order["replaces"] = replaces);
    }
    Ok(reply)
}
