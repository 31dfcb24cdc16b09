//! Tests of how a server is reached.

use std::future::{pending, ready};

use tokio::net::TcpListener;

use super::*;
use crate::client::Trust;
use crate::secrets::Secret;

fn plan() -> Plan {
    let server: Server = "wss://vpn.example.com".parse().unwrap();
    let request = Request::new(&server, &Secret::generate(), 51820, phantom_certs::now());
    let tls = Trust::Authorities { ca_file: None, pin: None }.client_config().unwrap();
    Plan { server, tls: Arc::new(tls), request: Arc::new(request), behind: None }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    // Machines that serve something else than a tunnel: they accept, and hang up at the hello.
    let [(one, first), (other, second)] = [listen().await, listen().await];
    let (closed, free) = listen().await;
    drop(closed);
    let found = ready(Ok(vec![first, second, free]));
    let plan = plan();
    let ((tried, failed), ()) = tokio::join!(open(&plan, vec![first], found), async {
        for listener in [&one, &other] {
            drop(timeout(PATIENCE, listener.accept()).await.expect("each is tried").unwrap());
        }
    });
    // What came furthest is told, and not that the last one is not there. None is tried twice.
    assert!(matches!(failed, Err(DialError::Tls { address, .. }) if address == second), "{failed:?}");
    assert_eq!(tried, [first, second, free]);
}

/// A resolver behind the tunnel never answers; an address that is silent is not waited for.
#[tokio::test]
async fn silent_resolver_or_address_is_not_awaited() {
    let (silent, first) = listen().await;
    let (other, second) = listen().await;
    let plan = plan();
    let begin = Instant::now();
    let opening = open(&plan, vec![first, second], pending());
    tokio::select! {
        _ = opening => panic!("there is nothing to open, and the resolver is silent"),
        accepted = other.accept() => drop(accepted.unwrap()),
    }
    let took = begin.elapsed();
    assert!((BESIDE..PATIENCE).contains(&took), "{took:?}");
    drop(silent);
}

#[tokio::test]
async fn name_is_resolved_when_known_address_fails() {
    let (closed, gone) = listen().await;
    drop(closed);
    let (other, found) = listen().await;
    let plan = plan();
    let begin = Instant::now();
    let ((tried, _), ()) = tokio::join!(open(&plan, vec![gone], ready(Ok(vec![gone, found]))), async {
        drop(timeout(PATIENCE, other.accept()).await.expect("it is tried").unwrap());
    });
    assert_eq!(tried, [gone, found]);
    assert!(begin.elapsed() < BESIDE, "{:?}", begin.elapsed());
    let error = || DialError::LookUp {
        host: "vpn.example.com".parse().unwrap(),
        source: io::ErrorKind::NotFound.into(),
    };
    let (_, failed) = open(&plan, Vec::new(), ready(Err(error()))).await;
    assert!(matches!(failed, Err(DialError::LookUp { .. })), "{failed:?}");
}

/// A name may lead to any number of addresses; one attempt does not go through all of them.
#[tokio::test]
async fn addresses_tried_per_name_are_bounded() {
    let (closed, gone) = listen().await;
    drop(closed);
    let many = (1..=40).map(|last| SocketAddr::from(([127, 0, 0, last], gone.port()))).collect();
    let (tried, failed) = open(&plan(), Vec::new(), ready(Ok(many))).await;
    assert_eq!(tried.len(), ADDRESSES);
    assert!(matches!(failed, Err(DialError::Connect { .. })), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends() {
    let begin = Instant::now();
    let (tried, failed) = open(&plan(), Vec::new(), pending()).await;
    assert!(tried.is_empty() && matches!(failed, Err(DialError::Connect { .. })), "{failed:?}");
    assert!(begin.elapsed() < ATTEMPT + PATIENCE);
}

/// A proxy that refuses a login gets it once: others of its addresses would count it as well.
#[tokio::test]
async fn refused_login_ends_the_address_search() {
    let (proxy, first) = listen().await;
    let (other, second) = listen().await;
    let mut plan = plan();
    let login = Login::new("john:wrong".to_owned()).unwrap();
    plan.behind = Some((Endpoint::new("vpn.example.com".parse().unwrap(), 443), Some(login)));
    let refuse = async {
        let (mut stream, _) = proxy.accept().await.unwrap();
        let mut asked = [0; 1024];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        stream
    };
    let ((tried, failed), _stream) = tokio::join!(open(&plan, vec![first, second], pending()), refuse);
    assert!(failed.is_err_and(|error| error.is_login()));
    assert_eq!(tried, [first]);
    assert!(timeout(Duration::from_millis(50), other.accept()).await.is_err());
}
