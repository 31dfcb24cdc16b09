//! Authorities that offer profiles. `pebble` of Debian does not: a proxy before it adds them to its directory and writes
//! down the orders.

use std::io::{self, Read, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use phantom_certs::{Request, Store};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::world::Pebble;

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

/// Answers one request as the authority does, but for the directory.
fn answer(
    pebble: &Pebble,
    stream: &mut (impl Read + io::Write),
    orders: &Mutex<Vec<Value>>,
) -> io::Result<()> {
    let (head, body) = request(stream)?;
    if head.starts_with("POST /order-plz ") {
        let message: Value = serde_json::from_str(&body).unwrap();
        let payload = decoded(message["payload"].as_str().unwrap());
        orders.lock().unwrap().push(serde_json::from_slice(&payload).unwrap());
    }
    // The authority has to close, for the answer's end to be seen.
    let head = head.replacen(" HTTP/1.1\r\n", " HTTP/1.1\r\nconnection: close\r\n", 1);
    let text = pebble.ask(&(head.clone() + &body))?;
    let (answer, content) = text.split_once("\r\n\r\n").unwrap();
    let (mut answer, mut content) = (answer.to_owned(), content.to_owned());
    if head.starts_with("GET /dir ") {
        let mut directory: Value = serde_json::from_str(&content).unwrap();
        directory["meta"]["profiles"] =
            serde_json::json!({"classic": "ninety days", "shortlived": "six days"});
        content = directory.to_string();
        let lines = answer.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
        answer = lines.collect::<Vec<_>>().join("\r\n") + &format!("\r\nContent-Length: {}", content.len());
    }
    stream.write_all(format!("{answer}\r\n\r\n{content}").as_bytes())
}

/// A proxy before the authority, as long as that is held elsewhere; gives its directory's URL.
fn proxy(pebble: &Arc<Pebble>, orders: Arc<Mutex<Vec<Value>>>) -> String {
    let home = pebble.home.path();
    let chain = vec![CertificateDer::from_pem_file(home.join("own.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(home.join("own.key")).unwrap();
    let config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    let pebble = Arc::downgrade(pebble);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(session, stream.unwrap());
            let Some(pebble) = pebble.upgrade() else { return };
            if answer(&pebble, &mut stream, &orders).is_ok() {
                stream.conn.send_close_notify();
                drop(stream.flush());
            }
        }
    });
    format!("https://{address}/dir")
}

#[tokio::test]
async fn an_address_gets_the_short_profile_and_a_name_the_usual_one() {
    let test = "an_address_gets_the_short_profile_and_a_name_the_usual_one";
    let Some(pebble) = Pebble::start(test, crate::DAYS) else { return };
    let certs = pebble.home.path().join("certs");
    let orders = Arc::new(Mutex::new(Vec::new()));
    let (tls, http, ca_file) = (pebble.tls_port, pebble.http_port, pebble.ca_file());
    let pebble = Arc::new(pebble);
    let directory = proxy(&pebble, Arc::clone(&orders));
    let listeners = phantom_certs::Listeners::new(vec![crate::LOOPBACK], tls, http);
    let store = Store::open(&certs).unwrap();
    for (name, profile) in [("127.0.0.1", Some("shortlived")), (crate::NAME, None)] {
        orders.lock().unwrap().clear();
        let request = Request {
            name: name.parse().unwrap(),
            directory: directory.clone(),
            ca_file: Some(ca_file.clone()),
            time_limit: std::time::Duration::from_mins(1),
            renew: false,
        };
        phantom_certs::issue(&request, &store, &listeners, &phantom_certs::now).await.unwrap();
        let orders = orders.lock().unwrap();
        assert!(!orders.is_empty());
        assert!(
            orders.iter().all(|order| order.get("profile").and_then(Value::as_str) == profile),
            "{orders:?}"
        );
    }
}
