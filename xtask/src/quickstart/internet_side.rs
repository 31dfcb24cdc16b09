//! The proof's Internet: a host with a file and with the DNS servers that the configuration names, in a namespace.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::namespace::{arrived, cable, next_line};
use super::proof::{FILE_SIZE, INTERNET_CABLE, NAME, WEB};
use crate::args::Args;
use crate::command::Cmd;
use crate::problem::{Context as _, Result};

/// Runs until standard input ends; its words are the addresses of DNS servers. Writes a line for each visitor.
pub(crate) fn run(mut words: Args) -> Result<bool> {
    let mut servers: Vec<Ipv4Addr> = Vec::new();
    while let Some(word) = words.next_word() {
        servers.push(word.parse().context(word)?);
    }
    arrived();
    next_line()?;
    // No way back but the cable: an answer to an address of the tunnel would find no route, so that only visitors with
    // the server's own address are answered.
    cable(INTERNET_CABLE.far, None)?;
    for address in servers.iter().chain([&WEB]) {
        Cmd::line(&format!("ip addr add {address}/32 dev lo")).quiet()?;
    }
    for address in servers {
        let socket = UdpSocket::bind((address, 53)).context(address)?;
        std::thread::spawn(move || serve_names(&socket));
    }
    let (listener, content) = (TcpListener::bind((WEB, 80)).context(WEB)?, file());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = serve_file(stream, &content); // a visitor that went away
        }
    });
    println!("ready");
    while next_line().is_ok() {}
    Ok(true)
}

/// The file: every byte depends on its place, so that a part in the wrong place shows.
pub(super) fn file() -> Vec<u8> {
    (0..FILE_SIZE).map(|place| (place.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect()
}

fn serve_file(mut stream: TcpStream, content: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let visitor = stream.peer_addr()?.ip();
    let mut request = Vec::new();
    while !request.windows(4).any(|part| part == b"\r\n\r\n") && request.len() < 4096 {
        let mut part = [0; 1024];
        match stream.read(&mut part)? {
            0 => return Ok(()),
            length => request.extend_from_slice(&part[..length]),
        }
    }
    println!("http {visitor}");
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", content.len())?;
    stream.write_all(content)
}

fn serve_names(socket: &UdpSocket) {
    let mut buffer = [0; 1500];
    while let Ok((length, visitor)) = socket.recv_from(&mut buffer) {
        let Some(answer) = answer(&buffer[..length]) else { continue };
        if let IpAddr::V4(address) = visitor.ip() {
            println!("dns {address}");
        }
        let _ = socket.send_to(&answer, visitor);
    }
}

/// The answer to a DNS query with one question (RFC 1035 section 4): our one name has our one address, every other name
/// does not exist.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let header = query.get(..12)?;
    let mut place = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(place)?);
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(place + 1..place + 1 + length)?).to_lowercase());
        place += 1 + length;
    }
    let question = query.get(12..place + 5)?;
    let is_a = question.ends_with(&[0, 1, 0, 1]);
    let known = labels.join(".") == NAME;
    let mut answer = header[..2].to_vec();
    // Response, recursion as desired and available; no error, or no such name.
    answer.extend([0x81, if known { 0x80 } else { 0x83 }]);
    let count = u8::from(known && is_a);
    answer.extend([0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend_from_slice(question);
    if count == 1 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]); // the name of the question, A, IN, a minute, 4 bytes
        answer.extend(WEB.octets());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend(label.bytes());
        }
        query.extend([0, 0, kind, 0, 1]);
        query
    }

    #[test]
    fn only_our_name_has_an_address() {
        let known = answer(&query(NAME, 1)).unwrap();
        assert_eq!((&known[..4], known[7]), (&[0x12, 0x34, 0x81, 0x80][..], 1));
        assert!(known.ends_with(&WEB.octets()));
        let no_ipv6 = answer(&query(NAME, 28)).unwrap();
        assert_eq!((no_ipv6[3], no_ipv6[7]), (0x80, 0));
        assert_eq!(answer(&query("example.org", 1)).unwrap()[3], 0x83);
        assert!(answer(&query(NAME, 1)[..20]).is_none() && answer(b"short").is_none());
    }
}
