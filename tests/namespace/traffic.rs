//! What goes through the tunnel: HTTP and UDP to a host on the Internet, which tells who it saw.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use crate::world::{At, on};

/// How long a transfer may pause on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_mins(1);

/// A host on the Internet that serves `bytes` over HTTP and tells who asked.
pub(crate) fn web_server(bytes: usize) -> mpsc::Receiver<SocketAddr> {
    let (seen, receiver) = mpsc::channel();
    let (ready, started) = mpsc::channel();
    on(At::Internet, move || {
        let listener = TcpListener::bind(("198.18.0.2", 80)).unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = seen.send(stream.peer_addr().unwrap());
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b'x'; bytes]));
        }
    });
    started.recv().unwrap();
    receiver
}

/// Fetches from [`web_server`]; gives the number of bytes of the body.
pub(crate) fn fetch(at: At) -> usize {
    let work = || -> std::io::Result<usize> {
        let address = "198.18.0.2:80".parse().expect("an address");
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: 198.18.0.2\r\n\r\n")?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        let head = all.windows(4).position(|window| window == b"\r\n\r\n");
        Ok(head.map_or(0, |at| all.len() - at - 4))
    };
    on(at, work).join().unwrap().unwrap()
}

/// Sends a datagram to the Internet, where it is answered; gives the address that was seen there.
pub(crate) fn udp_seen_as(at: At) -> String {
    udp_answer(at, PATIENCE).expect("a datagram to the Internet and its answer arrive")
}

/// As [`udp_seen_as`]; none when the datagram or its answer does not arrive in time.
pub(crate) fn udp_answer(at: At, patience: Duration) -> Option<String> {
    let (ready, started) = mpsc::channel();
    let server = on(At::Internet, move || {
        let socket = UdpSocket::bind(("198.18.0.2", 7)).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        ready.send(()).unwrap();
        let mut buffer = [0; 2000];
        let (length, from) = socket.recv_from(&mut buffer).ok()?;
        socket.send_to(&buffer[..length], from).unwrap();
        Some(from.ip().to_string())
    });
    started.recv().unwrap();
    let client = on(at, move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.send_to(&[7; 1300], "198.18.0.2:7").ok()?;
        let mut buffer = [0; 2000];
        socket.recv(&mut buffer).ok()
    });
    let answered = client.join().unwrap();
    let seen = server.join().unwrap();
    assert!(answered.is_none_or(|bytes| bytes == 1300), "{answered:?}");
    answered.and(seen)
}
